"""The core's decoders against scapy: the same bytes, read by both, say the same.

scapy builds the packets, writes them to capture files of every kind and reads their bytes again as the oracle; the core
sees only the files. Every packet has a source address of its own and so is one flow.
"""

from __future__ import annotations

import ipaddress
import json
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_agent._core import FileReplay, to_json_lines
from scapy.data import DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_NULL
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRMX, DNSRRSRV
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR, IPOption_Timestamp, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    fragment6,
)
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Padding, Raw
from scapy.utils import RawPcapNgWriter, RawPcapWriter

MAC_A, MAC_B = "52:54:00:12:34:56", "52:54:00:65:43:21"
START = 1_763_863_863_120_001  # microseconds

#: Link types of capture files, and the layer that scapy reads their packets with.
LINKS: dict[str, tuple[int, type[Packet] | None]] = {
    "ethernet": (DLT_EN10MB, Ether),
    "raw": (101, None),
    "cooked": (DLT_LINUX_SLL, CookedLinux),
    "cooked2": (DLT_LINUX_SLL2, CookedLinuxV2),
    "loopback": (DLT_NULL, Loopback),
}
FORMATS = ["pcap", "pcap-nano", "pcap-big-endian", "pcapng", "pcap.gz", "pcapng.zst"]

ports = st.integers(1, 65_535)
payloads = st.one_of(st.binary(max_size=40), st.integers(0, 1300).map(lambda size: b"\xee" * size))
# A SYN with ACK comes from the responder, whom the flow table puts on the other side.
tcp_flags = st.integers(0, 255).filter(lambda flags: flags & 0x12 != 0x12)


@st.composite
def transports(draw: st.DrawFn, version: int) -> Packet:
    """A transport header and its payload."""
    kind = draw(st.sampled_from(["tcp", "udp", "icmp", "sctp", "other"]))
    payload = Raw(draw(payloads))
    source, destination = draw(ports), draw(ports)
    match kind:
        case "tcp":
            options = draw(
                st.sampled_from([[], [("MSS", 1460)], [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]])
            )
            header: Packet = TCP(sport=source, dport=destination, flags=draw(tcp_flags), options=options)
        case "udp":
            header = UDP(sport=source, dport=destination)
        case "icmp" if version == 4:
            header = draw(st.sampled_from([ICMP(type=8, id=7), ICMP(type=3, code=1), ICMP(type=11, code=0)]))
        case "icmp":
            header = draw(st.sampled_from([ICMPv6EchoRequest(id=7), ICMPv6Unknown(type=1, code=4, msgbody=b"abcd")]))
        case "sctp":
            header = SCTP(sport=source, dport=destination)
        case _:
            return payload
    return header / payload


@st.composite
def networks(draw: st.DrawFn, number: int) -> Packet:
    """An IP packet whose source address nobody else has."""
    version = draw(st.sampled_from([4, 6]))
    inner = draw(transports(version))
    if version == 4:
        options = draw(st.lists(st.sampled_from([IPOption_NOP(), IPOption_RR(), IPOption_Timestamp()]), max_size=2))
        protocol = {"proto": 47} if isinstance(inner, Raw) else {}
        return IP(src=f"10.9.{number // 250}.{number % 250 + 1}", dst="192.0.2.80", options=options, **protocol) / inner
    extensions = draw(
        st.lists(st.sampled_from([IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, IPv6ExtHdrFragment]), unique=True, max_size=3)
    )
    if draw(st.booleans()):
        extensions = [IPv6ExtHdrHopByHop, *extensions]
    protocol = {"nh": 50} if isinstance(inner, Raw) else {}
    headers = [extension() for extension in extensions]
    if protocol and headers:
        headers[-1].nh = 50
        protocol = {}
    packet = IPv6(src=f"2001:db8:9::{number + 1:x}", dst="2001:db8::80", **protocol)
    for header in headers:
        packet /= header
    return packet / inner


