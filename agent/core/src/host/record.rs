//! Records of the eBPF programs to events. The layout is documented in `luytre_agent/ebpf/process_record.h`.

use super::event::{Action, Event, FileKey, Identity, Image, Terminal, Usage};

const HEADER: usize = 216;

const FORK: u32 = 1;
const EXEC: u32 = 2;
const EXIT: u32 = 3;
const PLACE: u32 = 4;

const ARGS_UNREAD: u32 = 1;
const EXE_DELETED: u32 = 2;
const EXE_PARTIAL: u32 = 4;
const CWD_PARTIAL: u32 = 8;
const SETUID: u32 = 16;
const SETGID: u32 = 32;
const PLACE_PARTIAL: u32 = 64;
/// Length of the header of a place.
const PLACE_HEADER: usize = 40;

/// One record.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "almost all are events, and each is moved at once")]
pub enum Told {
    Event(Record),
    Place(Called),
}

/// What cgroups are called.
#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    /// The ids, as in [`Identity`].
    pub unified: u64,
    pub memory: u64,
    /// The paths; None if they lack their beginning.
    pub paths: Option<(String, String)>,
}

/// An event, and what the kernel could not tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub event: Event,
    /// The arguments were not in memory; `/proc` may still know them.
    pub args_unread: bool,
    /// A path lacks its beginning; `/proc` may still know it.
    pub executable_partial: bool,
    pub working_directory_partial: bool,
}

/// Reads a record; None if it is none of this layout.
pub fn parse(bytes: &[u8]) -> Option<Told> {
    match bytes.first_chunk().copied().map(u32::from_ne_bytes)? {
        PLACE => called(bytes).map(Told::Place),
        _ => event(bytes).map(Told::Event),
    }
}

fn called(bytes: &[u8]) -> Option<Called> {
    let (header, tail) = bytes.split_at_checked(PLACE_HEADER)?;
    let (unified, tail) = tail.split_at_checked(u16_at(header, 32) as usize)?;
    let (memory, _) = tail.split_at_checked(u16_at(header, 34) as usize)?;
    let whole = u32_at(header, 4) & PLACE_PARTIAL == 0;
    Some(Called {
        unified: u64_at(header, 16),
        memory: u64_at(header, 24),
        paths: whole.then(|| (path(unified, false), path(memory, false))),
    })
}

fn event(bytes: &[u8]) -> Option<Record> {
    let (header, tail) = bytes.split_at_checked(HEADER)?;
    let flags = u32_at(header, 4);
    let action = match u32_at(header, 0) {
        FORK => Action::Fork,
        EXEC => Action::Exec(image(header, tail, flags)?),
        EXIT => {
            let usage = Usage { cpu: u64_at(header, 192), read: u64_at(header, 200), written: u64_at(header, 208) };
            Action::Exit(u32_at(header, 64), Some(usage))
        }
        _ => return None,
    };
    let event = Event {
        action,
        time: u64_at(header, 8),
        pid: u32_at(header, 40),
        start: u64_at(header, 16),
        parent_pid: u32_at(header, 44),
        parent_start: u64_at(header, 24),
        name: text(&header[80..96]),
        parent_name: text(&header[96..112]),
        identity: Some(Identity {
            uid: u32_at(header, 48),
            euid: u32_at(header, 52),
            gid: u32_at(header, 56),
            login_uid: u32_at(header, 60),
            cgroup: u64_at(header, 32),
            cgroup_v1: u64_at(header, 112),
            capabilities: u64_at(header, 120),
            session: u32_at(header, 168),
            tty: Terminal { major: u32_at(header, 172), minor: u32_at(header, 176) },
            pid_namespace: u32_at(header, 180),
            mount_namespace: u32_at(header, 184),
            network_namespace: u32_at(header, 188),
        }),
    };
    Some(Record {
        event,
        args_unread: flags & ARGS_UNREAD != 0,
        executable_partial: flags & EXE_PARTIAL != 0,
        working_directory_partial: flags & CWD_PARTIAL != 0,
    })
}

fn image(header: &[u8], tail: &[u8], flags: u32) -> Option<Image> {
    let (arguments, tail) = tail.split_at_checked(u16_at(header, 72) as usize)?;
    let (executable, tail) = tail.split_at_checked(u16_at(header, 74) as usize)?;
    let (working_directory, tail) = tail.split_at_checked(u16_at(header, 76) as usize)?;
    let (script, _) = tail.split_at_checked(u16_at(header, 78) as usize)?;
    let mut executable = path(executable, flags & EXE_PARTIAL != 0);
    if flags & EXE_DELETED != 0 {
        executable.push_str(" (deleted)"); // as /proc/PID/exe shows it
    }
    let working_directory = path(working_directory, flags & CWD_PARTIAL != 0);
    let mut image = Image {
        executable,
        script: absolute(&text(script), &working_directory),
        file: Some(FileKey {
            device: u32_at(header, 164).into(),
            inode: u64_at(header, 136),
            size: u64_at(header, 144),
            changed: (u64_at(header, 152).cast_signed(), u32_at(header, 160)),
        }),
        set_uid: flags & SETUID != 0,
        set_gid: flags & SETGID != 0,
        capabilities_gained: u64_at(header, 120) & !u64_at(header, 128),
        working_directory,
        args_truncated: flags & ARGS_UNREAD == 0 && u32_at(header, 68) as usize > arguments.len(),
        args_unknown: flags & ARGS_UNREAD != 0,
        ..Image::default()
    };
    image.set_arguments(arguments);
    Some(image)
}

