//! Against the references in memory: who gets what, page after page.

mod events;
mod export;
mod long;
mod recording;
mod streams;
mod tree;
mod why;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use daybook_http::Principal;
use daybook_http::auth::Role;
use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite, Written};
use domain::ports::rows::{Commit, Query, RowPut, RowStore, Source, TableChanges};
use domain::{RecordedEvent, StreamId, TenantId};
use http_body_util::BodyExt;
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use jiff::Timestamp;
use projections::Projection;
use projections::board::Board;
use projections::history::History;
use projections::testing::fold;
use replays::Engine;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use crate::{AuditState, Limits, router};

/// Each append is six hours after the one before.
#[derive(Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.fetch_add(6 * 3_600, Ordering::Relaxed)).unwrap()
    }
}

#[derive(Default)]
struct Counting(AtomicI64);

impl Ids for Counting {
    fn next(&self) -> Uuid {
        Uuid::from_u128(1 << 64 | self.0.fetch_add(1, Ordering::Relaxed) as u128)
    }
}

pub struct Bed {
    pub log: Arc<MemoryLog>,
    rows: Arc<MemoryRows>,
    pub limits: Limits,
    made: AtomicI64,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
}

/// A command: tenant, actor, correlation id, what it reacts to.
pub struct By<'a>(pub &'a str, pub &'a str, pub &'a str, pub Option<Uuid>);

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

impl Bed {
    pub fn new() -> Self {
        let log = Arc::new(MemoryLog::new(Arc::new(Ticking::default())));
        Self { log, rows: Arc::default(), limits: Limits::default(), made: AtomicI64::default() }
    }

    fn id(&self) -> Uuid {
        Uuid::from_u128(self.made.fetch_add(1, Ordering::Relaxed) as u128 + 1)
    }

