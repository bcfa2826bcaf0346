//! One block of a `TPACKET_V3` ring: a header, then frames, each with its own header (`linux/if_packet.h`).

use std::io;
use std::mem::offset_of;

use super::{Frame, LinkType};

/// Calls `each` for every frame of a block and returns their number. Offsets that leave the block or do not advance are
/// `InvalidData`: the kernel is trusted to write what it says, but not with this process's memory.
pub fn walk(block: &[u8], link: LinkType, each: &mut impl FnMut(&Frame<'_>)) -> io::Result<usize> {
    type Header = libc::tpacket3_hdr;
    const FIRST: usize = offset_of!(libc::tpacket_block_desc, hdr);
    let count = word(block, FIRST + offset_of!(libc::tpacket_hdr_v1, num_pkts))? as usize;
    let mut at = word(block, FIRST + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt))? as usize;
    for left in (0..count).rev() {
        let header = block.get(at..).ok_or_else(nonsense)?;
        let status = word(header, offset_of!(Header, tp_status))?;
        let start = word(header, offset_of!(Header, tp_mac))?;
        // Two 16-bit fields next to each other: the first is what the name says.
        let start = start.to_ne_bytes();
        let start = usize::from(u16::from_ne_bytes([start[0], start[1]]));
        let length = word(header, offset_of!(Header, tp_snaplen))? as usize;
        let data = header.get(start..start + length).ok_or_else(nonsense)?;
        let seconds = i64::from(word(header, offset_of!(Header, tp_sec))?);
        let nanoseconds = i64::from(word(header, offset_of!(Header, tp_nsec))?);
        let vlan = if status & libc::TP_STATUS_VLAN_VALID != 0 {
            const TAG: usize =
                offset_of!(libc::tpacket3_hdr, hv1) + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci);
            (word(header, TAG)? & 0x0fff) as u16
        } else {
            0
        };
        let wire_len = word(header, offset_of!(Header, tp_len))?.max(length as u32);
        each(&Frame { time: seconds * 1_000_000 + nanoseconds / 1000, link, data, wire_len, vlan });
        let next = word(header, offset_of!(Header, tp_next_offset))? as usize;
        if left > 0 && next < size_of::<Header>() {
            return Err(nonsense());
        }
        at += next;
    }
    Ok(count)
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> io::Result<u32> {
    let word: &[u8; 4] = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(nonsense)?;
    Ok(u32::from_ne_bytes(*word))
}

#[cold]
fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an offset leaves the block or leads back")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: usize = size_of::<libc::tpacket3_hdr>();

    fn put(block: &mut [u8], at: usize, value: u32) {
        block[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// A block of two frames, as the kernel lays them out.
    fn block() -> Vec<u8> {
        let mut block = vec![0; 512];
        put(&mut block, 12, 2);
        put(&mut block, 16, 48);
        for (at, next, tag, status, data) in [(48, 128, 0x2000 | 7, 1 << 4 | 1, b"first"), (176, 0, 9, 1, b"later")] {
            let start = (HEADER + 18) as u16;
            for (index, value) in [next, 1_700_000_000, 123_456_789, 5, 900, status].into_iter().enumerate() {
                put(&mut block, at + 4 * index, value);
            }
            block[at + 24..at + 26].copy_from_slice(&start.to_ne_bytes());
            block[at + 26..at + 28].copy_from_slice(&(start + 14).to_ne_bytes());
            put(&mut block, at + 32, tag);
            block[at + usize::from(start)..][..5].copy_from_slice(data);
        }
        block
    }

    #[test]
    fn frames_of_a_block() {
        let mut frames = vec![];
        let count = walk(&block(), LinkType::Ethernet, &mut |frame| {
            frames.push((frame.time, frame.data.to_vec(), frame.wire_len, frame.vlan));
        });
        assert_eq!(count.unwrap(), 2);
        let time = 1_700_000_000_123_456;
        assert_eq!(frames, [(time, b"first".to_vec(), 900, 7), (time, b"later".to_vec(), 900, 0)]);
    }

    proptest! {
        #[test]
        fn no_offset_leads_out(changes in prop::collection::vec((0_usize..260, any::<u8>()), 1..8), end in 0_usize..=512) {
            let mut block = block();
            for (at, value) in changes {
                block[at] = value;
            }
            let mut frames = 0;
            let walked = walk(&block[..end], LinkType::Ethernet, &mut |_| frames += 1);
            prop_assert!(walked.is_err() || walked.unwrap() == frames);
        }
    }
}
