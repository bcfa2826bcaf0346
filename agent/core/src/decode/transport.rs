//! Transport headers: TCP, UDP, ICMP, ICMPv6 and SCTP; others pass through by number.

use super::bytes::array;
use super::ip::Body;
use super::{Packet, Tcp, Undecoded};

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;

#[inline(always)]
pub fn decode<'a>(body: &Body<'a>, packet: &mut Packet<'a>) -> Result<(), Undecoded> {
    if packet.later_fragment {
        packet.payload_bytes = body.length as u32;
        return Ok(());
    }
    let header = match packet.protocol {
        TCP => tcp(body, packet)?,
        UDP => return udp(body, packet),
        ICMP | ICMPV6 => {
            let header: &[u8; 8] = array(body.data, 0).ok_or(Undecoded::TruncatedIcmp)?;
            packet.source_port = u16::from(header[0]);
            packet.destination_port = u16::from(header[1]);
            8
        }
        SCTP => {
            let header: &[u8; 12] = array(body.data, 0).ok_or(Undecoded::TruncatedSctp)?;
            ports(header, packet);
            12
        }
        _ => 0,
    };
    carry(body, header, body.length, packet);
    Ok(())
}

#[inline(always)]
fn tcp(body: &Body<'_>, packet: &mut Packet<'_>) -> Result<usize, Undecoded> {
    let header: &[u8; 20] = array(body.data, 0).ok_or(Undecoded::TruncatedTcp)?;
    let length = usize::from(header[12] >> 4) * 4;
    if length < 20 || length > body.length {
        return Err(Undecoded::BadTcpHeaderLength);
    }
    ports(header, packet);
    packet.tcp = Some(Tcp {
        flags: header[13],
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        window: u16::from_be_bytes([header[14], header[15]]),
    });
    Ok(length)
}

#[inline(always)]
fn udp<'a>(body: &Body<'a>, packet: &mut Packet<'a>) -> Result<(), Undecoded> {
    let header: &[u8; 8] = array(body.data, 0).ok_or(Undecoded::TruncatedUdp)?;
    ports(header, packet);
    let length = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        // Jumbograms (RFC 2675) and segmentation offload.
        0 => body.length,
        1..8 => return Err(Undecoded::BadUdpLength),
        // The first fragment holds less than the datagram.
        length => length.min(body.length),
    };
    carry(body, 8, length, packet);
    Ok(())
}

#[inline(always)]
fn ports(header: &[u8], packet: &mut Packet<'_>) {
    packet.source_port = u16::from_be_bytes([header[0], header[1]]);
    packet.destination_port = u16::from_be_bytes([header[2], header[3]]);
}

/// Sets the payload: what lies between the end of the header and `length`.
#[inline(always)]
fn carry<'a>(body: &Body<'a>, header: usize, length: usize, packet: &mut Packet<'a>) {
    packet.payload_bytes = length.saturating_sub(header) as u32;
    packet.payload = body.data.get(header..length.min(body.data.len())).unwrap_or_default();
}
