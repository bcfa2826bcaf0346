//! Live captures, as Python sees them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::batch::{Sealed, to_python};
use super::microseconds;
use super::shared::{Counting, Shared};
use super::sockets::Owners;
use crate::capture::{Ring, RingOptions, Statistics};
use crate::columns;
use crate::engine::join::Join;
use crate::engine::{Config, Engine};
use crate::flow;
use crate::host::namespace::Namespace;

/// Packets of one interface through the decoders and the flow table.
#[pyclass(frozen, module = "luytre_agent._core")]
pub struct LiveCapture(Shared<Live>);

#[pymethods]
impl LiveCapture {
    #[new]
    #[pyo3(signature = (
        interface, *, network_namespace="".to_owned(), exclude=Vec::new(), ring_bytes=4_194_304, snap_length=2048,
        promiscuous=false, inactive_timeout_s=60.0, active_timeout_s=300.0, max_flows=65_536, batch_rows=10_000,
        batch_seconds=1.0, owners=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        interface: String,
        network_namespace: String,
        exclude: Vec<(String, u16)>,
        ring_bytes: usize,
        snap_length: u32,
        promiscuous: bool,
        inactive_timeout_s: f64,
        active_timeout_s: f64,
        max_flows: usize,
        batch_rows: usize,
        batch_seconds: f64,
        owners: Option<Py<Owners>>,
    ) -> PyResult<Self> {
        let flow = flow::Config {
            inactive_timeout: microseconds("inactive_timeout_s", inactive_timeout_s)?,
            active_timeout: microseconds("active_timeout_s", active_timeout_s)?,
            max_flows,
            salt: flow::salt(&[&network_namespace, &interface]),
            ..flow::Config::default()
        };
        let batch_age = Duration::from_micros(microseconds("batch_seconds", batch_seconds)?.unsigned_abs());
        let exclude = exclude.into_iter().map(endpoint).collect::<PyResult<_>>()?;
        let owners = owners.map(|owners| owners.get().0.clone());
        let namespace = if owners.is_some() { Some(Namespace::open(&network_namespace)?) } else { None };
        let options = RingOptions {
            interface: interface.clone(),
            network_namespace,
            ring_bytes,
            snap_length,
            exclude,
            promiscuous,
        };
        let ring = py.detach(|| Ring::open(&options)).map_err(refused)?;
        let mut engine = Engine::new(Config { flow, interface, batch_rows });
        if let Some((owners, namespace)) = owners.clone().zip(namespace) {
            engine.join(Join::new(owners, namespace));
        }
        let live =
            Live { ring: Some(ring), engine, owners, batch_age, oldest: None, statistics: Statistics::default() };
        Ok(Self(Shared::new(live)))
    }

    /// Capture for at most about `timeout_s` seconds; the batches that became full or due.
    fn poll(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<Sealed>> {
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|_| PyValueError::new_err(format!("timeout_s: {timeout_s} is no time to wait")))?;
        let batches = self.0.work(py, |live| live.poll(timeout));
        batches.map(to_python).map_err(PyErr::from)
    }

    /// From now on batches are so old at most, and only so much is looked at; see `Engine::ease`.
    #[pyo3(signature = (*, batch_seconds, details, one_in))]
    fn ease(&self, py: Python<'_>, batch_seconds: f64, details: bool, one_in: u32) -> PyResult<()> {
        let batch_age = Duration::from_micros(microseconds("batch_seconds", batch_seconds)?.unsigned_abs());
        self.0.work(py, |live| {
            live.batch_age = batch_age;
            live.engine.ease(details, one_in);
        });
        Ok(())
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        self.0.counters()
    }

    /// Cut every open flow (end reason `stop`), release the ring, return the last batches.
    fn close(&self, py: Python<'_>) -> Vec<Sealed> {
        to_python(self.0.work(py, Live::close))
    }
}

/// A ring and the engine behind it.
struct Live {
    /// Until it is closed.
    ring: Option<Ring>,
    engine: Engine,
    owners: Option<Arc<crate::host::owners::Owners>>,
    batch_age: Duration,
    /// Since when rows wait for their batch to become full.
    oldest: Option<Instant>,
    statistics: Statistics,
}

impl Live {
    fn poll(&mut self, timeout: Duration) -> io::Result<Vec<columns::Sealed>> {
        let end = Instant::now() + timeout.min(Duration::from_secs(3600));
        let Some(ring) = &mut self.ring else { return Ok(Vec::new()) };
        loop {
            let left = end.saturating_duration_since(Instant::now()).min(self.batch_age);
            self.engine.tend(wall_clock());
            // Rounded up: the last part of a millisecond would be a busy wait.
            let left_ms = left.as_micros().div_ceil(1000) as i32;
            let frames = ring.poll(left_ms, |frame| self.engine.frame(frame))?;
            if frames == 0 {
                self.engine.advance(wall_clock());
            }
            let mut batches = self.engine.full_batches();
            if !self.engine.has_rows() {
                self.oldest = None;
            } else if self.oldest.get_or_insert_with(Instant::now).elapsed() >= self.batch_age {
                self.oldest = None;
                batches.extend(self.engine.all_batches());
            }
            if !batches.is_empty() || Instant::now() >= end {
                self.statistics = ring.statistics()?;
                return Ok(batches);
            }
        }
    }

    fn close(&mut self) -> Vec<columns::Sealed> {
        if let Some(mut ring) = self.ring.take() {
            // What was captured counts. An interface that is gone has nothing left to say.
            let _ = ring.finish(|frame| self.engine.frame(frame));
            self.statistics = ring.statistics().unwrap_or(self.statistics);
        }
        // The last sockets may not have been told of yet.
        if let Some(owners) = &self.owners {
            owners.settle(Duration::from_millis(400));
        }
        self.engine.tend(wall_clock());
        self.engine.close()
    }
}

impl Counting for Live {
    fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = self.engine.counters();
        counters.insert("kernel_packets".to_owned(), self.statistics.packets);
        counters.insert("kernel_dropped".to_owned(), self.statistics.dropped);
        counters.insert("kernel_freezes".to_owned(), self.statistics.freezes);
        counters
    }
}

/// Microseconds since 1970-01-01 UTC, the clock by which the kernel stamps frames.
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn endpoint((host, port): (String, u16)) -> PyResult<(IpAddr, u16)> {
    match host.parse() {
        Ok(address) => Ok((address, port)),
        Err(_) => Err(PyValueError::new_err(format!("exclude: {host} is not an IP address"))),
    }
}

/// Options out of range are ValueError, everything else OSError.
fn refused(error: io::Error) -> PyErr {
    match error.kind() {
        io::ErrorKind::InvalidInput => PyValueError::new_err(error.to_string()),
        _ => error.into(),
    }
}
