//! The text of an audit record: `audit(SECONDS.MILLISECONDS:SERIAL): name=value name=value ...`.
//!
//! A value that somebody else than the kernel chose is in quotes, or in hexadecimal digits if it holds a space, a quote or
//! a byte that does not print (kernel/audit.c: audit_log_untrustedstring), so that no value can pass for a field.

/// Which event a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// When the system call began, milliseconds since 1970-01-01 UTC.
    pub time: u64,
    pub serial: u32,
}

/// The event of a record, and its fields; None if it is no record.
pub fn header(record: &[u8]) -> Option<(Id, &[u8])> {
    let rest = record.strip_prefix(b"audit(")?;
    let end = rest.iter().position(|byte| *byte == b')')?;
    let (stamp, body) = (std::str::from_utf8(&rest[..end]).ok()?, rest.get(end + 1..)?);
    let (time, serial) = stamp.split_once(':')?;
    let (seconds, milliseconds) = time.split_once('.')?;
    let time = seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(milliseconds.parse().ok()?)?;
    Some((Id { time, serial: serial.parse().ok()? }, body.strip_prefix(b":").unwrap_or(body)))
}

/// Names and values, in their order.
pub fn fields(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    body.split(|byte| *byte == b' ').filter_map(|word| {
        let at = word.iter().position(|byte| *byte == b'=')?;
        Some((&word[..at], &word[at + 1..]))
    })
}

/// A value that may be quoted or hexadecimal, as it was; empty for `(null)`, `(none)` and what is neither.
pub fn unquoted(value: &[u8]) -> Vec<u8> {
    if let Some(inner) = value.strip_prefix(b"\"") {
        return inner.strip_suffix(b"\"").unwrap_or(inner).to_vec();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = value.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Vec::new();
    }
    let bytes: Option<Vec<u8>> = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    bytes.unwrap_or_default()
}

/// The same as text; bytes that are not UTF-8 become U+FFFD.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(&unquoted(value)).into_owned()
}

/// A number of digits of `radix`.
pub fn number(value: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(value).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_names_its_event() {
        let (id, body) = header(b"audit(1364481363.243:24287): arch=c000003e syscall=59").expect("a record");
        assert_eq!(id, Id { time: 1_364_481_363_243, serial: 24287 });
        let found: Vec<_> = fields(body).collect();
        assert_eq!(found, [(&b"arch"[..], &b"c000003e"[..]), (b"syscall", b"59")]);
        for junk in [&b""[..], b"audit(", b"audit(1.2)", b"audit(1:2):", b"audit(x.1:2):", b"audit(1.1:-2):", b"type=1"]
        {
            assert_eq!(header(junk), None, "{}", String::from_utf8_lossy(junk));
        }
    }

    #[test]
    fn values_are_quoted_or_hexadecimal() {
        assert_eq!(text(b"\"/bin/true\""), "/bin/true");
        assert_eq!(text(b"2F746D702F6120B4"), "/tmp/a \u{fffd}");
        assert_eq!((text(b"\"\""), text(b"(null)"), text(b"(none)"), text(b"abc")), Default::default());
    }

    proptest! {
        #[test]
        fn never_panics(record in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((_, body)) = header(&record) {
                fields(body).for_each(|(_, value)| drop(unquoted(value)));
            }
            fields(&record).for_each(|(_, value)| drop(unquoted(value)));
        }

        #[test]
        fn what_the_kernel_encodes_comes_back(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let hexadecimal: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
            prop_assert_eq!(unquoted(hexadecimal.as_bytes()), value);
        }
    }
}
