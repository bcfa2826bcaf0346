//! What the engine remembers in a flow about what it speaks.

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
    /// The protocol that `app::detect` names.
    pub fn by_name(name: &str) -> Self {
        match name {
            "dns" => Self::Dns,
            "tls" => Self::Tls,
            "http" => Self::Http,
            "ssh" => Self::Ssh,
            _ => Self::Unknown,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Ssh => "ssh",
        }
    }
}

/// The notes: the protocol, how many payloads were looked at, and whether a hello is awaited.
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

    /// The value of `network_protocol`.
    pub fn protocol_name(self) -> &'static str {
        self.protocol().name()
    }

    /// Whether the flow's next payload is to be looked at: of a TLS connection, for a second hello.
    pub fn is_open(self) -> bool {
        matches!(self.protocol(), Protocol::Unknown | Protocol::Tls) && (self.0 >> 8) & 0xff < Self::LOOKS
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
