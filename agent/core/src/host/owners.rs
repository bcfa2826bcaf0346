//! Who owns which end of a conversation: filled by the socket events, asked when a flow's row is cut.
//!
//! Wrong is worse than none. An end is looked up by network namespace, protocol and both endpoints, and by the time of the
//! flow, for ports are used again. Where two processes could be meant, none is named, and `doubtful` counts it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::lives::Lives;
use super::table::Process;

/// How long an end stays known after its close, microseconds: longer than a silent flow waits for its end by default.
const REMEMBER_US: i64 = 150_000_000;
/// Events and packets are stamped by different clock reads.
const SLACK_US: i64 = 5_000;
/// Sockets that may have one and the same end at different times.
const MOST_SLOTS: usize = 1024;
const ANY_IPV4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
const ANY: [u8; 16] = [0; 16];
/// The kernel still tells it.
const OPEN: i64 = i64::MAX;

/// A process that owns sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    pub entity: u64,
    pub name: String,
    pub user_id: u32,
    pub user_name: String,
    /// `attribution_method`.
    pub method: &'static str,
}

/// One end of a conversation. `remote_port` 0: whoever the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// Cookie of the network namespace.
    pub netns: u64,
    pub protocol: u8,
    pub local: [u8; 16],
    pub local_port: u16,
    pub remote: [u8; 16],
    pub remote_port: u16,
}

#[derive(Clone, Debug)]
struct Slot {
    socket: u64,
    from: i64,
    until: i64,
    owner: Arc<Owner>,
    confidence: u8,
}

/// What is said of a flow's process.
#[derive(Clone, Debug)]
pub struct Found {
    pub owner: Arc<Owner>,
    pub confidence: u8,
    /// As far as the process events told of it.
    pub process: Option<Arc<Process>>,
}

/// A flow, as far as it matters here. Times in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub netns: u64,
    pub protocol: u8,
    pub source: [u8; 16],
    pub source_port: u16,
    pub destination: [u8; 16],
    pub destination_port: u16,
    pub first: i64,
    pub last: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub attributed: u64,
    pub unattributed: u64,
    pub doubtful: u64,
    /// Ends that were forgotten for want of room.
    pub evicted: u64,
}

#[derive(Default)]
struct Ends {
    slots: FxHashMap<End, Vec<Slot>>,
    sockets: FxHashMap<u64, Vec<End>>,
    /// In the order in which they came.
    order: VecDeque<(End, u64)>,
    closed: VecDeque<(i64, End, u64)>,
    count: usize,
    counts: Counts,
}

#[derive(Default)]
struct Programs {
    known: FxHashMap<u64, Arc<Process>>,
    lives: Lives,
    order: VecDeque<(u32, u64)>,
}

/// Shared between those who learn of owners and those who ask.
pub struct Owners {
    most: usize,
    ends: Mutex<Ends>,
    programs: Mutex<Programs>,
    feeding: AtomicBool,
    rounds: AtomicU64,
    /// All that the kernel told until then was taken in, microseconds.
    heard: AtomicI64,
    told: Told,
}

/// How far the process events were taken in, nanoseconds of CLOCK_BOOTTIME. Two drains that found the end: in the first
/// one a record may have been reserved, but not written yet.
#[derive(Default)]
struct Told {
    feeding: AtomicBool,
    last: AtomicU64,
    surely: AtomicU64,
}

impl Default for Owners {
    fn default() -> Self {
        Self::new(131_072)
    }
}

