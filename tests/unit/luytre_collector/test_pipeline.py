"""From body to table, on the real engine; the store's bad days are played by a store around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector import enrich
from luytre_collector.detect.alert import Alert
from luytre_collector.enrich.direction import Config as Networks
from luytre_collector.ingest.admit import Refused
from luytre_collector.ingest.chain import Chains
from luytre_collector.ingest.quarantine import Config as QuarantineConfig
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.notify.outbox import Config as OutboxConfig
from luytre_collector.notify.outbox import Outbox
from luytre_collector.pipeline import AlertRaiser, Pipeline, Postponed, StoppingError, Stored
from luytre_collector.store import choose, embedded
from luytre_collector.store.base import Store, StoreError, StoreUnavailableError
from luytre_collector.worker import Config as WorkerConfig
from luytre_collector.worker import Worker
from luytre_common.telemetry import Counters

from tests.support.alerts import alert
from tests.support.batches import NOW_US, Sender, admitted, message, rows
from tests.support.chained import Chained, altered

DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    made = choose.make_store(choose.Config(embedded=embedded.Config(folder / "store")))
    made.open()
    made.migrate()
    yield made
    made.close()


class Moody:
    """The engine, with an order of inserts to look at and faults to raise."""

    def __init__(self, engine: Store) -> None:
        self._engine = engine
        self.inserts: list[tuple[str, int]] = []
        self.fault: Callable[[str, pa.Table], Exception | None] = lambda _table, _rows: None

    def insert(self, table: str, given: pa.Table, token: str) -> None:
        if fault := self.fault(table, given):
            raise fault
        self._engine.insert(table, given, token)
        self.inserts.append((table, given.num_rows))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class Rules:
    """Raises what it is told about the rows it is shown."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.seen: list[pa.Table] = []
        self.fault: Exception | None = None

    def scan(self, table: str, given: pa.Table) -> list[Alert]:
        assert table
        if self.fault:
            raise self.fault
        self.seen.append(given)
        return self.alerts


class Bench:
    """A pipeline with everything around it."""

    def __init__(self, engine: Store, folder: Path, boot: str) -> None:
        self.store, self.rules, self.boot = Moody(engine), Rules(), boot
        self.counters, self.folder = Counters("pipeline"), folder
        self.patience = 100
        self.outbox = Outbox(OutboxConfig(folder / "outbox"), [], Counters("outbox"), lambda: 0.5)
        self.outbox.open()
        self.chains = Chains(lambda _: None, self.counters)
        self.pipeline = self.fresh()

    def fresh(self) -> Pipeline:
        """Another one on the same store, as after a restart."""
        store: Any = self.store
        quarantine = Quarantine(QuarantineConfig(self.folder / "q"), self.counters, lambda: 7.0)
        raiser = AlertRaiser(store, self.outbox, self.counters)
        return Pipeline(
            store, self.rules, enrich.build(Networks()), raiser, quarantine, self.counters,
            lambda failures: failures < self.patience, chains=self.chains,
        )  # fmt: skip

    def count(self, table: str = "flows") -> tuple[int, int]:
        columns = "count() AS n, uniqExact(agent_id, stream, sequence) AS d"
        row = self.store.query(f"SELECT {columns} FROM {table} WHERE boot_id = '{self.boot}'").to_pylist()[0]
        return row["n"], row["d"]

    def batch(self, table: str = "flows", count: int = 5, first: int = 0, agent: str = "web-01", **given: Any) -> Any:
        now = given.pop("now_us", NOW_US)
        return admitted(message(table, count, first, boot=self.boot, **given), Sender(agent, agent), now)


_numbers = iter(range(1000))


