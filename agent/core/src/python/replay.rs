//! Capture files, as Python sees them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use super::batch::{Sealed, to_python};
use super::microseconds;
use super::shared::{Counting, Shared};
use crate::capture::{CaptureError, FileReader, count};
use crate::engine::{Config, Engine};
use crate::flow;

/// A capture file through the decoders and the flow table, on the file's own clock.
#[pyclass(frozen, module = "luytre_agent._core")]
pub struct FileReplay(Shared<Replay>);

#[pymethods]
impl FileReplay {
    #[new]
    #[pyo3(signature = (path, *, inactive_timeout_s=60.0, active_timeout_s=300.0, max_flows=1_048_576, batch_rows=10_000))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        inactive_timeout_s: f64,
        active_timeout_s: f64,
        max_flows: usize,
        batch_rows: usize,
    ) -> PyResult<Self> {
        let interface = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let flow = flow::Config {
            inactive_timeout: microseconds("inactive_timeout_s", inactive_timeout_s)?,
            active_timeout: microseconds("active_timeout_s", active_timeout_s)?,
            max_flows,
            ..flow::Config::default()
        };
        let reader = py.detach(|| FileReader::open_until(&path, on_signal));
        let reader = reader.map_err(|error| raised().unwrap_or_else(|| refused(error)))?;
        let engine = Engine::new(Config { flow, interface, batch_rows });
        Ok(Self(Shared::new(Replay { reader: Some(reader), engine, fault: String::new(), skipped: 0 })))
    }

    /// Read on; the batches that became full. A truncated or corrupt record ends the file: see `fault`.
    fn read(&self, py: Python<'_>, max_packets: usize) -> PyResult<Vec<Sealed>> {
        let batches = self.0.work(py, |replay| {
            replay.read(max_packets);
            replay.engine.full_batches()
        });
        raised().map_or_else(|| Ok(to_python(batches)), Err)
    }

    #[getter]
    fn finished(&self, py: Python<'_>) -> bool {
        self.0.work(py, |replay| replay.reader.is_none())
    }

    /// What was wrong with the file, naming the byte; empty if nothing.
    #[getter]
    fn fault(&self, py: Python<'_>) -> String {
        self.0.work(py, |replay| replay.fault.clone())
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        self.0.counters()
    }

    /// Cut every open flow (end reason `stop`), return the last batches.
    fn close(&self, py: Python<'_>) -> Vec<Sealed> {
        to_python(self.0.work(py, |replay| {
            replay.finish();
            replay.engine.close()
        }))
    }
}

/// A file that is being read, and the engine behind it.
struct Replay {
    /// Until the end of the file.
    reader: Option<FileReader>,
    engine: Engine,
    fault: String,
    skipped: u64,
}

impl Replay {
    fn read(&mut self, max_packets: usize) {
        let Some(reader) = &mut self.reader else { return };
        for _ in 0..max_packets {
            match reader.next() {
                Ok(Some(frame)) => self.engine.frame(&frame),
                Ok(None) => return self.finish(),
                Err(error) => {
                    self.fault = error.to_string();
                    return self.finish();
                }
            }
        }
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.skipped = reader.skipped();
        }
    }
}

impl Counting for Replay {
    fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = self.engine.counters();
        let skipped = self.reader.as_ref().map_or(self.skipped, FileReader::skipped);
        counters.insert("unknown_link".to_owned(), skipped);
        counters.insert("file_faults".to_owned(), u64::from(!self.fault.is_empty()));
        counters
    }
}

/// Packets and bytes of a capture file, only read, not decoded: the floor that benchmarks compare with.
#[pyfunction]
pub fn read_only_count(py: Python<'_>, path: PathBuf) -> PyResult<(u64, u64)> {
    py.detach(|| count(path)).map_err(refused)
}

/// What a signal's handler raised (KeyboardInterrupt) while a file made us wait.
static RAISED: Mutex<Option<PyErr>> = Mutex::new(None);

/// Lets Python handle a signal.
fn on_signal() -> io::Result<()> {
    Python::attach(|py| py.check_signals()).map_err(|error| {
        *RAISED.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        io::Error::from_raw_os_error(libc::ECANCELED)
    })
}

fn raised() -> Option<PyErr> {
    RAISED.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The system's faults are OSError with its number, those of the content ValueError.
fn refused(error: CaptureError) -> PyErr {
    match error.system() {
        Some(system) => PyOSError::new_err((
            system.raw_os_error().unwrap_or_default(),
            system_reason(system),
            error.path.display().to_string(),
        )),
        None => PyValueError::new_err(error.to_string()),
    }
}

/// What the system says, without the number, which Python shows by itself.
fn system_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
