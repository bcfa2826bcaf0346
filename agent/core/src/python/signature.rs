//! Signatures, as Python sees them.

use pyo3::prelude::*;

use crate::signature::verify;

/// Whether `signature` is that of `message` by `key` (Ed25519).
#[pyfunction]
pub fn verify_ed25519(py: Python<'_>, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    py.detach(|| verify(key, message, signature))
}
