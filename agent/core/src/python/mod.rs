//! The Python face of the core. `luytre_agent/_core.pyi` says what it is; everything else in the crate knows no Python.

mod batch;
mod rows;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::batch::{Sealed, to_json_lines};
    #[pymodule_export]
    use super::rows::TableBuilder;
}
