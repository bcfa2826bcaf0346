//! The rung for kernels without BTF: the proc connector tells that something happened, `/proc` tells what, if it is
//! asked in time. Processes that live for less than about a millisecond are often gone by then.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::cn_message::{
    EVENT, Message, PROC_EVENT_NONE, PROC_EVENT_PTRACE, Subscription, only_tracing, parse, subscription,
};
use super::event::{Action, Event, Image};
use super::feed::{Feed, Totals};
use super::netlink::{self, Socket};
use super::rows::Rows;

const CN_IDX_PROC: u32 = 1;
/// Kernel threads are children of kthreadd.
const KTHREADD: u32 = 2;

/// A subscribed socket.
#[derive(Debug)]
pub struct Connector {
    socket: Socket,
    malformed: u64,
}

impl Connector {
    /// Subscribes. `buffer` is the size of the receive buffer in bytes.
    pub fn open(buffer: usize) -> io::Result<Self> {
        Self::subscribed(Socket::open(libc::NETLINK_CONNECTOR, CN_IDX_PROC, buffer, &[])?)
    }

    /// Subscribes to tracing alone. The kernel makes no copies of other events for us (before 6.6 it makes them and
    /// drops them at once).
    pub fn of_tracing(buffer: usize) -> io::Result<Self> {
        let filter = netlink::only(libc::BPF_W, EVENT as u32, &[PROC_EVENT_NONE, PROC_EVENT_PTRACE]);
        let connector = Self::subscribed(Socket::open(libc::NETLINK_CONNECTOR, CN_IDX_PROC, buffer, &filter)?)?;
        connector.socket.send(&only_tracing())?;
        Ok(connector)
    }

    fn subscribed(socket: Socket) -> io::Result<Self> {
        let mut connector = Self { socket, malformed: 0 };
        let token = token();
        connector.socket.send(&subscription(Subscription::Listen, token))?;
        connector.await_answer(token, Duration::from_secs(1))?;
        Ok(connector)
    }

    /// The kernel answers a subscription with an event; it says nothing to other namespaces than the initial ones.
    fn await_answer(&mut self, token: u32, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            self.socket.wait(deadline.saturating_duration_since(Instant::now()))?;
            while let Some(message) = self.receive() {
                match message {
                    Message::Answer { code: 0, token: ours } if ours == token => return Ok(()),
                    Message::Answer { code, token: ours } if ours == token => {
                        return Err(io::Error::from_raw_os_error(code as i32));
                    }
                    _ => {}
                }
            }
        }
        let reason = "the kernel did not answer: it has no CONFIG_PROC_EVENTS, or the agent is not in the initial pid and user namespaces";
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    }

    /// Unsubscribes; what is in the socket can still be read.
    pub fn unsubscribe(&self) {
        // Kernels before 6.6 count listeners and would go on making events for nobody. A failure changes nothing here.
        let _ = self.socket.send(&subscription(Subscription::Ignore, 0));
    }

    /// Waits for an event.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        self.socket.wait(timeout)
    }

    /// The next message that is one; None when nothing waits.
    pub fn receive(&mut self) -> Option<Message> {
        let mut buffer = [0u8; 512];
        loop {
            match parse(self.socket.receive(&mut buffer)?) {
                Some(message) => return Some(message),
                None => self.malformed += 1,
            }
        }
    }

    /// Messages that the kernel dropped because nobody read fast enough.
    pub fn lost(&self) -> u64 {
        self.socket.lost()
    }

    /// Messages that were none of the proc connector's.
    pub fn malformed(&self) -> u64 {
        self.malformed + self.socket.foreign()
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.unsubscribe();
    }
}

impl Feed for Connector {
    fn receive(&mut self, rows: &mut Rows) -> Option<Event> {
        loop {
            let message = self.receive()?;
            if let Some(event) = event(message, rows) {
                return Some(event);
            }
        }
    }

    fn in_turn(&self) -> bool {
        true
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        self.wait(timeout)
    }

    fn stop(&mut self) {
        self.unsubscribe();
    }

    fn totals(&self) -> Totals {
        vec![("lost", self.lost()), ("malformed", self.malformed())]
    }
}

/// Asks `/proc`, and then what is already known, about the process of a message.
pub fn event(message: Message, rows: &mut Rows) -> Option<Event> {
    let (time, pid, parent_pid, action) = match message {
        Message::Fork { parent: KTHREADD, .. } | Message::Exit { parent: KTHREADD, .. } => return None,
        Message::Fork { time, parent, child } => (time, child, parent, Action::Fork),
        Message::Exec { time, pid } => return Some(exec(time, pid, rows)),
        Message::Exit { time, pid, status, parent } => {
            (time, pid, parent, Action::Exit(status, rows.procfs().usage(pid)))
        }
        Message::Ptrace { time, tracer, tracee } => {
            return Some(Event::new(Action::Ptrace(tracee), rows.clock().boottime(time), tracer));
        }
        Message::User { pid, real, effective } => {
            rows.table().change(pid, |identity| (identity.uid, identity.euid) = (real, effective));
            return None;
        }
        Message::Group { pid, real } => {
            rows.table().change(pid, |identity| identity.gid = real);
            return None;
        }
        Message::Answer { .. } | Message::Other => return None,
    };
    let time = rows.clock().boottime(time);
    let start = match action {
        // The clock of the fork is the best there is if the child is gone already.
        Action::Fork => rows.procfs().start(pid).unwrap_or(time),
        _ => match rows.table().get(pid) {
            Some(known) => known.start,
            None => rows.procfs().start(pid).unwrap_or(0),
        },
    };
    Some(Event { start, parent_pid, ..Event::new(action, time, pid) })
}

/// An exec of which `/proc` has to tell everything.
pub fn exec(time: u64, pid: u32, rows: &mut Rows) -> Event {
    let mut event = Event::new(Action::Exec(Image::unknown()), rows.clock().boottime(time), pid);
    // What was forked, and whom it became by setuid(2), was told before.
    if let Some(forked) = rows.table().get(pid) {
        (event.start, event.parent_pid, event.identity) = (forked.start, forked.parent.pid, forked.identity);
    }
    if let Some(seen) = rows.procfs().read(pid) {
        event.action = Action::Exec(seen.image);
        (event.start, event.parent_pid, event.name) = (seen.start, seen.parent_pid, seen.name);
        event.identity = seen.identity.or(event.identity);
    }
    event
}

/// Different for every subscription on this machine, so that nobody takes the answer to another one for their own.
fn token() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    std::process::id().rotate_left(10) ^ NEXT.fetch_add(1, Ordering::Relaxed)
}
