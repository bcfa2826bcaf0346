//! Which processes hold a socket: the links of `/proc/PID/fd` (proc(5)).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

/// Links that are read in one walk. Beyond, nobody can say who else holds a socket.
const MOST_LINKS: usize = 1 << 20;
/// Processes that are kept for one socket: more than one is a doubt, however many there are.
const MOST_HOLDERS: usize = 64;
/// Between fork and exec a child holds everything that its parent does; so long that takes.
const BETWEEN_FORK_AND_EXEC: Duration = Duration::from_millis(4);

/// Who was seen to hold what.
#[derive(Debug, Default)]
pub struct Walk {
    /// Processes by the inode of the socket.
    pub holders: FxHashMap<u32, Vec<u32>>,
    /// One process in each network namespace, by its inode.
    pub namespaces: FxHashMap<u64, u32>,
    /// Processes into which we may not look.
    pub refused: u64,
    /// There were too many links.
    pub cut: bool,
}

impl Walk {
    /// Looks at the descriptors of all processes. `wanted`: inodes of sockets, the others do not matter.
    pub fn new(proc: &Path, wanted: &FxHashSet<u32>) -> Self {
        let mut walk = Self::default();
        let Ok(root) = open_at(libc::AT_FDCWD, &c_path(proc)) else { return walk };
        let mut links = 0;
        names(&root, |name| {
            let Some(pid) = number(name) else { return true };
            let Ok(folder) = open_at(root.as_raw_fd(), name) else { return true };
            if let Some(inode) = linked(&folder, c"ns/net").and_then(|link| inside(&link, b"net:[")) {
                walk.namespaces.entry(inode).or_insert(pid);
            }
            match sockets(&folder, &mut links, |inode| {
                if wanted.contains(&inode) {
                    let holders = walk.holders.entry(inode).or_default();
                    if holders.last() != Some(&pid) && holders.len() < MOST_HOLDERS {
                        holders.push(pid);
                    }
                }
            }) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => walk.refused += 1,
                _ => {}
            }
            walk.cut = links >= MOST_LINKS;
            !walk.cut
        });
        walk
    }

    /// Looks once more at those who hold one socket together, unless that is `settled` already: a child that has not
    /// run its program yet is no owner.
    pub fn confirm(&mut self, proc: &Path, settled: impl Fn(u32) -> bool) {
        let doubted: Vec<u32> =
            self.holders.iter().filter(|(inode, pids)| pids.len() > 1 && !settled(**inode)).map(|(i, _)| *i).collect();
        if doubted.is_empty() {
            return;
        }
        thread::sleep(BETWEEN_FORK_AND_EXEC);
        let pids: FxHashSet<u32> = doubted.iter().flat_map(|inode| self.holders[inode].iter().copied()).collect();
        let mut held: FxHashSet<(u32, u32)> = FxHashSet::default();
        let mut links = 0;
        for pid in pids {
            let Ok(folder) = open_at(libc::AT_FDCWD, &c_path(&proc.join(pid.to_string()))) else { continue };
            // A process that is gone holds nothing.
            let _ = sockets(&folder, &mut links, |inode| {
                held.insert((pid, inode));
            });
        }
        for inode in doubted {
            if let Some(pids) = self.holders.get_mut(&inode) {
                // All gone, or handed on meanwhile: the doubt stays.
                if pids.iter().any(|pid| held.contains(&(*pid, inode))) {
                    pids.retain(|pid| held.contains(&(*pid, inode)));
                }
            }
        }
    }
}

/// The inodes of the sockets that a process has open; `folder` is its own in proc(5).
fn sockets(folder: &OwnedFd, links: &mut usize, mut each: impl FnMut(u32)) -> io::Result<()> {
    let descriptors = open_at(folder.as_raw_fd(), c"fd")?;
    names(&descriptors, |name| {
        *links += 1;
        let link = linked(&descriptors, name);
        if let Some(inode) = link.and_then(|link| inside(&link, b"socket:[")).and_then(|inode| inode.try_into().ok()) {
            each(inode);
        }
        *links < MOST_LINKS
    });
    Ok(())
}

/// The number in `name[number]`.
fn inside(link: &[u8], before: &[u8]) -> Option<u64> {
    std::str::from_utf8(link.strip_prefix(before)?.strip_suffix(b"]")?).ok()?.parse().ok()
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok().filter(|name| name.as_bytes()[0].is_ascii_digit())?.parse().ok()
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn open_at(folder: libc::c_int, name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the name ends with NUL; the descriptor, if any, is new and owned by nobody else.
    unsafe {
        let opened = libc::openat(folder, name.as_ptr(), flags);
        if opened < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(opened)) }
    }
}

fn linked(folder: &OwnedFd, name: &CStr) -> Option<Vec<u8>> {
    // Longer than all that is looked for here.
    let mut link = [0; 64];
    // SAFETY: the name ends with NUL, the buffer is ours and its size is given.
    let length = unsafe { libc::readlinkat(folder.as_raw_fd(), name.as_ptr(), link.as_mut_ptr().cast(), link.len()) };
    usize::try_from(length).ok().map(|length| link[..length].to_vec())
}

/// Calls for every entry of a folder but `.` and `..`, until it says false. getdents64(2): u64 inode, u64 offset,
/// u16 length, u8 type, name.
fn names(folder: &OwnedFd, mut each: impl FnMut(&CStr) -> bool) {
    let mut buffer = [0_u8; 8192];
    loop {
        // SAFETY: the buffer is ours and its size is given.
        let read =
            unsafe { libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
        let Some(read) = usize::try_from(read).ok().filter(|read| *read > 0) else { return };
        let mut entries = buffer.get(..read).unwrap_or_default();
        while let Some(length) = entries.get(16..18).map(|at| usize::from(u16::from_ne_bytes([at[0], at[1]]))) {
            let Some((entry, rest)) = entries.split_at_checked(length.max(19)) else { return };
            entries = rest;
            let Ok(name) = CStr::from_bytes_until_nul(&entry[19..]) else { continue };
            if !name.to_bytes().is_empty() && !name.to_bytes().starts_with(b".") && !each(name) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::AsRawFd;

    fn inode(socket: &impl AsRawFd) -> u32 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("open");
        inside(link.as_os_str().as_bytes(), b"socket:[").expect("a socket").try_into().expect("32 bits")
    }

    #[test]
    fn our_own_sockets_are_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let other = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let wanted = FxHashSet::from_iter([inode(&listener)]);
        let mut walk = Walk::new(Path::new("/proc"), &wanted);
        walk.confirm(Path::new("/proc"), |_| false);
        assert_eq!(walk.holders.get(&inode(&listener)), Some(&vec![std::process::id()]));
        assert!(!walk.holders.contains_key(&inode(&other)), "not wanted");
        let ours = std::fs::read_link("/proc/self/ns/net").expect("readable");
        let ours = inside(ours.as_os_str().as_bytes(), b"net:[").expect("a namespace");
        assert!(walk.namespaces.contains_key(&ours) && !walk.cut);
    }

    #[test]
    fn what_is_no_socket_is_none() {
        assert_eq!(inside(b"socket:[77]", b"socket:["), Some(77));
        for odd in [&b"socket:[x]"[..], b"socket:[7", b"pipe:[7]", b"", b"socket:[99999999999999999999]"] {
            assert_eq!(inside(odd, b"socket:["), None);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        assert!(Walk::new(Path::new("/proc/self/nowhere"), &FxHashSet::default()).namespaces.is_empty());
    }
}
