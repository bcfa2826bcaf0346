//! The sockets of one network namespace: asked for, and told of when they end.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::message::{Message, Socket, TCP, UDP, parts, request};
use crate::host::namespace;

/// The kernel sends at most 32 KiB at once (net/netlink/af_netlink.c).
const BUFFER: usize = 65_536;
/// What the kernel keeps for us of the sockets that end, bytes.
const KEPT: i32 = 4 << 20;
/// How often a dump is asked for again that changes interrupted.
const ATTEMPTS: u32 = 3;
/// Ends that are taken in at once; the rest waits for the next time.
const MOST_ENDS: usize = 65_536;
/// linux/sock_diag.h: SKNLGRP_INET_TCP_DESTROY and its three companions, from 1 on.
const DESTROY_GROUPS: std::ops::RangeInclusive<libc::c_int> = 1..=4;
/// What is dumped: family and protocol.
pub const KINDS: [(u8, u8); 4] =
    [(libc::AF_INET as u8, TCP), (libc::AF_INET6 as u8, TCP), (libc::AF_INET as u8, UDP), (libc::AF_INET6 as u8, UDP)];

/// What went wrong so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Dumps that began anew because the sockets changed meanwhile.
    pub interrupted: u64,
    /// Dumps that were refused or cut off.
    pub failed: u64,
    /// Messages that could not be read, or were not the kernel's.
    pub malformed: u64,
    /// Overruns: ends of sockets that found no room.
    pub lost: u64,
}

/// Two sockets inside of the namespace. As long as they are open it lives.
pub struct Netlink {
    dumps: OwnedFd,
    /// None where we may not listen (CAP_NET_ADMIN): the end of a socket is then seen when it is missing.
    ends: Option<OwnedFd>,
    sequence: u32,
    buffer: Vec<u8>,
    /// Cookie of the namespace.
    pub cookie: u64,
    pub faults: Faults,
}

impl Netlink {
    /// In the network namespace of the calling thread.
    pub fn here() -> io::Result<Self> {
        let dumps = open()?;
        let patience = libc::timeval { tv_sec: 2, tv_usec: 0 };
        option(&dumps, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
        let ends = open().and_then(listen).ok();
        let cookie = namespace::cookie(&dumps);
        Ok(Self { dumps, ends, sequence: 0, buffer: vec![0; BUFFER], cookie, faults: Faults::default() })
    }

    /// Whether the kernel tells when a socket ends.
    pub fn hears_ends(&self) -> bool {
        self.ends.is_some()
    }

    /// Adds the sockets of a kind to `found`. An error: not all may be there.
    pub fn dump(&mut self, kind: (u8, u8), found: &mut Vec<Socket>) -> io::Result<()> {
        let before = found.len();
        for _ in 0..ATTEMPTS {
            found.truncate(before);
            match self.attempt(kind, found) {
                Ok(true) => return Ok(()),
                Ok(false) => self.faults.interrupted += 1,
                Err(error) => {
                    self.faults.failed += 1;
                    return Err(error);
                }
            }
        }
        self.faults.failed += 1;
        Err(io::Error::new(io::ErrorKind::Interrupted, "the sockets changed during each dump"))
    }

    /// False if the dump was interrupted.
    fn attempt(&mut self, (family, protocol): (u8, u8), found: &mut Vec<Socket>) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(family, protocol, self.sequence);
        // SAFETY: the pointer and the length are those of `request`.
        let sent = unsafe { libc::send(self.dumps.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut whole = true;
        loop {
            let (length, from_kernel) = receive(&self.dumps, &mut self.buffer, 0)?;
            if !from_kernel || length == 0 {
                self.faults.malformed += 1;
                continue;
            }
            for part in parts(&self.buffer[..length], protocol) {
                let Some(part) = part else {
                    self.faults.malformed += 1;
                    continue;
                };
                // What is left of a dump that was given up.
                if part.sequence != self.sequence {
                    continue;
                }
                whole &= !part.interrupted;
                match part.message {
                    Message::Socket(socket) => found.push(socket),
                    Message::End(0) => return Ok(whole),
                    Message::End(code) => return Err(io::Error::from_raw_os_error(code)),
                    Message::Other => {}
                }
            }
        }
    }

    /// The sockets that ended since the last call, as they were then.
    pub fn ended(&mut self, each: &mut dyn FnMut(Socket)) {
        let Some(ends) = &self.ends else { return };
        let mut count = 0;
        while count < MOST_ENDS {
            match receive(ends, &mut self.buffer, libc::MSG_DONTWAIT) {
                Ok((length, true)) => {
                    for part in parts(&self.buffer[..length], 0) {
                        count += 1;
                        match part {
                            Some(part) => {
                                if let Message::Socket(socket) = part.message {
                                    each(socket);
                                }
                            }
                            None => self.faults.malformed += 1,
                        }
                    }
                }
                Ok((_, false)) => self.faults.malformed += 1,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.faults.lost += 1,
                Err(_) => return,
            }
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: socket has no preconditions; the descriptor, if any, is new and owned by nobody else.
    unsafe {
        let socket = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG);
        if socket < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(socket)) }
    }
}

/// Joins the groups of sockets that end.
fn listen(socket: OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: an all-zero sockaddr_nl is valid: port chosen by the kernel, no groups.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    // SAFETY: `address` is a sockaddr_nl and the length is its own.
    let bound = unsafe {
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length)
    };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    if option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &KEPT).is_err() {
        option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &KEPT)?;
    }
    for group in DESTROY_GROUPS {
        option(&socket, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)?;
    }
    Ok(socket)
}

fn option<T>(socket: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value is there and its size is given.
    let result = unsafe {
        let length = size_of::<T>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The length of what came, and whether the kernel sent it: only the kernel has port 0.
fn receive(socket: &OwnedFd, buffer: &mut [u8], flags: libc::c_int) -> io::Result<(usize, bool)> {
    loop {
        // SAFETY: an all-zero sockaddr_nl is a valid place to write the sender to.
        let mut sender: libc::sockaddr_nl = unsafe { zeroed() };
        let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the buffer and the address are ours and their sizes are given.
        let received = unsafe {
            let sender = (&raw mut sender).cast();
            libc::recvfrom(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags, sender, &mut length)
        };
        match usize::try_from(received) {
            Ok(received) => return Ok((received, sender.nl_pid == 0)),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}
