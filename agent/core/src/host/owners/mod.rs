//! Who owns which end of a conversation: filled by the socket events, asked when a flow's row is cut.
//!
//! Wrong is worse than none. An end is looked up by network namespace, protocol and both endpoints, and by the time of the
//! flow, for ports are used again. Where two processes could be meant, none is named, and `doubtful` counts it.
//!
//! `ends`: what is known, bounded; `find`: what follows from it for a flow; `programs`: what the processes run.

mod ends;
mod find;
mod programs;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::conntrack::{Registry, Translation};
use super::table::Process;
use ends::{Ends, Slot};
use find::Answer;
use programs::{Programs, Told};

/// Confidence of the last of a few processes that used a socket one after the other, and of one of several that use it in
/// turn.
pub const HANDED_ON: u8 = 90;
pub const IN_TURN: u8 = 60;

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

/// What is said of a flow's process.
#[derive(Clone, Debug)]
pub struct Found {
    pub owner: Arc<Owner>,
    /// `attribution_method`.
    pub method: &'static str,
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
    /// Of the attributed: by the addresses before or after a translation.
    pub translated: u64,
    /// Of the attributed: to a socket of another network namespace.
    pub elsewhere: u64,
    /// Ends that were forgotten for want of room.
    pub evicted: u64,
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
    /// What became of addresses on their way.
    pub translations: Registry,
}

impl Default for Owners {
    fn default() -> Self {
        Self::new(57_344)
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
            translations: Registry::default(),
        }
    }

    /// A socket has this end since `from`; told again, it has another owner.
    pub fn open(&self, end: End, socket: u64, from: i64, owner: Arc<Owner>, confidence: u8) {
        lock(&self.ends).open(end, Slot::new(socket, from, owner, confidence), self.most);
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
        lock(&self.ends).len()
    }

    pub fn counts(&self) -> Counts {
        lock(&self.ends).counts
    }

    /// The process of a flow: the originator's if it is on this host, else the responder's. `translation`: what the kernel
    /// made of the flow's addresses. `local` says whether an address is one of the namespace's own.
    pub fn find(
        &self,
        flow: &Question,
        translation: Option<&Translation>,
        local: &mut dyn FnMut(&[u8; 16]) -> bool,
    ) -> Option<Found> {
        let mut ends = lock(&self.ends);
        let answer = find::find(&ends, flow, translation, local);
        let counts = &mut ends.counts;
        match answer {
            Answer::One { elsewhere, .. } => {
                counts.attributed += 1;
                counts.translated += u64::from(translation.is_some());
                counts.elsewhere += u64::from(elsewhere);
            }
            Answer::Doubt => counts.doubtful += 1,
            Answer::Nobody => counts.unattributed += 1,
        }
        drop(ends);
        let Answer::One { owner, confidence, .. } = answer else { return None };
        let process = self.process(owner.entity);
        let method = if translation.is_some() { translated(owner.method) } else { owner.method };
        Some(Found { owner, method, confidence, process })
    }

    /// Counts a flow that cannot be attributed because what its addresses were translated to is not certain.
    pub fn doubt(&self) {
        lock(&self.ends).counts.doubtful += 1;
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

/// `attribution_method` of what was found by way of a translation.
fn translated(method: &'static str) -> &'static str {
    match method {
        "ebpf" => "ebpf+conntrack",
        "sock_diag" => "sock_diag+conntrack",
        method => method,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
