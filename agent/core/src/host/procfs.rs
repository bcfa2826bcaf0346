//! One process as proc(5) shows it now.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::event::{Identity, Image, NO_LOGIN, command_line};

/// As many bytes of arguments as the eBPF programs keep.
pub const ARGS_MAX: usize = 4096;

/// What could be read of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub name: String,
    pub parent_pid: u32,
    /// Nanoseconds of CLOCK_BOOTTIME, in steps of a clock tick.
    pub start: u64,
    pub identity: Option<Identity>,
    pub image: Image,
}

/// A mounted proc(5), and where the cgroup v2 tree is mounted.
#[derive(Debug)]
pub struct Procfs {
    root: PathBuf,
    cgroups: Option<PathBuf>,
    tick_ns: u64,
}

impl Procfs {
    /// Looks for the cgroup tree in `root`/self/mounts.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let mounts = fs::read_to_string(root.join("self/mounts")).unwrap_or_default();
        let cgroups = mounts.lines().map(|line| line.split(' ')).find_map(|mut fields| {
            let (at, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(at))
        });
        // SAFETY: sysconf has no preconditions.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Self { root, cgroups, tick_ns: 1_000_000_000 / u64::try_from(ticks).unwrap_or(100).max(1) }
    }

    /// Process ids, in no order.
    pub fn pids(&self) -> impl Iterator<Item = u32> + use<> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// The process; None if it is gone. What vanishes first is read first.
    pub fn read(&self, pid: u32) -> Option<Snapshot> {
        let image = self.image(pid);
        let stat = read_some(&self.folder(pid).join("stat"), 4096)?;
        let (name, parent_pid, ticks) = parse_stat(&String::from_utf8_lossy(&stat))?;
        Some(Snapshot {
            name,
            parent_pid,
            start: ticks.saturating_mul(self.tick_ns),
            identity: self.identity(pid),
            image,
        })
    }

    /// Nanoseconds as whole clock ticks.
    pub fn ticks(&self, nanoseconds: u64) -> u64 {
        nanoseconds / self.tick_ns
    }

    /// When the process was created, nanoseconds of CLOCK_BOOTTIME in steps of a tick; None if it is gone.
    pub fn start(&self, pid: u32) -> Option<u64> {
        let stat = read_some(&self.folder(pid).join("stat"), 4096)?;
        parse_stat(&String::from_utf8_lossy(&stat)).map(|(_, _, ticks)| ticks.saturating_mul(self.tick_ns))
    }

    /// The program of a process, as far as it can be read. Kernel threads and zombies have none.
    pub fn image(&self, pid: u32) -> Image {
        let folder = self.folder(pid);
        let arguments = read_some(&folder.join("cmdline"), ARGS_MAX + 1).unwrap_or_default();
        let executable = link(&folder.join("exe"));
        Image {
            args_unknown: arguments.is_empty(),
            args_truncated: arguments.len() > ARGS_MAX,
            command_line: command_line(&arguments[..arguments.len().min(ARGS_MAX)]),
            executable_unknown: executable.is_empty(),
            executable,
            working_directory: link(&folder.join("cwd")),
        }
    }

    /// Whom the process runs as; None if it is gone.
    fn identity(&self, pid: u32) -> Option<Identity> {
        let folder = self.folder(pid);
        let status = read_some(&folder.join("status"), 16_384)?;
        let (uid, euid, gid) = parse_status(&String::from_utf8_lossy(&status))?;
        let login_uid = fs::read_to_string(folder.join("loginuid")).ok();
        let login_uid = login_uid.and_then(|text| text.trim().parse().ok()).unwrap_or(NO_LOGIN);
        Some(Identity { uid, euid, gid, login_uid, cgroup: self.cgroup(&folder).unwrap_or(0) })
    }

    /// The id of a cgroup is the inode number of its folder (kernfs, 64-bit machines).
    fn cgroup(&self, folder: &Path) -> Option<u64> {
        let groups = fs::read_to_string(folder.join("cgroup")).ok()?;
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        Some(fs::metadata(self.cgroups.as_ref()?.join(path)).ok()?.ino())
    }

    fn folder(&self, pid: u32) -> PathBuf {
        self.root.join(pid.to_string())
    }
}

fn link(path: &Path) -> String {
    fs::read_link(path)
        .map_or_else(|_| String::new(), |path| String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned())
}

fn read_some(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path).ok()?.take(limit as u64).read_to_end(&mut content).ok()?;
    Some(content)
}

/// comm, ppid and starttime (field 22). The name is in brackets and may contain brackets and spaces itself.
fn parse_stat(stat: &str) -> Option<(String, u32, u64)> {
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(begin + 1..end)?;
    let mut fields = stat[end + 1..].split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    Some((name.to_owned(), parent, fields.nth(17)?.parse().ok()?))
}

/// Real and effective uid, real gid.
fn parse_status(status: &str) -> Option<(u32, u32, u32)> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::split_ascii_whitespace);
    let mut uids = field("Uid:")?;
    let gid = field("Gid:")?.next()?.parse().ok()?;
    Some((uids.next()?.parse().ok()?, uids.next()?.parse().ok()?, gid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_this_process() {
        let procfs = Procfs::new("/proc");
        let me = procfs.read(std::process::id()).expect("this process");
        assert_eq!(me.image.executable, std::env::current_exe().expect("known").to_string_lossy());
        assert_eq!(me.image.working_directory, std::env::current_dir().expect("known").to_string_lossy());
        assert_eq!(me.image.command_line, std::env::args().collect::<Vec<_>>().join(" "));
        assert_eq!(me.parent_pid, std::os::unix::process::parent_id());
        assert_eq!(procfs.start(std::process::id()), Some(me.start));
        assert!(me.start > 0 && me.identity.is_some());
        assert!(procfs.pids().any(|pid| pid == std::process::id()));
    }

    #[test]
    fn a_process_that_is_gone_is_none() {
        assert_eq!(Procfs::new("/proc").read(u32::MAX), None);
        assert_eq!(Procfs::new("/proc").image(u32::MAX), Image::unknown());
    }

    #[test]
    fn a_name_may_hold_brackets() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 0 0";
        assert_eq!(parse_stat(stat), Some(("a) b (c".into(), 3, 1234)));
    }

    proptest! {
        #[test]
        fn never_panics(content in ".{0,200}") {
            let _ = parse_stat(&content);
            let _ = parse_status(&content);
        }
    }
}
