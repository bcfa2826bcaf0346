"""Which rows matter most when there is no room for all, and go out first after an outage.

    first   what an intruder does and what proves it: logins, programs, changed files and settings, and the ledger that
            says what is missing. A few megabytes a day; without them an attack cannot be reconstructed
    second  what explains them: sockets, names that were asked for, TLS, the inventory, the agent's own health
    last    flows: most of the bytes, and what other places (a firewall, the other end) may have seen too

A table belongs to one class, so a numbering lies in segments of one class and is sent in order. At the quota the
lowest class gives way, oldest segment first: the newest flow goes before the oldest login does. A table that is not
named here is of the second class.
"""

from __future__ import annotations

from collections.abc import Sequence

CLASSES: dict[str, tuple[str, ...]] = {
    "first": ("logins", "processes", "files", "network_changes", "ledger"),
    "second": ("sockets", "dns", "tls", "agent_health", "inventory"),
    "last": ("flows",),
}

#: The names, highest first; a class is its place in here.
NAMES: tuple[str, ...] = tuple(CLASSES)
FIRST, SECOND, LAST = range(len(NAMES))
_OF = {table: NAMES.index(name) for name, tables in CLASSES.items() for table in tables}

#: Of the bytes that are sent while a lower class waits, one in so many is that class's ...
SHARE = 8
#: ... taken in batches once it is owed so many bytes: small higher ones do not wait for a large lower one at once.
OWED = 256 << 10


def class_of(table: str) -> int:
    """The class of a table, 0 for the highest."""
    return _OF.get(table, SECOND)


class Turns:
    """Who sends next: the highest class that has something, but a lower one that waits gets one byte in `SHARE`.

    So after an outage logins are there at once, and a line that just suffices for the higher classes still brings the
    lower ones forward. Each class below the highest that waits has an account: what others send while it waits adds
    an eighth, what it sends itself is taken off.
    """

    def __init__(self) -> None:
        self._credit = [0.0] * len(NAMES)

    def choose(self, waiting: Sequence[bool]) -> int:
        """The class whose turn it is among those that have something waiting; at least one must."""
        owed = [one for one in range(len(NAMES)) if waiting[one] and self._credit[one] >= OWED]
        return max(owed, key=lambda one: self._credit[one]) if owed else waiting.index(True)

    def sent(self, chosen: int, size: int, waiting: Sequence[bool]) -> None:
        """A batch of `size` bytes of class `chosen` goes out while those others wait."""
        highest = waiting.index(True) if True in waiting else chosen
        for one in range(len(NAMES)):
            if one == chosen and one > highest:
                self._credit[one] -= size
            elif one > highest and waiting[one]:
                self._credit[one] += size / SHARE
            else:
                self._credit[one] = 0.0
