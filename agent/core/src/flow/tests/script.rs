//! TCP conversations in a few letters.

use super::address;
use crate::decode::{Packet, Tcp};

pub const CLIENT: (u8, u16) = (1, 40_000);
pub const SERVER: (u8, u16) = (2, 80);
/// Between packets, microseconds.
pub const STEP: i64 = 1000;

/// Packets of a connection between [`CLIENT`] and [`SERVER`], one per word: `>` from the client or `<` from the server,
/// the flags S A F R P, the bytes of payload, and then `~` for one that sends again what this side sent last, `0` after
/// a dash for a zero window, `!` for one that the capture missed.
pub fn script(words: &str) -> Vec<Packet<'static>> {
    let mut next = [1000u32, 5000];
    let mut last = next;
    let mut packets = Vec::new();
    for (index, word) in words.split_whitespace().enumerate() {
        let me = usize::from(word.starts_with('<'));
        let flags = word.chars().map(|letter| match letter {
            'F' => 1,
            'S' => 2,
            'R' => 4,
            'P' => 8,
            'A' => 16,
            _ => 0,
        });
        let flags = flags.fold(0u8, |all, flag| all | flag);
        let (word, zero_window) = word.strip_suffix("-0").map_or((word, false), |word| (word, true));
        let payload = word.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0u32);
        if !word.contains('~') {
            last[me] = next[me];
        }
        next[me] = last[me] + payload + u32::from(flags & 3 != 0);
        let ends = if me == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        if !word.contains('!') {
            packets.push(Packet {
                time: index as i64 * STEP,
                source: address(ends.0.0),
                destination: address(ends.1.0),
                protocol: 6,
                source_port: ends.0.1,
                destination_port: ends.1.1,
                ip_bytes: 40 + payload,
                payload_bytes: payload,
                tcp: Some(Tcp {
                    flags,
                    sequence: last[me],
                    acknowledgement: if flags & 16 == 0 { 0 } else { next[1 - me] },
                    window: if zero_window { 0 } else { 65_535 },
                }),
                ..Packet::default()
            });
        }
    }
    packets
}
