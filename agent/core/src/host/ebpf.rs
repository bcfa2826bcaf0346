//! The best rung: CO-RE programs on BTF tracepoints tell of every process, however short it lives.

use std::io;

use super::bpf::{Programs, Ring};
use super::event::{Action, Event};
use super::procfs::Procfs;
use super::record::{Record, Told, parse};
use super::rows::Rows;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/processes.bpf.o"));
const TRACEPOINTS: [(&str, &str); 3] =
    [("on_fork", "sched_process_fork"), ("on_exec", "sched_process_exec"), ("on_exit", "sched_process_exit")];

/// Loads and attaches. `bytes` is the size of the ring: a power of two of at least a page.
pub fn open(bytes: usize) -> io::Result<Ring> {
    let mut programs = Programs::load(OBJECT, bytes)?;
    for (name, tracepoint) in TRACEPOINTS {
        programs.tracepoint(name, tracepoint)?;
    }
    programs.ring()
}

/// The next event; None when nothing waits. What the programs could not read, `/proc` is asked for. `rows` learn the names
/// of cgroups before the first event that needs them.
pub fn receive(ring: &mut Ring, rows: &mut Rows) -> Option<Event> {
    loop {
        match ring.receive(parse)? {
            Told::Event(record) => return Some(complete(record, rows.procfs())),
            Told::Place(called) => rows.call(called),
        }
    }
}

fn complete(mut record: Record, procfs: &Procfs) -> Event {
    if (record.args_unread || record.executable_partial || record.working_directory_partial)
        && procfs.start(record.event.pid).is_some_and(|start| procfs.ticks(start) == procfs.ticks(record.event.start))
        && let Action::Exec(image) = &mut record.event.action
    {
        let seen = procfs.image(record.event.pid);
        if record.args_unread && !seen.args_unknown {
            (image.arguments, image.command_line) = (seen.arguments, seen.command_line);
            image.args_truncated = seen.args_truncated;
            image.args_unknown = false;
        }
        if record.executable_partial && !seen.executable_unknown {
            image.executable = seen.executable;
        }
        if record.working_directory_partial && !seen.working_directory.is_empty() {
            image.working_directory = seen.working_directory;
        }
    }
    record.event
}
