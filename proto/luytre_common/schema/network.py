"""Tables of the network: flows, and one row per DNS and TLS transaction, joined to the flow by `flow_id`."""

from __future__ import annotations

from luytre_common.schema.model import VALUES, Column, Kind, Maker, Table, words
from luytre_common.schema.owner import ATTRIBUTION, PLACE, PROCESS

# Community ID version 1, seed 0 (https://github.com/corelight/community-id-spec): SHA-1 over seed, the ordered
# addresses, protocol, padding and the ordered ports. IPv4 addresses enter with 4 bytes. ICMP types that have a
# counterpart count as two-way; other ICMP flows are not put in order.
_V4 = "startsWith(IPv6NumToString(source_ip), '::ffff:')"
_BYTES = "if({v4}, substring(reinterpretAsFixedString({ip}), 13, 4), reinterpretAsFixedString({ip}))"
_TWO_WAY = (
    "(network_iana_number NOT IN (1, 58)"
    " OR (network_iana_number = 1 AND source_port IN (0, 8, 9, 10, 13, 14, 15, 16, 17, 18))"
    " OR (network_iana_number = 58 AND source_port IN (128, 129, 130, 131, 133, 134, 135, 136, 139, 140, 144, 145)))"
)
_KEEP = (
    f"(NOT {_TWO_WAY} OR source_ip < destination_ip"
    " OR (source_ip = destination_ip AND source_port <= destination_port))"
)


def _side(address: str) -> str:
    return _BYTES.format(v4=_V4, ip=address)


def _port(port: str) -> str:
    return f"char(intDiv({port}, 256), {port} % 256)"


_HAS_PORTS = "network_iana_number IN (1, 6, 17, 58, 132)"
COMMUNITY_ID_SQL = (
    "concat('1:', base64Encode(SHA1(concat('\\0\\0', "
    f"if({_KEEP}, concat({_side('source_ip')}, {_side('destination_ip')}),"
    f" concat({_side('destination_ip')}, {_side('source_ip')})),"
    " char(network_iana_number), '\\0', "
    f"if({_HAS_PORTS}, if({_KEEP}, concat({_port('source_port')}, {_port('destination_port')}),"
    f" concat({_port('destination_port')}, {_port('source_port')})), '')))))"
)

_FLOW_ID = Column(
    "flow_id",
    Kind.U64,
    "Identity of the flow within the agent: a hash of its tuple, start and, live, the interface",
    example="7723019045110254310",
)

ENDPOINTS = (
    Column(
        "source_ip",
        Kind.IP,
        "Originator: who sent the first packet",
        sigma=("SourceIp", "src_ip", "id.orig_h", "c-ip"),
        example="::ffff:10.1.0.7",
    ),
    Column(
        "source_port",
        Kind.U16,
        "Port of the originator; ICMP type",
        sigma=("SourcePort", "src_port", "id.orig_p"),
        example="51514",
    ),
    Column(
        "destination_ip",
        Kind.IP,
        "Responder",
        sigma=("DestinationIp", "dst_ip", "id.resp_h"),
        example="::ffff:10.1.0.53",
    ),
    Column(
        "destination_port",
        Kind.U16,
        "Port of the responder; ICMP type of the counterpart, or the code where the type has none",
        sigma=("DestinationPort", "dst_port", "id.resp_p"),
        example="53",
    ),
    Column(
        "network_transport",
        Kind.NAME,
        "tcp, udp, icmp, ipv6-icmp, sctp, or the IANA protocol number",
        sigma=("Protocol", "proto"),
        example="udp",
    ),
)

