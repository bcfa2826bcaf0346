"""What happens to the batches that were admitted, from body to table. One call is one micro-batch.

    decode -> dedupe -> chain -> stamp -> enrich -> detect -> alerts in the outbox and stored -> rows stored -> verdicts

Rows whose time is not believed are stored first, in `quarantine`: see `clocks`.

Alerts go first: when a crash falls between the two, the rows are not stored, the agent sends them again, and the same
alerts with the same ids are made once more. The other way round an alert would be lost.

Rows of all senders that go to one table on one day are one insert, hence stored whole or not at all. If the store
refuses such an insert for good, every batch is tried alone, and the one that is at fault goes into quarantine.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from luytre_common.schema import Table
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector import clocks
from luytre_collector.agent_alerts import alert_of
from luytre_collector.alert_rows import alert_rows
from luytre_collector.aside import Aside
from luytre_collector.detect.alert import Alert
from luytre_collector.enrich import Enricher
from luytre_collector.enrich.stamp import Stamp, stamp
from luytre_collector.ingest.admit import Admitted, Refused
from luytre_collector.ingest.chain import Chains
from luytre_collector.ingest.decode import decode
from luytre_collector.ingest.dedupe import Dedupe, Fresh, Numbering
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.notify.outbox import Outbox
from luytre_collector.store.base import Store, StoreUnavailableError

_log = logging.getLogger("luytre.pipeline")
_DAY_US = 86_400_000_000
_NOTHING = pa.table({})
#: Rows of one batch that go to table `quarantine` at most. They are written as text, which takes time; a batch with
#: more is refused whole. Agents send fewer.
MAX_QUARANTINED = 50_000


class StoppingError(Exception):
    """The collector is stopping while the store is away: what is not stored goes back to the agents."""


class Matcher(Protocol):
    """What the pipeline asks of detection: the alerts that these rows raise."""

    def scan(self, table: str, rows: pa.Table) -> list[Alert]:
        """Rows of `table` with every stored column, enriched."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The batch is in the tables, now or since an earlier time."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """The batch is not stored: the agent keeps it and sends it again."""

    reason: str


Verdict = Stored | Refused | Postponed


@dataclass(slots=True)
class _Piece:
    """One batch on its way: its place in the micro-batch, its new rows as the agent made them, what is to be stamped on
    them, and how many rows of the batch have a time that is not believed."""

    index: int
    batch: Admitted
    rows: pa.Table
    given: Stamp
    bad: int

    @property
    def count(self) -> int:
        """How many rows of it are new."""
        return self.batch.last_sequence + 1 - self.given.first_sequence


