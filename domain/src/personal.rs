//! Personal data in facts: whose it is, and which members of a payload hold
//! it. The log keeps these members encrypted under a key of their subject; who
//! destroys the key has erased them, and no recorded byte has changed.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decide::Check;
use crate::ids::{InvalidId, MAX_ID_BYTES, check_id};
use crate::ports::log::ExpectedVersion;

/// The member that stands in a payload for the ones that were sealed.
pub const MEMBER: &str = "personal";

/// What of an event's payload is personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Personal {
    /// The subject is `<kind>:<id>`.
    pub kind: &'static str,
    /// The member that holds the subject's id. Never sealed itself.
    pub member: &'static str,
    pub fields: &'static [&'static str],
}

/// Whose data it is: all of it is erased together. `band:b1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

impl Subject {
    pub fn new(kind: &str, id: &str) -> Result<Self, InvalidId> {
        check_id(kind)?;
        if kind.contains(':') {
            return Err(InvalidId::Character(':'));
        }
        check_id(id)?;
        Ok(Self(format!("{kind}:{id}").into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a decision over this subject's data rests on: nothing was decided
    /// about the subject since this version of its stream, 0 for none.
    pub fn undecided_since(&self, version: u64) -> Check {
        let expected = match version {
            0 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(version),
        };
        Check { field: "/subject", kind: crate::subject::KIND, id: self.stream_id(), expected }
    }

    /// As (kind, id).
    pub fn parts(&self) -> (&str, &str) {
        // Nothing makes a subject without its colon.
        self.0.split_once(':').unwrap_or_default()
    }

    /// The id of the stream that holds what was decided about the subject. A
    /// subject may be longer than an id: then it ends in a hash and is exactly
    /// as long as the longest id, which no shorter one is.
    pub fn stream_id(&self) -> String {
        if self.0.len() < MAX_ID_BYTES {
            return self.0.as_ref().into();
        }
        let hash = hex::encode(Sha256::digest(self.0.as_bytes()));
        format!("{}~~{hash}", &self.0[..MAX_ID_BYTES - hash.len() - 2])
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        match text.split_once(':') {
            Some((kind, id)) => Self::new(kind, id),
            None => Err(InvalidId::Empty),
        }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0.as_ref().into()
    }
}

/// The value of a personal field, for as long as its key is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonalText {
    Clear(String),
    Erased,
}

/// How a field reads whose key was destroyed.
pub const ERASED: &str = r#"{"erased":true}"#;

impl PersonalText {
    pub fn clear(&self) -> Option<&str> {
        match self {
            Self::Clear(text) => Some(text),
            Self::Erased => None,
        }
    }
}

impl From<String> for PersonalText {
    fn from(text: String) -> Self {
        Self::Clear(text)
    }
}

impl From<&str> for PersonalText {
    fn from(text: &str) -> Self {
        Self::Clear(text.to_owned())
    }
}

impl Serialize for PersonalText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Clear(text) => serializer.serialize_str(text),
            Self::Erased => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("erased", &true)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for PersonalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PersonalText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or {\"erased\": true}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PersonalText, E> {
                Ok(PersonalText::Clear(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<PersonalText, E> {
                Ok(PersonalText::Clear(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PersonalText, A::Error> {
                let only = map.next_entry::<String, bool>()?;
                match (only, map.next_key::<String>()?) {
                    (Some((name, true)), None) if name == "erased" => Ok(PersonalText::Erased),
                    _ => Err(de::Error::custom("neither a text nor {\"erased\": true}")),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_kind_and_an_id() {
        let subject = Subject::new("band", "a:b").unwrap();
        assert_eq!((subject.as_str(), subject.parts()), ("band:a:b", ("band", "a:b")));
        assert_eq!(Subject::try_from("band:a:b".to_owned()), Ok(subject));
        for bad in ["", "band", "band:", ":b1", "band:a b", "band:."] {
            assert!(Subject::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(Subject::new("ba:nd", "b").is_err());
    }

    #[test]
    fn every_subject_has_a_stream_of_its_own() {
        let of = |id: &str| Subject::new("band", id).unwrap().stream_id();
        assert_eq!(of("b1"), "band:b1");
        let longest = "x".repeat(MAX_ID_BYTES);
        let cut = of(&longest);
        check_id(&cut).unwrap();
        assert_eq!(cut.len(), MAX_ID_BYTES);
        assert_ne!(cut, of(&longest[1..]));
        // What looks like a cut one is cut too.
        let forged = cut.strip_prefix("band:").unwrap();
        assert_ne!(of(forged), cut);
    }

    #[test]
    fn a_value_is_a_text_or_says_that_it_was_erased() {
        let read = |json: &str| serde_json::from_str::<PersonalText>(json);
        assert_eq!(read(r#""Firefox \"x\"""#).unwrap(), PersonalText::from("Firefox \"x\""));
        assert_eq!(read(ERASED).unwrap(), PersonalText::Erased);
        assert_eq!(serde_json::to_string(&PersonalText::Erased).unwrap(), ERASED);
        for bad in ["1", "{}", r#"{"erased":false}"#, r#"{"erased":true,"a":true}"#, r#"{"gone":true}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
