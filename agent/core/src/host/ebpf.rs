//! The best rung: CO-RE programs on BTF tracepoints tell of every process, however short it lives.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};

use super::event::{Action, Event};
use super::procfs::Procfs;
use super::record::{Record, parse};
use super::wait::Edge;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/processes.bpf.o"));
/// Why the object is empty.
pub(super) const MISSING: &str = env!("LUYTRE_EBPF_MISSING");
const PROGRAMS: [(&str, &str); 3] =
    [("on_fork", "sched_process_fork"), ("on_exec", "sched_process_exec"), ("on_exit", "sched_process_exit")];
pub(super) const BTF: &str = "/sys/kernel/btf/vmlinux";
/// include/linux/proc_ns.h: PROC_PID_INIT_INO.
pub(super) const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// The reader is woken when so much waits, or a quarter of a smaller ring.
const WAKE_BYTES: u32 = 65_536;

/// Loaded programs and their ring.
pub struct Ring {
    ring: RingBuf<MapData>,
    lost: PerCpuArray<MapData, u64>,
    edge: Edge,
    malformed: u64,
    /// The programs stay attached as long as this lives.
    programs: Option<Ebpf>,
}

impl Ring {
    /// Loads and attaches. `bytes` is the size of the ring: a power of two of at least a page.
    pub fn open(bytes: usize) -> io::Result<Self> {
        if OBJECT.is_empty() {
            return Err(refuse(io::ErrorKind::Unsupported, format!("this build carries no eBPF object: {MISSING}")));
        }
        let bytes = u32::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two() && *bytes >= 4096);
        let Some(bytes) = bytes else {
            let reason = "the size of the ring is not a power of two of at least 4096 bytes";
            return Err(refuse(io::ErrorKind::InvalidInput, reason.into()));
        };
        // The programs give the ids of the initial namespace.
        if fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() != INITIAL_PID_NAMESPACE) {
            let reason = "the agent is not in the host's pid namespace, so process ids would mean other processes";
            return Err(refuse(io::ErrorKind::Unsupported, reason.into()));
        }
        let btf = Btf::from_sys_fs().map_err(|error| failed(BTF, &error))?;
        Self::load(bytes, &btf)
    }

    fn load(bytes: u32, btf: &Btf) -> io::Result<Self> {
        raise_memory_lock();
        let wake = WAKE_BYTES.min(bytes / 4);
        let mut programs = EbpfLoader::new()
            .btf(Some(btf))
            .map_max_entries("RING", bytes)
            .override_global("wake_bytes", &wake, true)
            .load(OBJECT)
            .map_err(|error| failed("loading the eBPF maps", &error))?;
        for (name, tracepoint) in PROGRAMS {
            attach(&mut programs, name, tracepoint, btf)
                .map_err(|error| failed(&format!("tp_btf/{tracepoint}"), error.as_ref()))?;
        }
        let missing = || refuse(io::ErrorKind::NotFound, "the eBPF object lacks a map".into());
        let ring = programs.take_map("RING").ok_or_else(missing)?;
        let ring = RingBuf::try_from(ring).map_err(|error| failed("the ring", &error))?;
        let lost = programs.take_map("LOST").ok_or_else(missing)?;
        let lost = PerCpuArray::try_from(lost).map_err(|error| failed("the counter of lost records", &error))?;
        let edge = Edge::new(&ring)?;
        Ok(Self { ring, lost, edge, malformed: 0, programs: Some(programs) })
    }

    /// Detaches the programs; what is in the ring can still be read.
    pub fn stop(&mut self) {
        self.programs = None;
    }

    /// Waits until much is waiting, or for `timeout`.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        self.edge.wait(timeout)
    }

    /// The next event; None when nothing waits. What the programs could not read, `/proc` is asked for.
    pub fn receive(&mut self, procfs: &Procfs) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            let Some(record) = parse(&item) else {
                self.malformed += 1;
                continue;
            };
            return Some(complete(record, procfs));
        }
    }

    /// Records that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.get(&0, 0).map_or(0, |counts| counts.iter().sum())
    }

    /// Records that could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}

fn attach(programs: &mut Ebpf, name: &str, tracepoint: &str, btf: &Btf) -> Result<(), Box<dyn Error>> {
    let program: &mut BtfTracePoint =
        programs.program_mut(name).ok_or("the eBPF object lacks a program")?.try_into()?;
    program.load(tracepoint, btf)?;
    program.attach()?;
    Ok(())
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

/// Kernels before 5.11 count maps against RLIMIT_MEMLOCK. Where this is refused, loading says why.
pub(super) fn raise_memory_lock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is ours.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

/// One line: what was tried, then each cause once; the verifier's log is cut to its last line.
pub(super) fn failed(what: &str, error: &(dyn Error + 'static)) -> io::Error {
    let (mut text, mut kind) = (what.to_owned(), io::ErrorKind::Other);
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let message = error.to_string();
        let message = one_line(&message);
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        if let Some(system) = error.downcast_ref::<io::Error>() {
            kind = system.kind();
        }
        cause = error.source();
    }
    refuse(kind, text)
}

/// The first line, and the last that is not one of the totals with which the verifier ends its log.
fn one_line(message: &str) -> String {
    let totals = ["processed ", "verification time ", "stack depth "];
    let mut lines = message.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    match lines.rfind(|line| !line.is_empty() && !totals.iter().any(|total| line.starts_with(total))) {
        Some(last) => format!("{first} ... {last}"),
        None => first.to_owned(),
    }
}

pub(super) fn refuse(kind: io::ErrorKind, reason: String) -> io::Error {
    io::Error::new(kind, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_odd_size_is_refused() {
        let error = Ring::open(5000).err().expect("refused").to_string();
        let reason = if OBJECT.is_empty() { "this build carries no eBPF object: " } else { "not a power of two" };
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn a_verifier_log_becomes_one_line() {
        assert_eq!(one_line("a"), "a");
        assert_eq!(one_line("a\n\nb\n"), "a ... b");
        assert_eq!(one_line("a\nb\nR1 invalid\nprocessed 7 insns\n"), "a ... R1 invalid");
    }
}
