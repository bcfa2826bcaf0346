//! The processes that are known: which program each runs, and who started it. Bounded in entries and in bytes of text.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sha1::{Digest, Sha1};

use super::cgroup::Place;
use super::event::{Identity, Image};
use super::owners::Owners;

/// How long a process stays known after its end, nanoseconds: late events may still speak of it.
const REMEMBER_NS: u64 = 10_000_000_000;

/// A name and what it runs; shared between a process and its forks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    pub image: Image,
}

/// The process that started another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    pub pid: u32,
    pub entity: u64,
    /// None if it is not known.
    pub program: Option<Arc<Program>>,
}

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    pub entity: u64,
    /// Nanoseconds of CLOCK_BOOTTIME; 0 if unknown.
    pub start: u64,
    pub program: Arc<Program>,
    pub parent: Parent,
    pub identity: Option<Identity>,
    /// None if it is not known.
    pub place: Option<Arc<Place>>,
    pub exited: bool,
}

/// How much the table may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries: usize,
    /// Of program text; a text that several processes share counts for each of them.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 65_536, bytes: 32 << 20 }
    }
}

struct Slot {
    process: Process,
    /// Tells this slot from an earlier one of the same pid.
    generation: u64,
    /// Looked up since the hand passed.
    used: bool,
}

/// Processes by pid. When it is full, those that were not looked up lately go first (the CLOCK algorithm), so that
/// long-lived parents such as sshd stay.
pub struct Table {
    limits: Limits,
    slots: FxHashMap<u32, Slot>,
    hand: VecDeque<(u32, u64)>,
    exits: VecDeque<(u64, u32, u64)>,
    bytes: usize,
    generation: u64,
    evicted: u64,
    /// Told of every process.
    pub owners: Option<Arc<Owners>>,
}

