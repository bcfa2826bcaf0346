//! Rows from Python sources: a mapping of column names to values.

use std::net::{IpAddr, Ipv4Addr};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyMapping, PyString};

use super::batch::Sealed;
use crate::columns::Kind;
use crate::columns::Table;
use crate::columns::dynamic::{NamedBuilder, Refused, Value, wanted};

/// Rows of one table from Python. ValueError for an unknown table or column or a value out of range.
#[pyclass(module = "luytre_agent._core")]
pub struct TableBuilder(NamedBuilder);

#[pymethods]
impl TableBuilder {
    #[new]
    fn new(table: &str) -> PyResult<Self> {
        match Table::by_name(table) {
            Some(table) => Ok(Self(NamedBuilder::new(table))),
            None => Err(PyValueError::new_err(format!("there is no table {table} that agents send"))),
        }
    }

    #[getter]
    fn rows(&self) -> usize {
        self.0.builder.rows()
    }

    /// Add a row; columns that are not given are the type's zero. Nothing is added if a value is refused.
    fn append(&mut self, row: &Bound<'_, PyMapping>) -> PyResult<()> {
        if self.0.builder.is_full(MOST_ROWS) {
            return Err(PyValueError::new_err(format!("table {}: the builder is full; seal it", self.0.table().name)));
        }
        let mut values = Vec::with_capacity(row.len()?);
        for item in row.items()? {
            let (name, value): (String, Bound<'_, PyAny>) = item.extract()?;
            let (index, kind) = self.0.kind(&name).map_err(refused)?;
            let value = convert(kind, &value).map_err(|reason| {
                PyValueError::new_err(format!("table {}: column {name}: {reason}", self.0.table().name))
            })?;
            values.push((index, value));
        }
        self.0.append(values).map_err(refused)
    }

    /// The rows so far as a batch body, and an empty builder; None if there were none.
    fn seal(&mut self) -> Option<Sealed> {
        self.0.builder.seal().map(Sealed)
    }
}

/// As many rows as a batch may have (`ingest.proto`).
const MOST_ROWS: usize = 200_000;

fn refused(refusal: Refused) -> PyErr {
    PyValueError::new_err(refusal.0)
}

fn convert(kind: Kind, value: &Bound<'_, PyAny>) -> Result<Value, String> {
    let wants = || format!("wants {}", wanted(kind));
    match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::I32 | Kind::Time => integer(value).ok_or_else(wants),
        Kind::Ip => address(value).map(Value::Ip).ok_or_else(wants),
        Kind::Text | Kind::Name => text(value).map(Value::Text).ok_or_else(wants),
        Kind::Texts => list(value, text).map(Value::Texts).ok_or_else(wants),
        Kind::U32s => list(value, |item| item.extract().ok()).map(Value::U32s).ok_or_else(wants),
    }
}

/// An integer; one beyond 128 bits is as far out of every range as the largest.
fn integer(value: &Bound<'_, PyAny>) -> Option<Value> {
    if !value.is_instance_of::<PyInt>() {
        return None;
    }
    let number = value.extract::<i64>().map(i128::from).or_else(|_| value.extract::<i128>());
    Some(Value::Integer(number.unwrap_or(i128::MAX)))
}

/// A string; lone surrogates, as `os.fsdecode` makes them, become U+FFFD.
fn text(value: &Bound<'_, PyAny>) -> Option<String> {
    value.cast::<PyString>().ok().map(|text| text.to_string_lossy().into_owned())
}

fn address(value: &Bound<'_, PyAny>) -> Option<[u8; 16]> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        let four =
            <[u8; 4]>::try_from(bytes.as_bytes()).ok().map(|four| Ipv4Addr::from(four).to_ipv6_mapped().octets());
        return four.or_else(|| bytes.as_bytes().try_into().ok());
    }
    match text(value)?.parse().ok()? {
        IpAddr::V4(four) => Some(four.to_ipv6_mapped().octets()),
        IpAddr::V6(six) => Some(six.octets()),
    }
}

fn list<T>(value: &Bound<'_, PyAny>, one: impl Fn(&Bound<'_, PyAny>) -> Option<T>) -> Option<Vec<T>> {
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        return None;
    }
    value.try_iter().ok()?.map(|item| item.ok().and_then(|item| one(&item))).collect()
}
