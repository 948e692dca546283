//! The rows that differ most.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::fields::clip;
use super::outcome::{FieldChange, RowDifference};

/// Members told of a row.
const MAX_FIELDS: usize = 50;

pub struct Top {
    limit: usize,
    heap: BinaryHeap<Ranked>,
    seen: u64,
}

/// Compares so that the least of the heap's rows is on top of it.
struct Ranked {
    size: f64,
    place: u64,
    row: RowDifference,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.size.total_cmp(&self.size).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Top {
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), seen: 0 }
    }

    pub fn push(&mut self, row: RowDifference) {
        let size = row.fields.iter().map(size).fold(0.0, f64::max);
        self.seen += 1;
        let full = self.heap.len() >= self.limit;
        if full && self.heap.peek().is_none_or(|least| least.size >= size) {
            return;
        }
        if full {
            self.heap.pop();
        }
        self.heap.push(Ranked { size, place: self.seen, row: cut(row) });
    }

    /// The largest first, and how many more there were.
    pub fn end(self) -> (Vec<RowDifference>, u64) {
        let left_out = self.seen - self.heap.len() as u64;
        (self.heap.into_sorted_vec().into_iter().map(|r| r.row).collect(), left_out)
    }
}

fn size(field: &FieldChange) -> f64 {
    field.change.difference.as_ref().and_then(|d| d.as_f64()).unwrap_or(0.0).abs()
}

fn cut(mut row: RowDifference) -> RowDifference {
    row.fields.sort_by(|a, b| size(b).total_cmp(&size(a)));
    row.fields_left_out = row.fields.len().saturating_sub(MAX_FIELDS) as u64;
    row.fields.truncate(MAX_FIELDS);
    for FieldChange { change, .. } in &mut row.fields {
        change.old = change.old.take().map(clip);
        change.new = change.new.take().map(clip);
    }
    row
}
