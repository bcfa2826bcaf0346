"""A real collector's end for the agent to talk to: gRPC, mutual TLS, certificates made on the spot, and a script."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from luytre_common import tls
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service


@dataclass(frozen=True)
class Sealed:
    table: str = "flows"
    rows: int = 10
    body: bytes = b"rows" * 10
    first_event: int = 1
    last_event: int = 2
    raw_size: int = 400


class Authority:
    """Issues certificates into a folder; `days` says how long they are good from now."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.name = folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._write(name, self._key, self._key, ca=True, days=1)

    def issue(self, name: str, days: float = 1) -> tls.Config:
        self._write(name, ec.generate_private_key(ec.SECP256R1()), self._key, ca=False, days=days)
        return tls.Config(*(self.folder / file for file in (f"{self.name}.pem", f"{name}.pem", f"{name}.key")))

    def sign(self, request: bytes, days: float = 1, name: str = "") -> bytes:
        """The certificate, PEM, that a signing request (DER) asks for, or another one for its key."""
        asked = x509.load_der_x509_csr(request)
        assert asked.is_signature_valid
        wanted = name or str(asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        key = asked.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        signed = self._certificate(wanted, key, self._key, ca=False, days=days)
        return signed.public_bytes(serialization.Encoding.PEM)

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool, days: float
    ) -> None:
        certificate = self._certificate(name, key.public_key(), signer, ca, days)
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        file = self.folder / f"{name}.key"
        file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        file.chmod(0o600)

    def _certificate(
        self, name: str, key: ec.EllipticCurvePublicKey, signer: ec.EllipticCurvePrivateKey, ca: bool, days: float
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        sans = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(sans), critical=False)
            .sign(signer, hashes.SHA256())
        )


Answer = Callable[["Collector", pb.Batch], Iterator[pb.CollectorMessage]]


def acknowledge(collector: Collector, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
    """What a collector in good order says."""
    through = batch.first_sequence + batch.row_count - 1
    yield pb.CollectorMessage(
        ack=pb.Ack(boot_id=batch.boot_id, stream=batch.stream, through_sequence=through, credit=collector.credit)
    )


@dataclass
class Collector:
    """Every batch it got, in order, by stream opened, and what else was said; `answer` is the script."""

    answer: Answer = acknowledge
    credit: int = 4
    protocol: int = 1
    refuse_with: tuple[grpc.StatusCode, str] | None = None
    renew: Callable[[bytes], pb.Certificate] | None = None
    ping: int | None = None
    hellos: list[pb.Hello] = field(default_factory=list)
    batches: list[pb.Batch] = field(default_factory=list)
    said: list[pb.AgentMessage] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)
    identities: list[bytes] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0
    _server: Any = None

    def start(self, identity: tls.Config, port: int = 0) -> None:
        handler = grpc.stream_stream_rpc_method_handler(
            self._deliver, pb.AgentMessage.FromString, pb.CollectorMessage.SerializeToString
        )
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=[*service.OPTIONS, ("grpc.so_reuseport", 0)])
        renew = grpc.unary_unary_rpc_method_handler(
            self._renew, pb.RenewRequest.FromString, pb.Certificate.SerializeToString
        )
        generic = grpc.method_handlers_generic_handler(service.SERVICE, {"Deliver": handler, "Renew": renew})
        self._server.add_generic_rpc_handlers((generic,))
        credentials = tls.server_credentials(tls.read(identity, "collector"))
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self._server.start()

    def stop(self) -> None:
        if self._server:
            self._server.stop(0).wait()

    def _renew(self, request: pb.RenewRequest, context: Any) -> pb.Certificate:
        if self.renew is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this collector does not sign")
        return self.renew(request.signing_request)  # type: ignore[misc]

    def _deliver(self, messages: Iterator[pb.AgentMessage], context: Any) -> Iterator[pb.CollectorMessage]:
        if self.refuse_with:
            context.abort(*self.refuse_with)
        self.hellos.append(next(messages).hello)
        self.streams.append(0)
        self.identities.extend(context.auth_context()["x509_pem_cert"])
        yield pb.CollectorMessage(welcome=pb.Welcome(protocol=self.protocol, credit=self.credit, agent_id="web-01"))
        if self.ping is not None:
            yield pb.CollectorMessage(ping=pb.Ping(nonce=self.ping))
        for message in messages:
            if message.WhichOneof("kind") != "batch":
                self.said.append(message)
                continue
            with self.changed:
                self.batches.append(message.batch)
                self.streams[-1] += 1
                self.changed.notify_all()
            yield from self.answer(self, message.batch)

    def wait(self, ready: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(ready, 30)
