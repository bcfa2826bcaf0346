//! Below eBPF: the sockets that the kernel lists, looked at again and again, and the processes that hold them.
//!
//! `netlink` (`message`) in every one of `namespaces`, `holders` → `watch` → records. A socket that comes and goes between
//! two looks is told of when it ends, without an owner.

pub mod holders;
pub mod message;
pub mod namespaces;
pub mod netlink;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use super::record::Record;
use crate::host::Totals;
use crate::host::clock::Clock;
use crate::host::procfs::Procfs;
use holders::Walk;
use message::Socket;
use namespaces::Namespaces;
use netlink::KINDS;
use watch::{Held, Holder, Look, Watch};

/// A look takes at most this part of the time between two.
const SHARE: u32 = 100;
/// ... unless they would be further apart than this.
const RARELY: Duration = Duration::from_secs(5);
/// Longer than any agent runs, and yet a time that can be reckoned with.
const NEVER: Duration = Duration::from_secs(1 << 32);
/// Who holds what is looked up when a socket is new, and this often, for sockets are handed on.
const WALK_EVERY: Duration = Duration::from_secs(10);
/// Sockets that are known at most.
const MOST: usize = 262_144;

/// A socket in a network namespace that was looked at `before`, or never (0).
struct Found {
    netns: u64,
    before: u64,
    socket: Socket,
}

/// How it went.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// All kinds in all namespaces are one.
    looks: u64,
    dump_microseconds: u64,
    walks: u64,
    walk_microseconds: u64,
    walks_cut: u64,
    processes_refused: u64,
}

/// Looks at the sockets of this host.
pub struct Diag {
    namespaces: Namespaces,
    watch: Watch,
    procfs: Procfs,
    clock: Clock,
    kinds: Vec<(u8, u8)>,
    holders: FxHashMap<u32, Arc<Holder>>,
    news: VecDeque<Record>,
    every: Duration,
    due: Instant,
    walk_due: Instant,
    /// Of the last look.
    before: u64,
    /// Namespaces that were looked at before.
    seen: FxHashSet<u64>,
    counts: Counts,
}

impl Diag {
    /// Looks for the first time with the first `receive`. `every`: how often, unless that takes too long.
    pub fn open(every: Duration) -> io::Result<Self> {
        let procfs = Procfs::new("/proc");
        let namespaces = Namespaces::open(procfs.root()).map_err(|error| named("netlink", &error))?;
        let now = Instant::now();
        let mut diag = Self {
            namespaces,
            watch: Watch::new(MOST),
            procfs,
            clock: Clock::new()?,
            kinds: KINDS.to_vec(),
            holders: FxHashMap::default(),
            news: VecDeque::new(),
            every,
            due: now,
            walk_due: now,
            before: 0,
            seen: FxHashSet::default(),
            counts: Counts::default(),
        };
        diag.try_kinds()?;
        // The first look is to find every namespace.
        diag.namespaces.refresh(&Walk::new(diag.procfs.root(), &FxHashSet::default()).namespaces);
        Ok(diag)
    }

    /// TCP must be there; what else this kernel does not list is left out.
    fn try_kinds(&mut self) -> io::Result<()> {
        let Some(own) = self.namespaces.iter_mut().next() else { return Ok(()) };
        let mut tcp = Ok(());
        self.kinds.retain(|kind| match own.dump(*kind, &mut Vec::new()) {
            Err(error) if *kind == KINDS[0] => {
                tcp = Err(named("inet_diag", &error));
                false
            }
            answer => answer.is_ok(),
        });
        tcp
    }

