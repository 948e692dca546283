//! Erasing, step by step. Every step may be repeated, and whoever finds a
//! `subject.erasing` without its `subject.erased` does them all again: so it
//! does not matter which process dies where, nor how many are at it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::decide::{Context, Decide};
use domain::envelope::Metadata;
use domain::ports::clock::{Clock, Ids};
use domain::ports::erasure::{Emptied, ErasedKeys, ErasedList, ErasureError, Rebuild};
use domain::ports::keys::{KeyId, KeyStore};
use domain::ports::log::{
    Append, AppendError, EventLog, ExpectedVersion, LogKeeping, ReadFilter, StreamWrite,
};
use domain::subject::{self, Command, Erased, Erasing, Told};
use domain::target_url::UrlPolicy;
use domain::{StreamId, Subject, TenantId, registry};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::facts::{Counted, count};

const PAGE: usize = 1_000;
const ATTEMPTS: usize = 8;
/// Between two looks at what was decided.
const TICK: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
const ACTOR: &str = "worker:eraser";

/// What has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Taps from before the decision are in the log, and nowhere in clear.
    Emptied,
    /// The archive names the keys.
    Listed,
    Destroyed,
    Forgotten,
    Counted,
    Rebuilt,
    Recorded,
}

impl Step {
    pub const ALL: [Self; 7] = [
        Self::Emptied,
        Self::Listed,
        Self::Destroyed,
        Self::Forgotten,
        Self::Counted,
        Self::Rebuilt,
        Self::Recorded,
    ];
}

/// Called after each step; an error ends the attempt there.
pub type Watch = Arc<dyn Fn(Step) -> Result<(), ErasureError> + Send + Sync>;

#[derive(Clone)]
pub struct Eraser {
    /// The whole history as it is recorded.
    pub log: Arc<dyn EventLog>,
    pub keeping: Arc<dyn LogKeeping>,
    pub keys: Arc<dyn KeyStore>,
    pub list: Arc<dyn ErasedList>,
    pub rows: Arc<dyn Rebuild>,
    /// `None` where no journal is.
    pub journals: Option<Arc<dyn Emptied>>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub watch: Option<Watch>,
}

/// An erasure that was decided and has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    stream: StreamId,
    position: u64,
    at: Timestamp,
    pub(crate) erasing: Erasing,
}

impl Open {
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.stream.tenant
    }

    fn noted(&self) -> ErasedKeys {
        let Erasing { subject, keys, .. } = self.erasing.clone();
        ErasedKeys { tenant: self.tenant().clone(), subject, position: self.position, at: self.at, keys }
    }
}

/// What was decided, as far as it was read.
#[derive(Debug, Default)]
pub struct Following {
    after: u64,
    open: HashMap<StreamId, Open>,
}

impl Following {
    async fn refresh(&mut self, log: &dyn EventLog) -> Result<(), ErasureError> {
        let filter = ReadFilter::types([subject::ERASING, subject::ERASED]);
        loop {
            let page = log.read(self.after, PAGE, &filter).await?;
            for event in page.events {
                let decoded = registry::decode::<subject::Event>(&event);
                match decoded.map_err(|e| ErasureError::Damaged(e.to_string()))? {
                    subject::Event::Erasing(erasing) => {
                        let (stream, position, at) = (event.stream, event.position, event.recorded_at);
                        self.open.insert(stream.clone(), Open { stream, position, at, erasing });
                    }
                    _ => drop(self.open.remove(&event.stream)),
                }
            }
            if page.through <= self.after {
                return Ok(());
            }
            self.after = page.through;
        }
    }

    fn oldest_first(&self) -> Vec<Open> {
        let mut open: Vec<Open> = self.open.values().cloned().collect();
        open.sort_unstable_by_key(|o| o.position);
        open
    }
}

/// Where what was decided about a subject is.
pub fn stream_of(tenant: &TenantId, subject: &Subject) -> Result<StreamId, ErasureError> {
    let stream = StreamId::new(tenant, subject::KIND, &subject.stream_id());
    stream.map_err(|e| ErasureError::Damaged(format!("{subject} {e}")))
}

