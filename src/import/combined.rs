//! The combined log format:
//! `host ident user [time] "request" status bytes "referrer" "user agent"`.
//! The path of the request (without its query) is the link. The address and
//! the user's name are never kept.

use domain::tap::{MAX_REFERRER_BYTES, MAX_USER_AGENT_BYTES};
use jiff::Timestamp;
use jiff::fmt::strtime;

use super::click::{Click, Line, clean, followed, plausible};

pub fn read(line: &[u8]) -> Line {
    // Servers write the bytes that clients send; what isn't UTF-8 stays visible.
    let line = String::from_utf8_lossy(line);
    if line.trim().is_empty() {
        return Line::Blank;
    }
    parse(&line).unwrap_or(Line::Broken)
}

fn parse(line: &str) -> Option<Line> {
    let (_, rest) = line.split_once(" [")?;
    let (time, rest) = rest.split_once("] ")?;
    let at = plausible(timestamp(time)?)?;
    let (request, rest) = quoted(rest)?;
    let mut words = rest.split_whitespace();
    words.next()?.parse::<u16>().ok()?;
    let (_, rest) = rest.split_once('"')?;
    let (referrer, rest) = rest_of_quoted(rest)?;
    let (user_agent, _) = quoted(rest)?;
    // A target may hold spaces; a request before HTTP/1.0 had no version.
    let (method, target) = request.split_once(' ')?;
    let target = target.rsplit_once(" HTTP/").map_or(target, |(target, _)| target);
    followed(method, target, |link, preview| Click {
        link,
        at,
        preview,
        url: None,
        user_agent: clean(&user_agent, MAX_USER_AGENT_BYTES),
        referrer: clean(&referrer, MAX_REFERRER_BYTES),
        language: None,
        country: None,
    })
}

/// `17/May/2015:10:05:03 +0000`
fn timestamp(text: &str) -> Option<Timestamp> {
    strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?.to_timestamp().ok()
}

/// The text of a field in double quotes and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    rest_of_quoted(text.trim_start().strip_prefix('"')?)
}

/// As [`quoted`], past the opening quote. `\"` and `\\` are escapes; other
/// escapes (`\xe4`) stay as the server wrote them.
fn rest_of_quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Some((field, &text[i + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => field.push(escaped),
                Some((_, other)) => field.extend(['\\', other]),
                None => return None,
            },
            _ => field.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(request: &str, tail: &str) -> Vec<u8> {
        format!(r#"192.0.2.1 - - [17/May/2015:10:05:03 +0200] "{request}" 200 512 {tail}"#).into_bytes()
    }

    #[test]
    fn a_click() {
        let read = read(&line("GET /a/b.html?x=1 HTTP/1.1", r#""https://example.org/" "Mozilla \"5\"""#));
        let Line::Click(click) = read else { panic!() };
        assert_eq!(click.link, "/a/b.html");
        assert_eq!(click.at.to_string(), "2015-05-17T08:05:03Z");
        assert_eq!(click.referrer.as_deref(), Some("https://example.org/"));
        assert_eq!(click.user_agent.as_deref(), Some("Mozilla \"5\""));
        assert!(!click.preview);
    }

    #[test]
    fn methods() {
        let dashes = r#""-" "-""#;
        let Line::Click(head) = read(&line("HEAD / HTTP/1.0", dashes)) else { panic!() };
        assert!(head.preview);
        assert_eq!((head.link.as_str(), head.user_agent, head.referrer), ("/", None, None));
        for other in ["POST", "OPTIONS", "PROPFIND"] {
            assert_eq!(read(&line(&format!("{other} /x HTTP/1.1"), dashes)), Line::OtherMethod);
        }
        for (request, link) in [("GET /x", "/x"), ("GET /a b.html HTTP/1.1", "/a b.html")] {
            let Line::Click(click) = read(&line(request, dashes)) else { panic!() };
            assert_eq!(click.link, link);
        }
    }

    #[test]
    fn damage() {
        let dashes = r#""-" "-""#;
        for broken in [
            line("", dashes),
            line("GET", dashes),
            line("\\x16\\x03\\x01 /x", dashes),
            line("GET / HTTP/1.1", r#""-""#),
            line("GET / HTTP/1.1", r#""-" "no end"#),
            line("GET / HTTP/1.1", r#""-" "ends in \"#),
            b"192.0.2.1 - - [99/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"".to_vec(),
            b"192.0.2.1 - - [17/May/1970:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"".to_vec(),
            b"192.0.2.1 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" x 1 \"-\" \"-\"".to_vec(),
            b"just text".to_vec(),
        ] {
            assert_eq!(read(&broken), Line::Broken, "{}", String::from_utf8_lossy(&broken));
        }
        assert_eq!(read(b"  "), Line::Blank);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_visible() {
        let mut bytes = line("GET /x HTTP/1.1", r#""-" "caf"#);
        bytes.extend(b"\xe9\"");
        let Line::Click(click) = read(&bytes) else { panic!() };
        assert_eq!(click.user_agent.as_deref(), Some("caf\u{fffd}"));
    }
}
