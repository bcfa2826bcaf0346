//! pcapng (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>): sections of blocks.

use super::LinkType;
use super::error::Fault;
use super::file::{MAX_PACKET, Record, too_long};
use super::input::Input;
use super::pcap::word;

pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Largest block that is read whole: a packet and as much again for its options.
const MAX_BLOCK: u32 = 2 * MAX_PACKET;
/// More than a merge of a whole data centre has; keeps the table small.
const MAX_INTERFACES: usize = 65_536;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

pub struct PcapNg {
    swapped: bool,
    interfaces: Vec<Interface>,
    /// Simple packets carry no time; they get that of the packet before.
    last_time: i64,
    /// Packets of interfaces whose link type is unknown, in a file that also has known ones.
    pub skipped: u64,
    /// Where the block that was read last begins.
    pub block_at: u64,
}

struct Interface {
    link: Result<LinkType, u32>,
    snap_length: u32,
    scale: Scale,
    /// Microseconds.
    offset: i64,
}

/// How a timestamp becomes microseconds.
#[derive(Clone, Copy)]
enum Scale {
    Multiply(u64),
    Divide(u64),
    /// Binary fractions of a second.
    Shift(u32),
}

/// Where a packet block keeps what.
struct Packet {
    interface: usize,
    /// Before scaling; `None` in a simple packet.
    stamp: Option<u64>,
    data: usize,
    captured: u32,
    wire_len: u32,
}

impl PcapNg {
    pub fn new() -> PcapNg {
        PcapNg { swapped: false, interfaces: Vec::new(), last_time: 0, skipped: 0, block_at: 0 }
    }

    /// The next packet; `None` at the end of the file.
    pub fn next(&mut self, input: &mut Input) -> Result<Option<Record>, Fault> {
        loop {
            self.block_at = input.at();
            if !input.need(12)? {
                return if input.ahead().is_empty() { Ok(None) } else { Err(Fault::Truncated) };
            }
            let head = input.ahead();
            let kind = word(head, 0, self.swapped);
            if kind == SECTION_HEADER {
                self.swapped = match word(head, 8, false) {
                    BYTE_ORDER => false,
                    order if order.swap_bytes() == BYTE_ORDER => true,
                    order => return Err(Fault::Corrupt(format!("section with byte order mark {order:#010x}"))),
                };
                self.interfaces.clear();
            }
            let total = word(head, 4, self.swapped);
            if total < 12 || !total.is_multiple_of(4) {
                return Err(Fault::Corrupt(format!("block that says its length is {total}")));
            }
            match kind {
                INTERFACE_DESCRIPTION | ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET => {
                    if total > MAX_BLOCK {
                        return Err(too_long(total));
                    }
                    if !input.need(total as usize)? {
                        return Err(Fault::Truncated);
                    }
                    if word(input.ahead(), total as usize - 4, self.swapped) != total {
                        return Err(Fault::Corrupt("block whose two lengths differ".into()));
                    }
                    let block = &input.ahead()[..total as usize - 4];
                    if kind == INTERFACE_DESCRIPTION {
                        self.describe(block)?;
                        input.consume(total as usize);
                    } else {
                        let packet = self.packet(kind, block)?;
                        let found = self.record(&packet)?;
                        let start = input.consume(total as usize) + packet.data;
                        if let Some((link, time)) = found {
                            let (length, wire_len) = (packet.captured as usize, packet.wire_len);
                            return Ok(Some(Record { time, link, start, length, wire_len }));
                        }
                    }
                }
                _ => {
                    if !input.skip(u64::from(total))? {
                        return Err(Fault::Truncated);
                    }
                }
            }
        }
    }

