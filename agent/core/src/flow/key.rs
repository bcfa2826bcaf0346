//! What makes packets belong to one flow.

use std::hash::{Hash, Hasher};

use super::icmp;
use crate::decode::Packet;

/// Addresses, ports, protocol and VLAN, the same for both directions: the smaller endpoint comes first.
#[derive(Clone, Copy, Debug)]
pub struct Key([u64; 5]);

impl PartialEq for Key {
    // Derived, this is a call of memcmp for every packet.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differences, (mine, theirs)| differences | (mine ^ theirs)) == 0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0 {
            state.write_u64(word);
        }
    }
}

/// A packet's key, and where its sender stands in it.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    pub key: Key,
    /// The sender is the first endpoint of the key.
    pub first: bool,
    /// The ports as rows show them: ICMP type, and type of the counterpart or code.
    pub source_port: u16,
    pub destination_port: u16,
}

impl Keyed {
    /// `ports` are the packet's, or of a later fragment those of its first one, if they are known.
    #[inline]
    pub fn of(packet: &Packet<'_>, ports: Option<(u16, u16)>) -> Self {
        let (source_port, mut destination_port) = ports.unwrap_or_default();
        let mut one_way = false;
        if ports.is_some() && (packet.protocol == icmp::ICMP || packet.protocol == icmp::ICMP6) {
            match icmp::counterpart(packet.protocol, source_port) {
                Some(counterpart) => destination_port = counterpart,
                None => one_way = true,
            }
        }
        let source = u128::from_be_bytes(packet.source);
        let destination = u128::from_be_bytes(packet.destination);
        // Messages that have no counterpart are told apart by direction.
        let first = one_way || (source, source_port) <= (destination, destination_port);
        let (low, high) = if first { (source, destination) } else { (destination, source) };
        let (low_port, high_port) =
            if first { (source_port, destination_port) } else { (destination_port, source_port) };
        let rest = u64::from(low_port) << 48
            | u64::from(high_port) << 32
            | u64::from(packet.vlan) << 16
            | u64::from(packet.protocol) << 8
            | u64::from(one_way);
        let key = Key([(low >> 64) as u64, low as u64, (high >> 64) as u64, high as u64, rest]);
        Self { key, first, source_port, destination_port }
    }
}

/// The identity of a flow: a hash of originator, responder, ports, protocol, VLAN, start and salt. The same in every run and on
/// every machine; never 0.
pub fn flow_id(
    source: &[u8; 16],
    destination: &[u8; 16],
    ports: (u16, u16),
    protocol: u8,
    vlan: u16,
    start: i64,
    salt: u64,
) -> u64 {
    let (source, destination) = (u128::from_be_bytes(*source), u128::from_be_bytes(*destination));
    let rest = u64::from(ports.0) << 48 | u64::from(ports.1) << 32 | u64::from(vlan) << 16 | u64::from(protocol);
    let words =
        [(source >> 64) as u64, source as u64, (destination >> 64) as u64, destination as u64, rest, start as u64];
    words.into_iter().fold(salt, |hash, word| mix(hash.rotate_left(29) ^ word)).max(1)
}

/// A salt for the flow identifiers of one place of capture.
pub fn salt(names: &[&str]) -> u64 {
    let bytes = names.iter().flat_map(|name| name.bytes().map(u64::from).chain([256]));
    bytes.fold(0, |hash: u64, byte| mix(hash.rotate_left(29) ^ byte))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014), a bijection.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
