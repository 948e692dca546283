//! What an operator may change of the model, and how it is checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BotClass, VERSIONS, WITH_SESSIONS, defaults};

const MAX_PATTERNS: usize = 2_000;
const MAX_WORDS: usize = 500;
const MAX_TEXT_BYTES: usize = 200;
/// A minute at least, so that a day has a bounded number of visits.
const MIN_GAP_SECONDS: u64 = 60;
const MAX_GAP_SECONDS: u64 = 86_400;
const DEFAULT_GAP_SECONDS: u32 = 1_800;

/// A user agent that contains `contains` (in any case) belongs to `class`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    pub contains: String,
    pub class: BotClass,
}

/// What an operator may change, to see the past through it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Tried in order; the first that matches decides.
    pub patterns: Vec<Pattern>,
    /// Text that is cut out before the patterns are tried, for names of
    /// people's phones that look like a bot's.
    pub harmless: Vec<String>,
    /// Words of which a browser's user agent contains at least one. An agent
    /// without any is a program, class `other`.
    pub browser_words: Vec<String>,
    /// A request without a user agent is a bot, class `no_agent`. Browsers
    /// always send one; logs without that field need `false`.
    pub no_agent_is_bot: bool,
    /// Count GETs of link-preview fetchers as taps. HEAD never is one.
    pub count_previews: bool,
    /// A longer pause between two taps of a visitor begins a new visit. Only
    /// from version 2 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_gap_seconds: Option<u32>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            patterns: defaults::patterns(),
            harmless: vec!["cubot".into()],
            browser_words: defaults::BROWSER_WORDS.iter().map(|w| (*w).into()).collect(),
            no_agent_is_bot: true,
            count_previews: false,
            session_gap_seconds: None,
        }
    }
}

/// A member of the parameters that does not hold, by its JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {reason}")]
pub struct BadParameter {
    pub pointer: String,
    pub reason: String,
}

fn bad(pointer: impl Into<String>, reason: impl Into<String>) -> BadParameter {
    BadParameter { pointer: pointer.into(), reason: reason.into() }
}

impl Parameters {
    /// Those of a version where nobody has said anything else.
    pub fn of(version: u32) -> Self {
        let gap = (version >= WITH_SESSIONS).then_some(DEFAULT_GAP_SECONDS);
        Self { session_gap_seconds: gap, ..Self::default() }
    }

    /// Reads what an operator wrote; members that are left out are as
    /// [`Parameters::of`] the version has them, and so is everything of `null`.
    pub fn parse(version: u32, value: &Value) -> Result<Self, BadParameter> {
        if !VERSIONS.contains(&version) {
            return Err(bad("", format!("belong to version {version}, which this build does not know")));
        }
        let mut read = Self::of(version);
        let members = match value {
            Value::Null => return Ok(read),
            Value::Object(members) => members,
            _ => return Err(bad("", "must be an object")),
        };
        for (name, value) in members {
            let at = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            match name.as_str() {
                "patterns" => read.patterns = patterns(&at, value)?,
                "harmless" => read.harmless = words(&at, value)?,
                "browser_words" => read.browser_words = words(&at, value)?,
                "no_agent_is_bot" => read.no_agent_is_bot = flag(&at, value)?,
                "count_previews" => read.count_previews = flag(&at, value)?,
                "session_gap_seconds" if version >= WITH_SESSIONS => {
                    read.session_gap_seconds = Some(gap(&at, value)?);
                }
                _ => return Err(bad(at, format!("is no parameter of version {version}"))),
            }
        }
        Ok(read)
    }
}

fn flag(at: &str, value: &Value) -> Result<bool, BadParameter> {
    value.as_bool().ok_or_else(|| bad(at, "must be true or false"))
}

fn gap(at: &str, value: &Value) -> Result<u32, BadParameter> {
    let seconds = value.as_u64().filter(|s| (MIN_GAP_SECONDS..=MAX_GAP_SECONDS).contains(s));
    let wrong = || bad(at, format!("must be whole seconds from {MIN_GAP_SECONDS} to {MAX_GAP_SECONDS}"));
    seconds.and_then(|s| u32::try_from(s).ok()).ok_or_else(wrong)
}

fn list<'a>(at: &str, value: &'a Value, max: usize) -> Result<&'a [Value], BadParameter> {
    let items = value.as_array().ok_or_else(|| bad(at, "must be a list"))?;
    if items.len() > max {
        return Err(bad(at, format!("must have at most {max} entries")));
    }
    Ok(items)
}

