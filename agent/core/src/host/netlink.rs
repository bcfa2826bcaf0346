//! A netlink socket on which the kernel speaks one message per datagram: netlink(7).

use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::wait;

/// linux/sock_diag.h: SK_MEMINFO_DROPS, the last of nine words.
const MEMINFO_DROPS: usize = 8;

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    overruns: u64,
    foreign: u64,
}

impl Socket {
    /// `groups` is the bit mask to listen to, `buffer` the size of the receive buffer in bytes, and `filter` a classic
    /// BPF program (linux/filter.h) that is there before the first message.
    pub fn open(protocol: libc::c_int, groups: u32, buffer: usize, filter: &[libc::sock_filter]) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket has no preconditions; the descriptor, if any, is new and owned by nobody else.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_NETLINK, kind, protocol);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let size = i32::try_from(buffer).unwrap_or(i32::MAX);
        // Past net.core.rmem_max with CAP_NET_ADMIN; without it, as much as that allows.
        if set_option(&fd, libc::SO_RCVBUFFORCE, &size).is_err() {
            set_option(&fd, libc::SO_RCVBUF, &size)?;
        }
        if !filter.is_empty() {
            let length = u16::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            // The kernel copies the program and does not write to it.
            let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
            set_option(&fd, libc::SO_ATTACH_FILTER, &program)?;
        }
        // SAFETY: an all-zero sockaddr_nl is valid: port chosen by the kernel, no groups.
        let mut address: libc::sockaddr_nl = unsafe { zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups;
        // SAFETY: `address` is a sockaddr_nl and the length is its own.
        check(unsafe {
            libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_nl>() as libc::socklen_t)
        })?;
        Ok(Self { fd, overruns: 0, foreign: 0 })
    }

    /// Sends a message to the kernel.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and the length are those of `message`.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits for a message.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        wait::readable(&self.fd, timeout)
    }

    /// The next message of the kernel, cut to the size of `buffer`; None when nothing waits.
    pub fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let received = loop {
            // SAFETY: an all-zero sockaddr_nl is a valid place to write the sender to.
            let mut sender: libc::sockaddr_nl = unsafe { zeroed() };
            let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: the buffer and the address are ours and their sizes are given.
            let received = unsafe {
                libc::recvfrom(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut sender).cast(),
                    &mut length,
                )
            };
            match usize::try_from(received) {
                // Only the kernel has port 0; others could send to this socket too.
                Ok(received) if sender.nl_pid == 0 => break received,
                Ok(_) => self.foreign += 1,
                Err(_) => match io::Error::last_os_error().raw_os_error() {
                    Some(libc::ENOBUFS) => self.overruns += 1,
                    Some(libc::EINTR) => {}
                    _ => return None,
                },
            }
        };
        Some(&buffer[..received])
    }

    /// Messages that the kernel dropped because nobody read fast enough; kernels before 4.12 tell only of each overrun.
    pub fn lost(&self) -> u64 {
        let mut words = [0u32; MEMINFO_DROPS + 1];
        let mut length = size_of_val(&words) as libc::socklen_t;
        // SAFETY: the buffer is ours and its size is given.
        let result = unsafe {
            let words = words.as_mut_ptr().cast();
            libc::getsockopt(self.fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, words, &mut length)
        };
        let drops = if result == 0 { u64::from(words[MEMINFO_DROPS]) } else { 0 };
        drops.max(self.overruns)
    }

    /// Messages that others than the kernel sent.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A filter that lets pass what has one of `values` as the word of `size` (BPF_W, BPF_H) at byte `at`, in the byte
/// order of this machine.
pub fn only(size: u32, at: u32, values: &[u32]) -> Vec<libc::sock_filter> {
    let statement = |code: u32, jt: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    // Classic BPF reads big-endian.
    let swapped = |value: u32| if size == libc::BPF_H { u32::from((value as u16).to_be()) } else { value.to_be() };
    let mut program = vec![statement(libc::BPF_LD | size | libc::BPF_ABS, 0, at)];
    for (index, value) in values.iter().enumerate() {
        let jump = (values.len() - index) as u8;
        program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jump, swapped(*value)));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0));
    program.push(statement(libc::BPF_RET | libc::BPF_K, 0, u32::MAX));
    program
}

fn set_option<T>(fd: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `value`.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(value).cast(), length)
    })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