FLOWS = Table(
    "flows",
    "One row per bidirectional flow, or per active timeout of a long one: SUM over the rows of a flow_id is the truth",
    (
        _FLOW_ID,
        Column(
            "flow_start",
            Kind.TIME,
            "Time of the first packet",
            codec="Delta, ZSTD",
            example="2026-11-23 02:11:03.120001",
        ),
        Column(
            "flow_end",
            Kind.TIME,
            "Time of the last packet so far",
            codec="Delta, ZSTD",
            example="2026-11-23 02:11:03.160045",
        ),
        Column(
            "flow_duration",
            Kind.U64,
            "flow_end - flow_start, microseconds",
            maker=Maker.SQL,
            sigma=("duration",),
            alias="toUInt64(toUnixTimestamp64Micro(flow_end) - toUnixTimestamp64Micro(flow_start))",
            example="40044",
        ),
        Column(
            "observer_ingress_interface_name",
            Kind.NAME,
            "Interface or file where the packets were seen",
            example="eth0",
        ),
        *ENDPOINTS,
        Column(
            "source_mac",
            Kind.NAME,
            "MAC address of the originator's frames, RFC 7042 notation; empty where the link has none",
            example="52-54-00-12-34-56",
        ),
        Column(
            "destination_mac",
            Kind.NAME,
            "MAC address that the originator's frames went to",
            example="52-54-00-65-43-21",
        ),
        Column("network_iana_number", Kind.U8, "IP protocol number (IANA)", example="17"),
        Column(
            "network_protocol",
            Kind.NAME,
            "Application protocol, recognised by content: dns, tls, http, ssh, or empty",
            sigma=("service",),
            example="dns",
        ),
        Column(
            "network_direction",
            Kind.NAME,
            "internal, inbound, outbound or external, by the configured networks",
            maker=Maker.COLLECTOR,
            example="outbound",
        ),
        Column(
            "network_vlan_id", Kind.U16, "VLAN identifier of the outermost tag (IEEE 802.1Q), 0 for none", example="0"
        ),
        Column(
            "network_community_id",
            Kind.TEXT,
            "Community ID version 1, seed 0",
            maker=Maker.SQL,
            alias=COMMUNITY_ID_SQL,
            sigma=("community_id",),
            example="1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
        ),
        Column(
            "source_packets",
            Kind.U64,
            "Packets from the originator since the flow's last row",
            sigma=("orig_pkts",),
            example="1",
        ),
        Column(
            "destination_packets",
            Kind.U64,
            "Packets from the responder since the flow's last row",
            sigma=("resp_pkts",),
            example="1",
        ),
        Column(
            "source_bytes",
            Kind.U64,
            "Bytes from the originator since the flow's last row, network layer (from the IP header)",
            sigma=("orig_ip_bytes",),
            example="73",
        ),
        Column(
            "destination_bytes",
            Kind.U64,
            "Bytes from the responder since the flow's last row, network layer",
            sigma=("resp_ip_bytes",),
            example="89",
        ),
        Column(
            "source_payload_bytes",
            Kind.U64,
            "Transport payload bytes from the originator since the flow's last row, retransmissions included",
            sigma=("orig_bytes",),
            example="45",
        ),
        Column(
            "destination_payload_bytes",
            Kind.U64,
            "Transport payload bytes from the responder since the flow's last row, retransmissions included",
            sigma=("resp_bytes",),
            example="61",
        ),
        Column(
            "source_tcp_flags",
            Kind.U8,
            "OR of the originator's TCP flags (RFC 9293: FIN=1 SYN=2 RST=4 PSH=8 ACK=16 URG=32 ECE=64 CWR=128)",
            example="27",
        ),
        Column("destination_tcp_flags", Kind.U8, "OR of the responder's TCP flags", example="27"),
        Column(
            "connection_state",
            Kind.NAME,
            "Zeek's conn_state: S0 S1 SF REJ S2 S3 RSTO RSTR RSTOS0 RSTRH SH SHR OTH",
            sigma=("conn_state",),
            example="SF",
        ),
        Column(
            "connection_history",
            Kind.NAME,
            "Zeek's history letters, upper case from the originator",
            sigma=("history",),
            example="Dd",
        ),
        Column(
            "flow_end_reason",
            Kind.NAME,
            "idle, end (FIN or RST), stop (end of capture), evicted, sampled (left out from now on: "
            "flow_sampling_rate); or active: the flow goes on. A flow has exactly one row that is not active",
            example="idle",
        ),
        Column(
            "flow_sampling_rate",
            Kind.U32,
            "One flow in so many was looked at, chosen by a hash, each of them whole: 1 all; 0 an older agent's, all. "
            "Sums of bytes and packets times the rate are estimates of all",
            example="1",
        ),
        Column(
            "tcp_handshake_rtt",
            Kind.U32,
            "Time from SYN to the ACK of the SYN-ACK, microseconds; 0 if not seen",
            example="0",
        ),
        *PROCESS,
        Column(
            "process_parent_entity_id",
            Kind.U64,
            "Identity of the parent process; 0 if unknown",
            example="1180591620710001",
        ),
        Column("process_parent_name", Kind.NAME, "Command name of the parent", example="bash"),
        *PLACE,
        Column("network_namespace_id", Kind.U64, "Cookie of the network namespace; 0 if unknown", example="1"),
        *ATTRIBUTION,
    ),
    event_time="flow_end",
    order_by=("agent_id", "flow_start"),
    indexes=(
        ("flow_id", VALUES),
        ("source_ip", VALUES),
        ("destination_ip", VALUES),
        ("process_entity_id", VALUES),
    ),
)

