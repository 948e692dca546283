//! Who taps: the address behind trusted proxies, and the country if one of
//! them says so. Headers of anyone else are not believed.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};

/// A network in CIDR notation, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no network such as 10.0.0.0/8 or 2001:db8::/32");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(width);
        if prefix > width {
            return Err(wrong());
        }
        // IPv4 stands in the last 32 of 128 bits.
        let mask = u128::MAX.checked_shl(width - prefix).unwrap_or(0);
        let mask = if address.is_ipv4() { mask | !u128::from(u32::MAX) } else { mask };
        Ok(Self { bits: number(address) & mask, mask })
    }
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask == self.bits
    }
}

/// Of an IPv4 address the mapped one, so that both kinds compare.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[derive(Debug, Clone, Default)]
pub struct Proxies {
    pub trusted: Vec<Network>,
    /// Where a trusted proxy puts the visitor's country.
    pub country_header: Option<HeaderName>,
}

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The peer, or behind trusted proxies the last hop that is not one.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        for line in headers.get_all("x-forwarded-for").iter().rev() {
            for hop in line.to_str().unwrap_or_default().rsplit(',') {
                let Ok(hop) = hop.trim().parse() else { return client };
                client = hop;
                if !self.trusts(hop) {
                    return client;
                }
            }
        }
        client
    }

    pub fn country(&self, peer: IpAddr, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(self.country_header.as_ref()?)?;
        if !self.trusts(peer) {
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
        let trusted = networks.iter().map(|n| n.parse().unwrap()).collect();
        Proxies { trusted, country_header: Some(HeaderName::from_static("cf-ipcountry")) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_their_addresses() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains(ip("10.1.255.3")) && network.contains(ip("::ffff:10.1.0.1")));
        assert!(!network.contains(ip("10.2.0.1")) && !network.contains(ip("::1")));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains(ip("203.0.113.9")));
        assert!(!"0.0.0.0/0".parse::<Network>().unwrap().contains(ip("2001:db8::1")));
        assert!("::/0".parse::<Network>().unwrap().contains(ip("2001:db8::1")));
        assert!("2001:db8::/32".parse::<Network>().unwrap().contains(ip("2001:db8:7::1")));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "host/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
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