/// A path as it was given, from the working directory.
fn absolute(given: &str, working_directory: &str) -> String {
    match given {
        "" => String::new(),
        _ if given.starts_with('/') => given.to_owned(),
        _ => format!("{}/{}", working_directory.trim_end_matches('/'), given.trim_start_matches("./")),
    }
}

/// Components, leaf first, to a path; ".../" where its beginning is missing.
fn path(components: &[u8], partial: bool) -> String {
    let mut path = String::with_capacity(components.len() + 4);
    if partial {
        path.push_str("...");
    }
    let components = components.strip_suffix(b"\0").unwrap_or(components);
    if components.is_empty() {
        path.push('/');
    } else {
        for component in components.rsplit(|&byte| byte == 0) {
            path.push('/');
            path.push_str(&String::from_utf8_lossy(component));
        }
    }
    path
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn u16_at(header: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes_at(header, at))
}

fn u32_at(header: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes_at(header, at))
}

fn u64_at(header: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes_at(header, at))
}

/// The offsets are constants below [`HEADER`].
fn bytes_at<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| header[at + i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exec(flags: u32, full: u32, arguments: &[u8], executable: &[u8], directory: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[0..4].copy_from_slice(&EXEC.to_ne_bytes());
        bytes[4..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[40..44].copy_from_slice(&812u32.to_ne_bytes());
        bytes[48..52].copy_from_slice(&33u32.to_ne_bytes());
        bytes[68..72].copy_from_slice(&full.to_ne_bytes());
        for (at, section) in [(72, arguments), (74, executable), (76, directory)] {
            bytes[at..at + 2].copy_from_slice(&(section.len() as u16).to_ne_bytes());
            bytes.extend_from_slice(section);
        }
        bytes[80..84].copy_from_slice(b"true");
        bytes[96..112].copy_from_slice(b"0123456789abcdef");
        bytes
    }

    fn image_of(bytes: &[u8]) -> Image {
        match event(bytes).expect("a record").event.action {
            Action::Exec(image) => image,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_an_exec() {
        let bytes = exec(0, 10, b"true\0a b\0\0", b"true\0bin\0usr\0", b"");
        let record = event(&bytes).expect("a record");
        assert_eq!(record.event.pid, 812);
        assert_eq!(record.event.identity.expect("known").uid, 33);
        assert_eq!(record.event.name, "true");
        assert_eq!(record.event.parent_name, "0123456789abcdef", "a name without NUL ends with its field");
        let image = image_of(&bytes);
        assert_eq!(image.command_line, "true a b ");
        assert_eq!(image.executable, "/usr/bin/true");
        assert_eq!(image.working_directory, "/");
        assert!(!image.args_truncated);
    }

    #[test]
    fn says_what_is_missing() {
        assert!(image_of(&exec(0, 5000, b"true\0", b"true\0", b"")).args_truncated);
        let unread = image_of(&exec(ARGS_UNREAD, 5000, b"", b"true\0", b""));
        assert!(unread.args_unknown && !unread.args_truncated);
        assert_eq!(image_of(&exec(EXE_PARTIAL, 0, b"", b"c\0b\0", b"")).executable, ".../b/c");
        assert_eq!(image_of(&exec(EXE_DELETED, 0, b"", b"memfd:x\0", b"")).executable, "/memfd:x (deleted)");
    }

    #[test]
    fn refuses_lengths_beyond_the_record() {
        let mut bytes = exec(0, 5, b"true\0", b"true\0", b"tmp\0");
        bytes.pop();
        assert_eq!(parse(&bytes), None);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0; HEADER]), None, "no such kind");
    }

    #[test]
    fn reads_what_cgroups_are_called() {
        let mut bytes = vec![0; PLACE_HEADER];
        bytes[0..4].copy_from_slice(&PLACE.to_ne_bytes());
        bytes[16..24].copy_from_slice(&7u64.to_ne_bytes());
        bytes[24..32].copy_from_slice(&9u64.to_ne_bytes());
        for (at, section) in [(32, &b"ssh.service\0system.slice\0"[..]), (34, b"")] {
            bytes[at..at + 2].copy_from_slice(&(section.len() as u16).to_ne_bytes());
            bytes.extend_from_slice(section);
        }
        let paths = Some(("/system.slice/ssh.service".to_owned(), "/".to_owned()));
        assert_eq!(parse(&bytes), Some(Told::Place(Called { unified: 7, memory: 9, paths })));
        bytes[4..8].copy_from_slice(&PLACE_PARTIAL.to_ne_bytes());
        assert!(matches!(parse(&bytes), Some(Told::Place(Called { paths: None, .. }))));
        bytes.pop();
        assert_eq!(parse(&bytes), None);
    }

    proptest! {
        #[test]
        fn never_panics(kind in 0u32..6, mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&kind.to_ne_bytes());
            }
            if bytes.len() >= HEADER {
                for length in [73, 75, 77] { // small lengths, so that some fit
                    bytes[length] &= 0;
                }
            }
            let _ = parse(&bytes);
        }
    }
}
