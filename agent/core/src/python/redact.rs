//! Redaction, as Python sees it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::host::redact::{Redactor, current, set_current};

/// The text without passwords, tokens and keys, by the redaction of this process.
#[pyfunction]
pub fn redact(text: &str) -> String {
    current().text(text).into_owned()
}

/// Sets the redaction of this process, for sources that are opened from now on.
#[pyfunction]
#[pyo3(signature = (*, enabled=true, patterns=Vec::new()))]
pub fn set_redaction(enabled: bool, patterns: Vec<String>) -> PyResult<()> {
    set_current(redactor(enabled, &patterns)?);
    Ok(())
}

/// ValueError if one of the patterns is none.
#[pyfunction]
pub fn check_patterns(patterns: Vec<String>) -> PyResult<()> {
    redactor(true, &patterns).map(|_| ())
}

/// Texts looked at by the present redaction, and texts or arguments in which it found something.
#[pyfunction]
pub fn redaction_counts() -> (u64, u64) {
    current().counts()
}

fn redactor(enabled: bool, patterns: &[String]) -> PyResult<Redactor> {
    Redactor::new(enabled, patterns).map_err(PyValueError::new_err)
}
