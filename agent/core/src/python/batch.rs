//! Sealed batches, as Python sees them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::columns;

/// The body of a batch: one zstd frame around one Arrow IPC stream.
#[pyclass(frozen, module = "luytre_agent._core")]
pub struct Sealed(pub columns::Sealed);

#[pymethods]
impl Sealed {
    #[getter]
    fn table(&self) -> &'static str {
        self.0.table
    }

    #[getter]
    fn rows(&self) -> u32 {
        self.0.rows
    }

    #[getter]
    fn first_event(&self) -> i64 {
        self.0.first_event
    }

    #[getter]
    fn last_event(&self) -> i64 {
        self.0.last_event
    }

    #[getter]
    fn raw_size(&self) -> u32 {
        self.0.raw_size
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    fn __repr__(&self) -> String {
        format!("<Sealed {} rows={} bytes={}>", self.0.table, self.0.rows, self.0.body.len())
    }
}

/// Batches from the core, for a Python list.
pub fn to_python(batches: Vec<columns::Sealed>) -> Vec<Sealed> {
    batches.into_iter().map(Sealed).collect()
}

/// One JSON object per row and line: `table`, then every column of the schema in order, aliases included.
#[pyfunction]
#[pyo3(signature = (batch, first_sequence=0))]
pub fn to_json_lines<'py>(py: Python<'py>, batch: &Sealed, first_sequence: u64) -> PyResult<Bound<'py, PyBytes>> {
    let lines = py.detach(|| columns::json::to_json_lines(&batch.0, first_sequence));
    lines.map(|lines| PyBytes::new(py, &lines)).map_err(|error| PyValueError::new_err(error.to_string()))
}