    fn describe(&mut self, block: &[u8]) -> Result<(), Fault> {
        if block.len() < 16 {
            return Err(Fault::Corrupt("interface description of less than 20 bytes".into()));
        }
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Fault::Corrupt(format!("interface description beyond the {MAX_INTERFACES}th")));
        }
        let number = u32::from(half(block, 8, self.swapped));
        let mut interface = Interface {
            link: LinkType::from_number(number).ok_or(number),
            snap_length: word(block, 12, self.swapped),
            scale: Scale::Multiply(1),
            offset: 0,
        };
        let mut options = &block[16..];
        while options.len() >= 4 {
            let code = half(options, 0, self.swapped);
            let length = usize::from(half(options, 2, self.swapped));
            let Some(value) = options.get(4..4 + length) else {
                return Err(Fault::Corrupt("interface option longer than its block".into()));
            };
            match (code, length) {
                (0, _) => break,
                (OPTION_TSRESOL, 1) => interface.scale = Scale::of(value[0]),
                (OPTION_TSOFFSET, 8) => {
                    let (a, b) = (word(value, 0, self.swapped), word(value, 4, self.swapped));
                    let (high, low) = if self.swapped == cfg!(target_endian = "little") { (a, b) } else { (b, a) };
                    let seconds = (u64::from(high) << 32 | u64::from(low)) as i64;
                    interface.offset = seconds.saturating_mul(1_000_000);
                }
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(interface);
        Ok(())
    }

    #[inline(always)]
    fn packet(&self, kind: u32, block: &[u8]) -> Result<Packet, Fault> {
        let simple = kind == SIMPLE_PACKET;
        let data = if simple { 12 } else { 28 };
        if block.len() < data {
            return Err(Fault::Corrupt("packet block shorter than its header".into()));
        }
        let room = (block.len() - data) as u32;
        let field = |at| word(block, at, self.swapped);
        if simple {
            let wire_len = field(8);
            let limit = match self.interfaces.first().map_or(0, |interface| interface.snap_length) {
                0 => room,
                snap => snap.min(room),
            };
            return Ok(Packet { interface: 0, stamp: None, data, captured: wire_len.min(limit), wire_len });
        }
        let interface = if kind == ENHANCED_PACKET { field(8) } else { u32::from(half(block, 8, self.swapped)) };
        let captured = field(20);
        if captured > room {
            return Err(too_long(captured));
        }
        let stamp = Some(u64::from(field(12)) << 32 | u64::from(field(16)));
        Ok(Packet { interface: interface as usize, stamp, data, captured, wire_len: field(24).max(captured) })
    }

    /// Link type and time of a packet; `None` if its link type is unknown but that of other interfaces is known.
    #[inline(always)]
    fn record(&mut self, packet: &Packet) -> Result<Option<(LinkType, i64)>, Fault> {
        let Some(interface) = self.interfaces.get(packet.interface) else {
            let (number, count) = (packet.interface, self.interfaces.len());
            return Err(Fault::Corrupt(format!("packet of interface {number} where {count} are described")));
        };
        if let Some(stamp) = packet.stamp {
            self.last_time = interface.scale.micros(stamp).saturating_add(interface.offset);
        }
        match interface.link {
            Ok(link) => Ok(Some((link, self.last_time))),
            Err(number) => {
                if self.interfaces.iter().all(|interface| interface.link.is_err()) {
                    return Err(Fault::UnknownLink(number));
                }
                self.skipped += 1;
                Ok(None)
            }
        }
    }
}

impl Scale {
    /// Option `if_tsresol`: a negative power of 10, or of 2 if the highest bit is set.
    fn of(resolution: u8) -> Scale {
        let power = u32::from(resolution & 0x7f);
        match resolution {
            0x80.. => Scale::Shift(power),
            0..=6 => Scale::Multiply(10_u64.pow(6 - power)),
            _ => Scale::Divide(10_u64.saturating_pow(power - 6)),
        }
    }

    #[inline(always)]
    fn micros(self, stamp: u64) -> i64 {
        let micros = match self {
            Scale::Multiply(factor) => stamp.saturating_mul(factor),
            Scale::Divide(divisor) => stamp / divisor,
            Scale::Shift(bits) => ((u128::from(stamp) * 1_000_000) >> bits).try_into().unwrap_or(u64::MAX),
        };
        i64::try_from(micros).unwrap_or(i64::MAX)
    }
}

#[inline(always)]
fn half(bytes: &[u8], at: usize, swapped: bool) -> u16 {
    let half = u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    if swapped { half.swap_bytes() } else { half }
}
