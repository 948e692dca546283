//! The log as those see it who may know what is in it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::envelope::NewEvent;
use domain::personal::Personal;
use domain::ports::keys::{KeyBytes, KeyError, KeyId};
use domain::ports::log::{
    Append, AppendError, EventLog, Head, LogError, Page, ReadFilter, Receipt, StoredReply,
};
use domain::{RecordedEvent, StreamId, TenantId, registry};

use crate::keyring::Keyring;
use crate::seal::{Cut, NONCE_BYTES, Place, Sealed, Tampered, restored};

/// More sealed events than this are opened on several threads.
const ALONE: usize = 500;

/// Appends sealed, reads opened. The events that it gives out don't match
/// their leaves, which are over what is recorded: nothing that checks leaves
/// may read here.
pub struct OpenedLog {
    inner: Arc<dyn EventLog>,
    keys: Arc<Keyring>,
    seals: bool,
}

impl OpenedLog {
    /// Without `seals` new data is recorded in clear; what is sealed is opened
    /// all the same.
    pub fn new(inner: Arc<dyn EventLog>, keys: Arc<Keyring>, seals: bool) -> Self {
        Self { inner, keys, seals }
    }

    /// The appends with everything personal in them sealed, or the reason of
    /// each that cannot be.
    async fn seal(&self, batch: &mut [Append]) -> Vec<Option<AppendError>> {
        let mut refused: Vec<Option<AppendError>> = vec![None; batch.len()];
        let mut cuts = Vec::new();
        for (number, append) in batch.iter().enumerate() {
            let events =
                append.writes.iter().enumerate().flat_map(|(w, write)| {
                    write.events.iter().enumerate().map(move |(e, event)| (w, e, event))
                });
            for (write, event, new) in events {
                match cut(new) {
                    Ok(None) => {}
                    Ok(Some(cut)) => cuts.push((number, write, event, cut)),
                    Err(error) => refused[number] = Some(AppendError::Invalid(error)),
                }
            }
        }
        if cuts.is_empty() {
            return refused;
        }
        let tenant = |number: usize, write: usize| batch[number].writes[write].stream.tenant.clone();
        let owners = cuts.iter().map(|(n, w, _, cut)| (tenant(*n, *w), cut.subject.clone())).collect();
        let keys = match self.keys.live(owners).await {
            Ok(keys) => keys,
            Err(error) => {
                for (number, ..) in cuts {
                    let reason = error.to_string();
                    refused[number].get_or_insert(AppendError::Unavailable { reason, unknown: false });
                }
                return refused;
            }
        };
        for (number, write, event, cut) in cuts {
            let write = &mut batch[number].writes[write];
            let new = &mut write.events[event];
            let Some(key) = keys.get(&(write.stream.tenant.clone(), cut.subject.clone())) else { continue };
            let place = Place::new(&write.stream, new.event_id, &new.event_type);
            new.payload = cut.seal(key, rand::random::<[u8; NONCE_BYTES]>(), &place);
        }
        refused
    }

    async fn open(&self, mut events: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, LogError> {
        let ids: Vec<KeyId> = sealed_of(&events)?.iter().map(|(_, sealed)| sealed.key()).collect();
        if ids.is_empty() {
            return Ok(events);
        }
        let few = ids.len() <= ALONE;
        let keys = self.keys.find(ids).await;
        let keys = keys.map_err(|e: KeyError| LogError::Unavailable(e.to_string()))?;
        if few {
            open(&mut events, &keys)?;
            return Ok(events);
        }
        let (keys, threads) = (Arc::new(keys), std::thread::available_parallelism().map_or(1, usize::from));
        let (part, mut tasks) = (events.len().div_ceil(threads).max(ALONE), Vec::with_capacity(threads));
        while !events.is_empty() {
            let rest = events.split_off(part.min(events.len()));
            let (mut part, keys) = (std::mem::replace(&mut events, rest), keys.clone());
            tasks.push(tokio::task::spawn_blocking(move || open(&mut part, &keys).map(|()| part)));
        }
        let mut opened = Vec::new();
        for task in tasks {
            opened.extend(task.await.map_err(|e| LogError::Unavailable(e.to_string()))??);
        }
        Ok(opened)
    }
}

fn open(events: &mut [RecordedEvent], keys: &HashMap<KeyId, Option<KeyBytes>>) -> Result<(), LogError> {
    let sealed = sealed_of(events)?;
    let mut opened = Vec::with_capacity(sealed.len());
    for (number, sealed) in &sealed {
        let event = &events[*number];
        let personal = match keys.get(&sealed.key()) {
            Some(Some(key)) => sealed.open(key, &Place::of(event)).map_err(|e| damaged(event, e))?,
            Some(None) => sealed.erased(),
            None => return Err(LogError::Unavailable(format!("there is no key {}", sealed.key()))),
        };
        let payload = restored(&event.payload, &personal).map_err(|e| damaged(event, e))?;
        opened.push((*number, payload));
    }
    for (number, payload) in opened {
        events[number].payload = payload;
    }
    Ok(())
}

fn marking(event_type: &str) -> Option<&'static Personal> {
    registry::find(event_type)?.personal.as_ref()
}

fn cut(event: &NewEvent) -> Result<Option<Cut>, String> {
    let Some(marked) = marking(&event.event_type) else { return Ok(None) };
    Cut::of(&event.payload, marked).map_err(|e| format!("{}: {e}", event.event_type))
}

fn sealed_of(events: &[RecordedEvent]) -> Result<Vec<(usize, Sealed<'_>)>, LogError> {
    let mut all = Vec::new();
    for (number, event) in events.iter().enumerate().filter(|(_, e)| marking(&e.event_type).is_some()) {
        if let Some(sealed) = Sealed::of(&event.payload).map_err(|e| damaged(event, e))? {
            all.push((number, sealed));
        }
    }
    Ok(all)
}

fn damaged(event: &RecordedEvent, tampered: Tampered) -> LogError {
    LogError::Damaged { position: event.position, reason: tampered.to_string() }
}

#[async_trait]
impl EventLog for OpenedLog {
    async fn append(&self, mut batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        if !self.seals {
            return self.inner.append(batch).await;
        }
        let refused = self.seal(&mut batch).await;
        if refused.iter().all(Option::is_none) {
            return self.inner.append(batch).await;
        }
        let taken: Vec<Append> =
            batch.into_iter().zip(&refused).filter(|(_, r)| r.is_none()).map(|(append, _)| append).collect();
        let mut outcomes = self.inner.append(taken).await.into_iter();
        let unanswered = || AppendError::Unavailable { reason: "no outcome".into(), unknown: true };
        refused
            .into_iter()
            .map(|refused| match refused {
                Some(error) => Err(error),
                None => outcomes.next().unwrap_or_else(|| Err(unanswered())),
            })
            .collect()
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        let page = self.inner.read(after, limit, filter).await?;
        Ok(Page { events: self.open(page.events).await?, ..page })
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        self.open(self.inner.read_stream(stream, from_version, limit).await?).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        let last = self.inner.last(stream).await?;
        Ok(self.open(last.into_iter().collect()).await?.pop())
    }

    async fn stored_reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        self.inner.stored_reply(tenant, key).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.inner.head().await
    }

    async fn changed(&self, after: u64) -> Result<u64, LogError> {
        self.inner.changed(after).await
    }
}
