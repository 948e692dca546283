//! What a rule with `anomaly` watches: the series of the signals that match,
//! one for each key, and the windows in which they are unusual.
//!
//! Nothing here reads a clock. A series goes on with its own signals. Where it
//! is silent, later signals of the rule's other series close its window once
//! their event time is past the cooldown and the lateness; they close no steps,
//! since a series that is only behind must not lose its points.
//!
//! Where the rule asks for ticks, facts tell that time has passed
//! ([`Watched::tick`]). A series is then as late as its newest point, and as
//! much later as the tick was recorded after that point: so a feed that is
//! behind, or history that is imported, is not taken for silent. Where silence
//! is what is looked for, that is after any point: one that is dated in the
//! future does not make those after it nothing.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::anomaly_window::{self as window, Detected, MAX_KEY_BYTES, Reason};
use domain::registry::DecodeError;
use domain::rule::{self, Anomaly};
use domain::tap;
use jiff::Timestamp;
use models_anomaly::detect::Band;
use models_anomaly::detect::seasonal::Seasonality;
use models_anomaly::watch::{Change, Check, Config, Direction, Missing, Point, Sample, Severity, Window};
use models_anomaly::watch::{Observed, State, Together, Watch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Compiled, Invalid};

/// Series of one rule, where each keeps little.
pub const MAX_SERIES: usize = 10_000;
/// Series of one rule whose detector keeps thousands of points of each.
pub const MAX_HEAVY_SERIES: usize = 500;

/// A series that has been silent for longer is left alone: its window stays as
/// it is until something comes, or the rule ends.
pub const MAX_SILENCE_SECONDS: i64 = 86_400;

const SECOND: i64 = 1_000_000;

/// Where and when a fact stands, as series take it.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its position in the log
    pub position: u64,
    /// Event time, in microseconds since 1970
    pub at: i64,
    /// When it was recorded
    pub recorded: i64,
}

impl Place {
    /// Of a recorded fact
    pub fn of(event: &domain::RecordedEvent) -> Self {
        Self {
            position: event.position,
            at: event.at().as_microsecond(),
            recorded: event.recorded_at.as_microsecond(),
        }
    }
}

/// Why a signal is no point of any series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// The key's path finds nothing
    NoKey,
    /// The key is longer than 256 bytes
    LongKey,
    /// The path finds no number
    NoNumber,
    /// The rule has as many series as it may have
    TooManySeries,
    /// It is further behind the newest of its series than the lateness
    TooLate,
}

impl LeftOut {
    /// In one word
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::LongKey => "long_key",
            Self::NoNumber => "no_number",
            Self::TooManySeries => "too_many_series",
            Self::TooLate => "too_late",
        }
    }
}

/// One change of a window of the series of this key.
#[derive(Debug, Clone)]
pub struct Told {
    /// Empty where the rule has one series only
    pub key: Arc<str>,
    /// What has become of the window
    pub change: window::Change,
    /// As it is now
    pub window: Window,
}

/// The series of one rule, as it is at present.
pub struct Watched {
    config: Config,
    most: usize,
    series: HashMap<Arc<str>, Series>,
    /// Keys whose series have an open window.
    open: BTreeSet<Arc<str>>,
    /// Event time at which windows of silent series were last looked at.
    looked: i64,
    /// How often the rule asks for ticks; 0 if it does not.
    every: i64,
    /// When the tick was recorded that was last taken.
    ticked: i64,
}

struct Series {
    watch: Watch,
    /// When its newest point was recorded; for silence, the last to arrive.
    recorded: i64,
}

/// What is known of all series of a rule, to go on with ([`Watched::resume`]).
#[derive(Debug, Serialize, Deserialize)]
pub struct Known<'a> {
    looked: i64,
    ticked: i64,
    series: Vec<(Arc<str>, i64, Cow<'a, State>)>,
}

impl Watched {
    /// Begins with nothing known.
    pub fn new(anomaly: &Anomaly) -> Result<Self, Invalid> {
        let config = config(anomaly);
        Watch::new(config.clone())
            .map_err(|e| Invalid { pointer: "/anomaly/check/model".to_owned(), reason: e.to_string() })?;
        let most = match &config.check {
            Check::Detector { model } if !model.starts_with("seasonal_band") => MAX_HEAVY_SERIES,
            _ => MAX_SERIES,
        };
        Ok(Self {
            config,
            most,
            series: HashMap::new(),
            open: BTreeSet::new(),
            looked: i64::MIN,
            every: i64::from(anomaly.tick_seconds) * SECOND,
            ticked: i64::MIN,
        })
    }

    /// What is known, by key.
    pub fn known(&self) -> Known<'_> {
        let mut all = Vec::with_capacity(self.series.len());
        for (key, series) in &self.series {
            all.push((key.clone(), series.recorded, Cow::Borrowed(series.watch.state())));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Known { looked: self.looked, ticked: self.ticked, series: all }
    }

