//! The ports of fragmented packets, which only their first fragment says.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::decode::Packet;

/// Remembered first fragments; a power of two.
const PLACES: usize = 4096;
/// Reassembly time of a packet (RFC 8200, 4.5), microseconds.
const LIFETIME: i64 = 60_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Whole {
    source: [u8; 16],
    destination: [u8; 16],
    identification: u32,
    vlan: u16,
    protocol: u8,
}

#[derive(Clone, Copy)]
struct First {
    whole: Whole,
    time: i64,
    ports: (u16, u16),
}

/// First fragments of the last minute, as many as fit; a newer one takes the place of an older.
pub struct Fragments {
    places: Vec<Option<First>>,
    keys: RandomState,
}

impl Fragments {
    pub fn new() -> Self {
        Self { places: Vec::new(), keys: RandomState::default() }
    }

    /// The ports of a packet, be it whole, a first fragment, or a later one of a first that was seen.
    #[inline]
    pub fn ports(&mut self, packet: &Packet<'_>) -> Option<(u16, u16)> {
        let own = (packet.source_port, packet.destination_port);
        let Some(fragment) = packet.fragment else {
            return (!packet.later_fragment).then_some(own);
        };
        if self.places.is_empty() {
            self.places = vec![None; PLACES];
        }
        let whole = Whole {
            source: packet.source,
            destination: packet.destination,
            identification: fragment.identification,
            vlan: packet.vlan,
            protocol: packet.protocol,
        };
        let place = &mut self.places[self.keys.hash_one(whole) as usize % PLACES];
        if !packet.later_fragment {
            *place = Some(First { whole, time: packet.time, ports: own });
            return Some(own);
        }
        let first = place.filter(|first| first.whole == whole)?;
        (packet.time.saturating_sub(first.time) <= LIFETIME).then_some(first.ports)
    }
}
