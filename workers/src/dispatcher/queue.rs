//! Who may be sent to now. Every endpoint has its own queue, a number of
//! requests at once and a rate, so that one which is slow waits for itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::delivery::{Attempt, Outcome, Trouble, retry_after};
use domain::endpoint::DEFAULT_CONCURRENCY;
use domain::ports::log::EventLog;
use domain::time::to_micros;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::ledger::{Endpoint, EndpointKey};
use super::message::{Sending, Unsendable};
use super::{Dispatcher, Done, Parts, Tried};

/// When the log did not answer, an endpoint is left alone for so long.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

pub struct Queue {
    concurrency: usize,
    all: usize,
    lanes: HashMap<EndpointKey, Lane>,
}

#[derive(Default)]
struct Lane {
    under_way: u32,
    /// Nothing is begun before.
    not_before: Timestamp,
}

impl Queue {
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency: concurrency.max(1), all: 0, lanes: HashMap::new() }
    }

    pub fn ended(&mut self, key: &EndpointKey) {
        self.all = self.all.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.under_way = lane.under_way.saturating_sub(1);
        }
    }

    pub fn pause(&mut self, key: &EndpointKey, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.not_before = now.saturating_add(PAUSE).unwrap_or(now);
        }
    }
}

/// What an endpoint lets happen next.
enum Next {
    Send(Arc<str>),
    /// Not before this time.
    At(Timestamp),
    /// Not before something else has happened.
    Nothing,
}

/// `latest`: now, or when the newest event was recorded if that is later.
fn next(endpoint: &Endpoint, lane: &Lane, now: Timestamp, latest: Timestamp) -> Next {
    let Some(definition) = endpoint.state.definition.as_ref().filter(|_| endpoint.is_active()) else {
        return Next::Nothing;
    };
    let Some((due_at, _, id)) = endpoint.due.first() else { return Next::Nothing };
    if lane.under_way >= definition.concurrency.unwrap_or(DEFAULT_CONCURRENCY) {
        return Next::Nothing;
    }
    if *due_at > latest {
        return Next::At(*due_at);
    }
    // It is never further off, unless the clock was set back.
    let held = now < lane.not_before && lane.not_before.duration_since(now) <= PAUSE;
    if held { Next::At(lane.not_before) } else { Next::Send(id.clone()) }
}

impl Dispatcher {
    /// Begins what is due, and tells when to look again.
    pub(super) fn send_due(&mut self) -> Option<Timestamp> {
        let now = self.parts.clock.now();
        let latest = self.latest();
        let mut earliest: Option<Timestamp> = None;
        let due = self.ledger.all().filter(|(_, endpoint)| !endpoint.due.is_empty());
        let keys: Vec<EndpointKey> = due.map(|(key, _)| key).collect();
        for key in keys {
            while self.queue.all < self.queue.concurrency {
                let Some(endpoint) = self.ledger.get_mut(&key) else { break };
                let lane = self.queue.lanes.entry(key.clone()).or_default();
                match next(endpoint, lane, now, latest) {
                    Next::Send(id) => {
                        let rate = endpoint.state.definition.as_ref().and_then(|d| d.rate_per_second);
                        if let Some(rate) = rate {
                            let gap = SignedDuration::from_micros(1_000_000 / i64::from(rate.max(1)));
                            lane.not_before = now.saturating_add(gap).unwrap_or(now);
                        }
                        lane.under_way += 1;
                        self.queue.all += 1;
                        endpoint.begin(&id);
                        self.begin(&key, id);
                    }
                    Next::At(at) => {
                        earliest = Some(earliest.map_or(at, |other| other.min(at)));
                        break;
                    }
                    Next::Nothing => break,
                }
            }
        }
        metrics::gauge!("daybook_dispatcher_under_way").set(self.queue.all as f64);
        earliest
    }

    fn begin(&mut self, key: &EndpointKey, id: Arc<str>) {
        let Some(endpoint) = self.ledger.get(key) else { return };
        let Some(of) = endpoint.open.get(&id).and_then(|open| open.delivery.of.clone()) else { return };
        let named = of.rule.as_deref().zip(of.rule_version);
        let rule_name = named.and_then(|(rule, version)| self.ledger.rule_at(&key.0, rule, version));
        let sending = Sending {
            tenant: key.0.clone(),
            id: id.clone(),
            rule_name: rule_name.map(|(name, _)| name.to_owned()),
            of,
            endpoint: endpoint.state.clone(),
        };
        let (parts, endpoint) = (self.parts.clone(), key.clone());
        self.under_way.spawn(async move {
            let tried = attempt(&parts, &sending).await;
            Done { endpoint, id, tried }
        });
    }
}

/// One try. `None` if the log could not be read, which is not the endpoint's
/// fault.
async fn attempt(parts: &Parts, sending: &Sending) -> Option<Tried> {
    let log: &dyn EventLog = &*parts.log;
    let at = to_micros(parts.clock.now());
    let request = match sending.body(log).await {
        Ok(body) => sending.request(body, at),
        Err(error) => Err(error),
    };
    let failed = |error, detail: &str, latency| {
        let outcome = Outcome::Failed { error, detail: detail.to_owned() };
        Some(Tried::Attempt(Attempt { at, latency, outcome }))
    };
    let request = match request {
        Ok(request) => request,
        Err(Unsendable::Log(error)) => {
            tracing::warn!(%error, "dispatcher: what is to be sent cannot be read now");
            return None;
        }
        Err(Unsendable::Erased) => return Some(Tried::Erased),
        Err(Unsendable::Broken(reason)) => return failed(Trouble::Unsendable, reason, Duration::ZERO),
    };
    let (headers, began) = (request.headers.clone(), Instant::now());
    match parts.sender.send(request).await {
        Ok(answer) => {
            let body = sending.without_secrets(&String::from_utf8_lossy(&answer.body), &headers);
            let asked = answer.retry_after.and_then(|text| retry_after(&text, parts.clock.now()));
            let outcome = Outcome::Answer { status: answer.status, retry_after: asked, body };
            Some(Tried::Attempt(Attempt { at, latency: began.elapsed(), outcome }))
        }
        Err(failure) => failed(failure.error, &failure.detail, began.elapsed()),
    }
}
