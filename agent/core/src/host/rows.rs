//! Events to rows of the table `processes`: joined with the parent, the user's name and the identity of the process.

use std::io;
use std::sync::Arc;

use super::clock::Clock;
use super::event::{Action, Event, Identity, Image, NO_LOGIN, exit_code};
use super::procfs::Procfs;
use super::table::{Limits, Parent, Process, Program, Table, entity};
use super::users::Users;
use crate::columns::TableBuilder;
use crate::schema::ProcessesRow;

/// What a user id is when it is not known, as (uid_t) -1 of chown(2).
const NO_USER: u32 = u32::MAX;

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
        Self { source, boot_id, procfs, users, clock, table: Table::new(limits), counts: Counts::default() }
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

    /// Learns the processes that run already.
    pub fn seed(&mut self) {
        let pids: Vec<u32> = self.procfs.pids().collect();
        for pid in &pids {
            self.learn(*pid);
        }
        // Parents may have come after their children.
        for pid in pids {
            let Some(process) = self.table.get(pid).cloned() else { continue };
            let parent = self.as_parent(process.parent.pid, 0);
            self.table.insert(pid, Process { parent, ..process });
        }
    }

    /// Takes an event in; fork makes no row.
    pub fn take(&mut self, event: Event, builder: &mut TableBuilder) {
        match event.action {
            Action::Fork => self.fork(&event),
            Action::Exec(ref image) => self.exec(&event, image.clone(), builder),
            Action::Exit(status) => self.exit(&event, status, builder),
        }
    }

    fn fork(&mut self, event: &Event) {
        self.counts.fork += 1;
        let parent = self.parent(event);
        // A fork runs the program of its parent until it execs.
        let program = parent.program.clone().unwrap_or_else(|| unknown(&event.name));
        let inherited = self.table.get(parent.pid).and_then(|process| process.identity);
        let identity = event.identity.or(inherited);
        let entity = self.entity(event.pid, event.start);
        self.table.insert(event.pid, Process { entity, start: event.start, program, parent, identity, exited: false });
    }

    fn exec(&mut self, event: &Event, image: Image, builder: &mut TableBuilder) {
        self.counts.exec += 1;
        let parent = self.parent(event);
        let process = Process {
            entity: self.entity(event.pid, event.start),
            start: event.start,
            program: Arc::new(Program { name: event.name.clone(), image }),
            parent,
            identity: event.identity,
            exited: false,
        };
        self.push(event, "exec", &process, None, builder);
        self.table.insert(event.pid, process);
    }

    fn exit(&mut self, event: &Event, status: u32, builder: &mut TableBuilder) {
        let entity = self.entity(event.pid, event.start);
        let mut process = match self.table.get(event.pid) {
            Some(known) if known.entity == entity => known.clone(),
            _ => {
                let (parent, program) = (self.parent(event), unknown(&event.name));
                Process { entity, start: event.start, program, parent, identity: event.identity, exited: false }
            }
        };
        if process.exited {
            self.counts.exit_duplicate += 1;
            return;
        }
        self.counts.exit += 1;
        process.identity = event.identity.or(process.identity);
        self.push(event, "exit", &process, Some(status), builder);
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
        status: Option<u32>,
        builder: &mut TableBuilder,
    ) {
        let Program { name, image } = &*process.program;
        let parent = process.parent.program.as_deref();
        let oddities = self.oddities(process);
        let identity = process.identity.unwrap_or(Identity {
            uid: NO_USER,
            euid: NO_USER,
            gid: NO_USER,
            login_uid: NO_LOGIN,
            cgroup: 0,
        });
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
            process_exit_code: status.map_or(0, exit_code),
            process_lifetime: match status {
                Some(_) if process.start != 0 => event.time.saturating_sub(process.start) / 1000,
                _ => 0,
            },
            process_oddities: &oddities,
            ..ProcessesRow::default()
        }
        .push(builder);
    }

    fn oddities(&mut self, process: &Process) -> String {
        let image = &process.program.image;
        let program = process.parent.program.as_deref();
        let parent_unknown = process.parent.pid != 0 && program.is_none_or(|program| program.image.executable_unknown);
        let found = [
            (image.args_truncated, "args_truncated", &mut self.counts.args_truncated),
            (image.executable_unknown, "exe_unknown", &mut self.counts.exe_unknown),
            (image.args_unknown, "args_unknown", &mut self.counts.args_unknown),
            (parent_unknown, "parent_unknown", &mut self.counts.parent_unknown),
            (process.identity.is_none(), "user_unknown", &mut self.counts.user_unknown),
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
        let Some(seen) = self.procfs.read(pid) else { return };
        let parent = self.as_parent(seen.parent_pid, 0);
        let process = Process {
            entity: self.entity(pid, seen.start),
            start: seen.start,
            program: Arc::new(Program { name: seen.name, image: seen.image }),
            parent,
            identity: seen.identity,
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
