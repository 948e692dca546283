//! Facts of a subject: counted for its certificate, and given out.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::decide::Rejection;
use domain::personal::Personal;
use domain::ports::clock::{Clock, Ids};
use domain::ports::erasure::{ErasureError, Exports};
use domain::ports::keys::KeyStore;
use domain::ports::log::{EventLog, ReadFilter};
use domain::registry::{self, EVENT_TYPES};
use domain::subject::{Command, Exported};
use domain::{RecordedEvent, StreamId, Subject, TenantId};
use serde_json::{Value, json};

use crate::eraser::{Open, Recorder, stream_of};
use crate::seal::{Cut, Sealed};

const PAGE: usize = 2_000;

/// What of a history belongs to one erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Sealed with the keys that are gone.
    pub facts: u64,
    pub first: Option<u64>,
    pub last: Option<u64>,
    /// Of the same subject, recorded in clear.
    pub clear: u64,
}

fn marked(event: &RecordedEvent) -> Option<&'static Personal> {
    registry::find(&event.event_type)?.personal.as_ref()
}

fn with_personal_data() -> ReadFilter {
    ReadFilter::types(EVENT_TYPES.iter().filter(|t| t.personal.is_some()).map(|t| t.name))
}

/// In one pass over the recorded history.
pub(crate) async fn count(log: &dyn EventLog, open: &[Open]) -> Result<Vec<Counted>, ErasureError> {
    let mut counted = vec![Counted::default(); open.len()];
    let each = open.iter().enumerate();
    let by_key: HashMap<_, _> =
        each.clone().flat_map(|(i, o)| o.erasing.keys.iter().map(move |key| (*key, i))).collect();
    let by_subject: HashMap<_, _> = each.map(|(i, o)| ((o.tenant(), &o.erasing.subject), i)).collect();
    let (filter, mut after) = (with_personal_data(), 0);
    loop {
        let page = log.read(after, PAGE, &filter).await?;
        for event in &page.events {
            // What does not read is named by whoever folds or verifies it.
            let Ok(sealed) = Sealed::of(&event.payload) else { continue };
            if let Some(sealed) = sealed {
                if let Some(counted) = by_key.get(&sealed.key()).and_then(|i| counted.get_mut(*i)) {
                    counted.facts += 1;
                    counted.first.get_or_insert(event.position);
                    counted.last = Some(event.position);
                }
            } else if let Some(marked) = marked(event)
                && let Ok(Some(cut)) = Cut::of(&event.payload, marked)
                && let Some(i) = by_subject.get(&(&event.stream.tenant, &cut.subject))
            {
                counted[*i].clear += 1;
            }
        }
        if page.through <= after {
            return Ok(counted);
        }
        after = page.through;
    }
}

/// Gives out what is held, and records that it did.
pub struct Exporter {
    /// The whole history, opened.
    pub log: Arc<dyn EventLog>,
    pub keys: Arc<dyn KeyStore>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
}

type Line<'a> = &'a mut (dyn FnMut(Value) -> Result<(), String> + Send);

fn told(event: &RecordedEvent) -> Result<Value, ErasureError> {
    let damaged = |e: serde_json::Error| ErasureError::Damaged(format!("position {}: {e}", event.position));
    let payload: Value = serde_json::from_str(&event.payload).map_err(damaged)?;
    Ok(json!({
        "position": event.position, "type": &*event.event_type, "kind": &*event.stream.kind,
        "stream": &*event.stream.id, "version": event.version, "event_id": event.event_id,
        "occurred_at": event.occurred_at, "recorded_at": event.recorded_at,
        "actor": &*event.metadata.actor, "payload": payload,
    }))
}

fn is_of(event: &RecordedEvent, subject: &Subject) -> bool {
    let (kind, id) = subject.parts();
    let Some(marked) = marked(event).filter(|marked| marked.kind == kind) else { return false };
    // An id has nothing to escape.
    event.payload.contains(id)
        && serde_json::from_str::<Value>(&event.payload).is_ok_and(|payload| payload[marked.member] == id)
}

impl Exporter {
    async fn stream(&self, stream: &StreamId, name: &str, line: Line<'_>) -> Result<u64, ErasureError> {
        let mut version = 0;
        loop {
            let page = self.log.read_stream(stream, version + 1, PAGE).await?;
            for event in &page {
                line(json!({name: told(event)?})).map_err(ErasureError::Line)?;
                version = event.version;
            }
            if page.len() < PAGE {
                return Ok(version);
            }
        }
    }
}

#[async_trait]
impl Exports for Exporter {
    async fn export(
        &self,
        tenant: &TenantId,
        subject: &Subject,
        actor: &str,
        line: Line<'_>,
    ) -> Result<Exported, ErasureError> {
        if subject.parts().0 == domain::endpoint::KIND {
            let reason = "is a webhook endpoint, whose secrets are given to nobody";
            return Err(ErasureError::Refused(Rejection::field("/subject", reason)));
        }
        let upto = self.log.head().await?.position;
        let stream = stream_of(tenant, subject)?;
        let head = json!({"subject": subject, "tenant": tenant, "made_at": self.clock.now(), "upto": upto});
        line(head).map_err(ErasureError::Line)?;
        for key in self.keys.of(tenant, subject).await? {
            line(json!({"key": key})).map_err(ErasureError::Line)?;
        }
        self.stream(&stream, "decision", line).await?;
        let (kind, id) = subject.parts();
        let owner = StreamId::new(tenant, kind, id).map_err(|e| ErasureError::Damaged(e.to_string()))?;
        let mut facts = self.stream(&owner, "fact", line).await?;
        let filter = ReadFilter { tenant: Some(tenant.clone()), ..with_personal_data() };
        let mut after = 0;
        while after < upto {
            let page = self.log.read(after, PAGE, &filter).await?;
            for event in page.events.iter().filter(|e| is_of(e, subject)) {
                line(json!({"fact": told(event)?})).map_err(ErasureError::Line)?;
                facts += 1;
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        let exported = Exported { subject: subject.clone(), facts, upto };
        let by = Recorder { log: &*self.log, clock: &*self.clock, ids: &*self.ids, actor };
        by.record(&stream, Command::Export(exported.clone())).await?;
        Ok(exported)
    }
}
