"""Connections: how many, how long, encrypted where others can listen; and what is no HTTP at all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from luytre_collector import pki
from luytre_collector.httpd import server, wire
from luytre_collector.httpd.config import Config
from luytre_collector.store.embedded import EmbeddedStore
from luytre_common import tls
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters

from tests.support.endpoint import NO_TLS, Endpoint, basic, served

GOOD = b"POST /?query=SELECT+1 HTTP/1.1\r\nHost: x\r\nAuthorization: " + basic()["Authorization"].encode() + b"\r\n"


def converse(endpoint: Endpoint, *pieces: bytes) -> bytes:
    """All that comes back until the other end closes."""
    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
            found = b""
            while more := sock.recv(65536):
                found += more
        except ConnectionError:
            pass
        return found


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"nonsense\r\n\r\n", b" 400 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b" 400 "),  # a client that speaks TLS
        (b"GET / HTTP/2.0\r\n\r\n", b" 400 "),
        (b"GET / HTTP/1.1\r\n\r\n", b"names its Host"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", b"NAME: VALUE"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: x\r\n\r\n", b"NAME: VALUE"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"given twice"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", b"NAME: VALUE"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n", b" 431 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * (70 << 10) + b"\r\n\r\n", b" 431 "),
        (GOOD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"alone"),
        (GOOD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", b"given twice"),
        (GOOD + b"Content-Length: -1\r\n\r\n", b"not a number"),
        (GOOD + b"Content-Length: 1048577\r\n\r\n", b" 413 "),
        (GOOD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"chunked, alone"),
        (GOOD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"size of a chunk"),
        (GOOD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc", b"longer than it says"),
        (GOOD + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n" + b"x" * 0xFFFFF + b"\r\n2\r\nxx\r\n", b" 413 "),
        (GOOD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 101 + b"\r\n", b"trailers"),
        (GOOD + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx", b" 415 "),
        (GOOD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", b"not gzip"),
    ],
)
def test_what_is_no_request(endpoint: Endpoint, sent: bytes, says: bytes) -> None:
    before = endpoint.counters.get("requests_refused", "protocol")
    found = converse(endpoint, sent)
    assert found.startswith(b"HTTP/1.1 4")
    assert says in found
    assert found.count(b"Content-Length: ") == 1
    assert endpoint.counters.get("requests_refused", "protocol") == before + 1


def test_a_body_that_unpacks_to_more_than_may_be(endpoint: Endpoint) -> None:
    import gzip

    bomb = gzip.compress(b" " * (64 << 20))
    assert len(bomb) < wire.MAX_BODY
    assert endpoint.request(bomb, headers={"Content-Encoding": "gzip"}).status == 413
    whole = gzip.compress(b"SELECT 1")
    for body in (whole[:-4], whole + whole):
        assert endpoint.request(body, headers={"Content-Encoding": "gzip"}).status == 400


def test_one_connection_serves_many_requests(endpoint: Endpoint) -> None:
    chunked = GOOD.replace(b"?query=SELECT+1", b"") + b"Transfer-Encoding: chunked\r\n\r\n"
    found = converse(
        endpoint,
        GOOD + b"\r\n",
        chunked + b"4\r\nSELE\r\n4;x=y\r\nCT 2\r\n0\r\nTrailer: x\r\n\r\n",
        GOOD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        b"+2",
        GOOD + b"Connection: close\r\n\r\n",
    )
    assert found.count(b"HTTP/1.1 200") == 4
    assert found.count(b"HTTP/1.1 100") == 1
    assert [
        one.split(b"\r\n\r\n")[1][:2]
        for one in found.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").split(b"HTTP/1.1")[1:]
    ] == [b"1\n", b"2\n", b"3\n", b"1\n"]
    old = GOOD.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: x\r\n", b"")
    assert converse(endpoint, old + b"\r\n").count(b"HTTP/1.1 200") == 1  # and then it is closed


def test_who_is_slow_is_cut_off(store: EmbeddedStore, tmp_path: Path) -> None:
    with served(store.ask, tmp_path, request_timeout_s=0.2, idle_timeout_s=0.2, send_timeout_s=0.2) as one:
        assert converse(one) == b""  # says nothing
        assert one.counters.get("connections_broken", "timeout") == 0
        assert converse(one, b"GET / HT") == b""
        assert converse(one, GOOD + b"Content-Length: 9\r\n\r\nx") == b""
        assert one.counters.get("connections_broken", "timeout") == 2
        with socket.socket() as sock:  # reads nothing of a long answer
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((one.host, one.port))
            sock.sendall(GOOD.replace(b"SELECT+1", b"SELECT+repeat('x',100)+FROM+numbers(70000)") + b"\r\n")
            while one.counters.get("connections_broken", "timeout") < 3:
                pass
        assert one.request("SELECT 1").status == 200


def test_who_goes_away_is_counted(store: EmbeddedStore, tmp_path: Path) -> None:
    with served(store.ask, tmp_path) as one:
        sock = socket.create_connection((one.host, one.port))
        sock.sendall(GOOD.replace(b"SELECT+1", b"SELECT+repeat('x',100)+FROM+numbers(70000)") + b"\r\n")
        assert sock.recv(1) == b"H"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.close()  # with a reset
        while not one.counters.get("connections_broken", "peer_gone"):
            pass
        assert one.request("SELECT 1").status == 200


def test_more_connections_than_may_be(store: EmbeddedStore, tmp_path: Path) -> None:
    with served(store.ask, tmp_path, max_connections=1) as one:
        first = one.connect()
        first.request("GET", "/ping")
        assert first.getresponse().read() == b"Ok.\n"
        assert b" 503 " in converse(one)
        assert one.counters.get("connections_refused") == 1
        first.close()


def test_a_fault_of_ours_ends_one_connection(tmp_path: Path) -> None:
    from luytre_collector.store.guest import Answer, Question

    def ask(question: Question) -> Answer:
        if "version" in question.sql:
            return Answer(b"26.9\n", "TSV", "UTC", "", 0, 1, 1, 1, 0.0)
        raise ZeroDivisionError

    with served(ask, tmp_path) as one:
        assert converse(one, GOOD + b"\r\n") == b""
        assert one.counters.get("connections_broken", "fault") == 1
        assert one.request(path="/ping").status == 200


def test_https_with_the_collectors_certificate(store: EmbeddedStore, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.init_authority(folder)
    pki.issue(folder, "collector", "collector", ["localhost", "127.0.0.1"])
    files = tls.Config(folder / "authority.pem", folder / "collector.pem", folder / "collector.key")
    context = ssl.create_default_context(cafile=str(files.authority))
    with served(store.ask, tmp_path, files, tls=True) as one:
        connection = one.connect(context)
        connection.request("GET", "/?query=SELECT+1", headers=basic())
        assert connection.getresponse().read() == b"1\n"
        connection.close()
        assert converse(one, GOOD + b"\r\n") == b""  # not encrypted, not answered


@pytest.mark.parametrize("listen", ["0.0.0.0:8123", "[::]:8123", "10.0.0.1:0", "collector.example:8123"])
def test_others_are_not_served_without_encryption(listen: str) -> None:
    with pytest.raises(UserError, match=r"http.listen: .* set http.tls = true"):
        server.check(Config(listen=listen), NO_TLS)
    with pytest.raises(UserError, match="not usable for HTTPS"):
        server.check(Config(listen=listen, tls=True), NO_TLS)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "localhost:0", "127.8.8.8:1"])
def test_loopback_needs_none(listen: str) -> None:
    assert server.check(Config(listen=listen), NO_TLS) is None


async def test_without_users_nothing_listens(
    store: EmbeddedStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(listen="127.0.0.1:0", users=tmp_path / "nobody")
    with caplog.at_level("INFO"):
        async with server.serve(config, NO_TLS, store.ask, "c", Counters("http"), lambda: 0.0) as address:
            assert address == ""
    assert "luytre-collector http user add" in caplog.text


async def test_an_address_that_is_taken(store: EmbeddedStore, endpoint: Endpoint) -> None:
    config = Config(listen=endpoint.address, users=endpoint.users)
    with pytest.raises(UserError, match=r"http.listen: .*choose another address"):
        async with server.serve(config, NO_TLS, store.ask, "c", Counters("http"), lambda: 0.0):
            await asyncio.sleep(0)
