//! An audited exec as an event.

use std::fs;

use super::assemble::Exec;
use crate::host::event::{Action, Event, FileKey, Identity, Image};
use crate::host::procfs::{file_key, script};
use crate::host::rows::Rows;

const SET_UID: u32 = libc::S_ISUID;
const SET_GID: u32 = libc::S_ISGID;

/// What audit tells, completed with what `/proc` still shows of the process, or else with what it had from its parent.
/// `time` is CLOCK_BOOTTIME in nanoseconds; without it, the time of the record counts.
pub fn event(exec: Exec, pid: u32, time: Option<u64>, rows: &mut Rows) -> Event {
    let time = time.unwrap_or_else(|| rows.clock().since_boot(exec.id.time));
    let known = rows.table().get(pid).map(|known| (known.start, known.identity));
    let facts = rows.procfs().facts(pid, &exec.executable);
    let start = facts.map_or(known.map_or(0, |(start, _)| start), |facts| facts.start);
    let inherited = known.and_then(|(_, identity)| identity);
    let base = facts.map(|facts| facts.identity).or(inherited).unwrap_or(Identity::UNKNOWN);
    let tty = if exec.tty == Default::default() { base.tty } else { exec.tty };
    let identity = Identity { uid: exec.uid, euid: exec.euid, gid: exec.gid, login_uid: exec.login_uid, tty, ..base };
    let file = facts.map_or_else(|| on_disk(&exec), |facts| facts.file);
    // The kernel records what files and bits give, but not what root gets by being root.
    let gained = exec.capabilities_gained | facts.map_or(0, |facts| facts.capabilities_gained);
    let exec = Exec { capabilities_gained: gained, ..exec };
    Event {
        start,
        parent_pid: exec.parent_pid,
        name: exec.name.clone(),
        identity: Some(identity),
        ..Event::new(Action::Exec(image(exec, file)), time, pid)
    }
}

fn image(exec: Exec, file: Option<FileKey>) -> Image {
    // The bits of the file that was begun count only where they changed who it runs as.
    let bits = |bit: u32| exec.files.first().is_some_and(|file| file.mode & bit != 0);
    let mut image = Image {
        set_uid: exec.uid != exec.euid && bits(SET_UID),
        set_gid: exec.gid != exec.egid && bits(SET_GID),
        capabilities_gained: exec.capabilities_gained,
        args_unknown: exec.arguments.is_none(),
        executable_unknown: exec.executable.is_empty(),
        executable: exec.executable,
        working_directory: exec.working_directory,
        file,
        ..Image::default()
    };
    if let Some((bytes, cut)) = exec.arguments {
        image.set_arguments(&bytes);
        image.args_truncated = cut;
    }
    image.script = script(&exec.name, &image);
    image
}

/// The file at the path of the executable, if it is one that was opened for it.
fn on_disk(exec: &Exec) -> Option<FileKey> {
    let key = file_key(&fs::metadata(&exec.executable).ok()?);
    exec.files.iter().any(|file| file.inode == key.inode).then_some(key)
}