@pytest.fixture
def bench(engine: Store, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(engine, tmp_path, f"00000000-0000-4000-9000-{next(_numbers):012d}")
    yield made
    made.outbox.close(0)


def test_batches_of_one_table_are_one_insert(bench: Bench) -> None:
    given = [bench.batch(first=0), bench.batch(first=5), bench.batch(agent="web-02"), bench.batch("dns")]
    assert bench.pipeline.process(given) == [Stored()] * 4
    assert bench.store.inserts == [("flows", 15), ("dns", 5)]
    assert bench.count() == (15, 15)
    assert bench.counters.get("inserts", "flows") == 1
    assert bench.counters.get("batches_stored", "flows") == 3
    assert bench.counters.get("rows_stored", "flows") == 15
    (flows, _) = bench.rules.seen
    assert set(flows.column("network_direction").to_pylist()) == {"internal"}


def test_after_a_fault_halfway_each_agent_by_itself_and_nothing_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker asks again without knowing how far it came."""
    stamped = bench.pipeline._stamped

    def fail(pieces: Any) -> pa.Table:
        if any(piece.batch.table.name == "dns" and piece.batch.sender.agent_id == "bad" for piece in pieces):
            raise ZeroDivisionError("bug")
        return stamped(pieces)

    monkeypatch.setattr(bench.pipeline, "_stamped", fail)
    worker, got = Worker(WorkerConfig(enough_rows=25, linger_s=20.0), bench.counters), dict[str, Any]()
    given = {
        "own": bench.batch(), "next": bench.batch(first=5), "theirs": bench.batch(agent="bad"),
        "odd": bench.batch("dns", agent="bad"), "names": bench.batch("dns"),
    }  # fmt: skip
    for name, batch in given.items():
        worker.submit(batch, lambda verdict, name=name: got.update({name: verdict}))  # type: ignore[misc]
    worker.start(bench.pipeline.process)
    worker.close()
    assert got == {
        "own": Stored(), "next": Stored(), "names": Stored(),
        **dict.fromkeys(("theirs", "odd"), Postponed("the collector failed; see its log")),
    }  # fmt: skip
    assert bench.store.inserts[0] == ("flows", 15), "before the fault"
    assert bench.count() == (15, 15)
    assert bench.count("dns") == (5, 5)


def test_days_are_inserted_apart_because_they_are_partitions(bench: Bench) -> None:
    bench.pipeline.process([bench.batch(), bench.batch(first=5, now_us=NOW_US + DAY_US)])
    assert bench.store.inserts == [("flows", 5), ("flows", 5)]


def test_after_a_restart_the_table_says_what_is_new(bench: Bench) -> None:
    bench.pipeline.process([bench.batch(count=10)])
    again = bench.fresh()
    assert again.process([bench.batch(count=10), bench.batch(count=10, first=5)]) == [Stored()] * 2
    assert bench.count() == (15, 15)


def test_a_batch_twice_in_one_go_is_stored_once(bench: Bench) -> None:
    assert bench.pipeline.process([bench.batch(), bench.batch()]) == [Stored()] * 2
    assert bench.count() == (5, 5)
    assert bench.counters.get("duplicate", "flows") == 1


def test_alerts_are_in_the_outbox_and_stored_before_the_rows(bench: Bench) -> None:
    bench.rules.alerts = [alert(1), alert(2)]
    known: list[bool] = []

    def look(table: str, _rows: pa.Table) -> None:
        known.append(bench.outbox.known(alert(1).alert_id))

    bench.store.fault = look
    bench.pipeline.process([bench.batch()])
    assert bench.store.inserts == [("alerts", 2), ("flows", 5)]
    assert known == [True, True]
    assert bench.counters.get("alerts", "critical") == 2


def test_a_crash_between_alerts_and_rows_makes_the_same_alerts_once(bench: Bench) -> None:
    bench.rules.alerts = [alert(3)]
    bench.patience = 0
    bench.store.fault = lambda table, _: StoreUnavailableError("away") if table == "flows" else None
    with pytest.raises(StoppingError):
        bench.pipeline.process([bench.batch()])
    bench.store.fault = lambda _table, _rows: None
    assert bench.fresh().process([bench.batch()]) == [Stored()]
    assert bench.store.inserts == [("alerts", 1), ("alerts", 1), ("flows", 5)]
    assert bench.count() == (5, 5)
    assert bench.counters.get("alerts", "critical") == 1
    (row,) = bench.store.query(
        f"SELECT count() AS n FROM alerts FINAL WHERE alert_id = '{alert(3).alert_id}'"
    ).to_pylist()
    assert row == {"n": 1}


def test_a_crash_between_outbox_and_table_loses_the_alert_in_neither(bench: Bench) -> None:
    bench.rules.alerts = [alert(5)]
    bench.patience = 0
    bench.store.fault = lambda table, _: StoreUnavailableError("away") if table == "alerts" else None
    with pytest.raises(StoppingError):
        bench.pipeline.process([bench.batch()])
    assert bench.outbox.known(alert(5).alert_id)
    assert bench.store.inserts == []
    bench.store.fault = lambda _table, _rows: None
    assert bench.fresh().process([bench.batch()]) == [Stored()]
    assert bench.store.inserts == [("alerts", 1), ("flows", 5)]


def test_a_store_that_is_away_is_asked_until_it_is_back(bench: Bench) -> None:
    faults = iter([StoreUnavailableError("busy", "too_many_parts"), OSError(28, "No space left"), MemoryError()])
    bench.store.fault = lambda _table, _rows: next(faults, None)
    assert bench.pipeline.process([bench.batch()]) == [Stored()]
    assert bench.count() == (5, 5)
    assert bench.counters.get("store_retries", "too_many_parts") == 1
    assert bench.counters.get("store_retries", "this_machine") == 2


def test_giving_up_forgets_what_was_not_stored(bench: Bench) -> None:
    bench.patience = 0
    bench.store.fault = lambda table, _: StoreUnavailableError("away") if table == "dns" else None
    with pytest.raises(StoppingError):
        bench.pipeline.process([bench.batch(), bench.batch("dns")])
    bench.store.fault = lambda _table, _rows: None
    assert bench.pipeline.process([bench.batch(), bench.batch("dns")]) == [Stored()] * 2
    assert bench.count() == (5, 5)
    assert bench.count("dns") == (5, 5)


def test_one_poisonous_batch_is_found_and_refused(bench: Bench) -> None:
    def poison(_table: str, given: pa.Table) -> Exception | None:
        return StoreError("Code: 53\nno") if "evil" in given.column("process_name").to_pylist() else None

    bench.store.fault = poison
    evil = bench.batch(first=5, record=rows("flows", 5, {"process_name": ["evil"] * 5}))
    verdicts = bench.pipeline.process([bench.batch(), evil, bench.batch(first=10)])
    assert verdicts[0] == verdicts[2] == Stored()
    assert isinstance(verdicts[1], Refused)
    assert verdicts[1].message == "the store refuses the rows: Code: 53"
    assert bench.count() == (10, 10)
    assert bench.counters.get("isolated", "flows") == 3
    assert bench.counters.get("refused", "bad_body") == 1
    assert len(list((bench.folder / "q").glob("*.body"))) == 1


def test_a_body_that_cannot_be_read_is_refused_alone(bench: Bench) -> None:
    verdicts = bench.pipeline.process([bench.batch(raw=b"no arrow"), bench.batch(first=5)])
    assert isinstance(verdicts[0], Refused)
    assert verdicts[1] == Stored()
    assert bench.count() == (5, 5)


def test_a_fault_in_detection_keeps_no_row_out(bench: Bench) -> None:
    bench.rules.fault = ZeroDivisionError("bug")
    assert bench.pipeline.process([bench.batch()]) == [Stored()]
    assert bench.counters.get("detect_failed", "flows") == 1
    assert bench.count() == (5, 5)


def test_an_alert_that_the_table_refuses_reaches_people_all_the_same(bench: Bench) -> None:
    bench.rules.alerts = [alert(4)]
    bench.store.fault = lambda table, _: StoreError("no") if table == "alerts" else None
    assert bench.pipeline.process([bench.batch()]) == [Stored()]
    assert bench.outbox.known(alert(4).alert_id)
    assert bench.counters.get("alerts_not_stored") == 1
    assert bench.count() == (5, 5)


def test_oddities_are_counted(bench: Bench) -> None:
    record = rows("flows", 2).append_column("from_the_future", pa.array([1, 2]))
    times: Sequence[int] = [-5, 2**60]
    kind = pa.timestamp("us", tz="UTC")
    at = record.schema.get_field_index("flow_start")
    record = record.set_column(at, pa.field("flow_start", kind), pa.array(times, pa.int64()).view(kind))
    assert bench.pipeline.process([bench.batch(count=2, record=record)]) == [Stored()]
    assert bench.counters.get("unknown_columns", "flows") == 1
    assert bench.counters.get("times_moved", "flows") == 2
    assert bench.count() == (2, 2)


BROKEN = "Batch Altered or Replaced on Its Way"


def broken(bench: Bench) -> list[Any]:
    found = bench.store.query(f"SELECT * FROM alerts FINAL WHERE rule_name = '{BROKEN}'").to_pylist()
    return [row for row in found if bench.boot in row["evidence"]]


def test_an_altered_batch_is_an_alert_before_its_rows_are_stored_all_the_same(bench: Bench) -> None:
    batches = Chained(boot=bench.boot).batches(3)
    batches[1] = altered(batches[1])
    given = [admitted(one) for one in batches]
    assert bench.pipeline.process(given) == [Stored()] * 3
    assert [table for table, _ in bench.store.inserts] == ["alerts", "flows"]
    assert bench.count() == (9, 9)
    (alert_row,) = broken(bench)
    assert alert_row["rule_level"] == "high"
    assert alert_row["evidence_ids"] == [f"flows/web-01/{bench.boot}/flows/{at}" for at in (3, 5)]
    assert bench.counters.get("batches_broken", "altered") == 1
    assert bench.counters.get("batches_verified", "flows") == 2


def test_while_the_store_is_away_the_chain_stays_as_it_was(bench: Bench) -> None:
    given = [admitted(one) for one in Chained(boot=bench.boot).batches(4)]
    bench.pipeline.process(given[:2])
    bench.store.fault = lambda table, _: StoreUnavailableError("away")
    bench.patience = 1
    with pytest.raises(StoppingError):
        bench.pipeline.process(given[2:])
    bench.store.fault, bench.patience = lambda _table, _rows: None, 100
    assert bench.pipeline.process(given[2:]) == [Stored()] * 2
    assert bench.counters.get("batches_verified", "flows") == 6
    assert bench.counters.get("batches_unverified", "flows") == 0
    assert broken(bench) == []


def test_a_refused_batch_is_a_link_of_its_chain(bench: Bench) -> None:
    made = Chained(boot=bench.boot)
    given = [made.batch(), made.batch(raw=b"not a stream"), made.batch()]
    stored, refused, last = bench.pipeline.process([admitted(one) for one in given])
    assert (stored, isinstance(refused, Refused), last) == (Stored(), True, Stored())
    assert bench.counters.get("batches_verified", "flows") == 3
    assert bench.chains.take_gaps() == []


def test_the_alert_is_made_though_the_store_is_away_meanwhile(bench: Bench) -> None:
    batches = Chained(boot=bench.boot).batches(2)
    batches[1] = altered(batches[1])
    given = [admitted(one) for one in batches]
    bench.store.fault, bench.patience = lambda *_: StoreUnavailableError("away"), 1
    with pytest.raises(StoppingError):
        bench.pipeline.process(given)
    bench.store.fault, bench.patience = lambda _table, _rows: None, 100
    assert broken(bench) == []
    assert bench.pipeline.process(given) == [Stored()] * 2
    assert bench.count() == (6, 6)
    assert len(broken(bench)) == 1