_EVENT_TIME = Column(
    "event_time",
    Kind.TIME,
    "Time of the packet that began it",
    codec="Delta, ZSTD",
    example="2026-11-23 02:11:03.120001",
)

DNS = Table(
    "dns",
    "One row per DNS transaction (RFC 1035): a question with its answer, or either alone",
    (
        _EVENT_TIME,
        _FLOW_ID,
        *ENDPOINTS,
        Column("dns_id", Kind.U16, "Transaction identifier", example="4711"),
        Column(
            "dns_question_name",
            Kind.TEXT,
            "Name asked for, lower case, without the final dot; \\DDD for bytes that are not printable",
            sigma=("query", "QueryName"),
            example="example.org",
        ),
        Column(
            "dns_question_type",
            Kind.NAME,
            "Type asked for, or TYPEn (RFC 3597)",
            sigma=("record_type", "qtype_name"),
            example="A",
        ),
        Column("dns_question_class", Kind.NAME, "Class asked for, or CLASSn", example="IN"),
        Column(
            "dns_response_code",
            Kind.NAME,
            "NOERROR, NXDOMAIN, ...; empty when no answer was seen",
            sigma=("rcode_name",),
            example="NOERROR",
        ),
        Column(
            "dns_header_flags",
            Kind.NAME,
            "Header flags that were set, of both messages: AA TC RD RA AD CD",
            example="RD RA",
        ),
        Column(
            "dns_answers_data",
            Kind.TEXTS,
            "Answer records in presentation form",
            sigma=("answer", "answers", "QueryResults"),
            example="['192.0.2.7']",
        ),
        Column("dns_answers_ttl", Kind.U32S, "Time to live of each answer, seconds", example="[300]"),
        Column("dns_latency", Kind.U32, "Question to answer, microseconds; 0 if either is missing", example="11871"),
        Column(
            "dns_oddities",
            Kind.NAME,
            "What was wrong with the messages: truncated, pointer_loop, bad_pointer, label_limit, "
            "count_mismatch, trailing, bad_rdata, answers_cut; space-separated",
            example="",
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
    indexes=(("flow_id", VALUES), ("dns_question_name", words(8192))),
)

TLS = Table(
    "tls",
    "One row per TLS ClientHello (RFC 8446, RFC 5246)",
    (
        _EVENT_TIME,
        _FLOW_ID,
        *ENDPOINTS,
        Column(
            "tls_version",
            Kind.NAME,
            "Highest version the client offers: 1.0 1.1 1.2 1.3, or hexadecimal",
            example="1.3",
        ),
        Column(
            "tls_client_server_name",
            Kind.TEXT,
            "Server name indication (RFC 6066), lower case",
            sigma=("server_name", "DestinationHostname"),
            example="example.org",
        ),
        Column("tls_client_alpn", Kind.TEXTS, "Application protocols offered (RFC 7301)", example="['h2', 'http/1.1']"),
        Column(
            "tls_client_cipher_count",
            Kind.U16,
            "Number of cipher suites offered, GREASE (RFC 8701) not counted",
            example="17",
        ),
        Column(
            "tls_oddities",
            Kind.NAME,
            "What was wrong with the hello: truncated, bad_length, bad_sni; space-separated",
            example="",
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
    indexes=(("flow_id", VALUES), ("tls_client_server_name", words(8192))),
)
