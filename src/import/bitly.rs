//! Clicks on short links, one JSON object a line: `g` link, `t` seconds since
//! 1970, `u` target, `a` user agent, `r` referrer, `c` country, `al` language;
//! `_heartbeat_` alone is a sign of life.

use domain::tap::{MAX_LANGUAGE_BYTES, MAX_REFERRER_BYTES, MAX_USER_AGENT_BYTES};
use domain::target_url::MAX_URL_BYTES;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::click::{Click, Line, clean, plausible};

/// Fields that are not listed are not kept, the position on the map above all.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "_heartbeat_")]
    heartbeat: Option<IgnoredAny>,
    g: Option<String>,
    t: Option<i64>,
    u: Option<String>,
    a: Option<String>,
    r: Option<String>,
    c: Option<String>,
    al: Option<String>,
}

pub fn read(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Blank;
    }
    let Ok(object) = serde_json::from_slice::<Object>(line) else { return Line::Broken };
    if object.heartbeat.is_some() {
        return Line::Heartbeat;
    }
    click(object).map_or(Line::Broken, Line::Click)
}

fn click(object: Object) -> Option<Click> {
    let link = object.g.filter(|g| !g.is_empty())?;
    let at = plausible(Timestamp::from_second(object.t?).ok()?)?;
    let text = |field: &Option<String>, max| field.as_deref().and_then(|text| clean(text, max));
    Some(Click {
        link,
        at,
        preview: false,
        url: text(&object.u, MAX_URL_BYTES),
        user_agent: text(&object.a, MAX_USER_AGENT_BYTES),
        // The feed's word for a click without one.
        referrer: text(&object.r, MAX_REFERRER_BYTES).filter(|r| r != "direct"),
        language: text(&object.al, MAX_LANGUAGE_BYTES),
        country: object.c.filter(|c| c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click() {
        let line = br#"{"a":"Mozilla\/5.0","c":"TH","nk":0,"tz":"Asia\/Bangkok","g":"Ab3","h":"x","al":"en-us",
            "r":"https:\/\/example.org\/","u":"https:\/\/example.com\/page","t":1357964100,"ll":[13.7,100.5]}"#;
        let Line::Click(click) = read(line) else { panic!() };
        assert_eq!(click.link, "Ab3");
        assert_eq!(click.at.to_string(), "2013-01-12T04:15:00Z");
        assert_eq!(click.url.as_deref(), Some("https://example.com/page"));
        assert_eq!(click.user_agent.as_deref(), Some("Mozilla/5.0"));
        assert_eq!(click.referrer.as_deref(), Some("https://example.org/"));
        assert_eq!(click.country.as_deref(), Some("TH"));
        assert_eq!(click.language.as_deref(), Some("en-us"));
        assert!(!click.preview);
    }

    #[test]
    fn what_is_missing_or_null_is_left_out() {
        let Line::Click(click) = read(br#"{"g":"Ab3","t":1357964100,"c":null,"r":"direct","a":""}"#) else {
            panic!()
        };
        assert_eq!((click.country, click.referrer, click.user_agent, click.url), (None, None, None, None));
        let Line::Click(click) = read(br#"{"g":"Ab3","t":1357964100,"c":"A1"}"#) else { panic!() };
        assert_eq!(click.country, None);
    }

    #[test]
    fn heartbeats_and_damage() {
        assert_eq!(read(br#"{"_heartbeat_":1331923261}"#), Line::Heartbeat);
        assert_eq!(read(b" \t"), Line::Blank);
        for broken in [
            &b"{"[..],
            b"null",
            b"[]",
            b"{}",
            br#"{"g":"Ab3"}"#,
            br#"{"t":1357964100}"#,
            br#"{"g":"","t":1357964100}"#,
            br#"{"g":"Ab3","t":"soon"}"#,
            br#"{"g":"Ab3","t":0}"#,
            br#"{"g":"Ab3","t":9223372036854775807}"#,
            br#"{"g":7,"t":1357964100}"#,
            b"{\"g\":\"\xff\",\"t\":1357964100}",
        ] {
            assert_eq!(read(broken), Line::Broken, "{}", String::from_utf8_lossy(broken));
        }
    }
}
