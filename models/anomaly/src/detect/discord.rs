//! How unlike anything before it the end of a series is: the Euclidean
//! distance of its last points to the nearest stretch of the same length in
//! the past (the left discord of a matrix profile).

use serde::{Deserialize, Serialize};

use super::{Range, bounded};

/// How many points back a stretch is compared with.
const HISTORY: usize = 4_000;
/// How many lags are summed afresh at each point. Running sums keep a trace
/// of every large value that has left them.
const AFRESH: usize = 80;
/// Distances that are small beside the range of the series count less; at
/// this share of it by half.
const SMALL: f64 = 0.01;

/// Distances of the last `length` points for each of several lengths.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Nearest {
    /// The last values, newest last; between one and two histories of them
    values: Vec<f64>,
    seen: usize,
    scales: Vec<Scale>,
    afresh: usize,
    range: Option<Range>,
    known: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scale {
    length: usize,
    /// Sum of squared differences to the stretch that many points earlier; as
    /// many as there are
    sums: Vec<f64>,
}

impl Nearest {
    /// For stretches of these lengths; `range` if the whole series is known.
    pub fn new(lengths: &[usize], range: Option<Range>) -> Self {
        let scale = |length: &usize| Scale { length: *length, sums: Vec::new() };
        Self {
            values: Vec::new(),
            seen: 0,
            scales: lengths.iter().map(scale).collect(),
            afresh: 1,
            range,
            known: range.is_some(),
        }
    }

    /// Takes a point and writes the distance for each length, in the unit of
    /// the values, times a share that says how large it is beside the range.
    /// 0 while there is too little history.
    pub fn push(&mut self, value: f64, out: &mut Vec<(f64, f64)>) {
        let value = bounded(value);
        self.remember(value);
        let width = self.range.map_or(0.0, Range::width);
        let last = self.values.len() - 1;
        let lags = last.min(HISTORY);
        out.clear();
        for scale in &mut self.scales {
            scale.slide(&self.values, lags);
        }
        self.sum_afresh(lags);
        for scale in &self.scales {
            let distance = scale.nearest(self.seen - 1, lags);
            let small = SMALL * width;
            out.push((distance, if distance > 0.0 { distance / (distance + small) } else { 0.0 }));
        }
    }

    fn remember(&mut self, value: f64) {
        let longest = self.scales.iter().map(|s| s.length).max().unwrap_or(1);
        if self.values.len() > 2 * (HISTORY + longest) {
            let surplus = self.values.len() - (HISTORY + longest + 1);
            self.values.drain(..surplus);
        }
        self.values.push(value);
        self.seen += 1;
        if !self.known {
            let range = self.range.unwrap_or(Range { min: value, max: value });
            self.range = Some(Range { min: range.min.min(value), max: range.max.max(value) });
        }
    }

    fn sum_afresh(&mut self, lags: usize) {
        for _ in 0..AFRESH.min(lags) {
            if self.afresh > lags {
                self.afresh = 1;
            }
            for scale in &mut self.scales {
                scale.sums[self.afresh] = exact(&self.values, scale.length, self.afresh);
            }
            self.afresh += 1;
        }
    }
}

fn exact(values: &[f64], length: usize, lag: usize) -> f64 {
    let end = values.len();
    let terms = length.min(end - lag);
    let (now, then) = (&values[end - terms..], &values[end - lag - terms..end - lag]);
    now.iter().zip(then).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Of values that are numbers; eight at a time, which the compiler does at once.
fn least(values: &[f64]) -> f64 {
    let less = |a: f64, b: f64| if b < a { b } else { a };
    let mut lanes = [f64::INFINITY; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = less(*lane, *value);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(f64::INFINITY, less)
}

impl Scale {
    /// Adds the newest pair of each lag and takes away the one that leaves.
    fn slide(&mut self, values: &[f64], lags: usize) {
        self.sums.resize(lags + 1, 0.0);
        let last = values.len() - 1;
        let newest = values[last];
        let earlier = values[last - lags..last].iter().rev();
        for (sum, then) in self.sums[1..=lags].iter_mut().zip(earlier) {
            *sum += (newest - then) * (newest - then);
        }
        let Some(left) = last.checked_sub(self.length) else { return };
        let leaving = values[left];
        let lags = lags.min(left);
        let earlier = values[left - lags..left].iter().rev();
        for (sum, then) in self.sums[1..=lags].iter_mut().zip(earlier) {
            *sum = (*sum - (leaving - then) * (leaving - then)).max(0.0);
        }
    }

    fn nearest(&self, index: usize, lags: usize) -> f64 {
        let nearest = self.length.max(10);
        // The stretch that far back has to be whole.
        let farthest = lags.min((index + 1).saturating_sub(self.length));
        if index < 2 * self.length + nearest || farthest < nearest {
            return 0.0;
        }
        (least(&self.sums[nearest..=farthest]) / self.length as f64).sqrt()
    }
}
