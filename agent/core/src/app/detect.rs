//! Which protocol a connection speaks, by the first payload bytes of either side and never by the port.

use super::dns;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// `dns`, `tls`, `http`, `ssh`, or empty if the bytes do not say. `protocol` is the IP protocol number.
pub fn detect(protocol: u8, payload: &[u8]) -> &'static str {
    match protocol {
        TCP if is_tls(payload) => "tls",
        TCP if is_ssh(payload) => "ssh",
        TCP if is_http(payload) => "http",
        TCP if tcp_dns(payload).is_some() => "dns",
        UDP if dns::looks_like_dns(payload) => "dns",
        _ => "",
    }
}

/// The DNS message in the first segment of a TCP stream (RFC 1035 section 4.2.2), as much as the segment has of it.
pub fn tcp_dns(payload: &[u8]) -> Option<&[u8]> {
    let (length, message) = payload.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let message = &message[..message.len().min(length)];
    dns::looks_like_dns(message).then_some(message)
}

/// A record (RFC 8446 section 5.1) with a hello of either side, or the alert that answers one.
fn is_tls(payload: &[u8]) -> bool {
    let Some([kind, 3, 0..=4, high, low, first, ..]) = payload.first_chunk::<6>() else { return false };
    let length = u16::from_be_bytes([*high, *low]);
    match kind {
        22 => (4..=(1 << 14) + 2048).contains(&length) && matches!(first, 1 | 2),
        21 => length == 2 && matches!(first, 1 | 2),
        _ => false,
    }
}

/// RFC 4253 section 4.2.
fn is_ssh(payload: &[u8]) -> bool {
    payload.starts_with(b"SSH-2.") || payload.starts_with(b"SSH-1.")
}

/// A status line, a request line, or the preface of HTTP/2 (RFC 9112 sections 3 and 4, RFC 9113 section 3.4).
fn is_http(payload: &[u8]) -> bool {
    if payload.starts_with(b"HTTP/1.") || payload.starts_with(b"PRI * HTTP/2.0\r\n") {
        return true;
    }
    let Some(end) = payload.iter().take(17).position(|byte| *byte == b' ') else { return false };
    let (method, target) = (&payload[..end], &payload[end + 1..]);
    if method.len() < 3 || !method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-') {
        return false;
    }
    match target.iter().take(8192).position(|byte| *byte == b'\r' || *byte == b'\n') {
        Some(end) => {
            let line = &target[..end];
            line.len() > 9 && line[..line.len() - 1].ends_with(b" HTTP/1.")
        }
        // A target that goes on in the next segment: only methods that everybody knows.
        None => {
            let known: &[&[u8]] =
                &[b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT", b"PROPFIND"];
            known.contains(&method)
                && (target.starts_with(b"/") || target.starts_with(b"http") || method == b"CONNECT")
                && target.iter().all(u8::is_ascii_graphic)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn protocols_by_content() {
        let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01";
        let framed = [&[0, query.len() as u8][..], query].concat();
        for (protocol, payload, expected) in [
            (TCP, &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "tls"),
            (TCP, b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76", "tls"),
            (TCP, b"\x15\x03\x03\x00\x02\x02\x28", "tls"),
            (TCP, b"SSH-2.0-OpenSSH_9.2p1\r\n", "ssh"),
            (TCP, b"SSH-1.99-Cisco-1.25\n", "ssh"),
            (TCP, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http"),
            (TCP, b"M-SEARCH * HTTP/1.1\r\n", "http"),
            (TCP, b"HTTP/1.0 404 Not Found\r\n", "http"),
            (TCP, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http"),
            (TCP, b"GET /a/very/long/target/that/goes/on", "http"),
            (TCP, b"CONNECT example.org:443 HTTP/1.1\r\n", "http"),
            (TCP, &framed, "dns"),
            (UDP, query, "dns"),
            (TCP, query, ""),
            (UDP, &framed, ""),
            (UDP, b"GET / HTTP/1.1\r\n\r\n", ""),
            (TCP, b"GETTING / FOR\r\n", ""),
            (TCP, b"GET the book", ""),
            (TCP, b"\x16\x03\x01\x00\x03\x01\x00\x00", ""),
            (TCP, b"\x17\x03\x03\x01\x00\x01\x00\x00", ""),
            (TCP, b"220 mail.example.org ESMTP\r\n", ""),
            (TCP, b"", ""),
            (1, query, ""),
        ] {
            assert_eq!(detect(protocol, payload), expected, "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn a_dns_message_cut_by_the_segment() {
        let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01";
        let two = [&[0, query.len() as u8][..], query, &[0, 29], query].concat();
        assert_eq!(tcp_dns(&two), Some(&query[..]), "what follows is the next message");
        assert_eq!(tcp_dns(&two[..24]), Some(&query[..22]));
        assert_eq!(tcp_dns(&two[..2]), None);
    }

    proptest! {
        #[test]
        fn any_bytes(payload in prop::collection::vec(any::<u8>(), 0..64), protocol in prop_oneof![Just(TCP), Just(UDP)]) {
            detect(protocol, &payload);
        }
    }
}
