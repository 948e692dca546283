//! Events by who, what, when and in what context, in the order of positions.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use daybook_http::{Problem, Query};
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::{RecordedEvent, TenantId, registry};
use jiff::{Timestamp, ToSpan};
use projections::as_of::position_at;
use projections::history::{CORRELATIONS, correlation};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::{Auditor, name, within};
use crate::fetch::fetch;
use crate::format::{Format, Found, answer};
use crate::index::{Index, Span};
use crate::{AuditState, Limits};

const MAX_LIMIT: usize = 1_000;
/// Events read at once where most may not be wanted.
const CHUNK: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Who caused it: `key:<id>`, `cli:<user>`, `worker:<name>` or `hub`.
    actor: Option<String>,
    /// One event type, or several with commas between them. Taps and previews
    /// of an actor or a correlation are found only if they are named here.
    r#type: Option<String>,
    correlation_id: Option<String>,
    /// Recorded at this RFC 3339 time or later.
    since: Option<String>,
    /// Recorded before this RFC 3339 time.
    until: Option<String>,
    /// Past this position: `through` of the page before.
    after: Option<u64>,
    /// Up to this position.
    upto: Option<u64>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// json (unless told), ndjson or csv.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    format: Format,
    /// Another tenant than the key's own, for auditors of the installation.
    tenant: Option<String>,
}

/// What a filter says.
#[derive(Clone, Copy, Default)]
pub struct Terms<'a> {
    pub actor: Option<&'a str>,
    /// With commas between them.
    pub types: Option<&'a str>,
    pub correlation: Option<&'a str>,
    pub since: Option<&'a str>,
    pub until: Option<&'a str>,
    pub after: Option<u64>,
    pub upto: Option<u64>,
}

impl Filter {
    fn terms(&self) -> Terms<'_> {
        Terms {
            actor: self.actor.as_deref(),
            types: self.r#type.as_deref(),
            correlation: self.correlation_id.as_deref(),
            since: self.since.as_deref(),
            until: self.until.as_deref(),
            after: self.after,
            upto: self.upto,
        }
    }
}

/// What is looked for, checked.
pub struct Wanted {
    tenant: TenantId,
    pub types: Vec<Arc<str>>,
    actor: Option<String>,
    correlation: Option<String>,
}

impl Wanted {
    pub fn of(terms: &Terms<'_>, tenant: TenantId) -> Result<Self, Problem> {
        let actor = terms.actor.map(|v| name("actor", v)).transpose()?;
        let correlation = terms.correlation.map(|v| name("correlation_id", v)).transpose()?;
        let mut types = Vec::new();
        for one in terms.types.iter().flat_map(|all| all.split(',')) {
            let unknown = || Problem::parameter("type", format!("names no type of event: {one:?}"));
            types.push(Arc::from(registry::find(one).ok_or_else(unknown)?.name));
        }
        let [actor, correlation] = [actor, correlation].map(|text| text.map(str::to_owned));
        Ok(Self { tenant, types, actor, correlation })
    }

    fn filter(&self) -> ReadFilter {
        ReadFilter { tenant: Some(self.tenant.clone()), kind: None, event_types: self.types.clone() }
    }

    fn has(&self, event: &RecordedEvent) -> bool {
        let meta = &event.metadata;
        self.tenant == event.stream.tenant
            && (self.types.is_empty() || self.types.contains(&event.event_type))
            && self.actor.as_deref().is_none_or(|actor| *actor == *meta.actor)
            && self.correlation.as_deref().is_none_or(|id| *id == *meta.correlation_id)
    }

    /// Whether the index knows of all that is looked for.
    fn is_indexed(&self) -> bool {
        (self.actor.is_some() || self.correlation.is_some())
            && !self.types.iter().any(|t| registry::is_trimmable(t))
    }
}

/// A tenant's events in the order of their positions. All that match up to
/// `through` are told: a page that is full, that weighs 8 MiB, or for which a
/// million positions were looked through ends there. Go on with
/// `after=<through>` until `through` is `upto`, which is where the log ended,
/// or how far the index is. NDJSON and CSV have both in the headers
/// `Daybook-Through` and `Daybook-Upto`.
#[utoipa::path(get, path = "/v1/audit/events", tag = "Audit", params(Filter), responses((status = 200, content((crate::format::Events = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")))))]
pub async fn list(
    State(state): State<AuditState>,
    auditor: Auditor,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    let tenant = auditor.tenant(filter.tenant.as_deref())?;
    let limit = within("limit", filter.limit, 100, MAX_LIMIT)?;
    let terms = filter.terms();
    let wanted = Wanted::of(&terms, tenant)?;
    let span = span(&*state.log, &terms, limit).await?;
    let found = match wanted.is_indexed() {
        true => by_index(&state, &wanted, span).await?,
        false => by_scan(&*state.log, &wanted, span, &state.limits).await?,
    };
    answer(filter.format, found)
}

