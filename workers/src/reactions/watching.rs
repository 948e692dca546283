//! The series that a tenant's rules with `anomaly` watch. A pure fold of rules,
//! mutes and signals from where the rules in force began: the same log gives
//! the same windows, changes and versions.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use domain::RecordedEvent;
use domain::anomaly_window::{self, Change, Detected, MUTED, Reason, UNMUTED};
use domain::registry::{DecodeError, decode};
use domain::rule::{self, Definition, Series as Source, Throttle};
use jiff::Timestamp;
use models_rules::watched::{LeftOut, Place, Told, Watched};
use models_rules::{Compiled, Invalid, RuleSet, Signal as Asked};
use serde_json::Value;

use super::engine::within;

/// The app of windows of taps.
const TAPS: &str = "taps";

/// A change of a window, and its version in the window's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub version: u64,
    pub detected: Detected,
}

#[derive(Default)]
pub struct Watching {
    set: RuleSet,
    /// Those that watch taps.
    taps: RuleSet,
    pub(super) rules: HashMap<Arc<str>, Rule>,
    /// Until when a series sets nothing off, by rule and key.
    pub(super) mutes: HashMap<(String, Option<String>), Timestamp>,
}

/// A rule in force.
pub(super) struct Rule {
    version: u32,
    /// Position of the fact that put it in force.
    pub(super) since: u64,
    app: Option<String>,
    priority: i32,
    /// How often it asks for ticks; 0 if it does not.
    tick_seconds: u32,
    subjects: Vec<String>,
    pub(super) watched: Watched,
    pub(super) series: HashMap<Arc<str>, Series>,
    throttle: Option<Throttle>,
    /// Event times of its newest actions.
    pub(super) acted: VecDeque<Timestamp>,
}

/// One that had a window.
pub(super) struct Series {
    pub(super) app: Arc<str>,
    /// Windows that are open and whose opening acted: one in order, and one
    /// that came late.
    pub(super) acting: Vec<u64>,
}

impl Watching {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where the oldest rule in force began: what is known of series comes from
    /// the signals after it.
    pub fn since(&self) -> Option<u64> {
        self.rules.values().map(|rule| rule.since).min()
    }

    /// Whether taps are points of any series.
    pub fn takes_taps(&self) -> bool {
        !self.taps.is_empty()
    }

    /// The shortest interval in which a rule asks for ticks.
    pub fn tick_seconds(&self) -> Option<u32> {
        self.rules.values().map(|rule| rule.tick_seconds).filter(|seconds| *seconds > 0).min()
    }

    /// What the rule says from here on, if it is in force and watches. What it
    /// watched until now is over.
    pub fn put(
        &mut self,
        event: &RecordedEvent,
        version: u32,
        definition: Option<&Definition>,
    ) -> Vec<Finding> {
        let id = &event.stream.id;
        let closed = self.end(event);
        self.set.remove(id);
        self.taps.remove(id);
        let Some((definition, anomaly)) = definition.and_then(|d| Some((d, d.anomaly.as_ref()?))) else {
            return closed;
        };
        let begun = Watched::new(anomaly);
        let begun = begun.and_then(|watched| self.begin(id, version, definition, (watched, event.position)));
        // It could be watched when it was saved, by an older build.
        if let Err(invalid) = begun {
            tracing::error!(rule = %id, position = event.position, %invalid, "a rule cannot be watched");
        }
        closed
    }

    /// Watches for a rule from a position on.
    pub(super) fn begin(
        &mut self,
        id: &Arc<str>,
        version: u32,
        definition: &Definition,
        (watched, since): (Watched, u64),
    ) -> Result<(), Invalid> {
        let Some(anomaly) = &definition.anomaly else { return Ok(()) };
        let set = if anomaly.series == Source::Taps { &mut self.taps } else { &mut self.set };
        set.put(id, version, definition)?;
        let rule = Rule {
            version,
            since,
            app: definition.app.clone(),
            priority: definition.priority,
            tick_seconds: anomaly.tick_seconds,
            subjects: definition.actions.subjects.clone(),
            watched,
            series: HashMap::new(),
            throttle: definition.throttle,
            acted: VecDeque::new(),
        };
        self.rules.insert(id.clone(), rule);
        Ok(())
    }

    fn end(&mut self, event: &RecordedEvent) -> Vec<Finding> {
        let Some(mut rule) = self.rules.remove(&event.stream.id) else { return Vec::new() };
        let reason = match &*event.event_type {
            rule::DISABLED => Reason::RuleDisabled,
            rule::ARCHIVED => Reason::RuleArchived,
            _ => Reason::RuleChanged,
        };
        let told = rule.watched.stop();
        let mut found = rule.found(&event.stream.id, told, event, &self.mutes);
        found.iter_mut().for_each(|finding| finding.detected.reason = Some(reason));
        found
    }

