//! Who taps: the address behind trusted proxies, and the country if one of
//! them says so. Headers of anyone else are not believed.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use daybook_http::address::TrustedProxies;

#[derive(Debug, Clone, Default)]
pub struct Proxies {
    pub trusted: TrustedProxies,
    /// Where a trusted proxy puts the visitor's country.
    pub country_header: Option<HeaderName>,
}

impl Proxies {
    /// The peer, or behind trusted proxies the last hop that is not one.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.trusted.client(peer, headers)
    }

    pub fn country(&self, peer: IpAddr, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(self.country_header.as_ref()?)?;
        if !self.trusted.trusts(peer) {
            return None;
        }
        let code = value.to_str().ok()?.trim();
        let fine = code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
        fine.then(|| code.to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn proxies(networks: &[&str]) -> Proxies {
        let trusted = TrustedProxies(networks.iter().map(|n| n.parse().unwrap()).collect());
        Proxies { trusted, country_header: Some(HeaderName::from_static("cf-ipcountry")) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let given = headers(&[
            ("x-forwarded-for", "198.51.100.1, 203.0.113.5"),
            ("x-forwarded-for", "10.0.0.2"),
            ("cf-ipcountry", "de"),
        ]);
        let behind = proxies(&["10.0.0.0/8"]);
        assert_eq!(behind.client(ip("10.0.0.1"), &given), ip("203.0.113.5"));
        assert_eq!(behind.country(ip("10.0.0.1"), &given), Some("DE".into()));
        assert_eq!(behind.client(ip("192.0.2.1"), &given), ip("192.0.2.1"));
        assert_eq!(behind.country(ip("192.0.2.1"), &given), None);
        let garbled = headers(&[("x-forwarded-for", "203.0.113.5, what")]);
        assert_eq!(behind.client(ip("10.0.0.1"), &garbled), ip("10.0.0.1"));
        let long = headers(&[("cf-ipcountry", "Germany")]);
        assert_eq!(behind.country(ip("10.0.0.1"), &long), None);
    }
}
