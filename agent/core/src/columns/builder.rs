//! Rows in, the body of a batch out.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use super::values::Values;
use super::{Column, Sealed, Table, ipc};

/// A batch body is at most 64 MiB before compression (`ingest.proto`); a builder asks to be sealed well before.
const FULL_BYTES: usize = 16 << 20;

/// Collects rows of one table.
///
/// A row is one push per column, in any order, by the method of the column's kind, and then [`TableBuilder::end_row`].
/// The generated row structs of `schema` do that. A push to a column of another kind is a fault of the program: it panics.
pub struct TableBuilder {
    table: &'static Table,
    schema: SchemaRef,
    columns: Vec<Values>,
    encoder: ipc::Encoder,
    rows: usize,
    /// Bytes of strings pushed, repeated ones too: what can make a batch too large.
    text_bytes: usize,
    first_event: i64,
    last_event: i64,
}

macro_rules! push {
    ($($(#[$note:meta])* $name:ident: $type:ty => $variant:ident;)*) => {
        $(
            $(#[$note])*
            #[inline]
            pub fn $name(&mut self, column: usize, value: $type) {
                match &mut self.columns[column] {
                    Values::$variant(store) => store.items.push(value),
                    _ => self.mismatch(column),
                }
            }
        )*
    };
}

impl TableBuilder {
    pub fn new(table: &'static Table) -> Self {
        Self {
            table,
            schema: ipc::schema(table),
            columns: table.agent_columns().map(|column| Values::new(column.kind)).collect(),
            encoder: ipc::Encoder::new(),
            rows: 0,
            text_bytes: 0,
            first_event: i64::MAX,
            last_event: i64::MIN,
        }
    }

    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Rows since the last seal.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether it is time to seal: `rows` reached, or so much text that the body would become too large.
    pub fn is_full(&self, rows: usize) -> bool {
        self.rows >= rows || self.text_bytes >= FULL_BYTES
    }

    push! {
        u8: u8 => U8;
        u16: u16 => U16;
        u32: u32 => U32;
        u64: u64 => U64;
        i32: i32 => I32;
    }

    /// Microseconds since 1970-01-01 UTC.
    #[inline]
    pub fn time(&mut self, column: usize, value: i64) {
        match &mut self.columns[column] {
            Values::Time(store) => store.items.push(value),
            _ => self.mismatch(column),
        }
        if column == self.table.event_time {
            self.first_event = self.first_event.min(value);
            self.last_event = self.last_event.max(value);
        }
    }

    /// 16 bytes in network order, IPv4 as `::ffff:a.b.c.d`.
    #[inline]
    pub fn ip(&mut self, column: usize, value: [u8; 16]) {
        match &mut self.columns[column] {
            Values::Ip(store) => store.items.extend_from_slice(&value),
            _ => self.mismatch(column),
        }
    }

    pub fn text(&mut self, column: usize, value: &str) {
        self.text_bytes += value.len();
        match &mut self.columns[column] {
            Values::Text(strings) => strings.push(value),
            _ => self.mismatch(column),
        }
    }

    #[inline]
    pub fn name(&mut self, column: usize, value: &str) {
        self.text_bytes += value.len();
        match &mut self.columns[column] {
            Values::Name(store, dictionary) => {
                let number = dictionary.number(value);
                store.items.push(number);
            }
            _ => self.mismatch(column),
        }
    }

    pub fn texts(&mut self, column: usize, value: &[String]) {
        self.text_bytes += value.iter().map(String::len).sum::<usize>();
        match &mut self.columns[column] {
            Values::Texts(ends, strings) => Values::texts(ends, strings, value),
            _ => self.mismatch(column),
        }
    }

    pub fn u32s(&mut self, column: usize, value: &[u32]) {
        match &mut self.columns[column] {
            Values::U32s(ends, items) => Values::u32s(ends, items, value),
            _ => self.mismatch(column),
        }
    }

    /// Completes a row. Every column must have been pushed exactly once since the last.
    #[inline]
    pub fn end_row(&mut self) {
        self.rows += 1;
        debug_assert!(
            self.columns.iter().all(|values| values.rows() == self.rows),
            "a column was not pushed exactly once"
        );
    }

    /// The rows so far as the body of a batch; `None` if there are none. The builder is empty afterwards and keeps its
    /// memory.
    pub fn seal(&mut self) -> Option<Sealed> {
        if self.rows == 0 {
            return None;
        }
        let batch = self.batch().expect("every column was pushed once per row");
        let (body, raw_size) = self.encoder.encode(&self.schema, &batch);
        drop(batch);
        self.columns.iter_mut().for_each(Values::reclaim);
        let sealed = Sealed {
            table: self.table.name,
            rows: self.rows as u32,
            first_event: self.first_event,
            last_event: self.last_event,
            raw_size: u32::try_from(raw_size).unwrap_or(u32::MAX),
            body,
        };
        self.rows = 0;
        self.text_bytes = 0;
        self.first_event = i64::MAX;
        self.last_event = i64::MIN;
        Some(sealed)
    }

    fn batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let arrays = self.columns.iter_mut().map(Values::array).collect::<Result<_, _>>()?;
        RecordBatch::try_new(self.schema.clone(), arrays)
    }

    fn column(&self, index: usize) -> Option<&'static Column> {
        self.table.agent_columns().nth(index)
    }

    #[cold]
    fn mismatch(&self, column: usize) -> ! {
        panic!("table {}: column {:?} was pushed by the method of another kind", self.table.name, self.column(column))
    }
}
