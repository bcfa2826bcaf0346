//! Application protocols, recognised by what the first bytes of a side are.

/// What a flow speaks. The number is kept in the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    Unknown = 0,
    Dns,
    Tls,
    Http,
    Ssh,
}

impl Protocol {
    /// The value of `network_protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Ssh => "ssh",
        }
    }
}

/// The first words of an HTTP/1 message (RFC 9112), and of the methods that RFC 9110, 5789 and 4918 define.
const HTTP: [&[u8]; 13] = [
    b"HTTP/1.",
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"PROPFIND ",
    b"MKCOL ",
    b"LOCK ",
];

/// Recognises what a side of a TCP connection says first; `Unknown` if it is none of these.
pub fn of_stream(payload: &[u8]) -> Protocol {
    // A handshake record of TLS 1.0 to 1.3 with a ClientHello or ServerHello (RFC 8446, 5.1 and 4).
    if let [22, 3, 0..=4, high, _, 1 | 2, ..] = payload
        && *high <= 0x41
    {
        return Protocol::Tls;
    }
    if payload.starts_with(b"SSH-2.0-") || payload.starts_with(b"SSH-1.") {
        return Protocol::Ssh;
    }
    if HTTP.iter().any(|word| payload.starts_with(word)) {
        return Protocol::Http;
    }
    Protocol::Unknown
}

/// What the engine remembers in a flow: the protocol, how many payloads were looked at, and whether a hello is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notes(pub u32);

impl Notes {
    const GATHERING: u32 = 1 << 16;
    const STEP: u32 = 1 << 8;
    /// Payloads after which a flow that was not recognised is not looked at again.
    const LOOKS: u32 = 6;

    pub fn protocol(self) -> Protocol {
        match self.0 & 0xff {
            1 => Protocol::Dns,
            2 => Protocol::Tls,
            3 => Protocol::Http,
            4 => Protocol::Ssh,
            _ => Protocol::Unknown,
        }
    }

    pub fn with_protocol(self, protocol: Protocol) -> Self {
        Self(self.0 & !0xff | protocol as u32)
    }

    /// Whether the flow's next payload is to be looked at.
    pub fn is_open(self) -> bool {
        self.protocol() == Protocol::Unknown && (self.0 >> 8) & 0xff < Self::LOOKS
    }

    pub fn looked(self) -> Self {
        Self(self.0 + Self::STEP)
    }

    /// A ClientHello has begun and goes on in the originator's next segment.
    pub fn is_gathering(self) -> bool {
        self.0 & Self::GATHERING != 0
    }

    pub fn gathering(self, yes: bool) -> Self {
        Self(if yes { self.0 | Self::GATHERING } else { self.0 & !Self::GATHERING })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_the_protocol() {
        for (payload, protocol) in [
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), Protocol::Tls),
            (b"\x16\x03\x01\xff\xff\x01\x00\x01", Protocol::Unknown),
            (b"\x17\x03\x03\x00\x20\x01", Protocol::Unknown),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Protocol::Ssh),
            (b"GET / HTTP/1.1\r\n", Protocol::Http),
            (b"HTTP/1.1 200 OK\r\n", Protocol::Http),
            (b"GETAWAY", Protocol::Unknown),
            (b"220 ready\r\n", Protocol::Unknown),
            (b"", Protocol::Unknown),
        ] {
            assert_eq!(of_stream(payload), protocol, "{payload:?}");
        }
    }

    #[test]
    fn notes_keep_their_parts_apart() {
        let mut notes = Notes(0);
        for _ in 0..6 {
            assert!(notes.is_open());
            notes = notes.looked();
        }
        assert!(!notes.is_open(), "six looks are enough");
        notes = notes.with_protocol(Protocol::Tls).gathering(true);
        assert_eq!((notes.protocol(), notes.is_gathering()), (Protocol::Tls, true));
        notes = notes.gathering(false).with_protocol(Protocol::Ssh);
        assert_eq!((notes.protocol(), notes.is_gathering()), (Protocol::Ssh, false));
    }
}
