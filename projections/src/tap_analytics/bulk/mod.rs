//! The same rows as [`super::fold`], from columns: for histories of millions
//! of taps. Numbers are kept in memory by event, minute, band and visitor; rows
//! are made at the end. Bands and visitors are many, so they are folded in
//! parts, one part in each pass.

mod bands;
mod beside;
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

use background::Steps;
use domain::ports::rows::{RowKey, RowPut, TableChanges};
use domain::tap::{PREVIEWED, TAPPED};
use domain::{RecordedEvent, TenantId};
use models::taps::Classifier;

use self::bands::Bands;
use self::beside::{Beside, Fold as _};
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
    counts: Beside<Counts>,
    bands: Beside<Bands>,
    visitors: Beside<Visitors>,
    settings: BTreeMap<(TenantId, Arc<str>), EventSettings>,
    shared: BTreeMap<(Show, Show), u64>,
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
            counts: Beside::default(),
            bands: Beside::Idle(Bands::new(part)),
            visitors: Beside::Idle(Visitors::new(part, model.gap_seconds)),
            settings: BTreeMap::new(),
            shared: BTreeMap::new(),
        }
    }

    /// What the pass found out about shows, into their counts.
    fn gather(&mut self) -> Result<(), ApplyError> {
        let (counts, bands, visitors) =
            (self.counts.settled()?, self.bands.settled()?, self.visitors.settled()?);
        let numbers: Vec<u32> = bands.shows().iter().map(|s| counts.number(s)).collect();
        let mut people: Vec<People> = numbers.iter().map(|_| People::default()).collect();
        for (show, band) in bands.each() {
            let taps = band.classes[0];
            if let Some(first) = band.first {
                counts.new_band(numbers[show], first);
            }
            people[show].unique_bands += u64::from(taps > 0);
            people[show].repeat_bands += u64::from(taps > 1);
        }
        let seen = visitors.shows().iter().map(|s| counts.number(s)).collect::<Vec<u32>>();
        let visitors = seen.into_iter().zip(visitors.people());
        for (show, people) in numbers.into_iter().zip(people).chain(visitors) {
            counts.add_people(show, &people);
        }
        for ((a, b), bands) in bands.shared() {
            let pair = if a.event < b.event { (a, b) } else { (b, a) };
            *self.shared.entry((pair.0.clone(), pair.1.clone())).or_default() += bands;
        }
        Ok(())
    }

    fn begin(&mut self, part: Part) {
        self.part = part;
        self.bands = Beside::Idle(Bands::new(part));
        self.visitors = Beside::Idle(Visitors::new(part, self.gap_seconds));
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
        // Their memory is free before it is taken again.
        let _ = (self.bands.settled(), self.visitors.settled());
        let fits = self.counts.settled().is_ok_and(|counts| counts.memory() <= memory / 2);
        if !fits {
            return false;
        }
        self.begin(Part { number: 0, of: self.part.of * 2 });
        (self.counts, self.settings, self.shared) = Default::default();
        self.part.of <= MAX_PASSES
    }

    fn fold(&mut self, batch: Columns) -> Result<Vec<u64>, ApplyError> {
        let head = batch.event_type == PREVIEWED;
        let (taps, broken) = Taps::new(batch, head, &self.classifier);
        let (taps, first_pass) = (Arc::new(taps), self.part.number == 0);
        self.bands.give(&taps)?;
        self.visitors.give(&taps)?;
        if first_pass {
            self.counts.give(&taps)?;
        }
        Ok(if first_pass { broken } else { Vec::new() })
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
        self.bands.settled()?.settle();
        self.gather()?;
        let bands = self.bands.settled()?;
        give(rows, BANDS, bands.band_rows())?;
        give(rows, HISTORY, bands.history_rows())?;
        give(rows, VISITORS, self.visitors.settled()?.rows())?;
        self.begin(Part { number: self.part.number + 1, of: self.part.of });
        if self.part.number < self.part.of {
            return Ok(());
        }
        give(rows, EVENTS, self.settings())?;
        let counts = self.counts.settled()?;
        give(rows, SUMMARY, counts.summaries()?.into_iter().map(Ok))?;
        give(rows, REFERRERS, counts.referrers()?.into_iter().map(Ok))?;
        give(rows, MINUTES, counts.minutes()?.into_iter().map(Ok))?;
        give(rows, SHARED, self.shared())
    }
}

fn give(
    sink: &mut Sink<'_>,
    table: &str,
    rows: impl Iterator<Item = Result<RowPut, ApplyError>>,
) -> Result<(), ApplyError> {
    let (mut puts, mut bytes) = (Vec::new(), 0);
    let mut steps = Steps::of_nanos(1_000);
    for row in rows {
        steps.step();
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
