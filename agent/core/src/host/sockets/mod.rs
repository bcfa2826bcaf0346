//! Socket events to columns, and to the table of owners.
//!
//! `ebpf` (`record`) → `rows` → columns; at once → `owners`.

mod ebpf;
mod record;
mod rows;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bpf::Ring;
use super::owners::Owners;
use super::{Settings, Totals};
use crate::columns::{Sealed, TableBuilder};
use crate::schema::SOCKETS;
use record::Record;
use rows::Rows;

/// How often events are looked for when nobody wakes us.
const TICK: Duration = Duration::from_millis(100);
/// A row waits so long for the process events to say what its process runs.
const PATIENCE: Duration = Duration::from_millis(300);
/// Events that may wait for that.
const MOST_WAITING: usize = 65_536;

/// How events are learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    Ebpf,
}

impl Rung {
    /// By its name, which is also the `event_source` of its rows.
    pub fn by_name(name: &str) -> Option<Self> {
        (name == Self::Ebpf.name()).then_some(Self::Ebpf)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
        }
    }
}

/// Socket events of this host.
pub struct SocketEvents {
    ring: Ring,
    rows: Rows,
    owners: Arc<Owners>,
    builder: TableBuilder,
    settings: Settings,
    waiting: VecDeque<(Instant, Record)>,
    /// When the first row of the batch came.
    begun: Option<Instant>,
    refreshed: Instant,
}

impl SocketEvents {
    /// Attaches to the kernel. Errors are one line for people.
    pub fn open(rung: Rung, settings: Settings, owners: Arc<Owners>) -> io::Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let ring = match rung {
            Rung::Ebpf => ebpf::open(settings.ring_bytes)?,
        };
        owners.feeding(true);
        Ok(Self {
            ring,
            rows: Rows::new(rung.name(), boot_id, owners.clone())?,
            owners,
            builder: TableBuilder::new(&SOCKETS),
            settings,
            waiting: VecDeque::new(),
            begun: None,
            refreshed: Instant::now(),
        })
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
            self.drain(&mut batches);
            self.push_due(PATIENCE, &mut batches);
            if self.begun.is_some_and(|begun| begun.elapsed() >= self.settings.batch_age) {
                self.cut(&mut batches);
            }
            let now = Instant::now();
            if !batches.is_empty() || now >= deadline {
                return Ok(batches);
            }
            self.ring.wait((deadline - now).min(TICK))?;
        }
    }

    /// Takes in what waits in the kernel.
    fn drain(&mut self, batches: &mut Vec<Sealed>) {
        let begun = wall_clock();
        while let Some(record) = self.ring.receive(Record::parse) {
            self.rows.own(&record);
            if rows::makes_row(&record) {
                self.waiting.push_back((Instant::now(), record));
            }
            if self.waiting.len() > MOST_WAITING {
                self.push_due(Duration::ZERO, batches);
            }
        }
        self.owners.drained(begun);
    }

    fn push_due(&mut self, patience: Duration, batches: &mut Vec<Sealed>) {
        while self.waiting.front().is_some_and(|(came, _)| came.elapsed() >= patience) {
            let Some((_, record)) = self.waiting.pop_front() else { break };
            self.rows.push(&record, &mut self.builder);
            self.begun.get_or_insert_with(Instant::now);
            if self.builder.is_full(self.settings.batch_rows) {
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
            ("lost", self.ring.lost()),
            ("malformed", self.ring.malformed()),
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
        totals
    }

    /// Lets go of the kernel, takes in what it had said, and returns the last batches and totals.
    pub fn close(mut self) -> (Vec<Sealed>, Totals) {
        let mut batches = Vec::new();
        self.ring.stop();
        self.drain(&mut batches);
        self.push_due(Duration::ZERO, &mut batches);
        self.cut(&mut batches);
        (batches, self.counters())
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