    /// What is missing of what this rung could tell, a line each.
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if !self.kinds.iter().any(|(_, protocol)| *protocol == message::UDP) {
            lacks.push("the kernel does not list UDP sockets (udp_diag)".to_owned());
        }
        if !self.namespaces.hear_ends() {
            lacks.push("short connections are not seen at all without CAP_NET_ADMIN".to_owned());
        }
        if self.namespaces.refused() > 0 {
            let count = self.namespaces.refused();
            lacks.push(format!("{count} network namespaces cannot be entered (CAP_SYS_ADMIN)"));
        }
        lacks
    }

    /// Whether it is time to look again.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Looks, whether it is time or not.
    pub fn look(&mut self) -> io::Result<()> {
        let began = Instant::now();
        self.clock.refresh()?;
        let now = self.clock.now()?;
        let (mut found, mut unsure) = (Vec::new(), FxHashSet::default());
        let there: FxHashSet<u64> = self.namespaces.iter_mut().map(|netlink| netlink.cookie).collect();
        self.seen.retain(|netns| there.contains(netns));
        for netlink in self.namespaces.iter_mut() {
            let mut sockets = Vec::new();
            for kind in &self.kinds {
                if netlink.dump(*kind, &mut sockets).is_err() {
                    unsure.insert(netlink.cookie);
                }
            }
            let before = if self.seen.insert(netlink.cookie) { 0 } else { self.before };
            found.extend(sockets.into_iter().map(|socket| Found { netns: netlink.cookie, before, socket }));
        }
        self.counts.looks += 1;
        self.counts.dump_microseconds += began.elapsed().as_micros() as u64;
        let walk = self.walk(&found);
        for Found { netns, socket, .. } in &found {
            self.watch.heard_of(*netns, socket);
        }
        for Found { netns, before, socket } in found {
            let held = walk.as_ref().map(|walk| self.held(&socket, walk));
            self.news.extend(self.watch.seen(netns, socket, held, Look { before, now }));
        }
        let news = &mut self.news;
        self.watch.missing(&unsure, Look { before: self.before, now }, |record| news.push_back(record));
        self.listen()?;
        self.before = now;
        self.due = Instant::now() + (began.elapsed() * SHARE).min(RARELY).max(self.every.min(NEVER));
        Ok(())
    }

    /// Takes in which sockets ended.
    pub fn listen(&mut self) -> io::Result<()> {
        let look = Look { before: self.before, now: self.clock.now()? };
        for netlink in self.namespaces.iter_mut() {
            let netns = netlink.cookie;
            netlink.ended(&mut |socket| self.news.extend(self.watch.ended(netns, socket, look)));
        }
        Ok(())
    }

    /// The next record; None when nothing waits.
    pub fn receive(&mut self) -> Option<Record> {
        self.news.pop_front()
    }

    /// Who holds what, if a socket is new or it is time.
    fn walk(&mut self, found: &[Found]) -> Option<Walk> {
        let new = found.iter().any(|one| one.socket.inode != 0 && !self.watch.knows(one.socket.cookie));
        if !new && Instant::now() < self.walk_due {
            return None;
        }
        let began = Instant::now();
        let wanted: FxHashSet<u32> = found.iter().map(|one| one.socket.inode).filter(|inode| *inode != 0).collect();
        let shared = found.iter().filter(|one| self.watch.is_shared(one.socket.cookie));
        let shared: FxHashSet<u32> = shared.map(|one| one.socket.inode).collect();
        let mut walk = Walk::new(self.procfs.root(), &wanted);
        walk.confirm(self.procfs.root(), |inode| shared.contains(&inode));
        self.namespaces.refresh(&walk.namespaces);
        self.know(&walk);
        self.counts.walks += 1;
        self.counts.walks_cut += u64::from(walk.cut);
        self.counts.processes_refused = walk.refused;
        let took = began.elapsed();
        self.counts.walk_microseconds += took.as_micros() as u64;
        self.walk_due = Instant::now() + WALK_EVERY.max(took * 5 * SHARE);
        Some(walk)
    }

    /// Follows the processes that hold sockets.
    fn know(&mut self, walk: &Walk) {
        let pids: FxHashSet<u32> = walk.holders.values().filter(|pids| pids.len() == 1).map(|pids| pids[0]).collect();
        self.holders.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            let start = self.procfs.start(pid);
            if self.holders.get(&pid).is_some_and(|known| Some(known.start) == start) {
                continue;
            }
            self.holders.remove(&pid);
            if let Some(seen) = self.procfs.read(pid) {
                let uid = seen.identity.map_or(0, |identity| identity.uid);
                self.holders.insert(pid, Arc::new(Holder { pid, start: seen.start, uid, name: seen.name }));
            }
        }
    }

    fn held(&self, socket: &Socket, walk: &Walk) -> Held {
        match walk.holders.get(&socket.inode).map_or(&[][..], Vec::as_slice) {
            [] => Held::Nobody,
            [pid] if !walk.cut => self.holders.get(pid).map_or(Held::Nobody, |holder| Held::One(holder.clone())),
            _ => Held::Several,
        }
    }

    /// Totals since the start, by name; `sockets_known`, `processes_refused`, `namespaces` and `namespaces_refused` are
    /// gauges.
    pub fn totals(&self) -> Totals {
        let (counts, faults) = (self.counts, self.namespaces.faults());
        vec![
            ("lost", faults.lost),
            ("malformed", faults.malformed),
            ("dumps", counts.looks),
            ("dump_microseconds", counts.dump_microseconds),
            ("dumps_interrupted", faults.interrupted),
            ("dumps_failed", faults.failed),
            ("walks", counts.walks),
            ("walk_microseconds", counts.walk_microseconds),
            ("walks_cut", counts.walks_cut),
            ("processes_refused", counts.processes_refused),
            ("held_by_several", self.watch.shared),
            ("sockets_known", self.watch.len() as u64),
            ("sockets_skipped", self.watch.skipped),
            ("namespaces", self.namespaces.count() as u64),
            ("namespaces_refused", self.namespaces.refused() as u64),
        ]
    }
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
