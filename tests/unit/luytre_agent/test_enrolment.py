"""The first certificate: nothing is told to a stranger, and it can be asked for again after any failure."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from luytre_agent import enrolment, pair
from luytre_agent.certificate import facts
from luytre_common import tls
from luytre_common.errors import Unavailable, UserError
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from tests.support.collector_end import Authority

SECRET = "s" * 32


class Door:
    """An enrolment service: real gRPC and TLS, its answers from a script."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.requests: list[pb.EnrolRequest] = []
        self.answer: Callable[[pb.EnrolRequest], pb.Certificate] = self.sign
        files = self.authority.issue("collector")
        chain = files.certificate.read_bytes() + files.authority.read_bytes()
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        method = grpc.unary_unary_rpc_method_handler(
            self.enrol, pb.EnrolRequest.FromString, pb.Certificate.SerializeToString
        )
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service.ENROLMENT, {"Enrol": method}),)
        )
        credentials = tls.open_server_credentials(files.key.read_bytes(), chain)
        self.address = f"127.0.0.1:{self.server.add_secure_port('127.0.0.1:0', credentials)}"
        self.server.start()

    def enrol(self, request: pb.EnrolRequest, context: Any) -> pb.Certificate:
        self.requests.append(request)
        try:
            return self.answer(request)
        except PermissionError as error:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            raise

    def sign(self, request: pb.EnrolRequest) -> pb.Certificate:
        return pb.Certificate(
            certificate=self.authority.sign(request.signing_request), policy_key=bytes(range(32)), port=7071
        )

    @property
    def pem(self) -> bytes:
        return (self.authority.folder / "authority.pem").read_bytes()

    def token(self) -> str:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pem.decode())).digest()
        return f"lt1.01234567.{SECRET}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path / "pki")
    yield made
    made.server.stop(0).wait()


def test_enrolled(door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "new/agent"
    done = enrolment.enrol(door.address, door.token(), "web-01", folder, 30)
    assert (done.name, done.port) == ("web-01", 7071)
    identity = tls.read(done.files, "agent")
    assert facts(identity.certificate).common_name == "web-01"
    assert identity.authority == door.pem
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "authority.pem": 0o644,
        "agent.pem": 0o644,
        "agent.key": 0o600,
        "policy.pub": 0o644,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    (request,) = door.requests
    assert request.token == door.token()
    assert identity.key not in request.SerializeToString()
    assert enrolment.already(done.files) == "web-01"


def test_a_stranger_is_told_nothing(door: Door, tmp_path: Path) -> None:
    ours = Door(tmp_path / "ours")
    try:
        with pytest.raises(Unavailable, match="is not of the authority that the token names; nothing was sent"):
            enrolment.enrol(door.address, ours.token(), "web-01", tmp_path / "agent", 30)
        with pytest.raises(UserError, match="not the one that the token names; nothing was sent"):
            enrolment.enrol(door.address, ours.token(), "web-01", tmp_path / "agent", 30, authority=door.pem)
    finally:
        ours.server.stop(0).wait()
    assert door.requests == []
    assert not (tmp_path / "agent").exists()


def test_who_shows_the_right_authority_and_is_not_of_it_is_told_nothing(door: Door, tmp_path: Path) -> None:
    """The chain alone proves nothing: anybody can show a certificate."""
    other = Authority(tmp_path / "other").issue("collector")
    chain = other.certificate.read_bytes() + door.pem
    server = grpc.server(futures.ThreadPoolExecutor(2))
    seen: list[Any] = []
    method = grpc.unary_unary_rpc_method_handler(lambda request, context: seen.append(request) or pb.Certificate())
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.ENROLMENT, {"Enrol": method}),))
    credentials = tls.open_server_credentials(other.key.read_bytes(), chain)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        with pytest.raises(Unavailable, match=r"certificate of collector .* is not of the authority"):
            enrolment.enrol(f"127.0.0.1:{port}", door.token(), "web-01", tmp_path / "agent", 30)
    finally:
        server.stop(0).wait()
    assert seen == []


