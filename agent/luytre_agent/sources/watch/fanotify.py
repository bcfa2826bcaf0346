"""fanotify(7): changes in marked directories, with the process that made them.

Marks are on directories only (never on a filesystem), so that what happens elsewhere costs nothing. The layouts are
those of linux/fanotify.h, metadata version 3:

    event      u32 event_len, u8 vers, u8 reserved, u16 metadata_len, u64 mask, s32 fd, s32 pid; then records
    record     u8 info_type, u8 pad, u16 len, and by type
               DFID_NAME (also OLD_, NEW_): s32 fsid[2]; u32 handle_bytes, s32 handle_type, handle; name, NUL-terminated
               PIDFD: s32 pidfd
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from typing import Final

from luytre_agent.sources.watch.hint import GONE, NO_PIDFD, Did, Hint, below, join, renamed

_CLOEXEC, _NONBLOCK = 0x1, 0x2
_UNLIMITED_MARKS = 0x20  # our own limit of directories holds, and without CAP_SYS_ADMIN there would be no pid
_REPORT_PIDFD, _REPORT_DFID_NAME = 0x80, 0x400 | 0x800
_INIT: Final = _CLOEXEC | _NONBLOCK | _UNLIMITED_MARKS | _REPORT_DFID_NAME

_MARK_ADD, _MARK_REMOVE, _MARK_ONLYDIR = 0x1, 0x2, 0x8

_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
_Q_OVERFLOW, _EVENT_ON_CHILD, _RENAME, _ONDIR = 0x4000, 0x0800_0000, 0x1000_0000, 0x4000_0000
_MASK: Final = _ATTRIB | _CLOSE_WRITE | _CREATE | _DELETE | _EVENT_ON_CHILD | _ONDIR
_MOVED: Final = _MOVED_FROM | _MOVED_TO

_DIDS = ((_CREATE, Did.CREATE), (_CLOSE_WRITE, Did.WRITE), (_ATTRIB, Did.ATTRIB), (_DELETE, Did.DELETE))

_INFO_DFID_NAME, _INFO_PIDFD, _INFO_OLD_DFID_NAME, _INFO_NEW_DFID_NAME = 2, 4, 10, 12

_EVENT = struct.Struct("=IBBHQii")
_RECORD = struct.Struct("=BBH")
_VERSION = 3
_READ_BYTES = 1 << 16
_AT_EMPTY_PATH, _MAX_HANDLE = 0x1000, 128

#: A directory by filesystem and file handle.
Key = bytes

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


class Fanotify:
    """One fanotify group. OSError if the kernel or our rights do not allow it with pids and names."""

    rung = "fanotify"
    limit = "fs.fanotify.max_user_marks"

    def __init__(self) -> None:
        try:
            self._fd = _call("fanotify_init", _INIT | _REPORT_PIDFD, os.O_RDONLY)
        except OSError as error:
            if error.errno != 22:  # EINVAL: before Linux 5.15 there are no pidfds
                raise
            self._fd = _call("fanotify_init", _INIT, os.O_RDONLY)
        self._paths: dict[Key, str] = {}
        self._moves = _RENAME  # since Linux 5.17

    def fileno(self) -> int:
        """For poll(2)."""
        return self._fd

    def add(self, path: str, fd: int) -> None:
        """Watch the directory `path`, open as `fd`; under a new name, if it is watched already."""
        key = _key(fd)
        try:
            self._mark(_MARK_ADD, fd)
        except OSError as error:
            if error.errno != 22 or self._moves == _MOVED:
                raise
            self._moves = _MOVED
            self._mark(_MARK_ADD, fd)
        self._paths[key] = path

    def _mark(self, what: int, fd: int) -> None:
        mask = ctypes.c_uint64(_MASK | self._moves)
        _call("fanotify_mark", self._fd, ctypes.c_uint(what | _MARK_ONLYDIR), mask, fd, None)

    def read(self) -> list[Hint]:
        """What is waiting; empty if nothing is."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return []
        hints = []
        for hint in parse(data, self._paths.get):
            hints.append(hint)
            if hint.is_dir and hint.previous:  # what follows is in the directory's new place
                self._paths |= renamed(self._paths, hint)
                if not hint.path:
                    self.forget(hint.previous)
        return hints

    def forget(self, path: str) -> None:
        """Watch `path` and what is below no more."""
        for key in [key for key, known in self._paths.items() if below(known, path)]:
            del self._paths[key]
            self._unmark(key)

    def _unmark(self, key: Key) -> None:
        """By its handle: the path may be another thing by now. What is gone has lost its mark by itself."""
        handle = ctypes.create_string_buffer(key[8:], len(key) - 8)
        root = os.open("/", os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            fd = _call("open_by_handle_at", root, handle, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        except OSError:
            return
        finally:
            os.close(root)
        try:
            if _key(fd) == key:
                self._mark(_MARK_REMOVE, fd)
        except OSError:
            pass
        finally:
            os.close(fd)

    def knows(self, path: str) -> bool:
        """Whether the directory is watched."""
        return path in self._paths.values()

    def watched(self) -> int:
        """Number of directories."""
        return len(self._paths)

    def close(self) -> None:
        """Give everything back."""
        os.close(self._fd)


def _key(fd: int) -> Key:
    """The same bytes as an event has: fsid, and struct file_handle as name_to_handle_at(2) fills it."""
    handle = ctypes.create_string_buffer(struct.pack("=Ii", _MAX_HANDLE, 0), 8 + _MAX_HANDLE)
    mount = ctypes.c_int()
    _call("name_to_handle_at", fd, b"", handle, ctypes.byref(mount), _AT_EMPTY_PATH)
    (size,) = struct.unpack_from("=I", handle)
    fsid = os.fstatvfs(fd).f_fsid  # glibc: the first word is the low half
    return struct.pack("=II", fsid & 0xFFFF_FFFF, fsid >> 32 & 0xFFFF_FFFF) + handle.raw[: 8 + size]


def parse(data: bytes, path_of: Callable[[Key], str | None]) -> Iterator[Hint]:
    """The hints in what read(2) gave. Directories that are not watched any more give none."""
    at = 0
    while at + _EVENT.size <= len(data):
        length, version, _, head, mask, _, pid = _EVENT.unpack_from(data, at)
        if version != _VERSION or length < _EVENT.size or at + length > len(data):
            return
        paths, pidfd = _records(data[at + head : at + length], path_of)
        yield from _hints(mask, paths, pid, pidfd)
        at += length


def _records(data: bytes, path_of: Callable[[Key], str | None]) -> tuple[dict[int, str], int]:
    paths: dict[int, str] = {}
    pidfd = NO_PIDFD
    at = 0
    while at + _RECORD.size <= len(data):
        kind, _, length = _RECORD.unpack_from(data, at)
        if length < _RECORD.size:
            break
        body = data[at + _RECORD.size : at + length]
        at += length
        if kind == _INFO_PIDFD and len(body) >= 4:
            (pidfd,) = struct.unpack_from("=i", body)
            pidfd = pidfd if pidfd >= 0 else GONE
        elif kind in (_INFO_DFID_NAME, _INFO_OLD_DFID_NAME, _INFO_NEW_DFID_NAME) and len(body) >= 16:
            end = 16 + int(struct.unpack_from("=I", body, 8)[0])
            folder = path_of(body[:end])
            name = os.fsdecode(body[end:].split(b"\0", 1)[0])
            if folder is not None:
                paths[kind] = folder if name == "." else join(folder, name)
    return paths, pidfd


def _hints(mask: int, paths: dict[int, str], pid: int, pidfd: int) -> Iterator[Hint]:
    is_dir = bool(mask & _ONDIR)
    found: list[Hint] = []
    path = paths.get(_INFO_DFID_NAME, "")
    if mask & _Q_OVERFLOW:
        found.append(Hint(Did.OVERFLOW))
    elif mask & _RENAME:
        old, new = paths.get(_INFO_OLD_DFID_NAME, ""), paths.get(_INFO_NEW_DFID_NAME, "")
        if old or new:
            found.append(Hint(Did.MOVE, new, old, is_dir, pid, pidfd))
    elif path:
        did = Did(0)
        for bit, meaning in _DIDS:
            if mask & bit:
                did |= meaning
        if mask & _MOVED_TO:
            found.append(Hint(Did.MOVE, path, "", is_dir, pid, pidfd))
        elif mask & _MOVED_FROM:
            found.append(Hint(Did.MOVE, "", path, is_dir, pid, pidfd))
        elif did:
            found.append(Hint(did, path, "", is_dir, pid, pidfd))
    if not found and pidfd >= 0:
        os.close(pidfd)
    yield from found
