//! The same rows as [`super::fold`], from columns: for histories of millions
//! of taps. Numbers are kept in memory by event, minute, band and visitor; rows
//! are made at the end. Bands and visitors are many, so they are folded in
//! parts, one part in each pass.

mod bands;
mod counts;
mod intern;
mod order;
mod shows;
mod taps;
#[cfg(test)]
mod tests;
mod visitors;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use domain::ports::rows::{RowKey, RowPut, TableChanges};
use domain::tap::{PREVIEWED, TAPPED};
use domain::{RecordedEvent, TenantId};
use models::taps::Classifier;

use self::bands::Bands;
use self::counts::{Counts, People};
use self::intern::{Column, MISSING, Names};
use self::shows::Show;
use self::taps::{MEMBERS, Taps};
use self::visitors::Visitors;
use super::rows::{EventSettings, Shared, key};
use super::{BANDS, EVENTS, HISTORY, MINUTES, REFERRERS, SHARED, SUMMARY, TapAnalytics, VISITORS, fold};
use crate::bulk::{Bulk, Columns, Sink, Texts, Wants};
use crate::projection::ApplyError;
use crate::working_set::put_of;

/// In microseconds.
const MINUTE: i64 = 60_000_000;
/// Rows given away at once, or fewer of so many bytes. Each time the database
/// writes the pages anew that rows of any order share.
const CHUNK: usize = 50_000;
const CHUNK_BYTES: usize = 2 << 20;
/// Taps whose bands and visitors are folded in one pass, to begin with: each
/// takes some 40 bytes in its band's history, and a few hundred if its band or
/// visitor is new.
const TAPS_A_PASS: u64 = 8_000_000;
const MAX_PASSES: u64 = 256;

static WANTS: [Wants; 2] =
    [Wants { event_type: TAPPED, members: MEMBERS }, Wants { event_type: PREVIEWED, members: MEMBERS }];

/// One of several parts of the bands and visitors.
#[derive(Debug, Clone, Copy)]
struct Part {
    number: u64,
    of: u64,
}

impl Default for Part {
    fn default() -> Self {
        Self { number: 0, of: 1 }
    }
}

impl Part {
    fn has(self, id: &str) -> bool {
        if self.of == 1 {
            return true;
        }
        let mut hasher = std::hash::DefaultHasher::new();
        id.hash(&mut hasher);
        hasher.finish() % self.of == self.number
    }

    /// Numbers for the texts that this part has; others are missing.
    fn column(self, names: &mut Names, texts: &Texts) -> Column {
        if self.of == 1 {
            return names.column(texts);
        }
        let has: Vec<bool> = texts.values().map(|text| self.has(text)).collect();
        let of_part = texts.values().zip(&has).filter(|(_, has)| **has);
        let mut numbers = names.numbers(of_part.map(|(text, _)| text)).into_iter();
        let number = |has: &bool| if *has { numbers.next().unwrap_or(MISSING) } else { MISSING };
        Column { by_code: has.iter().map(number).collect(), missing: MISSING }
    }
}

/// The fold of [`super::TapAnalytics`] over a whole history.
pub struct TapBulk {
    classifier: Classifier,
    /// `None` where visits are not told apart.
    gap_seconds: Option<u32>,
    part: Part,
    counts: Counts,
    bands: Bands,
    visitors: Visitors,
    settings: BTreeMap<(TenantId, Arc<str>), EventSettings>,
    shared: BTreeMap<(Show, Show), u64>,
    /// Checked, and folded while the next ones are checked.
    waiting: Option<Taps>,
}

impl TapBulk {
    /// `taps`: how many there are, about.
    pub fn new(model: &TapAnalytics, taps: u64) -> Self {
        Self::in_parts(model, taps.div_ceil(TAPS_A_PASS).max(1))
    }

    pub(super) fn in_parts(model: &TapAnalytics, of: u64) -> Self {
        let part = Part { number: 0, of };
        Self {
            classifier: Classifier::new(model.classifier.parameters().clone()),
            gap_seconds: model.gap_seconds,
            part,
            counts: Counts::default(),
            bands: Bands::new(part),
            visitors: Visitors::new(part),
            settings: BTreeMap::new(),
            shared: BTreeMap::new(),
            waiting: None,
        }
    }

    /// Folds those that wait, and checks others meanwhile, which wait then.
    fn fold_waiting(&mut self, next: Option<Columns>) -> Result<Vec<u64>, ApplyError> {
        let (waiting, classifier, first_pass) =
            (self.waiting.take(), &self.classifier, self.part.number == 0);
        let (counts, bands, visitors) = (&mut self.counts, &mut self.bands, &mut self.visitors);
        let gap_seconds = self.gap_seconds;
        let (folded, checked) = std::thread::scope(|scope| {
            let folding = waiting.as_ref().map(|taps| {
                let bands = scope.spawn(|| bands.fold(taps));
                let others = scope.spawn(move || {
                    if first_pass {
                        counts.fold(taps);
                    }
                    visitors.fold(taps, gap_seconds);
                });
                (bands, others)
            });
            let checked = next.map(|batch| {
                let head = batch.event_type == PREVIEWED;
                Taps::new(batch, head, classifier)
            });
            (folding.map_or(Ok(()), |(bands, others)| bands.join().and(others.join())), checked)
        });
        folded.map_err(|_| ApplyError::Event("folding taps panicked".into()))?;
        let Some((taps, broken)) = checked else { return Ok(Vec::new()) };
        self.waiting = Some(taps);
        Ok(broken)
    }

