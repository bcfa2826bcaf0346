//! What processes run, as the process events tell.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use super::super::lives::Lives;
use super::super::table::Process;
use super::{Owners, lock};

#[derive(Default)]
pub(super) struct Programs {
    known: FxHashMap<u64, Arc<Process>>,
    lives: Lives,
    order: VecDeque<(u32, u64)>,
}

/// How far the process events were taken in, nanoseconds of CLOCK_BOOTTIME. Two drains that found the end: in the first
/// one a record may have been reserved, but not written yet.
#[derive(Default)]
pub(super) struct Told {
    feeding: AtomicBool,
    last: AtomicU64,
    surely: AtomicU64,
}

impl Owners {
    /// A process as the process events, or /proc, know it.
    pub fn learn(&self, pid: u32, process: &Process) {
        let mut programs = lock(&self.programs);
        if programs.known.insert(process.entity, Arc::new(process.clone())).is_none() {
            programs.order.push_back((pid, process.entity));
            if process.entity != 0 {
                programs.lives.begin(pid, process.entity, process.start);
            }
            while programs.order.len() > self.most / 2 {
                if let Some((pid, entity)) = programs.order.pop_front() {
                    programs.known.remove(&entity);
                    programs.lives.forget(pid, entity);
                }
            }
        }
    }

    /// A process ended at `time`, nanoseconds of CLOCK_BOOTTIME.
    pub fn ended(&self, pid: u32, entity: u64, time: u64) {
        lock(&self.programs).lives.end(pid, entity, time);
    }

    /// The process that had the pid at some time between `since` and `until`, nanoseconds of CLOCK_BOOTTIME; None if none
    /// is known, or if there were two. Its program is the last that it is known to have run.
    pub fn process_then(&self, pid: u32, since: u64, until: u64) -> Option<Arc<Process>> {
        let programs = lock(&self.programs);
        let entity = programs.lives.find(pid, since, until)?;
        programs.known.get(&entity).cloned()
    }

    /// Says that somebody tells of processes, or no longer does.
    pub fn telling(&self, on: bool) {
        self.told.feeding.store(on, Ordering::Release);
    }

    /// Says that the process events were taken in to their end, by a drain that began at `time` (CLOCK_BOOTTIME).
    pub fn told(&self, time: u64) {
        self.told.surely.store(self.told.last.swap(time, Ordering::AcqRel), Ordering::Release);
    }

    /// Whether all process events until `time` were taken in, or nobody tells of any.
    pub fn knows_processes(&self, time: u64) -> bool {
        self.told.surely.load(Ordering::Acquire) >= time || !self.told.feeding.load(Ordering::Acquire)
    }

    /// A process by its identity.
    pub fn process(&self, entity: u64) -> Option<Arc<Process>> {
        lock(&self.programs).known.get(&entity).cloned()
    }
}
