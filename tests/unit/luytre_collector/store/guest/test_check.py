"""Ways out of reading tables that somebody might try from the network, on the real engine: none leads anywhere."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_collector.store.embedded import EmbeddedStore
from luytre_collector.store.guest import AnswerError, Question
from luytre_collector.store.guest.check import TABLE_FUNCTIONS, form_of

from tests.support.endpoint import filled_store

#: {0} is a file with a secret in it, {1} an address where somebody listens.
ESCAPES = [
    # writing, and what is no query
    "INSERT INTO flows SELECT * FROM flows",
    "CREATE TABLE x (a UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x AS SELECT 1",
    "CREATE FUNCTION f AS x -> x",
    "ALTER TABLE luytre.flows DELETE WHERE 1",
    "DROP DATABASE luytre",
    "TRUNCATE TABLE luytre.flows",
    "OPTIMIZE TABLE luytre.flows",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "SET max_memory_usage = 0",
    "USE system",
    "ATTACH TABLE x",
    "BACKUP TABLE luytre.flows TO Disk('default', 'x')",
    "EXECUTE AS default SELECT 1",
    "BEGIN TRANSACTION",
    "SELECT 1; DROP TABLE luytre.flows",
    "(SELECT 1); SELECT 2",
    "EXPLAIN SELECT 1; SELECT 2",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
    "SELECT 1 FORMAT JSON SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS allow_introspection_functions)",
    "SELECT * FROM (SELECT 1 SETTINGS `readonly` UNION ALL SELECT 2)",
    "EXPLAIN SELECT 1 SETTINGS max_threads = 1",
    # files
    "SELECT file('{0}')",
    "SELECT * APPLY file FROM (SELECT '{0}')",
    "SELECT arrayMap(file, ['{0}'])",
    "SELECT `file`('{0}')",
    "SELECT \u201cfile\u201d('{0}')",
    "WITH file AS f SELECT f('{0}')",
    "SELECT * FROM file('{0}', 'LineAsString')",
    "DESCRIBE file('{0}')",
    "DESCRIBE TABLE file('{0}', 'LineAsString')",
    "DESCRIBE fileCluster('default', '{0}')",
    "EXPLAIN SELECT * FROM file('{0}')",
    "DESCRIBE filesystem('{0}')",
    "SELECT * FROM filesystem('{0}')",
    "SELECT * FROM sqlite('{0}', 'x')",
    "DESCRIBE icebergLocal('{0}')",
    "SELECT * FROM executable('{0}', 'TSV', 'x String')",
    "SELECT 1 INTO OUTFILE '{0}.out'",
    "SELECT 1 INTO/**/OUTFILE '{0}.out' TRUNCATE",
    "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{0}'",
    "SELECT catboostEvaluate('{0}', 1)",
    # the network
    "SELECT * FROM url('http://{1}/', 'LineAsString')",
    "DESCRIBE url('http://{1}/x.csv')",
    "DESC TABLE URL /* x */ ('http://{1}/x.csv')",
    "DESCRIBE `url`('http://{1}/x.csv')",
    "EXPLAIN AST SELECT * FROM url('http://{1}/x.csv')",
    "DESCRIBE s3('http://{1}/b/x.csv')",
    "DESCRIBE remote('{1}', 'system', 'one')",
    "DESCRIBE mysql('{1}', 'd', 't', 'u', 'p')",
    "DESCRIBE postgresql('{1}', 'd', 't', 'u', 'p')",
    "SELECT * FROM remote('{1}', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM jdbc('http://{1}/', 'x')",
    "SELECT reverseDNSQuery('127.0.0.1')",
    "SELECT arrayMap(reverseDNSQuery, ['127.0.0.1'])",
    "SELECT aiGenerate('x')",
    # this process, and what others ask
    "SELECT * FROM Python(ask)",
    "DESCRIBE python('x')",
    "SELECT query FROM system.processes",
    'SELECT query FROM "system"."processes"',
    "SELECT query FROM system/**/.\n`processes`",
    "SELECT query FROM \u201csystem\u201d.processes",
    "SELECT query FROM `s\\x79stem`.processes",
    "SELECT 1 IN system.processes",
    "SHOW TABLES WHERE name IN (SELECT query FROM system.processes)",
    "SHOW PROCESSLIST",
    "SHOW GRANTS",
    "SHOW USERS",
    "SHOW ACCESS",
    "SHOW CREATE USER default",
    "SELECT * FROM merge('system', 'processes')",
    "SELECT * FROM merge(REGEXP('sys.*'), 'proc.*')",
    "SELECT * FROM loop('system', 'processes')",
    "SELECT * FROM viewIfPermitted(SELECT query FROM system.processes ELSE null('query String'))",
    "SELECT * FROM view(SELECT query FROM system.processes)",
    "WITH p AS (SELECT query FROM system.processes) SELECT * FROM p",
    "SELECT * FROM eval('SELECT query FROM system.processes')",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.users",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.named_collections",
    "SELECT getServerSetting('path')",
    "SELECT addressToLine(toUInt64(1))",
    "SELECT logTrace('x')",
    "SELECT * FROM mergeTreeIndex('luytre', 'flows')",
    "SELECT * FROM fuzzJSON('{{}}')",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with filled_store(tmp_path_factory.mktemp("store")) as one:
        yield one


@pytest.fixture(scope="module")
def listening() -> Iterator[socket.socket]:
    """Somebody whom no query may reach."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        sock.setblocking(False)
        yield sock


