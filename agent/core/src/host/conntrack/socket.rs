//! Sockets of ctnetlink: one that hears of entries, one that asks for them.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::super::wait;
use super::message::{CTA_STATUS, HEADERS, IPS_DST_NAT, IPS_SRC_NAT, Message, dump_request, parse};

/// linux/netfilter/nfnetlink_compat.h: the groups of NFNLGRP_CONNTRACK_NEW and NFNLGRP_CONNTRACK_DESTROY as bits.
const GROUPS: u32 = 1 | 4;
/// Room for some thousands of events, which wait while nobody reads.
const BUFFER: libc::c_int = 4 << 20;
/// The kernel answers a dump at once; this is for a machine that stands still.
const PATIENCE: Duration = Duration::from_secs(2);
/// linux/filter.h: SKF_AD_OFF + SKF_AD_NLATTR. Finds the attribute of type X from offset A on; 0 if there is none.
const FIND_ATTRIBUTE: u32 = (-0x1000_i32 + 12) as u32;

/// What of the kernel's events cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

/// Hears of entries that come and go in the network namespace of the thread that made it, those that are translated.
pub struct Events(OwnedFd);

impl Events {
    pub fn open() -> io::Result<Self> {
        let socket = netlink(GROUPS, |socket| {
            let mut program = ONLY_TRANSLATED;
            let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
            option(socket, libc::SO_ATTACH_FILTER, &program)?;
            // Past net.core.rmem_max with CAP_NET_ADMIN, without which there are no events either.
            option(socket, libc::SO_RCVBUFFORCE, &BUFFER)
        })?;
        Ok(Self(socket))
    }

    /// Takes in what waits.
    pub fn drain(&self, buffer: &mut [u8], mut take: impl FnMut(Message)) -> Result<(), Overrun> {
        loop {
            match receive(&self.0, buffer) {
                Ok(Some(length)) => parse(&buffer[..length], &mut take),
                Ok(None) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::ENOBUFS) => return Err(Overrun),
                    _ => return Ok(()),
                },
            }
        }
    }
}

/// Gives every translated entry that there is; some of them twice.
pub fn dump(buffer: &mut [u8], mut take: impl FnMut(Message)) -> io::Result<()> {
    for status in [IPS_SRC_NAT, IPS_DST_NAT] {
        let socket = netlink(0, |_| Ok(()))?;
        let request = dump_request(status);
        // SAFETY: the pointer and the length are those of `request`.
        check(unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) } as libc::c_int)?;
        let mut done = None;
        while done.is_none() {
            match receive(&socket, buffer) {
                Ok(Some(length)) => parse(&buffer[..length], |message| match message {
                    Message::Done(code) => done = Some(code),
                    message => take(message),
                }),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait::readable(&socket, PATIENCE)?;
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(code) = done.filter(|code| *code != 0) {
            return Err(io::Error::from_raw_os_error(code));
        }
    }
    Ok(())
}

/// A socket of the network namespace of this thread; `prepare` is called before it hears of anything.
fn netlink(groups: u32, prepare: impl FnOnce(&OwnedFd) -> io::Result<()>) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: a system call without pointers.
    let socket = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_NETFILTER) })?;
    // SAFETY: a descriptor that the call above has just made and nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    prepare(&socket)?;
    // SAFETY: an all-zero sockaddr_nl is valid.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = groups;
    let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `address`.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

/// A datagram of the kernel: its length; None if somebody else sent it.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: an all-zero sockaddr_nl is a valid place to write the sender to.
    let mut sender: libc::sockaddr_nl = unsafe { zeroed() };
    let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the buffer and the address are ours and their sizes are given.
    let received = unsafe {
        let (to, from) = (buffer.as_mut_ptr().cast(), (&raw mut sender).cast());
        libc::recvfrom(socket.as_raw_fd(), to, buffer.len(), 0, from, &mut length)
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok((sender.nl_pid == 0).then_some(received))
}

const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

/// Runs in the kernel before an event takes room in the socket: keeps those with a bit of NAT in CTA_STATUS, which is in
/// every event.
const ONLY_TRANSLATED: [libc::sock_filter; 9] = [
    instruction(libc::BPF_LDX | libc::BPF_IMM, 0, 0, CTA_STATUS as u32),
    instruction(libc::BPF_LD | libc::BPF_IMM, 0, 0, HEADERS as u32),
    instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FIND_ATTRIBUTE),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 4, 0, 0),
    instruction(libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0),
    // Past the header of the attribute.
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, 0, 0, 4),
    instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, IPS_SRC_NAT | IPS_DST_NAT),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
];

fn option<T>(socket: &OwnedFd, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `value`, which the kernel only reads.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw const *value).cast(), length) };
    check(result).map(|_| ())
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