/// An empty text would match, or be cut out of, everything.
fn text(at: &str, value: &Value) -> Result<String, BadParameter> {
    let text = value.as_str().ok_or_else(|| bad(at, "must be a text"))?;
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        return Err(bad(at, format!("must have 1 to {MAX_TEXT_BYTES} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(bad(at, "must not contain control characters"));
    }
    Ok(text.to_ascii_lowercase())
}

fn words(at: &str, value: &Value) -> Result<Vec<String>, BadParameter> {
    let items = list(at, value, MAX_WORDS)?.iter().enumerate();
    items.map(|(i, word)| text(&format!("{at}/{i}"), word)).collect()
}

fn patterns(at: &str, value: &Value) -> Result<Vec<Pattern>, BadParameter> {
    let items = list(at, value, MAX_PATTERNS)?.iter().enumerate();
    items.map(|(i, item)| pattern(&format!("{at}/{i}"), item)).collect()
}

fn pattern(at: &str, value: &Value) -> Result<Pattern, BadParameter> {
    let members: &Map<String, Value> = value.as_object().ok_or_else(|| bad(at, "must be an object"))?;
    if let Some(name) = members.keys().find(|name| !matches!(name.as_str(), "contains" | "class")) {
        return Err(bad(format!("{at}/{name}"), "is no member of a pattern"));
    }
    let member = |name: &str| {
        let place = format!("{at}/{name}");
        members.get(name).map(|value| (place.clone(), value)).ok_or_else(|| bad(place, "is missing"))
    };
    let (place, contains) = member("contains")?;
    let contains = text(&place, contains)?;
    let (place, class) = member("class")?;
    // The error of a derived enum names all it knows.
    let class = BotClass::deserialize(class).map_err(|e| bad(place, format!("is no class of bots: {e}")))?;
    Ok(Pattern { contains, class })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointer(version: u32, value: Value) -> String {
        Parameters::parse(version, &value).unwrap_err().pointer
    }

    #[test]
    fn what_is_left_out_is_as_the_version_has_it() {
        assert_eq!(Parameters::parse(1, &Value::Null).unwrap(), Parameters::default());
        let read = Parameters::parse(2, &json!({"count_previews": true})).unwrap();
        assert_eq!(read, Parameters { count_previews: true, ..Parameters::of(2) });
        assert_eq!(read.session_gap_seconds, Some(1_800));
    }

    #[test]
    fn what_was_written_reads_back() {
        for version in VERSIONS {
            let written = serde_json::to_value(Parameters::of(version)).unwrap();
            assert_eq!(Parameters::parse(version, &written).unwrap(), Parameters::of(version));
        }
        assert!(!serde_json::to_string(&Parameters::of(1)).unwrap().contains("session_gap"));
    }

    #[test]
    fn the_member_that_does_not_hold_is_named() {
        let many: Vec<Value> = (0..501).map(|_| json!("x")).collect();
        let cases = [
            (1, json!([]), ""),
            (3, json!({}), ""),
            (2, json!({"pattern": []}), "/pattern"),
            (1, json!({"session_gap_seconds": 60}), "/session_gap_seconds"),
            (2, json!({"session_gap_seconds": 59}), "/session_gap_seconds"),
            (2, json!({"session_gap_seconds": "60"}), "/session_gap_seconds"),
            (2, json!({"count_previews": 1}), "/count_previews"),
            (
                2,
                json!({"patterns": [{"contains": "a", "class": "other"}, {"contains": "", "class": "other"}]}),
                "/patterns/1/contains",
            ),
            (2, json!({"patterns": [{"contains": "a", "class": "robot"}]}), "/patterns/0/class"),
            (2, json!({"patterns": [{"contains": "a"}]}), "/patterns/0/class"),
            (2, json!({"patterns": [{"contains": "a", "class": "other", "x": 1}]}), "/patterns/0/x"),
            (2, json!({"harmless": ["ok", "a\nb"]}), "/harmless/1"),
            (2, json!({"harmless": ["x".repeat(201)]}), "/harmless/0"),
            (2, json!({"browser_words": many}), "/browser_words"),
            (2, json!({"a/b": 1}), "/a~1b"),
        ];
        for (version, value, expected) in cases {
            assert_eq!(pointer(version, value.clone()), expected, "{value}");
        }
    }
}
