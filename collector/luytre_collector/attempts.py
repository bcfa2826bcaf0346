"""How often a wrong password or token may be tried: by name and address. Pure but for the clock."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Hashable

#: Failures within a period after which no more are heard until it ends: for one name, for one address.
BY_NAME, BY_ADDRESS = 5, 20
PERIOD_S = 60.0
#: Names and addresses that are remembered; beyond it the oldest are forgotten.
_MOST = 8192


class Attempts:
    """Counts failures."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()  # end of the period, failures in it

    def wait_s(self, address: str, user: str) -> float:
        """How long to wait before a password is looked at, seconds; 0 if it is now."""
        now = self._clock()
        waits = [
            end - now
            for key, most in self._keys(address, user)
            if (found := self._failures.get(key)) and found[1] >= most and _lasts(end := found[0], now)
        ]
        return max(waits, default=0.0)

    def failed(self, address: str, user: str) -> None:
        """A password was wrong."""
        now = self._clock()
        for key, _ in self._keys(address, user):
            end, count = self._failures.pop(key, (now + PERIOD_S, 0))
            self._failures[key] = (end, count + 1) if _lasts(end, now) else (now + PERIOD_S, 1)
        while len(self._failures) > _MOST:
            self._failures.popitem(last=False)

    @staticmethod
    def _keys(address: str, user: str) -> tuple[tuple[Hashable, int], ...]:
        where = _network(address)
        return ((where, user), BY_NAME), (where, BY_ADDRESS)


def _lasts(end: float, now: float) -> bool:
    """Whether the period is not over; one that is longer than a period was begun before the clock was set back."""
    return 0 < end - now <= PERIOD_S


def _network(address: str) -> str:
    """The address; of IPv6 the network of 64 bits, all of which one host can have."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
