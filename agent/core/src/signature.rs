//! Ed25519 (RFC 8032), verification only: nothing in the agent can sign.

use ed25519_dalek::{Signature, VerifyingKey};

/// Whether `signature` was made over `message` with the private half of `key`.
///
/// Strict: a key or a signature point of small order, for which one signature fits many messages, and an encoding that
/// is not the canonical one are refused. What has the wrong length is refused like anything else that is wrong.
pub fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = <&[u8; 32]>::try_from(key) else { return false };
    let Ok(signature) = Signature::from_slice(signature) else { return false };
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::verify;

    /// RFC 8032, section 7.1: public key, message, signature.
    const VECTORS: [(&str, &str, &str); 3] = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        (0..hexadecimal.len()).step_by(2).map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        for (key, message, signature) in VECTORS {
            assert!(verify(&bytes(key), &bytes(message), &bytes(signature)));
        }
    }

    #[test]
    fn no_bit_may_differ() {
        for (key, message, signature) in VECTORS {
            let (key, message, signature) = (bytes(key), bytes(message), bytes(signature));
            for bit in (0..signature.len() * 8).step_by(17) {
                let mut other = signature.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&key, &message, &other), "bit {bit} of the signature");
            }
            for bit in (0..message.len() * 8).step_by(17) {
                let mut other = message.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&key, &other, &signature), "bit {bit} of the message");
            }
            for bit in (0..key.len() * 8).step_by(17) {
                let mut other = key.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&other, &message, &signature), "bit {bit} of the key");
            }
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let (key, message, signature) = VECTORS[1];
        let (key, message, signature) = (bytes(key), bytes(message), bytes(signature));
        for length in 0..32 {
            assert!(!verify(&key[..length], &message, &signature));
        }
        for length in 0..64 {
            assert!(!verify(&key, &message, &signature[..length]));
        }
        let longer = |one: &[u8]| [one, &[0]].concat();
        assert!(!verify(&longer(&key), &message, &signature));
        assert!(!verify(&key, &message, &longer(&signature)));
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        let mut neutral = [0; 32];
        neutral[0] = 1; // the neutral point: [S]B = R + [k]A holds with R neutral and S = 0 for every message
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&neutral, b"anything", &signature));
    }
}
