//! From points to windows: when something unusual begins, how far it goes,
//! and when it is over.
//!
//! **Time** is event time; nothing here reads a clock. [`Watch::tick`] says
//! how late it is for a series that has gone silent.
//!
//! **Steps.** With a step, points are put together: a step is closed once a
//! point is newer than its end by more than the lateness, and is then one
//! point at its start. What a step without points means is the policy for
//! what is missing; at most 10,000 steps are filled at once. Rates and counts
//! are of what came: for them nothing is filled.
//!
//! **Opening, extending, closing.** A window opens when points have been
//! unusual for as long as asked, with the first of them as its start. It is
//! extended by every unusual point that is at most the cooldown away from its
//! end, and is closed by the first point beyond that, or by the first tick after
//! which no other can come in time. Of
//! extensions those are told that raise the peak, and one for each cooldown; of
//! those by the steps that one point closes, the last. Silence is told when it
//! begins, each time that it has become twice as long, and when it ends.
//!
//! **Late points**, without steps: one that is older than the newest by more
//! than the lateness is too late, and only counted. Any other is judged by
//! what is known now and teaches nothing. If it is unusual and within the
//! cooldown of a window, it extends that window, which is reopened if it was
//! closed; else it is a window of its own.

mod judge;
mod steps;
mod windows;

use serde::{Deserialize, Serialize};

use crate::detect::Band;
use crate::detect::seasonal::Seasonality;
use judge::Judge;
use steps::Steps;
use windows::Windows;

pub use windows::{Observed, Severity, Window};

const SECOND: i64 = 1_000_000;

/// What makes a point unusual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Check {
    /// A value outside two limits, of which one may be left out
    Threshold {
        /// Lower limit, still ordinary
        min: Option<f64>,
        /// Upper limit, still ordinary
        max: Option<f64>,
    },
    /// More points than this in the minute that ends with one
    Rate {
        /// Still ordinary
        max_per_minute: u32,
    },
    /// More points than this in the seconds that end with one
    Count {
        /// Length of the sliding window
        window_seconds: u32,
        /// Still ordinary
        max: u32,
    },
    /// Nothing for longer than this; a point's value is how long nothing came
    /// before it
    Silence {
        /// Still ordinary
        seconds: u32,
    },
    /// What a detector says
    Detector {
        /// Name, with or without a version
        model: String,
    },
}

/// Which side of the expected is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Either
    #[default]
    Both,
    /// Larger than expected
    Above,
    /// Smaller than expected
    Below,
}

/// What a step without any point means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Nothing is known of it
    #[default]
    Skip,
    /// The value is 0
    Zero,
    /// The value is that of the step before
    Last,
}

/// What one step comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Together {
    /// The mean of the values
    #[default]
    Mean,
    /// How many points there are
    Count,
}

/// How a series is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// What makes a point unusual
    pub check: Check,
    /// Length of a step; 0 takes every point for itself
    pub step_seconds: u32,
    /// What a step comes to
    pub together: Together,
    /// Points before anything is unusual
    pub min_samples: u32,
    /// Which side matters
    pub direction: Direction,
    /// For detectors: 0 only the most unusual, 0.5 as measured, 1 everything
    pub sensitivity: f64,
    /// Values nearer to 0 than this are never unusual
    pub floor: f64,
    /// How long points have to be unusual
    pub for_seconds: u32,
    /// How long they have to be ordinary
    pub cooldown_seconds: u32,
    /// What a step without points means
    pub missing: Missing,
    /// For detectors with a season
    pub seasonality: Seasonality,
    /// How far behind the newest a point may come
    pub lateness_seconds: u32,
}

impl Config {
    /// Everything else as usual.
    pub fn new(check: Check) -> Self {
        Self {
            check,
            step_seconds: 0,
            together: Together::Mean,
            min_samples: 0,
            direction: Direction::Both,
            sensitivity: 0.5,
            floor: 0.0,
            for_seconds: 0,
            cooldown_seconds: 300,
            missing: Missing::Skip,
            seasonality: Seasonality::Daily,
            lateness_seconds: 0,
        }
    }
}