    /// One command's events, `type payload` each, in one stream.
    pub async fn append(&self, by: By<'_>, stream: (&str, &str), events: &[&str]) -> Vec<Written> {
        let By(owner, actor, correlation, causation_id) = by;
        let event = |text: &&str| {
            let (event_type, payload) = text.split_once(' ').unwrap();
            let (event_id, payload) = (self.id(), payload.to_owned());
            NewEvent { event_id, event_type: event_type.into(), schema: 1, occurred_at: None, payload }
        };
        let events = events.iter().map(event).collect();
        let stream = StreamId::new(&tenant(owner), stream.0, stream.1).unwrap();
        let metadata = Metadata {
            actor: actor.into(),
            command_id: self.id(),
            correlation_id: correlation.into(),
            causation_id,
        };
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events }];
        self.log.append(vec![Append { writes, metadata, idempotency: None }]).await.remove(0).unwrap().events
    }

    pub async fn all(&self) -> Vec<RecordedEvent> {
        self.log.read(0, usize::MAX, &ReadFilter::default()).await.unwrap().events
    }

    /// Rows of the history that reflect the log as it is now.
    pub async fn index(&self) {
        self.fold(&History).await;
    }

    pub async fn fold<P: Projection>(&self, projection: &P) {
        let events = self.all().await;
        let wanted = events.iter().filter(|e| projection.event_types().contains(&&*e.event_type));
        let wanted: Vec<_> = wanted.cloned().collect();
        let folded = fold(projection, &wanted, 64).unwrap().all();
        let mut changes: Vec<TableChanges> = Vec::new();
        for ((table, row), (sort, doc)) in folded {
            if changes.last().is_none_or(|c| *c.table != *table) {
                changes.push(TableChanges { table: table.as_str().into(), ..TableChanges::default() });
            }
            changes.last_mut().unwrap().puts.push(RowPut { row, sort, doc });
        }
        let generation =
            self.rows.open(projection.name(), &projection.model(), projection.tables()).await.unwrap();
        let lease = self.rows.acquire(&generation.id, "test", Duration::from_secs(60)).await.unwrap();
        let (from, to) = (lease.position, events.len() as u64);
        let commit = Commit { lease: lease.clone(), from, to, changes, parked: vec![], unparked: vec![] };
        self.rows.commit(commit).await.unwrap();
        self.rows.release(&lease).await.unwrap();
    }

    pub async fn ask(&self, owner: &str, role: Role, path: &str) -> Answer {
        let state = self.state();
        self.asked(state, owner, role, path).await
    }

    pub fn state(&self) -> AuditState {
        AuditState { limits: self.limits, ..AuditState::new(self.engine(), self.log.clone()) }
    }

    pub fn engine(&self) -> Engine {
        Engine {
            log: self.log.clone(),
            rows: self.rows.clone(),
            generations: self.rows.clone(),
            sealed: None,
            clock: Arc::new(Ticking::default()),
            ids: Arc::new(Counting::default()),
            board: Arc::new(Board::default()),
            wake: Arc::default(),
            memory: 1 << 20,
        }
    }

    async fn asked(&self, state: AuditState, owner: &str, role: Role, path: &str) -> Answer {
        let principal = Principal::new(tenant(owner), "k", &[role]);
        let request = Request::builder().uri(path).extension(principal).body(Body::empty()).unwrap();
        self.sent(state, request).await
    }

    async fn sent(&self, state: AuditState, request: Request<Body>) -> Answer {
        let answer = router(state).oneshot(request).await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub async fn ok(&self, owner: &str, path: &str) -> Value {
        let answer = self.ask(owner, Role::Auditor, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }
}

pub fn positions(events: &Value) -> Vec<u64> {
    events.as_array().unwrap().iter().map(|e| e["position"].as_u64().unwrap()).collect()
}

/// A band, a foreign band of the same name, and something that follows.
pub async fn small() -> Bed {
    let bed = Bed::new();
    let first = bed
        .append(
            By("acme", "key:a", "c/1", None),
            ("band", "b1"),
            &[r#"band.registered {"tags":[]}"#, r#"band.assigned {"event_id":"show"}"#],
        )
        .await;
    bed.append(
        By("other", "key:o", "c/1", None),
        ("band", "b1"),
        &[r#"band.registered {"tags":["secret"]}"#],
    )
    .await;
    let cause = Some(first[1].event_id);
    bed.append(By("acme", "worker:w", "c/1", cause), ("band", "b1"), &[r#"band.tagged {"tags":["vip"]}"#])
        .await;
    bed.index().await;
    bed
}

#[tokio::test]
async fn everything_is_for_auditors_of_the_tenant() {
    let bed = small().await;
    let events = bed.all().await;
    let (event_id, command_id) = (events[1].event_id, events[0].metadata.command_id);
    for path in [
        "/v1/audit/streams/band/b1".to_owned(),
        "/v1/audit/streams/band/b1/diff?from=0&to=1".to_owned(),
        "/v1/audit/events".to_owned(),
        "/v1/audit/events?correlation_id=c/1".to_owned(),
        "/v1/audit/events?actor=key:a".to_owned(),
        "/v1/audit/correlations/c%2F1".to_owned(),
        format!("/v1/audit/commands/{command_id}"),
        format!("/v1/audit/causations/{event_id}"),
        "/v1/audit/why/history/correlations/c%252F1/0000000000".to_owned(),
    ] {
        for role in Role::ALL {
            let status = bed.ask("acme", role, &path).await.status;
            let may = matches!(role, Role::Auditor | Role::Admin);
            assert_eq!(status, if may { 200 } else { 403 }, "{path} {role:?}");
        }
        // Whatever else is wrong, who has no such role learns nothing else.
        assert_eq!(bed.ask("acme", Role::Reader, "/v1/audit/events?x=1").await.status, 403);
        let join = if path.contains('?') { '&' } else { '?' };
        let named = format!("{path}{join}tenant=acme");
        let own = bed.ask("acme", Role::Auditor, &path).await.text;
        assert_eq!(bed.ask("acme", Role::Auditor, &named).await.text, own);
        assert_eq!(bed.ask("_system", Role::Auditor, &named).await.text, own, "{path}");
        let refused = bed.ask("other", Role::Auditor, &named).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["parameter"]), (403, &"tenant".into()));
        // Of a tenant that has nothing there is nothing, of another its own.
        for stranger in ["other", "nobody"] {
            let answer = bed.ask(stranger, Role::Auditor, &path).await;
            assert!([200, 404].contains(&answer.status), "{path}: {}", answer.text);
            for word in ["acme", "show", "vip", "key:a", &command_id.to_string()] {
                assert!(!answer.text.contains(&format!("\"{word}\"")), "{path}: {}", answer.text);
            }
        }
        assert!(!own.contains("secret"), "{own}");
    }
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let bed = small().await;
    let (stream, row) = ("/v1/audit/streams/band/b1", "/v1/audit/why/history/commands/x");
    for (path, parameter) in [
        (format!("{stream}?from=0"), "from"),
        (format!("{stream}?from=-1"), "from"),
        (format!("{stream}?limit=0"), "limit"),
        (format!("{stream}?limit=1001"), "limit"),
        (format!("{stream}?tenant=A/B"), "tenant"),
        (format!("{stream}?at=3"), "at"),
        (format!("{stream}/diff?from=1"), "to"),
        (format!("{stream}/diff?to=1"), "from"),
        (format!("{stream}/diff?from=1&to=9"), "to"),
        (format!("{stream}/diff?from=9&to=1"), "from"),
        ("/v1/audit/streams/ba%20nd/b1".to_owned(), "kind"),
        ("/v1/audit/streams/band/b%2F1".to_owned(), "id"),
        ("/v1/audit/events?type=band.eaten".to_owned(), "type"),
        ("/v1/audit/events?type=band.tagged,".to_owned(), "type"),
        ("/v1/audit/events?actor=".to_owned(), "actor"),
        ("/v1/audit/events?actor=a%0Ab".to_owned(), "actor"),
        ("/v1/audit/events?actor=a&actor=b".to_owned(), "actor"),
        (format!("/v1/audit/events?correlation_id={}", "x".repeat(257)), "correlation_id"),
        ("/v1/audit/events?since=yesterday".to_owned(), "since"),
        ("/v1/audit/events?until=1970-01-01".to_owned(), "until"),
        ("/v1/audit/events?since=1970-01-02T00:00:00Z&until=1970-01-01T00:00:00Z".to_owned(), "until"),
        ("/v1/audit/events?after=x".to_owned(), "after"),
        ("/v1/audit/events?after=3&upto=2".to_owned(), "upto"),
        ("/v1/audit/events?limit=0".to_owned(), "limit"),
        ("/v1/audit/events?format=xml".to_owned(), "format"),
        ("/v1/audit/commands/x".to_owned(), "id"),
        ("/v1/audit/causations/x".to_owned(), "event_id"),
        ("/v1/audit/correlations/c?depth=33".to_owned(), "depth"),
        ("/v1/audit/correlations/c?limit=1001".to_owned(), "limit"),
        ("/v1/audit/correlations/a%00".to_owned(), "id"),
        (format!("{row}?at=yesterday"), "at"),
        (format!("{row}?at=5"), "at"),
        (format!("{row}?limit=1001"), "limit"),
    ] {
        let answer = bed.ask("acme", Role::Auditor, &path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn without_its_rows_the_index_says_so() {
    let bed = Bed::new();
    bed.append(By("acme", "key:a", "c", None), ("band", "b1"), &["band.retired {}"]).await;
    let answer = bed.ask("acme", Role::Auditor, "/v1/audit/events?actor=key:a").await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(positions(&bed.ok("acme", "/v1/audit/events").await["events"]), [1]);
}

#[test]
fn every_operation_is_documented_with_its_schema() {
    let document = serde_json::to_value(crate::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 10);
    let (schemas, text) = (&document["components"]["schemas"], document.to_string());
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schemas[name].is_object(), "{name}");
    }
    assert!(schemas["EventNode"].to_string().contains("#/components/schemas/CommandNode"), "{schemas}");
}
