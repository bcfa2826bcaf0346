//! Loads the programs of `sockets.bpf.c`, attaches them to the root of cgroup v2 and reads their ring.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, CgroupAttachMode, CgroupSock, CgroupSockAddr};
use aya::{Btf, Ebpf, EbpfLoader};

use super::super::ebpf::{BTF, INITIAL_PID_NAMESPACE, MISSING, failed, raise_memory_lock, refuse};
use super::super::wait::Edge;
use super::record::Record;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sockets.bpf.o"));
const TRACEPOINTS: [(&str, &str); 3] =
    [("on_send", "sock_send_length"), ("on_receive", "sock_recv_length"), ("on_state", "inet_sock_set_state")];
const ADDRESS_HOOKS: [&str; 4] = ["on_connect4", "on_connect6", "on_sendmsg4", "on_sendmsg6"];
const SOCKET_HOOKS: [&str; 2] = ["on_create", "on_release"];
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
        if fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() != INITIAL_PID_NAMESPACE) {
            let reason = "the agent is not in the host's pid namespace, so process ids would mean other processes";
            return Err(refuse(io::ErrorKind::Unsupported, reason.into()));
        }
        let root = cgroup_root()?;
        let btf = Btf::from_sys_fs().map_err(|error| failed(BTF, &error))?;
        raise_memory_lock();
        let mut programs = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries("RING", bytes)
            .override_global("wake_bytes", &WAKE_BYTES.min(bytes / 4), true)
            .load(OBJECT)
            .map_err(|error| failed("loading the eBPF maps", &error))?;
        for (name, tracepoint) in TRACEPOINTS {
            trace(&mut programs, name, tracepoint, &btf)
                .map_err(|error| failed(&format!("tp_btf/{tracepoint}"), error.as_ref()))?;
        }
        for name in ADDRESS_HOOKS {
            address_hook(&mut programs, name, &root).map_err(|error| failed(name, error.as_ref()))?;
        }
        for name in SOCKET_HOOKS {
            socket_hook(&mut programs, name, &root).map_err(|error| failed(name, error.as_ref()))?;
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

    /// The next record; None when nothing waits.
    pub fn receive(&mut self) -> Option<Record> {
        loop {
            match Record::parse(&self.ring.next()?) {
                Some(record) => return Some(record),
                None => self.malformed += 1,
            }
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

/// The root of the cgroup v2 tree. Hooks there see every process of the host.
fn cgroup_root() -> io::Result<File> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let root = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| at.to_owned())
    });
    let Some(root) = root else {
        return Err(refuse(io::ErrorKind::NotFound, "no cgroup v2 tree is mounted".into()));
    };
    File::open(&root).map_err(|error| refuse(error.kind(), format!("{root}: {error}")))
}

fn trace(programs: &mut Ebpf, name: &str, tracepoint: &str, btf: &Btf) -> Result<(), Box<dyn Error>> {
    let program: &mut BtfTracePoint = programs.program_mut(name).ok_or(LACKING)?.try_into()?;
    program.load(tracepoint, btf)?;
    program.attach()?;
    Ok(())
}

fn address_hook(programs: &mut Ebpf, name: &str, root: &File) -> Result<(), Box<dyn Error>> {
    let program: &mut CgroupSockAddr = programs.program_mut(name).ok_or(LACKING)?.try_into()?;
    program.load()?;
    program.attach(root, MODE)?;
    Ok(())
}

fn socket_hook(programs: &mut Ebpf, name: &str, root: &File) -> Result<(), Box<dyn Error>> {
    let program: &mut CgroupSock = programs.program_mut(name).ok_or(LACKING)?.try_into()?;
    program.load()?;
    program.attach(root, MODE)?;
    Ok(())
}

/// As a link, which many programs may have; a link takes no flags.
const MODE: CgroupAttachMode = CgroupAttachMode::Single;
const LACKING: &str = "the eBPF object lacks a program";