/// Why a series can't be watched like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwatchable {
    /// There is no such detector
    #[error("there is no detector {0}")]
    Detector(String),
    /// Detectors that tell of an event once are never unusual for long
    #[error("{0} tells of an event once; for_seconds must be 0")]
    Lasting(String),
}

/// A point of a series, with the position of the fact that it is from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Microseconds since 1970 UTC
    pub at: i64,
    /// Its value
    pub value: f64,
    /// Position in the log
    pub position: u64,
}

/// A point, or a step, as it was judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Microseconds since 1970 UTC
    pub at: i64,
    /// Its value
    pub value: f64,
    /// Position of the fact that it is from
    pub position: u64,
    /// 0 ordinary to 1
    pub score: f64,
    /// Whether it belongs into a window
    pub unusual: bool,
    /// What was expected, where that is known
    pub band: Option<Band>,
}

/// What has become of a window.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new one
    Opened(Window),
    /// It goes on
    Extended(Window),
    /// It is over
    Closed(Window),
    /// It was over, and a late point belongs to it
    Reopened(Window),
    /// A point came too late to count
    TooLate {
        /// How far behind the newest, in microseconds
        behind: i64,
    },
}

/// One series, watched. Memory is bounded by the check's own.
pub struct Watch {
    config: Config,
    state: State,
    /// Kept on request only
    points: Option<Vec<Point>>,
}

/// All that is known of a series. It can be kept, and gone on with under the
/// configuration that it was made by ([`Watch::resume`]).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    judge: Judge,
    steps: Option<Steps>,
    windows: Windows,
    newest: Option<i64>,
    samples: u32,
}

/// Changes when [`State`] or what is done with it does: what was kept by another
/// number is no state.
pub const STATE_VERSION: u32 = 2;

impl Watch {
    /// Begins with nothing known.
    pub fn new(config: Config) -> Result<Self, Unwatchable> {
        let judge = Judge::new(&config)?;
        let missing = match config.check {
            // What did not come can't be one too many.
            Check::Rate { .. } | Check::Count { .. } | Check::Silence { .. } => Missing::Skip,
            Check::Threshold { .. } | Check::Detector { .. } => config.missing,
        };
        let seconds = |s: u32| i64::from(s) * SECOND;
        let steps = (config.step_seconds > 0).then(|| {
            Steps::new(
                seconds(config.step_seconds),
                seconds(config.lateness_seconds),
                config.together,
                missing,
            )
        });
        let windows = Windows::new(seconds(config.for_seconds), seconds(config.cooldown_seconds));
        Ok(Self { config, state: State { judge, steps, windows, newest: None, samples: 0 }, points: None })
    }

    /// Goes on with what was known under this configuration.
    pub fn resume(config: Config, state: State) -> Self {
        Self { config, state, points: None }
    }

    /// What is known.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes the next point to arrive, whatever its instant.
    pub fn sample(&mut self, mut sample: Sample) -> Vec<Change> {
        let mut changes = Vec::new();
        if !sample.value.is_finite() {
            return changes;
        }
        if let Check::Silence { .. } = self.config.check {
            sample.value = self.state.judge.nothing(sample.at).map_or(0.0, |(gap, _)| gap.max(0.0));
        }
        self.state.windows.position = sample.position;
        if let Some(steps) = &mut self.state.steps {
            match steps.add(sample) {
                Ok(closed) => closed.into_iter().for_each(|step| self.in_order(step, &mut changes)),
                Err(behind) => changes.push(Change::TooLate { behind }),
            }
            return changes;
        }
        match self.state.newest.map_or(0, |newest| newest.saturating_sub(sample.at)) {
            0 | i64::MIN..0 => self.in_order(sample, &mut changes),
            behind if behind > i64::from(self.config.lateness_seconds) * SECOND => {
                changes.push(Change::TooLate { behind });
            }
            _ => {
                let judged = self.state.judge.late(&sample);
                let unusual = self.matters(&sample, &judged);
                self.note(&sample, &judged, unusual);
                if unusual {
                    self.state.windows.late(sample, &judged, &mut changes);
                }
            }
        }
        changes
    }

