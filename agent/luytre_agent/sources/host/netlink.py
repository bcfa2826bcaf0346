"""netlink(7): messages and attributes taken apart, and sockets that dump and subscribe.

Raw, because the library that does this costs 25 MB of memory, more than the rest of the agent's Python.
Formats: linux/netlink.h. Numbers are in host order, lengths include the header, everything is aligned to 4 bytes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x1
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
_NLA_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ADD_MEMBERSHIP = 1
_SOL_NETLINK = 270
_RECEIVE = 1 << 17
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_DUMP_SECONDS = 5.0
_DUMP_TRIES = 3

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Message:
    """One netlink message without its header."""

    type: int
    flags: int
    body: bytes


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram; a length that cannot be ends it."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield Message(kind, flags, data[at + _HEADER.size : at + length])
        at += (length + 3) & ~3


def each_attribute(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes from byte `at` on, with their types; a length that cannot be ends it."""
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            return
        yield kind & _NLA_TYPE_MASK, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes by type; the last of a type counts."""
    return dict(each_attribute(data, at))


def number(data: bytes | None, order: str = "native") -> int:
    """An attribute that is a number of 1 to 8 bytes; 0 if there is none. order: native, or big (netfilter)."""
    if not data:
        return 0
    return int.from_bytes(data[:8], "big" if order == "big" else "little" if _LITTLE else "big")


_LITTLE = struct.pack("=H", 1) == b"\x01\x00"


def string(data: bytes | None) -> str:
    """An attribute that is a text with a zero at its end."""
    return (data or b"").split(b"\0", 1)[0].decode("utf-8", "replace")


class Dumper:
    """Asks the kernel for everything of a kind."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_DUMP_SECONDS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def dump(self, kind: int, body: bytes) -> list[Message]:
        """All answers to the request. OSError if the kernel refuses, or changes faster than it can tell."""
        for _ in range(_DUMP_TRIES):
            found = self._try(kind, body)
            if found is not None:
                return found
        raise OSError(errno.EAGAIN, "the tables change faster than they can be read")

    def _try(self, kind: int, body: bytes) -> list[Message] | None:
        self._sequence += 1
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, 0) + body)
        found: list[Message] = []
        torn = False
        while True:
            data = self._socket.recv(_RECEIVE)
            if len(data) >= _HEADER.size and _HEADER.unpack_from(data)[3] != self._sequence:
                continue  # the rest of a dump that was given up
            for message in messages(data):
                torn = torn or bool(message.flags & NLM_F_DUMP_INTR)
                if message.type in (NLMSG_DONE, NLMSG_ERROR):
                    code = -int.from_bytes(message.body[:4], "little" if _LITTLE else "big", signed=True)
                    if code > 0:
                        raise OSError(code, os.strerror(code))
                    return None if torn else found
                found.append(message)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class Subscription:
    """Tells of changes as they happen. The kernel alone is believed: what others send to our port is dropped."""

    def __init__(self, protocol: int, groups: tuple[int, ...], receive_bytes: int) -> None:
        self.foreign = 0
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            self._socket.bind((0, 0))
            for group in groups:
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError:
            self._socket.close()
            raise

    @property
    def port(self) -> int:
        """Our netlink port."""
        return int(self._socket.getsockname()[0])

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def receive(self) -> list[Message] | None:
        """The messages of the next datagram; None if there is none now. OSError with ENOBUFS if some were lost."""
        try:
            data, sender = self._socket.recvfrom(_RECEIVE)
        except BlockingIOError:
            return None
        if sender[0] != 0:
            self.foreign += 1
            return []
        return list(messages(data))

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def in_namespace(namespace: str, make: Callable[[], Made]) -> Made:
    """What `make` makes in a network namespace (name as `ip netns` has it, or path; empty: ours). Sockets stay in the
    namespace they were made in; only a thread of its own moves. OSError if there is no such namespace."""
    if not namespace:
        return make()
    path = Path(namespace) if "/" in namespace else Path("/run/netns") / namespace
    made: list[Made] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), str(path))
            finally:
                os.close(descriptor)
            made.append(make())
        except Exception as error:  # noqa: BLE001 # it is raised in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="setns")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
