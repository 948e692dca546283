//! What the hub looks at in a request, and how a plain one is read.
//!
//! A plain request is a GET or HEAD of the hub's path without a body and
//! without anything that asks for more than an answer. That is nearly every
//! tap; reading it here costs a third of what a full HTTP server spends on it.
//! Whatever is in doubt is left to the full server, so that nothing has to be
//! refused here.

use std::mem::MaybeUninit;
use std::net::IpAddr;

use axum::http::{HeaderMap, Uri};
use domain::ports::journal::TapKind;

use super::PATH;
use super::client::Proxies;

/// A request with more headers is not plain.
const MAX_HEADERS: usize = 48;
/// Headers with a meaning for the connection, for a body, or for the rarer
/// ways of asking.
const NOT_PLAIN: [&str; 10] = [
    "content-length",
    "transfer-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "http2-settings",
    "daybook-ack",
    "daybook-at-least",
    "prefer",
];

/// A tap's request.
#[derive(Debug)]
pub struct TapRequest<'a> {
    pub kind: TapKind,
    pub query: &'a str,
    /// Host and port.
    pub host: Option<&'a str>,
    pub user_agent: Option<&'a [u8]>,
    pub referrer: Option<&'a [u8]>,
    pub language: Option<&'a [u8]>,
    pub client: IpAddr,
    pub country: Option<String>,
}

/// What stands at the beginning of a connection's unread bytes.
#[derive(Debug)]
pub enum Head<'a> {
    /// A plain request of this many bytes.
    Tap(TapRequest<'a>, usize),
    /// Not yet a whole head.
    Partial,
    Other,
}

impl<'a> TapRequest<'a> {
    /// Of headers in their order; the first of several counts.
    pub fn new(
        kind: TapKind,
        query: &'a str,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        peer: IpAddr,
        proxies: &Proxies,
    ) -> Self {
        let (mut host, mut user_agent, mut referrer, mut language, mut country) = Default::default();
        let mut forwarded = Vec::new();
        for (name, value) in headers {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            let field: &mut Option<&'a [u8]> = match name.len() {
                4 if is("host") => &mut host,
                7 if is("referer") => &mut referrer,
                10 if is("user-agent") => &mut user_agent,
                15 if is("accept-language") => &mut language,
                15 if is("x-forwarded-for") => {
                    forwarded.push(value);
                    continue;
                }
                _ if proxies.tells_country(name) => &mut country,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        Self {
            kind,
            query,
            host: host.and_then(|host| std::str::from_utf8(host).ok()),
            user_agent,
            referrer,
            language,
            client: proxies.client(peer, &forwarded),
            country: country.and_then(|value| proxies.country(peer, value)),
        }
    }

    pub fn of(kind: TapKind, uri: &'a Uri, headers: &'a HeaderMap, peer: IpAddr, proxies: &Proxies) -> Self {
        let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut request = Self::new(kind, uri.query().unwrap_or_default(), all, peer, proxies);
        request.host = uri.authority().map(|a| a.as_str()).or(request.host);
        request
    }
}

/// Reads the head at the beginning of `bytes`.
pub fn read<'a>(bytes: &'a [u8], peer: IpAddr, proxies: &Proxies) -> Head<'a> {
    let mut headers = [MaybeUninit::uninit(); MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Head::Partial,
        // The full server knows what to answer.
        Err(_) => return Head::Other,
    };
    let kind = match parsed.method {
        Some("GET") => TapKind::Tapped,
        Some("HEAD") => TapKind::Previewed,
        _ => return Head::Other,
    };
    let query = match parsed.path.and_then(|target| target.strip_prefix(PATH)) {
        Some("") => "",
        Some(rest) if rest.starts_with('?') && rest.bytes().all(is_query) => &rest[1..],
        _ => return Head::Other,
    };
    if parsed.version != Some(1) || !parsed.headers.iter().all(plain) {
        return Head::Other;
    }
    let headers = parsed.headers.iter().map(|h| (h.name, h.value));
    Head::Tap(TapRequest::new(kind, query, headers, peer, proxies), length)
}

/// The characters of a query (RFC 3986).
fn is_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

fn plain(header: &httparse::Header<'_>) -> bool {
    if header.name.eq_ignore_ascii_case("connection") {
        return header.value.eq_ignore_ascii_case(b"keep-alive");
    }
    !NOT_PLAIN.iter().any(|name| header.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(head: &str) -> Head<'_> {
        read(head.as_bytes(), "192.0.2.1".parse().unwrap(), &Proxies::default())
    }

    #[test]
    fn a_plain_tap_is_read() {
        let head = "GET /e?bandId=b1&x=%20 HTTP/1.1\r\nHOST: tap.example\r\nUser-Agent: one\r\n\
                    user-agent: two\r\nReferer: r\r\nAccept-Language: de\r\nConnection: Keep-Alive\r\n\r\n";
        let more = format!("{head}GET /e");
        let Head::Tap(request, length) = at(&more) else { panic!("not read") };
        assert_eq!(length, head.len());
        assert_eq!(request.kind, TapKind::Tapped);
        assert_eq!(request.query, "bandId=b1&x=%20");
        assert_eq!(request.host, Some("tap.example"));
        assert_eq!(request.user_agent, Some(&b"one"[..]));
        assert_eq!(request.referrer, Some(&b"r"[..]));
        assert_eq!(request.language, Some(&b"de"[..]));
        for end in 1..head.len() {
            assert!(matches!(at(&head[..end]), Head::Partial), "{end}");
        }
        let Head::Tap(preview, _) = at("HEAD /e HTTP/1.1\r\n\r\n") else { panic!("not read") };
        assert_eq!((preview.kind, preview.query), (TapKind::Previewed, ""));
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_full_server() {
        for head in [
            "POST /e?bandId=b1 HTTP/1.1\r\n\r\n",
            "GET /e?bandId=b1 HTTP/1.0\r\n\r\n",
            "GET /ex?bandId=b1 HTTP/1.1\r\n\r\n",
            "GET /v1/bands HTTP/1.1\r\n\r\n",
            "GET http://tap.example/e?bandId=b1 HTTP/1.1\r\n\r\n",
            "GET /e?bandId=b1#part HTTP/1.1\r\n\r\n",
            "GET /e?bandId=\u{fc} HTTP/1.1\r\n\r\n",
            "GET /e?bandId=b1 HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET /e?bandId=b1 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc",
            "GET /e?bandId=b1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /e?bandId=b1 HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "GET /e?bandId=b1 HTTP/1.1\r\nDaybook-Ack: log\r\n\r\n",
            "GET /e?bandId=b1 HTTP/1.1\r\nno colon\r\n\r\n",
            "\u{16}\u{3}\u{1} tls",
        ] {
            assert!(matches!(at(head), Head::Other), "{head:?}");
        }
        let many = format!("GET /e HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        assert!(matches!(at(&many), Head::Other));
    }
}
