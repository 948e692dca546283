//! Fingerprints of style: a row of numbers for each sample, and what samples of
//! an author (newer ones counting more) or of a corpus have in common.
//!
//! What an author's rows say depends on that author's samples alone, in any
//! order: sums are of whole numbers and a sample that goes is taken out of them
//! again. So rows of one author are the same to the byte whether another was
//! ever there or not.

mod fold;
pub mod rows;
pub mod series;
#[cfg(test)]
mod tests;

use domain::ports::rows::{Column, ColumnKind, ModelId, RowKey, TableSpec};
use domain::{RecordedEvent, sample};
use models_stylometry::fingerprint::{self, Fingerprinter, Parameters};

use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::Rows;

pub const NAME: &str = "style_fingerprints";

/// [`rows::SampleRow`] by sample.
pub const SAMPLES: &str = "samples";
/// [`rows::PartRow`] by sample and part: of texts that are not whole yet.
pub const PARTS: &str = "parts";
/// [`rows::Brief`] by author and sample.
pub const BY_AUTHOR: &str = "by_author";
/// [`rows::Brief`] by corpus and sample.
pub const BY_CORPUS: &str = "by_corpus";
/// [`rows::YearRow`] by author and year.
pub const YEARS: &str = "years";
/// [`rows::AuthorRow`] by author.
pub const AUTHORS: &str = "authors";
/// [`rows::CorpusRow`] by corpus.
pub const CORPORA: &str = "corpora";

/// The corpus that every sample is in.
pub const ALL: &str = sample::ALL;

pub struct StyleFingerprints {
    maker: Fingerprinter,
}

impl StyleFingerprints {
    /// Of parameters as [`Parameters::parse`] gives them.
    pub fn new(parameters: Parameters) -> Self {
        Self { maker: Fingerprinter::new(parameters) }
    }

    pub fn maker(&self) -> &Fingerprinter {
        &self.maker
    }
}

impl Default for StyleFingerprints {
    fn default() -> Self {
        Self::new(Parameters::default())
    }
}

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, path: name, kind }
}

const fn table(name: &'static str, columns: &'static [Column]) -> TableSpec {
    TableSpec { name, sorted: false, columns }
}

const BRIEF: &[Column] = &[
    column("author_id", ColumnKind::Text),
    column("genre", ColumnKind::Text),
    column("written_at", ColumnKind::Text),
    column("words", ColumnKind::Integer),
];

const TABLES: &[TableSpec] = &[
    table(
        SAMPLES,
        &[
            column("state", ColumnKind::Text),
            column("author", ColumnKind::Text),
            column("corpus", ColumnKind::Text),
            column("genre", ColumnKind::Text),
            column("written_at", ColumnKind::Text),
            column("words", ColumnKind::Integer),
            column("detected", ColumnKind::Text),
            column("flags", ColumnKind::Json),
            column("vector", ColumnKind::Json),
        ],
    ),
    table(PARTS, &[]),
    table(BY_AUTHOR, BRIEF),
    table(BY_CORPUS, BRIEF),
    table(YEARS, &[column("samples", ColumnKind::Integer), column("words", ColumnKind::Integer)]),
    table(
        AUTHORS,
        &[
            column("name", ColumnKind::Text),
            column("samples", ColumnKind::Integer),
            column("words", ColumnKind::Integer),
            column("flags", ColumnKind::Json),
            Column { name: "mean", path: "estimate.mean", kind: ColumnKind::Json },
        ],
    ),
    table(CORPORA, &[column("samples", ColumnKind::Integer), column("words", ColumnKind::Integer)]),
];

impl Projection for StyleFingerprints {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        let mut model = ModelId::new(fingerprint::NAME, fingerprint::VERSION);
        // Parameters are numbers and flags, which always serialise.
        model.parameters = serde_json::to_value(self.maker.parameters()).unwrap_or_default();
        model
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[sample::SUBMITTED, sample::PART_RECORDED, sample::LABELLED, sample::WITHDRAWN]
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        want.row(SAMPLES, &event.stream.tenant, &event.stream.id);
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        fold::apply(&self.maker, rows, event)
    }

    fn related(&self, event: &RecordedEvent, table: &str, row: &RowKey) -> bool {
        if event.stream.tenant != row.tenant {
            return false;
        }
        match table {
            SAMPLES => *event.stream.id == *row.key,
            PARTS => row.key.split('/').next() == Some(&*event.stream.id),
            BY_AUTHOR | BY_CORPUS => row.key.rsplit('/').next() == Some(&*event.stream.id),
            _ => true,
        }
    }
}
