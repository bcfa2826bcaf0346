//! One process as proc(5) shows it now.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustc_hash::FxHasher;

use super::cgroup::{self, Place};
use super::event::{FileKey, Identity, Image, NO_LOGIN, Terminal, Usage};

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

/// What one read of /proc/PID/stat tells, to see whether anything changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// As ps(1) shows it: `S`, `Z`, ...
    pub state: u8,
    pub parent_pid: u32,
    pub threads: u64,
    /// Nanoseconds of CLOCK_BOOTTIME, in steps of a clock tick.
    pub start: u64,
    /// Where the program and its stack lie, which an exec changes and hardly anything else; where that is secret, the
    /// command name.
    pub mark: u64,
    /// Of a zombie, as wait(2) gives it; None where it is secret.
    pub status: Option<u32>,
}

/// What audit does not tell of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    pub start: u64,
    pub identity: Identity,
    pub file: Option<FileKey>,
    /// Effective capabilities that the parent has not.
    pub capabilities_gained: u64,
}

/// A mounted proc(5), and where the trees of cgroups are mounted.
#[derive(Debug)]
pub struct Procfs {
    root: PathBuf,
    cgroups: Option<PathBuf>,
    /// cgroup v1: the tree of the memory controller.
    memory: Option<PathBuf>,
    /// There is a tree of cgroup v1.
    version_1: bool,
    tick_ns: u64,
}

