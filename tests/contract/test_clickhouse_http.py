"""The HTTP endpoint with the clients that people have: clickhouse-connect, curl, and the requests that Grafana's data
source and ClickHouse's JDBC driver (DBeaver) make, written down from their sources."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, ProgrammingError
from clickhouse_driver.compression.lz4 import Decompressor
from luytre_collector.store.embedded import EmbeddedStore

from tests.support.endpoint import PASSWORD, USER, Endpoint, Reply, filled_store, served


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with filled_store(tmp_path_factory.mktemp("store")) as one:
        yield one


@pytest.fixture(scope="module")
def endpoint(store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with served(store.ask, tmp_path_factory.mktemp("endpoint")) as one:
        yield one


@pytest.fixture(scope="module")
def client(endpoint: Endpoint) -> Iterator[Client]:
    with clickhouse_connect.get_client(host=endpoint.host, port=endpoint.port, username=USER, password=PASSWORD) as one:
        yield one


class TestClickhouseConnect:
    def test_rows_of_a_table(self, client: Client) -> None:
        assert client.ping()
        found = client.query("SELECT * FROM flows ORDER BY sequence")
        assert found.row_count == 20
        assert {"source_ip", "destination_port", "flow_start"} <= set(found.column_names)
        assert isinstance(found.first_item["flow_start"], datetime)
        assert int(found.summary["read_rows"]) == 20
        assert client.command("SELECT count() FROM flows") == 20

    def test_parameters(self, client: Client) -> None:
        given = {
            "text": "it's a \\ 'tab'\t\nand măng",
            "numbers": [1, 2],
            "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        }
        found = client.query("SELECT {text:String}, {numbers:Array(UInt8)}, {when:DateTime('UTC')}", parameters=given)
        text, numbers, when = found.first_row
        assert (text, numbers) == (given["text"], [1, 2])
        assert when == given["when"]

    def test_other_formats(self, client: Client) -> None:
        assert client.query_arrow("SELECT number FROM numbers(3)").to_pydict() == {"number": [0, 1, 2]}
        assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
        with client.query_rows_stream("SELECT number FROM numbers(70000)") as stream:
            assert sum(row[0] for row in stream) == 70000 * 69999 // 2

    def test_pandas(self, client: Client) -> None:
        frame = client.query_df("SELECT destination_port, count() AS n FROM flows GROUP BY ALL")
        assert frame["n"].sum() == 20

    def test_settings_cannot_be_changed_and_it_knows(self, client: Client) -> None:
        """It reads `system.settings`. What is in the URL is obeyed all the same, which curl shows."""
        with pytest.raises(ProgrammingError, match="max_result_rows is readonly"):
            client.query("SELECT number FROM numbers(10)", settings={"max_result_rows": 3})

    def test_errors_have_their_code(self, client: Client) -> None:
        for statement, code in (
            ("SELECT nope", 47),
            ("DROP TABLE luytre.flows", 164),
            ("SELECT query FROM system.processes", 497),
            ("SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", 497),
        ):
            with pytest.raises(DatabaseError, match=rf"(?i)code:? {code}\b"):
                client.query(statement)

    def test_nothing_is_inserted(self, client: Client) -> None:
        with pytest.raises(DatabaseError):
            client.insert("luytre.flows", [["x"]], column_names=["agent_id"])
        assert client.command("SELECT count() FROM flows") == 20

    def test_wrong_password(self, endpoint: Endpoint) -> None:
        with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
            clickhouse_connect.get_client(host=endpoint.host, port=endpoint.port, username=USER, password="wrong")


def native(block: bytes) -> dict[str, tuple[str, bytes]]:
    """Names and types of a block of Native with one row, and the bytes of strings and numbers (revision 0)."""
    stream = BytesIO(block)

    def text() -> bytes:
        return stream.read(stream.read(1)[0])

    columns, rows = stream.read(1)[0], stream.read(1)[0]
    assert rows == 1
    found = {}
    for _ in range(columns):
        name, kind = text().decode(), text().decode()
        width = re.fullmatch(r"U?Int(\d+)", kind)
        found[name] = (kind, stream.read(int(width[1]) // 8) if width else text())
    assert not stream.read()
    return found


class TestGrafana:
    """grafana-clickhouse-datasource over HTTP: clickhouse-go, conn_http.go. POST, Native, database and settings
    in the URL, name and password in the URL's authority, which Go sends as Basic."""

    def ask(self, endpoint: Endpoint, sql: str, **more: str) -> Reply:
        return endpoint.request(
            sql, headers={"User-Agent": "clickhouse-go/2", "Accept-Encoding": "gzip"},
            database="default", max_execution_time="60", default_format="Native", **more,
        )  # fmt: skip

    def test_hello(self, endpoint: Endpoint) -> None:
        reply = self.ask(endpoint, "SELECT displayName(), version(), revision(), timezone()")
        found = native(reply.body)
        assert found["timezone()"] == ("String", b"Asia/Ho_Chi_Minh")
        assert re.fullmatch(rb"[0-9.]+", found["version()"][1])
        assert native(self.ask(endpoint, "SELECT timeZone()").body)["timeZone()"][1] == b"Asia/Ho_Chi_Minh"
        assert list(native(self.ask(endpoint, "SELECT 1").body)) == ["1"]

    def test_the_query_builder_lists_what_there_is(self, endpoint: Endpoint) -> None:
        for sql, name in (
            ("SHOW DATABASES", b"luytre_local"),
            ("SHOW TABLES FROM `luytre_local`", b"timeline"),
            ("DESC TABLE `luytre_local`.`flows`", b"destination_port"),
            ("SELECT name FROM system.columns WHERE database = 'luytre_local' AND table = 'flows'", b"source_ip"),
            ("SELECT name FROM system.functions", b"toStartOfInterval"),
        ):
            reply = self.ask(endpoint, sql)
            assert (reply.status, name in reply.body) == (200, True), sql

    def test_a_panel(self, endpoint: Endpoint) -> None:
        sql = (
            "SELECT toStartOfInterval(toDateTime(flow_end), INTERVAL 60 second) AS time, count() AS n"
            " FROM flows WHERE flow_end >= toDateTime(0) AND flow_end <= toDateTime(4000000000)"
            " GROUP BY time ORDER BY time ASC LIMIT 1000"
        )
        reply = self.ask(endpoint, sql, enable_http_compression="1")
        assert reply.status == 200
        assert reply.headers["x-clickhouse-format"] == "Native"

    def test_blocks_of_a_revision(self, endpoint: Endpoint) -> None:
        """clickhouse-go of today sends its revision, and then expects more in a block: see httpd/native.py."""
        reply = self.ask(endpoint, "SELECT 1", client_protocol_version="54460")
        assert reply.body == b"\x01\x00\x02\xff\xff\xff\xff\x00" + b"\x01\x01\x011\x05UInt8\x00\x01"
        assert self.ask(endpoint, "SELECT * FROM flows", client_protocol_version="54460").status == 200

    def test_compression_of_its_own(self, endpoint: Endpoint) -> None:
        asked = "SELECT number, toString(number) FROM numbers(60000)"
        framed = self.ask(endpoint, asked, compress="1").body
        assert opened(framed) == self.ask(endpoint, asked).body