def test_what_was_lost_is_asked_for_again_with_the_same_key(door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "agent"

    def lose(request: pb.EnrolRequest) -> pb.Certificate:
        raise RuntimeError("the answer is lost")

    door.answer = lose
    with pytest.raises(Unavailable, match="safe to try again"):
        enrolment.enrol(door.address, door.token(), "web-01", folder, 30)
    assert enrolment.already(enrolment.files_in(folder)) is None
    door.answer = door.sign
    enrolment.enrol(door.address, door.token(), "web-01", folder, 30)
    first, second = door.requests
    assert first.signing_request == second.signing_request


def test_what_is_there_is_kept(door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    before = tls.read(enrolment.enrol(door.address, door.token(), "web-01", folder, 30).files, "agent")
    after = tls.read(enrolment.enrol(door.address, door.token(), "web-02", folder, 30).files, "agent")
    assert facts(after.certificate).common_name == "web-02"
    assert (folder / "agent.key.old").read_bytes() == before.key
    assert (folder / "agent.pem.old").read_bytes() == before.certificate


def test_a_refusal_is_said_in_its_own_words(door: Door, tmp_path: Path) -> None:
    def refuse(request: pb.EnrolRequest) -> pb.Certificate:
        raise PermissionError("token 01234567 is used up; ask for another")

    door.answer = refuse
    with pytest.raises(UserError, match="token 01234567 is used up; ask for another"):
        enrolment.enrol(door.address, door.token(), "web-01", tmp_path / "agent", 30)


@pytest.mark.parametrize("certificate", [b"", b"nonsense"])
def test_an_answer_that_is_none(door: Door, tmp_path: Path, certificate: bytes) -> None:
    door.answer = lambda request: pb.Certificate(certificate=certificate)
    with pytest.raises(UserError):
        enrolment.enrol(door.address, door.token(), "web-01", tmp_path / "agent", 30)
    assert enrolment.already(enrolment.files_in(tmp_path / "agent")) is None


def test_a_certificate_for_somebody_else(door: Door, tmp_path: Path) -> None:
    door.answer = lambda request: pb.Certificate(certificate=door.authority.sign(request.signing_request, name="db-01"))
    with pytest.raises(UserError, match="is for 'db-01', not for 'web-01'"):
        enrolment.enrol(door.address, door.token(), "web-01", tmp_path / "agent", 30)


@pytest.mark.parametrize("token", ["", "lt1", "lt1.01234567.s.p", "lt2.01234567." + SECRET + "." + "a" * 43, "é"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(UserError, match="this is not a token"):
        enrolment.pinned(token)


def test_nothing_below_tls_1_3(door: Door, tmp_path: Path) -> None:
    """Neither at the first contact nor on the stream does the agent speak an older version."""
    files = door.authority.issue("old")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    versions: list[str | None] = []

    def serve(listener: socket.socket, count: int) -> None:
        for _ in range(count):
            plain, _address = listener.accept()
            with plain:
                try:
                    with context.wrap_socket(plain, server_side=True) as secured:
                        versions.append(secured.version())
                except OSError:
                    versions.append(None)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, 2))
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Unavailable, match=r"no TLS 1\.3 with 127\.0\.0\.1"):
            enrolment.find_authority(address, bytes(32), 30)
        identity = tls.read(door.authority.issue("web-01"), "agent")
        options = [*service.OPTIONS, ("grpc.enable_retries", 0)]
        with grpc.secure_channel(address, tls.channel_credentials(identity), options=options) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                service.enrol(channel, pb.EnrolRequest(), 30)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        thread.join(30)
    assert versions == [None, None]


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unavailable, match="did not answer within"):
            enrolment.find_authority(f"127.0.0.1:{port}", bytes(32), 0.2)
    with pytest.raises(Unavailable, match="cannot be reached"):
        enrolment.find_authority(f"127.0.0.1:{port}", bytes(32), 5)


def test_other_peoples_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "agent.key").write_text("mine")
    with pytest.raises(UserError, match=r"authority\.pem: No such file"):
        enrolment.already(enrolment.files_in(tmp_path))
    assert pair.next_of(tmp_path / "agent.key").exists() is False
