//! The rung below eBPF: the audit subsystem tells what a process began to run, with all arguments, however short it
//! lives; the proc connector tells of forks and ends, and where it cannot be had, looks at `/proc` notice ends.
//!
//! Records are read from the multicast group, which needs no ownership of audit and takes nothing from auditd or journald.
//! A process that is older than the first time that audit was on since the boot has no audit context; when such a process
//! begins another program without a fork, only the connector tells of it.

mod arguments;
mod assemble;
mod control;
mod exec;
mod merge;
mod rule;
mod settings;
mod tap;
mod text;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use super::cn_proc::{self, Connector};
use super::event::Event;
use super::feed::{Feed, Totals};
use super::netlink::{self, Socket};
use super::polling::Polling;
use super::procfs::Procfs;
use super::rows::Rows;
use super::wait;
use assemble::{Assembler, BPRM_FCAPS, CONFIG_CHANGE, CWD, EOE, EXECVE, PATH, SYSCALL};
use control::Control;
use merge::{Merge, Step};
use tap::Tap;

/// linux/audit.h: AUDIT_NLGRP_READLOG, as a mask.
const READLOG: u32 = 1;
/// The type of a message, in its header.
const TYPE: u32 = 4;
/// MAX_AUDIT_MESSAGE_LENGTH is 8970.
const RECORD: usize = 16_384;
const HEADER: usize = 16;
/// An exec makes seven records, and each takes more room than a message of the connector.
const SHARE: usize = 8;
/// Messages that are read before events are made of them.
const AT_ONCE: usize = 4096;
/// After the first record others are waited for a little, so that they are read together.
const NAP: Duration = Duration::from_millis(10);
/// How often it is seen whether execs are still audited.
const CHECK: Duration = Duration::from_secs(5);
/// How long the kernel may take to tell of the rules that we added.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who tells of ends.
enum Ends {
    Connector(Connector),
    /// Why it is not the connector.
    Polling(Polling, io::Error),
}

/// Audited execs.
pub struct Audit {
    socket: Socket,
    control: Control,
    tap: Tap,
    ends: Ends,
    assembler: Assembler,
    merge: Merge,
    began: Instant,
    checked: Instant,
    /// As the kernel counted before us, and later.
    lost_before: u32,
    lost: u32,
    stopped: bool,
}

impl Audit {
    /// Has execs audited, and reads. `buffer` is the size of the connector's receive buffer in bytes, `interval` the time
    /// between looks at `/proc` if those are needed. Errors are one line for people.
    pub fn open(buffer: usize, interval: Duration, procfs: &Procfs) -> io::Result<Self> {
        let refuse = |reason: &str| Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        if !procfs.is_of_the_host() {
            return refuse("the agent is not in the host's pid namespace, from which alone audit is set");
        }
        let namespace =
            |process: &str| fs::metadata(procfs.root().join(process).join("ns/net")).map(|one| one.ino()).ok();
        if let (Some(own), Some(first)) = (namespace("self"), namespace("1"))
            && own != first
        {
            return refuse("the agent is not in the host's network namespace, to which alone audit tells");
        }
        let mut control =
            Control::open().and_then(|mut control| control.status().map(|_| control)).map_err(explained)?;
        let kinds = [SYSCALL, PATH, CONFIG_CHANGE, CWD, EXECVE, EOE, BPRM_FCAPS].map(u32::from);
        let filter = netlink::only(libc::BPF_H, TYPE, &kinds);
        let mut socket = Socket::open(libc::NETLINK_AUDIT, READLOG, buffer.saturating_mul(SHARE), &filter)?;
        let ends = match Connector::open(buffer) {
            Ok(connector) => Ends::Connector(connector),
            Err(error) => Ends::Polling(Polling::new(procfs, interval, true), error),
        };
        let lost_before = control.status()?.lost();
        let mut tap = Tap::open(&mut control, procfs)?;
        if matches!(tap, Tap::Ours(..)) && !hears(&mut socket)? {
            tap.close(&mut control);
            return refuse(
                "the kernel sends no audit records: the agent is not in the host's network namespace, \
                 or Linux is older than 3.16",
            );
        }
        Ok(Self {
            socket,
            control,
            tap,
            ends,
            assembler: Assembler::default(),
            merge: Merge::default(),
            began: Instant::now(),
            checked: Instant::now(),
            lost_before,
            lost: lost_before,
            stopped: false,
        })
    }

