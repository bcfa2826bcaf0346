//! What the kernel says happened to a process, in the same words whichever way it was learnt.

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

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Fork,
    Exec(Image),
    /// The status as wait(2) gives it.
    Exit(u32),
}

/// Whom a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    /// [`NO_LOGIN`] when never set.
    pub login_uid: u32,
    /// cgroup v2 id, 0 if unknown.
    pub cgroup: u64,
}

/// What audit_loginuid is before anybody logs in.
pub const NO_LOGIN: u32 = u32::MAX;

/// The program that a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub executable: String,
    pub command_line: String,
    pub working_directory: String,
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
        self.executable.len() + self.command_line.len() + self.working_directory.len()
    }
}

/// The exit status of a shell's view: the code, or minus the signal that killed the process (wait(2)).
pub fn exit_code(status: u32) -> i32 {
    match (status & 0x7f) as i32 {
        0 => (status >> 8 & 0xff) as i32,
        signal => -signal,
    }
}

/// Arguments, each ended by NUL, joined by spaces. Bytes that are not UTF-8 become U+FFFD.
pub fn command_line(arguments: &[u8]) -> String {
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(arguments);
    String::from_utf8_lossy(arguments).replace('\0', " ")
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
    fn arguments_are_joined() {
        assert_eq!(command_line(b"sh\0-c\0echo a b\0"), "sh -c echo a b");
        assert_eq!(command_line(b"sh\0\0x\0"), "sh  x", "an empty argument stays visible");
        assert_eq!(command_line(b"cut\0in the mid"), "cut in the mid");
        assert_eq!(command_line(b""), "");
        assert_eq!(command_line(b"\xff\0"), "\u{fffd}");
    }
}
