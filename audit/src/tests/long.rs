//! A stream of a million events: what is in memory at once.

use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use domain::band;
use domain::ports::log::{AppendError, Head, LogError, Page, Receipt, StoredReply};
use serde_json::json;

use super::*;

/// A band that is retired and restored for ever. Its events are made when they
/// are read, and the largest read is remembered.
struct Endless {
    versions: u64,
    largest: AtomicUsize,
    read: AtomicUsize,
}

impl Endless {
    fn event(stream: &StreamId, version: u64) -> RecordedEvent {
        let event_type = if version.is_multiple_of(2) { band::RETIRED } else { band::RESTORED };
        RecordedEvent {
            position: version,
            stream: stream.clone(),
            version,
            event_id: Uuid::from_u128(version.into()),
            event_type: event_type.into(),
            schema: 1,
            occurred_at: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            metadata: Metadata {
                actor: "key:a".into(),
                command_id: Uuid::nil(),
                correlation_id: "c".into(),
                causation_id: None,
            },
            payload: "{}".into(),
            leaf: [0; 32],
        }
    }
}

#[async_trait]
impl EventLog for Endless {
    async fn append(&self, _: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        Vec::new()
    }

    async fn read(&self, after: u64, _: usize, _: &ReadFilter) -> Result<Page, LogError> {
        Ok(Page { events: Vec::new(), through: after })
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.largest.fetch_max(limit, Ordering::Relaxed);
        let last = self.versions.min(from_version + limit as u64 - 1);
        let events: Vec<RecordedEvent> = (from_version..=last).map(|v| Self::event(stream, v)).collect();
        self.read.fetch_add(events.len(), Ordering::Relaxed);
        Ok(events)
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        Ok(Some(Self::event(stream, self.versions)))
    }

    async fn stored_reply(&self, _: &TenantId, _: &str) -> Result<Option<StoredReply>, LogError> {
        Ok(None)
    }

    async fn head(&self) -> Result<Head, LogError> {
        Ok(Head { position: self.versions, recorded_at: None })
    }

    async fn changed(&self, _: u64) -> Result<u64, LogError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_long_stream_is_folded_in_short_pages() {
    let versions = 1_000_000;
    let log = Arc::new(Endless { versions, largest: AtomicUsize::default(), read: AtomicUsize::default() });
    let state = AuditState::new(Bed::new().engine(), log.clone());
    let ask = async |path: &str| {
        let principal = Principal::new(tenant("acme"), "k", &[Role::Auditor]);
        let request = Request::builder().uri(path).extension(principal).body(Body::empty()).unwrap();
        let answer = router(state.clone()).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let page = ask("/v1/audit/streams/band/b1?from=999999&limit=1000").await;
    let retired: Vec<&Value> =
        page["events"].as_array().unwrap().iter().map(|e| &e["state"]["retired"]).collect();
    assert_eq!((retired, &page["next"]), (vec![&json!(false), &json!(true)], &json!(null)));
    assert_eq!(log.read.load(Ordering::Relaxed), 1_000_000, "each event once");
    let changes = ask("/v1/audit/streams/band/b1/diff?from=999999&to=1000000").await["changes"].clone();
    assert_eq!(changes, json!([{"pointer": "/retired", "before": false, "after": true}]));
    assert!(log.largest.load(Ordering::Relaxed) <= 256);
}
