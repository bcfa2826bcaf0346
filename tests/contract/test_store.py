"""What every store promises."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector.store.base import QueryRefusedError, Store, StoreError, StoreUnavailableError
from luytre_collector.store.choose import Config, make_store
from luytre_collector.store.rows import MAX_ROWS, schema_of
from luytre_common.schema import STORED_TABLES, TABLES, Table

from tests.contract.rows import make, now_us

FLOWS, HEALTH, ALERTS = TABLES["flows"], TABLES["agent_health"], TABLES["alerts"]


def count(store: Store, table: str) -> int:
    return int(store.query(f"SELECT count() AS n FROM {table}").column("n")[0].as_py())


def parts(store: Store, table: str) -> int:
    found = store.query(
        "SELECT count() AS n FROM system.parts WHERE database = 'luytre' AND table = {table:String} AND active",
        {"table": table},
    )
    return int(found.column("n")[0].as_py())


def read_back(store: Store, table: Table) -> pa.Table:
    names = ", ".join(column.name for column in table.stored_columns)
    return store.query(f"SELECT {names} FROM {table.name} ORDER BY sequence")


def test_migrating_again_does_nothing(store_config: Config) -> None:
    store = make_store(store_config)
    store.open()
    try:
        done = store.migrate()
        assert {f"created table {name}" for name in STORED_TABLES} <= set(done)
        assert store.migrate() == []
    finally:
        store.close()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_what_goes_in_comes_out(store: Store, table: Table) -> None:
    rows = make(table)
    store.insert(table.name, rows, "token")
    back = read_back(store, table)
    assert back.schema.types == schema_of(table.stored_columns).types
    assert back.to_pylist() == rows.to_pylist()


def test_slices_and_chunks_with_their_own_dictionaries(store: Store) -> None:
    pieces = [make(FLOWS, 30, seed=seed, first=seed * 30).slice(7, 11) for seed in range(3)]
    rows = pa.concat_tables(pieces)
    store.insert("flows", rows, "token")
    assert parts(store, "flows") == 1
    assert read_back(store, FLOWS).to_pylist() == rows.to_pylist()


def test_a_token_counts_once(store: Store) -> None:
    rows = make(FLOWS, 10)
    store.insert("flows", rows, "web-01/b0/flows/0")
    store.insert("flows", rows, "web-01/b0/flows/0")
    assert count(store, "flows") == 10
    store.insert("flows", make(FLOWS, 10, first=10), "web-01/b0/flows/10")
    assert count(store, "flows") == 20


def test_a_token_is_remembered_across_a_restart(store_config: Config) -> None:
    for attempt in range(2):
        store = make_store(store_config)
        store.open()
        try:
            store.migrate()
            store.insert("flows", make(FLOWS, 10, seed=attempt), "same")
            assert count(store, "flows") == 10
        finally:
            store.close()


def test_no_rows_are_no_insert(store: Store) -> None:
    store.insert("flows", make(FLOWS, 0), "token")
    assert parts(store, "flows") == 0


def test_the_last_sequence_is_of_one_numbering(store: Store) -> None:
    for table in (FLOWS, HEALTH, ALERTS):
        agents = ("web-01", "it's\\web\n")
        asked = [(agent, boot, stream) for agent in agents for boot in ("b0", "b1") for stream in (table.name, "other")]
        assert store.last_sequences(table.name, asked) == {}
        store.insert(table.name, make(table, 5, nasty=False), "1")
        store.insert(table.name, make(table, 5, first=5, nasty=False), "2")
        store.insert(table.name, make(table, 50, first=100, boot="b1", nasty=False), "3")
        store.insert(table.name, make(table, 50, first=200, agent=agents[1], nasty=False), "4")
        assert store.last_sequences(table.name, asked) == {
            ("web-01", "b0", table.name): 9,
            ("web-01", "b1", table.name): 149,
            (agents[1], "b0", table.name): 249,
        }
        assert store.last_sequences(table.name, asked[:1]) == {("web-01", "b0", table.name): 9}
        assert store.last_sequences(table.name, []) == {}


def test_thousands_of_numberings_are_asked_about_at_once(store: Store) -> None:
    """As after a restart, with names as long as they may be."""
    store.insert("flows", make(FLOWS, 5, nasty=False), "1")
    many = [(f"{number:064}", f"{number:036}", "s" * 64) for number in range(2500)]
    assert store.last_sequences("flows", [*many, ("web-01", "b0", "flows")]) == {("web-01", "b0", "flows"): 4}


def test_the_most_rows_of_an_insert_are_one_part(store: Store) -> None:
    first = make(HEALTH, 1000, nasty=False)
    columns = {name: pa.concat_arrays(first.column(name).chunks * (MAX_ROWS // 1000)) for name in first.column_names}
    columns["sequence"] = pa.array(range(MAX_ROWS), pa.uint64())
    rows = pa.table(columns, schema=first.schema)
    store.insert("agent_health", rows, "token")
    assert count(store, "agent_health") == MAX_ROWS
    assert parts(store, "agent_health") == 1
    with pytest.raises(StoreError, match="the most is 1000000"):
        store.insert("agent_health", pa.concat_tables([rows, first]), "more")


def _without(rows: pa.Table, name: str) -> pa.Table:
    return rows.drop_columns([name])


def _replaced(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows.append_column("colour", pa.array(["red"] * len(rows))), "unknown column colour"),
        (lambda rows: _without(rows, "source_ip"), "column source_ip is missing"),
        (lambda rows: rows.select(rows.column_names[::-1]), "not in the order"),
        (lambda rows: _replaced(rows, "source_port", pa.array([1] * len(rows), pa.int64())), "int64, not uint16"),
        (lambda rows: _replaced(rows, "source_port", pa.array([None] * len(rows), pa.uint16())), "has nulls"),
    ],
)
def test_bad_rows_are_refused_whole(store: Store, spoil: Any, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        store.insert("flows", spoil(make(FLOWS, 10)), "token")
    assert count(store, "flows") == 0
    store.insert("flows", make(FLOWS, 10), "token")
    assert count(store, "flows") == 10


def test_wrong_sql_and_unknown_tables_are_store_errors(store: Store) -> None:
    with pytest.raises(StoreError, match="no table nonsense; known are flows"):
        store.insert("nonsense", make(FLOWS, 1), "token")
    with pytest.raises(StoreError, match="nonsense"):
        store.query("SELECT nonsense")
    with pytest.raises(StoreError, match="no table"):
        store.last_sequences("nonsense", [("a", "b", "c")])


NASTY_TEXT = "x'\\\n\t\0é\r\b\"`{a:String}%s🎋"


def test_parameters_arrive_as_they_are(store: Store) -> None:
    found = store.query(
        "SELECT {text:String} AS text, {texts:Array(String)} AS texts, {big:UInt64} AS big, {low:Int32} AS low,"
        " {numbers:Array(UInt64)} AS numbers, {part:Float64} AS part, {yes:Bool} AS yes,"
        " toInt64(toUnixTimestamp64Micro({time:DateTime64(6, 'UTC')})) AS time",
        {
            "text": NASTY_TEXT, "texts": ["", "a'b", "c\\", NASTY_TEXT], "big": 2**64 - 1, "low": -(2**31),
            "numbers": [1, 2], "part": 0.5, "yes": True, "time": "2026-11-23 02:11:03.120001",
        },
    ).to_pylist()  # fmt: skip
    assert found == [
        {
            "text": NASTY_TEXT, "texts": ["", "a'b", "c\\", NASTY_TEXT], "big": 2**64 - 1, "low": -(2**31),
            "numbers": [1, 2], "part": 0.5, "yes": True, "time": 1795399863120001,
        }
    ]  # fmt: skip


def test_an_answer_without_rows_has_columns(store: Store) -> None:
    found = store.query("SELECT source_ip, flow_start FROM flows")
    assert found.num_rows == 0
    assert found.schema.types == [pa.binary(16), pa.timestamp("us", "UTC")]


def test_a_failed_query_leaves_nothing_to_the_next(store: Store) -> None:
    for _ in range(3):
        with pytest.raises(StoreError):
            store.query("SELECT number, throwIf(number = 500000) FROM numbers(1000000)")
        assert store.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
        with pytest.raises(QueryRefusedError):
            store.query_text("SELECT number, throwIf(number = 500000) FROM numbers(1000000)", "CSVWithNames")
        assert store.query_text("SELECT 1 AS one", "CSVWithNames") == b'"one"\n1\n'


def test_threads_insert_and_ask_side_by_side(store: Store) -> None:
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(3):
                store.insert("flows", make(FLOWS, 20, first=turn * 20, agent=f"a{number}"), f"{number}/{turn}")
                one = (f"a{number}", "b0", "flows")
                assert store.last_sequences("flows", [one]) == {one: turn * 20 + 19}
                assert store.query_text("SELECT 1 AS one", "JSONEachRow") == b'{"one":1}\n'
        except BaseException as fault:  # noqa: BLE001  # handed to the main thread
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert count(store, "flows") == 6 * 60


def test_an_alert_made_twice_is_shown_once(store: Store) -> None:
    store.insert("alerts", make(ALERTS, 10, nasty=False), "1")
    store.insert("alerts", make(ALERTS, 10, nasty=False, seed=2), "2")
    assert store.query_text("SELECT count() AS n FROM alerts", "CSVWithNames") == b'"n"\n10\n'
    assert store.query_text("SELECT count() AS n FROM alerts", "CSVWithNames", utc=True) == b'"n"\n10\n'


def test_people_see_and_write_local_time(store: Store) -> None:
    now = now_us() // 86_400_000_000 * 86_400_000_000 + 72_000_000_000  # 20:00 UTC today is 03:00 tomorrow in Viet Nam
    rows = make(FLOWS, 3, nasty=False)
    for name in ("flow_start", "flow_end", "collector_time"):
        times = pa.array([now - 10_000_000, now, now + 10_000_000], pa.int64())
        rows = _replaced(rows, name, times.cast(pa.timestamp("us", "UTC")))
    store.insert("flows", rows, "token")
    shown = {
        utc: store.query_text("SELECT flow_end AS t FROM flows ORDER BY t LIMIT 1 OFFSET 1", "CSVWithNames", utc)
        .decode().splitlines()[1].strip('"')
        for utc in (False, True)
    }  # fmt: skip
    assert "20:00:00" in shown[True]
    assert "03:00:00" in shown[False]
    for utc, time in shown.items():
        for column in ("flow_start", "flow_end", "collector_time"):
            for where in (f"{column} >= '{time}'", f"{column} >= toDateTime('{time[:19]}')"):
                answer = store.query_text(f"SELECT count() AS n FROM flows WHERE {where}", "CSVWithNames", utc)
                assert answer == b'"n"\n2\n', (utc, where)
        hour = store.query_text("SELECT DISTINCT toHour(flow_end + 11) AS h FROM flows", "JSONEachRow", utc)
        assert hour == (b'{"h":20}\n' if utc else b'{"h":3}\n')


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("", "no statement"),
        ("-- only a comment", "no statement"),
        ("SELECT", "SYNTAX_ERROR"),
        ("SELECT nonsense", "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nonsense", "UNKNOWN_TABLE"),
        ("INSERT INTO flows (flow_id) VALUES (1)", "INSERT is not reading"),
        ("DROP TABLE flows", "DROP is not reading"),
        ("KILL QUERY WHERE 1", "KILL is not reading"),
        ("SET readonly = 0", "SET is not reading"),
        ("USE system", "USE is not reading"),
        ("SYSTEM SHUTDOWN", "SYSTEM is not reading"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1 INTO\n/* x */ OUTFILE '/tmp/luytre-out'", "OUTFILE is not allowed"),
        ("SELECT file('/etc/hostname')", r"file\(\)"),
        ("SELECT \"file\"('/etc/hostname')", r"file\(\)"),
        ("SELECT `\\x66ile`('/etc/hostname')", "escapes in names"),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", "READONLY|ACCESS_DENIED"),
        ("SELECT * FROM remote('127.0.0.1:1', 'system.one')", "READONLY|ACCESS_DENIED"),
        ("SELECT * FROM s3('http://127.0.0.1:1/bucket/x.csv', 'CSV', 'a String')", "READONLY|ACCESS_DENIED"),
        ("SELECT 1 SETTINGS max_result_rows = 0", "READONLY"),
        ("SELECT 1 SETTINGS readonly = 0", "READONLY"),
        ("SELECT number FROM numbers(1000001)", "TOO_MANY_ROWS_OR_BYTES"),
        ("SELECT arraySort(groupArray(number)) FROM numbers(200000000)", "MEMORY_LIMIT_EXCEEDED"),
    ],
)
def test_people_only_read(store: Store, sql: str, says: str) -> None:
    with pytest.raises(QueryRefusedError, match=says) as refused:
        store.query_text(sql, "JSONEachRow")
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT 'INTO OUTFILE; KILL' AS x;", b'{"x":"INTO OUTFILE; KILL"}\n'),
        ("-- why\nWITH 1 AS one SELECT one", b'{"one":1}\n'),
        ("(SELECT 1 AS x) UNION ALL (SELECT 1 AS x)", b'{"x":1}\n{"x":1}\n'),
        ("SELECT count() AS n FROM flows WHERE process_command_line ILIKE '%file(%'", b'{"n":0}\n'),
    ],
)
def test_people_do_read(store: Store, sql: str, answer: bytes) -> None:
    assert store.query_text(sql, "JSONEachRow") == answer


#: One value of every type that people meet, and how ClickHouse writes it.
SHOWN = [
    ("toIPv6('::ffff:10.0.0.1')", '"::ffff:10.0.0.1"', '"::ffff:10.0.0.1"'),
    ("toIPv6('2001:db8::1')", '"2001:db8::1"', '"2001:db8::1"'),
    ("toIPv4('10.0.0.1')", '"10.0.0.1"', '"10.0.0.1"'),
    ("toDateTime64('2026-11-23 02:00:00', 6, 'UTC')", '"2026-11-23 02:00:00.000000"', '"2026-11-23 02:00:00.000000"'),
    ("toDateTime64('2026-11-23 02:00:00.5', 3, 'UTC')", '"2026-11-23 02:00:00.500"', '"2026-11-23 02:00:00.500"'),
    ("toDateTime('2026-11-23 02:00:00', 'UTC')", '"2026-11-23 02:00:00"', '"2026-11-23 02:00:00"'),
    ("toDate('2026-11-23')", '"2026-11-23"', '"2026-11-23"'),
    ("'lũy \"tre\" it\\'s a\\\\b\\n\\t/'", '"lũy \\"tre\\" it\'s a\\\\b\\n\\t/"', '"lũy ""tre"" it\'s a\\b\n\t/"'),
    ("['a\\'b', 'c\\\\']", '["a\'b","c\\\\"]', "\"['a\\'b','c\\\\']\""),
    ("[1, 2]", "[1,2]", '"[1,2]"'),
    ("[toIPv6('::1')]", '["::1"]', "\"['::1']\""),
    ("true", "true", "true"),
    ("NULL", "null", "\\N"),
    ("toNullable(7)", "7", "7"),
    ("0.1", "0.1", "0.1"),
    ("nan", "null", "nan"),
    ("18446744073709551615", "18446744073709551615", "18446744073709551615"),
    ("-5", "-5", "-5"),
    ("toLowCardinality('x')", '"x"', '"x"'),
    ("toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",) + ('"61f0c404-5cb3-11e7-907b-a6006ad3dba0"',) * 2,
    ("CAST(1, 'Enum8(\\'up\\' = 1)')", '"up"', '"up"'),
    ("map('k', 1)", '{"k":1}', "\"{'k':1}\""),
]


def test_an_answer_is_the_same_text(store: Store) -> None:
    sql = "SELECT " + ", ".join(f"{value} AS c{number}" for number, (value, *_) in enumerate(SHOWN))
    as_json = ",".join(f'"c{number}":{text}' for number, (_, text, _) in enumerate(SHOWN))
    assert store.query_text(sql, "JSONEachRow").decode() == "{" + as_json + "}\n"
    heads = ",".join(f'"c{number}"' for number in range(len(SHOWN)))
    as_csv = ",".join(text for *_, text in SHOWN)
    assert store.query_text(sql, "CSVWithNames").decode() == f"{heads}\n{as_csv}\n"


def test_a_form_is_a_name(store: Store) -> None:
    with pytest.raises(QueryRefusedError, match="not an output format"):
        store.query_text("SELECT 1", "CSV INTO OUTFILE '/tmp/luytre-out'")
    with pytest.raises(QueryRefusedError, match="Nonsense"):
        store.query_text("SELECT 1", "Nonsense")


def test_a_closed_store_says_so(store_config: Config) -> None:
    store = make_store(store_config)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="not open"):
            store.query("SELECT 1")
        store.open()
        store.migrate()
        store.close()
        store.close()
