//! What the dispatcher records. Every append expects what it knows of the
//! stream; where that is refused, somebody else was first, and the log tells
//! what they said.

use std::time::Duration;

use domain::decide::{Context, Decide, Decision, Rejection};
use domain::delivery::{self, Command, Death, Delivery};
use domain::endpoint::{self, DisabledBy, Status, WebhookEndpoint};
use domain::envelope::Metadata;
use domain::ports::log::{Append, AppendError, ExpectedVersion, ReadFilter, StreamWrite};
use domain::registry;
use domain::signal::{self, Signal};
use domain::target_url::UrlPolicy;
use domain::{RecordedEvent, StreamId};
use jiff::Timestamp;
use serde::Serialize;

use super::ledger::{EndpointKey, Open, Wanted, key_of};
use super::{DispatchError, Dispatcher, Done, Tried};

const STREAM_PAGE: usize = 1_000;

impl Dispatcher {
    fn context(&self) -> Context {
        // Never before what it answers to, so that a clock set back leaves waits as long as they are.
        Context { now: domain::time::to_micros(self.latest()), urls: UrlPolicy::default() }
    }

    fn as_append<E: Serialize>(
        &self,
        stream: StreamId,
        expected: ExpectedVersion,
        decided: Result<Decision<E>, Rejection>,
        cause: (Option<uuid::Uuid>, Option<std::sync::Arc<str>>),
    ) -> Result<Append, DispatchError> {
        let decision = decided.map_err(|e| DispatchError::Decided(e.to_string()))?;
        let ids = &*self.parts.ids;
        let events = decision.events.iter().map(|e| registry::new_event(e, ids.next()));
        let events = events.collect::<Result<_, _>>()?;
        let command_id = ids.next();
        let metadata = Metadata {
            actor: "worker:dispatcher".into(),
            command_id,
            correlation_id: cause.1.unwrap_or_else(|| command_id.to_string().into()),
            causation_id: cause.0,
        };
        let writes = vec![StreamWrite { stream, expected, events }];
        Ok(Append { writes, metadata, idempotency: None })
    }

