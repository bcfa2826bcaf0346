//! Process events, as Python sees them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::batch::Sealed;
use crate::host::{ProcessEvents as Core, Rung, Settings};

type Counters = HashMap<&'static str, u64>;

/// exec and exit events from the kernel. `rung` is "ebpf" or "cn_proc". OSError or ValueError if it cannot start.
#[pyclass(frozen, module = "luytre_agent._core")]
pub struct ProcessEvents {
    /// None once closed.
    core: Mutex<Option<Core>>,
    /// As of the last poll, for whoever asks while another thread polls.
    counters: Mutex<Counters>,
}

#[pymethods]
impl ProcessEvents {
    #[new]
    #[pyo3(signature = (rung, *, batch_rows=5_000, batch_seconds=0.5, ring_bytes=8_388_608))]
    fn new(py: Python<'_>, rung: &str, batch_rows: usize, batch_seconds: f64, ring_bytes: usize) -> PyResult<Self> {
        let Some(rung) = Rung::by_name(rung) else {
            return Err(PyValueError::new_err(format!("there is no rung {rung}; give ebpf or cn_proc")));
        };
        if batch_rows == 0 {
            return Err(PyValueError::new_err("batch_rows is 0; give at least 1"));
        }
        let settings = Settings { batch_rows, batch_age: seconds("batch_seconds", batch_seconds)?, ring_bytes };
        let mut core = py.detach(|| Core::open(rung, settings))?;
        let counters = core.counters().into_iter().collect();
        Ok(Self { core: Mutex::new(Some(core)), counters: Mutex::new(counters) })
    }

    fn poll(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<Sealed>> {
        let timeout = seconds("timeout_s", timeout_s)?;
        let batches = py.detach(|| {
            let mut core = lock(&self.core);
            let core = core.as_mut().ok_or_else(closed)?;
            let batches = core.poll(timeout);
            *lock(&self.counters) = core.counters().into_iter().collect();
            batches.map_err(PyErr::from)
        })?;
        Ok(batches.into_iter().map(Sealed).collect())
    }

    fn counters(&self, py: Python<'_>) -> Counters {
        py.detach(|| {
            if let Ok(mut core) = self.core.try_lock()
                && let Some(core) = core.as_mut()
            {
                *lock(&self.counters) = core.counters().into_iter().collect();
            }
            lock(&self.counters).clone()
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<Vec<Sealed>> {
        let batches = py.detach(|| {
            let core = lock(&self.core).take().ok_or_else(closed)?;
            let (batches, counters) = core.close()?;
            *lock(&self.counters) = counters.into_iter().collect();
            Ok::<_, PyErr>(batches)
        })?;
        Ok(batches.into_iter().map(Sealed).collect())
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("the process events are closed")
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