    /// Says that nothing older than this will come in time, which the fact at
    /// `position` tells: closes steps and windows, and opens one where nothing
    /// is what is unusual.
    pub fn tick(&mut self, now: i64, position: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        self.state.windows.position = position;
        let closed = self.state.steps.as_mut().map(|steps| steps.until(now)).unwrap_or_default();
        closed.into_iter().for_each(|step| self.in_order(step, &mut changes));
        match self.state.judge.nothing(now).filter(|(_, judged)| judged.unusual) {
            Some((value, judged)) => {
                let sample = Sample { at: now, value, position };
                if self.matters(&sample, &judged) {
                    self.note(&sample, &judged, true);
                    self.state.windows.lasts(sample, &judged, false, &mut changes);
                }
            }
            None if matches!(self.config.check, Check::Silence { .. }) => {
                self.state.windows.ordinary(now, &mut changes);
            }
            // That time passes says nothing of points: one that is unusual
            // may come at any instant that is not over.
            None => {
                let late = i64::from(self.config.lateness_seconds) * SECOND;
                let over = self.state.steps.as_ref();
                let over = over.map_or(now.saturating_sub(late), |steps| steps.over(now));
                self.state.windows.close_before(over, &mut changes);
            }
        }
        changes
    }

    /// The instant of the newest point.
    pub fn newest(&self) -> Option<i64> {
        // Steps that were filled are no points.
        self.state.steps.as_ref().map_or(self.state.newest, Steps::newest)
    }

    /// Closes the window that is over at this instant, and no step: others
    /// have gone on, and this series may only be behind.
    pub fn silent(&mut self, now: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        if matches!(self.config.check, Check::Silence { .. }) {
            return changes;
        }
        self.state.windows.close_before(now, &mut changes);
        changes
    }

    /// Closes the open window, over or not: nobody watches any more.
    pub fn stop(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.state.windows.stop(&mut changes);
        changes
    }

    /// Keeps the points as they are judged from now on, for
    /// [`Watch::take_points`].
    pub fn keep_points(&mut self) {
        self.points.get_or_insert_default();
    }

    /// The points judged since the last time, in that order.
    pub fn take_points(&mut self) -> Vec<Point> {
        self.points.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The window that is open.
    pub fn open(&self) -> Option<&Window> {
        self.state.windows.open()
    }

    fn in_order(&mut self, sample: Sample, changes: &mut Vec<Change>) {
        self.state.newest = Some(self.state.newest.map_or(sample.at, |newest| newest.max(sample.at)));
        let judged = self.state.judge.next(&sample);
        self.state.samples = self.state.samples.saturating_add(1);
        let unusual = self.matters(&sample, &judged);
        self.note(&sample, &judged, unusual);
        if unusual && matches!(self.config.check, Check::Silence { .. }) {
            self.state.windows.lasts(sample, &judged, true, changes);
        } else if unusual {
            self.state.windows.unusual(sample, &judged, changes);
        } else {
            self.state.windows.ordinary(sample.at, changes);
        }
    }

    fn note(&mut self, sample: &Sample, judged: &judge::Judged, unusual: bool) {
        let Some(points) = &mut self.points else { return };
        let Sample { at, value, position } = *sample;
        points.push(Point { at, value, position, score: judged.score, unusual, band: judged.band });
    }

    fn matters(&self, sample: &Sample, judged: &judge::Judged) -> bool {
        let side = match self.config.direction {
            Direction::Both => true,
            Direction::Above => judged.above,
            Direction::Below => !judged.above,
        };
        judged.unusual
            && side
            && self.state.samples > self.config.min_samples
            && sample.value.abs() >= self.config.floor
    }
}
