//! Events to rows of the table `processes`: joined with the parent, the user's name and the identity of the process.

mod counts;
mod known;
mod push;

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cgroup::Place;
use super::clock::Clock;
use super::digest::Digests;
use super::event::{Action, Event, Identity, Image, Usage};
use super::procfs::Procfs;
use super::redact::{self, Redactor};
use super::table::{Limits, Process, Program, Table};
use super::users::Users;
use crate::columns::TableBuilder;
pub use counts::Counts;
use push::About;

/// Makes rows.
pub struct Rows {
    source: &'static str,
    boot_id: String,
    procfs: Procfs,
    users: Users,
    clock: Clock,
    table: Table,
    places: FxHashMap<(u64, u64), Arc<Place>>,
    redactor: Arc<Redactor>,
    digests: Option<Digests>,
    forks: bool,
    counts: Counts,
}

impl Rows {
    /// `source` is the value of `event_source`.
    pub fn new(
        source: &'static str,
        boot_id: String,
        procfs: Procfs,
        users: Users,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        Self {
            source,
            boot_id,
            procfs,
            users,
            clock,
            table: Table::new(limits),
            places: FxHashMap::default(),
            redactor: redact::current(),
            digests: None,
            forks: false,
            counts: Counts::default(),
        }
    }

    /// With digests of executables from now on.
    pub fn with_digests(self, digests: Digests) -> Self {
        Self { digests: Some(digests), ..self }
    }

    /// Whether a fork makes a row.
    pub fn with_forks(self, forks: bool) -> Self {
        Self { forks, ..self }
    }

    pub fn digests(&self) -> Option<&Digests> {
        self.digests.as_ref()
    }

    /// Has the digest of a new program computed; true if that is worth a moment.
    pub fn ask(&mut self, event: &Event) -> bool {
        let (Action::Exec(image) | Action::Seed(image), Some(digests)) = (&event.action, &mut self.digests) else {
            return false;
        };
        image.file.is_some_and(|key| digests.ask(key, event.pid, &image.executable))
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn procfs(&self) -> &Procfs {
        &self.procfs
    }

    pub fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Processes that are known.
    pub fn known(&self) -> usize {
        self.table.known()
    }

    /// Living processes that were forgotten for want of room.
    pub fn evicted(&self) -> u64 {
        self.table.evicted()
    }

    /// To be called about ten times a second: follows the clock and the users, forgets the dead.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.users.refresh();
        self.table.prune(self.clock.now()?);
        self.clock.refresh()
    }

    /// Takes an event in.
    pub fn take(&mut self, mut event: Event, builder: &mut TableBuilder) {
        if let Some(identity) = event.identity.as_mut().filter(|_| !self.procfs.has_version_1()) {
            // Of the unified tree too: the nearest one above that counts memory.
            identity.cgroup_v1 = 0;
        }
        let action = std::mem::replace(&mut event.action, Action::Fork);
        match action {
            Action::Fork => self.fork(&event, builder),
            Action::Exec(image) => self.exec(&event, image, builder),
            Action::Exit(status, usage) => self.exit(&event, Some(status), usage, builder),
            Action::Gone => self.exit(&event, None, None, builder),
            Action::Ptrace(target) => self.ptrace(&event, target, builder),
            Action::Seed(_) => {
                let Some(process) = self.table.get(event.pid).cloned() else { return };
                self.counts.seed += 1;
                self.push(&event, "seed", &process, About::Nothing, builder);
            }
        }
    }

    fn fork(&mut self, event: &Event, builder: &mut TableBuilder) {
        self.counts.fork += 1;
        let parent = self.parent(event);
        // A fork runs the program of its parent until it execs.
        let program = parent.program.clone().unwrap_or_else(|| unknown(&event.name));
        // The kernel tells only who a fork is; where it runs, it has from its parent.
        let (inherited, place) = match self.table.get(parent.pid) {
            Some(process) => (process.identity, process.place.clone()),
            None => (None, None),
        };
        let identity = match (event.identity, inherited) {
            (Some(own), Some(inherited)) => {
                let (uid, euid, gid, login_uid) = (own.uid, own.euid, own.gid, own.login_uid);
                Some(Identity { uid, euid, gid, login_uid, ..inherited })
            }
            (own, inherited) => own.or(inherited),
        };
        let entity = self.entity(event.pid, event.start);
        let process = Process { entity, start: event.start, program, parent, identity, place, exited: false };
        if self.forks {
            self.push(event, "fork", &process, About::Nothing, builder);
        }
        self.table.insert(event.pid, process);
    }

    fn exec(&mut self, event: &Event, mut image: Image, builder: &mut TableBuilder) {
        self.counts.exec += 1;
        self.clean(&mut image);
        image.sha256 = self.digest(&image);
        let parent = self.parent(event);
        let process = Process {
            entity: self.entity(event.pid, event.start),
            start: event.start,
            program: Arc::new(Program { name: event.name.clone(), image }),
            parent,
            identity: event.identity,
            place: self.place(event.pid, event.start, event.identity.as_ref()),
            exited: false,
        };
        self.push(event, "exec", &process, About::Nothing, builder);
        self.table.insert(event.pid, process);
    }

    fn exit(&mut self, event: &Event, status: Option<u32>, usage: Option<Usage>, builder: &mut TableBuilder) {
        let entity = self.entity(event.pid, event.start);
        let mut process = match self.table.get(event.pid) {
            Some(known) if known.entity == entity => known.clone(),
            _ => {
                let (parent, program) = (self.parent(event), unknown(&event.name));
                let identity = event.identity;
                Process { entity, start: event.start, program, parent, identity, place: None, exited: false }
            }
        };
        if process.exited {
            self.counts.exit_duplicate += 1;
            return;
        }
        self.counts.exit += 1;
        let groups = |identity: Option<Identity>| identity.map(|identity| (identity.cgroup, identity.cgroup_v1));
        if process.place.is_none() || event.identity.is_some() && groups(event.identity) != groups(process.identity) {
            let identity = event.identity.or(process.identity);
            process.place = self.place(event.pid, event.start, identity.as_ref()).or(process.place);
        }
        process.identity = event.identity.or(process.identity);
        self.push(event, "exit", &process, About::End(status, usage), builder);
        if self.table.get(event.pid).is_none_or(|known| known.entity != entity) {
            self.table.insert(event.pid, process);
        }
        self.table.exit(event.pid, event.time);
    }

    fn ptrace(&mut self, event: &Event, target: u32, builder: &mut TableBuilder) {
        for pid in [event.pid, target] {
            if self.table.get(pid).is_none() {
                self.learn(pid);
            }
        }
        self.counts.ptrace += 1;
        let target_process = self.table.get(target).cloned();
        let tracer = match self.table.get(event.pid) {
            Some(tracer) => tracer.clone(),
            None => {
                let (parent, program) = (self.parent(event), unknown(&event.name));
                Process { entity: 0, start: 0, program, parent, identity: None, place: None, exited: false }
            }
        };
        self.push(event, "ptrace", &tracer, About::Target(target, target_process.as_ref()), builder);
    }

    /// Takes secrets out.
    fn clean(&mut self, image: &mut Image) {
        self.counts.redacted += u64::from(self.redactor.image(image));
    }

    fn digest(&self, image: &Image) -> Option<Arc<str>> {
        self.digests.as_ref()?.get(image.file.as_ref()?)
    }
}

fn unknown(name: &str) -> Arc<Program> {
    Arc::new(Program { name: name.to_owned(), image: Image::unknown() })
}

#[cfg(test)]
mod tests;
