//! JSON in one form: without spaces, members sorted by name, whole numbers as
//! digits. It is written while it is read, since every row of a generation
//! passes here.

use std::borrow::Cow;
use std::fmt::{Formatter, Write};
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Appends the document in its one form.
pub fn canonical(text: &str, out: &mut String) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    One(out).deserialize(&mut reader)?;
    reader.end()
}

/// The number if it is whole and not past what 64 bits hold.
pub fn whole(number: &Number) -> Option<i128> {
    let int = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    int.or_else(|| whole_float(number.as_f64()?))
}

fn whole_float(float: f64) -> Option<i128> {
    const MOST: f64 = u64::MAX as f64;
    (float.fract() == 0.0 && float.abs() <= MOST).then_some(float as i128)
}

/// One value, written to the end of a text.
struct One<'o>(&'o mut String);

impl One<'_> {
    fn write<E: Error>(self, value: impl std::fmt::Display) -> Result<(), E> {
        write!(self.0, "{value}").map_err(E::custom)
    }

    fn quote<E: Error>(self, text: &str) -> Result<(), E> {
        let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            self.0.push('"');
            self.0.push_str(text);
            self.0.push('"');
            return Ok(());
        }
        self.0.push_str(&serde_json::to_string(text).map_err(E::custom)?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.write("null")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match (whole_float(value), Number::from_f64(value)) {
            (Some(whole), _) => self.write(whole),
            (None, Some(number)) => self.write(number),
            (None, None) => Err(E::custom("a number out of range")),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.quote(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push('[');
        let begin = self.0.len();
        loop {
            let end = self.0.len();
            if end > begin {
                self.0.push(',');
            }
            if items.next_element_seed(One(self.0))?.is_none() {
                self.0.truncate(end);
                self.0.push(']');
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut read: A) -> Result<(), A::Error> {
        let begin = self.0.len();
        let mut members: Vec<(Cow<'de, str>, Range<usize>)> = Vec::with_capacity(8);
        while let Some(Name(name)) = read.next_key_seed(AName)? {
            let from = self.0.len();
            One(self.0).quote(&name)?;
            self.0.push(':');
            read.next_value_seed(One(self.0))?;
            members.push((name, from..self.0.len()));
        }
        // Of members with the same name the last one counts.
        members.reverse();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        members.dedup_by(|later, kept| later.0 == kept.0);
        let written = self.0.split_off(begin);
        self.0.push('{');
        for (i, (_, at)) in members.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            self.0.push_str(&written[at.start - begin..at.end - begin]);
        }
        self.0.push('}');
        Ok(())
    }
}

/// The name of a member, borrowed unless it has escapes.
struct Name<'de>(Cow<'de, str>);

struct AName;

impl<'de> DeserializeSeed<'de> for AName {
    type Value = Name<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Name<'de>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for AName {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let mut out = "before ".to_owned();
        canonical(text, &mut out).unwrap();
        out.strip_prefix("before ").unwrap().to_owned()
    }

    #[test]
    fn one_form() {
        let text = r#" {"b": [1.0, -0.0, 2.5, 1e16, null, true, "a\u0041\n\"é"], "a": {"d": {}, "c": []}} "#;
        let expected = r#"{"a":{"c":[],"d":{}},"b":[1,0,2.5,10000000000000000,null,true,"aA\n\"é"]}"#;
        assert_eq!(of(text), expected);
        assert_eq!(of(expected), expected);
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        assert_eq!(of(r#"{"b":1,"a":2,"b":3,"\u0062":4}"#), r#"{"a":2,"b":4}"#);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "{} {}", r#"{"a"}"#, "[1,]", "01", "\"\u{1}\""] {
            assert!(canonical(text, &mut String::new()).is_err(), "{text}");
        }
    }
}
