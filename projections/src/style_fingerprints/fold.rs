//! From samples to rows.

use std::collections::BTreeMap;

use domain::personal::PersonalText;
use domain::registry::decode;
use domain::sample::{Event, Part, Submitted, subject_of};
use domain::{RecordedEvent, TenantId};
use models_stylometry::fingerprint::{Fingerprinter, Sums, weighted};
use models_stylometry::warnings::quality;
use models_stylometry::{ENOUGH_WORDS, MIN_WORDS};

use super::rows::{AuthorRow, Brief, CorpusRow, PartRow, SampleRow, State, YearRow};
use super::{ALL, AUTHORS, BY_AUTHOR, BY_CORPUS, CORPORA, PARTS, SAMPLES, YEARS};
use crate::directory::advance;
use crate::projection::ApplyError;
use crate::working_set::Rows;

/// The newest so many years make an author's fingerprint.
const MOST_YEARS: usize = 64;
/// A language that nobody recognised.
const UNKNOWN: &str = "unknown";
const ENGLISH: &str = "eng";

pub fn apply(maker: &Fingerprinter, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
    let change: Event = decode(event)?;
    let (tenant, id) = (&event.stream.tenant, &*event.stream.id);
    let row: &mut SampleRow = rows.entry_or_default(SAMPLES, tenant, id)?;
    advance(&mut row.version, event)?;
    let before = row.clone();
    let mut fold = Fold { maker, rows, tenant };
    let after = match change {
        Event::Submitted(submitted) => fold.submitted(before, id, submitted)?,
        Event::PartRecorded(part) => fold.part(before, part)?,
        Event::Labelled(label) if matches!(before.state, State::Recorded) => {
            let after = SampleRow { label, ..before.clone() };
            fold.count(&before, false)?;
            fold.count(&after, true)?;
            after
        }
        Event::Labelled(label) if matches!(before.state, State::Pending) => SampleRow { label, ..before },
        Event::Withdrawn { .. } if matches!(before.state, State::Recorded | State::Pending) => {
            fold.leave(&before)?;
            SampleRow { state: State::Withdrawn, vector: Vec::new(), ..before }
        }
        Event::Labelled(_) | Event::Withdrawn { .. } => before,
    };
    rows.put(SAMPLES, tenant, id, after)
}

struct Fold<'a> {
    maker: &'a Fingerprinter,
    rows: &'a mut Rows,
    tenant: &'a TenantId,
}