@pytest.mark.parametrize("sql", ESCAPES)
def test_no_way_out(store: EmbeddedStore, listening: socket.socket, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("măng")
    asked = sql.format(secret, "{}:{}".format(*listening.getsockname()))
    with pytest.raises(AnswerError) as refused:
        store.ask(Question(asked))
    assert refused.value.code in (47, 60, 62, 164, 497), refused.value
    assert "măng" not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"]
    with pytest.raises(BlockingIOError):
        listening.accept()


@pytest.mark.parametrize(
    "question",
    [
        Question("SELECT query FROM processes", database="system"),
        Question("SELECT query FROM {d:Identifier}.processes", parameters={"d": "system"}),
        Question("SELECT query FROM {d:Identifier}.{t:Identifier}", parameters={"d": "system", "t": "processes"}),
        Question("SELECT query FROM system.{t:Identifier}", parameters={"t": "processes"}),
        Question("SELECT {f:Identifier}('x')", parameters={"f": "file"}),
        Question("SELECT query FROM processes", database="`system`"),
        Question("SELECT 1", database="x`; USE system; --"),
        Question("SELECT 1", form="CSV INTO OUTFILE '/tmp/luytre-out'"),
        Question("SELECT 1", settings={"max_threads": "1; SET readonly = 0"}),
        Question("SELECT 1", settings={"output_format_csv_crlf_end_of_line": "1', readonly = '0"}),
    ],
)
def test_no_way_beside_the_statement(store: EmbeddedStore, question: Question) -> None:
    with pytest.raises(AnswerError) as refused:
        store.ask(question)
    assert refused.value.code in (36, 60, 62, 73, 81, 467, 497), refused.value


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM flows",
        "FROM flows SELECT count()",
        "(SELECT 1)",
        "SELECT 'SELECT query FROM system.processes', $$file('x')$$, 'url(' -- system.users; DROP",
        "SELECT name FROM system.tables WHERE database = 'luytre' ORDER BY name",
        "SELECT * FROM system.columns LIMIT 1",
        "SELECT * FROM INFORMATION_SCHEMA.TABLES LIMIT 1",
        "SHOW TABLES",
        "SHOW TABLES FROM system",
        "SHOW FULL COLUMNS FROM flows",
        "SHOW CREATE TABLE luytre.flows",
        "SHOW DATABASES",
        "SHOW SETTINGS LIKE 'max_threads'",
        "SELECT name AS settings FROM system.settings WHERE settings = 'readonly'",
        "DESCRIBE TABLE flows",
        "EXISTS TABLE luytre.flows",
        "EXPLAIN SELECT 1",
        "EXPLAIN indexes = 1 SELECT count() FROM luytre.flows WHERE flow_end > now()",
        "SELECT format('{} {}', 'a', 'b') FORMAT JSONEachRow",
        "SELECT * FROM view(SELECT 1)",
        "SELECT * FROM values('a UInt8', 1)",
        "SELECT * FROM generateSeries(1, 3)",
        "SELECT * FROM process_tree(process = 1)",
        "SELECT * FROM community(id = 'x')",
        "SELECT * FROM luytre_local.timeline LIMIT 1",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
    ],
)
def test_what_people_ask(store: EmbeddedStore, sql: str) -> None:
    store.ask(Question(sql))


def test_every_table_function_is_open_or_closed(store: EmbeddedStore) -> None:
    names = store.ask(Question("SELECT lower(name) FROM system.table_functions")).body.decode().split()
    assert len(names) > 50
    assert set(names) >= TABLE_FUNCTIONS
    for name in sorted(set(names) - TABLE_FUNCTIONS - {"format"}):
        with pytest.raises(AnswerError) as refused:
            store.ask(Question(f"DESCRIBE {name}('x')"))
        assert refused.value.code in (164, 497), name


def test_a_session_leaves_nothing_to_the_next(store: EmbeddedStore) -> None:
    store.ask(Question("SELECT 1", settings={"max_threads": "1", "session_timezone": "Asia/Tokyo"}, database="luytre"))
    with pytest.raises(AnswerError):
        store.ask(Question("SELECT number, throwIf(number = 500) FROM numbers(1000) SETTINGS max_block_size = 1"))
    assert store.ask(Question("SELECT timezone(), currentDatabase()")).body == b"Asia/Ho_Chi_Minh\tluytre_local\n"


def test_the_format_that_a_statement_names() -> None:
    assert form_of("SELECT ? FORMAT JSON ;\n") == "JSON"
    assert form_of("select ? format\nNative") == "Native"
    assert form_of("SELECT format FROM t") == ""
    assert form_of("SELECT ?") == ""
