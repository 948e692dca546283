//! Keys of logs and witnesses, in the texts of signed notes: Ed25519, with a
//! name. A log's key signs the text of a note, a witness's key that it saw the
//! text at a time.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use zeroize::Zeroizing;

use crate::text::{base64, from_base64};

/// Longer names are refused.
const MAX_NAME_BYTES: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("this is no key: a key reads «name+id+key», a signing key has PRIVATE+KEY+ before it")]
    Malformed,
    #[error("the name of a key is 1 to 255 bytes without spaces, control characters and «+»")]
    Name,
    #[error("the key is of a kind that is not known here")]
    Kind,
    #[error("the key is not 32 bytes long")]
    Length,
    #[error("the id does not belong to the key")]
    Id,
    #[error("anybody can sign for this key")]
    Weak,
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Log = 1,
    Witness = 4,
}

impl Kind {
    fn of(byte: u8) -> Result<Self, BadKey> {
        match byte {
            1 => Ok(Self::Log),
            4 => Ok(Self::Witness),
            _ => Err(BadKey::Kind),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    kind: Kind,
    key: VerifyingKey,
}

impl PublicKey {
    /// `name+<id, 8 hexadecimal digits>+<base64 of kind and key>`.
    pub fn parse(vkey: &str) -> Result<Self, BadKey> {
        let (name, id, kind, bytes) = read(vkey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| BadKey::Malformed)?;
        if key.is_weak() {
            return Err(BadKey::Weak);
        }
        let parsed = Self { name: name.to_owned(), kind, key };
        if id != format!("{:08x}", parsed.id()) { Err(BadKey::Id) } else { Ok(parsed) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells keys of the same name apart; not a secret and not unique.
    pub fn id(&self) -> u32 {
        signed_note::key_id(&self.name, &self.material())
    }

    pub fn is_witness(&self) -> bool {
        self.kind == Kind::Witness
    }

    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Refuses signatures that others than the holder of the key can make from
    /// a genuine one.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn material(&self) -> Vec<u8> {
        [&[self.kind as u8], self.key.as_bytes().as_slice()].concat()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id(), base64(self.material()))
    }
}

/// Never printed but by [`SigningKey::skey`]; wiped when dropped.
#[derive(Clone)]
pub struct SigningKey {
    public: PublicKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A log's key from 32 random bytes.
    pub fn generate(name: &str, seed: &[u8; 32]) -> Result<Self, BadKey> {
        Self::make(name, Kind::Log, seed)
    }

    /// A witness's key from 32 random bytes.
    pub fn generate_witness(name: &str, seed: &[u8; 32]) -> Result<Self, BadKey> {
        Self::make(name, Kind::Witness, seed)
    }

    /// `PRIVATE+KEY+name+<id>+<base64 of kind and seed>`; a line feed may follow,
    /// as in files.
    pub fn parse(skey: &str) -> Result<Self, BadKey> {
        let skey = skey.strip_suffix('\n').unwrap_or(skey);
        let (name, id, kind, seed) = read(skey.strip_prefix("PRIVATE+KEY+").ok_or(BadKey::Malformed)?)?;
        let key = Self::make(name, kind, &Zeroizing::new(seed))?;
        if id != format!("{:08x}", key.public.id()) { Err(BadKey::Id) } else { Ok(key) }
    }

    fn make(name: &str, kind: Kind, seed: &[u8; 32]) -> Result<Self, BadKey> {
        check_name(name)?;
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = PublicKey { name: name.to_owned(), kind, key: key.verifying_key() };
        Ok(Self { public, key })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The secret, as [`SigningKey::parse`] reads it.
    pub fn skey(&self) -> Zeroizing<String> {
        let material = Zeroizing::new([&[self.public.kind as u8], self.key.as_bytes().as_slice()].concat());
        let secret = Zeroizing::new(base64(&*material));
        Zeroizing::new(format!(
            "PRIVATE+KEY+{}+{:08x}+{}",
            self.public.name,
            self.public.id(),
            secret.as_str()
        ))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.name)
    }
}

/// Name, id, kind and the 32 bytes of a key.
fn read(text: &str) -> Result<(&str, &str, Kind, [u8; 32]), BadKey> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(BadKey::Malformed);
    };
    check_name(name)?;
    let material = Zeroizing::new(from_base64(key).ok_or(BadKey::Malformed)?);
    let (kind, bytes) = material.split_first().ok_or(BadKey::Malformed)?;
    let kind = Kind::of(*kind)?;
    Ok((name, id, kind, bytes.try_into().map_err(|_| BadKey::Length)?))
}

