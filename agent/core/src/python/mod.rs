//! The Python face of the core. `luytre_agent/_core.pyi` says what it is; everything else in the crate knows no Python.

mod batch;
mod known;
mod live;
mod processes;
mod redact;
mod replay;
mod rows;
mod shared;
mod signature;
mod signing_request;
mod sockets;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::batch::{Sealed, to_json_lines};
    #[pymodule_export]
    use super::known::{Process, read_process};
    #[pymodule_export]
    use super::live::LiveCapture;
    #[pymodule_export]
    use super::processes::ProcessEvents;
    #[pymodule_export]
    use super::redact::{check_patterns, redact, redaction_counts, set_redaction};
    #[pymodule_export]
    use super::replay::{FileReplay, read_only_count};
    #[pymodule_export]
    use super::rows::TableBuilder;
    #[pymodule_export]
    use super::signature::verify_ed25519;
    #[pymodule_export]
    use super::signing_request::{new_key, new_signing_request};
    #[pymodule_export]
    use super::sockets::{Owners, SocketEvents, listening_ports, translations_heard};
}

/// Seconds of a setting as microseconds. ValueError, naming the setting, if they are not positive or beyond a year.
fn microseconds(name: &str, seconds: f64) -> PyResult<i64> {
    const YEAR: f64 = 365.0 * 86_400.0;
    if seconds > 0.0 && seconds <= YEAR {
        return Ok((seconds * 1e6).ceil() as i64);
    }
    Err(PyValueError::new_err(format!("{name}: {seconds} is not above 0 and at most {YEAR} seconds")))
}
