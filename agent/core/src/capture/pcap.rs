//! Classic pcap (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>): a 24-byte header, then records.

use super::LinkType;
use super::error::Fault;
use super::file::{MAX_PACKET, Record, too_long};
use super::input::Input;

/// Bytes of the file header.
pub const FILE_HEADER: usize = 24;

pub struct Pcap {
    swapped: bool,
    nanoseconds: bool,
    /// Bytes of a record header: 16, or 24 in the variant that Linux 2.2 patches wrote.
    header: usize,
    link: LinkType,
}

impl Pcap {
    /// Whether the first four bytes are those of a pcap file.
    pub fn is_magic(magic: [u8; 4]) -> bool {
        layout(magic).is_some()
    }

    /// Reads the file header.
    pub fn open(input: &mut Input) -> Result<Pcap, Fault> {
        if !input.need(FILE_HEADER)? {
            return Err(Fault::Truncated);
        }
        let header = input.ahead();
        let magic = [header[0], header[1], header[2], header[3]];
        let Some((swapped, nanoseconds, record_header)) = layout(magic) else {
            return Err(Fault::NotCapture("it does not begin like one"));
        };
        // The upper bits say whether frames carry a check sequence; lengths come from the headers, so it is not missed.
        let number = word(header, 20, swapped) & 0x03ff_ffff;
        let link = LinkType::from_number(number).ok_or(Fault::UnknownLink(number))?;
        input.consume(FILE_HEADER);
        Ok(Pcap { swapped, nanoseconds, header: record_header, link })
    }

    /// Whether a file header comes where a record should: files were put one behind the other, as cat(1) does with
    /// compressed ones. As a record it would be empty: time zone and accuracy are 0.
    #[cold]
    fn begins(header: &[u8]) -> bool {
        let Some((swapped, ..)) = layout([header[0], header[1], header[2], header[3]]) else { return false };
        let version = word(header, 4, swapped);
        version == if cfg!(target_endian = "big") != swapped { 0x0002_0004 } else { 0x0004_0002 }
    }

    /// The next record; `None` at the end of the file.
    #[inline(always)]
    pub fn next(&mut self, input: &mut Input) -> Result<Option<Record>, Fault> {
        loop {
            if !input.need(self.header)? {
                return if input.ahead().is_empty() { Ok(None) } else { Err(Fault::Truncated) };
            }
            let header = &input.ahead()[..16];
            let seconds = word(header, 0, self.swapped);
            let fraction = word(header, 4, self.swapped);
            let captured = word(header, 8, self.swapped);
            let wire_len = word(header, 12, self.swapped).max(captured);
            if wire_len == 0 && Pcap::begins(header) {
                *self = Pcap::open(input)?;
                continue;
            }
            if captured > MAX_PACKET {
                return Err(too_long(captured));
            }
            let length = captured as usize;
            if !input.need(self.header + length)? {
                return Err(Fault::Truncated);
            }
            let start = input.consume(self.header + length) + self.header;
            let micros = if self.nanoseconds { fraction / 1000 } else { fraction };
            let time = i64::from(seconds) * 1_000_000 + i64::from(micros);
            return Ok(Some(Record { time, link: self.link, start, length, wire_len }));
        }
    }
}

/// Byte order, resolution and record header of a magic number, read as little-endian.
fn layout(magic: [u8; 4]) -> Option<(bool, bool, usize)> {
    let foreign = cfg!(target_endian = "big");
    match u32::from_le_bytes(magic) {
        0xa1b2_c3d4 => Some((foreign, false, 16)),
        0xd4c3_b2a1 => Some((!foreign, false, 16)),
        0xa1b2_3c4d => Some((foreign, true, 16)),
        0x4d3c_b2a1 => Some((!foreign, true, 16)),
        0xa1b2_cd34 => Some((foreign, false, 24)),
        0x34cd_b2a1 => Some((!foreign, false, 24)),
        _ => None,
    }
}

/// A 32-bit word in the writer's byte order. `bytes` must reach beyond `at + 4`, as the callers have made sure.
#[inline(always)]
pub fn word(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let word = u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if swapped { word.swap_bytes() } else { word }
}
