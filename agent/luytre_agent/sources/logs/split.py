"""Bytes of a growing file to its items: lines, or records of a fixed size. What is incomplete waits."""

from __future__ import annotations

from typing import Protocol

#: Longest part of a line that is kept, bytes.
LINE_BYTES = 8192


class Splitter(Protocol):
    """`pending`: bytes fed that belong to no complete item yet. `cut`: items so far that were shortened."""

    pending: int
    cut: int

    def feed(self, data: bytes) -> list[bytes]:
        """The items that `data` completes."""

    def rest(self) -> bytes:
        """What is left when no more will come, as an item; empty if nothing is or if it is of no use."""


class Lines:
    """Lines, without their end. A line longer than `LINE_BYTES` is cut, whatever it takes no more memory."""

    def __init__(self) -> None:
        self.pending = 0
        self.cut = 0
        self._kept = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """See `Splitter.feed`."""
        first, *others = data.split(b"\n")
        self._keep(first)
        if not others:
            return []
        last = others.pop()
        items = [self._complete()]
        for line in others:
            self._keep(line)
            items.append(self._complete())
        self._keep(last)
        return items

    def rest(self) -> bytes:
        """See `Splitter.rest`."""
        return self._complete()

    def _keep(self, part: bytes) -> None:
        self._kept += part[: LINE_BYTES - len(self._kept)]
        self.pending += len(part)

    def _complete(self) -> bytes:
        line = bytes(self._kept)
        self.cut += self.pending > len(line)
        self._kept.clear()
        self.pending = 0
        return line


class Records:
    """Records of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.pending = 0
        self.cut = 0
        self.size = size
        self._kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        """See `Splitter.feed`."""
        data = self._kept + data
        whole = len(data) - len(data) % self.size
        self._kept = data[whole:]
        self.pending = len(self._kept)
        return [data[at : at + self.size] for at in range(0, whole, self.size)]

    def rest(self) -> bytes:
        """Nothing: half a record says nothing."""
        self._kept = b""
        self.pending = 0
        return b""
