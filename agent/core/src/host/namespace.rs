//! A network namespace: its cookie and its own addresses, by rtnetlink(7).

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use crate::capture;

/// Addresses are asked for again at most so often.
const FRESH: Duration = Duration::from_secs(1);
/// asm-generic/socket.h; Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;
/// linux/rtnetlink.h
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

pub struct Namespace {
    /// As ip-netns(8) has it; empty: the agent's own.
    pub name: String,
    pub inode: u64,
    socket: OwnedFd,
    /// See [`cookie`].
    pub cookie: u64,
    addresses: FxHashSet<[u8; 16]>,
    asked: Option<Instant>,
}

impl Namespace {
    /// A namespace as ip-netns(8) names it; `""`: this one. The calling thread stays where it is.
    pub fn open(name: &str) -> io::Result<Self> {
        if name.is_empty() {
            return Self::here(name);
        }
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                capture::enter(name)?;
                Self::here(name)
            });
            there.join().unwrap_or_else(|_| Err(io::Error::other("the thread that enters the namespace failed")))
        })
    }

    fn here(name: &str) -> io::Result<Self> {
        // SAFETY: a system call without pointers.
        let socket =
            unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that the call above has just made and nobody else owns.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let cookie = cookie(&socket);
        let (name, inode) = (name.to_owned(), fs::metadata("/proc/thread-self/ns/net")?.ino());
        Ok(Self { name, inode, socket, cookie, addresses: FxHashSet::default(), asked: None })
    }

    /// Whether an address is one of the namespace's own.
    pub fn has(&mut self, address: &[u8; 16]) -> bool {
        if self.addresses.contains(address) || address[..13] == LOOPBACK {
            return true;
        }
        if self.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return false;
        }
        self.asked = Some(Instant::now());
        // What cannot be asked for now is not known to be ours.
        let _ = self.ask();
        self.addresses.contains(address)
    }

    fn ask(&mut self) -> io::Result<()> {
        // struct nlmsghdr, then struct ifaddrmsg: all families, all interfaces.
        let mut request = [0_u8; 24];
        request[0..4].copy_from_slice(&24_u32.to_ne_bytes());
        request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
        request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
        // SAFETY: the buffer outlives the call and has the length that is given.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        self.addresses.clear();
        let mut buffer = vec![0_u8; 32_768];
        loop {
            // SAFETY: as above; the kernel answers a dump at once.
            let read = unsafe {
                libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
            };
            let Ok(read) = usize::try_from(read) else { return Err(io::Error::last_os_error()) };
            if take(&buffer[..read], &mut self.addresses) || read == 0 {
                return Ok(());
            }
        }
    }
}

/// The cookie of the network namespace of a socket that the calling thread has made. Before Linux 5.14 nobody tells it;
/// the inode of the namespace stands for it then.
pub fn cookie(socket: &OwnedFd) -> u64 {
    let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: the kernel writes at most `length` bytes into an integer of that size.
    let result = unsafe {
        let to = (&raw mut cookie).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_NETNS_COOKIE, to, &mut length)
    };
    if result < 0 {
        return fs::metadata("/proc/thread-self/ns/net").map_or(0, |namespace| namespace.ino());
    }
    cookie
}

/// 127.0.0.0/8, mapped.
const LOOPBACK: [u8; 13] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127];

/// Adds the addresses of the messages; true if they end the dump.
fn take(mut messages: &[u8], addresses: &mut FxHashSet<[u8; 16]>) -> bool {
    while let Some((message, rest)) = next(messages, 4, |at| u32::from_ne_bytes([at[0], at[1], at[2], at[3]]) as usize)
    {
        messages = rest;
        let Some(kind) = message.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]])) else { return true };
        if kind != RTM_NEWADDR {
            return true;
        }
        let Some(mut attributes) = message.get(24..) else { continue };
        while let Some((attribute, rest)) = next(attributes, 4, |at| usize::from(u16::from_ne_bytes([at[0], at[1]]))) {
            attributes = rest;
            let kind = u16::from_ne_bytes([attribute[2], attribute[3]]);
            // Of a point-to-point interface IFA_ADDRESS is the peer's, and IFA_LOCAL is given besides.
            match (kind, &attribute[4..]) {
                (IFA_LOCAL, [a, b, c, d]) => {
                    addresses.insert([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, *a, *b, *c, *d]);
                }
                (IFA_LOCAL | IFA_ADDRESS, six) => {
                    if let Ok(six) = <[u8; 16]>::try_from(six) {
                        addresses.insert(six);
                    }
                }
                _ => {}
            }
        }
    }
    false
}

/// Splits the first thing off that says its own length, which is padded to 4 bytes (netlink(7)).
fn next(bytes: &[u8], least: usize, length: impl Fn(&[u8]) -> usize) -> Option<(&[u8], &[u8])> {
    let length = length(bytes.get(..least)?);
    if length < least {
        return None;
    }
    let thing = bytes.get(..length)?;
    Some((thing, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_ours_and_documentation_is_not() {
        let mut here = Namespace::open("").expect("netlink");
        assert!(here.has(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]));
        assert!(!here.has(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 77]));
    }

    #[test]
    fn broken_answers_end() {
        let mut addresses = FxHashSet::default();
        let mut message = vec![0; 40];
        message[0] = 40;
        message[4] = 20;
        message[24] = 8;
        message[26] = 2;
        message[28..32].copy_from_slice(&[10, 0, 0, 1]);
        for length in 0..message.len() {
            take(&message[..length], &mut addresses);
        }
        assert!(addresses.is_empty());
        assert!(!take(&message, &mut addresses), "the rest of the message is padding");
        assert_eq!(addresses.len(), 1);
    }
}