impl Fold<'_> {
    fn submitted(&mut self, before: SampleRow, id: &str, new: Submitted) -> Result<SampleRow, ApplyError> {
        self.leave(&before)?;
        Ok(SampleRow {
            id: id.to_owned(),
            version: before.version,
            state: State::Pending,
            subject: Some(new.subject),
            title: new.title.as_ref().and_then(PersonalText::clear).map(str::to_owned),
            label: new.label,
            format: new.format,
            bytes: new.bytes,
            parts: new.parts,
            ..SampleRow::default()
        })
    }

    /// Takes back what the sample counted for and what waits of it.
    fn leave(&mut self, before: &SampleRow) -> Result<(), ApplyError> {
        match before.state {
            State::Recorded => self.count(before, false),
            State::Pending => self.drop_parts(before),
            State::Withdrawn | State::Erased => Ok(()),
        }
    }

    fn part(&mut self, before: SampleRow, part: Part) -> Result<SampleRow, ApplyError> {
        if before.state != State::Pending {
            return Ok(before);
        }
        let Some(text) = part.text.clear() else {
            self.drop_parts(&before)?;
            let (id, version) = (before.id, before.version);
            return Ok(SampleRow { id, version, state: State::Erased, ..SampleRow::default() });
        };
        let recorded = before.recorded + 1;
        if recorded < before.parts {
            let row = PartRow { text: text.to_owned() };
            self.rows.put(PARTS, self.tenant, &part_key(&before.id, recorded), row)?;
            return Ok(SampleRow { recorded, ..before });
        }
        let mut whole = String::new();
        for number in 1..recorded {
            let row: Option<&PartRow> = self.rows.get(PARTS, self.tenant, &part_key(&before.id, number))?;
            whole.push_str(row.map_or("", |row| &row.text));
        }
        self.drop_parts(&before)?;
        whole.push_str(text);
        let quality = quality(&whole);
        let after = SampleRow {
            recorded,
            state: State::Recorded,
            words: quality.words as u64,
            detected: quality.language.filter(|l| l.reliable).map(|l| l.code.to_owned()),
            flags: quality.warnings.into_iter().map(|w| w.code.to_owned()).collect(),
            vector: self.maker.row(&whole),
            ..before
        };
        self.count(&after, true)?;
        Ok(after)
    }

    fn drop_parts(&mut self, sample: &SampleRow) -> Result<(), ApplyError> {
        for number in 1..=sample.recorded.min(sample.parts.saturating_sub(1)) {
            self.rows.delete(PARTS, self.tenant, &part_key(&sample.id, number))?;
        }
        Ok(())
    }

    /// Adds a sample with a vector to its author and its corpora, or takes it
    /// out.
    fn count(&mut self, sample: &SampleRow, add: bool) -> Result<(), ApplyError> {
        let author_id = sample.label.author.as_deref().map(subject_of);
        let brief = Brief {
            id: sample.id.clone(),
            title: sample.title.clone(),
            author_id: author_id.clone(),
            author: sample.label.author.clone(),
            genre: sample.label.genre.clone(),
            written_at: sample.label.written_at,
            words: sample.words,
            bytes: sample.bytes,
            detected: sample.detected.clone(),
        };
        for corpus in [Some(ALL), sample.label.corpus.as_deref()].into_iter().flatten() {
            self.corpus(corpus, sample, add)?;
            self.list(BY_CORPUS, corpus, &brief, add)?;
        }
        if let (Some(id), Some(name)) = (author_id, &sample.label.author) {
            self.list(BY_AUTHOR, &id, &brief, add)?;
            self.author(&id, name, sample, add)?;
        }
        Ok(())
    }

    fn list(&mut self, table: &'static str, of: &str, brief: &Brief, add: bool) -> Result<(), ApplyError> {
        let key = format!("{of}/{}", brief.id);
        match add {
            true => self.rows.put(table, self.tenant, &key, brief.clone()),
            false => self.rows.delete(table, self.tenant, &key),
        }
    }

    fn is_counted(&self, sample: &SampleRow) -> bool {
        sample.words >= u64::from(self.maker.parameters().least_words)
    }

    fn corpus(&mut self, id: &str, sample: &SampleRow, add: bool) -> Result<(), ApplyError> {
        let counted = self.is_counted(sample);
        let row: &mut CorpusRow = self.rows.entry_or_default(CORPORA, self.tenant, id)?;
        id.clone_into(&mut row.id);
        step(&mut row.samples, 1, add);
        step(&mut row.words, sample.words, add);
        tally(&mut row.languages, sample.detected.as_deref().unwrap_or(UNKNOWN), add);
        if counted {
            change(&mut row.sums, sample, add);
        }
        match row.samples {
            0 => self.rows.delete(CORPORA, self.tenant, id),
            _ => Ok(()),
        }
    }

    fn author(&mut self, id: &str, name: &str, sample: &SampleRow, add: bool) -> Result<(), ApplyError> {
        let year = sample.label.written_at.map(jiff::civil::Date::year);
        let counted = self.is_counted(sample);
        if counted {
            let key = year_key(id, year);
            let row: &mut YearRow = self.rows.entry_or_default(YEARS, self.tenant, &key)?;
            change(&mut row.0, sample, add);
            if row.0.samples == 0 {
                self.rows.delete(YEARS, self.tenant, &key)?;
            }
        }
        let row: &mut AuthorRow = self.rows.entry_or_default(AUTHORS, self.tenant, id)?;
        (row.id, row.name) = (id.to_owned(), name.to_owned());
        step(&mut row.samples, 1, add);
        step(&mut row.words, sample.words, add);
        tally(&mut row.languages, sample.detected.as_deref().unwrap_or(UNKNOWN), add);
        match (counted, year) {
            (false, _) => step(&mut row.passed_over, 1, add),
            (true, None) => step(&mut row.undated, 1, add),
            (true, Some(year)) => tally(&mut row.years, &year, add),
        }
        if row.samples == 0 {
            return self.rows.delete(AUTHORS, self.tenant, id);
        }
        let mut after = row.clone();
        self.estimate(&mut after)?;
        self.rows.put(AUTHORS, self.tenant, id, after)
    }

    /// What is made of an author's sums: a function of them and nothing else.
    fn estimate(&mut self, author: &mut AuthorRow) -> Result<(), ApplyError> {
        let years: Vec<i16> = author.years.keys().rev().take(MOST_YEARS).copied().collect();
        let half_life = f64::from(self.maker.parameters().half_life_years);
        let newest = years.first().copied().unwrap_or(0);
        let weight = |year: i16| match half_life > 0.0 {
            true => 0.5f64.powf((f64::from(newest) - f64::from(year)) / half_life),
            false => 1.0,
        };
        let mut parts: Vec<(f64, Sums)> = Vec::with_capacity(years.len() + 1);
        for year in &years {
            if let Some(row) =
                self.rows.get::<YearRow>(YEARS, self.tenant, &year_key(&author.id, Some(*year)))?
            {
                parts.push((weight(*year), row.0.clone()));
            }
        }
        if author.undated > 0
            && let Some(row) = self.rows.get::<YearRow>(YEARS, self.tenant, &year_key(&author.id, None))?
        {
            // Nobody knows how old they are: as old as the oldest.
            parts.push((years.last().map_or(1.0, |year| weight(*year)), row.0.clone()));
        }
        let parts: Vec<(f64, &Sums)> = parts.iter().map(|(w, sums)| (*w, sums)).collect();
        author.estimate = weighted(&parts);
        author.flags = flags(author, &parts);
        Ok(())
    }
}

