"""Certificates are renewed in time, over the real wire, and nothing that waits is lost by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from luytre_agent import pair
from luytre_agent.certificate import Facts, facts
from luytre_agent.spool import Spool
from luytre_agent.uplink import Config, Uplink
from luytre_agent.uplink.renewal import due_at, wait_s
from luytre_common import tls
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.waiting import until


def test_a_third_to_a_quarter_before_the_end() -> None:
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    mine = Facts("web-01", begins, begins + timedelta(days=90))
    assert due_at(mine, 0.0) == pytest.approx((begins + timedelta(days=60)).timestamp())
    assert due_at(mine, 1.0) == pytest.approx((begins + timedelta(days=67.5)).timestamp())


def test_attempts_come_closer_towards_the_end() -> None:
    assert wait_s(30 * 86_400, 0.5) == 3600
    assert wait_s(600, 0.5) == 30
    assert wait_s(5, 0.0) == 0.5
    assert wait_s(-5, 0.5) == 3600


@pytest.fixture
def renewing(spool: Spool) -> Any:
    made: list[Uplink] = []

    def make(files: tls.Config, port: int) -> Uplink:
        config = Config(collector=f"127.0.0.1:{port}", reconnect_seconds=0.1)
        known = tls.read(files, "agent")
        uplink = Uplink(config, files, known, spool, lambda: pb.Hello(protocol=1), lambda: 0.1, renew=True)
        made.append(uplink)
        uplink.start()
        return uplink

    yield make
    for uplink in made:
        uplink.stop()


def test_renewed_and_used_from_the_next_connection_on(
    spool: Spool, sealed: Any, authority: Any, collector: Any, renewing: Any
) -> None:
    certificates: list[bytes] = []

    def sign(request: bytes) -> pb.Certificate:
        certificates.append(authority.sign(request, days=1))
        return pb.Certificate(certificate=certificates[-1])

    collector.renew = sign
    collector.start(authority.issue("collector"))
    files = authority.issue("web-01", days=0.1)  # of 2.1 days, a twentieth is left
    before = files.key.read_bytes()
    uplink = renewing(files, collector.port)
    until(lambda: uplink.counters.get("renewals") == 1)
    assert uplink.counters.get("renewals_failed") == 0
    assert len(certificates) == 1
    assert files.certificate.read_bytes() == certificates[0]
    assert files.key.read_bytes() != before
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert facts(files.certificate.read_bytes()).common_name == "web-01"
    assert len(collector.streams) == 1  # the stream goes on
    gauges = {one.name: one.value for one in uplink.samples()}
    assert 80_000 < gauges["certificate_expires_in_seconds"] <= 86_400
    spool.append(sealed(), 1.0)
    assert uplink.drain(30)
    collector.stop()
    collector.start(authority.issue("collector"), collector.port)
    spool.append(sealed(), 2.0)
    assert uplink.drain(30)
    assert collector.identities[-1] == certificates[0]


@pytest.mark.parametrize("answer", ["refused", "nonsense", "other"])
def test_a_failure_is_counted_and_tried_again(authority: Any, collector: Any, renewing: Any, answer: str) -> None:
    asked: list[bytes] = []

    def sign(request: bytes) -> pb.Certificate:
        asked.append(request)
        if len(asked) > 1:
            return pb.Certificate(certificate=authority.sign(request))
        if answer == "refused":
            raise RuntimeError("the collector is at fault")
        name = "web-02" if answer == "other" else "web-01"
        certificate = authority.sign(request, name=name)
        return pb.Certificate(certificate=certificate if answer == "other" else certificate[:100])

    collector.renew = sign
    collector.start(authority.issue("collector"))
    files = authority.issue("web-01", days=10 / 86_400)
    before = tls.read(files, "agent")
    uplink = renewing(files, collector.port)
    until(lambda: uplink.counters.get("renewals") == 1)
    assert uplink.counters.get("renewals_failed", "unknown" if answer == "refused" else "file") == 1
    assert asked[0] == asked[1]  # the same key: what was signed for it and lost can be asked for again
    assert tls.read(files, "agent") != before
    assert not pair.next_of(files.key).exists()


def test_a_ping_is_answered(authority: Any, collector: Any, renewing: Any) -> None:
    collector.ping = 2**64 - 1
    collector.start(authority.issue("collector"))
    uplink = renewing(authority.issue("web-01"), collector.port)
    until(lambda: uplink.counters.get("pings_answered") == 1)
    until(lambda: any(one.pong.nonce == 2**64 - 1 for one in collector.said))


def test_an_expired_certificate_is_named(authority: Any, collector: Any, renewing: Any, caplog: Any) -> None:
    collector.start(authority.issue("collector"))
    files = authority.issue("web-01", days=-1)
    uplink = renewing(files, collector.port)
    until(lambda: uplink.counters.get("disconnects", "expired") >= 1)
    assert f"our certificate {files.certificate} has expired; ask for a token, enrol again" in caplog.text
    until(lambda: uplink.counters.get("renewals_failed", "unavailable") == 1)


def test_a_fault_of_ours_is_a_failed_attempt_and_not_the_last(
    authority: Any, collector: Any, renewing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: tls.Config) -> bytes:
        raise RuntimeError("a fault")

    monkeypatch.setattr(pair, "next_key", fail)
    collector.start(authority.issue("collector"))
    uplink = renewing(authority.issue("web-01", days=0.1), collector.port)
    until(lambda: uplink.counters.get("renewals_failed", "failed") == 1)
