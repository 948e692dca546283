//! What proves to an endpoint who has sent it a webhook. Pure: keys are made
//! of random bytes that are handed in.
//!
//! Signed is `id.timestamp.body`, as the Standard Webhooks specification has
//! it: `v1` is HMAC-SHA256 with a shared key (`whsec_…`), `v1a` is Ed25519 with
//! a key pair (`whsk_…`, `whpk_…`). The older form signs the body alone
//! ([`body_hmac`]).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standardwebhooks::Webhook;
use zeroize::Zeroizing;

pub const SHARED: &str = "whsec_";
pub const PRIVATE: &str = "whsk_";
pub const PUBLIC: &str = "whpk_";
/// Random bytes that a new key is made of.
pub const SEED_BYTES: usize = 32;
const SHARED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("must begin with {SHARED} or {PRIVATE}")]
    Prefix,
    #[error("must be base64 after its prefix")]
    Base64,
    #[error("must have 24 to 64 bytes")]
    Length,
    #[error("must be an Ed25519 seed of 32 bytes, or seed and public key in 64")]
    Pair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    V1,
    V1a,
}

/// A key that signs. Shows nothing of itself.
pub struct Key(Inner);

enum Inner {
    Shared(Zeroizing<Vec<u8>>),
    Pair(Box<SigningKey>),
}

impl Key {
    pub fn new(scheme: Scheme, seed: &[u8; SEED_BYTES]) -> Self {
        Self(match scheme {
            Scheme::V1 => Inner::Shared(Zeroizing::new(seed.to_vec())),
            Scheme::V1a => Inner::Pair(Box::new(SigningKey::from_bytes(seed))),
        })
    }

    pub fn parse(text: &str) -> Result<Self, BadKey> {
        if let Some(encoded) = text.strip_prefix(SHARED) {
            let bytes = decode(encoded)?;
            return match SHARED_BYTES.contains(&bytes.len()) {
                true => Ok(Self(Inner::Shared(bytes))),
                false => Err(BadKey::Length),
            };
        }
        let bytes = decode(text.strip_prefix(PRIVATE).ok_or(BadKey::Prefix)?)?;
        let pair = match bytes.len() {
            32 => bytes.as_slice().try_into().ok().map(SigningKey::from_bytes),
            64 => bytes.as_slice().try_into().ok().and_then(|b| SigningKey::from_keypair_bytes(b).ok()),
            _ => None,
        };
        pair.map(|pair| Self(Inner::Pair(Box::new(pair)))).ok_or(BadKey::Pair)
    }

    pub fn scheme(&self) -> Scheme {
        match self.0 {
            Inner::Shared(_) => Scheme::V1,
            Inner::Pair(_) => Scheme::V1a,
        }
    }

    /// As it is kept and, once, shown.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.0 {
            Inner::Shared(bytes) => format!("{SHARED}{}", STANDARD.encode(bytes.as_slice())),
            Inner::Pair(pair) => format!("{PRIVATE}{}", STANDARD.encode(pair.to_keypair_bytes())),
        })
    }

    /// What an endpoint checks `v1a` with.
    pub fn public(&self) -> Option<String> {
        match &self.0 {
            Inner::Shared(_) => None,
            Inner::Pair(pair) => {
                Some(format!("{PUBLIC}{}", STANDARD.encode(pair.verifying_key().as_bytes())))
            }
        }
    }

    /// One entry of `webhook-signature`. The body is text, as JSON is; nothing
    /// is signed that is none.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> Option<String> {
        match &self.0 {
            Inner::Shared(bytes) => {
                Webhook::from_bytes(bytes.to_vec()).ok()?.sign(id, timestamp, body.as_bytes()).ok()
            }
            Inner::Pair(pair) => {
                let signature = pair.sign(signed(id, timestamp, body).as_bytes());
                Some(format!("v1a,{}", STANDARD.encode(signature.to_bytes())))
            }
        }
    }
}

fn signed(id: &str, timestamp: i64, body: &str) -> String {
    format!("{id}.{timestamp}.{body}")
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, BadKey> {
    STANDARD.decode(text).map(Zeroizing::new).map_err(|_| BadKey::Base64)
}

/// Whether one of the entries of `webhook-signature` is this public key's.
pub fn verify_v1a(public: &str, id: &str, timestamp: i64, body: &str, signatures: &str) -> bool {
    let key = public.strip_prefix(PUBLIC).and_then(|text| STANDARD.decode(text).ok());
    let key = key.and_then(|bytes| VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok());
    let Some(key) = key else { return false };
    let text = signed(id, timestamp, body);
    signatures.split(' ').filter_map(|entry| entry.strip_prefix("v1a,")).any(|entry| {
        let signature = STANDARD.decode(entry).ok().and_then(|bytes| bytes.as_slice().try_into().ok());
        signature.is_some_and(|s| {
            key.verify_strict(text.as_bytes(), &ed25519_dalek::Signature::from_bytes(&s)).is_ok()
        })
    })
}

/// `sha256=` and the base64 of the body's HMAC-SHA256.
pub fn body_hmac(key: &[u8], body: &[u8]) -> String {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    format!("sha256={}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// As the libraries of the specification have it among their tests.
    #[test]
    fn a_known_message_has_its_known_signature() {
        let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!((key.scheme(), key.public()), (Scheme::V1, None));
    }

    /// The first key of RFC 8032 gives the public key that stands there.
    #[test]
    fn a_pair_signs_what_its_public_key_opens() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
            0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = Key::new(Scheme::V1a, &seed);
        let public = key.public().unwrap();
        assert_eq!(public, "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        let signature = key.sign("msg_1", 7, "{}").unwrap();
        let both = format!("v1,x {signature}");
        assert!(verify_v1a(&public, "msg_1", 7, "{}", &both));
        for (id, timestamp, body) in [("msg_2", 7, "{}"), ("msg_1", 8, "{}"), ("msg_1", 7, "[]")] {
            assert!(!verify_v1a(&public, id, timestamp, body, &both));
        }
        assert!(!verify_v1a(&public, "msg_1", 7, "{}", "v1a,AAAA v1,x"));
        let again = Key::parse(&key.text()).unwrap();
        assert_eq!(again.sign("msg_1", 7, "{}").unwrap(), signature);
    }

    #[test]
    fn a_key_reads_back_and_a_bad_one_does_not() {
        let key = Key::new(Scheme::V1, &[7; 32]);
        assert_eq!(Key::parse(&key.text()).unwrap().sign("a", 1, "b"), key.sign("a", 1, "b"));
        for (text, error) in [
            ("secret", BadKey::Prefix),
            ("whpk_AAAA", BadKey::Prefix),
            ("whsec_!", BadKey::Base64),
            ("whsec_AAAA", BadKey::Length),
            ("whsk_AAAA", BadKey::Pair),
        ] {
            assert_eq!(Key::parse(text).err(), Some(error), "{text}");
        }
    }

    /// RFC 4231, case 2.
    #[test]
    fn the_older_header_is_the_bodys_hmac() {
        let signed = body_hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "sha256=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    }
}
