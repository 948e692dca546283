//! What a line of any format says.

use jiff::Timestamp;

/// What one line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Click(Click),
    /// A sign of life of the source, no click.
    Heartbeat,
    /// A request that neither follows a link (GET) nor looks at one (HEAD):
    /// the hub records none of these either.
    OtherMethod,
    /// An empty line or a heading.
    Blank,
    Broken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// The link as the source writes it; never empty.
    pub link: String,
    pub at: Timestamp,
    /// HEAD.
    pub preview: bool,
    pub url: Option<String>,
    pub user_agent: Option<String>,
    pub referrer: Option<String>,
    pub language: Option<String>,
    /// Two upper-case letters.
    pub country: Option<String>,
}

/// Outside of these a time is taken for damage: no click is older than the web.
const EARLIEST: i64 = 631_152_000; // 1990-01-01
const LATEST: i64 = 4_102_444_800; // 2100-01-01

pub fn plausible(at: Timestamp) -> Option<Timestamp> {
    (EARLIEST..LATEST).contains(&at.as_second()).then_some(at)
}

/// At most `max` bytes of the text, control characters replaced by spaces
/// (JSON columns take no NUL). Nothing and a lone `-` are no text.
pub fn clean(text: &str, max: usize) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text == "-" {
        return None;
    }
    Some(domain::tap::cut(text, max).replace(char::is_control, " "))
}

/// What an access log's request is: a GET or HEAD of a path, whose query and
/// fragment are not part of the link. `None` if it is no request.
pub fn followed(method: &str, target: &str, click: impl FnOnce(String, bool) -> Click) -> Option<Line> {
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') {
        return None;
    }
    let preview = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Some(Line::OtherMethod),
    };
    let link = target.split(['?', '#']).next().filter(|path| !path.is_empty())?;
    Some(Line::Click(click(link.to_owned(), preview)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_freed_of_control_characters() {
        assert_eq!(clean("a\0b\tc", 10).as_deref(), Some("a b c"));
        assert_eq!(clean("größe", 4).as_deref(), Some("grö"));
        assert_eq!(clean(" - ", 10), None);
        assert_eq!(clean("", 10), None);
    }

    #[test]
    fn times_outside_the_web_are_damage() {
        assert!(plausible(Timestamp::UNIX_EPOCH).is_none());
        assert!(plausible("2012-03-16T18:40:47Z".parse().unwrap()).is_some());
    }
}