impl Procfs {
    /// Looks for the cgroup tree in `root`/self/mounts.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let mounts = fs::read_to_string(root.join("self/mounts")).unwrap_or_default();
        let mounted = |kind: &str, option: &str| {
            mounts.lines().find_map(|line| {
                let mut fields = line.split(' ');
                let (at, found, options) = (fields.nth(1)?, fields.next()?, fields.next()?);
                (found == kind && (option.is_empty() || options.split(',').any(|one| one == option)))
                    .then(|| PathBuf::from(at))
            })
        };
        let (cgroups, memory) = (mounted("cgroup2", ""), mounted("cgroup", "memory"));
        let version_1 = mounted("cgroup", "").is_some();
        // SAFETY: sysconf has no preconditions.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Self { root, cgroups, memory, version_1, tick_ns: 1_000_000_000 / u64::try_from(ticks).unwrap_or(100).max(1) }
    }

    /// Process ids, in no order.
    pub fn pids(&self) -> impl Iterator<Item = u32> + use<> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// The process; None if it is gone. What vanishes first is read first.
    pub fn read(&self, pid: u32) -> Option<Snapshot> {
        let mut image = self.image(pid);
        let stat = read_some(&self.folder(pid).join("stat"), 4096)?;
        let stat = parse_stat(&String::from_utf8_lossy(&stat))?;
        let identity = self.identity(pid).map(|identity| Identity { session: stat.session, tty: stat.tty, ..identity });
        if let Some(identity) = identity {
            // What can only be guessed when one comes later: the bits of the file, if they fit the users.
            let file = fs::metadata(self.folder(pid).join("exe")).ok();
            image.set_uid = identity.uid != identity.euid
                && file.is_some_and(|file| file.mode() & libc::S_ISUID != 0 && file.uid() == identity.euid);
            image.capabilities_gained =
                self.capabilities(stat.parent_pid).map_or(0, |parent| identity.capabilities & !parent);
        }
        image.script = script(&stat.name, &image);
        Some(Snapshot {
            name: stat.name,
            parent_pid: stat.parent_pid,
            start: stat.ticks.saturating_mul(self.tick_ns),
            identity,
            image,
        })
    }

    /// What has to be known of a process to see whether it is another one, or runs another program; None if it is gone.
    pub fn glance(&self, pid: u32) -> Option<Glance> {
        let stat = read_some(&self.folder(pid).join("stat"), 4096)?;
        let mut glance = parse_glance(&String::from_utf8_lossy(&stat))?;
        glance.start = glance.start.saturating_mul(self.tick_ns);
        Some(glance)
    }

    /// Processes and threads that were begun since the boot; None if /proc/stat cannot be read.
    pub fn forks(&self) -> Option<u64> {
        let stat = fs::read_to_string(self.root.join("stat")).ok()?;
        stat.lines().find_map(|line| line.strip_prefix("processes "))?.trim().parse().ok()
    }

    /// What audit does not tell of a process; None if it is gone.
    pub fn facts(&self, pid: u32, executable: &str) -> Option<Facts> {
        let exe = self.folder(pid).join("exe");
        let file = fs::metadata(&exe).ok().filter(|_| link(&exe) == executable).as_ref().map(file_key);
        let identity = self.identity(pid)?;
        let stat = read_some(&self.folder(pid).join("stat"), 4096)?;
        let stat = parse_stat(&String::from_utf8_lossy(&stat))?;
        let identity = Identity { session: stat.session, tty: stat.tty, ..identity };
        let parent = self.capabilities(stat.parent_pid);
        Some(Facts {
            start: stat.ticks.saturating_mul(self.tick_ns),
            identity,
            file,
            capabilities_gained: parent.map_or(0, |parent| identity.capabilities & !parent),
        })
    }

    /// Whether this process is in the pid namespace in which the kernel tells of processes.
    pub fn is_of_the_host(&self) -> bool {
        // include/linux/proc_ns.h: PROC_PID_INIT_INO.
        fs::metadata(self.root.join("self/ns/pid")).is_ok_and(|namespace| namespace.ino() == 0xEFFF_FFFC)
    }

    /// Whether processes of others are hidden from us: the option hidepid of proc(5).
    pub fn hides_others(&self) -> bool {
        self.glance(1).is_none()
    }

    /// Clock ticks as nanoseconds.
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(self.tick_ns)
    }

    /// Nanoseconds as whole clock ticks.
    pub fn ticks(&self, nanoseconds: u64) -> u64 {
        nanoseconds / self.tick_ns
    }

    /// When the process was created, nanoseconds of CLOCK_BOOTTIME in steps of a tick; None if it is gone.
    pub fn start(&self, pid: u32) -> Option<u64> {
        let stat = read_some(&self.folder(pid).join("stat"), 4096)?;
        parse_stat(&String::from_utf8_lossy(&stat)).map(|stat| stat.ticks.saturating_mul(self.tick_ns))
    }

    /// The program of a process, as far as it can be read. Kernel threads and zombies have none.
    pub fn image(&self, pid: u32) -> Image {
        let folder = self.folder(pid);
        let arguments = read_some(&folder.join("cmdline"), ARGS_MAX + 1).unwrap_or_default();
        let executable = link(&folder.join("exe"));
        let file = fs::metadata(folder.join("exe")).ok().as_ref().map(file_key);
        let mut image = Image {
            args_unknown: arguments.is_empty(),
            args_truncated: arguments.len() > ARGS_MAX,
            executable_unknown: executable.is_empty(),
            executable,
            working_directory: link(&folder.join("cwd")),
            file,
            ..Image::default()
        };
        image.set_arguments(&arguments[..arguments.len().min(ARGS_MAX)]);
        image
    }

    /// Where proc(5) is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the process runs, and the ids of its cgroups of version 2 and 1, as in [`Identity`]; None if it is gone.
    pub fn place(&self, pid: u32) -> Option<(Place, u64, u64)> {
        let groups = read_some(&self.folder(pid).join("cgroup"), 65_536)?;
        let groups = String::from_utf8_lossy(&groups);
        let (unified, memory) = self.cgroup_ids(&groups);
        Some((cgroup::parse(&groups), unified, memory))
    }

    /// Whether the ids of cgroups say in which cgroup of every tree a process is.
    pub fn ids_are_enough(&self, unified: u64, memory: u64) -> bool {
        unified != 0 && (!self.version_1 || memory != 0)
    }

    /// Whether the paths in the unified tree and in that of the memory controller tell where a process runs.
    pub fn two_trees_are_enough(&self) -> bool {
        !self.version_1 || self.memory.is_some()
    }

    /// Whether cgroups of version 1 are mounted.
    pub fn has_version_1(&self) -> bool {
        self.version_1
    }

    /// What the process used so far, which can be read until its parent has heard of its end.
    pub fn usage(&self, pid: u32) -> Option<Usage> {
        let stat = read_some(&self.folder(pid).join("stat"), 4096)?;
        let stat = parse_stat(&String::from_utf8_lossy(&stat))?;
        let io = read_some(&self.folder(pid).join("io"), 4096).unwrap_or_default();
        let (read, written) = parse_io(&String::from_utf8_lossy(&io));
        Some(Usage { cpu: stat.cpu_ticks.saturating_mul(self.tick_ns), read, written })
    }

    fn capabilities(&self, pid: u32) -> Option<u64> {
        let status = read_some(&self.folder(pid).join("status"), 16_384)?;
        parse_status(&String::from_utf8_lossy(&status)).map(|status| status.capabilities)
    }

    /// Whom the process runs as; None if it is gone.
    fn identity(&self, pid: u32) -> Option<Identity> {
        let folder = self.folder(pid);
        let status = read_some(&folder.join("status"), 16_384)?;
        let status = parse_status(&String::from_utf8_lossy(&status))?;
        let namespace = |name: &str| {
            let inode = fs::metadata(folder.join("ns").join(name)).map_or(0, |metadata| metadata.ino());
            u32::try_from(inode).unwrap_or(0)
        };
        let groups = read_some(&folder.join("cgroup"), 65_536).unwrap_or_default();
        let (cgroup, cgroup_v1) = self.cgroup_ids(&String::from_utf8_lossy(&groups));
        let login_uid = fs::read_to_string(folder.join("loginuid")).ok();
        let login_uid = login_uid.and_then(|text| text.trim().parse().ok()).unwrap_or(NO_LOGIN);
        Some(Identity {
            uid: status.uid,
            euid: status.euid,
            gid: status.gid,
            login_uid,
            cgroup,
            cgroup_v1,
            capabilities: status.capabilities,
            pid_namespace: namespace("pid"),
            mount_namespace: namespace("mnt"),
            network_namespace: namespace("net"),
            ..Identity::UNKNOWN
        })
    }

    /// The id of a cgroup is the inode number of its folder (kernfs, 64-bit machines); 0 if unknown.
    fn cgroup_ids(&self, groups: &str) -> (u64, u64) {
        let id = |tree: &Option<PathBuf>, path: Option<&str>| {
            let folder = tree.as_ref()?.join(path?.trim_start_matches('/'));
            fs::metadata(folder).ok().map(|metadata| metadata.ino())
        };
        let fields = |line: &'_ str| -> Option<(String, String)> {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            Some((controllers.to_owned(), path.to_owned()))
        };
        let lines: Vec<(String, String)> = groups.lines().filter_map(fields).collect();
        let path = |wanted: &dyn Fn(&str) -> bool| {
            lines.iter().find(|(controllers, _)| wanted(controllers)).map(|(_, path)| path.as_str())
        };
        let unified = path(&|controllers| controllers.is_empty());
        let memory = path(&|controllers| controllers.split(',').any(|one| one == "memory"));
        (id(&self.cgroups, unified).unwrap_or(0), id(&self.memory, memory).unwrap_or(0))
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

