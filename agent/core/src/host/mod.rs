//! Kernel events to columns: which processes began a program and which ended.
//!
//! `ebpf` (`record`) or `cn_proc` (`cn_message`, `procfs`) → `event` → `rows` (with `table`, `users`, `clock`) → columns.

mod clock;
mod cn_message;
mod cn_proc;
mod ebpf;
mod event;
pub mod namespace;
pub mod owners;
mod procfs;
mod record;
mod rows;
pub mod sockets;
mod table;
mod users;
mod wait;

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::columns::{Sealed, TableBuilder};
use crate::schema::PROCESSES;
use clock::Clock;
use owners::Owners;
use procfs::Procfs;
use rows::Rows;
use table::Limits;
use users::Users;

/// How often events are looked for when nobody wakes us: the longest that one waits in the kernel.
const TICK: Duration = Duration::from_millis(100);
/// Batches that one call to `poll` may return before it lets the caller go on.
const MOST_BATCHES: usize = 4;

/// How events are learnt, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    Ebpf,
    CnProc,
}

impl Rung {
    /// By its name, which is also the `event_source` of its rows.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Ebpf, Self::CnProc].into_iter().find(|rung| rung.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::CnProc => "cn_proc",
        }
    }
}

/// When a batch is cut, and how much the kernel may keep for us.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub batch_rows: usize,
    pub batch_age: Duration,
    /// eBPF: size of the ring, a power of two. cn_proc: size of the socket's buffer.
    pub ring_bytes: usize,
}

/// Counters by name.
pub type Totals = Vec<(&'static str, u64)>;

enum Kernel {
    Ring(Box<ebpf::Ring>),
    Connector(cn_proc::Connector),
}

/// exec and exit events of this host.
pub struct ProcessEvents {
    kernel: Kernel,
    rows: Rows,
    builder: TableBuilder,
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
        let kernel = match rung {
            Rung::Ebpf => Kernel::Ring(Box::new(ebpf::Ring::open(settings.ring_bytes)?)),
            Rung::CnProc => Kernel::Connector(cn_proc::Connector::open(settings.ring_bytes)?),
        };
        let mut rows = Rows::new(rung.name(), boot_id, procfs, users, Clock::new()?, Limits::default());
        rows.table().owners = owners;
        rows.seed();
        let builder = TableBuilder::new(&PROCESSES);
        Ok(Self { kernel, rows, builder, settings, begun: None, refreshed: Instant::now() })
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
                let due =
                    self.begun.map_or(TICK, |begun| (begun + self.settings.batch_age).saturating_duration_since(now));
                self.wait((deadline - now).min(TICK).min(due))?;
            }
        }
    }

    /// Takes in what waits; true if nothing is left, false if there were enough batches.
    fn drain(&mut self, batches: &mut Vec<Sealed>, most: usize) -> io::Result<bool> {
        if self.refreshed.elapsed() >= TICK {
            self.refreshed = Instant::now();
            self.rows.refresh()?;
        }
        while batches.len() < most {
            let event = match &mut self.kernel {
                Kernel::Ring(ring) => match ring.receive(self.rows.procfs()) {
                    Some(event) => Some(event),
                    None => return Ok(true),
                },
                Kernel::Connector(connector) => match connector.receive() {
                    Some(message) => cn_proc::event(message, &mut self.rows),
                    None => return Ok(true),
                },
            };
            let Some(event) = event else { continue };
            self.rows.take(event, &mut self.builder);
            if self.begun.is_none() && self.builder.rows() > 0 {
                self.begun = Some(Instant::now());
            }
            if self.builder.is_full(self.settings.batch_rows) {
                self.cut(batches);
            }
        }
        Ok(false)
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        match &self.kernel {
            Kernel::Ring(ring) => ring.wait(timeout),
            Kernel::Connector(connector) => connector.wait(timeout),
        }
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
        let (lost, malformed) = match &self.kernel {
            Kernel::Ring(ring) => (ring.lost(), ring.malformed()),
            Kernel::Connector(connector) => (connector.lost(), connector.malformed()),
        };
        vec![
            ("fork", counts.fork),
            ("exec", counts.exec),
            ("exit", counts.exit),
            ("exit_duplicate", counts.exit_duplicate),
            ("lost", lost),
            ("malformed", malformed),
            ("args_truncated", counts.args_truncated),
            ("args_unknown", counts.args_unknown),
            ("exe_unknown", counts.exe_unknown),
            ("parent_unknown", counts.parent_unknown),
            ("user_unknown", counts.user_unknown),
            ("parent_read", counts.parent_read),
            ("evicted", self.rows.evicted()),
            ("known", self.rows.known() as u64),
        ]
    }

    /// Lets go of the kernel, takes in what it had said, and returns the last batches and totals.
    pub fn close(mut self) -> io::Result<(Vec<Sealed>, Totals)> {
        match &mut self.kernel {
            Kernel::Ring(ring) => ring.stop(),
            Kernel::Connector(connector) => connector.stop(),
        }
        let mut batches = Vec::new();
        self.drain(&mut batches, usize::MAX)?;
        self.cut(&mut batches);
        Ok((batches, self.counters()))
    }
}
