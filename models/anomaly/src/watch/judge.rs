//! Whether a point is unusual, by each kind of check.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Check, Config, SECOND, Sample, Unwatchable};
use crate::detect::seasonal::{self, Settings};
use crate::detect::{self, Band, Detector, ensemble, gaussian};

/// Most points of a sliding window that are remembered; beyond them the oldest
/// are forgotten and the count stays where it is.
const REMEMBERED: usize = 65_536;
/// Points that tell which side of the ordinary a value without a band is on.
const RECENT: usize = 24;

/// What is said about a point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub unusual: bool,
    /// Larger than what is expected
    pub above: bool,
    pub score: f64,
    /// 0 just unusual, 1 as unusual as can be
    pub excess: f64,
    pub band: Option<Band>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Judge {
    kind: Kind,
    recent: VecDeque<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Kind {
    Limits { min: f64, max: f64 },
    Sliding { window: i64, max: u32, instants: VecDeque<i64> },
    Detector { detector: detect::Any, from: f64 },
    Silence { seconds: u32, last: Option<i64> },
}

impl Judge {
    pub fn new(config: &Config) -> Result<Self, Unwatchable> {
        let sliding =
            |seconds: i64, max| Kind::Sliding { window: seconds * SECOND, max, instants: VecDeque::new() };
        let kind = match &config.check {
            Check::Threshold { min, max } => {
                Kind::Limits { min: min.unwrap_or(f64::NEG_INFINITY), max: max.unwrap_or(f64::INFINITY) }
            }
            Check::Rate { max_per_minute } => sliding(60, *max_per_minute),
            Check::Count { window_seconds, max } => sliding(i64::from(*window_seconds), *max),
            Check::Silence { seconds } => Kind::Silence { seconds: *seconds, last: None },
            Check::Detector { model } => detector(model, config)?,
        };
        Ok(Self { kind, recent: VecDeque::new() })
    }

    /// The next point in order: judged, then learnt.
    pub fn next(&mut self, sample: &Sample) -> Judged {
        let expected = self.recent.iter().sum::<f64>() / self.recent.len().max(1) as f64;
        self.recent.push_back(sample.value);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        match &mut self.kind {
            Kind::Limits { min, max } => limits(sample.value, *min, *max),
            Kind::Sliding { window, max, instants } => {
                instants.push_back(sample.at);
                while instants.front().is_some_and(|first| sample.at.saturating_sub(*first) >= *window) {
                    instants.pop_front();
                }
                if instants.len() > REMEMBERED {
                    instants.pop_front();
                }
                counted(instants.len(), *max)
            }
            Kind::Detector { detector, from } => {
                said(detector.push(sample.at, sample.value), sample.value, expected, *from)
            }
            Kind::Silence { seconds, last } => {
                let gap = last.map_or(0, |last| sample.at.saturating_sub(last));
                *last = Some(sample.at);
                silent(gap, *seconds)
            }
        }
    }

    /// How long nothing has come at this instant, in seconds, and whether that
    /// is unusual. `None` unless silence is what is looked for.
    pub fn nothing(&self, now: i64) -> Option<(f64, Judged)> {
        let Kind::Silence { seconds, last: Some(last) } = &self.kind else { return None };
        let gap = now.saturating_sub(*last);
        Some((gap as f64 / SECOND as f64, silent(gap, *seconds)))
    }

    /// A point that came late.
    pub fn late(&mut self, sample: &Sample) -> Judged {
        let expected = self.recent.iter().sum::<f64>() / self.recent.len().max(1) as f64;
        match &mut self.kind {
            Kind::Limits { min, max } => limits(sample.value, *min, *max),
            Kind::Sliding { window, max, instants } => {
                let place = instants.partition_point(|at| *at <= sample.at);
                instants.insert(place, sample.at);
                let until = sample.at.saturating_add(*window);
                counted(instants.range(place..).take_while(|at| **at < until).count(), *max)
            }
            Kind::Detector { detector, from } => {
                said(detector.judge(sample.at, sample.value), sample.value, expected, *from)
            }
            // Something came, though late.
            Kind::Silence { seconds, .. } => silent(0, *seconds),
        }
    }
}

fn detector(model: &str, config: &Config) -> Result<Kind, Unwatchable> {
    let unknown = || Unwatchable::Detector(model.to_owned());
    let name = *detect::NAMES
        .iter()
        .find(|n| **n == model || n.split('@').next() == Some(model))
        .ok_or_else(unknown)?;
    let once = matches!(name, ensemble::NAME | ensemble::DISCORD | ensemble::CONTEXT);
    if once && config.for_seconds > 0 {
        return Err(Unwatchable::Lasting(name.to_owned()));
    }
    let settings = Settings { seasonality: config.seasonality, ..Settings::default() };
    let detector = detect::Any::new(name, settings).ok_or_else(unknown)?;
    // The score from which on each is worth telling of, at half sensitivity.
    let usual = match name {
        seasonal::NAME => 0.5,
        gaussian::NAME => 0.999,
        ensemble::CONTEXT => 0.7,
        _ => 0.39,
    };
    let s = config.sensitivity.clamp(0.0, 1.0);
    let from = if s <= 0.5 { usual + (1.0 - usual) * (1.0 - 2.0 * s) } else { usual * (2.0 - 2.0 * s) };
    Ok(Kind::Detector { detector, from: from.max(1e-6) })
}

fn limits(value: f64, min: f64, max: f64) -> Judged {
    let beyond = (value - max).max(min - value);
    let scale =
        [max - min, max.abs(), min.abs()].into_iter().find(|s| s.is_finite() && *s > 0.0).unwrap_or(1.0);
    let score = if beyond > 0.0 { beyond / (beyond + scale) } else { 0.0 };
    let expected = if min.is_finite() && max.is_finite() {
        min + (max - min) / 2.0
    } else {
        min.max(-f64::MAX).min(max)
    };
    let band = Band { expected, lower: min.max(-f64::MAX), upper: max.min(f64::MAX) };
    Judged { unusual: beyond > 0.0, above: value > max, score, excess: score, band: Some(band) }
}

fn counted(count: usize, max: u32) -> Judged {
    let over = count as f64 - f64::from(max);
    let score = if over > 0.0 { over / (over + f64::from(max.max(1))) } else { 0.0 };
    let band = Band { expected: f64::from(max) / 2.0, lower: 0.0, upper: f64::from(max) };
    Judged { unusual: over > 0.0, above: true, score, excess: score, band: Some(band) }
}

fn silent(gap: i64, seconds: u32) -> Judged {
    let (gap, most) = (gap as f64 / SECOND as f64, f64::from(seconds));
    let over = gap - most;
    let score = if over > 0.0 { over / (over + most.max(1.0)) } else { 0.0 };
    let band = Band { expected: 0.0, lower: 0.0, upper: most };
    Judged { unusual: over > 0.0, above: true, score, excess: score, band: Some(band) }
}

fn said(verdict: detect::Verdict, value: f64, expected: f64, from: f64) -> Judged {
    let above = value > verdict.band.map_or(expected, |band| band.expected);
    let excess = if from < 1.0 { ((verdict.score - from) / (1.0 - from)).clamp(0.0, 1.0) } else { 0.0 };
    Judged { unusual: verdict.score >= from, above, score: verdict.score, excess, band: verdict.band }
}
