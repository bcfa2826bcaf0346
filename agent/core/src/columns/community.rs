//! Community ID version 1, seed 0 (https://github.com/corelight/community-id-spec).
//!
//! The same rules as `COMMUNITY_ID_SQL` in `luytre_common.schema.network`.

use sha1::{Digest, Sha1};

const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// The identifier of a flow. Addresses are 16 bytes, IPv4 mapped; for ICMP the ports are the type and the type of the
/// counterpart, or the code.
pub fn community_id(
    source: &[u8; 16],
    source_port: u16,
    destination: &[u8; 16],
    destination_port: u16,
    protocol: u8,
) -> String {
    let keep = !is_two_way(protocol, source_port) || (source, source_port) <= (destination, destination_port);
    let (first, second) = if keep { (source, destination) } else { (destination, source) };
    let (low, high) = if keep { (source_port, destination_port) } else { (destination_port, source_port) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(short(first));
    hash.update(short(second));
    hash.update([protocol, 0]);
    if matches!(protocol, ICMP | 6 | 17 | ICMP6 | 132) {
        hash.update(low.to_be_bytes());
        hash.update(high.to_be_bytes());
    }
    format!("1:{}", base64(&hash.finalize()))
}

/// ICMP types without a counterpart are not put in order.
fn is_two_way(protocol: u8, icmp_type: u16) -> bool {
    match protocol {
        ICMP => matches!(icmp_type, 0 | 8 | 9 | 10 | 13..=18),
        ICMP6 => matches!(icmp_type, 128..=131 | 133..=136 | 139 | 140 | 144 | 145),
        _ => true,
    }
}

/// IPv4 addresses enter with their 4 bytes.
fn short(address: &[u8; 16]) -> &[u8] {
    if address[..12] == super::json::MAPPED { &address[12..] } else { address }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = [0u8; 3];
        word[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= group.len() { ALPHABET[six as usize] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(text: &str) -> [u8; 16] {
        match text.parse().unwrap() {
            IpAddr::V4(four) => Ipv4Addr::to_ipv6_mapped(&four).octets(),
            IpAddr::V6(six) => six.octets(),
        }
    }

    /// The baseline values of the specification's repository.
    #[test]
    fn agrees_with_the_specification() {
        for (source, source_port, destination, destination_port, protocol, expected) in [
            ("128.232.110.120", 34855, "66.35.250.204", 80, 6, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("192.168.1.52", 54585, "8.8.8.8", 53, 17, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            ("192.168.0.89", 8, "192.168.0.1", 0, 1, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("192.168.0.1", 0, "192.168.0.89", 8, 1, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("fe80::200:86ff:fe05:80da", 135, "fe80::260:97ff:fe07:69ea", 136, 58, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
        ] {
            let id = community_id(&address(source), source_port, &address(destination), destination_port, protocol);
            assert_eq!(id, expected, "{source}:{source_port} {destination}:{destination_port} {protocol}");
        }
    }
}
