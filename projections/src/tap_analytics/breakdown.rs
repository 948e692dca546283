//! Names for breakdowns, from headers that anybody may write anything into.

use std::borrow::Cow;

use super::rows::{NONE, OVERFLOW, UNKNOWN};

const MAX_HOST_BYTES: usize = 100;

/// The host of the referring page, without `www.`.
pub fn referrer_host(referrer: Option<&str>) -> Cow<'static, str> {
    let Some(text) = referrer.map(str::trim).filter(|r| !r.is_empty() && *r != "-") else {
        return NONE.into();
    };
    let Some((_, rest)) = text.split_once("://") else { return OVERFLOW.into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || host.len() > MAX_HOST_BYTES || !host.chars().all(plain) {
        return OVERFLOW.into();
    }
    host.to_owned().into()
}

/// ISO 3166-1 alpha-2.
pub fn country(country: Option<&str>) -> Cow<'static, str> {
    match country.map(str::trim) {
        None | Some("") => UNKNOWN.into(),
        Some(c) if c.len() == 2 && c.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            c.to_ascii_uppercase().into()
        }
        Some(_) => OVERFLOW.into(),
    }
}

/// The first language of an `Accept-Language` header, without its region.
pub fn language(header: Option<&str>) -> Cow<'static, str> {
    let Some(text) = header.map(str::trim).filter(|h| !h.is_empty()) else { return UNKNOWN.into() };
    let first = text.split([',', ';', '-', '_']).next().unwrap_or_default().trim();
    if (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic()) {
        first.to_ascii_lowercase().into()
    } else {
        OVERFLOW.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let cases = [
            ("https://www.Facebook.com/l/7AQE?x=1", "facebook.com"),
            ("http://user:secret@t.co:8080/a", "t.co"),
            ("android-app://com.google.android.gm", "com.google.android.gm"),
            ("http://", "(other)"),
            ("facebook", "(other)"),
            ("https://[::1]/", "(other)"),
            ("https://пример.рф/", "(other)"),
            ("", "(none)"),
            ("-", "(none)"),
        ];
        for (referrer, host) in cases {
            assert_eq!(referrer_host(Some(referrer)), host, "{referrer}");
        }
        assert_eq!(referrer_host(Some(&format!("https://{}/", "a".repeat(101)))), OVERFLOW);
    }

    #[test]
    fn countries_and_languages() {
        let countries = [Some("us"), Some("DE"), Some("USA"), Some(""), None].map(country);
        assert_eq!(countries, ["US", "DE", OVERFLOW, UNKNOWN, UNKNOWN]);
        let headers = [Some("en-US,en;q=0.8"), Some("DE"), Some("*"), Some("fil"), None].map(language);
        assert_eq!(headers, ["en", "de", OVERFLOW, "fil", UNKNOWN]);
    }
}
