//! The members of a JSON object as the texts that they are, so that what is
//! not sealed stays byte for byte.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub struct Members<'a>(pub Vec<(Name<'a>, &'a RawValue)>);

pub enum Name<'a> {
    Plain(&'a str),
    /// Written with escapes.
    Escaped(String),
}

impl Name<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain(name) => name,
            Self::Escaped(name) => name,
        }
    }
}

impl<'a> Members<'a> {
    /// `None` if the text is no JSON object.
    pub fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

impl Name<'_> {
    /// Writes a member of this name into an object whose brace is open.
    pub fn put(&self, out: &mut String, value: &str) {
        if !out.ends_with('{') {
            out.push(',');
        }
        match self {
            // It stood there without escapes, so it needs none.
            Self::Plain(name) => {
                out.push('"');
                out.push_str(name);
                out.push('"');
            }
            // A text has always its JSON.
            Self::Escaped(name) => out.push_str(&serde_json::to_string(name).unwrap_or_default()),
        }
        out.push(':');
        out.push_str(value);
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Vec<(Name<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::with_capacity(16);
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_map(All).map(Members)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name::Plain(name))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name::Escaped(name.to_owned()))
            }
        }
        deserializer.deserialize_str(Either)
    }
}
