//! Packet sockets (packet(7)): the system calls that a ring needs, each with an error that names the interface.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::thread;

use super::LinkType;

/// Where named network namespaces are mounted (ip-netns(8)).
const NAMESPACES: &str = "/run/netns";

/// An interface, as it was when the socket was opened.
#[derive(Debug)]
pub struct Interface {
    pub name: String,
    pub index: c_int,
    /// Frames have an Ethernet header. Those of tunnels and point-to-point links begin with the network layer.
    pub ethernet: bool,
    pub loopback: bool,
}

impl Interface {
    pub fn link(&self) -> LinkType {
        if self.ethernet { LinkType::Ethernet } else { LinkType::RawIp }
    }

    /// An error of the system with the interface in front.
    pub fn error(&self, what: &str, error: io::Error) -> io::Error {
        named(&self.name, what, error)
    }

    /// An error that arrived on the bound socket.
    pub fn lost(&self, socket: &OwnedFd, error: io::Error) -> io::Error {
        let what = match request(socket, libc::SIOCGIFINDEX as _, &self.name) {
            Ok(now) if index(&now) == self.index => "went down",
            _ => "vanished",
        };
        self.error(what, error)
    }
}

fn named(interface: &str, what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("interface {interface}: {what}: {error}"))
}

/// A packet socket that does not listen yet, and the interface it is meant for.
pub struct Opened {
    pub socket: OwnedFd,
    pub interface: Interface,
}

/// Opens a socket in a network namespace (`""`: this one). The calling thread stays where it is.
pub fn open(interface: &str, namespace: &str) -> io::Result<Opened> {
    if namespace.is_empty() {
        return open_here(interface);
    }
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            enter(namespace)?;
            open_here(interface)
        });
        there.join().unwrap_or_else(|_| Err(io::Error::other("the thread that enters the network namespace failed")))
    })
}

/// Moves the calling thread into a network namespace.
pub fn enter(namespace: &str) -> io::Result<()> {
    let fail = |error: io::Error| io::Error::new(error.kind(), format!("network namespace {namespace}: {error}"));
    if namespace.contains('/') || namespace == "." || namespace == ".." {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "give a name under /run/netns, not a path")));
    }
    let file = File::open(Path::new(NAMESPACES).join(namespace)).map_err(fail)?;
    // SAFETY: a system call on a descriptor that is open; it changes only the calling thread.
    done(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }).map_err(fail)
}

fn open_here(name: &str) -> io::Result<Opened> {
    let probe = packet_socket(libc::SOCK_RAW).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            named(name, "packets may not be captured; run as root or with CAP_NET_RAW", error)
        }
        _ => named(name, "packets cannot be captured", error),
    })?;
    let there = |error: io::Error| match error.raw_os_error() {
        Some(libc::ENODEV) => {
            io::Error::new(io::ErrorKind::NotFound, format!("interface {name}: there is no such interface"))
        }
        _ => named(name, "cannot be looked up", error),
    };
    let index = index(&request(&probe, libc::SIOCGIFINDEX as _, name).map_err(there)?);
    let hardware = request(&probe, libc::SIOCGIFHWADDR as _, name).map_err(there)?;
    // SAFETY: SIOCGIFHWADDR filled in this member; its family is the hardware type.
    let hardware = unsafe { hardware.ifr_ifru.ifru_hwaddr.sa_family };
    let loopback = hardware == libc::ARPHRD_LOOPBACK;
    let ethernet = loopback || hardware == libc::ARPHRD_ETHER;
    let socket = if ethernet {
        probe
    } else {
        // "Cooked": the kernel takes whatever link header there is off.
        packet_socket(libc::SOCK_DGRAM).map_err(|error| named(name, "packets cannot be captured", error))?
    };
    Ok(Opened { socket, interface: Interface { name: name.to_owned(), index, ethernet, loopback } })
}

/// A packet socket with protocol 0, which receives nothing until `bind`.
fn packet_socket(kind: c_int) -> io::Result<OwnedFd> {
    // SAFETY: a system call without pointers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) };
    done(socket)?;
    // SAFETY: a descriptor that the call above has just made and nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(socket as RawFd) })
}

/// An interface request (netdevice(7)) by name.
fn request(socket: &OwnedFd, number: libc::Ioctl, name: &str) -> io::Result<libc::ifreq> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.bytes().any(|byte| byte == 0) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: the structure is made of integers and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as _;
    }
    // SAFETY: the requests used here read and write one `ifreq`, which outlives the call.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), number, &mut request) })?;
    Ok(request)
}

fn index(request: &libc::ifreq) -> c_int {
    // SAFETY: only called on the answer to SIOCGIFINDEX, which is an integer.
    unsafe { request.ifr_ifru.ifru_ifindex }
}

/// Attaches a classic BPF program.
pub fn attach_filter(socket: &OwnedFd, program: &[libc::sock_filter]) -> io::Result<()> {
    // The kernel copies the program and does not write to it, although the field is not const.
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Receives the frames of all stations on the interface, for as long as the socket is open.
pub fn promiscuous(socket: &OwnedFd, index: c_int) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Begins to receive every protocol of one interface.
pub fn bind(socket: &OwnedFd, index: c_int) -> io::Result<()> {
    // SAFETY: the structure is made of integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address outlives the call and has the length that is given.
    done(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })
}

/// Sets a socket option. `T` must be the plain C structure that the option takes.
pub fn set<T: Copy>(socket: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value: *const T = value;
    // SAFETY: the value outlives the call and has the length that is given.
    done(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast(), length) })
}

/// Gets a socket option. `T` must be the plain C structure of integers that the option gives.
pub fn get<T: Copy>(socket: &OwnedFd, level: c_int, option: c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a value of that size.
    done(unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value.as_mut_ptr().cast(), &mut length) })?;
    // SAFETY: integers only, as the documentation demands; what the kernel did not write is zero.
    Ok(unsafe { value.assume_init() })
}

/// The error that waits on a socket, if any; asking takes it off.
pub fn pending_error(socket: &OwnedFd) -> io::Result<Option<io::Error>> {
    let code: c_int = get(socket, libc::SOL_SOCKET, libc::SO_ERROR)?;
    Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
}

/// Waits until a socket has something to read or to complain about; returns the events of poll(2).
pub fn wait(socket: &OwnedFd, timeout_ms: c_int) -> io::Result<i16> {
    let mut waiting = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which outlives the call.
    done(unsafe { libc::poll(&mut waiting, 1, timeout_ms) })?;
    Ok(waiting.revents)
}

fn done(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
