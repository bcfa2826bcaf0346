"""The two doors for certificates, with a real gRPC client: the one for tokens, and the one for renewals."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from luytre_collector import pki
from luytre_collector.enrol import tokens
from luytre_collector.enrol.config import Config
from luytre_collector.enrol.server import Enrolment, open_desk, revocation_lists
from luytre_collector.enrol.tokens import Tokens
from luytre_collector.ingest.quarantine import Config as QuarantineConfig
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.ingest.server import Config as IngestConfig
from luytre_collector.ingest.server import IngestServer
from luytre_common import tls
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from tests.support.requests import signing_request

POLICY_KEY = bytes(range(32))


class Doors:
    """Both servers of one collector."""

    def __init__(self, folder: Path, signs: Path | None = None) -> None:
        """`signs`: the folder of the authority that signs, if it is another one than the collector's own."""
        self.folder = folder
        self.time = 1000.0
        if not (folder / "authority.pem").exists():
            pki.init_authority(folder)
        if not (folder / "localhost.pem").exists():
            pki.issue(folder, "localhost", "collector", ["localhost", "127.0.0.1"])
        files = tls.Config(*(folder / name for name in ("authority.pem", "localhost.pem", "localhost.key")))
        identity = tls.read(files, "collector")
        config = Config(listen="127.0.0.1:0", tokens=folder / "tokens", authority=signs)
        desk = open_desk(config, files)
        assert desk is not None
        self.desk = desk
        self.counters, self.ingest_counters = Counters("enrol"), Counters("ingest")
        self.enrolment = Enrolment(config, desk, identity, POLICY_KEY, self.counters, lambda: self.time)
        quarantine = Quarantine(QuarantineConfig(directory=folder / "aside"), Counters("quarantine"), lambda: 0.0)
        ingest = IngestConfig(tls=files, listen="127.0.0.1:0")
        parts = (ingest, identity, "c1", lambda batch, done: done(None), quarantine, self.ingest_counters, lambda: 0.0)
        self.ingest = IngestServer(*parts, (), self.enrolment.renew)
        self.mute = IngestServer(*parts)

    async def start(self) -> None:
        self.ingest_address = await self.ingest.start()
        self.mute_address = await self.mute.start()
        self.address = await self.enrolment.start(self.ingest_address)

    async def stop(self) -> None:
        await self.enrolment.stop()
        await self.ingest.stop(0)
        await self.mute.stop(0)

    def token(self, names: str = "*", uses: int = 1) -> str:
        now = datetime.now(UTC)
        text, kept = tokens.make(names, uses, 1.0, self.desk.authority.fingerprint, now, os.urandom)
        Tokens(self.folder / "tokens").add(kept, now)
        return text

    async def enrol(self, token: str, request: bytes) -> pb.Certificate:
        def ask() -> pb.Certificate:
            credentials = grpc.ssl_channel_credentials((self.folder / "authority.pem").read_bytes())
            with grpc.secure_channel(self.address, credentials) as channel:
                return service.enrol(channel, pb.EnrolRequest(token=token, signing_request=request, host_name="h"), 30)

        return await asyncio.to_thread(ask)

    async def renew(self, identity: tls.Identity, request: bytes, address: str = "") -> pb.Certificate:
        credentials = tls.channel_credentials(identity)
        async with grpc.aio.secure_channel(address or self.ingest_address, credentials) as channel:
            return await service.renew(channel, pb.RenewRequest(signing_request=request), 30)


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    made = Doors(tmp_path)
    await made.start()
    yield made
    await made.stop()


def identity(doors: Doors, certificate: pb.Certificate, key: ec.EllipticCurvePrivateKey) -> tls.Identity:
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return tls.Identity((doors.folder / "authority.pem").read_bytes(), certificate.certificate, pem)


