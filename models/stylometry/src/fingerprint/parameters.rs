//! What an operator may change of fingerprints, and how it is checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which features a fingerprint has, and how fast old texts fade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Count English function words.
    pub function_words: bool,
    /// Characters of an n-gram.
    pub gram_length: usize,
    /// Buckets that n-grams are counted in; 0: none are.
    pub gram_buckets: usize,
    /// Keep the figures of the text: lengths, punctuation, richness.
    pub figures: bool,
    /// After so many years a text counts half in its author's fingerprint; 0:
    /// all count the same.
    pub half_life_years: u32,
    /// Shorter texts are kept and count for nobody.
    pub least_words: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            function_words: true,
            gram_length: 3,
            gram_buckets: 256,
            figures: true,
            half_life_years: 5,
            least_words: 50,
        }
    }
}

/// A member of the parameters that does not hold, by its JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {reason}")]
pub struct BadParameter {
    /// Of the member.
    pub pointer: String,
    /// What is wrong.
    pub reason: String,
}

fn bad(pointer: &str, reason: impl Into<String>) -> BadParameter {
    BadParameter { pointer: pointer.to_owned(), reason: reason.into() }
}

impl Parameters {
    /// Reads what an operator wrote; members that are left out are as
    /// [`Parameters::default`] has them, and so is everything of `null`.
    pub fn parse(value: &Value) -> Result<Self, BadParameter> {
        let mut read = Self::default();
        let empty = Map::new();
        let members = match value {
            Value::Null => &empty,
            Value::Object(members) => members,
            _ => return Err(bad("", "must be an object")),
        };
        for (name, value) in members {
            let at = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            match name.as_str() {
                "function_words" => read.function_words = flag(&at, value)?,
                "gram_length" => read.gram_length = number(&at, value, 1, 6)? as usize,
                "gram_buckets" => read.gram_buckets = number(&at, value, 0, 2_048)? as usize,
                "figures" => read.figures = flag(&at, value)?,
                "half_life_years" => read.half_life_years = number(&at, value, 0, 1_000)?,
                "least_words" => read.least_words = number(&at, value, 1, 10_000)?,
                _ => return Err(bad(&at, "is no parameter of fingerprints")),
            }
        }
        if !read.function_words && read.gram_buckets == 0 {
            return Err(bad("/gram_buckets", "must be at least 1 where no function words are counted"));
        }
        Ok(read)
    }
}

fn flag(at: &str, value: &Value) -> Result<bool, BadParameter> {
    value.as_bool().ok_or_else(|| bad(at, "must be true or false"))
}

fn number(at: &str, value: &Value, least: u32, most: u32) -> Result<u32, BadParameter> {
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (least..=most).contains(n));
    number.ok_or_else(|| bad(at, format!("must be a whole number from {least} to {most}")))
}
