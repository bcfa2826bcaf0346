//! The ring of the eBPF programs, and beside it who traces whom, which only the proc connector tells.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::bpf::Ring;
use super::cn_proc::{self, Connector};
use super::ebpf;
use super::event::Event;
use super::feed::{Feed, Totals};
use super::rows::Rows;

/// Tracing is rare.
const BUFFER: usize = 65_536;

/// eBPF with hints of tracing.
pub struct Traced {
    ring: Ring,
    tracing: Option<Connector>,
    refused: Option<io::Error>,
    told: VecDeque<Event>,
}

impl Traced {
    pub fn open(ring_bytes: usize, tracing: bool) -> io::Result<Self> {
        let ring = ebpf::open(ring_bytes)?;
        let (tracing, refused) = match tracing.then(|| Connector::of_tracing(BUFFER)) {
            Some(Ok(connector)) => (Some(connector), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Ok(Self { ring, tracing, refused, told: VecDeque::new() })
    }
}

impl Feed for Traced {
    fn receive(&mut self, rows: &mut Rows) -> Option<Event> {
        loop {
            if let Some(event) = ebpf::receive(&mut self.ring, rows) {
                return Some(event);
            }
            // After the ring was emptied once more, so that who traces and who is traced is known.
            if let Some(event) = self.told.pop_front() {
                return Some(event);
            }
            let connector = self.tracing.as_mut()?;
            while let Some(message) = connector.receive() {
                self.told.extend(cn_proc::event(message, rows));
            }
            if self.told.is_empty() {
                return None;
            }
        }
    }

    fn in_turn(&self) -> bool {
        false
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        self.ring.wait(timeout)
    }

    fn stop(&mut self) {
        self.ring.stop();
        if let Some(connector) = &self.tracing {
            connector.unsubscribe();
        }
    }

    fn totals(&self) -> Totals {
        let (lost, malformed) = self.tracing.as_ref().map_or((0, 0), |one| (one.lost(), one.malformed()));
        vec![
            ("lost", self.ring.lost() + lost),
            ("malformed", self.ring.malformed() + malformed),
            ("ptrace_refused", u64::from(self.refused.is_some())),
        ]
    }

    fn notes(&self) -> Vec<String> {
        self.refused.iter().map(|error| format!("no ptrace events: proc connector: {error}")).collect()
    }
}
