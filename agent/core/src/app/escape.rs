//! Bytes of strangers as text: printable ASCII as it is, everything else as `\DDD` (RFC 1035 section 5.1).

/// Appends one byte; `plain` says which printable characters need no escape.
#[inline]
pub fn push(out: &mut String, byte: u8, plain: impl Fn(u8) -> bool) {
    if plain(byte) {
        out.push(char::from(byte));
    } else {
        out.push('\\');
        for digit in [byte / 100, byte / 10 % 10, byte % 10] {
            out.push(char::from(b'0' + digit));
        }
    }
}

/// A name: lower case, nothing that splits or quotes.
pub fn push_name(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        push(out, byte.to_ascii_lowercase(), |byte| byte.is_ascii_graphic() && !matches!(byte, b'.' | b'\\'));
    }
}

/// A string that keeps its case and spaces.
pub fn push_text(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        push(out, *byte, |byte| (byte == b' ' || byte.is_ascii_graphic()) && !matches!(byte, b'"' | b'\\'));
    }
}
