//! Rows by column name, for sources that are not written in Rust.

use std::fmt;

use super::{Kind, Maker, Table, TableBuilder};

/// A value of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// For every integer kind and [`Kind::Time`] (microseconds since 1970-01-01 UTC).
    Integer(i128),
    /// 16 bytes, network order; IPv4 mapped.
    Ip([u8; 16]),
    Text(String),
    Texts(Vec<String>),
    U32s(Vec<u32>),
}

/// Why a value was refused, as one line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A builder with the names of its columns.
pub struct NamedBuilder {
    pub builder: TableBuilder,
    row: Vec<Option<Value>>,
}

impl NamedBuilder {
    pub fn new(table: &'static Table) -> Self {
        Self { builder: TableBuilder::new(table), row: vec![None; table.agent_columns().count()] }
    }

    pub fn table(&self) -> &'static Table {
        self.builder.table()
    }

    /// The kind of a column that rows may give, by its name.
    pub fn kind(&self, name: &str) -> Result<(usize, Kind), Refused> {
        let table = self.builder.table();
        if let Some((index, column)) = table.agent_columns().enumerate().find(|(_, column)| column.name == name) {
            return Ok((index, column.kind));
        }
        Err(Refused(match table.columns.iter().find(|column| column.name == name) {
            Some(column) if column.maker == Maker::Sql => {
                format!("table {}: column {name} is computed by SQL, not given", table.name)
            }
            Some(_) => format!("table {}: column {name} is made by the collector, not given", table.name),
            None => format!("table {}: there is no column {name}", table.name),
        }))
    }

    /// Appends a row; columns that are not named get the kind's zero. Nothing is added if a value is refused.
    pub fn append(&mut self, values: impl IntoIterator<Item = (usize, Value)>) -> Result<(), Refused> {
        self.row.fill(None);
        let table = self.builder.table();
        for (index, value) in values {
            let column = table
                .agent_columns()
                .nth(index)
                .ok_or_else(|| Refused(format!("table {}: no column {index}", table.name)))?;
            check(column.kind, &value)
                .map_err(|reason| Refused(format!("table {}: column {}: {reason}", table.name, column.name)))?;
            self.row[index] = Some(value);
        }
        for (index, column) in table.agent_columns().enumerate() {
            push(&mut self.builder, index, column.kind, self.row[index].take());
        }
        self.builder.end_row();
        Ok(())
    }
}

fn check(kind: Kind, value: &Value) -> Result<(), String> {
    let range = match kind {
        Kind::U8 => 0..=i128::from(u8::MAX),
        Kind::U16 => 0..=i128::from(u16::MAX),
        Kind::U32 => 0..=i128::from(u32::MAX),
        Kind::U64 => 0..=i128::from(u64::MAX),
        Kind::I32 => i128::from(i32::MIN)..=i128::from(i32::MAX),
        Kind::Time => i128::from(i64::MIN)..=i128::from(i64::MAX),
        Kind::Ip if matches!(value, Value::Ip(_)) => return Ok(()),
        Kind::Text | Kind::Name if matches!(value, Value::Text(_)) => return Ok(()),
        Kind::Texts if matches!(value, Value::Texts(_)) => return Ok(()),
        Kind::U32s if matches!(value, Value::U32s(_)) => return Ok(()),
        _ => return Err(format!("wants {}", wanted(kind))),
    };
    match value {
        Value::Integer(number) if range.contains(number) => Ok(()),
        Value::Integer(number) => Err(format!("{number} is out of range, {} to {}", range.start(), range.end())),
        _ => Err(format!("wants {}", wanted(kind))),
    }
}

/// What a kind takes, in words.
pub fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::I32 => "an integer",
        Kind::Time => "an integer: microseconds since 1970 UTC",
        Kind::Ip => "an IP address: text, or 4 or 16 bytes",
        Kind::Text | Kind::Name => "a string",
        Kind::Texts => "a list of strings",
        Kind::U32s => "a list of integers of 32 bits",
    }
}

fn push(builder: &mut TableBuilder, index: usize, kind: Kind, value: Option<Value>) {
    // Values were checked against their kinds; what is absent is the kind's zero.
    let integer = if let Some(Value::Integer(number)) = &value { *number } else { 0 };
    match kind {
        Kind::U8 => builder.u8(index, integer as u8),
        Kind::U16 => builder.u16(index, integer as u16),
        Kind::U32 => builder.u32(index, integer as u32),
        Kind::U64 => builder.u64(index, integer as u64),
        Kind::I32 => builder.i32(index, integer as i32),
        Kind::Time => builder.time(index, integer as i64),
        Kind::Ip => builder.ip(index, if let Some(Value::Ip(address)) = value { address } else { [0; 16] }),
        Kind::Text | Kind::Name => {
            let text = if let Some(Value::Text(text)) = &value { text } else { "" };
            if kind == Kind::Text { builder.text(index, text) } else { builder.name(index, text) }
        }
        Kind::Texts => builder.texts(index, if let Some(Value::Texts(texts)) = &value { texts } else { &[] }),
        Kind::U32s => builder.u32s(index, if let Some(Value::U32s(numbers)) = &value { numbers } else { &[] }),
    }
}
