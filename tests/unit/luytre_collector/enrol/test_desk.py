"""What is signed for whom."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from luytre_collector import pki
from luytre_collector.enrol import tokens
from luytre_collector.enrol.desk import MAX_RENEWALS, Desk, RefusedError, Signed
from luytre_collector.enrol.tokens import Tokens
from luytre_collector.ingest import identity
from luytre_collector.ingest.control import Peer
from luytre_collector.pki import books

from tests.support.requests import signing_request

KEY = ec.generate_private_key(ec.SECP256R1())


class Counter:
    """A desk with its folder and its time."""

    def __init__(self, folder: Path, replaced: str = "revoke") -> None:
        self.time = datetime(2026, 11, 30, 12, tzinfo=UTC)
        self.folder = folder
        pki.init_authority(folder, clock=lambda: self.time)
        self.authority = pki.Authority(folder, lambda: self.time)
        self.tokens = Tokens(folder / "tokens")
        self.desk = Desk(self.authority, self.tokens, timedelta(days=90), replaced)  # type: ignore[arg-type]

    def token(self, names: str = "web-*", uses: int = 1, hours: float = 24.0) -> str:
        text, kept = tokens.make(names, uses, hours, self.authority.fingerprint, self.time, os.urandom)
        self.tokens.add(kept, self.time)
        return text

    def refused(self, token: str, request: bytes) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(RefusedError) as fault:
            self.desk.enrol(token, request)
        return fault.value.status, fault.value.cause

    def standing(self, name: str) -> list[str]:
        return [one.serial for one in self.authority.books.standing(name, self.time)]


@pytest.fixture
def at(tmp_path: Path) -> Counter:
    return Counter(tmp_path)


def peer(signed: Signed) -> Peer:
    return identity.peer({"x509_pem_cert": [pki.to_pem(signed.certificate)]}, "ipv4:192.0.2.7:1")


def test_only_name_and_key_are_taken_from_a_request(at: Counter) -> None:
    signed = at.desk.enrol(at.token(), signing_request("web-01", KEY, greedy=True)).certificate
    assert [name.value for name in signed.subject] == ["web-01"]
    assert signed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert signed.public_key() == KEY.public_key()
    extensions = signed.extensions
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web-01"]
    assert signed.not_valid_after_utc == at.time + timedelta(days=90)
    signed.verify_directly_issued_by(at.authority.certificate)


def test_a_token_is_good_so_often_and_so_long(at: Counter) -> None:
    token = at.token(uses=2)
    at.desk.enrol(token, signing_request("web-01"))
    at.desk.enrol(token, signing_request("web-02"))
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert at.refused(token, signing_request("web-03")) == (denied, "used_up")
    late = at.token()
    at.time += timedelta(hours=24)
    assert at.refused(late, signing_request("web-03")) == (denied, "expired")
    gone = at.token()
    at.tokens.revoke(gone.split(".")[1])
    assert at.refused(gone, signing_request("web-03")) == (denied, "revoked")
    assert at.refused(at.token("db-*"), signing_request("web-03")) == (denied, "name")
    assert at.refused("lt1.nonsense", signing_request("web-03")) == (denied, "unknown")
    assert at.standing("web-03") == []


def test_what_cannot_be_signed_uses_nothing_up(at: Counter) -> None:
    token = at.token("*")
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert at.refused(token, b"nonsense") == (invalid, "request")
    assert at.refused(token, signing_request("a..b")) == (invalid, "request")
    at.desk.enrol(token, signing_request("web-01"))


def test_who_lost_the_answer_may_ask_again_with_the_same_key(at: Counter) -> None:
    token = at.token()
    first = at.desk.enrol(token, signing_request("web-01", KEY))
    again = at.desk.enrol(token, signing_request("web-01", KEY))
    assert (first.again, again.again) == (False, True)
    assert set(at.standing("web-01")) == {first.serial, again.serial}
    assert at.refused(token, signing_request("web-01"))[1] == "used_up"
    at.tokens.revoke(token.split(".")[1])
    assert at.refused(token, signing_request("web-01", KEY))[1] == "revoked"


def test_a_token_for_many_takes_nobodys_place(at: Counter) -> None:
    token = at.token("*", uses=3)
    at.desk.enrol(token, signing_request("web-01"))
    assert at.refused(token, signing_request("web-01")) == (grpc.StatusCode.PERMISSION_DENIED, "taken")
    books.revoke(at.authority.books, "web-01", "", lambda: at.time)
    at.desk.enrol(token, signing_request("web-01"))


def test_a_token_for_one_replaces_the_machine(at: Counter) -> None:
    old = at.desk.enrol(at.token(), signing_request("web-01"))
    new = at.desk.enrol(at.token("web-01"), signing_request("web-01"))
    assert new.revoked
    assert [one.serial for one in new.others] == [old.serial]
    assert at.standing("web-01") == [new.serial]
    (revoked,) = at.authority.books.revoked().entries
    assert revoked.reason.startswith("replaced by enrolment with token ")


def test_or_leaves_it_beside(tmp_path: Path) -> None:
    at = Counter(tmp_path, "keep")
    old = at.desk.enrol(at.token(), signing_request("web-01"))
    new = at.desk.enrol(at.token("web-01"), signing_request("web-01"))
    assert not new.revoked
    assert at.standing("web-01") == [old.serial, new.serial]


def test_no_agent_gets_the_name_of_a_collector(at: Counter) -> None:
    pki.issue(at.folder, "soc", "collector", clock=lambda: at.time)
    assert at.refused(at.token("soc"), signing_request("soc"))[1] == "taken"


def test_renewal_is_for_the_same_name_and_key_of_its_own(at: Counter) -> None:
    old = at.desk.enrol(at.token(), signing_request("web-01"))
    new = at.desk.renew(peer(old), signing_request("web-01", KEY, greedy=True))
    assert new.certificate.public_key() == KEY.public_key()
    assert set(at.standing("web-01")) == {old.serial, new.serial}
    with pytest.raises(RefusedError, match="you are web-01, and cannot have a certificate for web-02") as fault:
        at.desk.renew(peer(old), signing_request("web-02"))
    assert (fault.value.status, fault.value.cause) == (grpc.StatusCode.PERMISSION_DENIED, "name")
    with pytest.raises(RefusedError, match="not a signing request"):
        at.desk.renew(peer(old), b"nonsense")


def test_no_renewal_for_who_is_revoked(at: Counter) -> None:
    old = at.desk.enrol(at.token(), signing_request("web-01"))
    books.revoke(at.authority.books, "web-01", "", lambda: at.time)
    with pytest.raises(RefusedError) as fault:
        at.desk.renew(peer(old), signing_request("web-01"))
    assert fault.value.cause == "revoked"


def test_no_renewal_on_a_connection_that_has_outlived_its_certificate(at: Counter) -> None:
    old = at.desk.enrol(at.token(), signing_request("web-01"))
    at.time = old.certificate.not_valid_after_utc - timedelta(seconds=1)
    at.desk.renew(peer(old), signing_request("web-01"))
    at.time += timedelta(seconds=1)
    with pytest.raises(RefusedError) as fault:
        at.desk.renew(peer(old), signing_request("web-01"))
    assert fault.value.cause == "expired"


def test_who_renews_in_a_loop_is_stopped(at: Counter) -> None:
    old = at.desk.enrol(at.token(), signing_request("web-01"))
    for _ in range(MAX_RENEWALS):
        at.desk.renew(peer(old), signing_request("web-01"))
    with pytest.raises(RefusedError) as fault:
        at.desk.renew(peer(old), signing_request("web-01"))
    assert fault.value.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    at.time += timedelta(days=10)
    at.desk.renew(peer(old), signing_request("web-01"))


def test_what_expired_long_ago_leaves_the_books(at: Counter) -> None:
    at.desk.enrol(at.token(), signing_request("web-01"))
    at.desk.enrol(at.token(), signing_request("web-02"))
    books.revoke(at.authority.books, "web-01", "", lambda: at.time)
    at.time += timedelta(days=489)
    assert at.desk.tidy() == 0
    at.time += timedelta(days=2)
    late = at.desk.enrol(at.token(), signing_request("web-03"))
    assert at.desk.tidy() == 2
    assert [one.serial for one in at.authority.books.issued()] == [late.serial]
    assert at.authority.books.revoked().entries == ()
    again = at.desk.renew(peer(late), signing_request("web-03"))
    assert at.standing("web-03") == [late.serial, again.serial]