    /// Reads what the kernel said; false if it was nothing.
    fn read(&mut self) -> bool {
        let now = self.now();
        let mut read = 0;
        // First what waits for records, then the records, so that those are there or soon will be.
        if let Ends::Connector(connector) = &mut self.ends {
            while read < AT_ONCE
                && let Some(message) = connector.receive()
            {
                self.merge.told(message, now);
                read += 1;
            }
        }
        let most = read + AT_ONCE;
        let mut buffer = [0; RECORD];
        while read < most
            && let Some(message) = self.socket.receive(&mut buffer)
        {
            read += 1;
            // The length in the header is not right in all kernels; that of the datagram is.
            let (Some(kind), Some(record)) = (message.get(4..6), message.get(HEADER..)) else { continue };
            let kind = u16::from_ne_bytes([kind[0], kind[1]]);
            if let Some(exec) = self.assembler.take(kind, record) {
                self.merge.audited(exec, now);
            }
        }
        read > 0
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn event(&mut self, step: Step, rows: &mut Rows) -> Option<Event> {
        let event = match step {
            Step::Told(message) => return cn_proc::event(message, rows),
            Step::Exec(time, pid, Some(record)) => exec::event(*record, pid, Some(rows.clock().boottime(time)), rows),
            Step::Exec(time, pid, None) => cn_proc::exec(time, pid, rows),
            Step::Alone(record) => {
                let pid = record.pid;
                exec::event(*record, pid, None, rows)
            }
        };
        if let Ends::Polling(polling, _) = &mut self.ends {
            polling.expect(event.pid, rows.procfs().ticks(event.start));
        }
        Some(event)
    }
}

impl Feed for Audit {
    fn receive(&mut self, rows: &mut Rows) -> Option<Event> {
        loop {
            let clock = *rows.clock();
            let wall = |monotonic: u64| u64::try_from(clock.utc(clock.boottime(monotonic)) / 1000).unwrap_or(0);
            // Without the connector nothing waits for records.
            let now = if matches!(self.ends, Ends::Polling(..)) { u64::MAX } else { self.now() };
            if let Some(step) = self.merge.next(now, wall) {
                match self.event(step, rows) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            if self.read() {
                continue;
            }
            if let Ends::Polling(polling, _) = &mut self.ends {
                return polling.next(rows);
            }
            if !self.stopped || self.merge.is_empty() {
                return None;
            }
            // The last records are still on their way.
            self.socket.wait(Duration::from_millis(10)).ok()?;
        }
    }

    fn in_turn(&self) -> bool {
        true
    }

    fn behind(&self) -> Duration {
        match &self.ends {
            Ends::Connector(_) => Duration::from_nanos(self.merge.waits(self.now())),
            Ends::Polling(polling, _) => polling.behind(),
        }
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        match &self.ends {
            // What waits for its record is looked at again soon.
            Ends::Connector(_) if !self.merge.is_empty() => self.socket.wait(timeout.min(NAP))?,
            Ends::Connector(connector) => wait::either(&self.socket, connector, timeout)?,
            Ends::Polling(polling, _) => self.socket.wait(timeout.min(polling.due()))?,
        }
        thread::sleep(timeout.min(NAP));
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        if self.checked.elapsed() < CHECK {
            return Ok(());
        }
        self.checked = Instant::now();
        let status = self.control.status()?;
        self.lost = status.lost();
        self.tap.check(&status, &self.control.rules()?)
    }

    fn stop(&mut self) {
        self.lost = self.control.status().map_or(self.lost, |status| status.lost());
        self.tap.close(&mut self.control);
        match &mut self.ends {
            Ends::Connector(connector) => connector.unsubscribe(),
            Ends::Polling(polling, _) => polling.stop(),
        }
        self.stopped = true;
    }

    fn totals(&self) -> Totals {
        let (lost, malformed) = match &self.ends {
            Ends::Connector(connector) => (connector.lost(), connector.malformed()),
            Ends::Polling(..) => (0, 0),
        };
        let not_queued = u64::from(self.lost.wrapping_sub(self.lost_before));
        vec![
            ("lost", self.socket.lost() + not_queued + lost),
            ("malformed", self.assembler.malformed() + self.socket.foreign() + malformed),
            ("incomplete", self.assembler.incomplete()),
            ("unaudited", self.merge.unaudited()),
            ("ptrace_refused", u64::from(matches!(self.ends, Ends::Polling(..)))),
        ]
    }

    fn notes(&self) -> Vec<String> {
        let ends = match &self.ends {
            Ends::Connector(_) => "ends from the proc connector".into(),
            Ends::Polling(_, error) => format!("ends by looking at /proc, no ptrace events: proc connector: {error}"),
        };
        vec![self.tap.note().into(), ends]
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.tap.close(&mut self.control);
    }
}

/// Whether records come: the kernel records that a rule was added.
fn hears(socket: &mut Socket) -> io::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; RECORD];
    loop {
        if socket.receive(&mut buffer).is_some() {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.wait(left)?;
    }
}

/// What the kernel means by an answer: kernel/audit.c, audit_netlink_ok.
fn explained(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => {
            io::Error::new(io::ErrorKind::Unsupported, "audit only answers in the initial user namespace")
        }
        Some(libc::EPROTONOSUPPORT) => {
            io::Error::new(io::ErrorKind::Unsupported, "this kernel has no audit (CONFIG_AUDIT)")
        }
        _ => error,
    }
}
