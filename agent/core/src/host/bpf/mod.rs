//! eBPF programs: from an object that was compiled with the crate to attached programs and the ring that they fill.

mod error;
mod memory;
mod ring;

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use aya::programs::{BtfTracePoint, CgroupAttachMode, CgroupSock, CgroupSockAddr, Iter};
use aya::{Btf, Ebpf, EbpfLoader};

pub use error::failed;
pub use ring::Ring;
use ring::WAKE_AFTER;

use crate::memory::give_back;

/// Why objects are empty.
const MISSING: &str = env!("LUYTRE_EBPF_MISSING");
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// include/linux/proc_ns.h: PROC_PID_INIT_INO.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// The reader is woken when so much waits, or a quarter of a smaller ring.
const WAKE_BYTES: u32 = 65_536;
/// As a link, which many programs may have; a link takes no flags.
const MODE: CgroupAttachMode = CgroupAttachMode::Single;

/// The programs of an object. Attached one by one, then made a [`Ring`]. Errors are one line for people.
pub struct Programs {
    programs: Ebpf,
    btf: Btf,
    bytes: u32,
}

impl Programs {
    /// Loads an object with a ring of `bytes`: a power of two of at least a page.
    pub fn load(object: &[u8], bytes: usize) -> io::Result<Self> {
        if object.is_empty() {
            return Err(unsupported(format!("this build carries no eBPF object: {MISSING}")));
        }
        let bytes = u32::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two() && *bytes >= 4096);
        let Some(bytes) = bytes else {
            let reason = "the size of the ring is not a power of two of at least 4096 bytes";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        };
        // The programs give the ids of the initial namespace.
        if fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() != INITIAL_PID_NAMESPACE) {
            let reason = "the agent is not in the host's pid namespace, so process ids would mean other processes";
            return Err(unsupported(reason.into()));
        }
        let btf = Btf::from_sys_fs().map_err(|error| failed(BTF, &error))?;
        raise_memory_lock();
        let programs = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries("RING", bytes)
            .override_global("wake_bytes", &WAKE_BYTES.min(bytes / 4), true)
            .override_global("wake_ns", &(WAKE_AFTER.as_nanos() as u64), true)
            .load(object)
            .map_err(|error| failed("loading the eBPF maps", &error))?;
        Ok(Self { programs, btf, bytes })
    }

    /// Attaches a program to a BTF tracepoint.
    pub fn tracepoint(&mut self, name: &str, tracepoint: &str) -> io::Result<()> {
        let btf = &self.btf;
        attach(&mut self.programs, name, |program: &mut BtfTracePoint| {
            program.load(tracepoint, btf)?;
            program.attach()?;
            Ok(())
        })
        .map_err(|error| failed(&format!("tp_btf/{tracepoint}"), error.as_ref()))
    }

    /// Attaches a program to an address hook (connect, sendmsg) of a cgroup.
    pub fn address_hook(&mut self, name: &str, cgroup: &File) -> io::Result<()> {
        attach(&mut self.programs, name, |program: &mut CgroupSockAddr| {
            program.load()?;
            program.attach(cgroup, MODE)?;
            Ok(())
        })
        .map_err(|error| failed(name, error.as_ref()))
    }

    /// Attaches a program to a socket hook (create, release) of a cgroup.
    pub fn socket_hook(&mut self, name: &str, cgroup: &File) -> io::Result<()> {
        attach(&mut self.programs, name, |program: &mut CgroupSock| {
            program.load()?;
            program.attach(cgroup, MODE)?;
            Ok(())
        })
        .map_err(|error| failed(name, error.as_ref()))
    }

    /// Loads a program that goes over all things of a kind, such as `task_file`, when [`Ring::iterate`] says so.
    pub fn iterator(&mut self, name: &str, kind: &str) -> io::Result<()> {
        let btf = &self.btf;
        attach(&mut self.programs, name, |program: &mut Iter| Ok(program.load(kind, btf)?))
            .map_err(|error| failed(&format!("iter/{kind}"), error.as_ref()))
    }

    /// The ring that the programs fill; they run as long as it lives.
    pub fn ring(self) -> io::Result<Ring> {
        let Self { programs, btf, bytes } = self;
        let ring = Ring::new(programs, bytes as usize);
        drop(btf);
        give_back();
        ring
    }
}

fn attach<'a, P: 'a>(
    programs: &'a mut Ebpf,
    name: &str,
    attach: impl FnOnce(&mut P) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    attach(programs.program_mut(name).ok_or("the eBPF object lacks a program")?.try_into()?)
}

/// Kernels before 5.11 count maps against RLIMIT_MEMLOCK. Where this is refused, loading says why.
fn raise_memory_lock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is ours.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

fn unsupported(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_object_and_a_ring_of_odd_size_are_refused() {
        let refused = |object, bytes| Programs::load(object, bytes).err().expect("refused").to_string();
        assert!(refused(&[], 4096).contains("this build carries no eBPF object"));
        assert!(refused(&[1], 5000).contains("not a power of two"));
    }
}
