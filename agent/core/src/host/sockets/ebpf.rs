//! Loads the programs of `sockets.bpf.c` and attaches them, most to the root of cgroup v2.

use std::fs::{self, File};
use std::io;

use super::super::bpf::{Programs, Ring};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sockets.bpf.o"));
const TRACEPOINTS: [(&str, &str); 3] =
    [("on_send", "sock_send_length"), ("on_receive", "sock_recv_length"), ("on_state", "inet_sock_set_state")];
const ADDRESS_HOOKS: [&str; 4] = ["on_connect4", "on_connect6", "on_sendmsg4", "on_sendmsg6"];
const SOCKET_HOOKS: [&str; 2] = ["on_create", "on_release"];

/// Loads and attaches. `bytes` is the size of the ring: a power of two of at least a page.
pub fn open(bytes: usize) -> io::Result<Ring> {
    let mut programs = Programs::load(OBJECT, bytes)?;
    let root = cgroup_root()?;
    for (name, tracepoint) in TRACEPOINTS {
        programs.tracepoint(name, tracepoint)?;
    }
    for name in ADDRESS_HOOKS {
        programs.address_hook(name, &root)?;
    }
    for name in SOCKET_HOOKS {
        programs.socket_hook(name, &root)?;
    }
    programs.ring()
}

/// The root of the cgroup v2 tree. Hooks there see every process of the host.
fn cgroup_root() -> io::Result<File> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let root = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| at.to_owned())
    });
    let Some(root) = root else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 tree is mounted"));
    };
    File::open(&root).map_err(|error| io::Error::new(error.kind(), format!("{root}: {error}")))
}
