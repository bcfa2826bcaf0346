"""Whether each batch follows the one before it, by the hash chain of its numbering: `luytre_common.wire.chain`.

Of each numbering the last links are known. A batch that follows one of them must link to it; if it does not, it was
altered or replaced after the agent had sealed it. What cannot be compared is counted: batches of agents that make no
chain; the first batch that is met after links were lost in a crash of ours. Where numbers are missing before a batch,
the chain begins again behind the gap, and the gap is kept until somebody explains it: see `chainkeeper`.

Rows are stored whatever comes out here. Pure, but for `stored`, which asks the store for the last link that it has.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from luytre_common.telemetry import Counters
from luytre_common.wire import chain

from luytre_collector.ingest.admit import Admitted
from luytre_collector.ingest.dedupe import Fresh
from luytre_collector.ingest.finding import Finding, Kind

#: (agent_id, boot_id, stream)
Numbering = tuple[str, str, str]
#: The number of the last row of a batch, and the batch's link.
Link = tuple[int, bytes]

#: Links that are remembered of each numbering: batches that come again are compared, too.
_REMEMBERED = 8
#: Gaps that wait to be written down.
_MOST_GAPS = 10_000
#: Of one agent and table, a broken batch is told of so often; the others are counted.
_QUIET_US = 600_000_000


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows `first` to `last` of a numbering did not come; seen at `seen_us`."""

    numbering: Numbering
    table: str
    host_name: str
    first: int
    last: int
    seen_us: int


class Chains:
    """Fed by the threads of the workers, each with its own numberings; another one asks what is to be written down."""

    def __init__(
        self, stored: Callable[[Numbering], Link | None], counters: Counters, max_numberings: int = 100_000
    ) -> None:
        self._stored = stored
        self._counters = counters
        self._most = max_numberings
        self._lock = threading.Lock()
        self._known: OrderedDict[Numbering, list[Link]] = OrderedDict()
        self._changed: dict[Numbering, int] = {}
        self._gaps: list[Gap] = []
        self._told: dict[tuple[str, str], int] = {}

    def remember(self, links: Iterable[tuple[Numbering, Link]]) -> None:
        """What the store knows, at the start."""
        with self._lock:
            for numbering, link in links:
                if numbering not in self._known:
                    self._put(numbering, link)

    def check(self, batch: Admitted, fresh: Fresh | None) -> Finding | None:
        """Compare the batch with those before it; what is to be told. `fresh`: what of it is new; None: it is refused.

        Takes it as stored from now on: call `forget` if it is not, after all.
        """
        numbering = (batch.sender.agent_id, batch.boot_id, batch.stream)
        known = self._known.get(numbering, [])
        if not batch.chain:
            if known:
                return self._broken(batch, numbering, "stripped")
            self._counters.add("batches_unchained", label=batch.table.name)
            return None
        repeated = next((link for last, link in known if last == batch.last_sequence), None)
        if repeated is not None and repeated != batch.chain:
            return self._broken(batch, numbering, "replaced")
        before = self._before(batch, known)
        if before is None and not (fresh and fresh.skip == batch.row_count):
            stored = self._stored(numbering)
            before = stored[1] if stored and stored[0] == batch.first_sequence - 1 else None
        if before is not None:
            expected = chain.link(before, batch.first_sequence, batch.row_count, batch.body)
            if expected != batch.chain:
                self._follow(batch, numbering)
                return self._broken(batch, numbering, "altered")
            self._counters.add("batches_verified", label=batch.table.name)
        elif fresh and fresh.skip == batch.row_count:
            self._counters.add("batches_repeated", label=batch.table.name)
            return None
        else:
            self._counters.add("batches_unverified", label=batch.table.name)
            if fresh and fresh.gap:
                self._meet(batch, numbering, fresh.gap)
        self._follow(batch, numbering)
        return None

    def forget(self, batch: Admitted) -> None:
        """The batch was not stored, after all: it will come again, and follow what came before it."""
        numbering = (batch.sender.agent_id, batch.boot_id, batch.stream)
        with self._lock:
            known = [link for link in self._known.get(numbering, []) if link[0] < batch.first_sequence]
            if known:
                self._known[numbering] = known
            else:
                self._known.pop(numbering, None)
        self._told.pop((batch.sender.agent_id, batch.table.name), None)  # what was to be told may not have been

    def take_links(self) -> list[tuple[Numbering, Link, int]]:
        """The last link of every numbering that went on since this was asked last, and when its batch came."""
        with self._lock:
            changed, self._changed = self._changed, {}
            return [(one, self._known[one][-1], at) for one, at in changed.items() if one in self._known]

    def give_back(self, links: Iterable[tuple[Numbering, Link, int]], gaps: Iterable[Gap]) -> None:
        """They could not be written down: they come with the next."""
        with self._lock:
            for numbering, _, at in links:
                self._changed.setdefault(numbering, at)
            self._gaps[:0] = gaps

    def take_gaps(self) -> list[Gap]:
        """The gaps that were met since this was asked last."""
        with self._lock:
            gaps, self._gaps = self._gaps, []
            return gaps

    def _before(self, batch: Admitted, known: list[Link]) -> bytes | None:
        if batch.first_sequence == 0:
            return chain.start(batch.boot_id, batch.stream)
        return next((link for last, link in known if last == batch.first_sequence - 1), None)

    def _follow(self, batch: Admitted, numbering: Numbering) -> None:
        """What comes next must link to this batch, whatever it is itself: one altered batch is one fault."""
        with self._lock:
            known = self._known.get(numbering)
            if known and batch.last_sequence <= known[-1][0]:
                return
            self._put(numbering, (batch.last_sequence, batch.chain))
            self._changed[numbering] = batch.collector_time_us

    def _put(self, numbering: Numbering, link: Link) -> None:
        known = self._known.setdefault(numbering, [])
        known.append(link)
        del known[:-_REMEMBERED]
        self._known.move_to_end(numbering)
        if len(self._known) > self._most:
            self._changed.pop(self._known.popitem(last=False)[0], None)

    def _meet(self, batch: Admitted, numbering: Numbering, missing: int) -> None:
        self._counters.add("gaps_met", label=batch.table.name)
        first = batch.first_sequence
        gap = Gap(
            numbering, batch.table.name, batch.sender.host_name, first - missing, first - 1, batch.collector_time_us
        )
        with self._lock:
            if len(self._gaps) < _MOST_GAPS:
                self._gaps.append(gap)
                return
        self._counters.add("gaps_left_out")

    def _broken(self, batch: Admitted, numbering: Numbering, how: str) -> Finding | None:
        self._counters.add("batches_broken", label=how)
        now_us = batch.collector_time_us
        told = (batch.sender.agent_id, batch.table.name)
        if 0 <= now_us - self._told.get(told, -_QUIET_US) < _QUIET_US:
            self._counters.add("alerts_left_out")
            return None
        if len(self._told) > 10_000:
            self._told.clear()
        self._told[told] = now_us
        agent_id, boot_id, stream = numbering
        name = f"{batch.table.name}/{agent_id}/{boot_id}/{stream}"
        facts = {
            "how": how,
            "table": batch.table.name,
            "boot_id": boot_id,
            "stream": stream,
            "first_sequence": batch.first_sequence,
            "last_sequence": batch.last_sequence,
        }
        return Finding(
            Kind.BATCH_BROKEN,
            agent_id,
            batch.sender.host_name,
            now_us,
            f"{boot_id}/{stream}/{batch.first_sequence}/{batch.chain.hex()}",
            facts,
            (f"{name}/{batch.first_sequence}", f"{name}/{batch.last_sequence}"),
        )
