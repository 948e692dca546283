//! Where a tap leads, and the answer to it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use daybook_http::Problem;
use domain::TenantId;
use domain::ids::check_id;
use domain::live_event::{LiveEvent, resolve};
use domain::ports::journal::{JournalEntry, TapKind};
use domain::tap::{self, Mode, Tap, cut};
use http_body_util::{Either, Full};
use jiff::Timestamp;

use super::table::TenantTable;
use super::{Ack, Hub};
use crate::at_least::{AT_LEAST, AtLeast, POSITION};

/// The hub's own answers are small and whole; all others come from the router.
pub type HubBody = Either<Full<Bytes>, Body>;

/// `Daybook-Ack: log` asks for one tap to be answered after its commit, with
/// its `Daybook-Position`, whatever is configured.
pub const ACK: HeaderName = HeaderName::from_static("daybook-ack");

const NOT_FOUND: &str = "<!doctype html><meta charset=utf-8><title>Nothing here yet</title>\
    <h1>Nothing here yet</h1><p>This wristband has no page at the moment. Please try again later.</p>";
const BAD_REQUEST: &str = "<!doctype html><meta charset=utf-8><title>Not a wristband link</title>\
    <h1>Not a wristband link</h1><p>The link must name a wristband: /e?bandId=\u{2026}</p>";

/// The parameters of a tap's link; others are ignored.
#[derive(Debug, Default, PartialEq)]
struct Link<'a> {
    band_id: Option<Cow<'a, str>>,
    org: Option<Cow<'a, str>>,
    event_id: Option<Cow<'a, str>>,
}

/// What was decided for a tap.
#[derive(Debug, PartialEq)]
struct Decision {
    mode: Mode,
    event_id: Option<String>,
    window_id: Option<String>,
    url: Option<String>,
}

impl Hub {
    /// Answers a request for [`super::PATH`].
    pub async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Response<HubBody> {
        let kind = match *method {
            Method::GET => TapKind::Tapped,
            Method::HEAD => TapKind::Previewed,
            _ => return not_allowed(),
        };
        if headers.contains_key(AT_LEAST)
            && let Err(problem) = self.caught_up(headers).await
        {
            return problem.into_response().map(Either::Right);
        }
        let link = Link::parse(uri.query().unwrap_or_default());
        let Some(band_id) = link.band_id.as_deref().filter(|id| check_id(id).is_ok()) else {
            return page(StatusCode::BAD_REQUEST, BAD_REQUEST);
        };
        let now = self.clock.now();
        let (tenant, table) = self.tenant(uri, headers, link.org.as_deref());
        let decision = match &table {
            Some(table) => decide(table, band_id, link.event_id.as_deref(), now),
            None => Decision { mode: Mode::None, event_id: None, window_id: None, url: None },
        };
        // A URL that cannot stand in a header cannot have been stored.
        let location = decision.url.as_deref().and_then(|url| HeaderValue::from_str(url).ok());
        let tap = self.tap(band_id, decision, headers, peer, now);
        let payload = serde_json::to_string(&tap).unwrap_or_default();
        let entry = JournalEntry { tenant, kind, occurred_at: now, payload };
        let position = self.recorder.record(entry, self.ack(headers)).await;
        let mut response = match location {
            Some(location) => {
                self.redirects.increment(1);
                found(location)
            }
            None => {
                self.misses.increment(1);
                page(StatusCode::NOT_FOUND, NOT_FOUND)
            }
        };
        if let Some(position) = position {
            response.headers_mut().insert(POSITION, position.into());
        }
        response
    }

    async fn caught_up(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let wanted = AtLeast::from_headers(headers)?;
        let mut position = self.table.watch();
        let reached = position.wait_for(|p| *p >= wanted.position);
        match tokio::time::timeout(wanted.wait, reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(crate::state::behind(wanted.position, self.table.position())),
        }
    }

    fn ack(&self, headers: &HeaderMap) -> Ack {
        match headers.get(ACK) {
            Some(value) if value.as_bytes() == b"log" => Ack::Log,
            _ => self.config.ack,
        }
    }

