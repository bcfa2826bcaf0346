"""What every channel must do, each against the real thing that it delivers to."""

from __future__ import annotations

import http.server
import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from luytre_collector import pki
from luytre_collector.notify import CHANNELS, Config, build, console, webhook
from luytre_collector.notify.base import Channel, TryAgainError, WillNeverWorkError
from luytre_common.errors import UserError

from tests.support.alerts import alert


@dataclass
class Receiver:
    """A real HTTP server that remembers what it got and answers as it is told."""

    url: str = ""
    status: int = 200
    slow: bool = False
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    yield from serve(None)


def serve(context: ssl.SSLContext | None) -> Iterator[Receiver]:
    told = Receiver()
    release = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if told.slow:
                while not release.wait(0.05):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n"[:1])  # one byte at a time, for ever
                return
            told.got.append(json.loads(body))
            told.headers.append(dict(self.headers))
            self.send_response(told.status)
            if told.status == 302:
                self.send_header("Location", told.url + "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the other end cut us off, as it should

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    told.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/hook?key=1"
    yield told
    release.set()
    server.shutdown()
    thread.join()
    server.server_close()


class ClosedError(io.TextIOBase):
    def write(self, _: str) -> int:
        raise BrokenPipeError("closed")


def good_console(_: Receiver) -> tuple[Channel, Callable[[], list[str]]]:
    out = io.StringIO()
    made = console.Console(console.Config(language="en", time_zone="UTC"), out)
    return made, lambda: out.getvalue().splitlines()


def good_webhook(receiver: Receiver) -> tuple[Channel, Callable[[], list[str]]]:
    made = webhook.Webhook(webhook.Config(name="soc", url=receiver.url, language="en", time_zone="UTC"))
    return made, lambda: [one["text"] for one in receiver.got]


def broken_console(_: Receiver) -> Channel:
    return console.Console(console.Config(), ClosedError())


def broken_webhook(receiver: Receiver) -> Channel:
    receiver.status = 404
    return webhook.Webhook(webhook.Config(name="soc", url=receiver.url))


GOOD = {"console": good_console, "webhook": good_webhook}
BROKEN = {"console": broken_console, "webhook": broken_webhook}


def test_every_channel_is_here() -> None:
    assert CHANNELS.keys() == GOOD.keys() == BROKEN.keys()


@pytest.mark.parametrize("kind", CHANNELS)
def test_delivers_one_readable_line_per_alert(kind: str, receiver: Receiver) -> None:
    channel, lines = GOOD[kind](receiver)
    channel.deliver(alert(1))
    channel.deliver(alert(2, rule_name="Port\nScan\x1b[31m"))
    first, second = lines()
    assert first.startswith("2026-")
    for part in ("[CRITICAL]", "Reverse Shell From Web Server User", "web-01.hue.example", "10.1.0.7 -> 10.1.0.80",
                 "www-data", "T1059.004", "process_command_line=bash -i"):  # fmt: skip
        assert part in first
    assert "Port\\u000aScan\\u001b[31m" in second


@pytest.mark.parametrize("kind", CHANNELS)
def test_says_when_it_will_never_work(kind: str, receiver: Receiver) -> None:
    with pytest.raises(WillNeverWorkError):
        BROKEN[kind](receiver).deliver(alert())


@pytest.mark.parametrize("kind", CHANNELS)
def test_has_a_stable_name(kind: str, receiver: Receiver) -> None:
    assert GOOD[kind](receiver)[0].name == GOOD[kind](receiver)[0].name


def test_webhook_sends_the_columns_of_the_alert(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    config = webhook.Config(name="soc", url=receiver.url, token_file=tmp_path / "token")
    webhook.Webhook(config).deliver(alert())
    (got,) = receiver.got
    assert got["source_ip"] == "10.1.0.7"
    assert got["alert_created"].endswith("Z")
    assert got["evidence"] == {"process_command_line": "bash -i", "number": 0}
    assert "Shell ngược từ tài khoản máy chủ web" in got["text"]
    assert "[NGHIÊM TRỌNG]" in got["text"]
    assert receiver.headers[0]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_webhook_tries_again_when_the_receiver_is_unwell(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(TryAgainError, match=str(status)):
        good_webhook(receiver)[0].deliver(alert())


@pytest.mark.parametrize("status", [302, 400, 401])
def test_webhook_gives_up_on_other_answers(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(WillNeverWorkError, match=str(status)):
        good_webhook(receiver)[0].deliver(alert())


def test_webhook_is_bounded_in_time_by_a_receiver_that_drips(receiver: Receiver) -> None:
    receiver.slow = True
    with pytest.raises(TryAgainError):
        webhook.Webhook(webhook.Config(name="soc", url=receiver.url, timeout_s=0.3)).deliver(alert())


def test_webhook_tries_again_when_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(TryAgainError, match="refused"):
            webhook.Webhook(webhook.Config(name="soc", url=url)).deliver(alert())


def test_webhook_verifies_the_receivers_certificate(tmp_path: Path) -> None:
    pki.init_authority(tmp_path)
    issued = pki.issue(tmp_path, "hook", "collector", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    serving = serve(context)
    receiver = next(serving)
    try:
        webhook.Webhook(webhook.Config(name="soc", url=receiver.url, authority=issued.authority)).deliver(alert())
        assert len(receiver.got) == 1
        with pytest.raises(TryAgainError, match="certificate not trusted"):
            webhook.Webhook(webhook.Config(name="soc", url=receiver.url)).deliver(alert())
        assert len(receiver.got) == 1
    finally:
        next(serving, None)


@pytest.mark.parametrize("url", ["ftp://x/", "https://", "hook", "http://a b/", "https://x:99999/", "http://x/\r\n"])
def test_webhook_addresses_are_checked(url: str) -> None:
    assert webhook.http_url(url)


def test_files_that_the_webhook_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("not a certificate")
    with pytest.raises(UserError, match="authority"):
        webhook.Webhook(webhook.Config(name="a", url="https://x/", authority=tmp_path / "x"))
    with pytest.raises(UserError, match="token"):
        webhook.Webhook(webhook.Config(name="a", url="https://x/", token_file=tmp_path / "none"))


def test_two_channels_of_one_name_are_a_mistake() -> None:
    one = webhook.Config(name="soc", url="http://127.0.0.1/")
    with pytest.raises(UserError, match="webhook:soc"):
        build(Config(webhook=[one, one]))


def test_a_fast_answer_needs_no_watchdog(receiver: Receiver) -> None:
    before = threading.active_count()
    for number in range(5):
        good_webhook(receiver)[0].deliver(alert(number))
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer) and not one.finished.is_set()]
