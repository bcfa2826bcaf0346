"""A folder on a disk that remembers every write: what it may hold after the process or the power is gone at any point.

`Recorder` notes what a program does to one folder through `os`. From the notes `killed` makes the folder as it is when
the process dies there: everything before, and any part of the write that is going on. `powerless` makes what may be
left when the machine dies there: what was synced for certain; of the rest whatever chance (`random.Random`) says:
names that were added, moved or removed without a sync of the folder have or have not been; data without a sync of the
file is there, is not, ends somewhere, or is zeros in places.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

_SECTOR = 64


@dataclass(frozen=True)
class Event:
    """One operation: create, write, truncate, sync (of `file`), rename, unlink, link (of names), sync_folder."""

    kind: str
    file: int = -1
    offset: int = 0
    data: bytes = b""
    name: str = ""
    other: str = ""


@dataclass
class Recorder:
    """What was done to `folder`, in order. The file `lock` is left out."""

    folder: Path
    events: list[Event] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)
    _open: dict[int, int] = field(default_factory=dict)
    _at: dict[int, int] = field(default_factory=dict)
    _files: int = 0

    def _mine(self, path: Any) -> str | None:
        if not isinstance(path, str | os.PathLike):
            return None
        whole = Path(os.fspath(path))
        return whole.name if whole.parent == self.folder and whole.name != "lock" else None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note what is done from here on."""
        calls = {
            "open": self._on_open,
            "write": self._on_write,
            "close": self._on_close,
            "fsync": self._on_sync,
            "fdatasync": self._on_sync,
            "ftruncate": self._on_truncate,
            "lseek": self._on_seek,
            "replace": self._on_rename,
            "unlink": self._on_unlink,
            "link": self._on_link,
        }
        with ExitStack() as stack:
            for name, handler in calls.items():
                stack.enter_context(patch.object(os, name, _wrapped(getattr(os, name), handler)))
            yield

    def _on_open(self, real: Callable[..., Any], path: Any, flags: int, *rest: Any, **more: Any) -> int:
        fd = int(real(path, flags, *rest, **more))
        if isinstance(path, str | os.PathLike) and Path(os.fspath(path)) == self.folder:
            self._open[fd] = -1
        elif (name := self._mine(path)) and flags & (os.O_WRONLY | os.O_RDWR):
            if name not in self._names:
                self._names[name] = self._files
                self._files += 1
                self.events.append(Event("create", self._names[name], name=name))
            self._open[fd], self._at[fd] = self._names[name], 0
            if flags & os.O_TRUNC:
                self.events.append(Event("truncate", self._open[fd], 0))
        return fd

    def _on_write(self, real: Callable[..., Any], fd: int, data: Any) -> int:
        written = int(real(fd, data))
        if fd in self._open:
            self.events.append(Event("write", self._open[fd], self._at[fd], bytes(data[:written])))
            self._at[fd] += written
        return written

    def _on_close(self, real: Callable[..., Any], fd: int) -> None:
        self._open.pop(fd, None)
        real(fd)

    def _on_sync(self, real: Callable[..., Any], fd: int) -> None:
        real(fd)
        if fd in self._open:
            file = self._open[fd]
            self.events.append(Event("sync", file) if file >= 0 else Event("sync_folder"))

    def _on_truncate(self, real: Callable[..., Any], fd: int, size: int) -> None:
        real(fd, size)
        if fd in self._open:
            self.events.append(Event("truncate", self._open[fd], size))

    def _on_seek(self, real: Callable[..., Any], fd: int, *where: int) -> int:
        at = int(real(fd, *where))
        if fd in self._open:
            self._at[fd] = at
        return at

    def _on_rename(self, real: Callable[..., Any], old: Any, new: Any) -> None:
        real(old, new)
        if (name := self._mine(old)) and (other := self._mine(new)):
            file = self._names[other] = self._names.pop(name)
            self.events.append(Event("rename", file, name=name, other=other))

    def _on_unlink(self, real: Callable[..., Any], path: Any, **more: Any) -> None:
        real(path, **more)
        if name := self._mine(path):
            self.events.append(Event("unlink", self._names.pop(name), name=name))

    def _on_link(self, real: Callable[..., Any], old: Any, new: Any, **more: Any) -> None:
        real(old, new, **more)
        if (name := self._mine(old)) and (other := self._mine(new)):
            self._names[other] = self._names[name]
            self.events.append(Event("link", self._names[name], name=name, other=other))


def _wrapped(real: Callable[..., Any], handler: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **named: handler(real, *arguments, **named)


Contents = dict[str, bytes]


def _rename(names: dict[str, int], event: Event) -> None:
    if event.kind == "create":
        names[event.name] = event.file
    elif event.kind == "rename":
        if names.get(event.name) == event.file:
            del names[event.name]
        names[event.other] = event.file
    elif event.kind == "unlink":
        names.pop(event.name, None)
    elif event.kind == "link":
        names[event.other] = event.file


def _change(data: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del data[event.offset :]
    elif event.kind == "write":
        data.extend(bytes(max(0, event.offset - len(data))))
        data[event.offset : event.offset + len(event.data)] = event.data


def killed(events: list[Event], torn: int | None = None) -> Contents:
    """The folder after these events; of the last one, a write, only the first `torn` bytes."""
    names: dict[str, int] = {}
    files: dict[int, bytearray] = {}
    for number, event in enumerate(events):
        _rename(names, event)
        whole = torn is None or number < len(events) - 1
        done = event if whole else Event("write", event.file, event.offset, event.data[:torn])
        _change(files.setdefault(event.file, bytearray()), done)
    return {name: bytes(files.get(file, b"")) for name, file in names.items()}


def durable(events: list[Event]) -> Contents:
    """What was synced for certain: names and data."""
    return powerless(events, None)


def powerless(events: list[Event], chance: random.Random | None) -> Contents:
    """The folder when the power fails after these events; without `chance` nothing that was not synced is there."""
    synced = max((at for at, event in enumerate(events) if event.kind == "sync_folder"), default=-1)
    names: dict[str, int] = {}
    all_names = chance is not None and chance.random() < 0.3
    for at, event in enumerate(events):
        if at < synced or all_names or (chance is not None and chance.random() < 0.5):
            _rename(names, event)
    return {name: _left(events, file, chance) for name, file in names.items()}


def _left(events: list[Event], file: int, chance: random.Random | None) -> bytes:
    mine = [event for event in events if event.file == file and event.kind in ("write", "truncate", "sync")]
    synced = max((at for at, event in enumerate(mine) if event.kind == "sync"), default=-1)
    sure, whole = bytearray(), bytearray()
    for at, event in enumerate(mine):
        if at < synced:
            _change(sure, event)
        _change(whole, event)
    if chance is None or bytes(sure) == bytes(whole):
        return bytes(sure)
    how = chance.choice(["nothing", "all", "prefix", "zeros", "sectors"])
    if how == "nothing":
        return bytes(sure)
    if how == "prefix":
        return bytes(whole[: chance.randint(min(len(sure), len(whole)), len(whole))])
    if how == "zeros":
        return bytes(sure) + bytes(max(0, len(whole) - len(sure)))
    if how == "sectors":
        for start in range(len(sure), len(whole), _SECTOR):
            if chance.random() < 0.5:
                size = len(whole[start : start + _SECTOR])
                whole[start : start + size] = bytes(size)
    return bytes(whole)
