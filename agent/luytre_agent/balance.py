"""What became of packets and rows, as rows of `ledger`: what the collector strikes the balance from.

Every stage says how many rows it has just seen: the sources hand them on (`rows_cut`), the spool numbers them
(`rows_spooled`) or cannot keep them (`rows_lost`, with the cause), the uplink sends them (`rows_sent`,
`rows_resent`), the collector has them (`rows_acknowledged`). Packets are counted by the kernel and the core; of their
counters the growth is taken. All of an interval is written at its end, and at the end of the agent.

What is acknowledged after the last rows were written waits in a file for the next start. A killed agent takes the
counts of its last interval along, at most `interval_seconds`: how many rows it had numbered is
known all the same, by their numbers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

from luytre_common.errors import Unavailable
from luytre_common.ledger import Entry
from luytre_common.lifecycle import background
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Counters, Sample

from luytre_agent import _core
from luytre_agent.batch import Key, SealedBatch
from luytre_agent.sources.state import StateFile

TABLE = "ledger"

_log = logging.getLogger("luytre.ledger")

#: Counters of the core that are entries of the balance. What has a cause has it behind the slash.
_OF_PACKETS = {
    "packets": Entry.PACKETS_SEEN,
    "kernel_dropped": Entry.KERNEL_DROPPED,
    "undecoded": Entry.UNDECODED,
    "unsampled_packets": Entry.UNSAMPLED,
}
_COMPONENTS = ("packets", "replay")


@dataclass(frozen=True)
class Config:
    """The balance of packets and rows."""

    interval_seconds: float = setting(
        60.0,
        "what became of packets and rows is written this often; whole parts of an hour",
        at_least(1),
        at_most(3600),
    )


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What is counted: an entry of a numbering (`key.stream` is the interface, for packets), split by cause."""

    key: Key
    entry: str
    cause: str = ""


class Tally:
    """Adds up what the stages say. Safe to use from several threads; `take` gives what was added since. No lock is held
    while anything else is done: threads that read rings add to it too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = threading.local()
        self._counts: dict[Line, int] = {}

    def add(self, key: Key, entry: str, count: int, cause: str = "") -> None:
        """`count` more rows or packets."""
        if count <= 0:
            return
        line = Line(key, entry, cause)
        held: list[tuple[Line, int]] | None = getattr(self._held, "lines", None)
        if held is None:
            self._add([(line, count)])
        else:
            held.append((line, count))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What this thread adds inside is added at the end, at once: `take` gets all of it or none."""
        held: list[tuple[Line, int]] = []
        self._held.lines = held
        try:
            yield
        finally:
            self._held.lines = None
            self._add(held)

    def _add(self, lines: Iterable[tuple[Line, int]]) -> None:
        with self._lock:
            for line, count in lines:
                self._counts[line] = self._counts.get(line, 0) + count

    def take(self) -> Mapping[Line, int]:
        """Everything since the last time."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def saved(self) -> dict[str, Any]:
        """What was not taken, for a file; it is taken by that."""
        lines = sorted(self.take().items())
        return {"lines": [[*astuple(line.key), line.entry, line.cause, count] for line, count in lines]}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Add what `saved` gave. ValueError for anything else, and nothing is added."""
        try:
            lines = [
                (Key(str(boot), str(stream)), str(entry), int(count), str(cause))
                for boot, stream, entry, cause, count in saved.get("lines", [])
            ]
        except (TypeError, ValueError) as error:
            raise ValueError(f"not what was saved: {error}") from None
        for line in lines:
            self.add(*line)


class Growth:
    """By how much the core's counters have grown. A source that was opened anew counts from 0 again."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], int] = {}

    def of(self, samples: Iterable[Sample], boot_id: str) -> dict[Line, int]:
        """The growth of every counter of packets since the last time."""
        grown: dict[Line, int] = {}
        for sample in samples:
            name, _, cause = sample.name.partition("/")
            entry = _OF_PACKETS.get(name) if sample.component in _COMPONENTS else None
            if entry is None:
                continue
            place = (sample.component, sample.name, sample.label)
            before = self._last.get(place, 0)
            self._last[place] = sample.value
            more = sample.value - before if sample.value >= before else sample.value
            if more:
                line = Line(Key(boot_id, sample.label), entry, cause)
                grown[line] = grown.get(line, 0) + more
        return grown


def rows_of(counts: Mapping[Line, int], now: float) -> SealedBatch | None:
    """The counts as a batch of `ledger`, of the interval that ends at `now` (seconds since 1970); None if nothing was
    counted."""
    builder = _core.TableBuilder(TABLE)
    for line, count in sorted(counts.items()):
        builder.append(
            {
                "event_time": int(now * 1_000_000),
                "ledger_boot_id": line.key.boot_id,
                "ledger_stream": line.key.stream,
                "ledger_entry": line.entry,
                "ledger_cause": line.cause,
                "ledger_count": count,
            }
        )
    return builder.seal()


class Balance:
    """Writes what was counted at the end of every interval, by the wall clock: so that intervals do not cross hours."""

    def __init__(
        self,
        config: Config,
        tally: Tally,
        samples: Callable[[], Iterable[Sample]],
        boot_id: Callable[[], str],
        sink: Callable[[SealedBatch], object],
        clock: Callable[[], float],
        file: StateFile,
    ) -> None:
        """`file` holds between two runs what came too late for the last rows."""
        self.counters = Counters("ledger")
        self._file = file
        self._interval_s = config.interval_seconds
        self._tally = tally
        self._samples = samples
        self._boot_id = boot_id
        self._sink = sink
        self._clock = clock
        self._growth = Growth()
        self._stopping = threading.Event()
        self._thread = background("balance", self._run)

    def recall(self) -> None:
        """Take over what the last run had counted and not written; once, whatever happens then."""
        try:
            saved = self._file.open()
            if saved and self._file.save({}):
                self._tally.restore(saved)
        except (Unavailable, ValueError) as error:
            self.counters.add("recall_failures")
            _log.warning("%s: %s; the next balance lacks what was counted last", self._file.path, error)

    def leave(self) -> None:
        """Keep what was counted since the last rows for the next run."""
        if not self._file.save(self._tally.saved()):
            self.counters.add("leave_failures")
            _log.warning("%s: cannot be written; the next balance lacks what was counted last", self._file.path)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what there is, and end. What happens to these rows themselves is left to the next interval."""
        self._stopping.set()
        self._thread.join()
        self.write()

    def write(self) -> None:
        """Write what was counted since the last time."""
        grown = self._growth.of(self._samples(), self._boot_id())
        taken = self._tally.take()
        try:
            # A microsecond earlier: an interval that ends with the hour belongs to it.
            batch = rows_of({**grown, **taken}, self._clock() - 1e-6)
        except BaseException:
            for line, count in taken.items():
                self._tally.add(line.key, line.entry, count, line.cause)
            raise
        if batch is not None:
            self._sink(batch)

    def _run(self) -> None:
        while not self._stopping.wait(wait_s(self._clock(), self._interval_s)):
            try:
                self.write()
            except Exception:  # noqa: BLE001 # the next interval has it too, but for packets
                self.counters.add("write_failures")
                _log.exception("the balance could not be written; it is written with the next")


def wait_s(now: float, interval_s: float) -> float:
    """Seconds to the end of the interval that `now` is in; intervals begin at multiples of `interval_s`."""
    return interval_s - now % interval_s
