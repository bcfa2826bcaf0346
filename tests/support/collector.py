"""A real collector process on a store of its own, and a real gRPC client with a certificate of its authority."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from luytre_collector import pki, query
from luytre_collector.config import load
from luytre_common import tls
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

START_S = 60.0


class CollectorProcess:
    """One collector: its folder, its authority, its process."""

    def __init__(self, folder: Path, extra: str = "", ingest: str = "") -> None:
        self.folder = folder
        self.pki = folder / "pki"
        self.config = folder / "collector.toml"
        self.address = ""
        self._ready = folder / "ready"
        self._process: subprocess.Popen[bytes] | None = None
        pki.init_authority(self.pki)
        pki.issue(self.pki, "collector", "collector", ["localhost", "127.0.0.1"])
        if "[disk]" not in extra:  # a machine that is nearly full tests the rest all the same
            extra += "\n[disk]\nlow_water_bytes = 1\n"
        self.config.write_text(f"""
[collector]
name = "collector-test"
[ingest]
listen = "127.0.0.1:0"
{ingest}
[ingest.tls]
authority = "{self.pki}/authority.pem"
certificate = "{self.pki}/collector.pem"
key = "{self.pki}/collector.key"
[quarantine]
directory = "{folder}/quarantine"
[store.embedded]
directory = "{folder}/store"
[notify.outbox]
directory = "{folder}/outbox"
{extra}
""")

    def start(self, **environment: str) -> None:
        self._ready.unlink(missing_ok=True)
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            command = [sys.executable, "-m", "luytre_collector", "run", "--config", str(self.config)]
            command += ["--ready-file", str(self._ready)]
            self._process = subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | environment)
        deadline = time.monotonic() + START_S
        while not self._ready.exists():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        self.address = self._ready.read_text().strip()

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._process = None
        return code

    def close(self) -> None:
        if self._process is not None:
            self.kill()

    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "luytre_collector", *arguments],
            capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "100"},
        )  # fmt: skip

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask the running collector."""
        answer = query.run_query(load(self.config).store, sql, "JSONEachRow", utc=True)
        return [json.loads(line) for line in answer.splitlines()]

    def value(self, sql: str) -> int:
        (row,) = self.query(sql)
        (value,) = row.values()
        return int(value)

    def counter(self, name: str, label: str = "") -> int:
        """The newest value of a counter in `collector_health`; 0 if there is none."""
        rows = self.query(
            f"SELECT value FROM collector_health WHERE counter = '{name}' AND label = '{label}'"
            " ORDER BY event_time DESC LIMIT 1"
        )
        return int(rows[0]["value"]) if rows else 0

    def identity(self, name: str, authority: Path | None = None) -> tls.Identity:
        """An agent's certificate, made when first asked for."""
        folder = authority or self.pki
        if not (folder / f"{name}.pem").exists():
            pki.issue(folder, name, "agent")
        given = tls.Config(self.pki / "authority.pem", folder / f"{name}.pem", folder / f"{name}.key")
        return tls.Identity(given.authority.read_bytes(), given.certificate.read_bytes(), given.key.read_bytes())


class AgentStream:
    """One open stream."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._sending: queue.Queue[pb.AgentMessage | None] = queue.Queue()
        self.call = service.deliver(channel, iter(self._sending.get, None))

    def hello(self, protocol: int = 1, host: str = "web-01.hue.example") -> pb.Welcome:
        self.send(pb.AgentMessage(hello=pb.Hello(protocol=protocol, agent_version="0.1.0", host_name=host)))
        return self.next().welcome

    def send(self, message: pb.AgentMessage | pb.Batch) -> None:
        self._sending.put(pb.AgentMessage(batch=message) if isinstance(message, pb.Batch) else message)

    def next(self) -> pb.CollectorMessage:
        return next(iter(self.call))

    def deliver(self, *batches: pb.Batch) -> list[pb.CollectorMessage]:
        """Send all, then read one answer each."""
        for batch in batches:
            self.send(batch)
        return [self.next() for _ in batches]

    def end(self) -> None:
        self._sending.put(None)
        self.call.cancel()


@contextmanager
def stream(address: str, identity: tls.Identity | None, credentials: Any = None) -> Iterator[AgentStream]:
    """A stream to the collector at `address`."""
    given = credentials or tls.channel_credentials(identity)  # type: ignore[arg-type]
    with grpc.secure_channel(address, given, options=service.OPTIONS) as channel:
        opened = AgentStream(channel)
        try:
            yield opened
        finally:
            opened.end()


def issue_client(folder: Path, common_name: str) -> tls.Identity:
    """A client's certificate of the authority in `folder`, for a name that `pki issue` would not give."""
    authority = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    signer = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(authority.subject, subject, key.public_key(), 7, now, now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return tls.Identity((folder / "authority.pem").read_bytes(), certificate.public_bytes(pem), secret)
