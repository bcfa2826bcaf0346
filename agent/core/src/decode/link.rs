//! Link headers: Ethernet with VLAN tags, Linux cooked capture, BSD loopback, none.

use super::bytes::{array, u16_at};
use super::{Packet, Undecoded};
use crate::capture::{Frame, LinkType};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Enough for every provider network; more is an attempt to make a parser walk.
const MAX_TAGS: usize = 4;

/// Where the network layer begins and what the link header says it is.
pub struct Link {
    pub header: usize,
    /// 4, 6, or 0 for what is not IP.
    pub version: u8,
}

#[inline(always)]
pub fn decode(frame: &Frame<'_>, packet: &mut Packet<'_>) -> Result<Link, Undecoded> {
    packet.vlan = frame.vlan & 0x0fff;
    match frame.link {
        LinkType::Ethernet => ethernet(frame.data, packet),
        LinkType::RawIp => raw(frame.data),
        LinkType::LinuxSll => sll(frame.data, packet),
        LinkType::LinuxSll2 => sll2(frame.data, packet),
        LinkType::Loopback => loopback(frame.data),
    }
}

#[inline(always)]
fn ethernet(data: &[u8], packet: &mut Packet<'_>) -> Result<Link, Undecoded> {
    let header: &[u8; 14] = array(data, 0).ok_or(Undecoded::TruncatedEthernet)?;
    packet.destination_mac.copy_from_slice(&header[0..6]);
    packet.source_mac.copy_from_slice(&header[6..12]);
    let ethertype = u16::from_be_bytes([header[12], header[13]]);
    network(data, 14, ethertype, Undecoded::TruncatedEthernet, packet)
}

/// Walks the VLAN tags after an EtherType: IEEE 802.1Q, 802.1ad and the 0x9100 that came before it.
#[inline(always)]
fn network(
    data: &[u8],
    mut header: usize,
    mut ethertype: u16,
    truncated: Undecoded,
    packet: &mut Packet<'_>,
) -> Result<Link, Undecoded> {
    let mut tags = 0;
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        if tags == MAX_TAGS {
            return Err(Undecoded::TooManyTags);
        }
        tags += 1;
        let tag: &[u8; 4] = array(data, header).ok_or(truncated)?;
        if packet.vlan == 0 {
            // Identifier 0 is a priority tag, which names no VLAN.
            packet.vlan = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
        }
        ethertype = u16::from_be_bytes([tag[2], tag[3]]);
        header += 4;
    }
    let version = match ethertype {
        ETHERTYPE_IPV4 => 4,
        ETHERTYPE_IPV6 => 6,
        _ => 0,
    };
    Ok(Link { header, version })
}

fn raw(data: &[u8]) -> Result<Link, Undecoded> {
    match data.first().map(|byte| byte >> 4) {
        Some(version @ (4 | 6)) => Ok(Link { header: 0, version }),
        Some(_) => Err(Undecoded::BadIpVersion),
        None => Err(Undecoded::TruncatedIpv4),
    }
}

/// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>: packet type, ARPHRD, address length, address[8], protocol.
fn sll(data: &[u8], packet: &mut Packet<'_>) -> Result<Link, Undecoded> {
    let header: &[u8; 16] = array(data, 0).ok_or(Undecoded::TruncatedSll)?;
    if header[4..6] == [0, 6] {
        packet.source_mac.copy_from_slice(&header[6..12]);
    }
    let ethertype = u16::from_be_bytes([header[14], header[15]]);
    network(data, 16, ethertype, Undecoded::TruncatedSll, packet)
}

/// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html>: protocol, 2 reserved, interface[4], ARPHRD[2], packet type,
/// address length, address[8].
fn sll2(data: &[u8], packet: &mut Packet<'_>) -> Result<Link, Undecoded> {
    let header: &[u8; 20] = array(data, 0).ok_or(Undecoded::TruncatedSll)?;
    if header[11] == 6 {
        packet.source_mac.copy_from_slice(&header[12..18]);
    }
    let ethertype = u16_at(header, 0).unwrap_or(0);
    network(data, 20, ethertype, Undecoded::TruncatedSll, packet)
}

/// The address family in either byte order. IPv6 is 10, 24, 28 or 30, depending on the system that wrote it.
fn loopback(data: &[u8]) -> Result<Link, Undecoded> {
    let header: &[u8; 4] = array(data, 0).ok_or(Undecoded::TruncatedLoopback)?;
    let big = u32::from_be_bytes(*header);
    let version = match big.min(big.swap_bytes()) {
        2 => 4,
        10 | 24 | 28 | 30 => 6,
        _ => 0,
    };
    Ok(Link { header: 4, version })
}
