//! Socket events, as Python sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::batch::{Sealed, to_python};
use super::known::Process;
use super::microseconds;
use super::shared::{Counting, Shared};
use crate::host::sockets::{Asking, Cutting, Rung, SocketEvents as Core, ports};
use crate::host::{Totals, conntrack, owners};

/// Who owns which end of a conversation: one for the whole agent, given to all who learn of owners or ask for them.
#[pyclass(frozen, module = "luytre_agent._core")]
pub struct Owners(pub Arc<owners::Owners>);

#[pymethods]
impl Owners {
    #[new]
    #[pyo3(signature = (most=57_344))]
    fn new(most: usize) -> Self {
        Self(Arc::new(owners::Owners::new(most)))
    }

    /// Ends that are known now.
    #[getter]
    fn known(&self) -> usize {
        self.0.known()
    }

    /// The process that had the pid at some time between `since_ns` and `until_ns`.
    fn process(&self, pid: u32, since_ns: u64, until_ns: u64) -> Option<Process> {
        self.0.process_then(pid, since_ns, until_ns).map(|process| Process::told(pid, &process))
    }

    /// Whether all process events until then were taken in, or nobody tells of any.
    fn knows_processes(&self, time_ns: u64) -> bool {
        self.0.knows_processes(time_ns)
    }
}

/// Whether addresses may be translated in the agent's network namespace. OSError if the kernel does not tell how.
#[pyfunction]
pub fn translations_heard() -> PyResult<bool> {
    Ok(conntrack::heard_here()?)
}

/// Socket events from the kernel, which also fill `owners`. `rung` is "ebpf" or "sock_diag". OSError or ValueError if it cannot start.
#[pyclass(frozen, module = "luytre_agent._core")]
pub struct SocketEvents(Shared<Worker>);

#[pymethods]
impl SocketEvents {
    #[new]
    #[pyo3(signature = (rung, owners, *, batch_rows=5_000, batch_seconds=0.5, ring_bytes=1_048_576, poll_seconds=0.5,
                        watch_use=true, iterate=true))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        rung: &str,
        owners: Py<Owners>,
        batch_rows: usize,
        batch_seconds: f64,
        ring_bytes: usize,
        poll_seconds: f64,
        watch_use: bool,
        iterate: bool,
    ) -> PyResult<Self> {
        let Some(rung) = Rung::by_name(rung) else {
            return Err(PyValueError::new_err(format!("there is no rung {rung}; give ebpf or sock_diag")));
        };
        if batch_rows == 0 {
            return Err(PyValueError::new_err("batch_rows is 0; give at least 1"));
        }
        let batch_age = Duration::from_micros(microseconds("batch_seconds", batch_seconds)?.unsigned_abs());
        let owners = owners.get().0.clone();
        let every = Duration::from_micros(microseconds("poll_seconds", poll_seconds)?.unsigned_abs());
        let (asking, cutting) =
            (Asking { ring_bytes, uses: watch_use, iterate, every }, Cutting { batch_rows, batch_age });
        let core = py.detach(|| Core::open(rung, asking, cutting, owners))?;
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

    /// What this rung could tell but cannot here, a line each.
    fn lacks(&self, py: Python<'_>) -> Vec<String> {
        self.0.work(py, |worker| worker.core.as_ref().map_or(Vec::new(), |core| core.lacks().to_vec()))
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

/// Transport, address, port, user id; then names, executables and systemd units of the processes that hold it.
type Port = (&'static str, String, u16, u32, Vec<String>, Vec<String>, Vec<String>);

/// The ports at which somebody listens now. OSError where the kernel does not list sockets.
#[pyfunction]
#[pyo3(signature = (proc, namespace=None))]
pub fn listening_ports(py: Python<'_>, proc: PathBuf, namespace: Option<PathBuf>) -> PyResult<Vec<Port>> {
    let ports = py.detach(|| ports::listening(&proc, namespace.as_deref()))?;
    let all = |set: BTreeSet<String>| set.into_iter().collect();
    let port = |one: ports::Port| {
        (one.transport, one.address, one.port, one.uid, all(one.names), all(one.executables), all(one.units))
    };
    Ok(ports.into_iter().map(port).collect())
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
