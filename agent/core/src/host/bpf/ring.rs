//! The ring of loaded programs (`luytre_agent/ebpf/ring.h`).

use std::cell::Cell;
use std::io;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Map, MapData, PerCpuArray};
use aya::programs::Iter;

use super::super::wait::Edge;
use super::memory::Memory;
use super::{attach, failed};

/// The programs wake the reader at once when it was not woken for so long, otherwise when much is waiting.
pub const WAKE_AFTER: Duration = Duration::from_millis(100);
/// So a reader that was woken looks once more after a little longer than that, and if it finds nothing it may sleep.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

/// A ring, and the programs that fill it.
pub struct Ring {
    memory: Memory,
    /// The edge is one of its descriptor.
    _map: MapData,
    lost: PerCpuArray<MapData, u64>,
    edge: Edge,
    malformed: u64,
    /// There was something since the last wait.
    active: Cell<bool>,
    /// The programs stay attached as long as this lives.
    programs: Option<Ebpf>,
}

impl Ring {
    pub(super) fn new(mut programs: Ebpf, bytes: usize) -> io::Result<Self> {
        let mut take = |name: &str| -> io::Result<Map> {
            let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the eBPF object lacks the map {name}"));
            programs.take_map(name).ok_or_else(missing)
        };
        let Map::RingBuf(ring) = take("RING")? else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the map RING of the eBPF object is no ring"));
        };
        let memory = Memory::new(ring.fd(), bytes)?;
        let lost =
            PerCpuArray::try_from(take("LOST")?).map_err(|error| failed("the counter of lost records", &error))?;
        let edge = Edge::new(ring.fd())?;
        Ok(Self { memory, _map: ring, lost, edge, malformed: 0, active: Cell::new(true), programs: Some(programs) })
    }

    /// Runs an iterator program once over all things of its kind.
    pub fn iterate(&mut self, name: &str) -> io::Result<()> {
        let Some(programs) = &mut self.programs else { return Ok(()) };
        attach(programs, name, |program: &mut Iter| {
            let link = program.attach()?;
            let mut pass = program.take_link(link)?.into_file()?;
            // It writes nothing; the end is the end of the pass.
            io::copy(&mut pass, &mut io::sink())?;
            Ok(())
        })
        .map_err(|error| failed(name, error.as_ref()))
    }

    /// Detaches the programs; what is in the ring can still be read.
    pub fn stop(&mut self) {
        self.programs = None;
    }

    /// Waits until there is something to read, or for `timeout`.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        let longest = if self.active.get() { timeout.min(LOOK_AGAIN) } else { timeout };
        self.active.set(self.edge.wait(longest)?);
        Ok(())
    }

    /// The next record that `parse` can read; None when nothing waits.
    pub fn receive<T>(&mut self, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        loop {
            let record = self.memory.next(&parse)?;
            self.active.set(true);
            match record {
                Some(record) => return Some(record),
                None => self.malformed += 1,
            }
        }
    }

    /// Records that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.get(&0, 0).map_or(0, |counts| counts.iter().sum())
    }

    /// Records that could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}