@st.composite
def frames(draw: st.DrawFn, link: str, number: int) -> bytes:
    """The bytes of one frame."""
    network = draw(networks(number))
    if link == "raw":
        return bytes(network)
    if link == "loopback":
        return bytes(Loopback(type=2 if network.version == 4 else 10) / network)
    if link.startswith("cooked"):
        return bytes(LINKS[link][1](src=b"\x52\x54\x00\x12\x34\x56\x00\x00", lladdrlen=6) / network)
    vlan = st.integers(1, 4094)
    tags: list[Packet] = draw(
        st.sampled_from([[], [], [Dot1Q(vlan=draw(vlan), prio=5)], [Dot1AD(vlan=draw(vlan)), Dot1Q(vlan=draw(vlan))]])
    )
    frame = Ether(src=MAC_A, dst=MAC_B)
    for tag in tags:
        frame /= tag
    return bytes(frame / network).ljust(60, b"\x55")


@st.composite
def captures(draw: st.DrawFn) -> tuple[str, str, list[bytes]]:
    """Link type, file format, frames."""
    link = draw(st.sampled_from(sorted(LINKS)))
    count = draw(st.integers(1, 12))
    return link, draw(st.sampled_from(FORMATS)), [draw(frames(link, number)) for number in range(count)]


def write(path: Path, form: str, link: int, packets: Sequence[bytes]) -> None:
    """A capture file with one packet per second and microsecond."""
    if form.startswith("pcapng"):
        writer: Any = RawPcapNgWriter(str(path))
    else:
        endianness = ">" if form == "pcap-big-endian" else "<"
        nano, gz = form == "pcap-nano", form.endswith(".gz")
        writer = RawPcapWriter(str(path), nano=nano, endianness=endianness, gz=gz)
    writer.linktype = link  # not in the constructor, which takes 0 for none
    writer.write_header(None)
    for number, data in enumerate(packets):
        seconds, microseconds = divmod(START + number * 1_000_001, 1_000_000)
        if form.startswith("pcapng"):
            writer.write_packet(data, sec=Fraction(START + number * 1_000_001, 1_000_000))
        else:
            writer.write_packet(data, sec=seconds, usec=microseconds * (1000 if nano else 1))
    writer.close()
    if form.endswith(".zst"):
        path.write_bytes(zstandard.compress(path.read_bytes()))