    /// What the pass found out about shows, into their counts.
    fn gather(&mut self) {
        let numbers: Vec<u32> = self.bands.shows().iter().map(|s| self.counts.number(s)).collect();
        let mut people: Vec<People> = numbers.iter().map(|_| People::default()).collect();
        for (show, band) in self.bands.each() {
            let taps = band.classes[0];
            if let Some(first) = band.first {
                self.counts.new_band(numbers[show], first);
            }
            people[show].unique_bands += u64::from(taps > 0);
            people[show].repeat_bands += u64::from(taps > 1);
        }
        let seen = self.visitors.shows().iter().map(|s| self.counts.number(s)).collect::<Vec<u32>>();
        let visitors = seen.into_iter().zip(self.visitors.people());
        for (show, people) in numbers.into_iter().zip(people).chain(visitors) {
            self.counts.add_people(show, &people);
        }
        for ((a, b), bands) in self.bands.shared() {
            let pair = if a.event < b.event { (a, b) } else { (b, a) };
            *self.shared.entry((pair.0.clone(), pair.1.clone())).or_default() += bands;
        }
    }

    fn settings(&self) -> impl Iterator<Item = Result<RowPut, ApplyError>> {
        self.settings.iter().map(|((tenant, event), settings)| {
            put_of(RowKey { tenant: tenant.clone(), key: event.clone() }, settings)
        })
    }

    fn shared(&self) -> impl Iterator<Item = Result<RowPut, ApplyError>> {
        self.shared.iter().map(|((a, b), bands)| {
            let row_key = key(&a.event, &b.event).into();
            put_of(RowKey { tenant: tenant(&a.tenant)?, key: row_key }, &Shared { bands: *bands })
        })
    }
}

impl Bulk for TapBulk {
    fn wants(&self) -> &'static [Wants] {
        &WANTS
    }

    fn passes(&self) -> usize {
        // Memory ends long before a usize does.
        self.part.of as usize
    }

    fn split(&mut self, memory: usize) -> bool {
        // The first pass holds all counts, in however many parts the rest is.
        if self.counts.memory() > memory / 2 {
            return false;
        }
        let part = Part { number: 0, of: self.part.of * 2 };
        (self.part, self.bands, self.visitors) = (part, Bands::new(part), Visitors::new(part));
        (self.counts, self.settings, self.shared, self.waiting) = Default::default();
        part.of <= MAX_PASSES
    }

    fn fold(&mut self, batch: Columns) -> Result<Vec<u64>, ApplyError> {
        let broken = self.fold_waiting(Some(batch))?;
        Ok(if self.part.number == 0 { broken } else { Vec::new() })
    }

    fn event(&mut self, event: &RecordedEvent) -> Result<(), ApplyError> {
        if let Some(settings) = fold::settings_of(event)? {
            self.settings.insert((event.stream.tenant.clone(), event.stream.id.clone()), settings);
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.counts.memory() + self.bands.memory() + self.visitors.memory()
    }

    fn end_pass(&mut self, rows: &mut Sink<'_>) -> Result<(), ApplyError> {
        self.fold_waiting(None)?;
        self.bands.settle();
        self.gather();
        give(rows, BANDS, self.bands.band_rows())?;
        give(rows, HISTORY, self.bands.history_rows())?;
        give(rows, VISITORS, self.visitors.rows())?;
        self.part.number += 1;
        self.bands = Bands::new(self.part);
        self.visitors = Visitors::new(self.part);
        if self.part.number < self.part.of {
            return Ok(());
        }
        give(rows, EVENTS, self.settings())?;
        give(rows, SUMMARY, self.counts.summaries()?.into_iter().map(Ok))?;
        give(rows, REFERRERS, self.counts.referrers()?.into_iter().map(Ok))?;
        give(rows, MINUTES, self.counts.minutes()?.into_iter().map(Ok))?;
        give(rows, SHARED, self.shared())
    }
}

fn give(
    sink: &mut Sink<'_>,
    table: &str,
    rows: impl Iterator<Item = Result<RowPut, ApplyError>>,
) -> Result<(), ApplyError> {
    let (mut puts, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        bytes += row.doc.len();
        puts.push(row);
        if puts.len() == CHUNK || bytes >= CHUNK_BYTES {
            bytes = 0;
            let full = std::mem::take(&mut puts);
            sink(TableChanges { table: table.into(), puts: full, deletes: Vec::new() })?;
        }
    }
    if puts.is_empty() {
        return Ok(());
    }
    sink(TableChanges { table: table.into(), puts, deletes: Vec::new() })
}

fn tenant(id: &str) -> Result<TenantId, ApplyError> {
    TenantId::new(id).map_err(|e| ApplyError::Event(format!("a tenant {e}")))
}
