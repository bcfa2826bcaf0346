//! Ends of conversations and the sockets that had them, one after the other; a bounded table.

use std::collections::{VecDeque, hash_map};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Counts, End, Owner};

/// How long an end stays known after its close, microseconds: longer than a silent flow waits for its end by default.
pub(super) const REMEMBER_US: i64 = 150_000_000;
/// Sockets that may have had one and the same end: more than can follow each other while a flow's row waits.
const MOST_SLOTS: usize = 16_384;
/// Ends that one socket may have at a time: UDP may be connected again and again.
const MOST_OF_SOCKET: usize = 16;
/// Room that is kept even when it is empty.
const ROOM: usize = 1024;
/// The kernel still tells it.
pub(super) const OPEN: i64 = i64::MAX;

/// A socket at an end, from one time to another, microseconds.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub socket: u64,
    pub from: i64,
    pub until: i64,
    pub owner: Arc<Owner>,
    pub confidence: u8,
    /// Grows from slot to slot.
    serial: u64,
}

impl Slot {
    pub fn new(socket: u64, from: i64, owner: Arc<Owner>, confidence: u8) -> Self {
        Self { socket, from, until: OPEN, owner, confidence, serial: 0 }
    }
}

/// The sockets that have, and had, one and the same end. Mostly that is one, so there is room for one at first, here and
/// below.
#[derive(Default)]
struct Line {
    open: Vec<Slot>,
    /// In the order in which they were closed.
    closed: VecDeque<Slot>,
    /// None of the closed ones was open for longer, microseconds.
    longest: i64,
}

impl Line {
    fn close(&mut self, serial: u64, time: i64) -> bool {
        let Some(at) = self.open.iter().position(|slot| slot.serial == serial) else { return false };
        let mut slot = self.open.swap_remove(at);
        if self.open.is_empty() {
            self.open = Vec::new();
        }
        slot.until = time;
        self.longest = self.longest.max(time.saturating_sub(slot.from));
        let at = self.closed.partition_point(|slot| slot.until <= time);
        if self.closed.is_empty() {
            self.closed.reserve_exact(1);
        }
        self.closed.insert(at, slot);
        true
    }

    /// Where a slot is that was closed at `time`.
    fn find(&self, time: i64, serial: u64) -> Option<usize> {
        let first = self.closed.partition_point(|slot| slot.until < time);
        let same = self.closed.range(first..).take_while(|slot| slot.until == time);
        same.into_iter().position(|slot| slot.serial == serial).map(|at| first + at)
    }

    fn len(&self) -> usize {
        self.open.len() + self.closed.len()
    }
}

#[derive(Default)]
pub(super) struct Ends {
    lines: FxHashMap<End, Line>,
    /// What open sockets have.
    sockets: FxHashMap<u64, VecDeque<(End, u64)>>,
    /// Open sockets and their slots, in the order in which they came. May also name what is no more.
    order: VecDeque<(u64, u64)>,
    /// In the order in which they were closed. May also name what is no more.
    closed: VecDeque<(i64, End, u64)>,
    /// How many slots there are, in all and by network namespace.
    count: usize,
    namespaces: FxHashMap<u64, usize>,
    serial: u64,
    pub counts: Counts,
}

impl Ends {
    pub fn len(&self) -> usize {
        self.count
    }

    /// The sockets that had an end at some time between `first` and `last`.
    pub fn at(&self, end: &End, first: i64, last: i64) -> impl Iterator<Item = &Slot> + Clone {
        let line = self.lines.get(end);
        let open = line.into_iter().flat_map(|line| &line.open);
        let closed = line.into_iter().flat_map(move |line| {
            let begin = line.closed.partition_point(|slot| slot.until < first);
            // What was closed later than this has begun after `last`.
            let latest = last.saturating_add(line.longest);
            line.closed.range(begin..).take_while(move |slot| slot.until <= latest)
        });
        open.chain(closed).filter(move |slot| slot.from <= last)
    }

    /// The network namespaces that have sockets.
    pub fn namespaces(&self) -> impl Iterator<Item = u64> {
        self.namespaces.keys().copied()
    }

