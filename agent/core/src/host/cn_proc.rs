//! The rung for kernels without BTF: the proc connector tells that something happened, `/proc` tells what, if it is
//! asked in time. Processes that live for less than about a millisecond are often gone by then.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::cn_message::{Message, Subscription, parse, subscription};
use super::event::{Action, Event, Image};
use super::rows::Rows;
use super::wait;

const CN_IDX_PROC: u32 = 1;
/// linux/sock_diag.h: SK_MEMINFO_DROPS, the last of nine words.
const MEMINFO_DROPS: usize = 8;
/// Kernel threads are children of kthreadd.
const KTHREADD: u32 = 2;

/// A subscribed socket.
pub struct Connector {
    socket: OwnedFd,
    overruns: u64,
    malformed: u64,
}

impl Connector {
    /// Subscribes. `buffer` is the size of the receive buffer in bytes.
    pub fn open(buffer: usize) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket has no preconditions; the descriptor, if any, is new and owned by nobody else.
        let socket = unsafe {
            let socket = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_CONNECTOR);
            if socket < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(socket)
        };
        let size = i32::try_from(buffer).unwrap_or(i32::MAX);
        // Past net.core.rmem_max with CAP_NET_ADMIN; without it, as much as that allows.
        if set_option(&socket, libc::SO_RCVBUFFORCE, size).is_err() {
            set_option(&socket, libc::SO_RCVBUF, size)?;
        }
        // SAFETY: an all-zero sockaddr_nl is valid: port chosen by the kernel, no groups.
        let mut address: libc::sockaddr_nl = unsafe { zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = CN_IDX_PROC;
        // SAFETY: `address` is a sockaddr_nl and the length is its own.
        check(unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        })?;
        let mut connector = Self { socket, overruns: 0, malformed: 0 };
        let token = token();
        connector.subscribe(Subscription::Listen, token)?;
        connector.await_answer(token, Duration::from_secs(1))?;
        Ok(connector)
    }

    fn subscribe(&self, what: Subscription, token: u32) -> io::Result<()> {
        let message = subscription(what, token);
        // SAFETY: the pointer and the length are those of `message`.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The kernel answers a subscription with an event; it says nothing to other namespaces than the initial ones.
    fn await_answer(&mut self, token: u32, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            wait::readable(&self.socket, deadline.saturating_duration_since(Instant::now()))?;
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
    pub fn stop(&self) {
        // Kernels before 6.6 count listeners and would go on making events for nobody. A failure changes nothing here.
        let _ = self.subscribe(Subscription::Ignore, 0);
    }

    /// Waits for an event.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        wait::readable(&self.socket, timeout)
    }

    /// The next message that is one; None when nothing waits.
    pub fn receive(&mut self) -> Option<Message> {
        let mut buffer = [0u8; 512];
        loop {
            // SAFETY: an all-zero sockaddr_nl is a valid place to write the sender to.
            let mut sender: libc::sockaddr_nl = unsafe { zeroed() };
            let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: the buffer and the address are ours and their sizes are given.
            let received = unsafe {
                libc::recvfrom(
                    self.socket.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut sender).cast(),
                    &mut length,
                )
            };
            let Ok(received) = usize::try_from(received) else {
                match io::Error::last_os_error().raw_os_error() {
                    Some(libc::ENOBUFS) => self.overruns += 1,
                    Some(libc::EINTR) => {}
                    _ => return None,
                }
                continue;
            };
            // Only the kernel has port 0; others could send to this socket too.
            match parse(&buffer[..received]).filter(|_| sender.nl_pid == 0) {
                Some(message) => return Some(message),
                None => self.malformed += 1,
            }
        }
    }

    /// Messages that the kernel dropped because nobody read fast enough; kernels before 4.12 tell only of each overrun.
    pub fn lost(&self) -> u64 {
        let mut words = [0u32; MEMINFO_DROPS + 1];
        let mut length = size_of_val(&words) as libc::socklen_t;
        // SAFETY: the buffer is ours and its size is given.
        let result = unsafe {
            let words = words.as_mut_ptr().cast();
            libc::getsockopt(self.socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, words, &mut length)
        };
        let drops = if result == 0 { u64::from(words[MEMINFO_DROPS]) } else { 0 };
        drops.max(self.overruns)
    }

    /// Messages that were none of the proc connector's.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.stop();
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
    let (name, parent_name) = (String::new(), String::new());
    Some(Event { action, time, pid, start, parent_pid, parent_start: 0, name, parent_name, identity: None })
}

fn exec(time: u64, pid: u32, rows: &mut Rows) -> Event {
    let mut event = Event {
        action: Action::Exec(Image::unknown()),
        time: rows.clock().boottime(time),
        pid,
        start: 0,
        parent_pid: 0,
        parent_start: 0,
        name: String::new(),
        parent_name: String::new(),
        identity: None,
    };
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

fn set_option(socket: &OwnedFd, option: libc::c_int, value: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `value`.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const value).cast(), length) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
