//! Events to rows of the table `processes`: joined with the parent, the user's name and the identity of the process.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cgroup::Place;
use super::clock::Clock;
use super::digest::Digests;
use super::event::{Action, Event, Identity, Image, Usage, capability_names, exit_code};
use super::procfs::Procfs;
use super::redact::{self, Redactor};
use super::table::{Limits, Parent, Process, Program, Table, entity};
use super::users::Users;
use crate::columns::TableBuilder;
use crate::schema::ProcessesRow;

/// Cgroups whose meaning is remembered; their ids are not used again before the next boot.
const PLACES: usize = 8192;

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub fork: u64,
    pub exec: u64,
    pub exit: u64,
    /// Two last threads of one process ended at once, and the kernel told of both.
    pub exit_duplicate: u64,
    pub args_truncated: u64,
    pub args_unknown: u64,
    pub exe_unknown: u64,
    pub parent_unknown: u64,
    pub user_unknown: u64,
    pub place_unknown: u64,
    pub usage_unknown: u64,
    /// Processes that ran before us.
    pub seed: u64,
    /// Command lines from which something was taken out.
    pub redacted: u64,
    /// Parents that had to be looked up in /proc.
    pub parent_read: u64,
}

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
            Action::Exit(status, usage) => self.exit(&event, status, usage, builder),
            Action::Seed(_) => {
                let Some(process) = self.table.get(event.pid).cloned() else { return };
                self.counts.seed += 1;
                self.push(&event, "seed", &process, None, builder);
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
            self.push(event, "fork", &process, None, builder);
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
        self.push(event, "exec", &process, None, builder);
        self.table.insert(event.pid, process);
    }

    fn exit(&mut self, event: &Event, status: u32, usage: Option<Usage>, builder: &mut TableBuilder) {
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
        self.push(event, "exit", &process, Some((status, usage)), builder);
        if self.table.get(event.pid).is_none_or(|known| known.entity != entity) {
            self.table.insert(event.pid, process);
        }
        self.table.exit(event.pid, event.time);
    }

    fn push(
        &mut self,
        event: &Event,
        action: &str,
        process: &Process,
        end: Option<(u32, Option<Usage>)>,
        builder: &mut TableBuilder,
    ) {
        let Program { name, image } = &*process.program;
        let parent = process.parent.program.as_deref();
        let oddities = self.oddities(process, end);
        let identity = process.identity.unwrap_or(Identity::UNKNOWN);
        let unknown_place = Place::default();
        let place = process.place.as_deref().unwrap_or(&unknown_place);
        let digest = image.sha256.clone().or_else(|| self.digest(image));
        let usage = end.and_then(|(_, usage)| usage).unwrap_or_default();
        let set_id = match (image.set_uid, image.set_gid) {
            (true, true) => "setuid setgid",
            (true, false) => "setuid",
            (false, true) => "setgid",
            (false, false) => "",
        };
        ProcessesRow {
            event_time: self.clock.utc(event.time),
            event_action: action,
            event_source: self.source,
            process_pid: event.pid,
            process_entity_id: process.entity,
            process_start: if process.start == 0 { 0 } else { self.clock.utc(process.start) },
            process_name: if event.name.is_empty() { name } else { &event.name },
            process_executable: &image.executable,
            process_command_line: &image.command_line,
            process_working_directory: &image.working_directory,
            process_parent_pid: process.parent.pid,
            process_parent_entity_id: process.parent.entity,
            process_parent_name: parent.map_or("", |program| &program.name),
            process_parent_executable: parent.map_or("", |program| &program.image.executable),
            process_parent_command_line: parent.map_or("", |program| &program.image.command_line),
            user_id: identity.uid,
            user_name: self.users.name(identity.uid),
            user_effective_id: identity.euid,
            group_id: identity.gid,
            user_audit_id: identity.login_uid,
            process_cgroup_id: identity.cgroup,
            process_exit_code: end.map_or(0, |(status, _)| exit_code(status)),
            process_lifetime: match end {
                Some(_) if process.start != 0 => event.time.saturating_sub(process.start) / 1000,
                _ => 0,
            },
            process_args: &image.arguments,
            process_script: &image.script,
            process_hash_sha256: digest.as_deref().unwrap_or_default(),
            user_effective_name: self.users.name(identity.euid),
            process_tty: &identity.tty.name(),
            process_session_id: identity.session,
            process_capabilities_gained: &capability_names(image.capabilities_gained),
            process_set_id: set_id,
            process_pid_namespace_id: identity.pid_namespace,
            process_mount_namespace_id: identity.mount_namespace,
            process_network_namespace_id: identity.network_namespace,
            systemd_unit: &place.unit,
            container_id: &place.container,
            container_runtime: place.runtime,
            process_cpu_time: usage.cpu / 1000,
            process_io_read_bytes: usage.read,
            process_io_write_bytes: usage.written,
            process_oddities: &oddities,
        }
        .push(builder);
    }

    fn oddities(&mut self, process: &Process, end: Option<(u32, Option<Usage>)>) -> String {
        let image = &process.program.image;
        let program = process.parent.program.as_deref();
        let parent_unknown = process.parent.pid != 0 && program.is_none_or(|program| program.image.executable_unknown);
        let found = [
            (image.args_truncated, "args_truncated", &mut self.counts.args_truncated),
            (image.executable_unknown, "exe_unknown", &mut self.counts.exe_unknown),
            (image.args_unknown, "args_unknown", &mut self.counts.args_unknown),
            (parent_unknown, "parent_unknown", &mut self.counts.parent_unknown),
            (process.identity.is_none(), "user_unknown", &mut self.counts.user_unknown),
            (process.place.is_none(), "place_unknown", &mut self.counts.place_unknown),
            (end.is_some_and(|(_, usage)| usage.is_none()), "usage_unknown", &mut self.counts.usage_unknown),
        ];
        let mut oddities = String::new();
        for (_, name, count) in found.into_iter().filter(|(present, ..)| *present) {
            *count += 1;
            if !oddities.is_empty() {
                oddities.push(' ');
            }
            oddities.push_str(name);
        }
        oddities
    }

    /// Takes secrets out.
    fn clean(&mut self, image: &mut Image) {
        self.counts.redacted += u64::from(self.redactor.image(image));
    }

    fn digest(&self, image: &Image) -> Option<Arc<str>> {
        self.digests.as_ref()?.get(image.file.as_ref()?)
    }

    /// What the cgroups of a process mean, by their ids or by /proc if it is asked in time.
    fn place(&mut self, pid: u32, start: u64, identity: Option<&Identity>) -> Option<Arc<Place>> {
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
            if self.places.len() >= PLACES {
                self.places.clear();
            }
            self.places.insert((unified, memory), place.clone());
        }
        Some(place)
    }

    /// The parent that an event names.
    fn parent(&mut self, event: &Event) -> Parent {
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

    fn as_parent(&mut self, pid: u32, start: u64) -> Parent {
        if let Some(process) = self.find(pid, start) {
            return Parent { pid, entity: process.entity, program: Some(process.program.clone()) };
        }
        Parent { pid, entity: self.entity(pid, start), program: None }
    }

    /// The process of this pid and, unless it is 0, this start.
    fn find(&mut self, pid: u32, start: u64) -> Option<&Process> {
        let ticks = self.procfs.ticks(start);
        let procfs = &self.procfs;
        self.table.get(pid).filter(|process| start == 0 || procfs.ticks(process.start) == ticks)
    }

    /// Reads a process from /proc into the table.
    fn learn(&mut self, pid: u32) {
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
    fn entity(&self, pid: u32, start: u64) -> u64 {
        if start == 0 { 0 } else { entity(&self.boot_id, pid, self.procfs.ticks(start)) }
    }
}

fn unknown(name: &str) -> Arc<Program> {
    Arc::new(Program { name: name.to_owned(), image: Image::unknown() })
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
