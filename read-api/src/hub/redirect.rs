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

use super::answer::{Answer, Outcome};
use super::request::TapRequest;
use super::table::TenantTable;
use super::{Ack, Hub, Proxies};
use crate::at_least::{AT_LEAST, AtLeast};

/// The hub's own answers are small and whole; all others come from the router.
pub type HubBody = Either<Full<Bytes>, Body>;

/// `Daybook-Ack: log` asks for one tap to be answered after its commit, with
/// its `Daybook-Position`, whatever is configured.
pub const ACK: HeaderName = HeaderName::from_static("daybook-ack");

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
    /// Answers a request for [`super::PATH`] as the full server read it.
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
        let ack = match headers.get(ACK) {
            Some(value) if value.as_bytes() == b"log" => Ack::Log,
            _ => self.config.ack,
        };
        let request = TapRequest::of(kind, uri, headers, peer, &self.config.proxies);
        self.tap(&request, ack, self.now()).await.response()
    }

    /// Answers a plain request.
    pub async fn answer_plain(&self, request: &TapRequest<'_>, now: Timestamp) -> Answer {
        self.tap(request, self.config.ack, now).await
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn proxies(&self) -> &Proxies {
        &self.config.proxies
    }

    /// Decides where the tap leads and records it.
    async fn tap(&self, request: &TapRequest<'_>, ack: Ack, now: Timestamp) -> Answer {
        let link = Link::parse(request.query);
        let Some(band_id) = link.band_id.as_deref().filter(|id| check_id(id).is_ok()) else {
            return Answer { outcome: Outcome::BadRequest, position: None };
        };
        let (tenant, table) = self.tenant(request.host, link.org.as_deref());
        let decision = match &table {
            Some(table) => decide(table, band_id, link.event_id.as_deref(), now),
            None => Decision { mode: Mode::None, event_id: None, window_id: None, url: None },
        };
        let tap = self.fact(band_id, decision, request, now);
        let payload = serde_json::to_string(&tap).unwrap_or_default();
        let entry = JournalEntry { tenant, kind: request.kind, occurred_at: now, payload };
        let position = self.recorder.record(entry, ack).await;
        // A URL that cannot stand in a header cannot have been stored.
        let outcome = match tap.url.filter(|url| url.bytes().all(|b| b.is_ascii_graphic())) {
            Some(url) => {
                self.redirects.increment(1);
                Outcome::Found(url)
            }
            None => {
                self.misses.increment(1);
                Outcome::NotFound
            }
        };
        Answer { outcome, position }
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

    /// By configured host, else by the link's `org`, else by the first label of
    /// the host; a tenant that nobody has configured anything for does not count.
    fn tenant(&self, host: Option<&str>, org: Option<&str>) -> (TenantId, Option<Arc<TenantTable>>) {
        let host = host.map(bare);
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

    fn fact(&self, band_id: &str, decision: Decision, request: &TapRequest<'_>, now: Timestamp) -> Tap {
        let user_agent = text(request.user_agent, tap::MAX_USER_AGENT_BYTES);
        let agent = user_agent.as_deref().unwrap_or_default();
        Tap {
            band_id: band_id.to_owned(),
            event_id: decision.event_id,
            window_id: decision.window_id,
            mode: decision.mode,
            url: decision.url,
            visitor: Some(self.visitors.hash(request.client, agent, now).into()),
            user_agent: user_agent.map(Into::into),
            referrer: text(request.referrer, tap::MAX_REFERRER_BYTES),
            language: text(request.language, tap::MAX_LANGUAGE_BYTES),
            country: request.country.clone(),
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

/// A host in lower case, without the port.
fn bare(authority: &str) -> Cow<'_, str> {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let lower = !host.bytes().any(|b| b.is_ascii_uppercase());
    if lower { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) }
}

/// `acme` of `acme.tap.example`; addresses have none.
fn first_label(host: &str) -> Option<&str> {
    let (label, rest) = host.split_once('.')?;
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (rest.contains('.') && !numeric).then_some(label)
}

/// A header's text, cut. Bytes that are not UTF-8 are replaced, control
/// characters left out.
fn text(value: Option<&[u8]>, max: usize) -> Option<String> {
    let value = String::from_utf8_lossy(value?);
    let value = cut(value.trim(), max);
    if value.is_empty() {
        return None;
    }
    if value.chars().any(char::is_control) {
        return Some(value.chars().filter(|c| !c.is_control()).collect());
    }
    Some(value.to_owned())
}

fn not_allowed() -> Response<HubBody> {
    let mut response = Answer { outcome: Outcome::BadRequest, position: None }.response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    *response.body_mut() = Either::Left(Full::default());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
