//! The window that is open, and those that a late point may reopen.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::judge::Judged;
use super::{Change, Sample};
use crate::detect::Band;

/// Points of a window that are kept; of a longer one the first.
const KEPT: usize = 32;
/// Closed windows that are remembered.
const REMEMBERED: usize = 16;

/// How bad it is: how far beyond what is just unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The lowest third
    Low,
    /// The middle third
    Medium,
    /// The highest third
    High,
}

/// One unusual point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Microseconds since 1970 UTC
    pub at: i64,
    /// What was observed
    pub value: f64,
    /// Position in the log of the fact that it is from
    pub position: u64,
}

/// A stretch in which something was unusual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Counts the windows of a series, from 1
    pub number: u64,
    /// Position of the fact that opened it
    pub opened: u64,
    /// How many changes have been told of it, with this one
    pub changes: u64,
    /// Instant of the first unusual point
    pub start: i64,
    /// Instant of the last
    pub end: i64,
    /// The most unusual
    pub peak: Observed,
    /// Its score
    pub score: f64,
    /// How bad that is
    pub severity: Severity,
    /// What was expected at the peak, where that is known
    pub band: Option<Band>,
    /// The first unusual points
    pub observed: Vec<Observed>,
    /// How many there are
    pub points: u32,
}

impl Window {
    fn new(sample: Sample, judged: &Judged) -> Self {
        let peak = Observed { at: sample.at, value: sample.value, position: sample.position };
        Self {
            number: 0,
            opened: 0,
            changes: 0,
            start: sample.at,
            end: sample.at,
            peak,
            score: judged.score,
            severity: severity(judged.excess),
            band: judged.band,
            observed: vec![peak],
            points: 1,
        }
    }

    /// Whether this raised the peak.
    fn add(&mut self, sample: Sample, judged: &Judged) -> bool {
        let observed = Observed { at: sample.at, value: sample.value, position: sample.position };
        self.start = self.start.min(sample.at);
        self.end = self.end.max(sample.at);
        self.points = self.points.saturating_add(1);
        if self.observed.len() < KEPT {
            self.observed.push(observed);
        }
        let higher = judged.score > self.score;
        if higher {
            self.peak = observed;
            self.score = judged.score;
            self.severity = self.severity.max(severity(judged.excess));
            self.band = judged.band;
        }
        higher
    }

    /// The same goes on: no new point of it.
    fn go_on(&mut self, sample: Sample, judged: &Judged) {
        self.end = self.end.max(sample.at);
        if judged.score > self.score {
            self.peak = Observed { at: sample.at, value: sample.value, position: sample.position };
            self.score = judged.score;
            self.severity = self.severity.max(severity(judged.excess));
            self.band = judged.band;
        }
    }

    fn near(&self, at: i64, within: i64) -> bool {
        at >= self.start.saturating_sub(within) && at <= self.end.saturating_add(within)
    }
}

fn severity(excess: f64) -> Severity {
    match excess {
        e if e < 1.0 / 3.0 => Severity::Low,
        e if e < 2.0 / 3.0 => Severity::Medium,
        _ => Severity::High,
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Windows {
    lasting: i64,
    cooldown: i64,
    /// Unusual, but not for long enough
    pending: Option<Window>,
    open: Option<Window>,
    told: i64,
    closed: VecDeque<Window>,
    /// Windows opened so far
    count: u64,
    /// Position of the fact that is looked at
    pub position: u64,
}

impl Windows {
    pub fn new(lasting: i64, cooldown: i64) -> Self {
        Self {
            lasting,
            cooldown,
            pending: None,
            open: None,
            told: 0,
            closed: VecDeque::new(),
            count: 0,
            position: 0,
        }
    }

    pub fn open(&self) -> Option<&Window> {
        self.open.as_ref()
    }

    /// An unusual point, in order.
    pub fn unusual(&mut self, sample: Sample, judged: &Judged, changes: &mut Vec<Change>) {
        self.close_before(sample.at, changes);
        if let Some(open) = &mut self.open {
            let higher = open.add(sample, judged);
            if higher || sample.at.saturating_sub(self.told) >= self.cooldown.max(1) {
                self.told = sample.at;
                extend(open, changes);
            }
            return;
        }
        let mut window = match self.pending.take() {
            Some(mut pending) => {
                pending.add(sample, judged);
                pending
            }
            None => Window::new(sample, judged),
        };
        if window.end.saturating_sub(window.start) < self.lasting {
            self.pending = Some(window);
            return;
        }
        self.told = sample.at;
        self.begin(&mut window, changes);
        self.open = Some(window);
    }

    /// What is unusual has lasted from the last point until this instant. It is
    /// told when it begins, and then each time that it lasts twice as long, or
    /// at once if `told`.
    pub fn lasts(&mut self, sample: Sample, judged: &Judged, told: bool, changes: &mut Vec<Change>) {
        let Some(open) = &mut self.open else { return self.unusual(sample, judged, changes) };
        open.go_on(sample, judged);
        let since = self.told.saturating_sub(open.start).max(self.cooldown).max(1);
        if told || sample.at.saturating_sub(open.start) >= since.saturating_mul(2) {
            self.told = sample.at;
            extend(open, changes);
        }
    }

    /// An ordinary point, or nothing, at this instant.
    pub fn ordinary(&mut self, at: i64, changes: &mut Vec<Change>) {
        self.pending = None;
        self.close_before(at, changes);
    }

    /// An unusual point that came late.
    pub fn late(&mut self, sample: Sample, judged: &Judged, changes: &mut Vec<Change>) {
        if let Some(open) = self.open.as_mut().filter(|w| w.near(sample.at, self.cooldown)) {
            open.add(sample, judged);
            extend(open, changes);
        } else if let Some(place) = self.closed.iter().position(|w| w.near(sample.at, self.cooldown)) {
            let window = &mut self.closed[place];
            window.add(sample, judged);
            window.changes += 1;
            changes.push(Change::Reopened(window.clone()));
            // It stays remembered as over: what is open is in order.
            window.changes += 1;
            changes.push(Change::Closed(window.clone()));
        } else if self.lasting == 0 {
            let mut window = Window::new(sample, judged);
            self.begin(&mut window, changes);
            self.end(window, changes);
        }
    }

    /// Closes the open window if it is over at this instant.
    pub fn close_before(&mut self, at: i64, changes: &mut Vec<Change>) {
        if let Some(window) = self.open.take_if(|w| at.saturating_sub(w.end) > self.cooldown) {
            self.end(window, changes);
        }
    }

    /// Closes the open window, over or not.
    pub fn stop(&mut self, changes: &mut Vec<Change>) {
        if let Some(window) = self.open.take() {
            self.end(window, changes);
        }
    }

    fn begin(&mut self, window: &mut Window, changes: &mut Vec<Change>) {
        self.count += 1;
        (window.number, window.opened, window.changes) = (self.count, self.position, 1);
        changes.push(Change::Opened(window.clone()));
    }

    fn end(&mut self, mut window: Window, changes: &mut Vec<Change>) {
        window.changes += 1;
        changes.push(Change::Closed(window.clone()));
        self.remember(window);
    }

    fn remember(&mut self, window: Window) {
        self.closed.push_front(window);
        self.closed.truncate(REMEMBERED);
    }
}

/// Of extensions by one point only the last is told.
fn extend(window: &mut Window, changes: &mut Vec<Change>) {
    match changes.last_mut() {
        Some(Change::Extended(told)) if told.number == window.number => *told = window.clone(),
        _ => {
            window.changes += 1;
            changes.push(Change::Extended(window.clone()));
        }
    }
}
