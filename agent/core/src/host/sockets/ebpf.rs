//! Loads the programs of `sockets.bpf.c` and attaches them, most to the root of cgroup v2.

use std::fs::{self, File};
use std::io;

use super::super::bpf::{Programs, Ring};
use super::record::{Kind, Record};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sockets.bpf.o"));
const STATES: (&str, &str) = ("on_state", "inet_sock_set_state");
/// Linux 6.3.
const USES: [(&str, &str); 2] = [("on_send", "sock_send_length"), ("on_receive", "sock_recv_length")];
const ADDRESS_HOOKS: [&str; 4] = ["on_connect4", "on_connect6", "on_sendmsg4", "on_sendmsg6"];
const SOCKET_HOOKS: [&str; 2] = ["on_create", "on_release"];
/// In the place of `USES`.
const BIND_HOOKS: [&str; 2] = ["on_bind4", "on_bind6"];
const FIND: &str = "find_holders";
const TELL: &str = "tell_holders";
/// Each tells of as many older sockets as half of the ring holds. The rest is told of when it is used.
const MOST_PASSES: u32 = 16;

/// What could be loaded.
pub struct Opened {
    pub ring: Ring,
    /// Whether it is told which process uses a socket; otherwise only who made or connected it.
    pub tells_use: bool,
    /// Whether the sockets that were there already can be gone through.
    pub iterates: bool,
    /// What is missing, a line each.
    pub lacks: Vec<String>,
}

/// Loads and attaches. `bytes` is the size of the ring: a power of two of at least a page. Without `uses` or `iterate`: as
/// on kernels that do not tell of sends and receives, or have no iterators.
pub fn open(bytes: usize, uses: bool, iterate: bool) -> io::Result<Opened> {
    let mut programs = Programs::load(OBJECT, bytes)?;
    let mut lacks = Vec::new();
    let root = cgroup_root()?;
    let told = if uses { told_of_use(&mut programs) } else { switched_off() };
    if let Err(error) = &told {
        lacks.push(format!("accepting workers and those to whom sockets are handed stay unknown: {error}"));
        for name in BIND_HOOKS {
            programs.socket_hook(name, &root)?;
        }
    }
    programs.tracepoint(STATES.0, STATES.1)?;
    for name in ADDRESS_HOOKS {
        programs.address_hook(name, &root)?;
    }
    for name in SOCKET_HOOKS {
        programs.socket_hook(name, &root)?;
    }
    let iterates = [FIND, TELL].iter().try_for_each(|name| programs.iterator(name, "task_file"));
    let iterates = if iterate { iterates } else { switched_off() };
    if let Err(error) = &iterates {
        lacks.push(format!("sockets older than the agent are looked up in /proc: {error}"));
    }
    Ok(Opened { ring: programs.ring()?, tells_use: told.is_ok(), iterates: iterates.is_ok(), lacks })
}

/// Tells of the sockets that are there already, and gives every record that the ring holds.
pub fn seed(ring: &mut Ring, mut each: impl FnMut(Record)) -> io::Result<()> {
    ring.iterate(FIND)?;
    for _ in 0..MOST_PASSES {
        ring.iterate(TELL)?;
        let mut told = false;
        while let Some(record) = ring.receive(Record::parse) {
            told |= record.kind == Kind::Seed;
            each(record);
        }
        if !told {
            break;
        }
    }
    Ok(())
}

fn switched_off() -> io::Result<()> {
    Err(io::Error::other("switched off"))
}

fn told_of_use(programs: &mut Programs) -> io::Result<()> {
    USES.iter().try_for_each(|(name, tracepoint)| programs.tracepoint(name, tracepoint))
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
