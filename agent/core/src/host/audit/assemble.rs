//! Audit records to execs: the records of an event come one after another, those of other events in between.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::arguments::Arguments;
use super::text::{Id, fields, header, number, text, unquoted};
use crate::host::event::{NO_LOGIN, NO_USER, Terminal};
use crate::host::procfs::ARGS_MAX;

// linux/audit.h
pub const SYSCALL: u16 = 1300;
pub const PATH: u16 = 1302;
pub const CONFIG_CHANGE: u16 = 1305;
pub const CWD: u16 = 1307;
pub const EXECVE: u16 = 1309;
pub const EOE: u16 = 1320;
pub const BPRM_FCAPS: u16 = 1321;

/// Events whose end has not come. The kernel writes the records of an event at one go on one processor.
const OPEN: usize = 512;
/// Paths of a program: itself, its interpreter, the loader. There are never more than a few.
const PATHS: usize = 8;

/// A program that a process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    pub id: Id,
    pub pid: u32,
    pub parent_pid: u32,
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
    pub login_uid: u32,
    pub tty: Terminal,
    pub name: String,
    pub executable: String,
    pub working_directory: String,
    /// Each ended by NUL; None if not told.
    pub arguments: Option<(Vec<u8>, bool)>,
    pub files: Vec<File>,
    /// Effective capabilities that the process had not before.
    pub capabilities_gained: u64,
}

impl Exec {
    /// Bytes held.
    pub fn size(&self) -> usize {
        let files: usize = self.files.iter().map(|file| file.name.len() + size_of::<File>()).sum();
        let arguments = self.arguments.as_ref().map_or(0, |(bytes, _)| bytes.len());
        size_of::<Self>() + self.name.len() + self.executable.len() + self.working_directory.len() + arguments + files
    }
}

/// A file that was opened for it, by its PATH record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub inode: u64,
    pub mode: u32,
    pub owner: u32,
}

#[derive(Debug)]
struct Open {
    exec: Exec,
    arguments: Arguments,
    /// An EXECVE record came: it is an exec.
    is_exec: bool,
}

/// Events that are not complete.
#[derive(Debug, Default)]
pub struct Assembler {
    open: FxHashMap<Id, Open>,
    order: VecDeque<Id>,
    malformed: u64,
    incomplete: u64,
}

impl Assembler {
    /// Takes a record; the exec that it completes.
    pub fn take(&mut self, kind: u16, record: &[u8]) -> Option<Exec> {
        let Some((id, body)) = header(record) else {
            self.malformed += 1;
            return None;
        };
        match kind {
            SYSCALL => {
                if let Some(exec) = syscall(id, body) {
                    self.begin(id, exec);
                }
                return None;
            }
            EOE => return self.end(id),
            _ => {}
        }
        let open = self.open.get_mut(&id)?;
        match kind {
            EXECVE => {
                open.is_exec = true;
                fields(body).for_each(|(name, value)| open.arguments.take(name, value, ARGS_MAX));
            }
            CWD => {
                let cwd = fields(body).find(|(name, _)| *name == b"cwd");
                open.exec.working_directory = cwd.map_or_else(String::new, |(_, value)| text(value));
            }
            PATH if open.exec.files.len() < PATHS => open.exec.files.push(file(body)),
            BPRM_FCAPS => open.exec.capabilities_gained = gained(body),
            _ => {}
        }
        None
    }

    fn begin(&mut self, id: Id, exec: Exec) {
        if self.open.insert(id, Open { exec, arguments: Arguments::default(), is_exec: false }).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > OPEN {
            if let Some(oldest) = self.order.pop_front() {
                self.incomplete += u64::from(self.open.remove(&oldest).is_some());
            }
        }
    }

    fn end(&mut self, id: Id) -> Option<Exec> {
        let open = self.open.remove(&id)?;
        // Near the front: the events end about in the order in which they begin.
        if let Some(at) = self.order.iter().position(|one| *one == id) {
            self.order.remove(at);
        }
        let arguments = open.arguments.finish(ARGS_MAX);
        open.is_exec.then_some(Exec { arguments, ..open.exec })
    }

    /// Records that are none.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Events whose end never came.
    pub fn incomplete(&self) -> u64 {
        self.incomplete
    }
}

/// A system call that succeeded.
fn syscall(id: Id, body: &[u8]) -> Option<Exec> {
    let mut exec = Exec {
        id,
        pid: 0,
        parent_pid: 0,
        uid: NO_USER,
        euid: NO_USER,
        gid: NO_USER,
        egid: NO_USER,
        login_uid: NO_LOGIN,
        tty: Terminal::default(),
        name: String::new(),
        executable: String::new(),
        working_directory: String::new(),
        arguments: None,
        files: Vec::new(),
        capabilities_gained: 0,
    };
    let mut success = false;
    for (name, value) in fields(body) {
        let id = || number(value, 10).and_then(|id| u32::try_from(id).ok());
        match name {
            b"success" => success = value == b"yes",
            b"pid" => exec.pid = id()?,
            b"ppid" => exec.parent_pid = id().unwrap_or(0),
            b"uid" => exec.uid = id().unwrap_or(NO_USER),
            b"euid" => exec.euid = id().unwrap_or(NO_USER),
            b"gid" => exec.gid = id().unwrap_or(NO_USER),
            b"egid" => exec.egid = id().unwrap_or(NO_USER),
            b"auid" => exec.login_uid = id().unwrap_or(NO_LOGIN),
            b"tty" => exec.tty = terminal(&String::from_utf8_lossy(value)),
            b"comm" => exec.name = text(value),
            b"exe" => exec.executable = text(value),
            // What follows is of security modules, in their own words.
            b"subj" | b"key" => break,
            _ => {}
        }
    }
    (success && exec.pid != 0).then_some(exec)
}

fn file(body: &[u8]) -> File {
    let mut file = File { name: String::new(), inode: 0, mode: 0, owner: NO_USER };
    for (name, value) in fields(body) {
        match name {
            b"name" => file.name = String::from_utf8_lossy(&unquoted(value)).into_owned(),
            b"inode" => file.inode = number(value, 10).unwrap_or(0),
            b"mode" => file.mode = number(value, 8).unwrap_or(0) as u32,
            b"ouid" => file.owner = number(value, 10).unwrap_or(u64::from(NO_USER)) as u32,
            _ => {}
        }
    }
    file
}

/// AUDIT_BPRM_FCAPS of kernel/auditsc.c; older kernels call what is had now `new_pe`.
fn gained(body: &[u8]) -> u64 {
    let set = |wanted: &[u8]| fields(body).find(|(name, _)| *name == wanted).and_then(|(_, value)| number(value, 16));
    set(b"pe").or_else(|| set(b"new_pe")).unwrap_or(0) & !set(b"old_pe").unwrap_or(u64::MAX)
}

/// The terminal that the kernel's tty drivers name so; see [`Terminal::name`].
fn terminal(name: &str) -> Terminal {
    let drivers = [("pts", 136, 0), ("ttyAMA", 204, 64), ("ttyS", 4, 64), ("tty", 4, 0), ("hvc", 229, 0)];
    let found = drivers.iter().find_map(|(driver, major, first)| {
        let number: u32 = name.strip_prefix(driver)?.parse().ok()?;
        let major = if *driver == "pts" { major + number / 256 } else { *major };
        Some(Terminal { major, minor: first + if *driver == "pts" { number % 256 } else { number.min(0xffff) } })
    });
    found.unwrap_or_default()
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
