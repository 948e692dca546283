//! Samples and fingerprints, read where they stand.

use commands::execute::Services;
use domain::ports::log::LogError;
use domain::ports::rows::{Query, RowStore, RowsError, Source};
use domain::registry::DecodeError;
use domain::sample::{self, Entry, Library};
use domain::{StreamId, Subject, TenantId, subject};
use models_stylometry::fingerprint::{BadParameter, Fingerprinter, Parameters};
use projections::style_fingerprints::rows::{AuthorRow, CorpusRow};
use projections::style_fingerprints::{ALL, AUTHORS, CORPORA, NAME};

/// Events of a stream that are read at once.
const PAGE: usize = 100;
/// Most events of a sample's stream: it may be submitted and withdrawn again.
const MOST_EVENTS: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("a row does not read back: {0}")]
    Row(#[from] serde_json::Error),
    #[error("the fingerprints' parameters: {0}")]
    Parameters(#[from] BadParameter),
    #[error("{0}")]
    Id(#[from] domain::ids::InvalidId),
}

/// A sample with its text; `None` if there is none of this id.
pub async fn sample(services: &Services, tenant: &TenantId, id: &str) -> Result<Option<Entry>, ReadError> {
    let stream = StreamId::new(tenant, sample::KIND, id)?;
    let mut library = Library::default();
    let mut read = 0;
    loop {
        let page = services.log.read_stream(&stream, read + 1, PAGE).await?;
        for event in &page {
            library.apply(event)?;
        }
        read += page.len() as u64;
        if page.len() < PAGE || read >= MOST_EVENTS {
            return Ok(library.get(tenant, id).cloned());
        }
    }
}

/// An author's fingerprint, and what is usual.
pub struct Target {
    pub author: AuthorRow,
    pub corpus: CorpusRow,
    pub maker: Fingerprinter,
    /// The model that made them.
    pub model: String,
}

/// `None` of an author without samples.
pub async fn target(
    rows: &dyn RowStore,
    tenant: &TenantId,
    author: &str,
) -> Result<Option<Target>, ReadError> {
    let queries = [Query::get(AUTHORS, author), Query::get(CORPORA, ALL)];
    let snapshot = rows.read(&Source::live(NAME), tenant, &queries).await?;
    let doc = |at: usize| snapshot.results.get(at).and_then(|rows| rows.first()).map(|row| &row.doc);
    let Some(author) = doc(0) else { return Ok(None) };
    let author: AuthorRow = serde_json::from_str(author)?;
    let corpus = doc(1).map(|row| serde_json::from_str(row)).transpose()?.unwrap_or_default();
    let maker = Fingerprinter::new(Parameters::parse(&snapshot.model.parameters)?);
    // One whose samples are all too short has a row and no numbers.
    if author.estimate.mean.len() != maker.width() {
        return Ok(None);
    }
    Ok(Some(Target { author, corpus, maker, model: snapshot.model.to_string() }))
}

/// The version of what was decided about the subject of a sample's text; 0 if
/// nothing was.
pub async fn decided(services: &Services, tenant: &TenantId, id: &str) -> Result<u64, ReadError> {
    let found = sample(services, tenant, id).await?;
    let Some(entry) = found else { return Ok(0) };
    let subject = Subject::new(sample::SUBJECT_KIND, &entry.subject)?;
    let stream = StreamId::new(tenant, subject::KIND, &subject.stream_id())?;
    Ok(services.log.last(&stream).await?.map_or(0, |event| event.version))
}
