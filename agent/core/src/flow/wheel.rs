//! When to look at which flow again: a timer wheel whose entries are not moved when a flow gets a packet, but only when their
//! time comes and turns out to be later. So a packet costs nothing here, and a flow a few looks in its life.

use super::record::Flow;

/// One turn, in ticks of one second. A flow that is due later is looked at once per turn.
pub const SLOTS: usize = 256;
const TICK: i64 = 1_000_000;
/// No flow.
pub const NONE: u32 = u32::MAX;

/// Lists of flows by the second in which they are due; the links are in the flows.
pub struct Wheel {
    heads: [u32; SLOTS],
    tails: [u32; SLOTS],
    occupied: [u64; SLOTS / 64],
    /// Every slot up to and including this tick has been looked at.
    pub tick: i64,
}

impl Wheel {
    pub fn new() -> Self {
        Self { heads: [NONE; SLOTS], tails: [NONE; SLOTS], occupied: [0; SLOTS / 64], tick: 0 }
    }

    /// The tick that a time is in.
    #[inline]
    pub fn tick_of(time: i64) -> i64 {
        time.div_euclid(TICK)
    }

    /// The first flow of a slot, or [`NONE`].
    pub fn head(&self, slot: usize) -> u32 {
        self.heads[slot]
    }

    pub fn slot_of(tick: i64) -> usize {
        tick.rem_euclid(SLOTS as i64) as usize
    }

    /// The slot for something due at `deadline`: one that is looked at after that time, within this turn.
    pub fn place(&self, deadline: i64) -> usize {
        let tick = Self::tick_of(deadline).saturating_add(1);
        Self::slot_of(tick.clamp(self.tick.saturating_add(1), self.tick.saturating_add(SLOTS as i64 - 1)))
    }

    /// Puts a flow at the end of a slot's list.
    pub fn link(&mut self, flows: &mut [Flow], index: u32, slot: usize) {
        let tail = std::mem::replace(&mut self.tails[slot], index);
        let flow = &mut flows[index as usize];
        (flow.next, flow.previous, flow.slot) = (NONE, tail, slot as u16);
        match flows.get_mut(tail as usize) {
            Some(tail) => tail.next = index,
            None => self.heads[slot] = index,
        }
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    pub fn unlink(&mut self, flows: &mut [Flow], index: u32) {
        let Flow { next, previous, slot, .. } = flows[index as usize];
        let slot = usize::from(slot);
        match flows.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => self.tails[slot] = previous,
        }
        match flows.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.heads[slot] = next,
        }
        if self.heads[slot] == NONE {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
    }

    /// The occupied slot that is looked at next.
    pub fn nearest(&self) -> Option<usize> {
        let start = Self::slot_of(self.tick.saturating_add(1));
        let from_start = self.occupied[start / 64] >> (start % 64) << (start % 64);
        let words = self.occupied.len();
        (0..=words).find_map(|step| {
            let word = (start / 64 + step) % words;
            let bits = if step == 0 { from_start } else { self.occupied[word] };
            (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize)
        })
    }
}
