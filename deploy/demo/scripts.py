"""What the two ends of each connection of the story say to each other, as plain bytes.

A script is a sequence of turns: who speaks, and what. The live story plays scripts over real sockets, the capture maker
writes them as packets; so both show the agent the same conversations.
"""

from __future__ import annotations

import base64
import ssl
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scapy.layers.dns import DNS, DNSQR, DNSRR

CLIENT = True
SERVER = False
Script = Sequence[tuple[bool, bytes]]

#: Where the story's malware reports to, and where it carries data off to. Reserved by RFC 2606.
BEACON_NAME = "cdn-sync.example"
TUNNEL_ZONE = "t.update-cache.example"

#: Names that any office looks up in a morning.
EVERYDAY_NAMES = (
    "www.hue.example", "mail.hue.example", "dichvucong.example", "time.example", "api.weather.example",
    "fonts.example", "www.example.org", "deb.example.net", "vanban.hue.example", "ocsp.ca.example",
)  # fmt: skip


def ssh(rng: Random, *, accepted: bool, client: str = "OpenSSH_9.2p1") -> Script:
    """One SSH connection (RFC 4253) with one password: refused and closed, or accepted and used a little."""
    greeting: list[tuple[bool, bytes]] = [
        (SERVER, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
        (CLIENT, f"SSH-2.0-{client}\r\n".encode()),
        (CLIENT, _ssh_packet(_kexinit(rng))),
        (SERVER, _ssh_packet(_kexinit(rng))),
        (CLIENT, _ssh_packet(b"\x1e" + _ssh_string(rng.randbytes(32)))),
        (SERVER, _ssh_packet(b"\x1f" + _ssh_string(rng.randbytes(51)) + _ssh_string(rng.randbytes(32))
                             + _ssh_string(rng.randbytes(83))) + _ssh_packet(b"\x15")),
        (CLIENT, _ssh_packet(b"\x15")),
    ]  # fmt: skip
    # From here on everything is encrypted: only sizes show.
    sizes = [(CLIENT, 44), (SERVER, 44), (CLIENT, 68), (SERVER, 52), (CLIENT, 148)]
    if accepted:
        sizes += [(SERVER, 28), (CLIENT, 112), (SERVER, 500)]
        sizes += [turn for _ in range(12) for turn in ((CLIENT, 36), (SERVER, rng.randrange(36, 900)))]
        sizes += [(CLIENT, 60)]
    else:
        sizes += [(SERVER, 52)]
    return [*greeting, *((who, rng.randbytes(size)) for who, size in sizes)]


def http(rng: Random, path: str) -> Script:
    """One HTTP/1.1 request (RFC 9112) and its page."""
    page = b"<!doctype html><title>ok</title>" + rng.randbytes(rng.randrange(200, 3000)).hex().encode()
    request = f"GET {path} HTTP/1.1\r\nHost: www.hue.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n"
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    return [(CLIENT, request.encode()), (SERVER, answer.encode() + page)]


def dns_question(number: int, name: str, kind: str) -> bytes:
    """A query (RFC 1035)."""
    return bytes(DNS(id=number, rd=1, qd=DNSQR(qname=name, qtype=kind)))


def dns_answer(question: bytes, data: str) -> bytes:
    """The answer to `question` with one record of the type asked for."""
    asked = DNS(question)
    first = asked.qd[0]
    record = DNSRR(rrname=first.qname, type=first.qtype, ttl=300, rdata=data)
    return bytes(DNS(id=asked.id, qr=1, rd=1, ra=1, qd=asked.qd, an=[record]))


def everyday_lookups(rng: Random, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Questions and answers as any office makes them."""
    for _ in range(count):
        name = rng.choice(EVERYDAY_NAMES)
        kind, data = rng.choice([("A", f"198.51.100.{rng.randrange(1, 255)}"), ("AAAA", "2001:db8::5")])
        question = dns_question(rng.randrange(65536), name, kind)
        yield question, dns_answer(question, data)


def tunnel_lookups(rng: Random, count: int) -> Iterator[tuple[bytes, bytes]]:
    """A file leaving in the labels of TXT questions, 75 bytes each, base32 as DNS tunnels do (here: random bytes)."""
    for number in range(count):
        text = base64.b32encode(rng.randbytes(75)).decode().lower().rstrip("=")
        labels = (text[:60], text[60:], f"{number:04x}", TUNNEL_ZONE)
        question = dns_question(rng.randrange(65536), ".".join(labels), "TXT")
        yield question, dns_answer(question, base64.b64encode(rng.randbytes(24)).decode())


@dataclass(frozen=True, slots=True)
class TlsEnds:
    """Contexts of a client and a server that trust each other, for conversations in memory."""

    client: ssl.SSLContext
    server: ssl.SSLContext


def tls_ends(folder: Path) -> TlsEnds:
    """Make a throw-away certificate in `folder` and both contexts. ALPN is what browsers offer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, BEACON_NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "far-end.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_alpn_protocols(["h2", "http/1.1"])
    return TlsEnds(client, server)


def tls(ends: TlsEnds, name: str, request: bytes, answer: bytes) -> Script:
    """One TLS 1.3 connection to `name`, as OpenSSL itself speaks it: handshake, request, answer, close."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ends.client.wrap_bio(to_client, to_server, server_side=False, server_hostname=name)
    server = ends.server.wrap_bio(to_server, to_client, server_side=True)
    script: list[tuple[bool, bytes]] = []

    def turn(speaker: bool, end: ssl.SSLObject, action: str, data: bytes = b"") -> None:
        try:
            if action == "write":
                end.write(data)
            elif action == "read":
                end.read(65536)
            else:
                end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        # What was said is in the other end's buffer; take a copy into the script and put it back.
        buffer = to_server if speaker is CLIENT else to_client
        if said := buffer.read():
            buffer.write(said)
            script.append((speaker, said))

    turn(CLIENT, client, "handshake")
    turn(SERVER, server, "handshake")
    turn(CLIENT, client, "handshake")
    turn(SERVER, server, "handshake")
    turn(CLIENT, client, "read")
    turn(CLIENT, client, "write", request)
    turn(SERVER, server, "read")
    turn(SERVER, server, "write", answer)
    return script


def _kexinit(rng: Random) -> bytes:
    ciphers = b"chacha20-poly1305@openssh.com,aes256-gcm@openssh.com"
    codes = b"umac-128-etm@openssh.com,hmac-sha2-256"
    exchanges = b"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256"
    host_keys = b"ssh-ed25519,rsa-sha2-512,rsa-sha2-256"
    names = (exchanges, host_keys, ciphers, ciphers, codes, codes, b"none", b"none", b"", b"")
    return b"\x14" + rng.randbytes(16) + b"".join(map(_ssh_string, names)) + bytes(5)


def _ssh_string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _ssh_packet(payload: bytes) -> bytes:
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)
