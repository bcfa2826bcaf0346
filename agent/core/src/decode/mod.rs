//! Frames to packets: link, network and transport headers (IEEE 802.3, 802.1Q, RFC 791, 8200, 9293, 768, 792, 4443).

/// One decoded packet. Borrowed from the frame; lengths come from the headers, never from the capture length.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet<'a> {
    /// Microseconds since 1970-01-01 UTC.
    pub time: i64,
    pub source_mac: [u8; 6],
    pub destination_mac: [u8; 6],
    /// Outermost VLAN identifier, 0 for none.
    pub vlan: u16,
    /// IPv4 as ::ffff:a.b.c.d.
    pub source: [u8; 16],
    pub destination: [u8; 16],
    /// IANA protocol number of the transport, after IPv6 extension headers.
    pub protocol: u8,
    /// ICMP: the type.
    pub source_port: u16,
    /// ICMP: the code.
    pub destination_port: u16,
    /// Bytes of the network layer: IP header and what it carries.
    pub ip_bytes: u32,
    /// Bytes of transport payload, from the headers.
    pub payload_bytes: u32,
    /// The captured part of the transport payload.
    pub payload: &'a [u8],
    /// TCP only.
    pub tcp: Option<Tcp>,
    /// A later fragment: the ports are unknown (0) and there is no payload.
    pub later_fragment: bool,
}

/// The TCP header fields that the flow table needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// FIN=1 SYN=2 RST=4 PSH=8 ACK=16 URG=32 ECE=64 CWR=128.
    pub flags: u8,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub window: u16,
}
