//! Columns: what a table is, and the builder that turns rows into the body of a batch.
//!
//! A [`TableBuilder`] collects rows column by column; [`TableBuilder::seal`] makes of them one Arrow IPC stream in one
//! zstd frame, which is what the wire carries and what [`json`] can print.

mod builder;
pub mod community;
mod dictionary;
pub mod dynamic;
mod ipc;
pub mod json;
mod store;
mod values;

pub use builder::TableBuilder;
pub use ipc::open;

/// The type of a column; the same as `Kind` in `luytre_common.schema.model`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    U8,
    U16,
    U32,
    U64,
    I32,
    /// Microseconds since 1970-01-01 UTC.
    Time,
    /// 16 bytes, network order; IPv4 mapped.
    Ip,
    Text,
    /// Dictionary-coded text.
    Name,
    Texts,
    U32s,
}

/// Who fills a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Agent,
    Collector,
    Sql,
}

/// One column of a table.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub maker: Maker,
}

/// One table. `event_time` is an index into the columns made by the agent.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub event_time: usize,
    pub columns: &'static [Column],
}

impl Table {
    /// The columns that a batch body carries, in order.
    pub fn agent_columns(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| column.maker == Maker::Agent)
    }

    /// The table of this name, if agents send one.
    pub fn by_name(name: &str) -> Option<&'static Table> {
        crate::schema::TABLES.iter().copied().find(|table| table.name == name)
    }
}

/// The body of a batch: one Arrow IPC stream, compressed by zstd.
#[derive(Clone, Debug)]
pub struct Sealed {
    pub table: &'static str,
    pub rows: u32,
    /// Smallest and largest event time, microseconds.
    pub first_event: i64,
    pub last_event: i64,
    /// Bytes before compression.
    pub raw_size: u32,
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests;
