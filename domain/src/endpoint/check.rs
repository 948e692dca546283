//! What an endpoint may say.

use url::Url;

use super::{
    Auth, Definition, Headers, MAX_CREDENTIAL_BYTES, MAX_FILTERS, MAX_HEADER_BYTES, MAX_HEADERS,
    MAX_URL_BYTES,
};
use crate::decide::Rejection;
use crate::target_url::UrlPolicy;

const MAX_TEXT_BYTES: usize = 256;
const MAX_NAME_BYTES: usize = 64;
const MAX_TIMEOUT_MS: u32 = 60_000;
const MIN_TIMEOUT_MS: u32 = 100;
const MAX_CONCURRENCY: u32 = 32;
const MAX_RATE: u32 = 1_000;

/// Headers that belong to the connection, to the message, or to what the
/// dispatcher says itself.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const RESERVED_STARTS: &[&str] = &["proxy-", "webhook-"];

fn refuse(field: &str, reason: impl std::fmt::Display) -> Result<(), Rejection> {
    Err(Rejection::field(field, reason))
}

impl Definition {
    pub fn check(&self, policy: &UrlPolicy) -> Result<(), Rejection> {
        check_url(&self.url, policy).or_else(|reason| refuse("/url", reason))?;
        if self.description.as_ref().is_some_and(|d| d.len() > MAX_TEXT_BYTES) {
            return refuse("/description", format!("must have at most {MAX_TEXT_BYTES} bytes"));
        }
        match &self.auth {
            Auth::None | Auth::Bearer => {}
            Auth::Basic { username } => {
                let bad = username.is_empty() || username.len() > MAX_TEXT_BYTES;
                if bad || username.contains(':') || username.chars().any(char::is_control) {
                    let reason = format!("must be 1 to {MAX_TEXT_BYTES} bytes without a colon");
                    return refuse("/auth/username", reason);
                }
            }
            Auth::Hmac { header } => {
                check_header_name(header).or_else(|reason| refuse("/auth/header", reason))?;
            }
        }
        let filter = &self.filter;
        let lists = [("rules", &filter.rules), ("apps", &filter.apps), ("types", &filter.types)];
        for (name, list) in lists {
            if list.len() > MAX_FILTERS {
                return refuse(
                    &format!("/filter/{name}"),
                    format!("must have at most {MAX_FILTERS} entries"),
                );
            }
            for (i, text) in list.iter().enumerate() {
                if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
                    let reason = format!("must be 1 to {MAX_TEXT_BYTES} bytes");
                    return refuse(&format!("/filter/{name}/{i}"), reason);
                }
            }
        }
        let numbers = [
            ("/timeout_ms", self.timeout_ms, MIN_TIMEOUT_MS, MAX_TIMEOUT_MS),
            ("/concurrency", self.concurrency, 1, MAX_CONCURRENCY),
            ("/rate_per_second", self.rate_per_second, 1, MAX_RATE),
        ];
        for (field, value, least, most) in numbers {
            if value.is_some_and(|v| !(least..=most).contains(&v)) {
                return refuse(field, format!("must be {least} to {most}"));
            }
        }
        Ok(())
    }
}

fn check_url(text: &str, policy: &UrlPolicy) -> Result<(), String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("must be at most {MAX_URL_BYTES} bytes long"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('\\') {
        return Err("must be visible ASCII without a backslash: percent-encode the rest".into());
    }
    let url = Url::parse(text).map_err(|e| format!("is not a URL: {e}"))?;
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_http => {}
        _ => return Err("must be an https URL".into()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password".into());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment".into());
    }
    url.host_str().map(|_| ()).ok_or_else(|| "must name a host".into())
}

/// A header that may be set by whoever defines an endpoint.
fn check_header_name(name: &str) -> Result<(), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(token) {
        return Err(format!("must be the name of a header, 1 to {MAX_NAME_BYTES} bytes"));
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || RESERVED_STARTS.iter().any(|s| lower.starts_with(s)) {
        return Err(format!("{lower} is not for an endpoint to set"));
    }
    Ok(())
}

pub fn check_headers(headers: &Headers, auth: &Auth) -> Result<(), Rejection> {
    if headers.len() > MAX_HEADERS {
        return refuse("/headers", format!("must have at most {MAX_HEADERS} entries"));
    }
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in headers {
        // As a JSON pointer has it.
        let field = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        check_header_name(name).or_else(|reason| refuse(&field, reason))?;
        let lower = name.to_ascii_lowercase();
        let signs = matches!(auth, Auth::Hmac { header } if header.eq_ignore_ascii_case(name));
        if signs || seen.contains(&lower) {
            return refuse(&field, "is set twice");
        }
        seen.push(lower);
        // Nothing that ends a line, and what every client reads alike.
        let plain = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if value.len() > MAX_HEADER_BYTES || !plain || value.trim() != value {
            let reason = format!("must be at most {MAX_HEADER_BYTES} visible ASCII characters");
            return refuse(&field, reason);
        }
    }
    Ok(())
}

pub fn check_credential(auth: &Auth, credential: Option<&str>) -> Result<(), Rejection> {
    match (auth.needs_credential(), credential) {
        (false, None) => Ok(()),
        (false, Some(_)) => refuse("/credential", "belongs to no kind of auth"),
        (true, None) => refuse("/credential", "is missing: the password, the token or the key"),
        (true, Some(text)) => {
            let good = !text.is_empty()
                && text.len() <= MAX_CREDENTIAL_BYTES
                && text.bytes().all(|b| b.is_ascii_graphic() || (b == b' ' && *auth != Auth::Bearer));
            match good {
                true => Ok(()),
                false => {
                    let reason = format!("must be 1 to {MAX_CREDENTIAL_BYTES} visible ASCII characters");
                    refuse("/credential", reason)
                }
            }
        }
    }
}