async def test_a_certificate_for_a_token_and_the_next_for_that(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    key = ec.generate_private_key(ec.SECP256R1())
    got = await doors.enrol(doors.token(), signing_request("web-01", key))
    certificate = x509.load_pem_x509_certificate(got.certificate)
    assert certificate.public_key() == key.public_key()
    assert got.authority == (doors.folder / "authority.pem").read_bytes()
    assert got.policy_key == POLICY_KEY
    assert got.port == int(doors.ingest_address.rpartition(":")[2])
    assert doors.counters.get("enrolled") == 1
    assert f"enrolled name=web-01 serial={certificate.serial_number:x} " in caplog.text
    ours = identity(doors, got, key)
    after = await doors.renew(ours, signing_request("web-01"))
    assert x509.load_pem_x509_certificate(after.certificate).subject == certificate.subject
    assert doors.counters.get("renewed") == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await doors.renew(ours, signing_request("web-02"))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert doors.counters.get("renewals_refused", "name") == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await doors.renew(ours, signing_request("web-01"), doors.mute_address)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert doors.ingest_counters.get("renewals_refused", "not_here") == 1


async def test_a_machine_that_is_replaced(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await doors.enrol(doors.token(), signing_request("web-01"))
    await doors.enrol(doors.token("web-01"), signing_request("web-01"))
    assert doors.counters.get("machines_replaced", "revoked") == 1
    assert " revoked=" in caplog.text


async def test_guessing_comes_to_an_end(doors: Doors) -> None:
    codes = []
    for _ in range(8):
        with pytest.raises(grpc.RpcError) as refused:
            await doors.enrol("lt1.guess", signing_request("web-01"))
        codes.append(refused.value.code())
    denied, exhausted = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED
    assert codes == [denied] * 5 + [exhausted] * 3
    assert doors.counters.get("enrolments_refused", "unknown") == 5
    assert doors.counters.get("enrolments_refused", "too_many") == 3
    doors.time += 61
    await doors.enrol(doors.token(), signing_request("web-01"))


async def test_books_that_cannot_be_written_are_our_fault(doors: Doors) -> None:
    (doors.folder / "issued.jsonl").write_text("nonsense\n")
    doors.desk.authority.books = pki.Authority(doors.folder).books
    with pytest.raises(grpc.RpcError) as refused:
        await doors.enrol(doors.token(), signing_request("web-01"))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "nonsense" not in refused.value.details()
    assert str(doors.folder) not in refused.value.details()
    assert doors.counters.get("signing_failed") == 1


async def test_books_that_are_damaged_are_said_at_the_start(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await doors.enrolment.tidy()
    assert caplog.text == ""
    (doors.folder / "issued.jsonl").write_text("nonsense\n")
    doors.desk.authority.books = pki.Authority(doors.folder).books
    await doors.enrolment.tidy()
    assert "the authority's books: " in caplog.text


async def test_one_authority_takes_the_place_of_another(tmp_path: Path) -> None:
    """As deploy/pki.md has it: both are trusted, the new one signs, agents change over when they renew."""
    old, new = tmp_path / "old", tmp_path / "new"
    pki.init_authority(old)
    pki.init_authority(new)
    pki.issue(old, "web-01", "agent")
    both = (old / "authority.pem").read_bytes() + (new / "authority.pem").read_bytes()
    agent = tls.Identity(both, (old / "web-01.pem").read_bytes(), (old / "web-01.key").read_bytes())
    pki.issue(old, "localhost", "collector", ["localhost", "127.0.0.1"])
    (old / "authority.pem").write_bytes(both)
    doors = Doors(old, signs=new)
    await doors.start()
    try:
        key = ec.generate_private_key(ec.SECP256R1())
        got = await doors.renew(agent, signing_request("web-01", key))
        certificate = x509.load_pem_x509_certificate(got.certificate)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((new / "authority.pem").read_bytes()))
        after = await doors.renew(identity(doors, got, key), signing_request("web-01"))
        assert x509.load_pem_x509_certificate(after.certificate).subject == certificate.subject
    finally:
        await doors.stop()


def handshake(doors: Doors, address: str, version: ssl.TLSVersion) -> str | None:
    """The version that is agreed on; None if none is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(doors.folder / "authority.pem")
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            return secured.version()
    except (ssl.SSLError, ConnectionError):
        return None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_nothing_below_tls_1_3_at_either_door(doors: Doors) -> None:
    for address in (doors.address, doors.ingest_address):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2):
            assert await asyncio.to_thread(handshake, doors, address, version) is None, (address, version)
        assert await asyncio.to_thread(handshake, doors, address, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def test_who_signs(tmp_path: Path) -> None:
    pki.init_authority(tmp_path / "here")
    pem, elsewhere = tmp_path / "here/authority.pem", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "authority.pem").write_bytes(pem.read_bytes())
    ours, theirs = (tls.Config(folder / "authority.pem", folder, folder) for folder in (tmp_path / "here", elsewhere))
    assert open_desk(Config(), ours) is not None
    assert open_desk(Config(), theirs) is None
    desk = open_desk(Config(authority=tmp_path / "here"), theirs)
    books = tmp_path / "here/revoked.jsonl"
    assert revocation_lists(elsewhere / "revoked.jsonl", desk) == [elsewhere / "revoked.jsonl", books]
    assert revocation_lists(books, desk) == [books]
    assert revocation_lists(books, None) == [books]
    with pytest.raises(UserError, match=r"enrol\.listen: .* has no authority\.key"):
        open_desk(Config(listen="127.0.0.1:0"), theirs)
    (elsewhere / "authority.key").write_text("nonsense")
    assert open_desk(Config(), theirs) is None
    with pytest.raises(UserError, match="damaged"):
        open_desk(Config(authority=elsewhere), ours)
