//! Who read what, as facts.
//!
//! Reads and refusals are counted in memory, and one event for each key and
//! route tells of about a minute of them: reading cannot flood the log, and
//! reading about reading does not either. What was counted and not recorded yet
//! is lost if the process dies. Questions in SQL and exports are few and heavy:
//! they are recorded before they are answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use daybook_http::auth::{Access, Role, Seen};
use daybook_http::extract::{BodyLimits, read_body, read_json};
use daybook_http::{Principal, Problem};
use domain::audit_trail::{ACCESS, DENIED, Denied, NO_KEY, QUERIED, Queried, READ, Read};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, StreamWrite};
use domain::{StreamId, TenantId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

/// What one event tells of.
const EVERY: SignedDuration = SignedDuration::from_secs(60);
/// Reads after which an event is due before.
const MANY: u64 = 10_000;
/// Keys and routes at once; more of them are only counted.
const MAX_OPEN: usize = 10_000;
const TARGETS: usize = 10;
const MAX_TARGET_BYTES: usize = 256;
/// Of a query's text.
const MAX_QUERY_BYTES: usize = 4_096;
const LOOK: Duration = Duration::from_secs(1);
const HISTORY: &str = "/v1/audit/";
const WHY: &str = "/v1/audit/why/";
const ANONYMOUS: &str = "worker:access";

/// Writes down what is done with the history.
pub struct Recorder {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    batches: HashMap<What, Batch>,
    lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct What {
    tenant: TenantId,
    key: Option<Arc<str>>,
    /// Method and route.
    what: String,
    /// Of a refusal.
    denied: Option<u16>,
}

#[derive(Debug, Clone)]
struct Batch {
    count: u64,
    from: Timestamp,
    to: Timestamp,
    targets: Vec<String>,
}

impl Batch {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        (self.from, self.to) = (self.from.min(other.from), self.to.max(other.to));
        for target in other.targets {
            if self.targets.len() < TARGETS && !self.targets.contains(&target) {
                self.targets.push(target);
            }
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.count >= MANY || now.duration_since(self.from) >= EVERY
    }
}

impl Recorder {
    pub fn new(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Arc<Self> {
        Arc::new(Self { log, clock, ids, open: Mutex::default() })
    }

    /// To be told of every request for the API.
    pub fn seen(self: &Arc<Self>) -> Seen {
        let recorder = self.clone();
        Arc::new(move |access| recorder.see(&access))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, access: &Access) {
        let Some(route) = access.route.as_ref().map(|route| route.as_str()) else { return };
        let refused = matches!(access.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let read = route.starts_with(HISTORY) && access.status.as_u16() < 400;
        if !refused && !read {
            return;
        }
        let (tenant, key) = match &access.principal {
            Some(principal) => (principal.tenant.clone(), Some(principal.key_id.clone())),
            None => (TenantId::system(), None),
        };
        let what = format!("{} {route}", method(&access.method));
        // What is refused may be anything; only what was given out is kept.
        let targets = if read { Vec::from_iter(target(&access.uri)) } else { Vec::new() };
        let now = self.clock.now();
        let one = Batch { count: 1, from: now, to: now, targets };
        self.add(What { tenant, key, what, denied: refused.then_some(access.status.as_u16()) }, one);
    }

    fn add(&self, what: What, batch: Batch) {
        let mut open = self.lock();
        let room = open.batches.len() < MAX_OPEN;
        match open.batches.get_mut(&what) {
            Some(there) => there.add(batch),
            None if room => drop(open.batches.insert(what, batch)),
            None => open.lost += batch.count,
        }
    }

    /// Records what is due until it is told to stop, then all that is left.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = look.tick() => self.record(false).await,
            }
        }
        self.record(true).await;
    }

    /// Records what is due, or all.
    pub async fn record(&self, all: bool) {
        let now = self.clock.now();
        let (due, mut lost) = {
            let mut open = self.lock();
            let due: Vec<_> = open.batches.extract_if(|_, batch| all || batch.is_due(now)).collect();
            (due, std::mem::take(&mut open.lost))
        };
        for (what, batch) in due {
            let told = if what.denied.is_none() { std::mem::take(&mut lost) } else { 0 };
            if let Err(error) = self.event(&what, &batch, told).await {
                tracing::warn!(%error, "reads of the history were not recorded yet");
                lost += told;
                self.add(what, batch);
            }
        }
        self.lock().lost += lost;
    }

    async fn event(&self, what: &What, batch: &Batch, lost: u64) -> Result<(), AppendError> {
        let Batch { count, from, to, targets } = batch.clone();
        let (route, key) = (what.what.clone(), what.key.as_deref());
        match what.denied {
            Some(status) => {
                let denied = Denied { what: route, status, count, from, to };
                self.append(&what.tenant, key, DENIED, &denied).await
            }
            None => {
                let read = Read { what: route, count, from, to, targets, lost };
                self.append(&what.tenant, key, READ, &read).await
            }
        }
    }

    async fn append<T: Serialize>(
        &self,
        tenant: &TenantId,
        key: Option<&str>,
        event_type: &str,
        payload: &T,
    ) -> Result<(), AppendError> {
        let invalid = |reason: String| AppendError::Invalid(reason);
        // What an operator chose as a key's name need not be an id.
        let stream = StreamId::new(tenant, ACCESS, key.unwrap_or(NO_KEY))
            .or_else(|_| StreamId::new(tenant, ACCESS, NO_KEY))
            .map_err(|e| invalid(e.to_string()))?;
        let payload = serde_json::to_string(payload).map_err(|e| invalid(e.to_string()))?;
        let (event_id, command_id) = (self.ids.next(), self.ids.next());
        let event_type = event_type.into();
        let event = NewEvent { event_id, event_type, schema: 1, occurred_at: None, payload };
        let actor = key.map_or_else(|| ANONYMOUS.into(), |key| format!("key:{key}").into());
        let correlation_id = command_id.to_string().into();
        let append = Append {
            writes: vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: vec![event] }],
            metadata: Metadata { actor, command_id, correlation_id, causation_id: None },
            idempotency: None,
        };
        self.log.append(vec![append]).await.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    }
}

