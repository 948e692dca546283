//! What the log says of endpoints and deliveries: a pure fold. The same log
//! gives the same deliveries, each once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use domain::anomaly_window::{DETECTED, Detected};
use domain::decide::Decide;
use domain::delivery::{self, Delivery, Place, Scheduled, State};
use domain::endpoint::{self, OrderedBy, Status, WebhookEndpoint};
use domain::registry::{DecodeError, decode, decode_payload};
use domain::rule::{self, Rule};
use domain::rule_match::{MATCHED, RuleMatch};
use domain::signal::{self, Signal};
use domain::{RecordedEvent, StreamId, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What tells of endpoints and rules, which are few.
pub const SETTING_TYPES: &[&str] = &[
    endpoint::CREATED,
    endpoint::CHANGED,
    endpoint::SECRET_ROTATED,
    endpoint::PAUSED,
    endpoint::RESUMED,
    endpoint::DISABLED,
    endpoint::DELETED,
    endpoint::TESTED,
    rule::DEFINED,
    rule::CHANGED,
    delivery::LIVE_FROM,
];

/// What tells of deliveries.
const DELIVERY_TYPES: &[&str] = &[
    delivery::SCHEDULED,
    delivery::ATTEMPTED,
    delivery::DELIVERED,
    delivery::DEAD,
    delivery::REQUESTED_AGAIN,
];

/// What tells of endpoints, rules and deliveries.
pub fn state_types() -> impl Iterator<Item = &'static str> {
    SETTING_TYPES.iter().chain(DELIVERY_TYPES).copied()
}

/// What endpoints can be told of, beside that they are tested.
pub const CAUSES: &[&str] = &[signal::RECEIVED, MATCHED, DETECTED];

/// What a rule says is remembered for so many of its changes: a match may be
/// recorded a little after the rule was changed.
const RULE_VERSIONS: usize = 8;

pub type EndpointKey = (TenantId, Arc<str>);

#[derive(Default)]
pub struct Ledger {
    endpoints: HashMap<TenantId, BTreeMap<Arc<str>, Endpoint>>,
    rules: HashMap<(TenantId, Arc<str>), Versions>,
    /// Nothing before this position is sent any more.
    pub live_from: u64,
    /// Ended deliveries that were asked for again: they have to be read anew
    /// ([`Ledger::revive`]), since what has ended is not kept here.
    pub revived: Vec<StreamId>,
    /// Deliveries that may be open and were asked for before `live_from`.
    pub restored: bool,
    /// Deliveries of which something was said since [`Ledger::touched`] was asked.
    touched: HashSet<(EndpointKey, Arc<str>)>,
}

#[derive(Default)]
struct Versions {
    state: Rule,
    /// The newest last.
    known: VecDeque<(u32, String, Vec<String>)>,
}

#[derive(Default)]
pub struct Endpoint {
    pub state: WebhookEndpoint,
    /// Of its stream.
    pub version: u64,
    /// Where it was created: it is told of nothing before.
    pub since: u64,
    /// The first failure since something was delivered.
    pub failing_since: Option<Timestamp>,
    /// What has not ended.
    pub open: HashMap<Arc<str>, Open>,
    /// What may be sent when it is due, in this order. Of an ordered key that is
    /// its first.
    pub due: BTreeSet<Due>,
    keys: BTreeMap<String, BTreeSet<(u64, Arc<str>)>>,
}

/// When, and of what is due at the same time the older event first.
pub type Due = (Timestamp, u64, Arc<str>);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Open {
    pub delivery: Delivery,
    pub version: u64,
    /// Position at which it was scheduled, or asked for again.
    pub asked: u64,
    /// An attempt is under way, or its outcome not yet read back.
    #[serde(skip)]
    pub sending: bool,
}

impl Open {
    pub fn cause(&self) -> u64 {
        self.delivery.of.as_ref().map_or(0, |of| of.cause)
    }

    fn take(&mut self, event: &RecordedEvent, happened: delivery::Event) {
        self.version = event.version;
        if matches!(happened, delivery::Event::Scheduled(_) | delivery::Event::RequestedAgain { .. }) {
            self.asked = event.position;
        }
        self.delivery.evolve(happened);
    }
}