impl Table {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: FxHashMap::default(),
            hand: VecDeque::new(),
            exits: VecDeque::new(),
            bytes: 0,
            generation: 0,
            evicted: 0,
            owners: None,
        }
    }

    /// Processes that are known.
    pub fn known(&self) -> usize {
        self.slots.len()
    }

    /// Living processes that were forgotten for want of room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    pub fn get(&mut self, pid: u32) -> Option<&Process> {
        let slot = self.slots.get_mut(&pid)?;
        slot.used = true;
        Some(&slot.process)
    }

    /// Adds a process, in place of an earlier one of the same pid.
    pub fn insert(&mut self, pid: u32, process: Process) {
        if let Some(owners) = &self.owners {
            owners.learn(pid, &process);
        }
        self.generation += 1;
        self.bytes += size(&process);
        let slot = Slot { process, generation: self.generation, used: false };
        if let Some(old) = self.slots.insert(pid, slot) {
            self.bytes -= size(&old.process);
        }
        self.hand.push_back((pid, self.generation));
        while self.slots.len() > self.limits.entries || self.bytes > self.limits.bytes {
            if !self.evict() {
                break;
            }
        }
        // A process that runs one program after another leaves stale places behind.
        if self.hand.len() > 2 * self.slots.len() + 1024 {
            let slots = &self.slots;
            self.hand.retain(|(pid, generation)| slots.get(pid).is_some_and(|slot| slot.generation == *generation));
        }
    }

    /// Changes whom a process runs as, if that is known.
    pub fn change(&mut self, pid: u32, change: impl FnOnce(&mut Identity)) {
        if let Some(identity) = self.slots.get_mut(&pid).and_then(|slot| slot.process.identity.as_mut()) {
            change(identity);
        }
    }

    /// Marks the end of a process at `time` (CLOCK_BOOTTIME, nanoseconds).
    pub fn exit(&mut self, pid: u32, time: u64) {
        if let Some(slot) = self.slots.get_mut(&pid) {
            slot.process.exited = true;
            self.exits.push_back((time, pid, slot.generation));
            if let Some(owners) = &self.owners {
                owners.ended(pid, slot.process.entity, time);
            }
        }
    }

    /// Forgets processes that ended long before `time`.
    pub fn prune(&mut self, time: u64) {
        while let Some(&(exit, pid, generation)) = self.exits.front() {
            if exit.saturating_add(REMEMBER_NS) > time {
                break;
            }
            self.exits.pop_front();
            self.remove(pid, generation);
        }
    }

    fn evict(&mut self) -> bool {
        if let Some((_, pid, generation)) = self.exits.pop_front() {
            self.remove(pid, generation);
            return true;
        }
        while let Some((pid, generation)) = self.hand.pop_front() {
            match self.slots.get_mut(&pid) {
                Some(slot) if slot.generation == generation && slot.used => {
                    slot.used = false;
                    self.hand.push_back((pid, generation));
                }
                Some(slot) if slot.generation == generation => {
                    self.remove(pid, generation);
                    self.evicted += 1;
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    fn remove(&mut self, pid: u32, generation: u64) {
        if self.slots.get(&pid).is_some_and(|slot| slot.generation == generation)
            && let Some(slot) = self.slots.remove(&pid)
        {
            self.bytes -= size(&slot.process);
        }
    }
}

fn size(process: &Process) -> usize {
    process.program.image.size() + process.program.name.len()
}

/// The identity of a process: the first 8 bytes, big-endian, of SHA-1 over `BOOT_ID PID TICKS`, where ticks are clock
/// ticks from boot to the creation of the process, as in field 22 of /proc/PID/stat. Never 0.
pub fn entity(boot_id: &str, pid: u32, ticks: u64) -> u64 {
    let digest = Sha1::digest(format!("{boot_id} {pid} {ticks}"));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(entity: u64, text: usize) -> Process {
        let image = Image { command_line: "x".repeat(text), ..Image::default() };
        Process {
            entity,
            start: entity,
            program: Arc::new(Program { name: String::new(), image }),
            parent: Parent { pid: 1, entity: 1, program: None },
            identity: None,
            place: None,
            exited: false,
        }
    }

    #[test]
    fn an_identity_is_the_same_for_everyone_who_computes_it() {
        // printf '6b5c7b1c-bf0c-4402-87f8-00f4797f7c7f 812 4242' | sha1sum
        assert_eq!(entity("6b5c7b1c-bf0c-4402-87f8-00f4797f7c7f", 812, 4242), 0x4c59dbebf1992408);
        assert_ne!(entity("b", 1, 23), entity("b", 12, 3));
    }

    #[test]
    fn what_is_looked_up_survives_and_the_rest_goes_oldest_first() {
        let mut table = Table::new(Limits { entries: 3, bytes: 1000 });
        for pid in 1..=3 {
            table.insert(pid, process(pid.into(), 1));
        }
        assert!(table.get(1).is_some());
        table.insert(4, process(4, 1));
        assert!(table.get(1).is_some() && table.get(2).is_none() && table.get(3).is_some());
        assert_eq!((table.known(), table.evicted()), (3, 1));
    }

    #[test]
    fn the_dead_go_before_the_living() {
        let mut table = Table::new(Limits { entries: 2, bytes: 1000 });
        table.insert(1, process(1, 1));
        table.insert(2, process(2, 1));
        table.exit(2, 5);
        assert!(table.get(2).is_some_and(|process| process.exited));
        table.insert(3, process(3, 1));
        assert!(table.get(1).is_some() && table.get(2).is_none());
        assert_eq!(table.evicted(), 0);
    }

    #[test]
    fn text_is_bounded() {
        let mut table = Table::new(Limits { entries: 100, bytes: 1000 });
        for pid in 0..50 {
            table.insert(pid, process(pid.into(), 300));
        }
        assert_eq!(table.known(), 3);
        assert_eq!(table.bytes, 900);
        table.insert(49, process(49, 100));
        assert_eq!(table.bytes, 700, "the program of a pid is replaced");
    }

    #[test]
    fn the_end_is_remembered_for_a_while_and_not_for_a_new_process_of_the_pid() {
        let mut table = Table::new(Limits::default());
        table.insert(1, process(1, 1));
        table.insert(2, process(2, 1));
        table.exit(1, 100);
        table.exit(2, 100);
        table.insert(2, process(3, 1));
        table.prune(100 + REMEMBER_NS - 1);
        assert_eq!(table.known(), 2);
        table.prune(100 + REMEMBER_NS);
        assert!(table.get(1).is_none());
        assert_eq!(table.get(2).map(|process| process.entity), Some(3));
    }

    #[test]
    fn a_pid_that_runs_many_programs_leaves_nothing_behind() {
        let mut table = Table::new(Limits::default());
        for entity in 0..10_000 {
            table.insert(7, process(entity, 1));
        }
        assert!(table.hand.len() < 2_000);
        assert_eq!(table.bytes, 1);
    }
}
