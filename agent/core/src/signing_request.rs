//! A key of our own, and the request that somebody certifies it: PKCS #10 (RFC 2986), EC P-256, ECDSA with SHA-256.
//!
//! Nothing here draws random numbers: the key is made of bytes that the caller got from the kernel, and signatures are
//! deterministic (RFC 6979).

use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};

/// Bytes of randomness that a key is made of.
pub const ENTROPY_BYTES: usize = 32;
/// Longest common name (RFC 5280, ub-common-name).
pub const MAX_NAME_BYTES: usize = 64;

/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 0x04, 0x03];
/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

const INTEGER_0: &[u8] = &[0x02, 1, 0];
const NO_ATTRIBUTES: &[u8] = &[0xa0, 0];
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// A private key as PKCS #8 PEM. None if the bytes make none: draw others. Of random ones, 1 in 2^32 make none.
pub fn new_key(entropy: &[u8; ENTROPY_BYTES]) -> Option<String> {
    let key = SecretKey::from_slice(entropy).ok()?;
    Some(key.to_pkcs8_pem(LineEnding::LF).ok()?.as_str().to_owned())
}

/// The request, DER, that the public half of `key` (PKCS #8 PEM) be certified under the common name `name`.
pub fn signing_request(key: &str, name: &str) -> Result<Vec<u8>, String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(format!("a name has 1 to {MAX_NAME_BYTES} bytes"));
    }
    let key = SecretKey::from_pkcs8_pem(key).map_err(|error| format!("not a P-256 key in PKCS #8 PEM: {error}"))?;
    let public = key.public_key().to_public_key_der().map_err(|error| error.to_string())?;
    let common_name = element(SEQUENCE, &[COMMON_NAME, &element(UTF8_STRING, &[name.as_bytes()])]);
    let subject = element(SEQUENCE, &[&element(SET, &[&common_name])]);
    let asked = element(SEQUENCE, &[INTEGER_0, &subject, public.as_bytes(), NO_ATTRIBUTES]);
    let signature: DerSignature = SigningKey::from(&key).sign(&asked);
    let algorithm = element(SEQUENCE, &[ECDSA_WITH_SHA256]);
    Ok(element(SEQUENCE, &[&asked, &algorithm, &element(BIT_STRING, &[&[0], signature.as_bytes()])]))
}

/// One element of DER (ITU-T X.690): tag, length, and its parts one behind the other; less than 64 KiB.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut made = vec![tag];
    match length {
        0..0x80 => made.push(length as u8),
        0x80..0x100 => made.extend([0x81, length as u8]),
        _ => made.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    for part in parts {
        made.extend_from_slice(part);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::{ENTROPY_BYTES, element, new_key, signing_request};

    /// RFC 6979, A.2.5: a private key of P-256.
    const KEY: [u8; ENTROPY_BYTES] = [
        0xC9, 0xAF, 0xA9, 0xD8, 0x45, 0xBA, 0x75, 0x16, 0x6B, 0x5C, 0x21, 0x57, 0x67, 0xB1, 0xD6, 0x93, 0x4E, 0x50,
        0xC3, 0xDB, 0x36, 0xE8, 0x9B, 0x12, 0x7B, 0x8A, 0x62, 0x2B, 0x12, 0x0F, 0x67, 0x21,
    ];
    /// And the x of its public key.
    const PUBLIC_X: [u8; 4] = [0x60, 0xFE, 0xD4, 0xBA];

    #[test]
    fn a_request_holds_the_public_key_and_the_name() {
        let key = new_key(&KEY).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let request = signing_request(&key, "web-01").unwrap();
        assert!(request.windows(4).any(|part| part == PUBLIC_X));
        assert!(request.windows(6).any(|part| part == b"web-01"));
        assert_eq!(request, signing_request(&key, "web-01").unwrap());
    }

    #[test]
    fn not_every_number_is_a_key() {
        assert_eq!(new_key(&[0; ENTROPY_BYTES]), None);
        assert_eq!(new_key(&[0xff; ENTROPY_BYTES]), None);
    }

    #[test]
    fn faults_are_named() {
        let key = new_key(&KEY).unwrap();
        assert!(signing_request(&key, "").is_err());
        assert!(signing_request(&key, &"a".repeat(65)).is_err());
        assert!(signing_request(&key, &"a".repeat(64)).is_ok());
        assert!(signing_request("no key", "web-01").unwrap_err().starts_with("not a P-256 key"));
    }

    #[test]
    fn lengths_of_all_forms() {
        assert_eq!(element(4, &[&[7; 0x7f]])[..2], [4, 0x7f]);
        assert_eq!(element(4, &[&[7; 0x80]])[..3], [4, 0x81, 0x80]);
        assert_eq!(element(4, &[&[7; 0x1ff], &[8]])[..4], [4, 0x82, 0x02, 0x00]);
    }
}
