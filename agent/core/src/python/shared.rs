//! What one thread works with while others ask how it goes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

/// Something that counts.
pub trait Counting: Send {
    fn counters(&self) -> BTreeMap<String, u64>;
}

/// A worker behind a lock. Long calls release the GIL; `counters` never waits for them.
pub struct Shared<T> {
    worker: Mutex<T>,
    /// As of the end of the last call.
    counters: Mutex<BTreeMap<String, u64>>,
}

impl<T: Counting> Shared<T> {
    pub fn new(worker: T) -> Self {
        Self { counters: Mutex::new(worker.counters()), worker: Mutex::new(worker) }
    }

    /// Lets the worker work without the GIL.
    pub fn work<R: Send>(&self, py: Python<'_>, job: impl FnOnce(&mut T) -> R + Send) -> R {
        py.detach(|| {
            let mut worker = lock(&self.worker);
            let result = job(&mut worker);
            *lock(&self.counters) = worker.counters();
            result
        })
    }

    /// The counters now, or while the worker works, as of the end of its last call.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        lock(&self.counters).clone()
    }
}

/// A panic of another thread leaves counters that are still true enough to read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
