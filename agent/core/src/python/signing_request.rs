//! Keys and signing requests, as Python sees them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::signing_request;

/// A P-256 key (PKCS #8 PEM) of 32 random bytes. ValueError if they make none: draw others.
#[pyfunction]
pub fn new_key(entropy: [u8; signing_request::ENTROPY_BYTES]) -> PyResult<String> {
    signing_request::new_key(&entropy).ok_or_else(|| PyValueError::new_err("these bytes make no key"))
}

/// The request, DER, that the key be certified under a name. ValueError if the key is none, or the name too long.
#[pyfunction(name = "signing_request")]
pub fn new_signing_request(key: &str, name: &str) -> PyResult<Vec<u8>> {
    signing_request::signing_request(key, name).map_err(PyValueError::new_err)
}
