"""Numbers that were given and will never come: which, why, and what is told of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from luytre_common.ledger import Entry

from luytre_agent import _core
from luytre_agent.batch import Key, SealedBatch

#: Gaps that may wait to be told; of more, the counters alone say how many rows they were.
MOST = 4096
#: Gaps that are told in one batch.
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows `first` to `last` of a numbering are lost, at `time` (seconds since 1970), because of `cause`: quota, age,
    disk, corrupt (unreadable, or gone when the spool was opened), refused."""

    key: Key
    cause: str
    first: int
    last: int
    time: float


def join(gaps: list[Gap], more: Gap, start: int = 0) -> bool:
    """Add a gap, as part of an older one, from `start` on, if it follows it. False if there are too many."""
    for at in range(len(gaps) - 1, max(start, len(gaps) - 64) - 1, -1):
        known = gaps[at]
        if known.key == more.key and known.cause == more.cause:
            if known.last + 1 == more.first:
                gaps[at] = replace(known, last=more.last, time=more.time)
                return True
            break
    if len(gaps) >= MOST:
        return False
    gaps.append(more)
    return True


def rows_of(gaps: Iterable[Gap]) -> SealedBatch | None:
    """The gaps as a batch of `ledger`; None if there are none."""
    builder = _core.TableBuilder("ledger")
    for gap in gaps:
        builder.append(
            {
                "event_time": int(gap.time * 1_000_000),
                "ledger_boot_id": gap.key.boot_id,
                "ledger_stream": gap.key.stream,
                "ledger_entry": Entry.GAP,
                "ledger_cause": gap.cause,
                "ledger_count": gap.last - gap.first + 1,
                "ledger_first_sequence": gap.first,
                "ledger_last_sequence": gap.last,
            }
        )
    return builder.seal()


class Ranges:
    """Numbers as ranges, ascending and apart; both ends belong to them."""

    def __init__(self, ranges: Iterable[Sequence[int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and list(self) == list(other)

    def __hash__(self) -> int:
        raise TypeError("ranges change")

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"

    def add(self, first: int, last: int) -> None:
        """These numbers too."""
        start = bisect_right(self._firsts, first)
        if start and self._lasts[start - 1] >= first - 1:
            start -= 1
        end = start
        while end < len(self._firsts) and self._firsts[end] <= last + 1:
            first, last = min(first, self._firsts[end]), max(last, self._lasts[end])
            end += 1
        self._firsts[start:end], self._lasts[start:end] = [first], [last]

    def forget(self, through: int) -> None:
        """Drop the ranges that end at `through` or before."""
        while self._lasts and self._lasts[0] <= through:
            del self._firsts[0], self._lasts[0]

    def holes(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """What is missing of `low` to `high`."""
        for first, last in self:
            if last < low:
                continue
            if first > high:
                break
            if first > low:
                yield low, first - 1
            low = last + 1
        if low <= high:
            yield low, high
