"""A large capture, the same to the byte for the same seed, in well under half a minute.

100,000 flows in 2,000,000 packets by default: 42 % TLS (a ClientHello with SNI and ALPN), 8 % HTTP, 6 % other TCP,
32 % DNS, 5 % QUIC-like UDP, 5 % SYN scan, 2 % refused connections; data frames of 60, 590 and 1514 bytes as 7:4:1
(IMIX); one flow in ten over IPv6; lengths with a long tail; 12 minutes of time. TCP and UDP checksums are zero.

A flow is a generator of frames. Only lengths, sequence numbers and ports are patched into prepared headers.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

PCAP_MAGIC_MICROSECONDS = 0xA1B2C3D4
LINKTYPE_ETHERNET = 1
BEGIN_S = 1_764_000_000
_SPAN_S = 720.0
_ETHERNET = 14
_TCP_HEADER = 20
_RECORD = struct.Struct("<IIII")
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
#: Frame sizes of data packets, in the proportions of the simple IMIX.
_IMIX = (60,) * 7 + (590,) * 4 + (1514,)
#: Kinds of flows by share of 100.
_SHARES = (("tls", 42), ("dns", 32), ("http", 8), ("tcp", 6), ("quic", 5), ("scan", 5), ("refused", 2))
#: A TCP flow has at least its handshake, a request, an answer and its end.
_LEAST = 8
Frames = Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """One flow before its packets are made."""

    kind: str
    packets: int
    begin_s: float
    gap_s: float


class Headers:
    """Ethernet and IP headers of both directions of a flow; all but the lengths is prepared."""

    __slots__ = ("_backward", "_forward", "_ipv6")

    def __init__(self, rng: Random, protocol: int) -> None:
        client, server = rng.getrandbits(24), rng.getrandbits(12)
        macs = (b"\x02\x00\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x02")
        self._ipv6 = rng.random() < 0.1
        if self._ipv6:
            ends = [bytes.fromhex("20010db8") + number.to_bytes(12, "big") for number in (client, server | 1 << 40)]
        else:
            ends = [(10 << 24 | client).to_bytes(4, "big"), (198 << 24 | 18 << 16 | server).to_bytes(4, "big")]
        self._forward = self._prepare(macs, ends, protocol)
        self._backward = self._prepare(macs[::-1], ends[::-1], protocol)

    def _prepare(self, macs: tuple[bytes, ...], ends: list[bytes], protocol: int) -> tuple[bytes, bytes]:
        ethernet = macs[1] + macs[0] + (b"\x86\xdd" if self._ipv6 else b"\x08\x00")
        if self._ipv6:
            return ethernet + b"\x60\x00\x00\x00", bytes((protocol, 64)) + ends[0] + ends[1]
        return ethernet + b"\x45\x00", b"\x00\x01\x40\x00\x40" + bytes((protocol,)) + b"\x00\x00" + ends[0] + ends[1]

    def frame(self, forward: bool, segment: bytes) -> bytes:
        """The frame that carries `segment`; padded to 60 bytes as Ethernet does."""
        before, after = self._forward if forward else self._backward
        length = len(segment) + (0 if self._ipv6 else 20)
        made = before + length.to_bytes(2, "big") + after + segment
        return made if len(made) >= 60 else made.ljust(60, b"\x00")

    @property
    def overhead(self) -> int:
        """Bytes before the segment."""
        return _ETHERNET + (40 if self._ipv6 else 20)


class Maker:
    """Makes the flows of one capture. `pool` is what payloads are cut from."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.pool = self.rng.randbytes(1 << 16)
        self.names = [f"host{number}.service{number % 97}.example.org" for number in range(5000)]
        self.hellos = [client_hello(self.rng, name) for name in self.names]

    def flow(self, plan: Plan) -> Frames:
        """The frames of one flow, in order."""
        if plan.kind == "dns":
            return self._dns()
        if plan.kind == "quic":
            return self._udp(plan.packets, 443)
        if plan.kind == "scan":
            return self._scan(refused=False)
        if plan.kind == "refused":
            return self._scan(refused=True)
        rng = self.rng
        if plan.kind == "tls":
            return self._tcp(plan.packets, 443, rng.choice(self.hellos), b"\x16\x03\x03\x00\x7a" + self.pool[:122])
        if plan.kind == "http":
            first = f"GET /{rng.randrange(10**6)} HTTP/1.1\r\nHost: {rng.choice(self.names)}\r\n\r\n".encode()
            return self._tcp(plan.packets, 80, first, b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        return self._tcp(plan.packets, rng.choice((22, 25, 143, 3306, 5432)), b"", b"")

    def _tcp(self, packets: int, port: int, first: bytes, reply: bytes) -> Frames:
        rng, pool = self.rng, self.pool
        headers = Headers(rng, 6)
        mine = rng.randrange(1024, 65536)
        sequence = [rng.getrandbits(32), rng.getrandbits(32)]
        pack = struct.Struct(">HHIIBBHI").pack

        def segment(forward: bool, flags: int, data: bytes = b"") -> bytes:
            side = 0 if forward else 1
            ports = (mine, port) if forward else (port, mine)
            acknowledged = sequence[1 - side] if flags & _ACK else 0
            made = pack(*ports, sequence[side], acknowledged, 0x50, flags, 64240, 0) + data
            sequence[side] = (sequence[side] + len(data) + (1 if flags & (_SYN | _FIN) else 0)) & 0xFFFFFFFF
            return headers.frame(forward, made)

        yield segment(True, _SYN)
        yield segment(False, _SYN | _ACK)
        yield segment(True, _ACK)
        left = packets - 6
        if first:
            yield segment(True, _PSH | _ACK, first)
            yield segment(False, _PSH | _ACK, reply)
            left -= 2
        overhead = headers.overhead + _TCP_HEADER
        for _ in range(left):
            draw = rng.getrandbits(24)
            size = _IMIX[draw % 12] - overhead
            begin = draw >> 9
            yield segment(draw & 0x300 == 0, _ACK, pool[begin : begin + size] if size > 0 else b"")
        yield segment(True, _FIN | _ACK)
        yield segment(False, _FIN | _ACK)
        yield segment(True, _ACK)

    def _udp(self, packets: int, port: int) -> Frames:
        rng, pool = self.rng, self.pool
        headers = Headers(rng, 17)
        mine = rng.randrange(1024, 65536)
        pack = struct.Struct(">HHHH").pack
        for number in range(packets):
            draw = rng.getrandbits(24)
            size = max(20, _IMIX[draw % 12] - headers.overhead - 8)
            forward = number == 0 or draw & 0x300 == 0
            ports = (mine, port) if forward else (port, mine)
            yield headers.frame(forward, pack(*ports, size + 8, 0) + pool[draw >> 9 : (draw >> 9) + size])

    def _dns(self) -> Frames:
        rng = self.rng
        headers = Headers(rng, 17)
        mine, number = rng.randrange(1024, 65536), rng.getrandbits(16)
        name = b"".join(bytes((len(label),)) + label.encode() for label in rng.choice(self.names).split(".")) + b"\x00"
        question = name + b"\x00\x01\x00\x01"
        query = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question
        record = b"\xc0\x0c\x00\x01\x00\x01" + struct.pack(">IH", 300, 4) + rng.randbytes(4)
        answer = struct.pack(">HHHHHH", number, 0x8180, 1, 1, 0, 0) + question + record
        yield headers.frame(True, struct.pack(">HHHH", mine, 53, 8 + len(query), 0) + query)
        yield headers.frame(False, struct.pack(">HHHH", 53, mine, 8 + len(answer), 0) + answer)

    def _scan(self, *, refused: bool) -> Frames:
        rng = self.rng
        headers = Headers(rng, 6)
        mine, port, sequence = rng.randrange(1024, 65536), rng.randrange(1, 10_000), rng.getrandbits(32)
        pack = struct.Struct(">HHIIBBHI").pack
        yield headers.frame(True, pack(mine, port, sequence, 0, 0x50, _SYN, 1024, 0))
        if refused:
            following = (sequence + 1) & 0xFFFFFFFF
            yield headers.frame(False, pack(port, mine, 0, following, 0x50, _RST | _ACK, 0, 0))


def client_hello(rng: Random, name: str) -> bytes:
    """A ClientHello (RFC 8446) of 517 bytes with SNI and ALPN, in one record, padded as browsers do (RFC 7685)."""
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8")
    host = name.encode()
    extensions = [
        (0, struct.pack(">HBH", len(host) + 3, 0, len(host)) + host),
        (16, b"\x00\x0c\x02h2\x08http/1.1"),
        (10, b"\x00\x04\x00\x1d\x00\x17"),
        (43, b"\x04\x03\x04\x03\x03"),
        (51, b"\x00\x24\x00\x1d\x00\x20" + rng.randbytes(32)),
    ]
    head = b"\x03\x03" + rng.randbytes(32) + b"\x20" + rng.randbytes(32)
    head += struct.pack(">H", len(ciphers)) + ciphers + b"\x01\x00"
    body = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in extensions)
    padding = 517 - 9 - len(head) - 2 - len(body) - 4
    body += struct.pack(">HH", 21, padding) + bytes(padding)
    message = head + struct.pack(">H", len(body)) + body
    handshake = b"\x01" + len(message).to_bytes(3, "big") + message
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