    /// Goes on with what was known when the rule said the same.
    pub fn resume(anomaly: &Anomaly, known: Known<'_>) -> Result<Self, Invalid> {
        let mut watched = Self::new(anomaly)?;
        (watched.looked, watched.ticked) = (known.looked, known.ticked);
        for (key, recorded, state) in known.series {
            let watch = Watch::resume(watched.config.clone(), state.into_owned());
            if watch.open().is_some() {
                watched.open.insert(key.clone());
            }
            watched.series.insert(key, Series { watch, recorded });
        }
        Ok(watched)
    }

    /// Takes in a fact that matches.
    pub fn observe(&mut self, rule: &Compiled, body: &Value, fact: Place) -> Result<Vec<Told>, LeftOut> {
        let Place { position, at, recorded } = fact;
        let key = rule.key(body).ok_or(LeftOut::NoKey)?;
        if key.len() > MAX_KEY_BYTES {
            return Err(LeftOut::LongKey);
        }
        let value = rule.number(body).ok_or(LeftOut::NoNumber)?;
        let mut told = self.silent(&key, at);
        let key: Arc<str> = key.into();
        if !self.series.contains_key(&key) {
            // It was made before, by the same words.
            let (true, Ok(watch)) = (self.series.len() < self.most, Watch::new(self.config.clone())) else {
                return if told.is_empty() { Err(LeftOut::TooManySeries) } else { Ok(told) };
            };
            self.series.insert(key.clone(), Series { watch, recorded });
        }
        let silence = matches!(self.config.check, Check::Silence { .. });
        let changes = match self.series.get_mut(&key) {
            Some(Series { watch, recorded: newest }) => {
                // Whatever comes breaks a silence, behind another or not.
                if silence || watch.newest().is_none_or(|before| at >= before) {
                    *newest = recorded;
                }
                watch.sample(Sample { at, value, position })
            }
            None => Vec::new(),
        };
        if told.is_empty() && matches!(changes[..], [Change::TooLate { .. }]) {
            return Err(LeftOut::TooLate);
        }
        self.tell(&key, changes, &mut told);
        Ok(told)
    }

    /// Takes in that time has passed, if the rule asks for that.
    pub fn tick(&mut self, fact: Place) -> Vec<Told> {
        let mut told = Vec::new();
        if self.every == 0 || fact.recorded.saturating_sub(self.ticked) < self.every {
            return told;
        }
        self.ticked = fact.recorded;
        // A map has no order of its own.
        let mut keys: Vec<Arc<str>> = self.series.keys().cloned().collect();
        keys.sort_unstable();
        for key in keys {
            let Some(series) = self.series.get_mut(&key) else { continue };
            let passed = fact.recorded.saturating_sub(series.recorded);
            let Some(newest) = series.watch.newest().filter(|_| passed > 0) else { continue };
            if passed <= MAX_SILENCE_SECONDS * SECOND {
                let changes = series.watch.tick(newest.saturating_add(passed), fact.position);
                self.tell(&key, changes, &mut told);
            }
        }
        told
    }

    /// Closes what is open: nobody watches any more.
    pub fn stop(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for key in std::mem::take(&mut self.open) {
            let changes = self.series.get_mut(&key).map(|series| series.watch.stop()).unwrap_or_default();
            self.tell(&key, changes, &mut told);
        }
        told
    }

    /// Keeps the points of the series of this key as they are judged.
    pub fn keep_points(&mut self, key: &str) {
        if let Ok(mut watch) = Watch::new(self.config.clone()) {
            watch.keep_points();
            self.series.entry(key.into()).or_insert(Series { watch, recorded: 0 });
        }
    }

    /// The points of that series since the last time.
    pub fn take_points(&mut self, key: &str) -> Vec<Point> {
        self.series.get_mut(key).map(|series| series.watch.take_points()).unwrap_or_default()
    }

    /// The windows of the other series that are over by now.
    fn silent(&mut self, but: &str, at: i64) -> Vec<Told> {
        let mut told = Vec::new();
        let every = i64::from(self.config.cooldown_seconds.max(1)) * SECOND;
        if at.saturating_sub(self.looked) < every {
            return told;
        }
        self.looked = at;
        let over = at.saturating_sub(i64::from(self.config.lateness_seconds) * SECOND);
        let others: Vec<Arc<str>> = self.open.iter().filter(|key| &***key != but).cloned().collect();
        for key in others {
            let changes = self.series.get_mut(&key).map(|s| s.watch.silent(over)).unwrap_or_default();
            self.tell(&key, changes, &mut told);
        }
        told
    }

