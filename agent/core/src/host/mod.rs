//! Kernel events to columns: which processes began a program and which ended.
//!
//! The rungs (`feed`): `ebpf` (`bpf`, `record`, `traced`), `audit`, `cn_proc` (`cn_message`, `procfs`), `polling` → `event`
//! → `rows` (with `table`, `users`, `clock`, `cgroup`, `digest`, `redact`) → columns.

mod audit;
mod bpf;
pub mod cgroup;
mod clock;
mod cn_message;
mod cn_proc;
pub mod conntrack;
mod digest;
mod ebpf;
pub mod event;
mod feed;
mod lives;
pub mod namespace;
mod netlink;
pub mod owners;
mod polling;
pub mod procfs;
mod record;
pub mod redact;
mod redact_programs;
mod rows;
pub mod sockets;
pub mod table;
mod traced;
mod users;
mod wait;

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::columns::{Sealed, TableBuilder};
use crate::memory::give_back;
use crate::schema::PROCESSES;
use audit::Audit;
use clock::Clock;
use cn_proc::Connector;
use digest::Digests;
use event::Event;
use feed::Feed;
pub use feed::Totals;
use owners::Owners;
use polling::Polling;
use procfs::Procfs;
use rows::Rows;
use table::Limits;
use traced::Traced;
use users::Users;

/// How often clock and users are looked at while there are events.
const TICK: Duration = Duration::from_millis(100);
/// Batches that one call to `poll` may return before it lets the caller go on.
const MOST_BATCHES: usize = 4;
/// Events that are looked at together, so that they wait for the digests of new programs only once.
const CHUNK: usize = 1024;
/// How long they wait at most.
const DIGEST_WAIT: Duration = Duration::from_millis(20);

/// How events are learnt, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    Ebpf,
    Audit,
    CnProc,
    Proc,
}

impl Rung {
    /// By its name, which is also the `event_source` of its rows.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Ebpf, Self::Audit, Self::CnProc, Self::Proc].into_iter().find(|rung| rung.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Audit => "audit",
            Self::CnProc => "cn_proc",
            Self::Proc => "proc",
        }
    }
}

/// When a batch is cut, and how much the kernel may keep for us.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub batch_rows: usize,
    pub batch_age: Duration,
    /// eBPF: size of the ring, a power of two. audit and cn_proc: size of the socket's buffer.
    pub ring_bytes: usize,
    /// proc: the time between two looks.
    pub interval: Duration,
    /// eBPF: whether tracing makes events; below, it does where the kernel tells of it.
    pub ptrace: bool,
    /// Whether the processes that run already make rows, and whether a fork does.
    pub seed: bool,
    pub forks: bool,
    /// Whether executables are read for their digests.
    pub digests: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_rows: 5_000,
            batch_age: Duration::from_millis(500),
            ring_bytes: 2 << 20,
            interval: Duration::from_secs(1),
            ptrace: true,
            seed: true,
            forks: false,
            digests: false,
        }
    }
}

/// exec and exit events of this host.
pub struct ProcessEvents {
    feed: Box<dyn Feed>,
    rows: Rows,
    builder: TableBuilder,
    waiting: Vec<Event>,
    settings: Settings,
    /// When the first row of the batch came.
    begun: Option<Instant>,
    refreshed: Instant,
}

