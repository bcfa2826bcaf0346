"""Certificates that really go through a TLS handshake, or really do not."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from luytre_collector.pki import Issued, Role, init_authority, issue
from luytre_common.errors import UserError


def authority(directory: Path) -> Path:
    init_authority(directory)
    return directory


def handshake(server: Issued, client: Issued, host: str = "collector.example") -> str:
    """Mutual TLS in memory; the common name that the server sees. ssl.SSLError where either side refuses."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context, own in ((server_context, server), (client_context, client)):
        context.load_verify_locations(own.authority)
        context.load_cert_chain(own.certificate, own.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client_context.wrap_bio(to_client, to_server, server_hostname=host),
        server_context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(8):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    seen = ends[1].getpeercert()
    assert seen is not None
    return dict(pair[0] for pair in seen["subject"])["commonName"]


def make(directory: Path, name: str, role: Role, hosts: Sequence[str] = ()) -> Issued:
    return issue(directory, name, role, hosts)


@pytest.mark.parametrize("host", ["collector.example", "127.0.0.1", "::1"])
def test_agent_and_collector_shake_hands(tmp_path: Path, host: str) -> None:
    pki = authority(tmp_path)
    collector = make(pki, "collector", "collector", ["collector.example", "127.0.0.1", "::1"])
    assert handshake(collector, make(pki, "web-01", "agent"), host) == "web-01"


def test_an_agent_certificate_cannot_serve(tmp_path: Path) -> None:
    pki = authority(tmp_path)
    thief = make(pki, "web-01", "agent", ["collector.example"])
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        handshake(thief, make(pki, "web-02", "agent"))


def test_a_collector_certificate_cannot_deliver(tmp_path: Path) -> None:
    pki = authority(tmp_path)
    collector = make(pki, "collector", "collector", ["collector.example"])
    with pytest.raises(ssl.SSLError, match=r"purpose|certificate"):
        handshake(collector, make(pki, "other", "collector"))


def test_a_foreign_authority_is_refused_by_both_sides(tmp_path: Path) -> None:
    ours, theirs = authority(tmp_path / "ours"), authority(tmp_path / "theirs")
    collector = make(ours, "collector", "collector", ["collector.example"])
    stranger = make(theirs, "web-01", "agent")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(collector, stranger)
    trusting = Issued(collector.authority, stranger.certificate, stranger.key, "", stranger.expires)
    with pytest.raises(ssl.SSLError):
        handshake(collector, trusting)


def test_a_name_that_was_not_issued_is_refused(tmp_path: Path) -> None:
    pki = authority(tmp_path)
    collector = make(pki, "collector", "collector", ["collector.example"])
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(collector, make(pki, "web-01", "agent"), "elsewhere.example")


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    pki = authority(tmp_path)
    first = make(pki, "web-01", "agent")
    for key in (first.key, pki / "authority.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = {path: path.read_bytes() for path in pki.iterdir()}
    with pytest.raises(UserError, match=r"authority.pem: exists"):
        init_authority(pki)
    with pytest.raises(UserError, match=r"web-01.pem: exists"):
        make(pki, "web-01", "agent")
    assert {path: path.read_bytes() for path in pki.iterdir()} == before


@pytest.mark.parametrize(
    "name", ["", "Web", "a b", "../x", "a/b", "x" * 65, "web\n", ".hidden", "-x", "việt", "authority"]
)
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    pki = authority(tmp_path)
    with pytest.raises(UserError, match="cannot be a name"):
        make(pki, name, "agent")
    assert sorted(path.name for path in pki.iterdir()) == ["authority.key", "authority.pem"]


@pytest.mark.parametrize("host", ["a b", "-x.example", "", "x" * 64 + ".example", "1.2.3.4/24", "a..b"])
def test_a_bad_host_is_refused(tmp_path: Path, host: str) -> None:
    pki = authority(tmp_path)
    with pytest.raises(UserError, match="neither an IP address nor a DNS name"):
        make(pki, "collector", "collector", [host])


def test_without_an_authority_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pki init"):
        make(tmp_path, "web-01", "agent")
    (tmp_path / "authority.pem").write_text("nonsense")
    (tmp_path / "authority.key").write_text("nonsense")
    with pytest.raises(UserError, match="damaged"):
        make(tmp_path, "web-01", "agent")


def test_a_key_that_is_not_the_authoritys_is_refused(tmp_path: Path) -> None:
    one, two = authority(tmp_path / "one"), authority(tmp_path / "two")
    (one / "authority.key").write_bytes((two / "authority.key").read_bytes())
    with pytest.raises(UserError, match="is not the key of"):
        make(one, "web-01", "agent")


def test_a_certificate_ends_with_its_authority_at_the_latest(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    init_authority(tmp_path, days=30, clock=lambda: start)
    made = issue(tmp_path, "web-01", "agent", days=365, clock=lambda: start)
    assert made.expires == start + timedelta(days=30)
    with pytest.raises(UserError, match="expired on 2026-01-31"):
        issue(tmp_path, "web-02", "agent", clock=lambda: start + timedelta(days=31))
    for days in (0, 36501):
        with pytest.raises(UserError, match="days"):
            issue(tmp_path, "web-02", "agent", days=days, clock=lambda: start)


def test_the_report_names_every_file_and_the_fingerprint(tmp_path: Path) -> None:
    pki = authority(tmp_path)
    made = issue(pki, "web-01", "agent", out=tmp_path / "out")
    report = made.report()
    for part in (made.certificate, made.key, made.authority, made.fingerprint):
        assert str(part) in report
    certificate = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    assert made.certificate.parent == tmp_path / "out"
    assert made.fingerprint.count(":") == 31
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert [one.dotted_string for one in usage.value] == ["1.3.6.1.5.5.7.3.2"]