fn flags(author: &AuthorRow, parts: &[(f64, &Sums)]) -> Vec<String> {
    let counted: u64 = author.undated + author.years.values().sum::<u64>();
    let words: u64 = parts.iter().map(|(_, sums)| sums.words).sum();
    let english = author.languages.get(ENGLISH).copied().unwrap_or(0);
    let known = author.languages.keys().filter(|l| *l != UNKNOWN).count();
    let all = [
        ("too_short", words < MIN_WORDS as u64),
        ("short", words >= MIN_WORDS as u64 && words < ENOUGH_WORDS as u64),
        ("one_sample", counted == 1),
        ("not_english", known > 0 && english * 2 < author.samples),
        ("mixed_languages", known > 1),
        ("undated", author.undated > 0),
        ("old_left_out", author.years.len() > MOST_YEARS),
    ];
    all.iter().filter(|(_, is)| *is).map(|(code, _)| (*code).to_owned()).collect()
}

fn part_key(id: &str, part: u32) -> String {
    format!("{id}/{part:04}")
}

fn year_key(author: &str, year: Option<i16>) -> String {
    match year {
        Some(year) => format!("{author}/{year:05}"),
        None => format!("{author}/undated"),
    }
}

fn change(sums: &mut Sums, sample: &SampleRow, add: bool) {
    // A text has at most 8 MiB.
    let words = usize::try_from(sample.words).unwrap_or(usize::MAX);
    match add {
        true => sums.add(&sample.vector, words),
        false => sums.remove(&sample.vector, words),
    }
}

fn step(count: &mut u64, by: u64, add: bool) {
    *count = if add { *count + by } else { count.saturating_sub(by) };
}

/// One more or one less under a name; names without any are not kept.
fn tally<K, Q>(counts: &mut BTreeMap<K, u64>, name: &Q, add: bool)
where
    K: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ToOwned<Owned = K> + ?Sized,
{
    match counts.get_mut(name) {
        Some(count) => step(count, 1, add),
        None if add => drop(counts.insert(name.to_owned(), 1)),
        None => {}
    }
    if counts.get(name) == Some(&0) {
        counts.remove(name);
    }
}