    /// Somebody muted a series, or wants to hear of it again.
    pub fn mute(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        match decode(event)? {
            anomaly_window::Event::Muted { rule, key, until, .. } => {
                self.mutes.insert((rule, key), until);
            }
            anomaly_window::Event::Unmuted { rule, key } => {
                self.mutes.remove(&(rule, key));
            }
            anomaly_window::Event::Acknowledged { .. } | anomaly_window::Event::Noted { .. } => {}
        }
        Ok(())
    }

    /// What a signal changes, by the rules' priority.
    pub fn signal(&mut self, event: &RecordedEvent, asked: &Asked<'_>) -> Vec<Finding> {
        self.point(event, asked, Source::Count)
    }

    /// What a tap changes.
    pub fn tap(&mut self, event: &RecordedEvent, body: &Value) -> Vec<Finding> {
        let asked = Asked { app: TAPS, category: "", event_type: "", body };
        self.point(event, &asked, Source::Taps)
    }

    /// What changes by time that has passed.
    pub fn tick(&mut self, event: &RecordedEvent) -> Vec<Finding> {
        let mut rules: Vec<_> = self.rules.iter_mut().filter(|(_, rule)| rule.tick_seconds > 0).collect();
        rules.sort_by_key(|(id, rule)| (Reverse(rule.priority), Arc::clone(id)));
        let mut found = Vec::new();
        for (id, rule) in rules {
            let told = rule.watched.tick(Place::of(event));
            found.extend(rule.found(id, told, event, &self.mutes));
        }
        found
    }

    fn point(&mut self, event: &RecordedEvent, asked: &Asked<'_>, of: Source) -> Vec<Finding> {
        let set = if of == Source::Taps { &self.taps } else { &self.set };
        let mut found = Vec::new();
        for matched in set.matching(asked) {
            if let Some(reason) = matched.failed {
                metrics::counter!("daybook_rule_failures_total").increment(1);
                tracing::debug!(rule = %matched.rule, position = event.position, reason, "a rule failed");
                continue;
            }
            let (Some(compiled), Some(rule)) = (set.get(&matched.rule), self.rules.get_mut(&matched.rule))
            else {
                continue;
            };
            match rule.watched.observe(compiled, asked.body, Place::of(event)) {
                Ok(told) => {
                    rule.heard(compiled, asked);
                    rule.app(&told, asked.app);
                    found.extend(rule.found(&matched.rule, told, event, &self.mutes));
                }
                Err(left_out) => count(left_out),
            }
        }
        found
    }
}

impl Rule {
    /// Remembers whose a series is that may open a window without a point.
    fn heard(&mut self, compiled: &Compiled, asked: &Asked<'_>) {
        if self.tick_seconds == 0 {
            return;
        }
        if let Some(key) = compiled.key(asked.body).filter(|key| !self.series.contains_key(&**key)) {
            let app = self.app.as_deref().unwrap_or(asked.app).into();
            self.series.insert(key.into(), Series { app, acting: Vec::new() });
        }
    }

    /// Remembers whose series they are.
    fn app(&mut self, told: &[Told], app: &str) {
        for told in told.iter().filter(|told| told.change == Change::Opened) {
            if !self.series.contains_key(&told.key) {
                let app = self.app.as_deref().unwrap_or(app).into();
                self.series.insert(told.key.clone(), Series { app, acting: Vec::new() });
            }
        }
    }

    fn found(
        &mut self,
        id: &str,
        told: Vec<Told>,
        event: &RecordedEvent,
        mutes: &HashMap<(String, Option<String>), Timestamp>,
    ) -> Vec<Finding> {
        let mut found = Vec::with_capacity(told.len());
        for told in told {
            let Some(series) = self.series.get_mut(&told.key) else { continue };
            let mut detected = told.detected(id, self.version, &series.app, event.position);
            let series_of = (detected.rule.clone(), detected.key.clone());
            detected.muted = mutes.get(&series_of).is_some_and(|until| event.at() < *until);
            let number = told.window.number;
            detected.acts = match detected.change {
                Change::Opened => !detected.muted && within(&mut self.acted, self.throttle, event.at()),
                Change::Closed => !detected.muted && series.acting.contains(&number),
                Change::Extended | Change::Reopened => false,
            };
            if detected.acts {
                detected.subjects = self.subjects.clone();
            }
            match detected.change {
                Change::Opened if detected.acts => series.acting.push(number),
                Change::Closed => series.acting.retain(|open| *open != number),
                _ => {}
            }
            found.push(Finding { version: told.window.changes, detected });
        }
        found
    }
}

fn count(left_out: LeftOut) {
    metrics::counter!("daybook_anomaly_points_left_out_total", "reason" => left_out.as_str()).increment(1);
}

/// What of people's words has to be seen.
pub const MUTES: [&str; 2] = [MUTED, UNMUTED];
