//! Process events, as Python sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::batch::{Sealed, to_python};
use super::microseconds;
use super::shared::{Counting, Shared};
use super::sockets::Owners;
use crate::host::{ProcessEvents as Core, Rung, Settings, Totals};

/// exec and exit events from the kernel. `rung` is "ebpf", "audit", "cn_proc" or "proc". OSError or ValueError if it cannot start.
#[pyclass(frozen, module = "luytre_agent._core")]
pub struct ProcessEvents(Shared<Worker>);

#[pymethods]
impl ProcessEvents {
    #[new]
    #[pyo3(signature = (rung, *, batch_rows=5_000, batch_seconds=0.5, ring_bytes=2_097_152, seed=true, forks=false,
                        hashes=true, ptrace=true, interval_seconds=1.0, owners=None))]
    #[allow(clippy::too_many_arguments)] // keywords in Python
    fn new(
        py: Python<'_>,
        rung: &str,
        batch_rows: usize,
        batch_seconds: f64,
        ring_bytes: usize,
        seed: bool,
        forks: bool,
        hashes: bool,
        ptrace: bool,
        interval_seconds: f64,
        owners: Option<Py<Owners>>,
    ) -> PyResult<Self> {
        let owners = owners.map(|owners| owners.get().0.clone());
        let Some(rung) = Rung::by_name(rung) else {
            return Err(PyValueError::new_err(format!("there is no rung {rung}; give ebpf, audit, cn_proc or proc")));
        };
        if batch_rows == 0 {
            return Err(PyValueError::new_err("batch_rows is 0; give at least 1"));
        }
        let batch_age = Duration::from_micros(microseconds("batch_seconds", batch_seconds)?.unsigned_abs());
        let interval = Duration::from_micros(microseconds("interval_seconds", interval_seconds)?.unsigned_abs());
        let settings = Settings { batch_rows, batch_age, ring_bytes, interval, ptrace, seed, forks, digests: hashes };
        let core = py.detach(|| Core::open(rung, settings, owners))?;
        Ok(Self(Shared::new(Worker { core: Some(core), last: Totals::default() })))
    }

    /// Works for at most about `timeout_s`; the batches that became full or due. None after `close`.
    fn poll(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<Sealed>> {
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|error| PyValueError::new_err(format!("timeout_s: {error}")))?;
        let batches = self.0.work(py, |worker| worker.core.as_mut().map_or(Ok(Vec::new()), |core| core.poll(timeout)));
        Ok(to_python(batches?))
    }

    /// From now on batches are so old at most.
    fn ease(&self, py: Python<'_>, batch_seconds: f64) -> PyResult<()> {
        let batch_age = Duration::from_micros(microseconds("batch_seconds", batch_seconds)?.unsigned_abs());
        self.0.work(py, |worker| {
            if let Some(core) = &mut worker.core {
                core.set_batch_age(batch_age);
            }
        });
        Ok(())
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        self.0.counters()
    }

    /// What people should know about the rung, each a phrase. Nothing after `close`.
    fn notes(&self, py: Python<'_>) -> Vec<String> {
        self.0.work(py, |worker| worker.core.as_ref().map_or_else(Vec::new, Core::notes))
    }

    /// Detaches from the kernel; the last batches.
    fn close(&self, py: Python<'_>) -> PyResult<Vec<Sealed>> {
        let batches = self.0.work(py, |worker| {
            let Some(core) = worker.core.take() else { return Ok(Vec::new()) };
            let (batches, totals) = core.close()?;
            worker.last = totals;
            Ok::<_, std::io::Error>(batches)
        });
        Ok(to_python(batches?))
    }
}

/// The core until it is closed, and then its last counters.
struct Worker {
    core: Option<Core>,
    last: Totals,
}

impl Counting for Worker {
    fn counters(&self) -> BTreeMap<String, u64> {
        let totals = self.core.as_ref().map_or_else(|| self.last.clone(), Core::counters);
        totals.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }
}
