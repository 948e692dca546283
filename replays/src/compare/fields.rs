//! What is found of each path of members of a table.

use std::collections::HashMap;

use domain::ports::rows::RowKey;
use serde_json::Value;

use super::merge::Pair;
use super::numbers::{Sum, number, relative};
use super::outcome::{Change, Example, FieldChange, FieldDifference, Kind, Total};
use super::paths::{SORT, Visit, equal, walk};

/// Paths of a table told apart; members may be named by what comes from
/// outside.
const MAX_FIELDS: usize = 1_000;
/// Stands for the paths past that.
const OTHER: &str = "(other)";
/// Longest value of an example, as JSON text.
const MAX_EXAMPLE: usize = 300;

#[derive(Default)]
struct Stats {
    changed: u64,
    /// The last row in which it differed; a list has it more than once.
    row: u64,
    number: bool,
    old: Sum,
    new: Sum,
    /// Greatest first.
    largest: Vec<(f64, Example)>,
    examples: Vec<Example>,
}

pub struct Fields {
    by_path: HashMap<String, Stats>,
    examples: usize,
    rows: u64,
}

impl Fields {
    pub fn new(examples: usize) -> Self {
        Self { by_path: HashMap::new(), examples, rows: 0 }
    }

    /// Takes a row into the totals. Returns its members that differ.
    pub fn row(
        &mut self,
        pair: &Pair,
        kind: Option<Kind>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Vec<FieldChange> {
        let Some(row) = pair.0.as_ref().or(pair.1.as_ref()).map(|r| &r.row) else { return Vec::new() };
        self.rows += 1;
        let mut visit = RowVisit { fields: self, row, kind, changes: Vec::new() };
        walk(&mut String::new(), old, new, &mut visit);
        let sorts = [&pair.0, &pair.1].map(|r| r.as_ref()?.sort.as_deref().map(Value::from));
        if kind == Some(Kind::Changed) && sorts[0] != sorts[1] {
            visit.leaf(SORT, sorts[0].as_ref(), sorts[1].as_ref());
        }
        visit.changes
    }

    fn stats(&mut self, path: &str) -> &mut Stats {
        let known = self.by_path.contains_key(path);
        let path = if known || self.by_path.len() < MAX_FIELDS { path } else { OTHER };
        // Looked up once more, so that a path known already is not copied.
        if !self.by_path.contains_key(path) {
            self.by_path.insert(path.to_owned(), Stats::default());
        }
        self.by_path.entry(path.to_owned()).or_default()
    }

    pub fn end(self) -> Vec<FieldDifference> {
        let differs = |(_, s): &(String, Stats)| s.changed > 0 || !s.old.to(s.new).is_zero();
        let mut found: Vec<_> = self.by_path.into_iter().filter(differs).collect();
        found.sort_by(|(a_path, a), (b_path, b)| {
            let (x, y) = (a.old.to(a.new).float().abs(), b.old.to(b.new).float().abs());
            y.total_cmp(&x).then(b.changed.cmp(&a.changed)).then_with(|| a_path.cmp(b_path))
        });
        found.into_iter().map(|(path, stats)| stats.end(path)).collect()
    }
}

impl Stats {
    fn changed(&mut self, row: &RowKey, number_of_row: u64, change: &Change, examples: usize) {
        if self.row != number_of_row {
            self.row = number_of_row;
            self.changed += 1;
        }
        let example = || Example {
            tenant: row.tenant.to_string(),
            key: row.key.to_string(),
            change: Change {
                old: change.old.clone().map(clip),
                new: change.new.clone().map(clip),
                ..change.clone()
            },
        };
        match &change.difference {
            Some(difference) => {
                let size = difference.as_f64().unwrap_or(0.0).abs();
                let place = self.largest.partition_point(|(other, _)| *other >= size);
                if place < examples {
                    self.largest.insert(place, (size, example()));
                    self.largest.truncate(examples);
                }
            }
            None if self.examples.len() < examples => self.examples.push(example()),
            None => {}
        }
    }

    fn end(self, field: String) -> FieldDifference {
        let difference = self.old.to(self.new);
        let total = self.number.then(|| Total {
            old: self.old.number(),
            new: self.new.number(),
            difference: difference.number(),
            relative: relative(self.old, difference),
        });
        let largest = self.largest.into_iter().map(|(_, example)| example).collect();
        FieldDifference { field, changed: self.changed, total, largest, examples: self.examples }
    }
}

struct RowVisit<'a> {
    fields: &'a mut Fields,
    row: &'a RowKey,
    kind: Option<Kind>,
    changes: Vec<FieldChange>,
}

impl Visit for RowVisit<'_> {
    fn leaf(&mut self, path: &str, old: Option<&Value>, new: Option<&Value>) {
        let (rows, examples) = (self.fields.rows, self.fields.examples);
        let numbers = [number(old), number(new)];
        let differs = self.kind.is_some() && !equal(old, new);
        if !differs && numbers == [None, None] {
            return;
        }
        let stats = self.fields.stats(path);
        for (sum, number) in [&mut stats.old, &mut stats.new].into_iter().zip(numbers) {
            if let Some(number) = number {
                sum.add(number);
                stats.number = true;
            }
        }
        if !differs {
            return;
        }
        let change = change(old, new);
        if self.kind == Some(Kind::Changed) {
            stats.changed(self.row, rows, &change, examples);
        }
        self.changes.push(FieldChange { field: path.to_owned(), change });
    }
}

fn change(old: Option<&Value>, new: Option<&Value>) -> Change {
    let mut change = Change { old: old.cloned(), new: new.cloned(), ..Change::default() };
    let absent_or_number = |v: Option<&Value>| v.is_none() || number(v).is_some();
    if absent_or_number(old) && absent_or_number(new) {
        let before = Sum::of(number(old));
        let difference = before.to(Sum::of(number(new)));
        change.difference = Some(difference.number());
        change.relative = relative(before, difference);
    }
    change
}

/// A value short enough to be shown.
pub fn clip(value: Value) -> Value {
    let text = match &value {
        Value::String(text) if text.len() > MAX_EXAMPLE => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => return value,
    };
    match text.char_indices().nth(MAX_EXAMPLE) {
        Some((end, _)) => Value::String(format!("{}…", &text[..end])),
        None => value,
    }
}
