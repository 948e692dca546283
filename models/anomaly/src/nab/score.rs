//! What each row of a labelled series is worth.

use std::ops::RangeInclusive;

/// The weights of a profile: a detected window, a false detection, a window
/// that was missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Name in the published tables
    pub name: &'static str,
    /// Weight of the best detection of a window
    pub hit: f64,
    /// Weight of every detection outside windows
    pub false_alarm: f64,
    /// Cost of a window without a detection
    pub miss: f64,
}

/// The three profiles of the benchmark.
pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", hit: 1.0, false_alarm: 0.11, miss: 1.0 },
    Profile { name: "reward_low_FP_rate", hit: 1.0, false_alarm: 0.22, miss: 1.0 },
    Profile { name: "reward_low_FN_rate", hit: 1.0, false_alarm: 0.11, miss: 2.0 },
];

/// The scaled sigmoid: 1 far before the end of a window, 0 at it, and −1 from
/// three widths after it.
pub fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

/// How many rows at the start of a series of this length are not scored.
pub fn probation(rows: usize) -> usize {
    // 15 % in integers: 0.15 · rows in floating point may fall just below.
    (rows * 15 / 100).min(750)
}

/// Value of a detection at one row, before the profile's weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Row {
    /// Within the probation
    Unscored,
    /// In a window: which, and what share of a hit it earns
    Inside(usize, f64),
    /// Outside: the share of a false alarm, negative
    Outside(f64),
}

/// The rows of one series, ready to score any detector.
#[derive(Debug, Clone)]
pub struct Ruler {
    pub(super) rows: Vec<Row>,
    /// How many windows have at least one scored row
    pub windows: usize,
}

/// What a threshold finds in a series, counted in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Detections in windows
    pub true_positives: usize,
    /// Detections outside
    pub false_positives: usize,
    /// Rows in windows without a detection
    pub false_negatives: usize,
    /// Rows outside without one
    pub true_negatives: usize,
}

impl Ruler {
    /// For a series of `rows` rows with these windows, in order and disjoint.
    pub fn new(rows: usize, windows: &[RangeInclusive<usize>]) -> Self {
        let probation = probation(rows);
        let hit = sigmoid(-1.0);
        let mut counted = 0;
        let mut last = None;
        let mut next = windows.iter().peekable();
        let mut out = Vec::with_capacity(rows);
        for i in 0..rows {
            while next.peek().is_some_and(|w| *w.end() < i) {
                last = next.next();
            }
            let row = match next.peek() {
                _ if i < probation => Row::Unscored,
                Some(w) if w.contains(&i) => {
                    if i == probation.max(*w.start()) {
                        counted += 1;
                    }
                    let width = (w.end() - w.start() + 1) as f64;
                    Row::Inside(counted - 1, sigmoid(-((w.end() - i + 1) as f64) / width) / hit)
                }
                _ => Row::Outside(last.map_or(-1.0, |w| after(w, i))),
            };
            out.push(row);
        }
        Self { rows: out, windows: counted }
    }

    /// The raw score of a detector: `scores` has one entry for each row.
    pub fn score(&self, scores: &[f64], threshold: f64, profile: &Profile) -> f64 {
        let mut best = vec![None::<f64>; self.windows];
        let mut outside = 0.0;
        for (row, score) in self.rows.iter().zip(scores) {
            match row {
                Row::Inside(window, share) if *score >= threshold => {
                    best[*window] = Some(best[*window].map_or(*share, |b| b.max(*share)));
                }
                Row::Outside(share) if *score >= threshold => outside += share,
                _ => {}
            }
        }
        let windows: f64 = best.iter().map(|b| b.map_or(-profile.miss, |b| b * profile.hit)).sum();
        windows + outside * profile.false_alarm
    }

    /// Rows found and missed at a threshold.
    pub fn counts(&self, scores: &[f64], threshold: f64) -> Counts {
        let mut counts = Counts::default();
        for (row, score) in self.rows.iter().zip(scores) {
            let field = match (row, *score >= threshold) {
                (Row::Unscored, _) => continue,
                (Row::Inside(..), true) => &mut counts.true_positives,
                (Row::Inside(..), false) => &mut counts.false_negatives,
                (Row::Outside(_), true) => &mut counts.false_positives,
                (Row::Outside(_), false) => &mut counts.true_negatives,
            };
            *field += 1;
        }
        counts
    }
}

fn after(window: &RangeInclusive<usize>, row: usize) -> f64 {
    let width = (window.end() - window.start()) as f64;
    // A window of one row has no width to measure by: far away at once.
    if width == 0.0 { -1.0 } else { sigmoid((row - window.end()) as f64 / width) }
}
