//! Columns: what a table is, and the builder that turns rows into the body of a batch.

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

/// Collects rows of one table.
pub struct TableBuilder {}

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
