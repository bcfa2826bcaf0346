//! IPv4 with options and fragments; IPv6 with its extension headers.

use super::bytes::array;
use super::{Fragment, Packet, Undecoded};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;
/// RFC 8200 section 4.1 lets each occur once, destination options twice; some slack for experiments.
const MAX_EXTENSIONS: usize = 12;
/// RFC 2675.
const JUMBO_OPTION: u8 = 0xc2;

/// What follows the network headers.
pub struct Body<'a> {
    /// The captured part, without link padding.
    pub data: &'a [u8],
    /// Its length by the headers.
    pub length: usize,
}

/// `data` begins with the IPv4 header; `wire` is how many bytes of the frame there were from here on.
#[inline(always)]
pub fn version4<'a>(data: &'a [u8], wire: usize, packet: &mut Packet<'a>) -> Result<Body<'a>, Undecoded> {
    let header: &[u8; 20] = array(data, 0).ok_or(Undecoded::TruncatedIpv4)?;
    if header[0] >> 4 != 4 {
        return Err(Undecoded::BadIpVersion);
    }
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header_length < 20 {
        return Err(Undecoded::BadIpv4HeaderLength);
    }
    // Segmentation offload and packets over 64 KiB ("BIG TCP") leave the total length 0 for the hardware to fill in.
    let total = match u16::from_be_bytes([header[2], header[3]]) {
        0 => wire,
        length => usize::from(length),
    };
    if total < header_length || total > wire {
        return Err(Undecoded::BadIpv4Length);
    }
    if data.len() < header_length {
        return Err(Undecoded::TruncatedIpv4);
    }
    packet.source = mapped([header[12], header[13], header[14], header[15]]);
    packet.destination = mapped([header[16], header[17], header[18], header[19]]);
    packet.protocol = header[9];
    packet.ip_bytes = total as u32;
    let place = u16::from_be_bytes([header[6], header[7]]);
    if place & 0x3fff != 0 {
        let identification = u32::from(u16::from_be_bytes([header[4], header[5]]));
        let offset = (place & 0x1fff) * 8;
        packet.fragment = Some(Fragment { identification, offset, more: place & 0x2000 != 0 });
        packet.later_fragment = offset != 0;
    }
    let end = total.min(data.len());
    Ok(Body { data: &data[header_length..end], length: total - header_length })
}

/// IPv4 addresses inside IPv6 (RFC 4291 section 2.5.5.2).
#[inline(always)]
pub fn mapped(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// `data` begins with the IPv6 header; `wire` is how many bytes of the frame there were from here on.
#[inline(always)]
pub fn version6<'a>(data: &'a [u8], wire: usize, packet: &mut Packet<'a>) -> Result<Body<'a>, Undecoded> {
    let header: &[u8; 40] = array(data, 0).ok_or(Undecoded::TruncatedIpv6)?;
    if header[0] >> 4 != 6 {
        return Err(Undecoded::BadIpVersion);
    }
    packet.source.copy_from_slice(&header[8..24]);
    packet.destination.copy_from_slice(&header[24..40]);
    let next = header[6];
    let total = match u16::from_be_bytes([header[4], header[5]]) {
        0 if next == HOP_BY_HOP => 40 + jumbo_length(data).unwrap_or(wire - 40),
        0 if next != NO_NEXT_HEADER => wire,
        length => 40 + usize::from(length),
    };
    if total > wire {
        return Err(Undecoded::BadIpv6Length);
    }
    packet.ip_bytes = total as u32;
    let data = &data[..total.min(data.len())];
    let start = match next {
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION => extensions(data, next, packet)?,
        _ => {
            packet.protocol = next;
            40
        }
    };
    if start > total {
        return Err(Undecoded::TruncatedIpv6Extension);
    }
    Ok(Body { data: data.get(start..).unwrap_or_default(), length: total - start })
}

/// Walks the extension headers to the transport; returns where that begins.
fn extensions(data: &[u8], mut next: u8, packet: &mut Packet<'_>) -> Result<usize, Undecoded> {
    let mut at = 40;
    for _ in 0..MAX_EXTENSIONS {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION | FRAGMENT | AUTHENTICATION => {
                let header: &[u8; 8] = array(data, at).ok_or(Undecoded::TruncatedIpv6Extension)?;
                let kind = next;
                next = header[0];
                match kind {
                    FRAGMENT => {
                        let place = u16::from_be_bytes([header[2], header[3]]);
                        let identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                        let fragment = Fragment { identification, offset: place & 0xfff8, more: place & 1 != 0 };
                        // Neither offset nor more: an "atomic fragment" (RFC 6946), which is a whole packet.
                        if fragment.offset != 0 || fragment.more {
                            packet.fragment = Some(fragment);
                        }
                        if fragment.offset != 0 {
                            packet.later_fragment = true;
                            packet.protocol = next;
                            return Ok(at + 8);
                        }
                        8
                    }
                    AUTHENTICATION => (usize::from(header[1]) + 2) * 4,
                    _ => (usize::from(header[1]) + 1) * 8,
                }
            }
            _ => {
                packet.protocol = next;
                return Ok(at);
            }
        };
        at += length;
    }
    Err(Undecoded::TooManyIpv6Extensions)
}

/// The jumbo payload length in the hop-by-hop options, if they have one and were captured.
fn jumbo_length(data: &[u8]) -> Option<usize> {
    let end = 40 + (usize::from(*data.get(41)?) + 1) * 8;
    let options = data.get(42..end)?;
    let mut at = 0;
    while at < options.len() {
        let kind = options[at];
        if kind == 0 {
            at += 1;
            continue;
        }
        let length = usize::from(*options.get(at + 1)?);
        if kind == JUMBO_OPTION && length == 4 {
            let value: &[u8; 4] = array(options, at + 2)?;
            return Some(u32::from_be_bytes(*value) as usize);
        }
        at += 2 + length;
    }
    None
}
