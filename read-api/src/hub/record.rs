//! Makes a tap durable before it is answered, as far as `HUB_ACK` asks for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::Ids;
use domain::ports::journal::{JournalEntry, JournalError, TapJournal};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, StreamWrite};
use domain::{StreamId, registry, tap};
use futures::FutureExt;

/// When a tap is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// Once it is in the journal on disk.
    #[default]
    Journal,
    /// Once the log has committed it. If the log fails, the journal takes the
    /// tap; if its answer got lost, the tap may then be recorded twice.
    Log,
    /// At once.
    None,
}

impl std::str::FromStr for Ack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "journal" => Ok(Self::Journal),
            "log" => Ok(Self::Log),
            "none" => Ok(Self::None),
            _ => Err(format!("{text} is none of journal, log, none")),
        }
    }
}

pub struct Recorder {
    journal: Arc<dyn TapJournal>,
    log: Arc<dyn EventLog>,
    ids: Arc<dyn Ids>,
    complained: Mutex<Option<Instant>>,
}

impl Recorder {
    pub fn new(journal: Arc<dyn TapJournal>, log: Arc<dyn EventLog>, ids: Arc<dyn Ids>) -> Self {
        Self { journal, log, ids, complained: Mutex::new(None) }
    }

    /// Answers the tap's position if the log has committed it. A tap that
    /// cannot be recorded is counted and told of; its redirect goes out.
    pub async fn record(&self, entry: JournalEntry, ack: Ack) -> Option<u64> {
        match ack {
            Ack::Journal => self.journaled(&entry).await,
            Ack::None => {
                if let Some(Err(error)) = self.journal.append(&entry).now_or_never() {
                    self.lost(&error);
                }
            }
            Ack::Log => match self.commit(&entry).await {
                Ok(position) => return Some(position),
                Err(error) => {
                    tracing::debug!(%error, "hub: the log did not take a tap; the journal does");
                    self.journaled(&entry).await;
                }
            },
        }
        None
    }

    async fn journaled(&self, entry: &JournalEntry) {
        if let Err(error) = self.journal.append(entry).await {
            self.lost(&error);
        }
    }

    async fn commit(&self, entry: &JournalEntry) -> Result<u64, AppendError> {
        let stream = StreamId::new(&entry.tenant, tap::KIND, self.journal.id())
            .map_err(|e| AppendError::Invalid(e.to_string()))?;
        let event = NewEvent {
            event_id: self.ids.next(),
            event_type: Arc::from(entry.kind.event_type()),
            schema: registry::schema_of(entry.kind.event_type()),
            occurred_at: Some(entry.occurred_at),
            payload: entry.payload.clone(),
        };
        let command_id = self.ids.next();
        let metadata = Metadata {
            actor: Arc::from("hub"),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        };
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: vec![event] }];
        let outcomes = self.log.append(vec![Append { writes, metadata, idempotency: None }]).await;
        match outcomes.into_iter().next() {
            Some(outcome) => outcome.map(|receipt| receipt.position()),
            None => Err(AppendError::Unavailable { reason: "no outcome".into(), unknown: true }),
        }
    }

    fn lost(&self, error: &JournalError) {
        metrics::counter!("daybook_hub_lost_taps_total", "reason" => error.reason()).increment(1);
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| at.elapsed() >= Duration::from_secs(10)) {
            *complained = Some(Instant::now());
            tracing::error!(%error, alert = true,
                "hub: taps are answered and not recorded; see daybook_hub_lost_taps_total");
        }
    }
}
