"""The balance, on the real engine: a loss at every stage is named with its stage, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_collector.ledger import Account, Balance, Gap, Key, read, strike
from luytre_collector.store import embedded, readonly, sql
from luytre_collector.store.rows import schema_of
from luytre_common.schema import TABLES, Kind

BOOT = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"
HOUR = 3600
#: Some hour of which rows arrive.
AT = 1_800_000_000 // HOUR * HOUR


def key(stream: str = "flows") -> Key:
    return Key("web-01", BOOT, stream)


def account(stored: tuple[int, int, int] | None = None, **entries: int) -> Account:
    made = Account()
    for name, count in entries.items():
        entry, _, cause = name.partition("__")
        made.add(entry, cause, count)
    if stored:
        made.store(*stored)
    return made


def test_a_closed_balance_has_no_findings() -> None:
    entries = dict.fromkeys(("rows_cut", "rows_spooled", "rows_sent", "rows_acknowledged"), 100)
    found = strike(key(), account((100, 0, 99), **entries), ())
    assert (found.unexplained, found.waiting, found.findings) == (0, 0, [])


@pytest.mark.parametrize(
    ("given", "gaps", "finding"),
    [
        (account(packets_seen=9, kernel_dropped=4), (), "4 packets dropped by the kernel"),
        (account(undecoded__not_ip=3), (), "3 packets not decoded: not_ip"),
        (account((90, 0, 89), rows_cut=100, rows_spooled=90), (), "10 rows UNEXPLAINED between sources and spool"),
        (
            account((90, 0, 89), rows_cut=100, rows_spooled=90, rows_lost__disk=10),
            (),
            "10 rows lost before the spool: disk",
        ),
        (
            account((80, 0, 99), rows_cut=100, rows_spooled=100),
            [Gap(10, 29, "quota")],
            "20 rows lost in the spool: quota",
        ),
        (account((80, 0, 79), rows_cut=100, rows_spooled=100), [Gap(80, 99, "age")], "20 rows lost in the spool: age"),
        (account((80, 0, 79), rows_cut=100, rows_spooled=100, rows_acknowledged=80), (), "20 rows wait with the agent"),
        (account(rows_cut=100, rows_spooled=100), (), "100 rows wait with the agent"),
        (
            account((90, 0, 99), rows_cut=100, rows_spooled=100, rows_acknowledged=100),
            (),
            "10 rows UNEXPLAINED: acknowledged and not in the tables",
        ),
        (
            account((90, 0, 89), rows_cut=100, rows_spooled=100, rows_acknowledged=100),
            (),
            "10 rows UNEXPLAINED: acknowledged and not in the tables",
        ),
        (account((90, 0, 99)), (), "10 rows UNEXPLAINED: not in the tables"),  # a killed agent: its numbers speak
        (account((110, 0, 99), rows_cut=100, rows_spooled=100), (), "10 rows UNEXPLAINED: twice in the tables"),
    ],
)
def test_each_loss_is_named_with_its_stage(given: Account, gaps: list[Gap], finding: str) -> None:
    assert strike(key(), given, gaps).findings == [finding]


@settings(deadline=None)
@given(
    st.integers(0, 200),
    st.lists(st.tuples(st.integers(0, 199), st.integers(1, 30)), max_size=4),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_every_number_is_stored_in_a_gap_waiting_or_missing(
    spooled: int, ranges: list[tuple[int, int]], through: int, holes: int
) -> None:
    """Whatever happened: the numbers that were given come out."""
    gone = {number for first, size in ranges for number in range(first, min(spooled, first + size))}
    gaps: list[Gap] = []
    for number in sorted(gone):
        if gaps and gaps[-1].last == number - 1:
            gaps[-1] = Gap(gaps[-1].first, number, "quota")
        else:
            gaps.append(Gap(number, number, "quota"))
    acknowledged = [number for number in range(min(spooled, through)) if number not in gone]
    missing = set(acknowledged[1 : 1 + min(holes, max(0, len(acknowledged) - 2))])
    stored = [number for number in acknowledged if number not in missing]
    made = account(rows_cut=spooled, rows_spooled=spooled, rows_acknowledged=len(acknowledged))
    if stored:
        made.store(len(stored), stored[0], stored[-1])
    found = strike(key(), made, gaps)
    assert found.missing == len(missing)
    assert found.waiting == spooled - len(gone) - len(acknowledged)
    assert (found.doubled, found.before_spool, sum(found.gaps.values())) == (0, 0, len(gone))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedStore]:
    store = embedded.EmbeddedStore(embedded.Config(tmp_path_factory.mktemp("store")), readonly.Config())
    store.open()
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def store(engine: embedded.EmbeddedStore) -> embedded.EmbeddedStore:
    for name in TABLES:
        engine.command(f"TRUNCATE TABLE {sql.DATABASE}.{name}")
    return engine


_ZERO: dict[Kind, Any] = {Kind.TEXT: "", Kind.NAME: "", Kind.IP: bytes(16), Kind.TEXTS: [], Kind.U32S: []}


def rows(table: str, given: list[dict[str, Any]]) -> pa.Table:
    """Rows of which only what matters is said."""
    columns = TABLES[table].stored_columns
    common = {"agent_id": "web-01", "boot_id": BOOT, "stream": table, "collector_time": (AT + 60) * 1_000_000}
    full = [{column.name: _ZERO.get(column.kind, 0) for column in columns} | common | one for one in given]
    return pa.Table.from_pylist(full, schema=schema_of(columns))


def put_flows(
    store: embedded.EmbeddedStore, numbers: range, sealed: int = AT, table: str = "flows", **more: Any
) -> None:
    made = [{"sequence": number, "agent_time": sealed * 1_000_000, **more} for number in numbers]
    store.insert(table, rows(table, made), f"{table}/{numbers}/{sealed}")


def put_ledger(store: embedded.EmbeddedStore, *entries: tuple[str, str, int], at: int = AT, **more: Any) -> None:
    made = [
        {
            "event_time": at * 1_000_000 + 1,
            "agent_time": at * 1_000_000,
            "ledger_boot_id": BOOT,
            "ledger_stream": "flows",
            "ledger_entry": entry,
            "ledger_cause": cause,
            "ledger_count": count,
            "sequence": number,
            **more,
        }
        for number, (entry, cause, count) in enumerate(entries)
    ]
    store.insert("ledger", rows("ledger", made), json.dumps([entries, at, sorted(more)]))


def asked(store: embedded.EmbeddedStore, since: int = AT, until: int = AT + 4 * HOUR, agent: str = "") -> list[Balance]:
    books = read(lambda text: store.query(text).to_pylist(), since, until, agent)
    return [one for one in books.balances() if one.stream != "ledger"]


def test_what_the_agent_says_is_set_beside_the_tables(store: embedded.EmbeddedStore) -> None:
    put_ledger(store, ("rows_cut", "", 60), ("rows_spooled", "", 60), ("rows_acknowledged", "", 50))
    put_ledger(store, ("rows_cut", "", 50), ("rows_spooled", "", 40), ("rows_lost", "disk", 10), at=AT + HOUR)
    put_ledger(store, ("gap", "quota", 30), at=AT + 2 * HOUR, ledger_first_sequence=10, ledger_last_sequence=39)
    put_flows(store, range(10))
    put_flows(store, range(40, 45))
    put_flows(store, range(45, 60), table="quarantine", stream="flows/flows", quarantine_table="flows")
    put_flows(store, range(60, 90), sealed=AT + HOUR)
    (found,) = asked(store)
    assert (found.cut, found.spooled, found.stored) == (110, 100, 60)
    assert found.findings == [
        "10 rows lost before the spool: disk",
        "30 rows lost in the spool: quota",
        "10 rows wait with the agent",
    ]
    assert found.unexplained == 0


def test_rows_taken_out_of_a_table_are_missed(store: embedded.EmbeddedStore) -> None:
    put_ledger(store, ("rows_cut", "", 60), ("rows_spooled", "", 60), ("rows_acknowledged", "", 60))
    put_flows(store, range(60))
    assert asked(store)[0].findings == []
    store.command(f"ALTER TABLE {sql.DATABASE}.flows DELETE WHERE sequence IN (7, 8, 59) SETTINGS mutations_sync = 1")
    (found,) = asked(store)
    assert found.findings == ["3 rows UNEXPLAINED: acknowledged and not in the tables"]


def test_packets_are_of_interfaces(store: embedded.EmbeddedStore) -> None:
    put_ledger(store, ("packets_seen", "", 1000), ("kernel_dropped", "", 3), ledger_stream="eth0")
    (found,) = asked(store)
    assert (found.stream, found.packets_seen, found.findings) == ("eth0", 1000, ["3 packets dropped by the kernel"])


def test_hours_and_agents_are_chosen(store: embedded.EmbeddedStore) -> None:
    put_ledger(store, ("rows_cut", "", 5), ("rows_spooled", "", 5))
    put_ledger(store, ("rows_cut", "", 7), ("rows_spooled", "", 7), at=AT + HOUR)
    put_flows(store, range(5))
    put_flows(store, range(5, 12), sealed=AT + HOUR)
    assert [one.stored for one in asked(store, AT + HOUR)] == [7]
    assert asked(store, agent="web-02") == []
    books = read(lambda text: store.query(text).to_pylist(), AT, AT + 2 * HOUR)
    flows = [(hour, made.total("rows_spooled"), made.stored) for (one, hour), made in sorted(books.hours.items())
             if one.stream == "flows"]  # fmt: skip
    assert flows == [(AT, 5, 5), (AT + HOUR, 7, 7)]


def test_rows_that_came_although_they_were_given_up_are_not_twice(store: embedded.EmbeddedStore) -> None:
    """On their way when the disk was full: dropped by the agent, and stored all the same."""
    put_ledger(store, ("rows_cut", "", 60), ("rows_spooled", "", 60))
    put_ledger(store, ("gap", "disk", 30), at=AT + HOUR, ledger_first_sequence=10, ledger_last_sequence=39)
    put_flows(store, range(25))
    put_flows(store, range(40, 60))
    (found,) = asked(store)
    assert (found.unexplained, found.came, found.gaps) == (0, 15, {"disk": 30})
    assert found.findings == ["30 rows lost in the spool: disk", "15 of these came all the same"]
