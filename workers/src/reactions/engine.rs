//! The rules in force at each position, the signals that match them, and what
//! is unusual in the series that they watch. A pure fold: the same log gives the
//! same matches and windows.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use domain::decide::Decide;
use domain::registry::{DecodeError, decode};
use domain::rule::{self, Rule, Throttle};
use domain::rule_match::{RuleMatch, TICKED};
use domain::{RecordedEvent, TenantId};
use domain::{signal, tap};
use jiff::{SignedDuration, Timestamp};
use models_rules::watched::body;
use models_rules::{RuleSet, Signal as Asked};

use super::watching::{Finding, MUTES, Watching};

/// What tells the rules in force, and what sets nothing off.
pub const RULES: [&str; 7] =
    [rule::DEFINED, rule::CHANGED, rule::ENABLED, rule::DISABLED, rule::ARCHIVED, MUTES[0], MUTES[1]];

/// What is a point of series, beside taps, and that time has gone on.
const POINTS: [&str; 2] = [signal::RECEIVED, TICKED];

/// What an event brings.
#[derive(Debug, Default)]
pub struct Found {
    pub matches: Vec<RuleMatch>,
    pub windows: Vec<Finding>,
}

#[derive(Default)]
pub struct Engine {
    pub(super) tenants: HashMap<TenantId, Tenant>,
    /// Tenants with rules that watch taps.
    takes_taps: usize,
}

#[derive(Default)]
pub(super) struct Tenant {
    pub rules: HashMap<Arc<str>, Rule>,
    /// Those that tell of each match.
    pub set: RuleSet,
    /// Those that watch a series instead.
    pub watching: Watching,
    /// Event times of a throttled rule's newest actions.
    pub acted: HashMap<Arc<str>, VecDeque<Timestamp>>,
    pub ticked: Ticked,
}

/// The newest tick: its version in its stream, and when it was recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ticked {
    pub version: u64,
    pub at: Option<Timestamp>,
}

/// A tick that is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    pub tenant: TenantId,
    pub every_seconds: u32,
    /// Version of the newest one.
    pub after: u64,
    pub due: Timestamp,
}

impl Engine {
    /// What has to be seen now, in the order of the log. More once a rule
    /// watches taps.
    pub fn types(&self) -> Vec<&'static str> {
        let taps = (self.takes_taps > 0).then_some(tap::TAPPED);
        RULES.into_iter().chain(POINTS).chain(taps).collect()
    }

    pub fn takes_taps(&self) -> bool {
        self.takes_taps > 0
    }

    /// Takes one event in. A signal answers with its matches, by the rules'
    /// priority, and with what it changes of windows.
    pub fn apply(&mut self, event: &RecordedEvent) -> Result<Found, DecodeError> {
        self.take(event, true)
    }

    /// The same for an event that was looked at before, but for matches: which
    /// there were, and what they set off, is known from the facts.
    pub fn again(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        self.take(event, false).map(|_| ())
    }

    fn take(&mut self, event: &RecordedEvent, matching: bool) -> Result<Found, DecodeError> {
        let tenant = self.tenants.entry(event.stream.tenant.clone()).or_default();
        let mut found = Found::default();
        match &*event.event_type {
            signal::RECEIVED => tenant.signal(event, matching, &mut found)?,
            tap::TAPPED if tenant.watching.takes_taps() => {
                found.windows = tenant.watching.tap(event, &body(event)?);
            }
            tap::TAPPED => {}
            TICKED => {
                tenant.ticked = Ticked { version: event.version, at: Some(event.recorded_at) };
                found.windows = tenant.watching.tick(event);
            }
            kind if MUTES.contains(&kind) => tenant.watching.mute(event)?,
            _ => {
                found.windows = tenant.rule(event)?;
                self.count();
            }
        }
        Ok(found)
    }

    pub(super) fn count(&mut self) {
        self.takes_taps = self.tenants.values().filter(|tenant| tenant.watching.takes_taps()).count();
    }

    /// Where the series that are watched begin.
    pub fn watching_since(&self) -> Option<u64> {
        self.tenants.values().filter_map(|tenant| tenant.watching.since()).min()
    }

    /// Rules in force, over all tenants.
    pub fn rules(&self) -> usize {
        self.tenants.values().map(|t| t.set.len()).sum()
    }

    /// The ticks that rules in force ask for, each with when it is due: at once
    /// where there was none yet.
    pub fn ticks(&self) -> Vec<Tick> {
        let mut all = Vec::new();
        for (id, tenant) in &self.tenants {
            let Some(every_seconds) = tenant.watching.tick_seconds() else { continue };
            let every = SignedDuration::from_secs(every_seconds.into());
            let due = tenant.ticked.at.map_or(Timestamp::MIN, |at| at.saturating_add(every).unwrap_or(at));
            all.push(Tick { tenant: id.clone(), every_seconds, after: tenant.ticked.version, due });
        }
        all
    }

    /// What a rule did before this engine began, in that order.
    pub(super) fn acted(&mut self, tenant: &TenantId, rule: &Arc<str>, at: Timestamp, throttle: Throttle) {
        let tenant = self.tenants.entry(tenant.clone()).or_default();
        push(tenant.acted.entry(rule.clone()).or_default(), at, throttle);
    }
}

