"""What the kernel says happened in a watched directory, in the same words whichever way it was learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Protocol, TypeVar

K = TypeVar("K")


#: The kernel gives none, or the process was gone (FAN_NOPIDFD, FAN_EPIDFD).
NO_PIDFD, GONE = -1, -2


class Did(Flag):
    """What was done. The kernel may fold several into one event of one process and file."""

    CREATE = auto()
    WRITE = auto()
    ATTRIB = auto()
    DELETE = auto()
    MOVE = auto()
    OVERFLOW = auto()


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to `path`. Only a hint: what it is now, a look will tell.

    path: where it is, or was deleted; after a move the new one, empty if that is in no watched directory.
    previous: before a move; empty if that was in no watched directory.
    pid: who did it, 0 if unknown. pidfd: a file descriptor of that process, to be closed; or NO_PIDFD, or GONE.
    """

    did: Did
    path: str = ""
    previous: str = ""
    is_dir: bool = False
    pid: int = 0
    pidfd: int = NO_PIDFD


class Watcher(Protocol):
    """A kernel interface that tells of changes in directories."""

    rung: str
    #: Largest number of directories, and the sysctl that limits it.
    limit: str

    def fileno(self) -> int:
        """For poll(2)."""

    def add(self, path: str, fd: int) -> None:
        """Watch the directory `path`, open as `fd`. OSError if the kernel refuses."""

    def read(self) -> Sequence[Hint]:
        """What is waiting; empty if nothing is."""

    def forget(self, path: str) -> None:
        """Watch `path` and what is below no more."""

    def knows(self, path: str) -> bool:
        """Whether the directory is watched."""

    def watched(self) -> int:
        """Number of directories."""

    def close(self) -> None:
        """Give everything back."""


def below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def join(folder: str, name: str) -> str:
    """The path of a name in a directory."""
    return f"{folder.rstrip('/')}/{name}"


def renamed(paths: Mapping[K, str], move: Hint) -> dict[K, str]:
    """The directories among `paths` that a move takes along, under their new names."""
    if not move.path:
        return {}
    return {key: move.path + path[len(move.previous) :] for key, path in paths.items() if below(path, move.previous)}
