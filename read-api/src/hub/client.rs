//! Who taps: the address behind trusted proxies, and the country if one of
//! them says so. Headers of anyone else are not believed.

use std::net::IpAddr;

use axum::http::HeaderName;
use daybook_http::address::TrustedProxies;

#[derive(Debug, Clone, Default)]
pub struct Proxies {
    pub trusted: TrustedProxies,
    /// Where a trusted proxy puts the visitor's country.
    pub country_header: Option<HeaderName>,
}

impl Proxies {
    /// The peer, or behind trusted proxies the last hop that is not one.
    pub fn client(&self, peer: IpAddr, forwarded: &[&[u8]]) -> IpAddr {
        self.trusted.behind(peer, forwarded.iter().rev().copied())
    }

    pub fn tells_country(&self, header: &str) -> bool {
        self.country_header.as_ref().is_some_and(|name| name.as_str().eq_ignore_ascii_case(header))
    }

    /// Of the value of that header.
    pub fn country(&self, peer: IpAddr, value: &[u8]) -> Option<String> {
        if !self.trusted.trusts(peer) {
            return None;
        }
        let code = std::str::from_utf8(value).ok()?.trim();
        let fine = code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
        fine.then(|| code.to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str]) -> Proxies {
        let trusted = TrustedProxies(networks.iter().map(|n| n.parse().unwrap()).collect());
        Proxies { trusted, country_header: Some(HeaderName::from_static("cf-ipcountry")) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let chain: [&[u8]; 2] = [b"198.51.100.1, 203.0.113.5", b"10.0.0.2"];
        let behind = proxies(&["10.0.0.0/8"]);
        assert_eq!(behind.client(ip("10.0.0.1"), &chain), ip("203.0.113.5"));
        assert_eq!(behind.country(ip("10.0.0.1"), b"de"), Some("DE".into()));
        assert_eq!(behind.client(ip("192.0.2.1"), &chain), ip("192.0.2.1"));
        assert_eq!(behind.country(ip("192.0.2.1"), b"de"), None);
        assert_eq!(behind.client(ip("10.0.0.1"), &[b"203.0.113.5, what"]), ip("10.0.0.1"));
        assert_eq!(behind.country(ip("10.0.0.1"), b"Germany"), None);
        assert!(behind.tells_country("CF-IPCountry") && !behind.tells_country("country"));
    }
}
