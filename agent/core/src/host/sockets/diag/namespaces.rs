//! The network namespaces whose sockets can be asked for: the agent's own, those of other processes, and those that
//! ip-netns(8) names.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustc_hash::{FxHashMap, FxHashSet};

use super::netlink::{Faults, Netlink};

/// Namespaces that are asked at most, each with two sockets of ours.
const MOST: usize = 256;
/// Where ip-netns(8) keeps names.
const NAMES: &str = "/run/netns";

/// Open namespaces.
pub struct Namespaces {
    proc: PathBuf,
    open: Vec<(u64, Netlink)>,
    /// Those that we may not enter, or that are too many.
    refused: FxHashSet<u64>,
    /// Faults of those that are gone.
    past: Faults,
}

impl Namespaces {
    /// The agent's own. `proc` is a mounted proc(5).
    pub fn open(proc: &Path) -> io::Result<Self> {
        let own = fs::metadata(proc.join("self/ns/net")).map_or(0, |namespace| namespace.ino());
        let open = vec![(own, Netlink::here()?)];
        Ok(Self { proc: proc.to_owned(), open, refused: FxHashSet::default(), past: Faults::default() })
    }

    /// Enters those that are new and leaves those that are gone. `seen`: a process in each.
    pub fn refresh(&mut self, seen: &FxHashMap<u64, u32>) {
        let named = fs::read_dir(NAMES).into_iter().flatten().flatten().map(|entry| entry.path());
        let named = named.filter_map(|path| Some((fs::metadata(&path).ok()?.ino(), path)));
        let processes = seen.iter().map(|(inode, pid)| (*inode, self.proc.join(pid.to_string()).join("ns/net")));
        let there: FxHashMap<u64, PathBuf> = named.chain(processes).collect();
        let (stay, gone) =
            self.open.drain(..).enumerate().partition(|(index, (inode, _))| *index == 0 || there.contains_key(inode));
        let stay: Vec<(usize, (u64, Netlink))> = stay;
        let gone: Vec<(usize, (u64, Netlink))> = gone;
        self.open = stay.into_iter().map(|(_, open)| open).collect();
        for (_, (_, netlink)) in gone {
            self.past = sum(self.past, netlink.faults);
        }
        self.refused.retain(|inode| there.contains_key(inode));
        for (inode, path) in there {
            if self.refused.contains(&inode) || self.open.iter().any(|(known, _)| *known == inode) {
                continue;
            }
            match enter(&path, inode) {
                Ok(netlink) if self.open.len() < MOST => self.open.push((inode, netlink)),
                // It ended meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => drop(self.refused.insert(inode)),
            }
        }
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Netlink> {
        self.open.iter_mut().map(|(_, netlink)| netlink)
    }

    /// Whether the kernel tells everywhere when a socket ends.
    pub fn hear_ends(&self) -> bool {
        self.open.iter().all(|(_, netlink)| netlink.hears_ends())
    }

    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Namespaces whose sockets are not seen.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Of all, also of those that are gone.
    pub fn faults(&self) -> Faults {
        self.open.iter().fold(self.past, |all, (_, netlink)| sum(all, netlink.faults))
    }
}

/// Opens sockets inside of a namespace. The calling thread stays where it is.
pub fn enter(path: &Path, inode: u64) -> io::Result<Netlink> {
    let file = File::open(path)?;
    if inode != 0 && file.metadata()?.ino() != inode {
        return Err(io::Error::new(io::ErrorKind::NotFound, "another process has this id by now"));
    }
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            // SAFETY: a system call on a descriptor that is open; it changes only the calling thread.
            if unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } < 0 {
                return Err(io::Error::last_os_error());
            }
            Netlink::here()
        });
        there.join().unwrap_or_else(|_| Err(io::Error::other("the thread that enters the namespace failed")))
    })
}

fn sum(one: Faults, other: Faults) -> Faults {
    Faults {
        interrupted: one.interrupted + other.interrupted,
        failed: one.failed + other.failed,
        malformed: one.malformed + other.malformed,
        lost: one.lost + other.lost,
    }
}
