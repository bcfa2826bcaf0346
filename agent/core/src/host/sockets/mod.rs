//! Socket events to columns, and to the table of owners.
//!
//! `ebpf`, or below it `diag` → `record` → `rows` → columns; at once → `owners`.

pub mod diag;
mod ebpf;
pub mod ports;
mod record;
mod rows;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Totals;
use super::bpf::Ring;
use super::owners::Owners;
use crate::columns::{Sealed, TableBuilder};
use crate::schema::SOCKETS;
use diag::Diag;
use record::Record;
use rows::Rows;

/// How often events are looked for when nobody wakes us.
const TICK: Duration = Duration::from_millis(100);
/// A row waits so long for the process events to say what its process runs.
const PATIENCE: Duration = Duration::from_millis(300);
/// Events that may wait for that.
const MOST_WAITING: usize = 65_536;

/// How events are learnt, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    Ebpf,
    SockDiag,
}

impl Rung {
    /// By its name, which is also the `event_source` of its rows.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Ebpf, Self::SockDiag].into_iter().find(|rung| rung.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::SockDiag => "sock_diag",
        }
    }
}

/// How the kernel is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// eBPF: size of the ring, a power of two.
    pub ring_bytes: usize,
    /// eBPF: whether sends and receives are watched, and whether the descriptors of all processes are gone through for the
    /// sockets that are there already; without the latter they are looked up as on the rung below.
    pub uses: bool,
    pub iterate: bool,
    /// sock_diag: how often, unless that takes too long.
    pub every: Duration,
}

/// When a batch is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cutting {
    pub batch_rows: usize,
    pub batch_age: Duration,
}

enum Kernel {
    Ring(Box<Ring>),
    Diag(Box<Diag>),
}

/// Socket events of this host.
pub struct SocketEvents {
    kernel: Kernel,
    lacks: Vec<String>,
    /// Whether the kernel tells which process uses a socket.
    tells_use: bool,
    rows: Rows,
    owners: Arc<Owners>,
    builder: TableBuilder,
    cutting: Cutting,
    waiting: VecDeque<(Instant, Record)>,
    /// When the first row of the batch came.
    begun: Option<Instant>,
    refreshed: Instant,
}

