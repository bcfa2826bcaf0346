//! Waiting for a descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Waits until `fd` can be read, or for `timeout`.
pub fn readable(fd: &impl AsFd, timeout: Duration) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, ours.
    ignore_interrupt(unsafe { libc::poll(&mut poll, 1, milliseconds(timeout)) })
}

/// Waits until one of two can be read, or for `timeout`.
pub fn either(first: &impl AsFd, second: &impl AsFd, timeout: Duration) -> io::Result<()> {
    let of = |fd: libc::c_int| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut polls = [of(first.as_fd().as_raw_fd()), of(second.as_fd().as_raw_fd())];
    // SAFETY: two pollfds, ours.
    ignore_interrupt(unsafe { libc::poll(polls.as_mut_ptr(), 2, milliseconds(timeout)) })
}

/// Waits for the moments at which a descriptor becomes readable, not for its being so: a ring that always holds a
/// little is looked at when somebody wakes us or the time is up, and so in batches.
#[derive(Debug)]
pub struct Edge(OwnedFd);

impl Edge {
    pub fn new(fd: &impl AsFd) -> io::Result<Self> {
        // SAFETY: epoll_create1 has no preconditions; the descriptor, if any, is new and owned by nobody else.
        let epoll = unsafe {
            let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if epoll < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(epoll)
        };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: both descriptors are open and the event is ours.
        match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } {
            0 => Ok(Self(epoll)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for a wake-up since the last call, or for `timeout`; whether there was one.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event, ours.
        let result = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &mut event, 1, milliseconds(timeout)) };
        ignore_interrupt(result).map(|()| result > 0)
    }
}

/// Rounded up, so that a short wait is not a busy one.
fn milliseconds(timeout: Duration) -> libc::c_int {
    i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// A signal ends the wait early, and that is all.
fn ignore_interrupt(result: libc::c_int) -> io::Result<()> {
    match result {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}
