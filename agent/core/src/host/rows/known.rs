//! What is known of a process, and what `/proc` can add: its parent, where it runs, what runs already.

use std::io;
use std::sync::Arc;

use super::super::cgroup::{self, Place};
use super::super::event::{Action, Event, Identity};
use super::super::record::Called;
use super::super::table::{Parent, Process, Program, entity};
use super::{Rows, unknown};
use crate::columns::TableBuilder;

/// Cgroups whose meaning is remembered; their ids are not used again before the next boot.
const PLACES: usize = 8192;

impl Rows {
    /// Learns the processes that run already, and makes rows of them if there is a builder.
    pub fn seed(&mut self, builder: Option<&mut TableBuilder>) -> io::Result<()> {
        let pids: Vec<u32> = self.procfs.pids().collect();
        for pid in &pids {
            self.learn(*pid);
        }
        let now = self.clock.now()?;
        let mut events = Vec::new();
        // Parents may have come after their children.
        for pid in pids {
            let Some(process) = self.table.get(pid).cloned() else { continue };
            let parent = self.as_parent(process.parent.pid, 0);
            let event = Event {
                action: Action::Seed(process.program.image.clone()),
                time: now,
                pid,
                start: process.start,
                parent_pid: parent.pid,
                parent_start: 0,
                name: process.program.name.clone(),
                parent_name: String::new(),
                identity: process.identity,
            };
            self.ask(&event);
            self.table.insert(pid, Process { parent, ..process });
            // Kernel threads have no program.
            let Action::Seed(image) = &event.action else { continue };
            if !(image.executable_unknown && image.args_unknown) {
                events.push(event);
            }
        }
        if let Some(builder) = builder {
            for event in events {
                self.take(event, builder);
            }
        }
        Ok(())
    }

    /// What the cgroups of a process mean, by their ids or by /proc if it is asked in time.
    pub(super) fn place(&mut self, pid: u32, start: u64, identity: Option<&Identity>) -> Option<Arc<Place>> {
        let key = identity.map_or((0, 0), |identity| (identity.cgroup, identity.cgroup_v1));
        if let Some(known) = self.places.get(&key) {
            return Some(known.clone());
        }
        let (place, unified, memory) = self.procfs.place(pid)?;
        if start != 0 && self.procfs.start(pid).map(|found| self.procfs.ticks(found)) != Some(self.procfs.ticks(start))
        {
            return None;
        }
        let place = Arc::new(place);
        if self.procfs.ids_are_enough(unified, memory) {
            self.remember((unified, memory), place.clone());
        }
        Some(place)
    }

    /// Learns what cgroups are called.
    pub fn call(&mut self, called: Called) {
        let Some((unified, memory)) = called.paths.filter(|_| self.procfs.two_trees_are_enough()) else { return };
        let version_1 = self.procfs.has_version_1();
        let place = cgroup::of_paths(&unified, if version_1 { &memory } else { "" });
        self.remember((called.unified, if version_1 { called.memory } else { 0 }), Arc::new(place));
    }

    fn remember(&mut self, ids: (u64, u64), place: Arc<Place>) {
        if self.places.len() >= PLACES {
            self.places.clear();
        }
        self.places.insert(ids, place);
    }

    /// The parent that an event names.
    pub(super) fn parent(&mut self, event: &Event) -> Parent {
        if event.parent_pid != 0 && self.find(event.parent_pid, event.parent_start).is_none() {
            self.counts.parent_read += 1;
            self.learn(event.parent_pid);
        }
        let mut parent = self.as_parent(event.parent_pid, event.parent_start);
        if parent.program.is_none() && !event.parent_name.is_empty() {
            parent.program = Some(unknown(&event.parent_name));
        }
        parent
    }

    pub(super) fn as_parent(&mut self, pid: u32, start: u64) -> Parent {
        if let Some(process) = self.find(pid, start) {
            return Parent { pid, entity: process.entity, program: Some(process.program.clone()) };
        }
        Parent { pid, entity: self.entity(pid, start), program: None }
    }

    /// The process of this pid and, unless it is 0, this start.
    pub(super) fn find(&mut self, pid: u32, start: u64) -> Option<&Process> {
        let ticks = self.procfs.ticks(start);
        let procfs = &self.procfs;
        self.table.get(pid).filter(|process| start == 0 || procfs.ticks(process.start) == ticks)
    }

    /// Reads a process from /proc into the table.
    pub(super) fn learn(&mut self, pid: u32) {
        let Some(mut seen) = self.procfs.read(pid) else { return };
        self.clean(&mut seen.image);
        let parent = self.as_parent(seen.parent_pid, 0);
        let process = Process {
            entity: self.entity(pid, seen.start),
            start: seen.start,
            program: Arc::new(Program { name: seen.name, image: seen.image }),
            parent,
            identity: seen.identity,
            place: self.place(pid, seen.start, seen.identity.as_ref()),
            exited: false,
        };
        self.table.insert(pid, process);
    }

    /// 0 if the start is not known.
    pub(super) fn entity(&self, pid: u32, start: u64) -> u64 {
        if start == 0 { 0 } else { entity(&self.boot_id, pid, self.procfs.ticks(start)) }
    }
}