impl SocketEvents {
    /// Attaches to the kernel. Errors are one line for people.
    pub fn open(rung: Rung, asking: Asking, cutting: Cutting, owners: Arc<Owners>) -> io::Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let (kernel, tells_use, iterates, lacks) = match rung {
            Rung::Ebpf => {
                let opened = ebpf::open(asking.ring_bytes, asking.uses, asking.iterate)?;
                (Kernel::Ring(Box::new(opened.ring)), opened.tells_use, opened.iterates, opened.lacks)
            }
            Rung::SockDiag => {
                let diag = Diag::open(asking.every)?;
                let lacks = diag.lacks();
                (Kernel::Diag(Box::new(diag)), true, true, lacks)
            }
        };
        owners.feeding(true);
        let mut events = Self {
            kernel,
            lacks,
            tells_use,
            rows: Rows::new(boot_id, owners.clone())?,
            owners,
            builder: TableBuilder::new(&SOCKETS),
            cutting,
            waiting: VecDeque::new(),
            begun: None,
            refreshed: Instant::now(),
        };
        if let Err(error) = events.seed(iterates) {
            let line = format!("sockets older than the agent stay unknown until they are used: {error}");
            events.lacks.push(line);
        }
        Ok(events)
    }

    /// Learns of the sockets that are there already; what the programs cannot is looked up as on the rung below, which
    /// finds them by itself.
    fn seed(&mut self, iterates: bool) -> io::Result<()> {
        let mut seeds = Vec::new();
        match &mut self.kernel {
            Kernel::Ring(ring) if iterates => ebpf::seed(ring, |record| seeds.push(record))?,
            Kernel::Ring(_) => {
                let mut diag = Diag::open(Duration::MAX)?;
                diag.look()?;
                seeds.extend(std::iter::from_fn(|| diag.receive()));
            }
            Kernel::Diag(_) => {}
        }
        seeds.into_iter().for_each(|record| self.take(record));
        Ok(())
    }

    fn take(&mut self, record: Record) {
        self.rows.own(&record);
        if rows::makes_row(&record, self.tells_use) {
            self.waiting.push_back((Instant::now(), record));
        }
    }

    /// From now on batches are so old at most.
    pub fn set_batch_age(&mut self, batch_age: Duration) {
        self.cutting.batch_age = batch_age;
    }

    /// Works for at most about `timeout`; returns the batches that became full or old enough.
    pub fn poll(&mut self, timeout: Duration) -> io::Result<Vec<Sealed>> {
        let deadline = Instant::now() + timeout;
        let mut batches = Vec::new();
        loop {
            if self.refreshed.elapsed() >= TICK {
                self.refreshed = Instant::now();
                self.rows.refresh()?;
            }
            self.drain(&mut batches)?;
            // What was looked up is known at once.
            let patience = if matches!(self.kernel, Kernel::Ring(_)) { PATIENCE } else { Duration::ZERO };
            self.push_due(patience, &mut batches);
            if self.begun.is_some_and(|begun| begun.elapsed() >= self.cutting.batch_age) {
                self.cut(&mut batches);
            }
            let now = Instant::now();
            if !batches.is_empty() || now >= deadline {
                return Ok(batches);
            }
            let time = (deadline - now).min(TICK);
            match &self.kernel {
                Kernel::Ring(ring) => ring.wait(time)?,
                Kernel::Diag(_) => thread::sleep(time),
            }
        }
    }

    /// Takes in what waits in the kernel.
    fn drain(&mut self, batches: &mut Vec<Sealed>) -> io::Result<()> {
        let begun = wall_clock();
        let mut all = true;
        if let Kernel::Diag(diag) = &mut self.kernel {
            all = diag.is_due();
            if all { diag.look()? } else { diag.listen()? }
        }
        while let Some(record) = match &mut self.kernel {
            Kernel::Ring(ring) => ring.receive(Record::parse),
            Kernel::Diag(diag) => diag.receive(),
        } {
            self.take(record);
            if self.waiting.len() > MOST_WAITING {
                self.push_due(Duration::ZERO, batches);
            }
        }
        if all {
            self.owners.drained(begun);
        }
        Ok(())
    }

    fn push_due(&mut self, patience: Duration, batches: &mut Vec<Sealed>) {
        while self.waiting.front().is_some_and(|(came, _)| came.elapsed() >= patience) {
            let Some((_, record)) = self.waiting.pop_front() else { break };
            self.rows.push(&record, self.tells_use, &mut self.builder);
            self.begun.get_or_insert_with(Instant::now);
            if self.builder.is_full(self.cutting.batch_rows) {
                self.cut(batches);
            }
        }
    }

    fn cut(&mut self, batches: &mut Vec<Sealed>) {
        self.begun = None;
        batches.extend(self.builder.seal());
    }

    /// Totals since the start, by name; `ends_known` is a gauge.
    pub fn counters(&self) -> Totals {
        let (counts, owners) = (self.rows.counts(), self.owners.counts());
        let mut totals = vec![
            ("connect", counts.connect),
            ("accept", counts.accept),
            ("listen", counts.listen),
            ("bind", counts.bind),
            ("close", counts.close),
            ("seed", counts.seed),
            ("owner_changed", counts.owner_changed),
            ("owner_unknown", counts.owner_unknown),
            ("program_unknown", counts.program_unknown),
            ("flows_attributed", owners.attributed),
            ("flows_unattributed", owners.unattributed),
            ("flows_doubtful", owners.doubtful),
            ("ends_evicted", owners.evicted),
            ("ends_known", self.owners.known() as u64),
            ("flows_translated", owners.translated),
            ("flows_elsewhere", owners.elsewhere),
            ("nat_known", self.owners.translations.known()),
        ];
        totals.extend(self.owners.translations.totals.named());
        match &self.kernel {
            Kernel::Ring(ring) => totals.extend([("lost", ring.lost()), ("malformed", ring.malformed())]),
            Kernel::Diag(diag) => totals.extend(diag.totals()),
        }
        totals
    }

    /// Lets go of the kernel, takes in what it had said, and returns the last batches and totals.
    pub fn close(mut self) -> io::Result<(Vec<Sealed>, Totals)> {
        let mut batches = Vec::new();
        match &mut self.kernel {
            Kernel::Ring(ring) => ring.stop(),
            Kernel::Diag(diag) => diag.look()?,
        }
        self.drain(&mut batches)?;
        self.push_due(Duration::ZERO, &mut batches);
        self.cut(&mut batches);
        Ok((batches, self.counters()))
    }

    /// What this rung could tell but cannot here, a line each.
    pub fn lacks(&self) -> &[String] {
        &self.lacks
    }
}

/// Microseconds since 1970-01-01 UTC, the clock by which the kernel stamps packets.
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Drop for SocketEvents {
    fn drop(&mut self) {
        self.owners.feeding(false);
    }
}
