//! Frames to packets: link, network and transport headers (IEEE 802.3, 802.1Q, RFC 791, 8200, 9293, 768, 792, 4443).

mod bytes;
mod ip;
mod link;
mod transport;
mod undecoded;

#[cfg(test)]
pub(crate) mod build;
#[cfg(test)]
mod tests;

pub use undecoded::Undecoded;

use crate::capture::Frame;

/// One decoded packet. Borrowed from the frame; lengths come from the headers, never from the capture length.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Bytes of transport payload, from the headers. Of a later fragment: all that follows the IP headers.
    pub payload_bytes: u32,
    /// The captured part of the transport payload.
    pub payload: &'a [u8],
    /// TCP only.
    pub tcp: Option<Tcp>,
    /// A later fragment: the ports are unknown (0) and `payload` is empty.
    pub later_fragment: bool,
    /// What ties the fragments of one packet together, on each of them; `None` on a packet that is whole.
    pub fragment: Option<Fragment>,
}

/// The TCP header fields that the flow table needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// FIN=1 SYN=2 RST=4 PSH=8 ACK=16 URG=32 ECE=64 CWR=128.
    pub flags: u8,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub window: u16,
}

/// Place of a fragment (RFC 791, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Together with addresses and protocol it names the packet that was cut. 16 bits in IPv4.
    pub identification: u32,
    /// Bytes before it.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
}

/// The packet in a frame, or why there is none. Never panics, whatever the bytes.
#[inline]
pub fn decode<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecoded> {
    let mut packet = Packet { time: frame.time, ..Packet::default() };
    let link = link::decode(frame, &mut packet)?;
    let data = frame.data.get(link.header..).unwrap_or_default();
    let wire = (frame.wire_len as usize).max(frame.data.len()) - link.header;
    let body = match link.version {
        4 => ip::version4(data, wire, &mut packet)?,
        6 => ip::version6(data, wire, &mut packet)?,
        _ => return Err(Undecoded::NotIp),
    };
    transport::decode(&body, &mut packet)?;
    Ok(packet)
}