class AlertRaiser:
    """Alerts into the outbox and to their table. Safe for several threads.

    The outbox comes first: correlations take an alert that is in the table for told. An alert that is made again after
    a crash is known to the outbox and goes nowhere; in the table, the same id replaces itself.
    """

    def __init__(self, store: Store, outbox: Outbox, counters: Counters, times: clocks.Config | None = None) -> None:
        self._store = store
        self._outbox = outbox
        self._counters = counters
        self._times = times or clocks.Config()

    def __call__(self, given: Sequence[Alert]) -> None:
        """Raise them. StoreUnavailableError or OSError: none is lost if the caller tries again."""
        alerts = [clocks.believable(alert, self._times) for alert in given]
        if moved := sum(one is not other for one, other in zip(alerts, given, strict=True)):
            self._counters.add("alert_times_moved", moved)
        for alert in alerts:
            if not self._outbox.known(alert.alert_id):
                self._counters.add("alerts", label=alert.rule_level)
        self._outbox.add(alerts)
        try:
            self._store.insert("alerts", alert_rows(alerts), _token(alert.alert_id for alert in alerts))
        except (StoreUnavailableError, OSError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - an alert that the table does not take must not keep its rows out
            self._counters.add("alerts_not_stored", len(alerts))
            _log.exception("%d alerts refused by the store; they go to the channels only", len(alerts))


class Pipeline:
    """Driven by one thread: that is why no two inserts of one numbering can ever overlap."""

    def __init__(
        self,
        store: Store,
        matcher: Matcher,
        enrichers: Mapping[str, Sequence[Enricher]],
        raise_alerts: Callable[[Sequence[Alert]], None],
        quarantine: Quarantine,
        counters: Counters,
        pause: Callable[[int], bool],
        times: clocks.Config | None = None,
        chains: Chains | None = None,
    ) -> None:
        """`pause(failures)` waits before another attempt at a store that is away; False means: give up, stopping."""
        self._chains = chains
        self._broken: list[Alert] = []
        self._store = store
        self._matcher = matcher
        self._enrichers = enrichers
        self._raise_alerts = raise_alerts
        self._quarantine = quarantine
        self._counters = counters
        self._pause = pause
        self._times = times or clocks.Config()
        self._aside = Aside(store, counters)
        self._dedupe = Dedupe(self._last_stored, counters)

    def follow(self, matcher: Matcher) -> None:
        """Other event rules from the next batch on; from any thread."""
        self._matcher = matcher

    def process(self, batches: Sequence[Admitted]) -> list[Verdict]:
        """Store the batches; what became of each, in order. StoppingError if the store is away and we are stopping."""
        try:
            return self._process(batches)
        except BaseException:
            for batch in batches:
                self._forget(batch)
            raise

    def _process(self, batches: Sequence[Admitted]) -> list[Verdict]:
        verdicts: list[Verdict] = [Stored()] * len(batches)
        groups: dict[tuple[str, int], list[_Piece]] = {}
        self._dedupe.learn(batches)
        for index, batch in enumerate(batches):
            made = self._prepare(index, batch)
            if isinstance(made, Refused):
                verdicts[index] = made
                self._set_aside(batch, made)
            elif made is not None:
                day = batch.collector_time_us // _DAY_US  # the partition
                groups.setdefault((batch.table.name, day), []).append(made)
        if broken := self._broken:
            self._broken = []
            self._patiently(lambda: self._raise_alerts(broken))
        for key in list(groups):
            pieces = groups.pop(key)  # nothing else keeps what was stored already
            self._store_group(pieces, self._stamped(pieces), verdicts)
        return verdicts

    def _forget(self, batch: Admitted) -> None:
        self._dedupe.forget(batch)
        if self._chains:
            self._chains.forget(batch)

    def _check_chain(self, batch: Admitted, fresh: Fresh | None) -> None:
        """Does it follow what came before? Its rows are stored either way."""
        if self._chains and (found := self._patiently(lambda: self._chains and self._chains.check(batch, fresh))):
            _log.warning("%s: %s: %s", found.agent_id, found.kind.name.lower(), dict(found.facts))
            self._broken.append(alert_of(found))

    def _prepare(self, index: int, batch: Admitted) -> _Piece | Refused | None:
        """A batch to rows; None if all of them are stored already."""
        opened = self._open(batch)
        if isinstance(opened, Refused):
            self._check_chain(batch, None)
            return opened
        fresh = self._dedupe.judge(batch)
        self._check_chain(batch, fresh)
        if fresh.skip == batch.row_count:
            return None
        sender = batch.sender
        given = Stamp(
            agent_id=sender.agent_id,
            host_name=sender.host_name,
            boot_id=batch.boot_id,
            stream=batch.stream,
            first_sequence=batch.first_sequence + fresh.skip,
            agent_time=batch.agent_time_us,
            collector_time=batch.collector_time_us,
        )
        rows, bad = opened
        return _Piece(index, batch, rows.slice(fresh.skip), given, bad)

    def _open(self, batch: Admitted) -> tuple[pa.Table, int] | Refused:
        """The body's columns, and how many rows have a time that is not believed; or why the body is refused."""
        decoded = decode(batch)
        if isinstance(decoded, Refused):
            return decoded
        if decoded.unknown_columns:
            self._counters.add("unknown_columns", len(decoded.unknown_columns), batch.table.name)
        if decoded.moved_times:
            self._counters.add("times_moved", decoded.moved_times, batch.table.name)
        bad = clocks.count(decoded.rows.column(batch.table.event_time), batch.collector_time_us, self._times)
        if bad > MAX_QUARANTINED:
            return Refused(pb.REFUSAL_CODE_BAD_BODY, f"{bad} rows whose time is years off, or ahead: see [clocks]")
        return decoded.rows, bad

    def _stamped(self, pieces: Sequence[_Piece]) -> pa.Table:
        """The rows of all pieces in one piece; the opened bodies, which are as large again, are let go."""
        rows = stamp(pieces[0].batch.table, [(piece.rows, piece.given) for piece in pieces])
        for piece in pieces:
            piece.rows = _NOTHING
        return rows

    def _store_group(self, pieces: Sequence[_Piece], rows: pa.Table, verdicts: list[Verdict]) -> None:
        try:
            self._store_together(pieces, rows)
        except StoppingError:
            raise
        except Exception as error:  # noqa: BLE001 - refused for good: whatever it is, it must not stop the others
            if len(pieces) > 1:
                _log.warning("%d batches refused together, trying each alone: %s", len(pieces), _first_line(error))
                self._counters.add("isolated", len(pieces), pieces[0].batch.table.name)
                offset = 0
                for piece in pieces:
                    self._store_group([piece], rows.slice(offset, piece.count), verdicts)
                    offset += piece.count
                return
            batch = pieces[0].batch
            self._forget(batch)
            refused = Refused(pb.REFUSAL_CODE_BAD_BODY, f"the store refuses the rows: {_first_line(error)}")
            verdicts[pieces[0].index] = refused
            self._set_aside(batch, refused)

    def _store_together(self, pieces: Sequence[_Piece], rows: pa.Table) -> None:
        table = pieces[0].batch.table
        for enrich in self._enrichers.get(table.name, ()):
            rows = enrich(rows)
        alerts = self._detect(table, rows)
        token = _token(f"{p.count}/{p.batch.last_sequence}/{_numbering(p.batch)}" for p in pieces)
        if alerts:
            self._patiently(lambda: self._raise_alerts(alerts))
        if any(piece.bad for piece in pieces) and (found := clocks.split(table, rows, self._times)):
            numberings = {(p.batch.sender.agent_id, p.batch.boot_id, p.batch.stream) for p in pieces}
            self._patiently(lambda: self._aside.put(table, found, numberings, token))
            rows = found.believed
        if rows.num_rows:
            self._patiently(lambda: self._store.insert(table.name, rows, token))
            self._counters.add("inserts", label=table.name)
        self._counters.add("batches_stored", len(pieces), table.name)
        self._counters.add("rows_stored", rows.num_rows, table.name)

    def _last_stored(self, table: str, numberings: Sequence[Numbering]) -> Mapping[Numbering, int]:
        found: Mapping[Numbering, int] = self._patiently(lambda: self._aside.last_stored(table, numberings))
        return found

    def _detect(self, table: Table, rows: pa.Table) -> list[Alert]:
        try:
            return self._matcher.scan(table.name, rows)
        except Exception:  # noqa: BLE001 - a fault in detection must not keep rows out of the tables
            self._counters.add("detect_failed", label=table.name)
            _log.exception("detection failed on %d rows of %s; they are stored unscanned", rows.num_rows, table.name)
            return []

    def _patiently(self, action: Callable[[], Any]) -> Any:
        """Do it, again and again while the store is away or this machine is out of memory or disk."""
        failures = 0
        while True:
            try:
                return action()
            except (StoreUnavailableError, MemoryError, OSError) as error:
                failures += 1
                self._counters.add("store_retries", label=getattr(error, "cause", "this_machine"))
                _log.warning("store away, %d attempts: %s", failures, _first_line(error))
                if not self._pause(failures):
                    raise StoppingError from None

    def _set_aside(self, batch: Admitted, refused: Refused) -> None:
        self._counters.add("refused", label=refused.cause)
        _log.warning("batch of %s refused: %s: %s", _numbering(batch), refused.cause, refused.message)
        facts = {
            "code": refused.cause,
            "message": refused.message,
            "agent_id": batch.sender.agent_id,
            "table": batch.table.name,
            "boot_id": batch.boot_id,
            "stream": batch.stream,
            "first_sequence": batch.first_sequence,
            "row_count": batch.row_count,
            "compression": "zstd" if batch.zstd else "none",
        }
        self._quarantine.keep(batch.body, facts)


def _numbering(batch: Admitted) -> str:
    return f"{batch.table.name}/{batch.sender.agent_id}/{batch.boot_id}/{batch.stream}/{batch.first_sequence}"


def _token(parts: Any) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