/// The version of a file.
pub fn file_key(metadata: &fs::Metadata) -> FileKey {
    let device = metadata.dev();
    FileKey {
        // As the kernel has it: twenty bits for the minor number.
        device: u64::from(libc::major(device)) << 20 | u64::from(libc::minor(device)),
        inode: metadata.ino(),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec() as u32),
    }
}

/// The name of a process that interprets a script is the script's (comm, 15 bytes), and the script is among its first
/// arguments.
pub fn script(name: &str, image: &Image) -> String {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    if name.is_empty() || image.executable_unknown || base(&image.executable).starts_with(name) {
        return String::new();
    }
    let found = image.arguments.iter().skip(1).take(2).find(|one| {
        let base = base(one);
        base == name || name.len() == 15 && base.starts_with(name)
    });
    match found {
        Some(path) if path.starts_with('/') => path.clone(),
        Some(path) => format!("{}/{}", image.working_directory.trim_end_matches('/'), path.trim_start_matches("./")),
        None => String::new(),
    }
}

/// Some fields of /proc/PID/stat.
#[derive(Clone, Debug, PartialEq)]
struct Stat {
    name: String,
    parent_pid: u32,
    session: u32,
    tty: Terminal,
    /// utime and stime.
    cpu_ticks: u64,
    /// starttime, field 22.
    ticks: u64,
}

/// The name is in brackets and may contain brackets and spaces itself.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(begin + 1..end)?.to_owned();
    let fields: Vec<&str> = stat[end + 1..].split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Field 3, the state, is the first after the name. The terminal is a number as in stat(2), kept in an int.
    let device = fields.get(4)?.parse::<i64>().ok()? as u32;
    Some(Stat {
        name,
        parent_pid: number(1)? as u32,
        session: number(3)? as u32,
        tty: Terminal { major: device >> 8 & 0xfff, minor: device & 0xff | device >> 12 & 0xf_ff00 },
        cpu_ticks: number(11)?.saturating_add(number(12)?),
        ticks: number(19)?,
    })
}

