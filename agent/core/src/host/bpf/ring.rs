//! The ring of loaded programs (`luytre_agent/ebpf/ring.h`).

use std::io;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Map, MapData, PerCpuArray, RingBuf};

use super::super::wait::Edge;
use super::failed;

/// A ring, and the programs that fill it.
pub struct Ring {
    ring: RingBuf<MapData>,
    lost: PerCpuArray<MapData, u64>,
    edge: Edge,
    malformed: u64,
    /// The programs stay attached as long as this lives.
    programs: Option<Ebpf>,
}

impl Ring {
    pub(super) fn new(mut programs: Ebpf) -> io::Result<Self> {
        let mut take = |name: &str| -> io::Result<Map> {
            let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the eBPF object lacks the map {name}"));
            programs.take_map(name).ok_or_else(missing)
        };
        let ring = RingBuf::try_from(take("RING")?).map_err(|error| failed("the ring", &error))?;
        let lost =
            PerCpuArray::try_from(take("LOST")?).map_err(|error| failed("the counter of lost records", &error))?;
        let edge = Edge::new(&ring)?;
        Ok(Self { ring, lost, edge, malformed: 0, programs: Some(programs) })
    }

    /// Detaches the programs; what is in the ring can still be read.
    pub fn stop(&mut self) {
        self.programs = None;
    }

    /// Waits until much is waiting, or for `timeout`.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        self.edge.wait(timeout)
    }

    /// The next record that `parse` can read; None when nothing waits.
    pub fn receive<T>(&mut self, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        loop {
            match parse(&self.ring.next()?) {
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