/// A method may be any word of any length; others than these are one.
fn method(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            method.as_str()
        }
        _ => "other",
    }
}

/// What was asked for, if that is no longer than anybody means. The key of a
/// row may be personal, such as a visitor's: its digest is recorded.
pub(crate) fn target(uri: &axum::http::Uri) -> Option<String> {
    let text = uri.path_and_query().map_or(uri.path(), |whole| whole.as_str());
    if text.len() > MAX_TARGET_BYTES {
        return None;
    }
    let row = text.strip_prefix(WHY).and_then(|rest| rest.splitn(3, '/').nth(2));
    let Some(row) = row else { return Some(text.to_owned()) };
    let (key, query) = row.split_once('?').map_or((row, None), |(key, query)| (key, Some(query)));
    let digest = hex::encode(&Sha256::digest(key)[..8]);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}sha256:{digest}{query}", &text[..text.len() - row.len()]))
}

#[derive(Deserialize)]
struct Question {
    query: String,
    at: Option<u64>,
}

/// Middleware of the route for SQL: records the question, then has it answered.
pub async fn record_query(State(recorder): State<Arc<Recorder>>, request: Request, next: Next) -> Response {
    match recorder.question(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

impl Recorder {
    async fn question(&self, request: Request) -> Result<Request, Problem> {
        let (parts, body) = request.into_parts();
        let limits = BodyLimits::of(&parts.extensions);
        let bytes = read_body(&parts.headers, body, limits.bytes).await?;
        let principal = parts.extensions.get::<Principal>().filter(|p| p.has(Role::Auditor)).cloned();
        // Who may not ask, or asks nothing that can be read, is refused next.
        if let (Some(by), Ok(question)) = (principal, read_json::<Question>(&bytes, limits)) {
            let queried = Queried {
                query: beginning(&question.query).to_owned(),
                sha256: hex::encode(Sha256::digest(&question.query)),
                at: question.at,
            };
            let recorded = self.append(&by.tenant, Some(&by.key_id), QUERIED, &queried).await;
            recorded.map_err(|error| Problem::append(error, false))?;
        }
        Ok(Request::from_parts(parts, Body::from(bytes)))
    }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_QUERY_BYTES)]
}
