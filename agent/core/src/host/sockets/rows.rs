//! Records to rows of the table `sockets`, and to the table of owners.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::clock::Clock;
use super::super::owners::{End, Owner, Owners};
use super::super::procfs::Procfs;
use super::super::redact;
use super::super::table::{Parent, Process, Program, entity};
use super::super::users::Users;
use super::record::{Kind, Record};
use crate::columns::TableBuilder;
use crate::engine::transport;
use crate::schema::SocketsRow;

/// Owners that are remembered by their text.
const MOST_OWNERS: usize = 16_384;

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub connect: u64,
    pub accept: u64,
    pub listen: u64,
    pub bind: u64,
    pub close: u64,
    pub seed: u64,
    /// Sockets that were handed on to another process.
    pub owner_changed: u64,
    /// Rows without an owner.
    pub owner_unknown: u64,
    /// Rows whose process was gone before anybody could see what it runs.
    pub program_unknown: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct Who {
    pid: u32,
    start: u64,
    uid: u32,
    name: String,
    method: &'static str,
}

/// Makes rows.
pub struct Rows {
    boot_id: String,
    owners: Arc<Owners>,
    procfs: Procfs,
    users: Users,
    clock: Clock,
    known: FxHashMap<Who, Arc<Owner>>,
    counts: Counts,
}

/// Whether a record is more than news for the table of owners.
/// `tells_use`: who accepts a connection will be told.
pub fn makes_row(record: &Record, tells_use: bool) -> bool {
    let accepting = record.kind == Kind::Accept && record.tentative() && tells_use;
    record.kind != Kind::Owner && !accepting && !record.carried()
}

impl Rows {
    pub fn new(boot_id: String, owners: Arc<Owners>) -> io::Result<Self> {
        let mut users = Users::new("/etc/passwd");
        users.refresh();
        Ok(Self {
            boot_id,
            owners,
            procfs: Procfs::new("/proc"),
            users,
            clock: Clock::new()?,
            known: FxHashMap::default(),
            counts: Counts::default(),
        })
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// To be called about ten times a second: follows the clock and the users, forgets old ends.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.users.refresh();
        self.clock.refresh()?;
        self.owners.prune(self.clock.utc(self.clock.now()?));
        Ok(())
    }

    /// Tells the table of owners.
    pub fn own(&mut self, record: &Record) {
        let end = End {
            netns: record.netns,
            protocol: record.protocol,
            local: record.local,
            local_port: record.local_port,
            remote: record.remote,
            remote_port: record.remote_port,
        };
        // An unconnected UDP socket owns its port, whoever the peer is.
        let wild = End { remote: [0; 16], remote_port: 0, ..end };
        let end = match (record.kind, record.protocol) {
            (Kind::Close, _) => {
                if record.untold() {
                    self.open(end, record);
                }
                return self.owners.close(record.cookie, self.clock.utc(record.time));
            }
            (Kind::Listen | Kind::Bind, _) => wild,
            _ if record.unconnected() => wild,
            _ => end,
        };
        self.counts.owner_changed += u64::from(record.kind == Kind::Owner);
        self.open(end, record);
    }

    fn open(&mut self, end: End, record: &Record) {
        let owner = self.owner(record);
        self.owners.open(end, record.cookie, self.clock.utc(record.since), owner, record.confidence());
    }

    fn owner(&mut self, record: &Record) -> Arc<Owner> {
        let who = Who {
            pid: record.pid,
            start: record.start,
            uid: record.uid,
            name: record.name.clone(),
            method: record.source(),
        };
        if let Some(owner) = self.known.get(&who) {
            return owner.clone();
        }
        let ticks = self.procfs.ticks(record.start);
        let owner = Arc::new(Owner {
            pid: record.pid,
            entity: if record.pid == 0 { 0 } else { entity(&self.boot_id, record.pid, ticks) },
            name: record.name.clone(),
            user_id: record.uid,
            user_name: self.users.name(record.uid).to_owned(),
            method: record.source(),
        });
        if self.known.len() >= MOST_OWNERS {
            self.known.clear();
        }
        self.known.insert(who, owner.clone());
        owner
    }

