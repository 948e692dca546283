//! Where a redirect may lead. A target only ever comes from what the tenant's
//! staff stored, never from the visitor's request.

use serde::{Deserialize, Serialize};
use url::Url;

pub const MAX_URL_BYTES: usize = 2048;

/// What a tenant allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlPolicy {
    /// Also `http:`; otherwise only `https:`.
    pub allow_http: bool,
    /// Allowed hosts, lower case; `*.example.com` allows the subdomains. Empty: any.
    pub allowed_hosts: Vec<String>,
}

/// A checked redirect target. May hold the variables `{band_id}` and `{event_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetUrl(String);

impl TargetUrl {
    /// Checks a target: https (http by policy), a host that the policy allows,
    /// no user name or password, only what may stand in a header as it is and
    /// that all clients read alike, only known variables
    /// and none of them in the host.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, String> {
        if text.len() > MAX_URL_BYTES {
            return Err(format!("must be at most {MAX_URL_BYTES} bytes long"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("must not contain control characters or white space".into());
        }
        if !text.is_ascii() {
            return Err("must be ASCII: percent-encode other characters, and write the host as xn--".into());
        }
        if text.contains('\\') {
            // Browsers read it as a slash, others as part of the host's name.
            return Err("must not contain a backslash".into());
        }
        check_variables(text)?;
        // With the variables replaced the text must be a URL; a variable in
        // the authority would let an id choose the host.
        let url = Url::parse(&fill(text, "band", "event")).map_err(|e| format!("is not a URL: {e}"))?;
        match url.scheme() {
            "https" => {}
            "http" if policy.allow_http => {}
            "http" => return Err("must be https; http is not allowed for this tenant".into()),
            _ => return Err("must be an https URL".into()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user name or password".into());
        }
        let host = url.host_str().ok_or("must name a host")?.to_ascii_lowercase();
        let other = Url::parse(&fill(text, "x", "y")).ok();
        if other.as_ref().and_then(Url::host_str) != url.host_str()
            || other.as_ref().map(Url::port) != Some(url.port())
        {
            return Err("must not have a variable in its host".into());
        }
        if !policy.allowed_hosts.is_empty() && !policy.allowed_hosts.iter().any(|p| host_matches(p, &host)) {
            return Err(format!("host {host} is not in the tenant's allow-list"));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL for one band, its id and the event's percent-encoded.
    pub fn for_band(&self, band_id: &str, event_id: &str) -> String {
        fill(&self.0, band_id, event_id)
    }
}

fn fill(text: &str, band_id: &str, event_id: &str) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    text.replace("{band_id}", &percent_encode(band_id)).replace("{event_id}", &percent_encode(event_id))
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn check_variables(text: &str) -> Result<(), String> {
    let rest = text.replace("{band_id}", "").replace("{event_id}", "");
    if rest.contains(['{', '}']) {
        return Err("knows only the variables {band_id} and {event_id}".into());
    }
    Ok(())
}

fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|front| front.ends_with('.')),
        None => pattern == host,
    }
}

/// Checks an entry of the allow-list.
pub fn check_host_pattern(pattern: &str) -> Result<(), String> {
    let host = pattern.strip_prefix("*.").unwrap_or(pattern);
    let fine = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    if fine { Ok(()) } else { Err("must be a lower-case host name, or *. before one".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> UrlPolicy {
        UrlPolicy::default()
    }

    #[test]
    fn refuses_what_a_redirect_must_not_lead_to() {
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "http://example.com/",
            "https://user@example.com/",
            "https://user:pass@example.com/",
            "https://exa\nmple.com/",
            "https://example.com\\@evil.example/",
            "https://é.example/",
            "https://example.com/ü",
            "//example.com/",
            "https://",
            "https://{band_id}.example.com/",
            "https://example.com/{other}",
            "example.com",
        ] {
            assert!(TargetUrl::parse(bad, &open()).is_err(), "{bad}");
        }
    }

    #[test]
    fn allow_list_takes_hosts_and_subdomains() {
        let policy =
            UrlPolicy { allow_http: false, allowed_hosts: vec!["a.example".into(), "*.b.example".into()] };
        assert!(TargetUrl::parse("https://a.example/x", &policy).is_ok());
        assert!(TargetUrl::parse("https://A.EXAMPLE/x", &policy).is_ok());
        assert!(TargetUrl::parse("https://x.b.example/x", &policy).is_ok());
        assert!(TargetUrl::parse("https://b.example/x", &policy).is_err());
        assert!(TargetUrl::parse("https://xb.example/x", &policy).is_err());
        assert!(TargetUrl::parse("https://evil.example/a.example", &policy).is_err());
    }

    #[test]
    fn variables_are_percent_encoded() {
        let url = TargetUrl::parse("https://a.example/b/{band_id}?e={event_id}", &open()).unwrap();
        assert_eq!(url.for_band("a b&c=ü", "x/y"), "https://a.example/b/a%20b%26c%3D%C3%BC?e=x%2Fy");
    }
}
