//! An author's samples in the order in which they were written.

use domain::TenantId;
use domain::ports::rows::{Query, RowStore, RowsError, Snapshot, Source};
use models_stylometry::MIN_WORDS;
use models_stylometry::drift::{Drift, MOST_TEXTS, Point, drift};
use models_stylometry::fingerprint::Fingerprinter;

use super::rows::{AuthorRow, Brief, SampleRow, State};
use super::{AUTHORS, BY_AUTHOR, SAMPLES};

/// Samples of an author that are listed to find the newest dated ones.
const MOST_LISTED: usize = 10_000;
const DAYS_OF_A_YEAR: f64 = 365.25;

/// The newest dated samples of an author that are long enough to say anything.
pub struct Series {
    pub snapshot: Snapshot,
    pub author: AuthorRow,
    /// The oldest first.
    pub samples: Vec<SampleRow>,
}

#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("a row does not read back: {0}")]
    Row(#[from] serde_json::Error),
}

impl Series {
    /// `None` of an author without samples.
    pub async fn read(
        rows: &dyn RowStore,
        source: &Source,
        tenant: &TenantId,
        author: &str,
    ) -> Result<Option<Self>, SeriesError> {
        let queries =
            [Query::get(AUTHORS, author), Query::prefix(BY_AUTHOR, &format!("{author}/"), MOST_LISTED)];
        let mut snapshot = rows.read(source, tenant, &queries).await?;
        let [found, listed] =
            [0, 1].map(|i| snapshot.results.get_mut(i).map(std::mem::take).unwrap_or_default());
        let Some(row) = found.first() else { return Ok(None) };
        let author: AuthorRow = serde_json::from_str(&row.doc)?;
        let mut briefs = Vec::with_capacity(listed.len());
        for row in &listed {
            let brief: Brief = serde_json::from_str(&row.doc)?;
            if brief.written_at.is_some() && brief.words >= MIN_WORDS as u64 {
                briefs.push((brief.written_at, brief.id));
            }
        }
        briefs.sort_unstable();
        briefs.drain(..briefs.len().saturating_sub(MOST_TEXTS));
        let queries: Vec<Query> = briefs.iter().map(|(_, id)| Query::get(SAMPLES, id)).collect();
        let generation = Source::Generation(snapshot.generation.clone());
        let read = rows.read(&generation, tenant, &queries).await?;
        let mut samples = Vec::with_capacity(briefs.len());
        for row in read.results.iter().flatten() {
            let row: SampleRow = serde_json::from_str(&row.doc)?;
            // It may be gone or another since the list was read.
            if row.state == State::Recorded && row.label.written_at.is_some() {
                samples.push(row);
            }
        }
        samples.sort_by(|a, b| (a.label.written_at, &a.id).cmp(&(b.label.written_at, &b.id)));
        Ok(Some(Self { snapshot, author, samples }))
    }

    /// Where the style changed, by the fingerprints of this maker.
    pub fn drift(&self, maker: &Fingerprinter) -> Drift {
        let days = |row: &SampleRow| row.label.written_at.map_or(0, day);
        let points: Vec<Point<'_>> =
            self.samples.iter().map(|row| Point { day: days(row), row: &row.vector }).collect();
        let half_life = f64::from(maker.parameters().half_life_years) * DAYS_OF_A_YEAR;
        drift(&points, maker.counted(), half_life)
    }
}

/// Days from a fixed one.
fn day(date: jiff::civil::Date) -> i64 {
    jiff::civil::Date::ZERO.until(date).map_or(0, |span| i64::from(span.get_days()))
}
