//! What the kernel says happened to a process, in the same words whichever way it was learnt.

use std::sync::Arc;

/// One event of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub action: Action,
    /// Nanoseconds of CLOCK_BOOTTIME.
    pub time: u64,
    pub pid: u32,
    /// When the process was created, nanoseconds of CLOCK_BOOTTIME; 0 if unknown.
    pub start: u64,
    /// Fork: the process that forked; else the present parent. 0 if unknown, or if there is none.
    pub parent_pid: u32,
    /// 0 if unknown.
    pub parent_start: u64,
    /// Command name; empty if unknown.
    pub name: String,
    /// Empty if unknown.
    pub parent_name: String,
    pub identity: Option<Identity>,
}

impl Event {
    /// An event of which no more is known.
    pub fn new(action: Action, time: u64, pid: u32) -> Self {
        let (name, parent_name) = (String::new(), String::new());
        Self { action, time, pid, start: 0, parent_pid: 0, parent_start: 0, name, parent_name, identity: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Fork,
    Exec(Image),
    /// The status as wait(2) gives it.
    Exit(u32, Option<Usage>),
    /// Ended before this was noticed: neither the time nor the status is known.
    Gone,
    /// Traces the process of this pid from now on, and can read and change all that it has: ptrace(2).
    Ptrace(u32),
    /// Runs since before the agent.
    Seed(Image),
}

/// Whom a process runs as, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    /// [`NO_LOGIN`] when never set.
    pub login_uid: u32,
    /// cgroup v2 id, 0 if unknown.
    pub cgroup: u64,
    /// Id of the cgroup of the memory controller, which is another one on hosts with cgroup v1; 0 if unknown.
    pub cgroup_v1: u64,
    /// Effective; bit n is capability n of linux/capability.h.
    pub capabilities: u64,
    /// 0 if unknown.
    pub session: u32,
    pub tty: Terminal,
    /// Inodes of the namespaces; 0 if unknown.
    pub pid_namespace: u32,
    pub mount_namespace: u32,
    pub network_namespace: u32,
}

impl Identity {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        uid: NO_USER,
        euid: NO_USER,
        gid: NO_USER,
        login_uid: NO_LOGIN,
        cgroup: 0,
        cgroup_v1: 0,
        capabilities: 0,
        session: 0,
        tty: Terminal { major: 0, minor: 0 },
        pid_namespace: 0,
        mount_namespace: 0,
        network_namespace: 0,
    };
}

/// What a user id is when it is not known, as (uid_t) -1 of chown(2).
pub const NO_USER: u32 = u32::MAX;

/// A controlling terminal by its device number; 0, 0 if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    pub major: u32,
    pub minor: u32,
}

impl Terminal {
    /// Its name below /dev (Documentation/admin-guide/devices.txt); MAJOR:MINOR if it is of no common kind.
    pub fn name(self) -> String {
        match (self.major, self.minor) {
            (0, 0) => String::new(),
            (major @ 136..=143, minor) => format!("pts/{}", (major - 136) * 256 + minor),
            (4, minor @ 0..=63) => format!("tty{minor}"),
            (4, minor) => format!("ttyS{}", minor - 64),
            (5, 1) => "console".into(),
            (204, minor @ 64..=79) => format!("ttyAMA{}", minor - 64),
            (229, minor) => format!("hvc{minor}"),
            (major, minor) => format!("{major}:{minor}"),
        }
    }
}

/// What a process used, from its beginning to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor, nanoseconds.
    pub cpu: u64,
    /// Bytes read from storage, and written.
    pub read: u64,
    pub written: u64,
}

/// What audit_loginuid is before anybody logs in.
pub const NO_LOGIN: u32 = u32::MAX;