impl ProcessEvents {
    /// Attaches to the kernel, then learns what runs already. Errors are one line for people.
    pub fn open(rung: Rung, settings: Settings, owners: Option<Arc<Owners>>) -> io::Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let (procfs, mut users) = (Procfs::new("/proc"), Users::new("/etc/passwd"));
        users.refresh();
        let feed: Box<dyn Feed> = match rung {
            Rung::Ebpf => Box::new(Traced::open(settings.ring_bytes, settings.ptrace)?),
            Rung::Audit => Box::new(Audit::open(settings.ring_bytes, settings.interval, &procfs)?),
            Rung::CnProc => Box::new(Connector::open(settings.ring_bytes)?),
            Rung::Proc => Box::new(Polling::new(&procfs, settings.interval, false)),
        };
        let proc = procfs.root().to_owned();
        let rows = Rows::new(rung.name(), boot_id, procfs, users, Clock::new()?, Limits::default());
        let mut rows = rows.with_forks(settings.forks);
        if let Some(owners) = &owners {
            owners.telling(true);
        }
        rows.table().owners = owners;
        if settings.digests {
            rows = rows.with_digests(Digests::start(&proc)?);
        }
        let mut builder = TableBuilder::new(&PROCESSES);
        rows.seed(settings.seed.then_some(&mut builder))?;
        give_back();
        let begun = (builder.rows() > 0).then(Instant::now);
        Ok(Self { feed, rows, builder, waiting: Vec::new(), settings, begun, refreshed: Instant::now() })
    }

    /// From now on batches are so old at most.
    pub fn set_batch_age(&mut self, batch_age: Duration) {
        self.settings.batch_age = batch_age;
    }

    /// Works for at most about `timeout`; returns the batches that became full or old enough.
    pub fn poll(&mut self, timeout: Duration) -> io::Result<Vec<Sealed>> {
        let deadline = Instant::now() + timeout;
        let mut batches = Vec::new();
        loop {
            let drained = self.drain(&mut batches, MOST_BATCHES)?;
            self.cut_if_old(&mut batches);
            let now = Instant::now();
            if !batches.is_empty() || now >= deadline {
                return Ok(batches);
            }
            if drained {
                let left = deadline - now;
                let due =
                    self.begun.map_or(left, |begun| (begun + self.settings.batch_age).saturating_duration_since(now));
                self.feed.wait(left.min(due))?;
            }
        }
    }

    /// Takes in what waits; true if nothing is left, false if there were enough batches.
    fn drain(&mut self, batches: &mut Vec<Sealed>, most: usize) -> io::Result<bool> {
        if self.refreshed.elapsed() >= TICK {
            self.refreshed = Instant::now();
            self.rows.refresh()?;
            self.feed.check()?;
        }
        let begun = self.rows.clock().now()?;
        while batches.len() < most {
            let more = self.receive();
            let mut waiting = std::mem::take(&mut self.waiting);
            for event in waiting.drain(..) {
                self.rows.take(event, &mut self.builder);
                if self.begun.is_none() && self.builder.rows() > 0 {
                    self.begun = Some(Instant::now());
                }
                if self.builder.is_full(self.settings.batch_rows) {
                    self.cut(batches);
                }
            }
            self.waiting = waiting;
            if !more {
                if let Some(owners) = &self.rows.table().owners {
                    let behind = u64::try_from(self.feed.behind().as_nanos()).unwrap_or(u64::MAX);
                    owners.told(begun.saturating_sub(behind));
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes some events from the kernel; false if nothing is left.
    fn receive(&mut self) -> bool {
        let mut asked = false;
        let more = loop {
            let Some(event) = self.feed.receive(&mut self.rows) else { break false };
            asked |= self.rows.ask(&event);
            self.waiting.push(event);
            if self.feed.in_turn() {
                return true;
            }
            if self.waiting.len() >= CHUNK {
                break true;
            }
        };
        if let Some(digests) = self.rows.digests().filter(|_| asked) {
            digests.wait(DIGEST_WAIT);
        }
        more
    }

    fn cut_if_old(&mut self, batches: &mut Vec<Sealed>) {
        if self.begun.is_some_and(|begun| begun.elapsed() >= self.settings.batch_age) {
            self.cut(batches);
        }
    }

    fn cut(&mut self, batches: &mut Vec<Sealed>) {
        self.begun = None;
        batches.extend(self.builder.seal());
    }

    /// Totals since the start, by name; `known` is a gauge.
    pub fn counters(&self) -> Totals {
        let counts = self.rows.counts();
        let digests = self.rows.digests().map(Digests::counts).unwrap_or_default();
        let mut totals = vec![
            ("seed", counts.seed),
            ("redacted", counts.redacted),
            ("place_unknown", counts.place_unknown),
            ("usage_unknown", counts.usage_unknown),
            ("hashed", digests.hashed),
            ("hash_too_large", digests.too_large),
            ("hash_failed", digests.failed),
            ("hash_crowded_out", digests.crowded_out),
            ("fork", counts.fork),
            ("exec", counts.exec),
            ("exit", counts.exit),
            ("exit_duplicate", counts.exit_duplicate),
            ("exit_unknown", counts.exit_unknown),
            ("ptrace", counts.ptrace),
            ("args_truncated", counts.args_truncated),
            ("args_unknown", counts.args_unknown),
            ("exe_unknown", counts.exe_unknown),
            ("parent_unknown", counts.parent_unknown),
            ("user_unknown", counts.user_unknown),
            ("parent_read", counts.parent_read),
            ("evicted", self.rows.evicted()),
            ("known", self.rows.known() as u64),
        ];
        totals.extend(self.feed.totals());
        totals
    }

    /// What people should know about the rung, each a phrase.
    pub fn notes(&self) -> Vec<String> {
        self.feed.notes()
    }

    /// Lets go of the kernel, takes in what it had said, and returns the last batches and totals.
    pub fn close(mut self) -> io::Result<(Vec<Sealed>, Totals)> {
        self.feed.stop();
        let mut batches = Vec::new();
        self.drain(&mut batches, usize::MAX)?;
        if let Some(owners) = &self.rows.table().owners {
            owners.telling(false);
        }
        self.cut(&mut batches);
        Ok((batches, self.counters()))
    }
}
