"""inotify(7): changes in watched directories. It needs no rights, and does not say who made them.

struct inotify_event of linux/inotify.h: s32 wd, u32 mask, u32 cookie, u32 len, name padded with NUL to len.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from luytre_agent.sources import readable
from luytre_agent.sources.watch.hint import Did, Hint, below, join, renamed

_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
_Q_OVERFLOW, _IGNORED, _ONLYDIR, _EXCL_UNLINK, _ISDIR = 0x4000, 0x8000, 0x0100_0000, 0x0400_0000, 0x4000_0000
_MASK = _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR | _EXCL_UNLINK
_DIDS = {_CREATE: Did.CREATE, _CLOSE_WRITE: Did.WRITE, _ATTRIB: Did.ATTRIB, _DELETE: Did.DELETE}

_EVENT = struct.Struct("=iIII")
_READ_BYTES = 1 << 16
#: For the second half of a move: inotify(7) does not promise that both can be read at once.
_PATIENCE_S = 0.005

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


class Inotify:
    """One inotify instance. OSError if there are too many already (fs.inotify.max_user_instances)."""

    rung = "inotify"
    limit = "fs.inotify.max_user_watches"

    def __init__(self) -> None:
        self._fd = _call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        self._paths: dict[int, str] = {}
        #: The first half of a move, which may be the last event of a read: the second follows it at once, or never.
        self._left: tuple[int, Hint] | None = None

    def fileno(self) -> int:
        """For poll(2)."""
        return self._fd

    def add(self, path: str, fd: int) -> None:
        """Watch the directory `path`, open as `fd`; under a new name, if it is watched already."""
        self._paths[_call("inotify_add_watch", self._fd, f"/proc/self/fd/{fd}".encode(), _MASK)] = path

    def read(self) -> list[Hint]:
        """What is waiting; empty if nothing is."""
        hints = list(self._parse(self._some()))
        if self._left and not hints:
            readable.wait(self._fd, _PATIENCE_S)
            hints = list(self._parse(self._some()))
            if self._left and not hints:
                hints = [self._left[1]]
                self._left = None
        return hints

    def _some(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""

    def _parse(self, data: bytes) -> Iterator[Hint]:
        for hint in self._events(data):
            yield hint
            if hint.is_dir and hint.previous:  # what follows is in the directory's new place
                self._paths |= renamed(self._paths, hint)
                if not hint.path:
                    self.forget(hint.previous)

    def _events(self, data: bytes) -> Iterator[Hint]:
        at = 0
        while at + _EVENT.size <= len(data):
            wd, mask, cookie, length = _EVENT.unpack_from(data, at)
            name = os.fsdecode(data[at + _EVENT.size : at + _EVENT.size + length].split(b"\0", 1)[0])
            at += _EVENT.size + length
            if self._left and not (mask & _MOVED_TO and cookie == self._left[0]):
                yield self._left[1]
                self._left = None
            if mask & _Q_OVERFLOW:
                yield Hint(Did.OVERFLOW)
            elif mask & _IGNORED:
                self._paths.pop(wd, None)
            elif wd in self._paths:
                folder = self._paths[wd]
                yield from self._hint(mask, cookie, join(folder, name) if name else folder)

    def _hint(self, mask: int, cookie: int, path: str) -> Iterator[Hint]:
        is_dir = bool(mask & _ISDIR)
        if mask & _MOVED_FROM:
            self._left = (cookie, Hint(Did.MOVE, "", path, is_dir))
        elif mask & _MOVED_TO:
            previous = self._left[1].previous if self._left else ""
            self._left = None
            yield Hint(Did.MOVE, path, previous, is_dir)
        else:
            for bit, did in _DIDS.items():
                if mask & bit:
                    yield Hint(did, path, "", is_dir)

    def forget(self, path: str) -> None:
        """Watch `path` and what is below no more."""
        for wd in [wd for wd, known in self._paths.items() if below(known, path)]:
            del self._paths[wd]
            _libc.inotify_rm_watch(self._fd, wd)  # EINVAL: it went by itself

    def knows(self, path: str) -> bool:
        """Whether the directory is watched."""
        return path in self._paths.values()

    def watched(self) -> int:
        """Number of directories."""
        return len(self._paths)

    def close(self) -> None:
        """Give everything back."""
        os.close(self._fd)
