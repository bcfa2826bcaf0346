//! Record data in presentation form (RFC 1035 section 5, RFC 3596, RFC 2782; RFC 3597 for everything else).

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Oddities;
use super::name::{Reader, skip};
use crate::app::escape;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const DNAME: u16 = 39;
const SPF: u16 = 99;

/// The data between `start` and `end` as text. Data that is not what its type demands is noted and shown as bytes; what
/// is longer than `limit` characters is noted and cut.
pub fn present(reader: &mut Reader<'_>, kind: u16, start: usize, end: usize, limit: usize) -> String {
    let mut text = String::new();
    match known(reader, kind, start, end, &mut text) {
        Ok(true) => {}
        Ok(false) => text = unknown(&reader.payload[start..end], limit),
        Err(oddity) => {
            reader.oddities |= oddity;
            text = unknown(&reader.payload[start..end], limit);
        }
    }
    if text.len() > limit {
        // Escapes make it ASCII, so that every place is between characters.
        text.truncate(limit);
        reader.oddities |= Oddities::ANSWERS_CUT;
    }
    text
}

fn known(reader: &mut Reader<'_>, kind: u16, start: usize, end: usize, text: &mut String) -> Result<bool, Oddities> {
    let data = &reader.payload[start..end];
    match kind {
        A => {
            let address: [u8; 4] = data.try_into().map_err(|_| Oddities::BAD_RDATA)?;
            show(text, &Ipv4Addr::from(address));
        }
        AAAA => {
            let address: [u8; 16] = data.try_into().map_err(|_| Oddities::BAD_RDATA)?;
            show(text, &Ipv6Addr::from(address));
        }
        NS | CNAME | PTR | DNAME => names(reader, start, end, 1, text).and_then(|at| exactly(at, end))?,
        MX => {
            numbers(data.first_chunk::<2>(), text)?;
            names(reader, start + 2, end, 1, text).and_then(|at| exactly(at, end))?;
        }
        SRV => {
            numbers(data.first_chunk::<6>(), text)?;
            names(reader, start + 6, end, 1, text).and_then(|at| exactly(at, end))?;
        }
        SOA => {
            let at = names(reader, start, end, 2, text)?;
            let times: &[u8; 20] = reader.payload[at..end].try_into().map_err(|_| Oddities::BAD_RDATA)?;
            for word in times.as_chunks::<4>().0 {
                text.push(' ');
                show(text, &u32::from_be_bytes(*word));
            }
        }
        TXT | SPF => strings(data, text)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Appends `count` names, separated by spaces; returns where the last ends.
fn names(
    reader: &mut Reader<'_>,
    start: usize,
    end: usize,
    count: usize,
    text: &mut String,
) -> Result<usize, Oddities> {
    let mut at = start;
    for number in 0..count {
        if number > 0 {
            text.push(' ');
        }
        let next = skip(&reader.payload[..end], at).map_err(|_| Oddities::BAD_RDATA)?;
        reader.name(at, text)?;
        at = next;
    }
    Ok(at)
}

fn exactly(at: usize, end: usize) -> Result<(), Oddities> {
    if at == end { Ok(()) } else { Err(Oddities::BAD_RDATA) }
}

/// Appends 16-bit numbers, each followed by a space.
fn numbers<const N: usize>(bytes: Option<&[u8; N]>, text: &mut String) -> Result<(), Oddities> {
    for half in bytes.ok_or(Oddities::BAD_RDATA)?.as_chunks::<2>().0 {
        show(text, &u16::from_be_bytes(*half));
        text.push(' ');
    }
    Ok(())
}

/// Character strings, quoted.
fn strings(mut data: &[u8], text: &mut String) -> Result<(), Oddities> {
    while let Some((length, rest)) = data.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Oddities::BAD_RDATA)?;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push('"');
        escape::push_text(text, string);
        text.push('"');
        data = rest;
    }
    Ok(())
}

/// RFC 3597 section 5; not more digits than would be kept.
fn unknown(data: &[u8], limit: usize) -> String {
    let mut text = format!("\\# {}", data.len());
    if !data.is_empty() {
        text.push(' ');
    }
    for byte in &data[..data.len().min(limit / 2 + 1)] {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

fn show(text: &mut String, value: &impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(text, "{value}");
}
