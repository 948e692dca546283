//! One stream: its events with the state after each, and what differs between
//! the states of two versions.

use axum::extract::State as Shared;
use daybook_http::{Json, Path, Problem, Query};
use domain::ids::check_id;
use domain::ports::log::EventLog;
use domain::{RecordedEvent, StreamId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::AuditState;
use crate::access::{Auditor, within};
use crate::body::EventBody;
use crate::diff::{Change, diff};
use crate::states::State;

const MAX_LIMIT: usize = 1_000;
/// Events in memory at once while a state is folded.
const PAGE: usize = 256;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct StreamPath {
    /// `event`, `band`, `tenant`, `api_key`, `rule`, `anomaly_review`, `model` and
    /// `replay` have states, and others.
    kind: String,
    id: String,
}

impl StreamPath {
    fn of(&self, tenant: &TenantId) -> Result<StreamId, Problem> {
        for (name, part) in [("kind", &self.kind), ("id", &self.id)] {
            check_id(part).map_err(|e| Problem::parameter(name, e))?;
        }
        StreamId::new(tenant, &self.kind, &self.id).map_err(Problem::internal)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// The first version; 1 unless told.
    from: Option<u64>,
    /// 1 to 1,000; 100 unless told.
    limit: Option<usize>,
    /// Another tenant than the key's own, for auditors of the installation.
    tenant: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Version {
    #[serde(flatten)]
    event: EventBody,
    /// After this event. Not there for kinds that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    state: Option<Box<RawValue>>,
    /// Why the state cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StreamHistory {
    tenant: String,
    kind: String,
    id: String,
    /// The newest.
    version: u64,
    events: Vec<Version>,
    /// `from` of the next page.
    next: Option<u64>,
}

/// A stream's events by version, each with the state after it. A page from a
/// late version folds all that is before it: about a second for a million
/// events. A page with few but long events ends early.
#[utoipa::path(get, path = "/v1/audit/streams/{kind}/{id}", tag = "Audit", params(StreamPath, Part), responses((status = 200, body = StreamHistory)))]
pub async fn history(
    Shared(shared): Shared<AuditState>,
    auditor: Auditor,
    Path(path): Path<StreamPath>,
    Query(part): Query<Part>,
) -> Result<Json<StreamHistory>, Problem> {
    let tenant = auditor.tenant(part.tenant.as_deref())?;
    let limit = within("limit", part.limit, 100, MAX_LIMIT)?;
    let from = part.from.unwrap_or(1);
    if from == 0 {
        return Err(Problem::parameter("from", "must be 1 or more"));
    }
    let stream = path.of(&tenant)?;
    let newest = shared.log.last(&stream).await?.ok_or_else(Problem::not_found)?.version;
    let mut state = State::of_kind(&path.kind);
    let mut walk = Walk { log: &*shared.log, stream: &stream, next: from };
    if let Some(state) = state.as_mut().filter(|_| from <= newest) {
        walk.next = 1;
        walk.fold(from - 1, state).await?;
    }
    let (mut events, mut bytes) = (Vec::new(), 0);
    'full: while events.len() < limit && walk.next <= newest {
        let page = walk.page(limit - events.len()).await?;
        for event in page {
            let version = with_state(event, state.as_mut())?;
            bytes += version.event.payload.get().len();
            bytes += version.state.as_ref().map_or(0, |state| state.get().len());
            events.push(version);
            if bytes >= shared.limits.bytes {
                break 'full;
            }
        }
    }
    let last = events.last().map_or(newest, |v| v.event.version);
    let next = (last < newest).then_some(last + 1);
    let StreamPath { kind, id } = path;
    Ok(Json(StreamHistory { tenant: tenant.to_string(), kind, id, version: newest, events, next }))
}

fn with_state(event: RecordedEvent, state: Option<&mut State>) -> Result<Version, Problem> {
    let told = state.map(|state| {
        state.apply(&event);
        state.raw()
    });
    let (state, state_error) = match told {
        Some(Ok(state)) => (Some(state), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, None),
    };
    Ok(Version { event: EventBody::new(event)?, state, state_error })
}

/// Along a stream, a page at a time.
struct Walk<'a> {
    log: &'a dyn EventLog,
    stream: &'a StreamId,
    /// The version that is read next.
    next: u64,
}

impl Walk<'_> {
    /// Some events; the caller knows that there are more.
    async fn page(&mut self, most: usize) -> Result<Vec<RecordedEvent>, Problem> {
        let page = self.log.read_stream(self.stream, self.next, most.min(PAGE)).await?;
        let Some(last) = page.last() else {
            return Err(Problem::internal(format!("{} has no version {}", self.stream, self.next)));
        };
        self.next = last.version + 1;
        Ok(page)
    }

    /// The state after a version that there is, or before the first for 0.
    async fn fold(&mut self, version: u64, state: &mut State) -> Result<(), Problem> {
        while self.next <= version {
            let most = usize::try_from(version - self.next + 1).unwrap_or(PAGE);
            for event in self.page(most).await? {
                state.apply(&event);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Between {
    /// A version; 0 is before the first.
    from: u64,
    to: u64,
    /// Another tenant than the key's own, for auditors of the installation.
    tenant: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Difference {
    tenant: String,
    kind: String,
    id: String,
    from: u64,
    to: u64,
    /// Each applied to the state after `from` makes the state after `to`.
    changes: Vec<Change>,
}

/// What differs between the states after two versions of a stream, by JSON
/// pointer. Folds the stream up to the later one.
#[utoipa::path(get, path = "/v1/audit/streams/{kind}/{id}/diff", tag = "Audit", params(StreamPath, Between), responses((status = 200, body = Difference)))]
pub async fn difference(
    Shared(shared): Shared<AuditState>,
    auditor: Auditor,
    Path(path): Path<StreamPath>,
    Query(between): Query<Between>,
) -> Result<Json<Difference>, Problem> {
    let tenant = auditor.tenant(between.tenant.as_deref())?;
    let stream = path.of(&tenant)?;
    let newest = shared.log.last(&stream).await?.ok_or_else(Problem::not_found)?.version;
    let Between { from, to, .. } = between;
    for (name, version) in [("from", from), ("to", to)] {
        if version > newest {
            return Err(Problem::parameter(name, format!("is past the newest version, {newest}")));
        }
    }
    let stateless = || Problem::parameter("kind", "has no state that could be compared");
    let mut state = State::of_kind(&path.kind).ok_or_else(stateless)?;
    let mut walk = Walk { log: &*shared.log, stream: &stream, next: 1 };
    let (first, second) = (from.min(to), from.max(to));
    walk.fold(first, &mut state).await?;
    let early = told(&state, first, if first == from { "from" } else { "to" })?;
    walk.fold(second, &mut state).await?;
    let late = told(&state, second, if second == to { "to" } else { "from" })?;
    let (before, after) = if from <= to { (early, late) } else { (late, early) };
    let changes = diff(before.as_ref(), after.as_ref());
    let StreamPath { kind, id } = path;
    Ok(Json(Difference { tenant: tenant.to_string(), kind, id, from, to, changes }))
}

fn told(state: &State, version: u64, parameter: &str) -> Result<Option<Value>, Problem> {
    if version == 0 {
        return Ok(None);
    }
    let lost = |reason| Problem::parameter(parameter, format!("has no state: {reason}"));
    state.value().map(Some).map_err(lost)
}
