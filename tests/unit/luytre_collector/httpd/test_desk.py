"""Requests as clients send them, to a real store: statements, formats, parameters, settings, errors, logins."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from luytre_collector.httpd import users
from luytre_collector.store.base import StoreUnavailableError
from luytre_collector.store.embedded import EmbeddedStore
from luytre_collector.store.guest import Answer, Question

from tests.support.endpoint import CHEAP, PASSWORD, USER, Endpoint, basic, served

COUNT = "SELECT count() AS n FROM flows"


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        ("", {"query": COUNT}),
        (COUNT, {}),
        ("AS n FROM flows", {"query": "SELECT count()"}),
        (COUNT + " FORMAT TabSeparated", {"default_format": "JSON"}),
        (COUNT + ";", {"database": "default"}),
        (
            COUNT,
            {"database": "luytre", "session_id": "s", "wait_end_of_query": "1", "client_protocol_version": "54405"},
        ),
    ],
)
def test_a_statement_in_the_url_or_the_body_or_both(endpoint: Endpoint, body: str, parameters: dict[str, str]) -> None:
    reply = endpoint.request(body, **parameters)
    assert (reply.status, reply.body) == (200, b"20\n")
    assert reply.headers["content-type"] == "text/tab-separated-values; charset=UTF-8"
    assert reply.headers["x-clickhouse-format"] == "TabSeparated"
    assert reply.headers["x-clickhouse-server-display-name"] == "collector-1"


def test_headers_tell_what_it_took(endpoint: Endpoint) -> None:
    reply = endpoint.request("SELECT agent_id FROM flows", query_id="of-mine", session_timezone="Asia/Tokyo")
    summary = json.loads(reply.headers["x-clickhouse-summary"])
    assert (summary["read_rows"], summary["result_rows"], summary["written_rows"]) == ("20", "20", "0")
    assert reply.headers["x-clickhouse-query-id"] == "of-mine"
    assert reply.headers["x-clickhouse-timezone"] == "Asia/Tokyo"
    other = endpoint.request("SELECT 1", query_id="no\tid")
    assert len(other.headers["x-clickhouse-query-id"]) == 36
    assert other.headers["x-clickhouse-timezone"] == "Asia/Ho_Chi_Minh"
    assert endpoint.request("SELECT 1", database="luytre").headers["x-clickhouse-timezone"] == "UTC"


@pytest.mark.parametrize(
    ("form", "kind", "body"),
    [
        ("TSVWithNamesAndTypes", "text/tab-separated-values; charset=UTF-8", b"a\nUInt8\n1\n"),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present", b'"a"\n1\n'),
        ("CSV", "text/csv; charset=UTF-8; header=absent", b"1\n"),
        ("JSONEachRow", "application/x-ndjson; charset=UTF-8", b'{"a":1}\n'),
        ("JSONCompactEachRowWithNamesAndTypes", "application/x-ndjson; charset=UTF-8", b'["a"]\n["UInt8"]\n[1]\n'),
        ("RowBinaryWithNamesAndTypes", "application/octet-stream", b"\x01\x01a\x05UInt8\x01"),
        ("RowBinary", "application/octet-stream", b"\x01"),
        ("Native", "application/octet-stream", b"\x01\x01\x01a\x05UInt8\x01"),
        ("Vertical", "text/plain; charset=UTF-8", "Row 1:\n──────\na: 1\n".encode()),
    ],
)  # fmt: skip
def test_formats(endpoint: Endpoint, form: str, kind: str, body: bytes) -> None:
    for reply in (
        endpoint.request(f"SELECT 1 AS a FORMAT {form}"),
        endpoint.request("SELECT 1 AS a", default_format=form),
        endpoint.request("SELECT 1 AS a", headers={"X-ClickHouse-Format": form}, default_format="JSON"),
    ):
        assert (reply.status, reply.body, reply.headers["content-type"]) == (200, body, kind)


def test_formats_that_libraries_read(endpoint: Endpoint) -> None:
    found = json.loads(endpoint.request("SELECT 1 AS a FORMAT JSONCompact").body)
    assert (found["meta"], found["data"], found["rows"]) == ([{"name": "a", "type": "UInt8"}], [[1]], 1)
    table = pa.ipc.open_stream(endpoint.request("SELECT 7 AS a", default_format="ArrowStream").body).read_all()
    assert table.to_pydict() == {"a": [7]}
    assert "│ 1 │" in endpoint.request("SELECT 1 AS a FORMAT PrettyCompact").body.decode()
    assert endpoint.request("SELECT 1 FORMAT Parquet").body[:4] == b"PAR1"


def test_parameters_and_settings(endpoint: Endpoint) -> None:
    asked = "SELECT {a:String} AS a, {b:Array(UInt8)} AS b, {d:DateTime} AS d"
    reply = endpoint.request(
        asked, param_a="it's\\ta 'tab'", param_b="[1,2]", param_d="2026-01-01 00:00:00",
        output_format_tsv_crlf_end_of_line="1", session_timezone="UTC",
    )  # fmt: skip
    assert reply.body == b"it\\'s\\ta \\'tab\\'\t[1,2]\t2026-01-01 00:00:00\r\n"
    before = endpoint.counters.get("settings_ignored")
    assert endpoint.request("SELECT getSetting('max_threads')", join_algorithm="hash", max_threads="1").body == b"1\n"
    assert endpoint.counters.get("settings_ignored") == before + 1


@pytest.mark.parametrize(
    ("sql", "given", "status", "code", "says"),
    [
        ("SELECT nope", {}, 404, 47, "UNKNOWN_IDENTIFIER"),
        ("SELEC", {}, 500, 164, "SELEC is not reading"),
        ("SELECT (", {}, 400, 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nope", {}, 404, 60, "UNKNOWN_TABLE"),
        ("SELECT 1", {"database": "nope"}, 404, 81, "UNKNOWN_DATABASE"),
        ("SELECT 1", {"default_format": "Nope"}, 404, 73, "UNKNOWN_FORMAT"),
        ("SELECT 1", {"default_format": "DataFrame"}, 404, 73, "UNKNOWN_FORMAT"),
        ("SELECT {a:UInt8}", {}, 500, 456, "UNKNOWN_QUERY_PARAMETER"),
        ("DROP TABLE luytre.flows", {}, 500, 164, "READONLY"),
        ("INSERT INTO luytre.flows (agent_id) VALUES ('x')", {}, 500, 164, "READONLY"),
        ("SELECT 1", {"readonly": "0"}, 500, 164, "READONLY"),
        ("SELECT 1", {"bad name": "0"}, 400, 36, "not that of a setting"),
        ("SELECT 1", {"decompress": "1"}, 501, 48, "NOT_IMPLEMENTED"),
        ("SELECT number FROM numbers(100001)", {}, 500, 396, "TOO_MANY_ROWS_OR_BYTES"),
        ("SELECT number FROM numbers(3)", {"max_result_rows": "2"}, 500, 396, "TOO_MANY_ROWS_OR_BYTES"),
        ("SELECT sum(cityHash64(number)) FROM numbers(1e12)", {"max_execution_time": "1"}, 408, 159, "TIMEOUT"),
        ("SELECT arraySort(groupArray(number)) FROM numbers(2e8)", {"max_memory_usage": "0"}, 500, 241, "MEMORY"),
        (b"SELECT '\xff'", {}, 400, 36, "not UTF-8 at byte 8"),
    ],
)  # fmt: skip
def test_errors_are_clickhouses(
    endpoint: Endpoint, sql: str | bytes, given: dict[str, str], status: int, code: int, says: str
) -> None:
    reply = endpoint.request(sql, **given)
    assert (reply.status, reply.code) == (status, code), reply.body
    text = reply.body.decode()
    assert text.startswith(f"Code: {code}. DB::Exception: ")
    assert says in text
    assert text.count("\n") == 1


def test_what_needs_no_login(endpoint: Endpoint) -> None:
    for path in ("/", "/ping", "/replicas_status"):
        reply = endpoint.request(path=path, login={})
        assert (reply.status, reply.body) == (200, b"Ok.\n")
    assert endpoint.request(path="/play", login={}).status == 404
    assert endpoint.request(path="/../etc/passwd", login={}).status == 404
    assert endpoint.request(method="OPTIONS", login={}).headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert endpoint.request(method="DELETE").status == 405
    head = endpoint.request(method="HEAD", query="SELECT 1")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "2")


def test_logins(endpoint: Endpoint) -> None:
    in_headers = {"X-ClickHouse-User": USER, "X-ClickHouse-Key": "x"}
    assert endpoint.request("SELECT 1", login={}, user=USER, password=PASSWORD).body == b"1\n"
    assert endpoint.request("SELECT 1", login=in_headers).code == 516
    nobody = endpoint.request("SELECT 1", login={})
    assert (nobody.status, nobody.code) == (401, 194)
    assert nobody.headers["www-authenticate"].startswith("Basic ")
    wrong = endpoint.request("SELECT 1", login=basic(password="wrong"))
    unknown = endpoint.request("SELECT 1", login=basic(user="nobody"))
    assert (wrong.status, wrong.code, unknown.status, unknown.code) == (403, 516, 403, 516)
    assert wrong.body.replace(USER.encode(), b"nobody") == unknown.body  # does not tell who exists
    for odd in ("Bearer x", "Basic ???", "Basic bWFp", "Basic"):
        assert endpoint.request("SELECT 1", login={"Authorization": odd}).code == 516
    assert endpoint.request("SELECT 1", user="someone").code == 516  # two logins
    assert endpoint.counters.get("logins_failed") >= 3
    assert endpoint.counters.get("requests_refused", "login") >= 8


def test_users_come_and_go_while_it_runs(store: EmbeddedStore, tmp_path: Path) -> None:
    with served(store.ask, tmp_path) as one:
        assert one.request("SELECT 1").status == 200
        users.write(one.users, {"lan": users.make("another password", CHEAP)})
        assert one.request("SELECT 1").code == 516
        assert one.request("SELECT 1", login=basic("lan", "another password")).status == 200
        one.users.chmod(0o644)
        assert one.request("SELECT 1", login=basic("lan", "another password")).status == 200
        assert one.counters.get("users_unreadable") == 1
        one.users.unlink()
        assert one.request("SELECT 1", login=basic("lan", "another password")).code == 516


def test_a_user_of_an_organisation_sees_its_rows_only(store: EmbeddedStore, tmp_path: Path) -> None:
    store.command(
        "INSERT INTO luytre.agents (agent_id, organisation_path, recorded_time) VALUES"
        " ('web-01', ['top', 'hue'], now64(6)), ('web-02', ['other'], now64(6))"
    )
    passwords = {"minh": ("hue",), "an": ("other", "gone"), "top": ("top",)}
    with served(store.ask, tmp_path) as one:
        users.write(one.users, {name: users.make(PASSWORD, CHEAP, whose) for name, whose in passwords.items()})
        found = {name: one.request(COUNT, login=basic(name)) for name in passwords}
        assert {name: reply.body for name, reply in found.items()} == {"minh": b"20\n", "an": b"0\n", "top": b"20\n"}
        summary = json.loads(found["minh"].headers["x-clickhouse-summary"])
        assert (summary["read_rows"], summary["read_bytes"]) == ("0", "0")
        assert one.request("EXPLAIN " + COUNT, login=basic("minh")).code == 497
        assert one.request(COUNT, login=basic("an"), log_comment="").body == b"0\n"
        users.write(one.users, {"an": users.make(PASSWORD, CHEAP)})
        assert one.request(COUNT, login=basic("an")).body == b"20\n"


def test_a_user_who_is_removed_while_a_query_waits_gets_no_answer(store: EmbeddedStore, tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(question: Question) -> Answer:
        if question.sql == "SELECT 'first'":
            entered.set()
            assert leave.wait(30)
        return store.ask(question)

    replies: list[int] = []
    with served(slow, tmp_path, max_queries=1) as one:
        first = threading.Thread(target=lambda: replies.append(one.request("SELECT 'first'").code))
        first.start()
        assert entered.wait(30)
        second = threading.Thread(target=lambda: replies.append(one.request("SELECT 2").code))
        second.start()
        while one.counters.get("requests") < 2:
            first.join(0.01)
        first.join(0.2)  # the second one waits for the place of the first
        users.write(one.users, {"lan": users.make("another password", CHEAP)})
        assert one.request("SELECT 1", login=basic("lan", "wrong password")).code == 516  # makes it look at the file
        leave.set()
        first.join(30)
        second.join(30)
    assert sorted(replies) == [0, 516]  # either may be heard first


def test_guessing_is_slowed_down_but_who_is_known_gets_in(store: EmbeddedStore, tmp_path: Path) -> None:
    now = [1000.0]
    with served(store.ask, tmp_path, clock=lambda: now[0]) as one:
        assert one.request("SELECT 1").status == 200
        for _ in range(5):
            assert b"password is incorrect" in one.request("SELECT 1", login=basic(password="guess")).body
        assert b"too many failed logins" in one.request("SELECT 1", login=basic(password="guess")).body
        assert one.counters.get("logins_failed") == 5
        assert one.request("SELECT 1").status == 200
        now[0] += 61
        assert b"password is incorrect" in one.request("SELECT 1", login=basic(password="guess")).body


def test_compression(endpoint: Endpoint) -> None:
    asked, allowed = "SELECT number FROM numbers(1000)", {"Accept-Encoding": "zstd, gzip;q=1.0"}
    plain = endpoint.request(asked)
    packed = endpoint.request(asked, headers=allowed, enable_http_compression="1")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    for headers, on in ((allowed, "0"), ({"Accept-Encoding": "gzip;q=0"}, "1"), ({}, "1")):
        assert endpoint.request(asked, headers=headers, enable_http_compression=on).body == plain.body
    for coding, body in (("gzip", gzip.compress(asked.encode())), ("deflate", zlib.compress(asked.encode()))):
        assert endpoint.request(body, headers={"Content-Encoding": coding}).body == plain.body


def test_what_it_counts(store: EmbeddedStore, tmp_path: Path) -> None:
    with served(store.ask, tmp_path) as one:
        one.request("SELECT number FROM numbers(10)")
        one.request("SELECT sleep(0.1)")
        one.request("SELECT nope")
        one.request("SELECT * FROM system.processes")
        one.request("SELECT 1", decompress="1")
    counted = one.counters
    assert counted.get("requests") == 5
    assert (counted.get("queries"), counted.get("answer_rows"), counted.get("answer_bytes")) == (2, 11, 22)
    assert counted.get("query_ms") >= 100
    assert [counted.get("requests_refused", label) for label in ("query", "rights", "not_served")] == [1, 1, 1]


def test_the_log_names_who_and_what_without_literals(
    store: EmbeddedStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"), served(store.ask, tmp_path) as one:
        one.request("SELECT count() FROM flows WHERE user_name = 'Nguyễn Văn A' -- secret")
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("query of")]
    assert line.startswith(f"query of {USER}: ")
    assert "1 rows, 2 bytes: SELECT count() FROM flows WHERE user_name = ?" in line
    assert "Nguyễn" not in caplog.text
    assert "secret" not in caplog.text
    assert PASSWORD not in caplog.text


def test_more_queries_than_may_wait_are_refused(tmp_path: Path) -> None:
    running, go = threading.Semaphore(0), threading.Event()

    def ask(question: Question) -> Answer:
        if "version" not in question.sql:
            running.release()
            assert go.wait(30)
        return Answer(b"1\n", "TSV", "UTC", question.sql, 0, 1, 1, 1, 0.0)

    with served(ask, tmp_path, max_queries=1, max_waiting=0) as one:
        first: list[int] = []
        thread = threading.Thread(target=lambda: first.append(one.request("SELECT 1").status))
        thread.start()
        assert running.acquire(timeout=30)
        reply = one.request("SELECT 1")
        assert (reply.status, reply.code) == (503, 202)
        assert one.counters.get("requests_refused", "busy") == 1
        go.set()
        thread.join(30)
        assert first == [200]


def test_a_store_that_is_away(tmp_path: Path) -> None:
    def ask(question: Question) -> Answer:
        if "version" in question.sql:
            return Answer(b"26.9\n", "TSV", "UTC", "", 0, 1, 1, 1, 0.0)
        raise StoreUnavailableError("the store is not open")

    with served(ask, tmp_path) as one:
        reply = one.request("SELECT 1")
        assert (reply.status, reply.code) == (503, 210)
        assert b"the store is not open" in reply.body
        assert one.counters.get("requests_refused", "store") == 1