    fn tell(&mut self, key: &Arc<str>, changes: Vec<Change>, told: &mut Vec<Told>) {
        if changes.is_empty() {
            return;
        }
        for change in changes {
            let (change, window) = match change {
                Change::Opened(window) => (window::Change::Opened, window),
                Change::Extended(window) => (window::Change::Extended, window),
                Change::Closed(window) => (window::Change::Closed, window),
                Change::Reopened(window) => (window::Change::Reopened, window),
                Change::TooLate { .. } => continue,
            };
            told.push(Told { key: key.clone(), change, window });
        }
        if self.series.get(key).is_some_and(|series| series.watch.open().is_some()) {
            self.open.insert(key.clone());
        } else {
            self.open.remove(key);
        }
    }
}

impl Told {
    /// The fact that is made of it; it acts and mutes nothing yet.
    pub fn detected(&self, rule: &str, rule_version: u32, app: &str, signal: u64) -> Detected {
        let w = &self.window;
        Detected {
            change: self.change,
            reason: (self.change == window::Change::Closed).then_some(Reason::Ordinary),
            window: window::window_id(w.opened, rule, rule_version, &self.key, w.number),
            rule: rule.to_owned(),
            rule_version,
            key: (!self.key.is_empty()).then(|| self.key.to_string()),
            app: app.to_owned(),
            start: instant(w.start),
            end: instant(w.end),
            peak: observed(&w.peak),
            score: w.score,
            severity: match w.severity {
                Severity::Low => window::Severity::Low,
                Severity::Medium => window::Severity::Medium,
                Severity::High => window::Severity::High,
            },
            expected: w.band.map(expected),
            observed: w.observed.iter().map(observed).collect(),
            points: w.points,
            signal,
            acts: false,
            subjects: Vec::new(),
            muted: false,
        }
    }
}

fn observed(point: &Observed) -> window::Observed {
    window::Observed { at: instant(point.at), value: point.value, signal: point.position }
}

/// A band as facts have it.
pub fn expected(band: Band) -> window::Expected {
    window::Expected::new(band.expected, band.lower, band.upper)
}

/// An instant past what can be written, such as the start of the first step
/// there is, is the last one that can.
pub fn instant(at: i64) -> Timestamp {
    let least = Timestamp::MIN.as_microsecond();
    let most = Timestamp::MAX.as_microsecond();
    Timestamp::from_microsecond(at.clamp(least, most)).unwrap_or_default()
}

/// A fact as rules over series are asked of it: a signal as it is kept, a tap
/// without what is personal of it.
pub fn body(event: &domain::RecordedEvent) -> Result<Value, DecodeError> {
    let text = domain::registry::payload(event)?;
    let mut body: Value = serde_json::from_str(&text).map_err(|e| DecodeError::Payload {
        event_type: event.event_type.to_string(),
        reason: e.to_string(),
    })?;
    if *event.event_type == *tap::TAPPED
        && let Some(body) = body.as_object_mut()
    {
        tap::PERSONAL.fields.iter().for_each(|field| drop(body.remove(*field)));
    }
    Ok(body)
}

/// What a rule says of its series, as the watch wants it.
fn config(anomaly: &Anomaly) -> Config {
    Config {
        check: match &anomaly.check {
            rule::Check::Threshold { min, max } => Check::Threshold { min: *min, max: *max },
            rule::Check::Rate { max_per_minute } => Check::Rate { max_per_minute: *max_per_minute },
            rule::Check::Count { window_seconds, max } => {
                Check::Count { window_seconds: *window_seconds, max: *max }
            }
            rule::Check::Silence { seconds } => Check::Silence { seconds: *seconds },
            rule::Check::Detector { model } => Check::Detector { model: model.clone() },
        },
        step_seconds: anomaly.step_seconds,
        together: match anomaly.series {
            rule::Series::Count | rule::Series::Taps => Together::Count,
            rule::Series::Value { .. } => Together::Mean,
        },
        min_samples: anomaly.min_samples,
        direction: match anomaly.direction {
            rule::Direction::Both => Direction::Both,
            rule::Direction::Above => Direction::Above,
            rule::Direction::Below => Direction::Below,
        },
        sensitivity: anomaly.sensitivity,
        floor: anomaly.floor,
        for_seconds: anomaly.for_seconds,
        cooldown_seconds: anomaly.cooldown_seconds,
        missing: match anomaly.missing {
            rule::Missing::Skip => Missing::Skip,
            rule::Missing::Zero => Missing::Zero,
            rule::Missing::Last => Missing::Last,
        },
        seasonality: match anomaly.seasonality {
            rule::Season::None => Seasonality::None,
            rule::Season::Hourly => Seasonality::Hourly,
            rule::Season::Daily => Seasonality::Daily,
            rule::Season::Weekly => Seasonality::Weekly,
        },
        lateness_seconds: anomaly.lateness_seconds,
    }
}