impl Owners {
    /// Keeps at most `most` ends, and half as many processes.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(2),
            ends: Mutex::default(),
            programs: Mutex::default(),
            feeding: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
            heard: AtomicI64::new(0),
            told: Told::default(),
        }
    }

    /// A socket has this end since `from`; told again, it has another owner.
    pub fn open(&self, end: End, socket: u64, from: i64, owner: Arc<Owner>, confidence: u8) {
        lock(&self.ends).open(end, Slot { socket, from, until: OPEN, owner, confidence }, self.most);
    }

    /// A socket was closed at `time`.
    pub fn close(&self, socket: u64, time: i64) {
        lock(&self.ends).close(socket, time);
    }

    /// Forgets what was closed long before `now`.
    pub fn prune(&self, now: i64) {
        lock(&self.ends).prune(now);
    }

    /// Ends that are known.
    pub fn known(&self) -> usize {
        lock(&self.ends).count
    }

    pub fn counts(&self) -> Counts {
        lock(&self.ends).counts
    }

    /// A process as the process events, or /proc, know it.
    pub fn learn(&self, pid: u32, process: &Process) {
        let mut programs = lock(&self.programs);
        if programs.known.insert(process.entity, Arc::new(process.clone())).is_none() {
            programs.order.push_back((pid, process.entity));
            if process.entity != 0 {
                programs.lives.begin(pid, process.entity, process.start);
            }
            while programs.order.len() > self.most / 2 {
                if let Some((pid, entity)) = programs.order.pop_front() {
                    programs.known.remove(&entity);
                    programs.lives.forget(pid, entity);
                }
            }
        }
    }

    /// A process ended at `time`, nanoseconds of CLOCK_BOOTTIME.
    pub fn ended(&self, pid: u32, entity: u64, time: u64) {
        lock(&self.programs).lives.end(pid, entity, time);
    }

    /// The process that had the pid at some time between `since` and `until`, nanoseconds of CLOCK_BOOTTIME; None if none
    /// is known, or if there were two. Its program is the last that it is known to have run.
    pub fn process_then(&self, pid: u32, since: u64, until: u64) -> Option<Arc<Process>> {
        let programs = lock(&self.programs);
        let entity = programs.lives.find(pid, since, until)?;
        programs.known.get(&entity).cloned()
    }

    /// Says that somebody tells of processes, or no longer does.
    pub fn telling(&self, on: bool) {
        self.told.feeding.store(on, Ordering::Release);
    }

    /// Says that the process events were taken in to their end, by a drain that began at `time` (CLOCK_BOOTTIME).
    pub fn told(&self, time: u64) {
        self.told.surely.store(self.told.last.swap(time, Ordering::AcqRel), Ordering::Release);
    }

    /// Whether all process events until `time` were taken in, or nobody tells of any.
    pub fn knows_processes(&self, time: u64) -> bool {
        self.told.surely.load(Ordering::Acquire) >= time || !self.told.feeding.load(Ordering::Acquire)
    }

    /// A process by its identity.
    pub fn process(&self, entity: u64) -> Option<Arc<Process>> {
        lock(&self.programs).known.get(&entity).cloned()
    }

    /// The process of a flow: the originator's if it is on this host, else the responder's. `local` says whether an
    /// address is one of the namespace's own, which a socket bound to any address needs.
    pub fn find(&self, flow: &Question, local: &mut dyn FnMut(&[u8; 16]) -> bool) -> Option<Found> {
        let mut ends = lock(&self.ends);
        let answer = ends.find(flow, local);
        match answer {
            Answer::One(..) => ends.counts.attributed += 1,
            Answer::Doubt => ends.counts.doubtful += 1,
            Answer::Nobody => ends.counts.unattributed += 1,
        }
        drop(ends);
        let Answer::One(owner, confidence) = answer else { return None };
        let process = self.process(owner.entity);
        Some(Found { owner, confidence, process })
    }

    /// Says that somebody fills this, or no longer does.
    pub fn feeding(&self, on: bool) {
        self.feeding.store(on, Ordering::Release);
    }

    /// Whether all was taken in that the kernel told until `time`, or nobody will.
    pub fn heard(&self, time: i64) -> bool {
        self.heard.load(Ordering::Acquire) >= time || !self.feeding.load(Ordering::Acquire)
    }

    /// Says that everything that the kernel had told until `time` was taken in.
    pub fn drained(&self, time: i64) {
        self.heard.store(time, Ordering::Release);
        self.rounds.fetch_add(1, Ordering::Release);
    }

    /// For `served`.
    pub fn ticket(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Whether all was taken in that the kernel had told when the ticket was drawn, or nobody will. Unlike `heard` it needs
    /// no clock, which may be set back.
    pub fn served(&self, ticket: u64) -> bool {
        self.rounds.load(Ordering::Acquire) >= ticket + 2 || !self.feeding.load(Ordering::Acquire)
    }

    /// Waits until what the kernel told before this call was taken in, or for `timeout`.
    pub fn settle(&self, timeout: Duration) {
        let (begin, ticket) = (Instant::now(), self.ticket());
        while !self.served(ticket) && begin.elapsed() < timeout {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

enum Answer {
    Nobody,
    Doubt,
    One(Arc<Owner>, u8),
}

impl Ends {
    fn open(&mut self, end: End, slot: Slot, most: usize) {
        let socket = slot.socket;
        let slots = self.slots.entry(end).or_default();
        if let Some(known) = slots.iter_mut().find(|known| known.socket == socket && known.until == OPEN) {
            (known.owner, known.confidence) = (slot.owner, slot.confidence);
            return;
        }
        if slots.len() >= MOST_SLOTS {
            slots.remove(0);
            self.count -= 1;
            self.counts.evicted += 1;
        }
        slots.push(slot);
        self.count += 1;
        self.order.push_back((end, socket));
        let ends = self.sockets.entry(socket).or_default();
        if !ends.contains(&end) {
            ends.push(end);
        }
        while self.count > most {
            let next = self.closed.pop_front().map(|(_, end, socket)| (end, socket));
            let Some((end, socket)) = next.or_else(|| self.order.pop_front()) else { break };
            if self.remove(&end, socket) {
                self.counts.evicted += 1;
            }
        }
        if self.order.len() > 2 * self.count + 1024 {
            let slots = &self.slots;
            self.order.retain(|(end, socket)| {
                slots.get(end).is_some_and(|slots| slots.iter().any(|slot| slot.socket == *socket))
            });
        }
    }

    fn close(&mut self, socket: u64, time: i64) {
        for end in self.sockets.remove(&socket).unwrap_or_default() {
            let slots = self.slots.get_mut(&end).into_iter().flatten();
            for slot in slots.filter(|slot| slot.socket == socket && slot.until == OPEN) {
                slot.until = time;
            }
            self.closed.push_back((time, end, socket));
        }
    }

    fn prune(&mut self, now: i64) {
        while let Some(&(time, end, socket)) = self.closed.front() {
            if time + REMEMBER_US > now {
                break;
            }
            self.closed.pop_front();
            self.remove(&end, socket);
        }
    }

    fn remove(&mut self, end: &End, socket: u64) -> bool {
        let Some(slots) = self.slots.get_mut(end) else { return false };
        let before = slots.len();
        slots.retain(|slot| slot.socket != socket);
        let removed = before - slots.len();
        self.count -= removed;
        if slots.is_empty() {
            self.slots.remove(end);
        }
        if let Some(ends) = self.sockets.get_mut(&socket) {
            ends.retain(|known| known != end);
            if ends.is_empty() {
                self.sockets.remove(&socket);
            }
        }
        removed > 0
    }

    fn find(&self, flow: &Question, local: &mut dyn FnMut(&[u8; 16]) -> bool) -> Answer {
        let from = End {
            netns: flow.netns,
            protocol: flow.protocol,
            local: flow.source,
            local_port: flow.source_port,
            remote: flow.destination,
            remote_port: flow.destination_port,
        };
        // A listener does not open connections.
        let answer = self.end(from, flow, flow.protocol != TCP, local);
        if !matches!(answer, Answer::Nobody) || flow.source == flow.destination || is_loopback(&flow.source) {
            return answer;
        }
        let to = End {
            local: from.remote,
            local_port: from.remote_port,
            remote: from.local,
            remote_port: from.local_port,
            ..from
        };
        self.end(to, flow, true, local)
    }

    fn end(&self, end: End, flow: &Question, wild: bool, local: &mut dyn FnMut(&[u8; 16]) -> bool) -> Answer {
        let exact = self.slot(&end, flow);
        if !wild || !matches!(exact, Answer::Nobody) {
            return exact;
        }
        let bound = End { remote: ANY, remote_port: 0, ..end };
        let answer = self.slot(&bound, flow);
        if !matches!(answer, Answer::Nobody) {
            return listening(end.protocol, answer);
        }
        let any = if end.local.starts_with(&ANY_IPV4[..12]) { &[ANY_IPV4, ANY][..] } else { &[ANY][..] };
        for address in any {
            let answer = self.slot(&End { local: *address, ..bound }, flow);
            if !matches!(answer, Answer::Nobody) {
                return if local(&end.local) { listening(end.protocol, answer) } else { Answer::Nobody };
            }
        }
        Answer::Nobody
    }

    /// Of the sockets that had the end one after the other, the one that had it during the flow.
    fn slot(&self, end: &End, flow: &Question) -> Answer {
        // How long socket and flow were there together; below 0: how far they are apart.
        let together = |slot: &Slot| slot.until.min(flow.last) - slot.from.max(flow.first);
        let slots = self.slots.get(end).map_or(&[][..], Vec::as_slice);
        let near = || slots.iter().filter(|slot| together(slot) >= -SLACK_US);
        let Some(best) = near().max_by_key(|slot| together(slot)) else { return Answer::Nobody };
        let longest = together(best);
        let other = |slot: &&Slot| slot.owner.entity != best.owner.entity;
        if near().filter(other).any(|slot| together(slot) >= 0 && 2 * together(slot) >= longest) {
            return Answer::Doubt;
        }
        // The flow is this socket's, whosever that is: no listener answers in its place.
        if best.confidence == 0 { Answer::Doubt } else { Answer::One(best.owner.clone(), best.confidence) }
    }
}

/// Who listens need not be who accepts.
fn listening(protocol: u8, answer: Answer) -> Answer {
    match answer {
        Answer::One(owner, confidence) if protocol == TCP => Answer::One(owner, confidence.min(50)),
        answer => answer,
    }
}

const TCP: u8 = 6;

fn is_loopback(address: &[u8; 16]) -> bool {
    address.starts_with(&ANY_IPV4[..12]) && address[12] == 127 || u128::from_be_bytes(*address) == 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