fn check_name(name: &str) -> Result<(), BadKey> {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
    let strange = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if fits && !name.contains(strange) { Ok(()) } else { Err(BadKey::Name) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example key of the Go module `note`.
    const PETER_PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn keys_are_read_and_printed() {
        let key = PublicKey::parse(PETER_PUBLIC).unwrap();
        assert_eq!((key.name(), key.id(), key.is_witness()), ("PeterNeumann", 0xc74f_20a3, false));
        assert_eq!(key.to_string(), PETER_PUBLIC);
        for make in [SigningKey::generate, SigningKey::generate_witness] {
            let key = make("log.example/a", &[3; 32]).unwrap();
            assert_eq!(PublicKey::parse(&key.public().to_string()).as_ref(), Ok(key.public()));
            let again = SigningKey::parse(&key.skey()).unwrap();
            assert_eq!(again.public(), key.public());
            assert_eq!(SigningKey::parse(&format!("{}\n", *key.skey())).unwrap().public(), key.public());
            assert!(!format!("{key:?}").contains(key.skey().rsplit('+').next().unwrap()));
        }
    }

    #[test]
    fn bad_keys_are_refused() {
        let of = |name: &str, kind: u8, key: &[u8]| {
            let material = [&[kind], key].concat();
            PublicKey::parse(&format!(
                "{name}+{:08x}+{}",
                signed_note::key_id(name, &material),
                base64(&material)
            ))
        };
        let good = *SigningKey::generate("a", &[1; 32]).unwrap().public().bytes();
        assert!(of("a", 1, &good).is_ok());
        assert_eq!(of("a", 2, &good), Err(BadKey::Kind));
        assert_eq!(of("a", 1, &good[1..]), Err(BadKey::Length));
        assert_eq!(of("a", 1, &[&good[..], &[0]].concat()), Err(BadKey::Length));
        assert_eq!(of("a", 1, &[]), Err(BadKey::Length));
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(of("a", 1, &identity), Err(BadKey::Weak));
        assert_eq!(of("a", 1, &[0; 32]), Err(BadKey::Weak));
        assert_eq!(of("a b", 1, &good), Err(BadKey::Name));
        assert_eq!(of("", 1, &good), Err(BadKey::Name));
        assert_eq!(of("a\u{7}", 1, &good), Err(BadKey::Name));
        assert_eq!(of("a\u{2003}", 1, &good), Err(BadKey::Name));
        assert_eq!(of(&"a".repeat(256), 1, &good), Err(BadKey::Name));
        assert_eq!(PublicKey::parse(&PETER_PUBLIC.replace("c74f20a3", "c74f20a4")), Err(BadKey::Id));
        assert_eq!(PublicKey::parse(&PETER_PUBLIC.replace("c74f20a3", "C74F20A3")), Err(BadKey::Id));
        for bad in ["", "a", "a+b", "a+00000000+", "a+00000000+!", "a+00000000+AA"] {
            assert!(PublicKey::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(SigningKey::parse(PETER_PUBLIC).unwrap_err(), BadKey::Malformed);
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(text in ".{0,120}") {
            let _ = PublicKey::parse(&text);
            let _ = SigningKey::parse(&format!("PRIVATE+KEY+{text}"));
        }
    }
}