    /// By configured host, else by the link's `org`, else by the first label of
    /// the host; a tenant that nobody has configured anything for does not count.
    fn tenant(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        org: Option<&str>,
    ) -> (TenantId, Option<Arc<TenantTable>>) {
        let host = host(uri, headers);
        if let Some(tenant) = host.as_deref().and_then(|h| self.config.hosts.get(h)) {
            return (tenant.clone(), self.table.known(tenant));
        }
        let named = org.and_then(|org| self.table.tenant(org));
        let table = named.or_else(|| self.table.tenant(first_label(host.as_deref()?)?));
        match table {
            Some(table) => (table.tenant.clone(), Some(table)),
            None => {
                let tenant = &self.config.default_tenant;
                (tenant.clone(), self.table.known(tenant))
            }
        }
    }

    fn tap(
        &self,
        band_id: &str,
        decision: Decision,
        headers: &HeaderMap,
        peer: IpAddr,
        now: Timestamp,
    ) -> Tap {
        let user_agent = text(headers, header::USER_AGENT, tap::MAX_USER_AGENT_BYTES);
        let client = self.config.proxies.client(peer, headers);
        Tap {
            band_id: band_id.to_owned(),
            event_id: decision.event_id,
            window_id: decision.window_id,
            mode: decision.mode,
            url: decision.url,
            visitor: Some(self.visitors.hash(client, user_agent.as_deref().unwrap_or_default(), now)),
            user_agent,
            referrer: text(headers, header::REFERER, tap::MAX_REFERRER_BYTES),
            language: text(headers, header::ACCEPT_LANGUAGE, tap::MAX_LANGUAGE_BYTES),
            country: self.config.proxies.country(peer, headers),
            source: "hub".into(),
        }
    }
}

impl<'a> Link<'a> {
    /// The first value of each parameter.
    fn parse(query: &'a str) -> Self {
        let mut link = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "bandId" => &mut link.band_id,
                "org" | "orgSlug" => &mut link.org,
                "eventId" => &mut link.event_id,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        link
    }
}

/// The band's event decides. A band that is unknown is served as one of the
/// event that its link names, if there is that event.
fn decide(table: &TenantTable, band_id: &str, link_event: Option<&str>, now: Timestamp) -> Decision {
    let band = table.band(band_id);
    let (event_id, served) = match &band {
        Some(band) => (band.event_id.as_deref(), !band.retired),
        None => (link_event, true),
    };
    let known: Option<(&str, Arc<LiveEvent>)> = event_id.and_then(|id| Some((id, table.event(id)?)));
    let id = known.as_ref().map(|(id, _)| (*id).to_owned());
    if let Some((id, event)) = &known
        && served
    {
        let served = resolve(event, now);
        if let Some(url) = served.url {
            return Decision {
                mode: served.mode,
                event_id: Some((*id).to_owned()),
                window_id: served.window_id.map(str::to_owned),
                url: Some(url.for_band(band_id, id)),
            };
        }
    }
    match table.fallback() {
        Some(url) => {
            let url = url.for_band(band_id, id.as_deref().unwrap_or_default());
            Decision { mode: Mode::TenantFallback, event_id: id, window_id: None, url: Some(url) }
        }
        None => Decision { mode: Mode::None, event_id: id, window_id: None, url: None },
    }
}

/// Lower case, without the port.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let lower = !host.bytes().any(|b| b.is_ascii_uppercase());
    Some(if lower { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) })
}

/// `acme` of `acme.tap.example`; addresses have none.
fn first_label(host: &str) -> Option<&str> {
    let (label, rest) = host.split_once('.')?;
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (rest.contains('.') && !numeric).then_some(label)
}

/// A header's text, cut. Bytes that are not UTF-8 are replaced, control
/// characters left out.
fn text(headers: &HeaderMap, name: HeaderName, max: usize) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes());
    let value = cut(value.trim(), max);
    if value.is_empty() {
        return None;
    }
    if value.chars().any(char::is_control) {
        return Some(value.chars().filter(|c| !c.is_control()).collect());
    }
    Some(value.to_owned())
}

fn found(location: HeaderValue) -> Response<HubBody> {
    let mut response = plain(StatusCode::FOUND, Bytes::new());
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn page(status: StatusCode, html: &'static str) -> Response<HubBody> {
    let mut response = plain(status, Bytes::from_static(html.as_bytes()));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

fn not_allowed() -> Response<HubBody> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn plain(status: StatusCode, body: Bytes) -> Response<HubBody> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