impl Tenant {
    fn rule(&mut self, event: &RecordedEvent) -> Result<Vec<Finding>, DecodeError> {
        let id = &event.stream.id;
        let state = self.rules.entry(id.clone()).or_default();
        state.evolve(decode(event)?);
        let definition = state.definition.as_ref().filter(|_| state.enabled && !state.archived);
        let closed = self.watching.put(event, state.version, definition);
        let Some(definition) = definition.filter(|definition| definition.anomaly.is_none()) else {
            self.set.remove(id);
            return Ok(closed);
        };
        if let Err(invalid) = self.set.put(id, state.version, definition) {
            // It compiled when it was saved, by an older build.
            tracing::error!(rule = %id, position = event.position, %invalid, "a rule does not compile");
            self.set.remove(id);
        }
        Ok(closed)
    }

    fn signal(
        &mut self,
        event: &RecordedEvent,
        matching: bool,
        found: &mut Found,
    ) -> Result<(), DecodeError> {
        let matching = matching && !self.set.is_empty();
        if !matching && self.watching.is_empty() {
            return Ok(());
        }
        let body = body(event)?;
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let asked =
            Asked { app: text("app"), category: text("category"), event_type: text("type"), body: &body };
        if matching {
            found.matches = self.matches(event, &asked);
        }
        if !self.watching.is_empty() {
            found.windows = self.watching.signal(event, &asked);
        }
        Ok(())
    }

    fn matches(&mut self, event: &RecordedEvent, asked: &Asked<'_>) -> Vec<RuleMatch> {
        let mut found = Vec::new();
        for matched in self.set.matching(asked) {
            if let Some(reason) = matched.failed {
                metrics::counter!("daybook_rule_failures_total").increment(1);
                tracing::debug!(rule = %matched.rule, position = event.position, reason, "a rule failed");
                continue;
            }
            let acts = self.acts(&matched.rule, event.at());
            found.push(RuleMatch {
                rule: matched.rule.to_string(),
                rule_version: matched.version,
                signal: event.position,
                signal_event_id: event.event_id,
                app: asked.app.to_owned(),
                signal_type: asked.event_type.to_owned(),
                acts,
                subjects: self.subjects(&matched.rule, acts),
            });
        }
        found
    }

    /// Whether the rule's throttle lets it act now.
    fn acts(&mut self, rule: &Arc<str>, at: Timestamp) -> bool {
        let definition = self.rules.get(rule).and_then(|rule| rule.definition.as_ref());
        let Some(throttle) = definition.and_then(|definition| definition.throttle) else { return true };
        within(self.acted.entry(rule.clone()).or_default(), Some(throttle), at)
    }

    fn subjects(&self, rule: &str, acts: bool) -> Vec<String> {
        let definition = self.rules.get(rule).and_then(|rule| rule.definition.as_ref());
        definition.filter(|_| acts).map(|d| d.actions.subjects.clone()).unwrap_or_default()
    }
}

/// Whether the throttle lets one more action through, which is remembered.
pub(super) fn within(acted: &mut VecDeque<Timestamp>, throttle: Option<Throttle>, at: Timestamp) -> bool {
    let Some(throttle) = throttle else { return true };
    let since = at.saturating_sub(SignedDuration::from_secs(throttle.seconds.into()));
    // Instants out of range end at the range.
    let since = since.unwrap_or(Timestamp::MIN);
    let recent = acted.iter().filter(|then| **then > since && **then <= at).count();
    if recent >= throttle.actions as usize {
        return false;
    }
    push(acted, at, throttle);
    true
}

/// Keeps as many as can ever count.
fn push(acted: &mut VecDeque<Timestamp>, at: Timestamp, throttle: Throttle) {
    acted.push_back(at);
    while acted.len() > throttle.actions.max(1) as usize {
        acted.pop_front();
    }
}