/// What an endpoint has to be told of.
pub struct Wanted {
    pub endpoint: EndpointKey,
    pub of: Scheduled,
    /// What orders the deliveries: a member of the signal.
    pub ordered_by: Option<OrderedBy>,
}

impl Ledger {
    pub fn get(&self, (tenant, id): &EndpointKey) -> Option<&Endpoint> {
        self.endpoints.get(tenant)?.get(id)
    }

    pub fn get_mut(&mut self, (tenant, id): &EndpointKey) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(tenant)?.get_mut(id)
    }

    /// Every endpoint, under its key.
    pub fn all(&self) -> impl Iterator<Item = (EndpointKey, &Endpoint)> {
        self.endpoints
            .iter()
            .flat_map(|(tenant, all)| all.iter().map(move |(id, e)| ((tenant.clone(), id.clone()), e)))
    }

    fn entry(&mut self, (tenant, id): EndpointKey) -> &mut Endpoint {
        self.endpoints.entry(tenant).or_default().entry(id).or_default()
    }

    /// What has to be kept of deliveries since this was asked last, by endpoint
    /// and id: what is open now, or nothing.
    pub fn touched(&mut self) -> Vec<(EndpointKey, Arc<str>, Option<Open>)> {
        let touched = std::mem::take(&mut self.touched);
        let now = |(key, id): (EndpointKey, Arc<str>)| {
            let open = self.get(&key).and_then(|endpoint| endpoint.open.get(&id)).cloned();
            (key, id, open)
        };
        touched.into_iter().map(now).collect()
    }

    /// Goes on with a delivery that was open.
    pub fn reopen(&mut self, key: EndpointKey, id: Arc<str>, open: Open) {
        let endpoint = self.entry(key);
        endpoint.list(&id, &open);
        endpoint.open.insert(id, open);
    }

    pub fn apply(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        match &*event.event_type {
            delivery::LIVE_FROM => {
                self.live_from = decode_payload::<Place>(event)?.position;
                self.restored = true;
            }
            kind if kind.starts_with("webhook.") => self.endpoint(event)?,
            kind if kind.starts_with("delivery.") => self.delivery(event)?,
            rule::DEFINED | rule::CHANGED => self.rule(event)?,
            _ => {}
        }
        Ok(())
    }

    fn endpoint(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        let key = (event.stream.tenant.clone(), event.stream.id.clone());
        let endpoint = self.entry(key);
        if event.version <= endpoint.version {
            return Ok(());
        }
        endpoint.version = event.version;
        match &*event.event_type {
            endpoint::CREATED => endpoint.since = event.position,
            endpoint::RESUMED | endpoint::CHANGED => endpoint.failing_since = None,
            _ => {}
        }
        endpoint.state.evolve(decode(event)?);
        Ok(())
    }

    fn rule(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        let versions = self.rules.entry((event.stream.tenant.clone(), event.stream.id.clone())).or_default();
        versions.state.evolve(decode(event)?);
        let Some(definition) = &versions.state.definition else { return Ok(()) };
        let known = (versions.state.version, definition.name.clone(), definition.actions.webhooks.clone());
        versions.known.push_back(known);
        while versions.known.len() > RULE_VERSIONS {
            versions.known.pop_front();
        }
        Ok(())
    }

    fn delivery(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        let happened: delivery::Event = decode(event)?;
        let name = match &happened {
            delivery::Event::Scheduled(of) => &of.endpoint,
            delivery::Event::Attempted(attempted) => &attempted.endpoint,
            delivery::Event::Delivered { endpoint, .. }
            | delivery::Event::Dead { endpoint, .. }
            | delivery::Event::RequestedAgain { endpoint, .. } => endpoint,
        };
        let key = (event.stream.tenant.clone(), name.as_str().into());
        self.touched.insert((key.clone(), event.stream.id.clone()));
        let endpoint = self.entry(key);
        let again = matches!(happened, delivery::Event::RequestedAgain { .. });
        if again && !endpoint.open.contains_key(&event.stream.id) {
            self.revived.push(event.stream.clone());
            return Ok(());
        }
        endpoint.delivery(event, happened);
        Ok(())
    }

    /// Takes in the whole stream of a delivery that was asked for again.
    pub fn revive(&mut self, events: &[RecordedEvent]) -> Result<(), DecodeError> {
        let (mut open, mut name) = (Open::default(), None);
        for event in events {
            open.take(event, decode(event)?);
        }
        if let (Some(of), Some(first)) = (&open.delivery.of, events.first()) {
            name =
                Some(((first.stream.tenant.clone(), of.endpoint.as_str().into()), first.stream.id.clone()));
        }
        if let Some((key, id)) = name.filter(|_| open.delivery.state == State::Due) {
            self.touched.insert((key.clone(), id.clone()));
            let endpoint = self.entry(key);
            if !endpoint.open.contains_key(&id) {
                endpoint.list(&id, &open);
                endpoint.open.insert(id, open);
            }
        }
        Ok(())
    }

    /// What the rule said in this version: its name and the endpoints it names.
    pub fn rule_at(&self, tenant: &TenantId, rule: &str, version: u32) -> Option<(&str, &[String])> {
        let versions = self.rules.get(&(tenant.clone(), rule.into()))?;
        let (_, name, webhooks) = versions.known.iter().find(|(known, ..)| *known == version)?;
        Some((name, webhooks))
    }

    /// Whether any endpoint of a tenant can be told of signals by themselves.
    fn takes_signals(&self, tenant: &TenantId) -> bool {
        let takes = |e: &Endpoint| e.state.definition.as_ref().is_some_and(|d| d.filter.takes_signals());
        self.endpoints.get(tenant).is_some_and(|all| all.values().any(takes))
    }

    /// Who has to be told of this event.
    pub fn concerned(&self, event: &RecordedEvent) -> Result<Vec<Wanted>, DecodeError> {
        if event.position <= self.live_from {
            return Ok(Vec::new());
        }
        match &*event.event_type {
            endpoint::TESTED => {
                let wanted = self.wanted(event, |name, _| *name == *event.stream.id);
                Ok(wanted)
            }
            DETECTED => {
                let found: Detected = decode_payload(event)?;
                if !found.acts {
                    return Ok(Vec::new());
                }
                Ok(self.found(event, (&found.rule, found.rule_version), (found.signal, &found.app), None))
            }
            MATCHED => {
                let found: RuleMatch = decode_payload(event)?;
                if !found.acts {
                    return Ok(Vec::new());
                }
                let about = (found.signal, found.app.as_str());
                Ok(self.found(event, (&found.rule, found.rule_version), about, Some(&found.signal_type)))
            }
            signal::RECEIVED if self.takes_signals(&event.stream.tenant) => {
                let said: Signal = decode_payload(event)?;
                let takes =
                    |_: &str, d: &endpoint::Definition| d.filter.takes_signal(&said.app, &said.signal_type);
                let mut wanted = self.wanted(event, takes);
                for wanted in &mut wanted {
                    wanted.of.signal = Some(event.position);
                    wanted.of.app = Some(said.app.clone());
                    wanted.of.key = wanted.ordered_by.and_then(|by| key_of(&said, by));
                }
                Ok(wanted)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Who has to be told of what a rule found.
    fn found(
        &self,
        event: &RecordedEvent,
        (rule, version): (&str, u32),
        (signal, app): (u64, &str),
        signal_type: Option<&str>,
    ) -> Vec<Wanted> {
        let named = self.rule_at(&event.stream.tenant, rule, version);
        let named = named.map_or(&[][..], |(_, webhooks)| webhooks);
        let mut all = self.wanted(event, |name, definition| {
            named.iter().any(|n| n == name) || definition.filter.takes_rule(rule, app, signal_type)
        });
        for wanted in &mut all {
            let of = &mut wanted.of;
            (of.signal, of.app) = (Some(signal), Some(app.to_owned()));
            (of.rule, of.rule_version) = (Some(rule.to_owned()), Some(version));
        }
        all
    }

    fn wanted(
        &self,
        event: &RecordedEvent,
        concerns: impl Fn(&str, &endpoint::Definition) -> bool,
    ) -> Vec<Wanted> {
        let tenant = &event.stream.tenant;
        let mut all = Vec::new();
        for (id, endpoint) in self.endpoints.get(tenant).into_iter().flatten() {
            let Some(definition) = &endpoint.state.definition else { continue };
            let takes = matches!(endpoint.state.status, Status::Active | Status::Paused);
            if !takes || event.position <= endpoint.since {
                continue;
            }
            if !concerns(id, definition) {
                continue;
            }
            let of = Scheduled {
                endpoint: id.to_string(),
                cause: event.position,
                cause_id: event.event_id,
                cause_type: event.event_type.to_string(),
                signal: None,
                app: None,
                rule: None,
                rule_version: None,
                key: None,
                due_at: event.recorded_at,
            };
            let endpoint = (tenant.clone(), id.clone());
            all.push(Wanted { endpoint, of, ordered_by: definition.ordered_by });
        }
        all
    }
}

/// What orders the deliveries of this signal.
pub fn key_of(signal: &Signal, by: OrderedBy) -> Option<String> {
    match by {
        OrderedBy::App => Some(signal.app.clone()),
        OrderedBy::Type => Some(signal.signal_type.clone()),
        OrderedBy::Source => Some(signal.source.clone()),
        OrderedBy::Subject => signal.subject.clone(),
        OrderedBy::Device => signal.device.clone(),
    }
}

impl Endpoint {
    fn delivery(&mut self, event: &RecordedEvent, happened: delivery::Event) {
        let id = event.stream.id.clone();
        let mut open = self.open.remove(&id).unwrap_or_default();
        self.unlist(&id, &open);
        if event.version > open.version {
            match &happened {
                delivery::Event::Attempted(a) if !matches!(a.status, Some(200..=299)) => {
                    self.failing_since.get_or_insert(a.at);
                }
                delivery::Event::Delivered { .. } => self.failing_since = None,
                _ => {}
            }
            open.take(event, happened);
            open.sending = false;
        }
        // What has ended is forgotten; so is what is only half known.
        if open.delivery.state == State::Due && open.delivery.of.is_some() {
            self.list(&id, &open);
            self.open.insert(id, open);
        }
    }

    /// The delivery is about to be sent: nobody else takes it.
    pub fn begin(&mut self, id: &Arc<str>) {
        if let Some(open) = self.open.get_mut(id) {
            open.sending = true;
            self.due.remove(&(open.delivery.due_at, open.cause(), id.clone()));
        }
    }

    /// It was not sent after all.
    pub fn again(&mut self, id: &Arc<str>) {
        if let Some(open) = self.open.get_mut(id) {
            open.sending = false;
            self.due.insert((open.delivery.due_at, open.cause(), id.clone()));
        }
    }

    /// Puts an open delivery where it waits for its time.
    fn list(&mut self, id: &Arc<str>, open: &Open) {
        let Some(of) = &open.delivery.of else { return };
        let due = |open: &Open, id: &Arc<str>| (open.delivery.due_at, open.cause(), id.clone());
        let Some(key) = &of.key else {
            self.due.insert(due(open, id));
            return;
        };
        let waiting = self.keys.entry(key.clone()).or_default();
        let before = waiting.first().cloned();
        waiting.insert((of.cause, id.clone()));
        if waiting.first().is_some_and(|(_, first)| first == id) {
            self.due.insert(due(open, id));
            if let Some(other) = before.and_then(|(_, other)| Some((self.open.get(&other)?, other))) {
                self.due.remove(&due(other.0, &other.1));
            }
        }
    }

    fn unlist(&mut self, id: &Arc<str>, open: &Open) {
        self.due.remove(&(open.delivery.due_at, open.cause(), id.clone()));
        let Some(key) = open.delivery.of.as_ref().and_then(|of| of.key.as_ref()) else { return };
        let Some(waiting) = self.keys.get_mut(key) else { return };
        let first = waiting.first().is_some_and(|(_, first)| first == id);
        waiting.remove(&(open.cause(), id.clone()));
        let Some((cause, next)) = waiting.first() else {
            self.keys.remove(key);
            return;
        };
        if let Some(other) = self.open.get(next).filter(|other| first && !other.sending) {
            self.due.insert((other.delivery.due_at, *cause, next.clone()));
        }
    }

    pub fn is_active(&self) -> bool {
        self.state.status == Status::Active
    }
}
