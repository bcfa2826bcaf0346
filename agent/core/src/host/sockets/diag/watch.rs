//! What changed from one look at the sockets to the next.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::message::{LISTEN, Socket, TCP, Traffic};
use crate::host::sockets::record::{FOUND, Kind, LISTENER, PASSIVE, Record, SHARED, UNTOLD};

/// Ports that are remembered to have been listened at, for connections whose listener is gone.
const MOST_LISTENING: usize = 8192;

/// A process that holds a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// Nanoseconds of CLOCK_BOOTTIME.
    pub start: u64,
    pub uid: u32,
    pub name: String,
}

/// Who holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    Nobody,
    /// Several processes; which of them uses it, nobody can see from here.
    Several,
    One(Arc<Holder>),
}

/// When somebody looked, nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The time before; what is new came since. 0 for the first look, which finds what was there already.
    pub before: u64,
    pub now: u64,
}

struct Known {
    netns: u64,
    socket: Socket,
    since: u64,
    held: Held,
    role: u32,
    look: u64,
    /// Since when it is missing.
    missing: Option<u64>,
}

/// The sockets that are known.
pub struct Watch {
    known: FxHashMap<u64, Known>,
    listening: FxHashSet<(u64, u16)>,
    most: usize,
    /// Sockets that were too many.
    pub skipped: u64,
    /// Sockets that were found to be held by several processes.
    pub shared: u64,
}

impl Watch {
    /// Keeps at most `most` sockets.
    pub fn new(most: usize) -> Self {
        Self { known: FxHashMap::default(), listening: FxHashSet::default(), most, skipped: 0, shared: 0 }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn knows(&self, cookie: u64) -> bool {
        self.known.contains_key(&cookie)
    }

    /// Whether several processes hold it.
    pub fn is_shared(&self, cookie: u64) -> bool {
        self.known.get(&cookie).is_some_and(|known| known.held == Held::Several)
    }

    /// To be told of every socket before any is `seen`: connections at the port of a listener were accepted.
    pub fn heard_of(&mut self, netns: u64, socket: &Socket) {
        if socket.protocol == TCP && socket.state == LISTEN {
            if self.listening.len() >= MOST_LISTENING {
                self.listening.clear();
            }
            self.listening.insert((netns, socket.local_port));
        }
    }

    /// A socket is there. `held`: None if nobody looked for its holder this time. What is news becomes a record.
    pub fn seen(&mut self, netns: u64, socket: Socket, held: Option<Held>, look: Look) -> Option<Record> {
        let role = self.role(netns, &socket);
        if let Some(known) = self.known.get_mut(&socket.cookie) {
            (known.look, known.missing) = (look.now, None);
            known.socket = Socket { traffic: kept(known.socket.traffic, &socket), ..socket };
            return match held {
                // Nobody holds it any more: it is still the last holder's.
                None | Some(Held::Nobody) => None,
                Some(held) if held == known.held => None,
                Some(held) => {
                    self.shared += u64::from(held == Held::Several);
                    known.held = held;
                    Some(known.record(Kind::Owner, look.now))
                }
            };
        }
        if self.known.len() >= self.most {
            self.skipped += 1;
            return None;
        }
        let seed = look.before == 0;
        let kind = match (role, socket.protocol) {
            _ if seed => Kind::Seed,
            (LISTENER, TCP) => Kind::Listen,
            (LISTENER, _) => Kind::Bind,
            (PASSIVE, _) => Kind::Accept,
            _ => Kind::Connect,
        };
        let held = held.unwrap_or(Held::Nobody);
        self.shared += u64::from(held == Held::Several);
        let known = Known { netns, socket, since: look.before, held, role, look: look.now, missing: None };
        let record = known.record(kind, look.now);
        self.known.insert(known.socket.cookie, known);
        Some(record)
    }

    /// The kernel says that a socket ended.
    pub fn ended(&mut self, netns: u64, socket: Socket, look: Look) -> Option<Record> {
        if let Some(mut known) = self.known.remove(&socket.cookie) {
            known.socket.traffic = kept(known.socket.traffic, &socket);
            return Some(known.record(Kind::Close, look.now));
        }
        if socket.remote_port == 0 || socket.local_port == 0 {
            return None;
        }
        let role = self.role(netns, &socket) | UNTOLD;
        let held = Held::Nobody;
        let known = Known { netns, socket, since: look.before, held, role, look: look.now, missing: None };
        Some(known.record(Kind::Close, look.now))
    }

    /// To be called after every socket was `seen`. One that is missing twice has ended: a dump may overlook a socket when
    /// others end meanwhile. `unsure`: namespaces of which nobody knows all sockets this time.
    pub fn missing(&mut self, unsure: &FxHashSet<u64>, look: Look, mut each: impl FnMut(Record)) {
        self.known.retain(|_, known| {
            if known.look == look.now || unsure.contains(&known.netns) {
                return true;
            }
            let Some(since) = known.missing.replace(look.now) else { return true };
            each(known.record(Kind::Close, since));
            false
        });
    }

    fn role(&self, netns: u64, socket: &Socket) -> u32 {
        if socket.remote_port == 0 {
            return LISTENER;
        }
        let at_listener = || socket.protocol == TCP && self.listening.contains(&(netns, socket.local_port));
        if socket.traffic.passive.unwrap_or_else(at_listener) { PASSIVE } else { 0 }
    }
}

/// What the last message said of the traffic, unless it said nothing.
fn kept(before: Traffic, socket: &Socket) -> Traffic {
    if socket.traffic == Traffic::default() { before } else { socket.traffic }
}

impl Known {
    fn record(&self, kind: Kind, time: u64) -> Record {
        let nobody = Holder { uid: self.socket.uid, ..Holder::default() };
        let holder = match &self.held {
            Held::One(holder) => holder,
            _ => &nobody,
        };
        let close = kind == Kind::Close;
        Record {
            kind,
            flags: FOUND | self.role | if self.held == Held::Several { SHARED } else { 0 },
            time,
            cookie: self.socket.cookie,
            netns: self.netns,
            start: holder.start,
            cgroup: 0,
            since: self.since,
            sent: if close { self.socket.traffic.sent } else { 0 },
            received: if close { self.socket.traffic.received } else { 0 },
            pid: holder.pid,
            uid: holder.uid,
            rtt: if close { self.socket.traffic.rtt } else { 0 },
            local: self.socket.local,
            local_port: self.socket.local_port,
            remote: self.socket.remote,
            remote_port: self.socket.remote_port,
            protocol: self.socket.protocol,
            name: holder.name.clone(),
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
