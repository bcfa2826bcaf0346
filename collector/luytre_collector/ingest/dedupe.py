"""What of a batch is new, by the numbers of its rows. Exactly once in the tables follows from it.

The collector keeps the last stored number per (table, agent, boot, stream). The first time numberings are met, the
tables themselves are asked, each once about all of them: after a restart thousands of agents come at the same time.
Afterwards memory is right, because one worker decides about and inserts every batch of a numbering in turn.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from luytre_common.telemetry import Counters

from luytre_collector.ingest.admit import Admitted

#: (table, agent_id, boot_id, stream)
Key = tuple[str, str, str, str]

#: (agent_id, boot_id, stream)
Numbering = tuple[str, str, str]

#: Asks the store, as `Store.last_sequences`: the last stored number of those numberings of a table that have one.
LastStored = Callable[[str, Sequence[Numbering]], Mapping[Numbering, int]]


@dataclass(frozen=True, slots=True)
class Fresh:
    """How many rows at the head of a batch are already stored; all of them if `skip` equals the row count."""

    skip: int
    gap: int


def compare(last: int, first: int, count: int) -> Fresh:
    """Compare a batch of `count` rows from `first` with the last number known, -1 for none."""
    skip = min(count, max(0, last + 1 - first))
    gap = max(0, first - last - 1)
    return Fresh(skip, gap)


class Dedupe:
    """The last stored number of every numbering seen lately."""

    def __init__(self, last_stored: LastStored, counters: Counters, max_keys: int = 100_000) -> None:
        self._last_stored = last_stored
        self._counters = counters
        self._max_keys = max_keys
        self._last: OrderedDict[Key, int] = OrderedDict()

    def learn(self, batches: Iterable[Admitted]) -> None:
        """Ask about all numberings of these batches that are not known. `judge` does by itself, one by one."""
        unknown: defaultdict[str, dict[Numbering, None]] = defaultdict(dict)
        for batch in batches:
            key = key_of(batch)
            if key not in self._last:
                unknown[key[0]][key[1:]] = None
        for table, numberings in unknown.items():
            found = self._last_stored(table, list(numberings))
            for one in numberings:
                self._last[table, *one] = found.get(one, -1)
        while len(self._last) > self._max_keys:
            self._last.popitem(last=False)

    def judge(self, batch: Admitted) -> Fresh:
        """What of `batch` is new. Takes it as stored from now on: call `forget` if it is not, after all."""
        self.learn((batch,))
        key = key_of(batch)
        last = self._last[key]
        fresh = compare(last, batch.first_sequence, batch.row_count)
        self._last[key] = max(last, batch.last_sequence)
        self._last.move_to_end(key)
        self._count(batch, fresh)
        return fresh

    def forget(self, batch: Admitted) -> None:
        """The batch was not stored: the store is asked again next time."""
        self._last.pop(key_of(batch), None)

    def _count(self, batch: Admitted, fresh: Fresh) -> None:
        table = batch.table.name
        if fresh.skip:
            self._counters.add("duplicate_rows", fresh.skip, table)
        if fresh.skip == batch.row_count:
            self._counters.add("duplicate", label=table)
        if fresh.gap:
            self._counters.add("sequence_gap", label=table)
            self._counters.add("sequence_gap_rows", fresh.gap, table)


def key_of(batch: Admitted) -> Key:
    """The numbering that a batch belongs to."""
    return (batch.table.name, batch.sender.agent_id, batch.boot_id, batch.stream)