def opened(framed: bytes) -> bytes:
    """What is in ClickHouse's compressed blocks, by the code of clickhouse-driver."""
    stream, found = BytesIO(framed), b""
    while checksum := stream.read(16):
        high, low = struct.unpack("<QQ", checksum)
        assert stream.read(1) == b"\x82"
        found += Decompressor(_Bytes(stream)).get_decompressed_data(0x82, (high << 64) + low, 1)
    return found


class _Bytes:
    """What clickhouse-driver's reader expects of a stream."""

    def __init__(self, stream: BytesIO) -> None:
        self._stream = stream

    def read(self, count: int) -> bytes:
        return self._stream.read(count)

    def read_one(self) -> int:
        return self._stream.read(1)[0]


class TestJdbc:
    """clickhouse-java, client-v2: POST to /, the format in a header, name and password as Basic, compressed
    blocks unless told otherwise; then what DBeaver asks of the catalogue."""

    def ask(self, endpoint: Endpoint, sql: str, **more: str) -> Reply:
        headers = {"X-ClickHouse-Format": "RowBinaryWithNamesAndTypes", "X-ClickHouse-Database": "default"}
        return endpoint.request(sql, headers=headers, **more)

    def test_hello_in_compressed_blocks(self, endpoint: Endpoint) -> None:
        sql = "SELECT currentUser() AS user, timezone() AS timezone, version() AS version LIMIT 1"
        reply = self.ask(endpoint, sql, compress="1", session_id="a", query_id="b", wait_end_of_query="1")
        assert opened(reply.body).startswith(b"\x03\x04user\x08timezone\x07version\x06String\x06String\x06String")
        assert reply.headers["x-clickhouse-timezone"] == "Asia/Ho_Chi_Minh"
        assert reply.headers["x-clickhouse-query-id"] == "b"

    def test_the_catalogue(self, endpoint: Endpoint) -> None:
        for sql in (
            "SELECT name AS TABLE_SCHEM, null AS TABLE_CATALOG FROM system.databases WHERE name LIKE '%'",
            "SELECT * FROM system.tables WHERE database = 'luytre_local' ORDER BY name",
            "SELECT * FROM system.columns WHERE database = 'luytre_local' AND table = 'flows'",
            "SELECT name, alias_to FROM system.data_type_families",
            "SELECT * FROM system.table_engines",
            "SELECT * FROM system.settings",
            "SELECT * FROM information_schema.tables LIMIT 5",
        ):
            assert self.ask(endpoint, sql).status == 200, sql

    def test_an_error(self, endpoint: Endpoint) -> None:
        reply = self.ask(endpoint, "SELECT nope", compress="1")
        assert reply.code == 47
        assert reply.body.startswith(b"Code: 47. DB::Exception: ")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    def run(self, endpoint: Endpoint, *arguments: str, stdin: bytes = b"") -> str:
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def test_as_in_the_readme(self, endpoint: Endpoint, tmp_path: Path) -> None:
        login, url = ["--user", f"{USER}:{PASSWORD}"], f"http://{endpoint.address}/"
        assert self.run(endpoint, f"{url}ping") == "Ok.\n"
        assert self.run(endpoint, *login, url, "--data-binary", "SELECT count() FROM flows") == "20\n"
        asked = ["--get", url, "--data-urlencode", "query=SELECT {n:UInt8} + 1 AS a FORMAT JSON", "--data", "param_n=4"]
        assert json.loads(self.run(endpoint, *login, *asked))["data"] == [{"a": 5}]
        assert self.run(endpoint, *login, "--data-binary", "@-", url, stdin=b"SELECT 'm\xc4\x83ng'") == "măng\n"
        packed = self.run(
            endpoint,
            *login,
            "--compressed",
            f"{url}?enable_http_compression=1",
            "--data-binary",
            "SELECT * FROM numbers(1000)",
        )
        assert packed.count("\n") == 1000
        large = tmp_path / "large.sql"
        large.write_text("SELECT 1 /* " + "x" * 200_000 + " */")
        assert (
            self.run(endpoint, *login, "--header", "Transfer-Encoding: chunked", "--data-binary", f"@{large}", url)
            == "1\n"
        )
        assert self.run(endpoint, url, "--data-binary", "SELECT 1").startswith("Code: 194. DB::Exception: ")