/// The program that a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub executable: String,
    pub arguments: Vec<String>,
    /// The arguments, joined.
    pub command_line: String,
    pub working_directory: String,
    /// The script that the executable interprets; empty if there is none.
    pub script: String,
    /// Which file the executable was when it began.
    pub file: Option<FileKey>,
    /// SHA-256 of the executable; None if not known.
    pub sha256: Option<Arc<str>>,
    pub set_uid: bool,
    pub set_gid: bool,
    /// Effective capabilities that the parent had not.
    pub capabilities_gained: u64,
    /// Only the beginning of the arguments is kept.
    pub args_truncated: bool,
    pub args_unknown: bool,
    pub executable_unknown: bool,
}

impl Image {
    /// Nothing is known.
    pub fn unknown() -> Self {
        Self { args_unknown: true, executable_unknown: true, ..Self::default() }
    }

    /// Bytes of text held.
    pub fn size(&self) -> usize {
        let arguments: usize = self.arguments.iter().map(|argument| argument.len() + size_of::<String>()).sum();
        self.executable.len() + self.command_line.len() + self.working_directory.len() + self.script.len() + arguments
    }

    /// Takes the arguments, each ended by NUL.
    pub fn set_arguments(&mut self, bytes: &[u8]) {
        self.arguments = arguments(bytes);
        self.command_line = self.arguments.join(" ");
    }
}

/// A version of a file: who writes to it, or puts another one in its place, makes another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// As the kernel counts devices, which is not what stat(2) says on every file system.
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Change time, seconds and nanoseconds.
    pub changed: (i64, u32),
}

/// The exit status of a shell's view: the code, or minus the signal that killed the process (wait(2)).
pub fn exit_code(status: u32) -> i32 {
    match (status & 0x7f) as i32 {
        0 => (status >> 8 & 0xff) as i32,
        signal => -signal,
    }
}

/// Arguments, each ended by NUL. Bytes that are not UTF-8 become U+FFFD.
fn arguments(bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|&byte| byte == 0).map(|one| String::from_utf8_lossy(one).into_owned()).collect()
}

/// The names of capabilities, linux/capability.h.
const CAPABILITIES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// The capabilities of a set, space-separated; those that are newer than this program by number.
pub fn capability_names(set: u64) -> String {
    let mut names = String::new();
    for bit in (0..64).filter(|bit| set >> bit & 1 == 1) {
        if !names.is_empty() {
            names.push(' ');
        }
        match CAPABILITIES.get(bit) {
            Some(name) => names.push_str(name),
            None => names.push_str(&format!("cap_{bit}")),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_status_is_a_code_or_minus_a_signal() {
        assert_eq!(exit_code(0), 0);
        assert_eq!(exit_code(3 << 8), 3);
        assert_eq!(exit_code(255 << 8), 255);
        assert_eq!(exit_code(9), -9);
        assert_eq!(exit_code(11 | 0x80), -11, "dumped core");
    }

    #[test]
    fn arguments_are_split_and_joined() {
        let line = |bytes: &[u8]| {
            let mut image = Image::default();
            image.set_arguments(bytes);
            (image.arguments.len(), image.command_line)
        };
        assert_eq!(line(b"sh\0-c\0echo a b\0"), (3, "sh -c echo a b".into()));
        assert_eq!(line(b"sh\0\0x\0"), (3, "sh  x".into()), "an empty argument stays visible");
        assert_eq!(line(b"cut\0in the mid"), (2, "cut in the mid".into()));
        assert_eq!(line(b""), (0, "".into()));
        assert_eq!(line(b"\xff\0"), (1, "\u{fffd}".into()));
    }

    #[test]
    fn terminals_have_the_names_of_their_devices() {
        let name = |major, minor| Terminal { major, minor }.name();
        assert_eq!((name(0, 0), name(136, 3), name(137, 1)), ("".into(), "pts/3".into(), "pts/257".into()));
        assert_eq!((name(4, 1), name(4, 64), name(240, 7)), ("tty1".into(), "ttyS0".into(), "240:7".into()));
    }

    #[test]
    fn capabilities_have_names() {
        assert_eq!(capability_names(0), "");
        assert_eq!(capability_names(1 << 13 | 1 << 40 | 1 << 63), "cap_net_raw cap_checkpoint_restore cap_63");
    }
}
