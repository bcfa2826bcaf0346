//! Batches as JSON lines: one object per row, `table` first, then every column of the schema in its order.
//!
//! The keys, their order and the forms of the values are stable; other programs compare with them. Times are RFC 3339,
//! UTC, with six decimals and `Z`; addresses are text, IPv4 as a dotted quad; integers are JSON numbers; aliases are
//! computed as the SQL computes them; what the collector makes is the kind's zero, but `sequence` counts.

use std::io::{Error, Write};
use std::net::Ipv6Addr;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};

use super::community::community_id;
use super::{Column, Kind, Maker, Sealed, Table, ipc};

/// The first 12 bytes of an IPv4 address in an IPv6 column (RFC 4291, 2.5.5.2).
pub(super) const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// Prints a batch. `InvalidData` if the body is not what its table says.
pub fn to_json_lines(sealed: &Sealed, first_sequence: u64) -> Result<Vec<u8>, Error> {
    let bad = |reason: &str| Error::new(std::io::ErrorKind::InvalidData, format!("table {}: {reason}", sealed.table));
    let table = Table::by_name(sealed.table).ok_or_else(|| bad("unknown"))?;
    let batch = ipc::open(sealed)?;
    if batch.schema().fields() != ipc::schema(table).fields() {
        return Err(bad("the columns are not those of the schema"));
    }
    let arrays: Vec<Option<&ArrayRef>> = table.columns.iter().map(|column| batch.column_by_name(column.name)).collect();
    let mut out = Vec::with_capacity(batch.num_rows() * table.columns.len() * 24);
    for row in 0..batch.num_rows() {
        write!(out, "{{\"table\":\"{}\"", table.name)?;
        for (column, array) in table.columns.iter().zip(&arrays) {
            write!(out, ",\"{}\":", column.name)?;
            match (array, column.maker) {
                (Some(array), _) => value(&mut out, column.kind, array, row)?,
                (None, Maker::Sql) => alias(&mut out, column, &batch, row)?,
                (None, _) if column.name == "sequence" => write!(out, "{}", first_sequence + row as u64)?,
                (None, _) => zero(&mut out, column.kind)?,
            }
        }
        out.extend_from_slice(b"}\n");
    }
    Ok(out)
}

fn value(out: &mut Vec<u8>, kind: Kind, array: &ArrayRef, row: usize) -> Result<(), Error> {
    match kind {
        Kind::U8 => write!(out, "{}", array.as_primitive::<UInt8Type>().value(row)),
        Kind::U16 => write!(out, "{}", array.as_primitive::<UInt16Type>().value(row)),
        Kind::U32 => write!(out, "{}", array.as_primitive::<UInt32Type>().value(row)),
        Kind::U64 => write!(out, "{}", array.as_primitive::<UInt64Type>().value(row)),
        Kind::I32 => write!(out, "{}", array.as_primitive::<Int32Type>().value(row)),
        Kind::Time => time(out, array.as_primitive::<TimestampMicrosecondType>().value(row)),
        Kind::Ip => address(out, &ip(array, row)),
        Kind::Text => string(out, array.as_string::<i32>().value(row)),
        Kind::Name => {
            let dictionary = array.as_dictionary::<Int32Type>();
            let names = dictionary.values().as_string::<i32>();
            string(out, names.value(dictionary.keys().value(row) as usize))
        }
        Kind::Texts => {
            let items = array.as_list::<i32>().value(row);
            let texts: &StringArray = items.as_string::<i32>();
            list(out, (0..texts.len()).map(|index| texts.value(index)), string)
        }
        Kind::U32s => {
            let items = array.as_list::<i32>().value(row);
            list(out, items.as_primitive::<UInt32Type>().values().iter(), |out, number| write!(out, "{number}"))
        }
    }
}

fn zero(out: &mut Vec<u8>, kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::I32 => write!(out, "0"),
        Kind::Time => time(out, 0),
        Kind::Ip => address(out, &[0; 16]),
        Kind::Text | Kind::Name => string(out, ""),
        Kind::Texts | Kind::U32s => write!(out, "[]"),
    }
}

/// The columns that SQL computes; an alias that this does not know fails the test that prints every table.
fn alias(out: &mut Vec<u8>, column: &Column, batch: &RecordBatch, row: usize) -> Result<(), Error> {
    let array = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| Error::other(format!("column {} needs column {name}", column.name)))
    };
    match column.name {
        "flow_duration" => {
            let end = array("flow_end")?.as_primitive::<TimestampMicrosecondType>().value(row);
            let start = array("flow_start")?.as_primitive::<TimestampMicrosecondType>().value(row);
            write!(out, "{}", end.wrapping_sub(start) as u64)
        }
        "network_community_id" => {
            let port = |name| Ok::<_, Error>(array(name)?.as_primitive::<UInt16Type>().value(row));
            let protocol = array("network_iana_number")?.as_primitive::<UInt8Type>().value(row);
            let (source, destination) = (ip(array("source_ip")?, row), ip(array("destination_ip")?, row));
            string(out, &community_id(&source, port("source_port")?, &destination, port("destination_port")?, protocol))
        }
        name => Err(Error::other(format!("no way to compute column {name}"))),
    }
}

fn ip(array: &ArrayRef, row: usize) -> [u8; 16] {
    array.as_fixed_size_binary().value(row).try_into().unwrap_or_default()
}

fn address(out: &mut Vec<u8>, bytes: &[u8; 16]) -> Result<(), Error> {
    let address = Ipv6Addr::from(*bytes);
    match address.to_ipv4_mapped() {
        Some(four) => write!(out, "\"{four}\""),
        None => write!(out, "\"{address}\""),
    }
}

fn list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut one: impl FnMut(&mut Vec<u8>, T) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        one(out, item)?;
    }
    out.push(b']');
    Ok(())
}

/// A JSON string (RFC 8259, section 7): quote, backslash and control characters escaped, everything else as it is.
fn string(out: &mut Vec<u8>, text: &str) -> Result<(), Error> {
    out.push(b'"');
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..index]);
        plain = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => write!(out, "\\u{byte:04x}")?,
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
    Ok(())
}

/// RFC 3339 with microseconds, in the proleptic Gregorian calendar.
fn time(out: &mut Vec<u8>, microseconds: i64) -> Result<(), Error> {
    let (seconds, fraction) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z\"")
}

/// Days since 1970-01-01 to year, month, day (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + 400 * era + i64::from(month <= 2), month, day)
}