/// The numbers are those of proc(5), whose third field is the first after the name.
fn parse_glance(stat: &str) -> Option<Glance> {
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat[end + 1..].split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3).and_then(|word| word.parse::<u64>().ok());
    // startcode, endcode and startstack: 1, 1 and 0 for those who may not know, and 0 for zombies.
    let places = [number(26)?, number(27)?, number(28)?];
    let mut hasher = FxHasher::default();
    match places {
        [0 | 1, 0 | 1, 0] => stat.get(begin..end)?.hash(&mut hasher),
        _ => places.hash(&mut hasher),
    }
    Some(Glance {
        state: *fields.first()?.as_bytes().first()?,
        parent_pid: u32::try_from(number(4)?).ok()?,
        threads: number(20)?,
        start: number(22)?,
        mark: hasher.finish(),
        status: number(52).and_then(|status| u32::try_from(status).ok()).filter(|_| places[0] != 1),
    })
}

/// Some lines of /proc/PID/status.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Status {
    uid: u32,
    euid: u32,
    gid: u32,
    capabilities: u64,
}

fn parse_status(status: &str) -> Option<Status> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::split_ascii_whitespace);
    let mut uids = field("Uid:")?;
    let capabilities = field("CapEff:").and_then(|mut words| u64::from_str_radix(words.next()?, 16).ok());
    Some(Status {
        uid: uids.next()?.parse().ok()?,
        euid: uids.next()?.parse().ok()?,
        gid: field("Gid:")?.next()?.parse().ok()?,
        capabilities: capabilities.unwrap_or(0),
    })
}

/// read_bytes and write_bytes of /proc/PID/io; 0 where they are not told.
fn parse_io(io: &str) -> (u64, u64) {
    let field = |name: &str| {
        let value = io.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    (field("read_bytes:"), field("write_bytes:"))
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
        let stat = "7 (a) b (c) S 3 7 6 34817 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 1234 0 0";
        let tty = Terminal { major: 136, minor: 1 };
        let stat_of = Stat { name: "a) b (c".into(), parent_pid: 3, session: 6, tty, cpu_ticks: 11, ticks: 1234 };
        assert_eq!(parse_stat(stat), Some(stat_of));
    }

    #[test]
    fn a_glance_sees_an_exec_and_the_status_of_a_zombie() {
        let stat = |name: &str, state: &str, places: &str, status: u32| {
            let stat = format!("7 ({name}) {state} 3 7 6 0 -1 0 1 0 0 0 5 6 0 0 20 0 2 0 1234 9 9 9 {places} ");
            parse_glance(&(stat + &"0 ".repeat(23) + &status.to_string())).expect("whole")
        };
        let shell = stat("sh", "S", "100 200 300", 0);
        assert_eq!((shell.state, shell.parent_pid, shell.threads, shell.start), (b'S', 3, 2, 1234));
        assert_eq!(stat("renamed", "R", "100 200 300", 0).mark, shell.mark);
        assert_ne!(stat("sh", "S", "100 200 301", 0).mark, shell.mark);
        assert_ne!(stat("sh", "S", "1 1 0", 0).mark, stat("cat", "S", "1 1 0", 0).mark, "all that others may know");
        assert_eq!(stat("sh", "Z", "0 0 0", 256).status, Some(256));
        assert_eq!(stat("sh", "Z", "1 1 0", 0).status, None);
    }

    #[test]
    fn a_script_is_known_by_the_name_of_its_process() {
        let mut image =
            Image { executable: "/usr/bin/dash".into(), working_directory: "/srv".into(), ..Image::default() };
        image.set_arguments(b"/bin/sh\0./backup.sh\0now\0");
        assert_eq!(script("backup.sh", &image), "/srv/backup.sh");
        assert_eq!(script("dash", &image), "");
        assert_eq!(script("sh", &image), "");
    }

    proptest! {
        #[test]
        fn never_panics(content in ".{0,200}") {
            let _ = parse_stat(&content);
            let _ = parse_glance(&content);
            let _ = parse_status(&content);
            let _ = parse_io(&content);
        }
    }
}