    pub fn open(&mut self, end: End, mut slot: Slot, most: usize) {
        let socket = slot.socket;
        let ends = self.sockets.entry(socket).or_default();
        if let Some((_, serial)) = ends.iter().find(|(known, _)| *known == end) {
            let mut open = self.lines.get_mut(&end).into_iter().flat_map(|line| &mut line.open);
            if let Some(known) = open.find(|known| known.serial == *serial) {
                (known.owner, known.confidence) = (slot.owner, slot.confidence);
            }
            return;
        }
        self.serial += 1;
        slot.serial = self.serial;
        let left = (ends.len() >= MOST_OF_SOCKET).then(|| ends.pop_front()).flatten();
        if ends.is_empty() {
            ends.reserve_exact(1);
        }
        ends.push_back((end, self.serial));
        if let Some((end, serial)) = left {
            self.ended(end, serial, slot.from);
        }
        self.order.push_back((socket, self.serial));
        let open = &mut self.lines.entry(end).or_default().open;
        if open.is_empty() {
            open.reserve_exact(1);
        }
        open.push(slot);
        self.count += 1;
        *self.namespaces.entry(end.netns).or_default() += 1;
        self.crowd(&end);
        while self.count > most {
            let removed = match self.closed.pop_front() {
                Some((time, end, serial)) => self.remove_closed(&end, time, serial),
                None => match self.order.pop_front() {
                    Some((socket, serial)) => self.remove_open(socket, serial),
                    None => break,
                },
            };
            self.counts.evicted += u64::from(removed);
        }
        self.compact();
    }

    pub fn close(&mut self, socket: u64, time: i64) {
        for (end, serial) in self.sockets.remove(&socket).unwrap_or_default() {
            self.ended(end, serial, time);
        }
    }

    pub fn prune(&mut self, now: i64) {
        while let Some(&(time, end, serial)) = self.closed.front().filter(|(time, ..)| time + REMEMBER_US <= now) {
            self.closed.pop_front();
            self.remove_closed(&end, time, serial);
        }
        self.shrink();
    }

    /// Gives back the room that a burst has left.
    fn shrink(&mut self) {
        let room = ROOM.max(2 * self.count);
        if self.lines.capacity() > 4 * room {
            self.compact();
            self.lines.shrink_to(room);
            self.sockets.shrink_to(room);
            self.order.shrink_to(room);
            self.closed.shrink_to(room);
        }
    }

    fn ended(&mut self, end: End, serial: u64, time: i64) {
        if self.lines.get_mut(&end).is_some_and(|line| line.close(serial, time)) {
            self.closed.push_back((time, end, serial));
        }
    }

    /// Keeps the sockets of one end few.
    fn crowd(&mut self, end: &End) {
        let Some(line) = self.lines.get(end).filter(|line| line.len() > MOST_SLOTS) else { return };
        let (closed, open) = (line.closed.front(), line.open.first());
        let removed = match (closed.map(|slot| (slot.until, slot.serial)), open.map(|slot| (slot.socket, slot.serial)))
        {
            (Some((time, serial)), _) => self.remove_closed(end, time, serial),
            (None, Some((socket, serial))) => self.remove_open(socket, serial),
            (None, None) => false,
        };
        self.counts.evicted += u64::from(removed);
    }

    fn remove_closed(&mut self, end: &End, time: i64, serial: u64) -> bool {
        let Some(line) = self.lines.get_mut(end) else { return false };
        let removed = line.find(time, serial).and_then(|at| line.closed.remove(at)).is_some();
        if removed {
            self.removed(end);
        }
        removed
    }

    fn remove_open(&mut self, socket: u64, serial: u64) -> bool {
        let hash_map::Entry::Occupied(mut ends) = self.sockets.entry(socket) else { return false };
        let Some(at) = ends.get().iter().position(|(_, known)| *known == serial) else { return false };
        let Some((end, _)) = ends.get_mut().remove(at) else { return false };
        if ends.get().is_empty() {
            ends.remove();
        }
        if let Some(line) = self.lines.get_mut(&end) {
            line.open.retain(|slot| slot.serial != serial);
        }
        self.removed(&end);
        true
    }

    fn removed(&mut self, end: &End) {
        if self.lines.get(end).is_some_and(|line| line.len() == 0) {
            self.lines.remove(end);
        }
        self.count -= 1;
        if let hash_map::Entry::Occupied(mut slots) = self.namespaces.entry(end.netns) {
            *slots.get_mut() -= 1;
            if *slots.get() == 0 {
                slots.remove();
            }
        }
    }

    fn compact(&mut self) {
        let most = 2 * self.count + 1024;
        if self.order.len() > most {
            let sockets = &self.sockets;
            self.order.retain(|(socket, serial)| {
                sockets.get(socket).is_some_and(|ends| ends.iter().any(|(_, known)| known == serial))
            });
        }
        if self.closed.len() > most {
            let lines = &self.lines;
            self.closed
                .retain(|(time, end, serial)| lines.get(end).is_some_and(|line| line.find(*time, *serial).is_some()));
        }
    }

    /// How much each of the parts holds, to be held against bounds.
    #[cfg(test)]
    pub fn sizes(&self) -> [usize; 4] {
        [self.lines.len(), self.sockets.len(), self.order.len(), self.closed.len()]
    }

    /// How much each of the parts has room for.
    #[cfg(test)]
    pub fn room(&self) -> [usize; 4] {
        [self.lines.capacity(), self.sockets.capacity(), self.order.capacity(), self.closed.capacity()]
    }
}