impl Eraser {
    /// Until it is stopped: in the middle of a step, since that does no harm.
    pub async fn run(self, stop: CancellationToken) {
        let working = async {
            let (mut following, mut looked, mut wait) = (Following::default(), false, TICK);
            loop {
                match self.look(&mut following, &mut looked).await {
                    Ok(()) => wait = TICK,
                    Err(error) => {
                        metrics::counter!("daybook_erasure_failures_total").increment(1);
                        wait = (wait * 2).min(MAX_BACKOFF);
                        tracing::warn!(%error, retry_ms = wait.as_millis() as u64, "an erasure waits");
                    }
                }
                tokio::time::sleep(wait).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = working => {}
        }
    }

    async fn look(&self, following: &mut Following, looked: &mut bool) -> Result<(), ErasureError> {
        if !*looked {
            self.returned().await?;
            *looked = true;
        }
        for erased in self.erase(following).await? {
            tracing::info!(subject = %erased.subject, facts = erased.facts, "erased");
        }
        Ok(())
    }

    /// Ends every erasure that is under way.
    pub async fn erase(&self, following: &mut Following) -> Result<Vec<Erased>, ErasureError> {
        following.refresh(&*self.log).await?;
        let open = following.oldest_first();
        let Some(newest) = open.last() else { return Ok(Vec::new()) };
        if let Some(journals) = &self.journals {
            journals.emptied().await.map_err(ErasureError::Journal)?;
        }
        self.done(Step::Emptied)?;
        // Before any is destroyed: what the list lacks could come back.
        for one in &open {
            self.list.note(&one.noted()).await?;
        }
        self.done(Step::Listed)?;
        for one in &open {
            let Erasing { subject, keys, .. } = &one.erasing;
            self.keys.destroy(one.tenant(), subject, keys, self.clock.now()).await?;
        }
        self.done(Step::Destroyed)?;
        let mut replies = Vec::with_capacity(open.len());
        for one in &open {
            let (kind, id) = one.erasing.subject.parts();
            let owner = StreamId::new(one.tenant(), kind, id);
            let owner = owner.map_err(|e| ErasureError::Damaged(e.to_string()))?;
            replies.push(self.keeping.forget_replies(&owner).await?);
        }
        self.done(Step::Forgotten)?;
        let counted = count(&*self.log, &open).await?;
        self.done(Step::Counted)?;
        let rebuilt = self.rows.rebuild(newest.position).await.map_err(ErasureError::Rows)?;
        self.done(Step::Rebuilt)?;
        let mut ended = Vec::with_capacity(open.len());
        for ((one, replies), counted) in open.iter().zip(replies).zip(counted) {
            let Counted { facts, first, last, clear } = counted;
            let erased = Erased {
                subject: one.erasing.subject.clone(),
                asked: one.position,
                keys: one.erasing.keys.clone(),
                facts,
                first,
                last,
                clear,
                rebuilt: rebuilt.clone(),
                replies,
            };
            // Another process may have been faster; then its word counts.
            if self.decide(&one.stream, Command::Finish(erased.clone())).await?.is_some() {
                ended.push(erased);
            }
        }
        self.done(Step::Recorded)?;
        following.refresh(&*self.log).await?;
        Ok(ended)
    }

    /// Keys that the archive lists as erased and that are here again, with an
    /// old copy of them, are erased again. Those that are not here are noted,
    /// so that no later copy brings them back.
    pub async fn returned(&self) -> Result<(), ErasureError> {
        for listed in self.list.all().await? {
            let ErasedKeys { tenant, subject, keys, position, .. } = listed;
            let here = self.keys.of(&tenant, &subject).await?;
            let is = |id: &KeyId, gone: bool| {
                here.iter().any(|key| key.id == *id && key.destroyed_at.is_some() == gone)
            };
            let (alive, rest): (Vec<KeyId>, Vec<KeyId>) =
                keys.into_iter().filter(|id| !is(id, true)).partition(|id| is(id, false));
            if !rest.is_empty() {
                self.keys.destroy(&tenant, &subject, &rest, self.clock.now()).await?;
            }
            if alive.is_empty() {
                continue;
            }
            tracing::warn!(%subject, position, alert = true, "keys that were erased are here again; erasing them");
            let reason = "an old copy of the keys was put back, and the archive lists them as erased".into();
            let stream = stream_of(&tenant, &subject)?;
            self.decide(&stream, Command::EraseAgain { subject, reason, keys: alive }).await?;
        }
        Ok(())
    }

    fn done(&self, step: Step) -> Result<(), ErasureError> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch(step))
    }

    async fn decide(&self, stream: &StreamId, command: Command) -> Result<Option<u64>, ErasureError> {
        let by = Recorder { log: &*self.log, clock: &*self.clock, ids: &*self.ids, actor: ACTOR };
        by.record(stream, command).await
    }
}

/// Loads, decides and appends with the version that was loaded.
pub struct Recorder<'a> {
    pub log: &'a dyn EventLog,
    pub clock: &'a dyn Clock,
    pub ids: &'a dyn Ids,
    pub actor: &'a str,
}

impl Recorder<'_> {
    /// The position of what was recorded; `None` if it was so already.
    pub async fn record(&self, stream: &StreamId, command: Command) -> Result<Option<u64>, ErasureError> {
        let mut attempt = 1;
        loop {
            let (Told { record, .. }, version) = load(self.log, stream).await?;
            let context = Context { now: self.clock.now(), urls: UrlPolicy::default() };
            let decided = record.decide(command.clone(), &context)?;
            if decided.events.is_empty() {
                return Ok(None);
            }
            let new = decided.events.iter().map(|e| registry::new_event(e, self.ids.next()));
            let events = new.collect::<Result<_, _>>().map_err(|e| ErasureError::Damaged(e.to_string()))?;
            let expected = match version {
                0 => ExpectedVersion::NoStream,
                version => ExpectedVersion::Exact(version),
            };
            let command_id = self.ids.next();
            let metadata = Metadata {
                actor: self.actor.into(),
                command_id,
                correlation_id: command_id.to_string().into(),
                causation_id: None,
            };
            let writes = vec![StreamWrite { stream: stream.clone(), expected, events }];
            let append = Append { writes, metadata, idempotency: None };
            match self.log.append(vec![append]).await.pop() {
                Some(Ok(receipt)) => return Ok(Some(receipt.position())),
                Some(Err(AppendError::Conflict { .. })) if attempt < ATTEMPTS => attempt += 1,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(ErasureError::Damaged("the log gave no answer".into())),
            }
        }
    }
}

/// What was decided about a subject, and the version of its stream.
pub async fn load(log: &dyn EventLog, stream: &StreamId) -> Result<(Told, u64), ErasureError> {
    let (mut told, mut version) = (Told::default(), 0);
    loop {
        let page = log.read_stream(stream, version + 1, PAGE).await?;
        for event in &page {
            told.add(event).map_err(|e| ErasureError::Damaged(e.to_string()))?;
            version = event.version;
        }
        if page.len() < PAGE {
            return Ok((told, version));
        }
    }
}