def replay(form: str, link: int, packets: Sequence[bytes]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """All rows and counters of a file with these packets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"capture.{form}"
        write(path, form, link, packets)
        core = FileReplay(str(path))
        batches = [*core.read(1_000_000), *core.close()]
        assert core.finished
        assert core.fault == ""
        rows = [json.loads(line) for batch in batches for line in to_json_lines(batch).splitlines()]
        return rows, core.counters()


def expected(link: str, data: bytes) -> dict[str, Any]:
    """What scapy reads in a frame, as columns of its flow."""
    layer = LINKS[link][1] or (IP if data[0] >> 4 == 4 else IPv6)
    packet = layer(data)
    version6 = IPv6 in packet
    network = packet[IPv6] if version6 else packet[IP]
    row: dict[str, Any] = {
        "source_ip": ipaddress.ip_address(network.src),
        "destination_ip": ipaddress.ip_address(network.dst),
        "source_bytes": 40 + network.plen if version6 else network.len,
        "source_packets": 1,
        "destination_packets": 0,
        "source_port": 0,
        "destination_port": 0,
        "source_tcp_flags": 0,
        "network_vlan_id": 0,
        "source_mac": "",
    }
    if Dot1AD in packet or Dot1Q in packet:
        row["network_vlan_id"] = (packet[Dot1AD] if Dot1AD in packet else packet[Dot1Q]).vlan
    if link == "ethernet" or link.startswith("cooked"):
        row["source_mac"] = MAC_A.replace(":", "-")
    for kind, header, protocol in ((TCP, None, 6), (UDP, 8, 17), (SCTP, 12, 132)):
        if kind in packet:
            transport = packet[kind]
            size = header or transport.dataofs * 4
            row |= {
                "source_port": transport.sport,
                "destination_port": transport.dport,
                "network_iana_number": protocol,
            }
            row["source_tcp_flags"] = int(transport.flags) if kind is TCP else 0
            row["source_payload_bytes"] = len(transport.original) - size
            return row
    last = network
    while isinstance(last.payload, IPv6ExtHdrDestOpt | IPv6ExtHdrRouting | IPv6ExtHdrFragment | IPv6ExtHdrHopByHop):
        last = last.payload
    row["network_iana_number"] = last.nh if version6 else last.proto
    # Behind an empty packet scapy finds the padding of the frame.
    body = b"" if isinstance(last.payload, Padding) else last.payload.original
    if row["network_iana_number"] in (1, 58):
        # Echo names its counterpart; the errors have none and show their code.
        row["source_port"] = body[0]
        row["destination_port"] = {(1, 8): 0, (58, 128): 129}.get((row["network_iana_number"], body[0]), body[1])
        body = body[8:]
    row["source_payload_bytes"] = len(body)
    return row


@settings(max_examples=150, deadline=None)
@given(captures())
def test_every_packet_reads_as_scapy_reads_it(capture: tuple[str, str, list[bytes]]) -> None:
    link, form, packets = capture
    rows, counters = replay(form, LINKS[link][0], packets)
    flows = {ipaddress.ip_address(row["source_ip"]): row for row in rows if row["table"] == "flows"}
    assert counters["packets"] == len(packets) == len(flows)
    for number, data in enumerate(packets):
        wanted = expected(link, data)
        row = flows[wanted["source_ip"]]
        found = {name: row[name] for name in wanted}
        found["source_ip"], found["destination_ip"] = map(
            ipaddress.ip_address, (row["source_ip"], row["destination_ip"])
        )
        assert found == wanted
        microseconds = START + number * 1_000_001
        assert row["flow_start"].endswith(f".{microseconds % 1_000_000:06}Z")


@settings(max_examples=40, deadline=None)
@given(version=st.sampled_from([4, 6]), size=st.integers(100, 6000), room=st.sampled_from([576, 1280, 1500]))
def test_fragments_are_one_flow_with_every_byte(version: int, size: int, room: int) -> None:
    datagram = UDP(sport=4000, dport=5000) / Raw(b"f" * size)
    if version == 4:
        pieces = fragment(IP(src="10.9.0.1", dst="192.0.2.80", id=77) / datagram, fragsize=room - 20)
    else:
        whole = IPv6(src="2001:db8:9::1", dst="2001:db8::80") / IPv6ExtHdrFragment(id=77) / datagram
        pieces = fragment6(whole, max(room, 1280))
    frames = [bytes(Ether(src=MAC_A, dst=MAC_B) / piece) for piece in pieces]
    rows, counters = replay("pcap", DLT_EN10MB, frames)
    (flow,) = (row for row in rows if row["table"] == "flows")
    assert (flow["source_port"], flow["destination_port"], flow["source_packets"]) == (4000, 5000, len(frames))
    assert flow["source_bytes"] == sum(len(frame) - 14 for frame in frames)
    assert flow["source_payload_bytes"] == size
    assert counters["fragments_unmatched"] == 0


labels = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=20)
names = st.lists(labels, min_size=1, max_size=5).map(".".join)
addresses4 = st.ip_addresses(v=4).map(str)
addresses6 = st.ip_addresses(v=6).map(str)


@st.composite
def records(draw: st.DrawFn, owner: str) -> tuple[Packet, str]:
    """A resource record and its data in presentation form."""
    kind = draw(st.sampled_from(["A", "AAAA", "CNAME", "NS", "PTR", "MX", "SRV", "TXT"]))
    ttl = draw(st.integers(0, 2**31 - 1))
    name = draw(st.one_of(names, st.just(owner)))
    match kind:
        case "A":
            address = draw(addresses4)
            return DNSRR(rrname=owner, type=kind, rdata=address, ttl=ttl), address
        case "AAAA":
            address = draw(addresses6)
            return DNSRR(rrname=owner, type=kind, rdata=address, ttl=ttl), address
        case "MX":
            preference = draw(st.integers(0, 65_535))
            return DNSRRMX(rrname=owner, preference=preference, exchange=name, ttl=ttl), f"{preference} {name.lower()}"
        case "SRV":
            numbers = [draw(st.integers(0, 65_535)) for _ in range(3)]
            priority, weight, port = numbers
            record = DNSRRSRV(rrname=owner, priority=priority, weight=weight, port=port, target=name, ttl=ttl)
            return record, f"{priority} {weight} {port} {name.lower()}"
        case "TXT":
            text = draw(st.text("abc =;.", min_size=1, max_size=60))
            return DNSRR(rrname=owner, type=kind, rdata=[text.encode()], ttl=ttl), f'"{text}"'
        case _:
            return DNSRR(rrname=owner, type=kind, rdata=name, ttl=ttl), name.lower()


def same_answer(found: str, wanted: str) -> bool:
    """Addresses may be written in more than one way."""
    try:
        return ipaddress.ip_address(found) == ipaddress.ip_address(wanted)
    except ValueError:
        return found == wanted


@settings(max_examples=100, deadline=None)
@given(
    data=st.data(),
    question=names,
    kind=st.sampled_from(["A", "AAAA", "TXT", "MX", "PTR", "SRV"]),
    identifier=st.integers(0, 65_535),
    code=st.sampled_from([(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED")]),
    compressed=st.booleans(),
    over_tcp=st.booleans(),
)
def test_dns_reads_as_scapy_wrote_it(
    data: st.DataObject,
    question: str,
    kind: str,
    identifier: int,
    code: tuple[int, str],
    compressed: bool,
    over_tcp: bool,
) -> None:
    answers = data.draw(st.lists(records(question), max_size=4))
    query = DNS(id=identifier, rd=1, qd=[DNSQR(qname=question, qtype=kind)])
    response = DNS(
        id=identifier,
        qr=1,
        rd=1,
        ra=1,
        rcode=code[0],
        qd=[DNSQR(qname=question, qtype=kind)],
        an=[record for record, _ in answers],
    )
    if compressed:
        response = response.compress()
    pair = [bytes(query), bytes(response)]
    if over_tcp:
        pair = [len(message).to_bytes(2, "big") + message for message in pair]
        first, second = TCP(sport=4000, dport=53, flags="PA", seq=1), TCP(sport=53, dport=4000, flags="PA", seq=1)
    else:
        first, second = UDP(sport=4000, dport=53), UDP(sport=53, dport=4000)
    there = Ether(src=MAC_A, dst=MAC_B) / IP(src="10.9.0.1", dst="192.0.2.53") / first / Raw(pair[0])
    back = Ether(src=MAC_B, dst=MAC_A) / IP(src="192.0.2.53", dst="10.9.0.1") / second / Raw(pair[1])
    rows, _ = replay("pcap", DLT_EN10MB, [bytes(there), bytes(back)])
    (row,) = (row for row in rows if row["table"] == "dns")
    (flow,) = (row for row in rows if row["table"] == "flows")
    assert flow["network_protocol"] == "dns"
    assert (row["flow_id"], row["dns_id"]) == (flow["flow_id"], identifier)
    assert (row["dns_question_name"], row["dns_question_type"], row["dns_question_class"]) == (
        question.lower(),
        kind,
        "IN",
    )
    assert (row["dns_response_code"], row["dns_header_flags"], row["dns_oddities"]) == (code[1], "RD RA", "")
    assert row["dns_answers_ttl"] == [record.ttl for record, _ in answers]
    assert len(row["dns_answers_data"]) == len(answers)
    for found, (_, wanted) in zip(row["dns_answers_data"], answers, strict=True):
        assert same_answer(found, wanted), (found, wanted)
    assert row["dns_latency"] == 1_000_001