    /// Appends; who was too late has nothing to add.
    async fn append(&self, appends: Vec<Append>) -> Result<(), DispatchError> {
        if appends.is_empty() {
            return Ok(());
        }
        for outcome in self.parts.log.append(appends).await {
            match outcome {
                Ok(_) | Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A delivery for each endpoint that an event concerns: a stream that must
    /// not exist yet.
    pub(super) async fn schedule(
        &self,
        wanted: Vec<(&RecordedEvent, Vec<Wanted>)>,
    ) -> Result<(), DispatchError> {
        let mut appends = Vec::new();
        for (event, wanted) in wanted {
            let by_signal = wanted.iter().any(|w| w.ordered_by.is_some() && w.of.key.is_none());
            let said = match wanted.first().and_then(|w| w.of.signal).filter(|_| by_signal) {
                Some(position) => self.signal(event, position).await?,
                None => None,
            };
            for mut wanted in wanted {
                if let (Some(by), Some(said)) = (wanted.ordered_by, &said) {
                    wanted.of.key = key_of(said, by);
                }
                let id = delivery::id(&wanted.of.endpoint, wanted.of.cause_id);
                let stream = StreamId::new(&wanted.endpoint.0, delivery::KIND, &id)?;
                let decided = Delivery::default().decide(Command::Schedule(wanted.of), &self.context());
                let cause = (Some(event.event_id), Some(event.metadata.correlation_id.clone()));
                appends.push(self.as_append(stream, ExpectedVersion::NoStream, decided, cause)?);
            }
        }
        self.append(appends).await
    }

    async fn signal(&self, event: &RecordedEvent, position: u64) -> Result<Option<Signal>, DispatchError> {
        let tenant = Some(event.stream.tenant.clone());
        let filter = ReadFilter { tenant, ..ReadFilter::types([signal::RECEIVED]) };
        let page = self.parts.log.read(position.saturating_sub(1), 1, &filter).await?;
        let found = page.events.iter().find(|event| event.position == position);
        Ok(found.map(registry::decode_payload).transpose()?)
    }

    /// Reads deliveries that were asked for again.
    pub(super) async fn revive(&mut self) -> Result<(), DispatchError> {
        for stream in std::mem::take(&mut self.ledger.revived) {
            let mut events = Vec::new();
            loop {
                let from = events.last().map_or(1, |e: &RecordedEvent| e.version + 1);
                let page = self.parts.log.read_stream(&stream, from, STREAM_PAGE).await?;
                let last = page.len() < STREAM_PAGE;
                events.extend(page);
                if last {
                    break;
                }
            }
            self.ledger.revive(&events)?;
        }
        Ok(())
    }

    /// Ends what will not be sent any more.
    pub(super) async fn give_up(&mut self) -> Result<(), DispatchError> {
        let mut appends = Vec::new();
        let (restored, mut old_left) = (self.ledger.restored, false);
        for (key, endpoint) in self.ledger.all() {
            let ended = match endpoint.state.status {
                Status::Disabled => Some(Death::EndpointDisabled),
                Status::Deleted => Some(Death::EndpointDeleted),
                Status::Active | Status::Paused => None,
            };
            if ended.is_none() && !restored {
                continue;
            }
            for (id, open) in &endpoint.open {
                let old = (open.asked <= self.ledger.live_from).then_some(Death::Restored);
                old_left |= old.is_some();
                if let Some(reason) = ended.or(old).filter(|_| !open.sending) {
                    let stream = StreamId::new(&key.0, delivery::KIND, id)?;
                    let decided = open.delivery.decide(Command::GiveUp(reason), &self.context());
                    appends.push(self.as_append(
                        stream,
                        ExpectedVersion::Exact(open.version),
                        decided,
                        cause_of(open),
                    )?);
                }
            }
        }
        self.append(appends).await?;
        // What is ended now is looked at once more, when that was read back.
        self.ledger.restored = old_left;
        Ok(())
    }

    /// Records attempts. What the store does not take now is tried again, for
    /// as long as it takes: the attempt has been made.
    pub(super) async fn record(&mut self, done: Vec<Done>) -> Result<(), DispatchError> {
        let mut appends = Vec::new();
        for Done { endpoint: key, id, tried } in done {
            self.queue.ended(&key);
            let Some(endpoint) = self.ledger.get_mut(&key) else { continue };
            let Some(open) = endpoint.open.get(&id).cloned() else { continue };
            let Some(tried) = tried else {
                endpoint.again(&id);
                self.queue.pause(&key, self.parts.clock.now());
                continue;
            };
            let command = match tried {
                Tried::Erased => Command::GiveUp(Death::SecretsErased),
                Tried::Attempt(attempt) => {
                    metrics::histogram!("daybook_webhook_seconds").record(attempt.latency.as_secs_f64());
                    let schedule = self.config.schedule.clone();
                    Command::Record { id: id.to_string(), attempt, schedule }
                }
            };
            let stream = StreamId::new(&key.0, delivery::KIND, &id)?;
            let decided = open.delivery.decide(command, &self.context());
            // Somebody else has ended it.
            let Ok(decision) = decided else { continue };
            let events = decision.events.clone();
            let decided = Ok(decision);
            appends.push(self.as_append(
                stream,
                ExpectedVersion::Exact(open.version),
                decided,
                cause_of(&open),
            )?);
            appends.extend(self.disabling(&key, &events)?);
        }
        let mut wait = super::MIN_BACKOFF;
        while let Err(error) = self.append(appends.clone()).await {
            if matches!(error, DispatchError::Append(AppendError::Invalid(_))) {
                return Err(error);
            }
            // Dropping it would send again what was delivered.
            tracing::warn!(%error, "dispatcher: attempts are not recorded yet");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(super::MAX_BACKOFF);
        }
        Ok(())
    }

    /// The end of the endpoint, if this outcome is one.
    fn disabling(
        &self,
        key: &EndpointKey,
        events: &[delivery::Event],
    ) -> Result<Option<Append>, DispatchError> {
        let Some(endpoint) = self.ledger.get(key) else { return Ok(None) };
        let by = match events {
            [.., delivery::Event::Dead { reason: Death::Gone, .. }] => Some((DisabledBy::Gone, None)),
            [delivery::Event::Attempted(attempted), ..] if !delivered(events) => {
                let since = endpoint.failing_since.unwrap_or(attempted.at);
                let long = too_long(since, attempted.at, self.config.disable_after);
                long.then_some((DisabledBy::Failing, Some(since)))
            }
            _ => None,
        };
        let Some((by, since)) = by.filter(|_| endpoint.is_active()) else { return Ok(None) };
        let stream = StreamId::new(&key.0, endpoint::KIND, &key.1)?;
        let command = endpoint::Command::Disable { by, since };
        let decided = WebhookEndpoint::decide(&endpoint.state, command, &self.context());
        tracing::warn!(endpoint = %key.1, tenant = %key.0, ?by, "dispatcher: an endpoint is disabled");
        let expected = ExpectedVersion::Exact(endpoint.version);
        self.as_append(stream, expected, decided, (None, None)).map(Some)
    }
}

fn cause_of(open: &Open) -> (Option<uuid::Uuid>, Option<std::sync::Arc<str>>) {
    (open.delivery.of.as_ref().map(|of| of.cause_id), None)
}

fn delivered(events: &[delivery::Event]) -> bool {
    events.iter().any(|event| matches!(event, delivery::Event::Delivered { .. }))
}

fn too_long(since: Timestamp, at: Timestamp, most: Duration) -> bool {
    Duration::try_from(at.duration_since(since)).is_ok_and(|failing| failing >= most)
}