fn time(parameter: &str, text: &str) -> Result<Timestamp, Problem> {
    text.parse().map_err(|_| Problem::parameter(parameter, "must be an RFC 3339 time with an offset"))
}

/// Positions that are within all bounds. Times never decrease with positions.
pub async fn span(log: &dyn EventLog, terms: &Terms<'_>, limit: usize) -> Result<Span, Problem> {
    let since = terms.since.map(|text| time("since", text)).transpose()?;
    let until = terms.until.map(|text| time("until", text)).transpose()?;
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        return Err(Problem::parameter("until", "must not be before since"));
    }
    let (mut after, head) = (terms.after.unwrap_or(0), log.head().await?.position);
    let mut upto = terms.upto.unwrap_or(head);
    if terms.after.is_some() && terms.upto.is_some_and(|upto| upto < after) {
        return Err(Problem::parameter("upto", "must not be before after"));
    }
    upto = upto.min(head);
    // Before the earliest time there is nothing.
    let before = |time: Timestamp| time.checked_sub(1.nanosecond()).ok();
    if let Some(before) = since.and_then(before) {
        after = after.max(position_at(log, before).await?);
    }
    if let Some(until) = until {
        let last = match before(until) {
            Some(before) => position_at(log, before).await?,
            None => 0,
        };
        upto = upto.min(last);
    }
    Ok(Span { after, upto: upto.max(after), limit })
}

/// What has been found, and how far it was looked for.
struct Page<'a> {
    wanted: &'a Wanted,
    limit: usize,
    room: usize,
    events: Vec<RecordedEvent>,
    through: u64,
}

impl<'a> Page<'a> {
    fn new(wanted: &'a Wanted, span: Span, limits: &Limits) -> Self {
        Self { wanted, limit: span.limit, room: limits.bytes, events: Vec::new(), through: span.after }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || self.room == 0
    }

    /// Takes what is wanted. False once the page is full.
    fn take(&mut self, events: Vec<RecordedEvent>) -> bool {
        for event in events {
            if self.is_full() {
                return false;
            }
            self.through = event.position;
            if self.wanted.has(&event) {
                self.room = self.room.saturating_sub(event.payload.len());
                self.events.push(event);
            }
        }
        !self.is_full()
    }
}

pub async fn by_scan(
    log: &dyn EventLog,
    wanted: &Wanted,
    span: Span,
    limits: &Limits,
) -> Result<Found, LogError> {
    let stop = span.upto.min(span.after.saturating_add(limits.scanned));
    let mut page = Page::new(wanted, span, limits);
    let (filter, all) = (wanted.filter(), wanted.actor.is_none() && wanted.correlation.is_none());
    while page.through < stop && !page.is_full() {
        let ask = if all { span.limit - page.events.len() } else { CHUNK };
        let mut read = log.read(page.through, ask, &filter).await?;
        if read.through <= page.through {
            break;
        }
        read.events.retain(|event| event.position <= stop);
        if page.take(read.events) {
            page.through = read.through.min(stop);
        }
    }
    Ok(Found { events: page.events, through: page.through, upto: span.upto })
}

async fn by_index(state: &AuditState, wanted: &Wanted, span: Span) -> Result<Found, Problem> {
    let index = Index::open(&*state.rows, &wanted.tenant).await?;
    let upto = span.upto.min(index.position).max(span.after);
    let mut page = Page::new(wanted, span, &state.limits);
    let mut fetched = 0;
    while page.through < upto && !page.is_full() && fetched < state.limits.fetched {
        let limit = CHUNK.min(state.limits.fetched - fetched);
        let part = Span { after: page.through, upto, limit };
        let positions = match (&wanted.correlation, &wanted.actor) {
            (Some(id), _) => index.group(CORRELATIONS, &correlation(id), part).await?,
            (None, Some(actor)) => index.actor(&*state.log, actor, part).await?,
            (None, None) => Vec::new(),
        };
        let events = fetch(&*state.log, &wanted.tenant, &positions, state.limits.bytes).await?;
        let all = positions.len() < limit && events.len() == positions.len();
        fetched += events.len();
        if page.take(events) && all {
            page.through = upto;
        }
    }
    Ok(Found { events: page.events, through: page.through, upto })
}
