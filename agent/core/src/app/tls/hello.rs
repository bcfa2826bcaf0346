//! The body of a ClientHello.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Oddities;
use crate::app::escape;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// Names that are kept; each has at most 255 bytes.
const MAX_PROTOCOLS: usize = 32;
/// RFC 1035.
const MAX_HOST_NAME: usize = 255;

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Highest version offered: `1.0` to `1.3`, or hexadecimal.
    pub version: Cow<'static, str>,
    /// Lower case, `\DDD` for bytes that host names do not have; empty if there was none.
    pub server_name: String,
    pub alpn: Vec<String>,
    /// Cipher suites, GREASE (RFC 8701) not counted.
    pub cipher_count: u16,
    pub oddities: Oddities,
}

/// Reads what there is. Whoever has only a part adds `TRUNCATED`.
pub fn parse(body: &[u8]) -> ClientHello {
    let mut hello = ClientHello::default();
    if read(&mut Cursor { bytes: body }, &mut hello).is_none() {
        hello.oddities |= Oddities::BAD_LENGTH;
    }
    hello
}

fn read(body: &mut Cursor<'_>, hello: &mut ClientHello) -> Option<()> {
    hello.version = version_name(body.half()?);
    body.take(32)?;
    body.short_vector()?;
    let suites = body.vector()?;
    hello.cipher_count = suites.as_chunks::<2>().0.iter().filter(|suite| !is_grease(**suite)).count() as u16;
    if suites.len() % 2 != 0 {
        hello.oddities |= Oddities::BAD_LENGTH;
    }
    body.short_vector()?;
    if body.bytes.is_empty() {
        return Some(()); // Extensions came with TLS 1.2 and may be left out.
    }
    // Of a hello that was not captured whole, the extensions that were still tell the server's name.
    let length = usize::from(body.half()?);
    if length != body.bytes.len() {
        hello.oddities |= Oddities::BAD_LENGTH;
    }
    let mut extensions = Cursor { bytes: &body.bytes[..length.min(body.bytes.len())] };
    while !extensions.bytes.is_empty() {
        let kind = extensions.half()?;
        let mut data = Cursor { bytes: extensions.vector()? };
        let read = match kind {
            SERVER_NAME if hello.server_name.is_empty() => server_name(&mut data, hello),
            ALPN if hello.alpn.is_empty() => alpn(&mut data, hello),
            SUPPORTED_VERSIONS => versions(&mut data, hello),
            _ => Some(()),
        };
        if read.is_none() {
            hello.oddities |= Oddities::BAD_LENGTH;
        }
    }
    Some(())
}

fn server_name(data: &mut Cursor<'_>, hello: &mut ClientHello) -> Option<()> {
    let mut list = Cursor { bytes: data.vector()? };
    while !list.bytes.is_empty() {
        let kind = list.take(1)?[0];
        let name = list.vector()?;
        if kind != 0 {
            continue;
        }
        let kept = &name[..name.len().min(MAX_HOST_NAME)];
        for byte in kept {
            escape::push(&mut hello.server_name, byte.to_ascii_lowercase(), |byte| {
                byte.is_ascii_graphic() && byte != b'\\'
            });
        }
        let host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let literal = hello.server_name.parse::<IpAddr>().is_ok();
        if name.is_empty() || name.len() > MAX_HOST_NAME || !name.iter().all(host) || literal {
            hello.oddities |= Oddities::BAD_SNI;
        }
        return Some(());
    }
    Some(())
}

fn alpn(data: &mut Cursor<'_>, hello: &mut ClientHello) -> Option<()> {
    let mut list = Cursor { bytes: data.vector()? };
    while !list.bytes.is_empty() && hello.alpn.len() < MAX_PROTOCOLS {
        let mut name = String::new();
        let bytes = list.short_vector()?;
        // RFC 8701 reserves these for clients that check whether servers read lists to the end.
        if <[u8; 2]>::try_from(bytes).is_ok_and(is_grease) {
            continue;
        }
        escape::push_text(&mut name, bytes);
        hello.alpn.push(name);
    }
    Some(())
}

fn versions(data: &mut Cursor<'_>, hello: &mut ClientHello) -> Option<()> {
    let list = data.short_vector()?;
    let offered =
        || list.as_chunks::<2>().0.iter().filter(|version| !is_grease(**version)).map(|v| u16::from_be_bytes(*v));
    // Drafts and private versions have larger numbers than 1.3; they count only if nothing else is offered.
    let highest = offered().filter(|version| *version <= 0x0304).max().or_else(|| offered().max());
    if let Some(version) = highest {
        hello.version = version_name(version);
    }
    (list.len() % 2 == 0).then_some(())
}

fn version_name(version: u16) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        0x0304 => "1.3",
        _ => return Cow::Owned(format!("0x{version:04x}")),
    })
}

fn is_grease(value: [u8; 2]) -> bool {
    value[0] == value[1] && value[0] & 0x0f == 0x0a
}

/// Bytes that are taken from the front.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn half(&mut self) -> Option<u16> {
        self.take(2).map(|half| u16::from_be_bytes([half[0], half[1]]))
    }

    /// A length of one byte, and so many bytes.
    fn short_vector(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    /// A length of two bytes, and so many bytes.
    fn vector(&mut self) -> Option<&'a [u8]> {
        let length = self.half()?;
        self.take(usize::from(length))
    }
}
