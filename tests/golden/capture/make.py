"""Write the captures beside this file: small conversations whose rows were read by eye.

    python tests/golden/capture/make.py

The captures are checked in; this script is how they came to be, and how to add one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import RawPcapWriter

HERE = Path(__file__).parent
START = 1_763_863_863_120_001  # 2025-11-23T02:11:03.120001Z
CLIENT, SERVER = "10.1.0.7", "10.1.0.80"
CLIENT_MAC, SERVER_MAC = "52:54:00:12:34:56", "52:54:00:65:43:21"
TO_SERVER, TO_CLIENT = Ether(src=CLIENT_MAC, dst=SERVER_MAC), Ether(src=SERVER_MAC, dst=CLIENT_MAC)


class Talk:
    """One TCP connection: keeps the sequence numbers."""

    def __init__(self, port: int, server_port: int) -> None:
        self.ports = (port, server_port)
        self.next = [1000, 90_000]

    def say(self, side: int, flags: str, payload: bytes = b"") -> Packet:
        """The next segment of the client (0) or the server (1)."""
        source, destination = ((CLIENT, SERVER), (SERVER, CLIENT))[side]
        sport, dport = self.ports if side == 0 else self.ports[::-1]
        acknowledged = self.next[1 - side] if "A" in flags else 0
        segment = TCP(sport=sport, dport=dport, flags=flags, seq=self.next[side], ack=acknowledged)
        self.next[side] += len(payload) + ("S" in flags) + ("F" in flags)
        packet = (TO_SERVER, TO_CLIENT)[side] / IP(src=source, dst=destination, id=1) / segment
        return packet / Raw(payload) if payload else packet


def tcp() -> list[Packet]:
    """A full exchange, one that the client resets, a refused one, and a scan of three ports without answer."""
    http, aborted, refused = Talk(51_514, 80), Talk(51_515, 8080), Talk(51_516, 81)
    request = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    packets = [
        http.say(0, "S"),
        http.say(1, "SA"),
        http.say(0, "A"),
        http.say(0, "PA", request),
        http.say(1, "A"),
        http.say(1, "PA", answer),
        http.say(0, "A"),
        http.say(0, "FA"),
        http.say(1, "FA"),
        http.say(0, "A"),
        aborted.say(0, "S"),
        aborted.say(1, "SA"),
        aborted.say(0, "A"),
        aborted.say(1, "PA", b"220 ready\r\n"),
        aborted.say(0, "R"),
        refused.say(0, "S"),
        refused.say(1, "RA"),
    ]
    return packets + [Talk(40_000, port).say(0, "S") for port in (21, 22, 23)]


def dns() -> list[Packet]:
    """An answered question, a name that does not exist, a question without answer, and an answer without question."""

    def ask(number: int, name: str, kind: str = "A") -> Packet:
        message = DNS(id=number, rd=1, qd=DNSQR(qname=name, qtype=kind))
        return TO_SERVER / IP(src=CLIENT, dst="10.1.0.53", id=1) / UDP(sport=40_000 + number, dport=53) / message

    def answer(number: int, name: str, kind: str = "A", rcode: int = 0, records: Sequence[Packet] = ()) -> Packet:
        message = DNS(id=number, qr=1, rd=1, ra=1, rcode=rcode, qd=DNSQR(qname=name, qtype=kind), an=list(records))
        return TO_CLIENT / IP(src="10.1.0.53", dst=CLIENT, id=1) / UDP(sport=53, dport=40_000 + number) / message

    addresses = [
        DNSRR(rrname="Example.org", ttl=300, rdata="192.0.2.7"),
        DNSRR(rrname="example.org", ttl=60, rdata="192.0.2.8"),
    ]
    return [
        ask(1, "Example.org"),
        answer(1, "Example.org", records=addresses),
        ask(2, "no.such.example", "AAAA"),
        answer(2, "no.such.example", "AAAA", rcode=3),
        ask(3, "silent.example", "TXT"),
        answer(4, "late.example", records=[DNSRR(rrname="late.example", ttl=5, rdata="192.0.2.9")]),
    ]


def client_hello(name: str, protocols: tuple[str, ...]) -> bytes:
    """A TLS 1.3 ClientHello (RFC 8446, 4.1.2) as one record."""

    def sized(form: str, data: bytes) -> bytes:
        return struct.pack(form, len(data)) + data

    def extension(kind: int, data: bytes) -> bytes:
        return struct.pack("!H", kind) + sized("!H", data)

    alpn = b"".join(sized("!B", protocol.encode()) for protocol in protocols)
    extensions = (
        extension(0, sized("!H", b"\0" + sized("!H", name.encode())))
        + extension(16, sized("!H", alpn))
        + extension(43, sized("!B", struct.pack("!3H", 0x2A2A, 0x0304, 0x0303)))
    )
    ciphers = struct.pack("!4H", 0x1A1A, 0x1301, 0x1302, 0xC02F)
    hello = struct.pack("!H", 0x0303) + bytes(32) + b"\0" + sized("!H", ciphers) + b"\1\0" + sized("!H", extensions)
    handshake = b"\1" + struct.pack("!I", len(hello))[1:] + hello
    return b"\x16\x03\x01" + sized("!H", handshake)


def tls() -> list[Packet]:
    """One handshake whose ClientHello is whole, one whose ClientHello comes in two segments."""
    whole, parts = Talk(50_001, 443), Talk(50_002, 8443)
    hello = client_hello("Portal.Example.ORG", ("h2", "http/1.1"))
    return [
        whole.say(0, "S"),
        whole.say(1, "SA"),
        whole.say(0, "A"),
        whole.say(0, "PA", hello),
        whole.say(1, "A"),
        parts.say(0, "S"),
        parts.say(1, "SA"),
        parts.say(0, "A"),
        parts.say(0, "A", hello[:60]),
        parts.say(0, "PA", hello[60:]),
        parts.say(1, "A"),
    ]


def links() -> list[Packet]:
    """ICMP with and without counterpart, a VLAN, IPv6, fragments, and frames that are not IP."""
    host, router = "2001:db8::7", "2001:db8::1"
    echo = ICMP(id=7, seq=1)
    whole = UDP(sport=6000, dport=6001) / Raw(bytes(32))
    datagram = bytes(whole)
    return [
        TO_SERVER / IP(src=CLIENT, dst=SERVER, id=1) / echo / Raw(b"tre"),
        TO_CLIENT / IP(src=SERVER, dst=CLIENT, id=1) / ICMP(type=0, id=7, seq=1) / Raw(b"tre"),
        TO_CLIENT / IP(src=SERVER, dst=CLIENT, id=1) / ICMP(type=3, code=1) / Raw(bytes(28)),
        TO_SERVER / Dot1Q(vlan=42) / IP(src=CLIENT, dst=SERVER, id=1) / UDP(sport=5000, dport=514) / Raw(b"<13>tre"),
        TO_SERVER / IPv6(src=host, dst=router) / ICMPv6EchoRequest(id=1, seq=1),
        TO_CLIENT / IPv6(src=router, dst=host) / ICMPv6EchoReply(id=1, seq=1),
        TO_SERVER / IPv6(src=host, dst=router) / UDP(sport=123, dport=123) / Raw(bytes(48)),
        TO_SERVER / IP(id=9, flags="MF", proto=17, src=CLIENT, dst=SERVER) / Raw(datagram[:24]),
        TO_SERVER / IP(id=9, frag=3, proto=17, src=CLIENT, dst=SERVER) / Raw(datagram[24:]),
        TO_SERVER / IP(id=10, frag=3, proto=17, src=CLIENT, dst=SERVER) / Raw(bytes(16)),
        TO_SERVER / IP(id=1, proto=47, src=CLIENT, dst=SERVER) / Raw(bytes(8)),
        Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=CLIENT, pdst=SERVER),
    ]


CAPTURES = {"tcp": tcp, "dns": dns, "tls": tls, "links": links}


def main() -> None:
    """Write every capture, one packet per 10 ms."""
    for name, packets in CAPTURES.items():
        with RawPcapWriter(str(HERE / f"{name}.pcap"), linktype=1) as writer:
            writer.write_header(None)
            for index, packet in enumerate(packets()):
                when = START + index * 10_000
                writer.write_packet(bytes(packet), sec=when // 1_000_000, usec=when % 1_000_000)


if __name__ == "__main__":
    main()