def plans(rng: Random, packets: int) -> list[Plan]:
    """One flow for every 20 packets; together exactly `packets` packets. Lengths have a long tail (Pareto)."""
    kinds = [kind for kind, share in _SHARES for _ in range(packets // 20 * share // 100)]
    fixed = {"dns": 2, "scan": 1, "refused": 2}
    tails = [0.0 if kind in fixed else min(2_000.0, rng.paretovariate(1.05) - 1) for kind in kinds]
    least = [fixed.get(kind, _LEAST) for kind in kinds]
    scale = (packets - sum(least)) / sum(tails)
    lengths = [few + int(tail * scale) for few, tail in zip(least, tails, strict=True)]
    lengths[tails.index(max(tails))] += packets - sum(lengths)
    return [
        Plan(kind, length, rng.uniform(0, _SPAN_S - 30), min(0.5, 30.0 / length) * rng.random())
        for kind, length in zip(kinds, lengths, strict=True)
    ]


def make(path: Path, packets: int = 2_000_000, seed: int = 1) -> int:
    """Write the capture to `path` (whole or not at all); its size in bytes."""
    maker = Maker(seed)
    flows = plans(maker.rng, packets)
    lengths = np.array([plan.packets for plan in flows])
    of_flow = np.repeat(np.arange(len(flows)), lengths)
    step = np.arange(packets) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    begins, gaps = (np.array([getattr(plan, name) for plan in flows]) for name in ("begin_s", "gap_s"))
    micros = ((begins[of_flow] + step * gaps[of_flow]) * 1e6).astype(np.int64)
    order = np.argsort(micros, kind="stable")
    frames = [maker.flow(plan) for plan in flows]
    partial = path.with_suffix(".partial")
    pack = _RECORD.pack
    with partial.open("wb", buffering=1 << 22) as file:
        file.write(struct.pack("<IHHiIII", PCAP_MAGIC_MICROSECONDS, 2, 4, 0, 0, 65535, LINKTYPE_ETHERNET))
        write = file.write
        for flow, at in zip(of_flow[order].tolist(), micros[order].tolist(), strict=True):
            frame = next(frames[flow])
            size = len(frame)
            write(pack(BEGIN_S + at // 1_000_000, at % 1_000_000, size, size))
            write(frame)
    partial.rename(path)
    return path.stat().st_size


def cached(folder: Path, packets: int = 2_000_000, seed: int = 1) -> Path:
    """The capture from `folder`, made there if it is not there yet. The name has the maker's version in it."""
    version = zlib.crc32(Path(__file__).read_bytes())
    path = folder / f"bench-{packets}-{seed}-{version:08x}.pcap"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"bench-{packets}-{seed}-*"):
            old.unlink()
        make(path, packets, seed)
    return path