    /// Makes the rows of a record.
    pub fn push(&mut self, record: &Record, tells_use: bool, builder: &mut TableBuilder) {
        // Where nobody tells who accepts, that somebody did was told before.
        if record.kind == Kind::Close && record.untold() && (tells_use || !record.passive()) {
            let action = if record.passive() { "accept" } else { "connect" };
            self.row(record, action, record.since, builder);
        }
        let action = match record.kind {
            Kind::Connect => "connect",
            Kind::Accept => "accept",
            Kind::Listen => "listen",
            Kind::Bind => "bind",
            Kind::Close => "close",
            Kind::Seed => "seed",
            Kind::Owner => return,
        };
        self.row(record, action, record.time, builder);
    }

    fn row(&mut self, record: &Record, action: &str, time: u64, builder: &mut TableBuilder) {
        let count = match action {
            "connect" => &mut self.counts.connect,
            "accept" => &mut self.counts.accept,
            "listen" => &mut self.counts.listen,
            "bind" => &mut self.counts.bind,
            "seed" => &mut self.counts.seed,
            _ => &mut self.counts.close,
        };
        *count += 1;
        let owner = self.owner(record);
        let process = self.process(&owner, record);
        self.counts.owner_unknown += u64::from(owner.entity == 0);
        self.counts.program_unknown += u64::from(process.is_none() && owner.entity != 0);
        let place = process.as_ref().and_then(|process| process.place.as_deref());
        let local = (record.local, record.local_port);
        let remote = (record.remote, record.remote_port);
        let inbound = record.passive() || record.listener();
        let (source, destination) = if inbound { (remote, local) } else { (local, remote) };
        let (sent, received) = if inbound { (record.received, record.sent) } else { (record.sent, record.received) };
        SocketsRow {
            event_time: self.clock.utc(time),
            event_action: action,
            event_source: record.source(),
            source_ip: source.0,
            source_port: source.1,
            destination_ip: destination.0,
            destination_port: destination.1,
            network_transport: transport(record.protocol),
            socket_id: record.cookie,
            network_namespace_id: record.netns,
            source_payload_bytes: if action == "close" { sent } else { 0 },
            destination_payload_bytes: if action == "close" { received } else { 0 },
            tcp_rtt: record.rtt,
            process_pid: owner.pid,
            process_entity_id: owner.entity,
            process_name: &owner.name,
            process_executable: process.as_ref().map_or("", |process| &process.program.image.executable),
            process_command_line: process.as_ref().map_or("", |process| &process.program.image.command_line),
            user_id: owner.user_id,
            user_name: &owner.user_name,
            systemd_unit: place.map_or("", |place| &place.unit),
            container_id: place.map_or("", |place| &place.container),
            attribution_method: if owner.entity == 0 { "" } else { owner.method },
            attribution_confidence: record.confidence(),
        }
        .push(builder);
    }

    /// What the owner runs, by the process events, or by /proc if it lives.
    fn process(&mut self, owner: &Owner, record: &Record) -> Option<Arc<Process>> {
        if owner.entity == 0 {
            return None;
        }
        if let Some(process) = self.owners.process(owner.entity) {
            return Some(process);
        }
        let mut seen = self.procfs.read(owner.pid)?;
        if self.procfs.ticks(seen.start) != self.procfs.ticks(record.start) {
            return None;
        }
        redact::current().image(&mut seen.image);
        let place = self.procfs.place(owner.pid).map(|(place, ..)| Arc::new(place));
        let process = Process {
            entity: owner.entity,
            start: record.start,
            program: Arc::new(Program { name: seen.name, image: seen.image }),
            parent: Parent { pid: seen.parent_pid, entity: 0, program: None },
            identity: seen.identity,
            place,
            exited: false,
        };
        self.owners.learn(owner.pid, &process);
        self.owners.process(owner.entity)
    }
}
