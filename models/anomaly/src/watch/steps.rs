//! Points put together in steps of equal length.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Missing, Sample, Together};

/// Steps without points that are filled at once.
const FILLED: i64 = 10_000;
/// Steps that may be open at once; a point far ahead closes the oldest.
const OPEN: usize = 100_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Step {
    sum: f64,
    count: u32,
    position: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Steps {
    length: i64,
    lateness: i64,
    together: Together,
    missing: Missing,
    open: BTreeMap<i64, Step>,
    newest: i64,
    /// The next step to be closed, and what the last one came to
    next: Option<i64>,
    last: Option<Sample>,
}

impl Steps {
    pub fn new(length: i64, lateness: i64, together: Together, missing: Missing) -> Self {
        Self {
            length,
            lateness,
            together,
            missing,
            open: BTreeMap::new(),
            newest: i64::MIN,
            next: None,
            last: None,
        }
    }

    /// The steps that are closed by this point, or how far it is behind.
    pub fn add(&mut self, sample: Sample) -> Result<Vec<Sample>, i64> {
        let index = sample.at.div_euclid(self.length);
        if self.next.is_some_and(|next| index < next) {
            return Err(self.newest.saturating_sub(sample.at));
        }
        let step = self.open.entry(index).or_default();
        step.sum += sample.value;
        step.count = step.count.saturating_add(1);
        step.position = step.position.max(sample.position);
        self.newest = self.newest.max(sample.at);
        Ok(self.until(self.newest))
    }

    /// The instant of the newest point.
    pub fn newest(&self) -> Option<i64> {
        (self.newest > i64::MIN).then_some(self.newest)
    }

    /// The start of the first step that is not over at this instant.
    pub fn over(&self, now: i64) -> i64 {
        self.first(now).saturating_mul(self.length)
    }

    fn first(&self, now: i64) -> i64 {
        now.saturating_sub(self.lateness).div_euclid(self.length)
    }

    /// Closes every step that is over at this instant, with the lateness.
    pub fn until(&mut self, now: i64) -> Vec<Sample> {
        let over = self.first(now);
        let mut closed = Vec::new();
        while let Some((index, step)) = self.open.pop_first() {
            if index >= over && self.open.len() < OPEN {
                self.open.insert(index, step);
                break;
            }
            self.fill(index, &mut closed);
            let value = match self.together {
                Together::Mean => step.sum / f64::from(step.count),
                Together::Count => f64::from(step.count),
            };
            self.close(
                Sample { at: index.saturating_mul(self.length), value, position: step.position },
                index,
                &mut closed,
            );
        }
        if self.next.is_some_and(|next| over > next) {
            self.fill(over, &mut closed);
        }
        closed
    }

    /// The steps before this one that nothing came for.
    fn fill(&mut self, until: i64, closed: &mut Vec<Sample>) {
        let (Some(next), Some(last)) = (self.next, self.last) else { return };
        let value = match self.missing {
            Missing::Skip => {
                self.next = Some(next.max(until));
                return;
            }
            Missing::Zero => 0.0,
            Missing::Last => last.value,
        };
        for index in next.max(until.saturating_sub(FILLED))..until {
            self.close(
                Sample { at: index.saturating_mul(self.length), value, position: last.position },
                index,
                closed,
            );
        }
    }

    fn close(&mut self, sample: Sample, index: i64, closed: &mut Vec<Sample>) {
        self.next = Some(index + 1);
        self.last = Some(sample);
        closed.push(sample);
    }
}
