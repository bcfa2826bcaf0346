//! What is known of one process, as Python sees it.

use std::fs;
use std::sync::OnceLock;

use pyo3::prelude::*;

use crate::host::event::{Image, NO_USER};
use crate::host::procfs::Procfs;
use crate::host::table::{self, entity};
use crate::host::{cgroup::Place, redact};

/// A process: who it is, and what it runs. Its command line is redacted.
#[pyclass(frozen, get_all, module = "luytre_agent._core")]
pub struct Process {
    pid: u32,
    entity_id: u64,
    name: String,
    executable: String,
    command_line: String,
    user_id: u32,
    systemd_unit: String,
    container_id: String,
}

impl Process {
    /// As the process events told of it.
    pub fn told(pid: u32, process: &table::Process) -> Self {
        let (name, image) = (&process.program.name, &process.program.image);
        let user = process.identity.map(|identity| identity.uid);
        Self::new(pid, process.entity, name, image, user, process.place.as_deref())
    }

    fn new(pid: u32, entity_id: u64, name: &str, image: &Image, user: Option<u32>, place: Option<&Place>) -> Self {
        Self {
            pid,
            entity_id,
            name: name.to_owned(),
            executable: image.executable.clone(),
            command_line: image.command_line.clone(),
            user_id: user.unwrap_or(NO_USER),
            systemd_unit: place.map_or_else(String::new, |place| place.unit.clone()),
            container_id: place.map_or_else(String::new, |place| place.container.clone()),
        }
    }
}

/// The process as /proc shows it now, with the texts that can be read; None if it is gone.
#[pyfunction]
pub fn read_process(py: Python<'_>, pid: u32) -> Option<Process> {
    static PROC: OnceLock<(Procfs, String)> = OnceLock::new();
    py.detach(|| {
        let (procfs, boot_id) = PROC.get_or_init(|| {
            let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            (Procfs::new("/proc"), boot_id.trim().to_owned())
        });
        let mut seen = procfs.read(pid)?;
        redact::current().image(&mut seen.image);
        let entity_id = if boot_id.is_empty() { 0 } else { entity(boot_id, pid, procfs.ticks(seen.start)) };
        let place = procfs.place(pid).map(|(place, ..)| place);
        let user = seen.identity.map(|identity| identity.uid);
        Some(Process::new(pid, entity_id, &seen.name, &seen.image, user, place.as_ref()))
    })
}
