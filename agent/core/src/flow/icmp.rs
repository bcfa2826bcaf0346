//! ICMP requests and their replies (RFC 792, 950, 1256, 4443, 4861, 2710, 4620, 6275).

pub const ICMP: u8 = 1;
pub const ICMP6: u8 = 58;

/// The type that answers a type, in both directions; `None` if a message of this type stands alone.
pub fn counterpart(protocol: u8, kind: u16) -> Option<u16> {
    let pairs: &[(u16, u16)] = match protocol {
        ICMP => &[(8, 0), (13, 14), (15, 16), (17, 18), (10, 9)],
        ICMP6 => &[(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)],
        _ => &[],
    };
    pairs.iter().find_map(|&(request, reply)| match kind {
        _ if kind == request => Some(reply),
        _ if kind == reply => Some(request),
        _ => None,
    })
}
