//! Follows samples and records where an author's style has changed (role
//! `reactor`), so that whoever is told of facts is told of it.
//!
//! It looks at an author once the rows of fingerprints reflect what came. What
//! it finds is decided against what was recorded for that author before, and
//! appended at the version that was looked at: of two processes one records it.
//! How far samples were looked at is a fact now and then; what lies between is
//! looked at again after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::envelope::{Metadata, NewEvent};
use domain::ports::clock::Ids;
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, LogError, ReadFilter, StreamWrite};
use domain::ports::rows::{RowStore, RowsError, Source};
use domain::registry::{self, DecodeError};
use domain::rule_match::{ADVANCED, Advanced, CURSOR_KIND};
use domain::style_drift::{DETECTED, DriftDetected, KIND, Moved};
use domain::{RecordedEvent, StreamId, TenantId, sample};
use models_stylometry::drift::{Change, DRIFT, LEAST_SIDE};
use models_stylometry::fingerprint::{BadParameter, Fingerprinter, Parameters};
use projections::style_fingerprints::NAME;
use projections::style_fingerprints::series::{Series, SeriesError};
use tokio_util::sync::CancellationToken;

const PAGE: usize = 1_000;
const STREAM_PAGE: usize = 1_000;
const ATTEMPTS: usize = 8;
/// Between two looks at rows that are not there yet, and after a failure.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);
const ACTOR: &str = "worker:style_drift";
const CURSOR: &str = "style_drift";

#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Series(#[from] SeriesError),
    #[error("the fingerprints' parameters: {0}")]
    Parameters(#[from] BadParameter),
    #[error("{0}")]
    Id(#[from] domain::ids::InvalidId),
    #[error("the rows are at {reached}, before {wanted}")]
    Behind { wanted: u64, reached: u64 },
    #[error("looking for changes ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

pub struct DriftWatch {
    /// As it is recorded: labels are no personal data, texts are not read.
    log: Arc<dyn EventLog>,
    rows: Arc<dyn RowStore>,
    ids: Arc<dyn Ids>,
    /// Every sample up to here was looked at.
    position: u64,
    /// What was last written down of that.
    kept: u64,
}

impl DriftWatch {
    /// Where it ended the last time.
    pub async fn open(
        log: Arc<dyn EventLog>,
        rows: Arc<dyn RowStore>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, DriftError> {
        let kept = match log.last(&cursor()?).await? {
            Some(event) => registry::decode_payload::<Advanced>(&event)?.to,
            None => 0,
        };
        Ok(Self { log, rows, ids, position: kept, kept })
    }

    /// Until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = MIN_PAUSE;
        while !stop.is_cancelled() {
            // Stopped in the middle it has recorded a part, and looks again.
            let stepped = tokio::select! {
                () = stop.cancelled() => return,
                stepped = self.step() => stepped,
            };
            let wait = match stepped {
                Ok(true) => {
                    pause = MIN_PAUSE;
                    continue;
                }
                Ok(false) => None,
                Err(DriftError::Behind { .. }) => Some(pause),
                Err(error) => {
                    metrics::counter!("daybook_style_drift_failures_total").increment(1);
                    tracing::warn!(%error, "style: changes were not looked for");
                    Some(pause)
                }
            };
            let waiting = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => {
                        if self.log.changed(self.position).await.is_err() {
                            tokio::time::sleep(MAX_PAUSE).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = waiting => {}
            }
            pause = if wait.is_some() { (pause * 2).min(MAX_PAUSE) } else { MIN_PAUSE };
        }
    }

    /// Looks at the authors of one page of samples. False if there was nothing
    /// new.
    pub async fn step(&mut self) -> Result<bool, DriftError> {
        let filter = ReadFilter::types([sample::SUBMITTED, sample::LABELLED]);
        let page = self.log.read(self.position, PAGE, &filter).await?;
        if page.through <= self.position {
            return Ok(false);
        }
        let mut authors = BTreeSet::new();
        for event in &page.events {
            authors.extend(author(event).map(|author| (event.stream.tenant.clone(), author)));
        }
        if let Some(last) = page.events.last().filter(|_| !authors.is_empty()) {
            // A sample is counted with its last part, which the same append holds.
            let head = self.log.head().await?.position;
            let wanted = head.min(last.position + sample_events());
            let reached = self.rows.read(&Source::live(NAME), &TenantId::system(), &[]).await?.position;
            if reached < wanted {
                return Err(DriftError::Behind { wanted, reached });
            }
            for (tenant, author) in &authors {
                self.look(tenant, author).await?;
            }
        }
        self.position = page.through;
        if !authors.is_empty() {
            self.keep().await?;
        }
        Ok(true)
    }

    /// Records what changed in an author's style and is not recorded yet.
    async fn look(&self, tenant: &TenantId, author: &str) -> Result<(), DriftError> {
        let series = Series::read(&*self.rows, &Source::live(NAME), tenant, author).await?;
        let Some(series) = series.filter(|s| s.samples.len() >= 2 * LEAST_SIDE) else { return Ok(()) };
        let maker = Fingerprinter::new(Parameters::parse(&series.snapshot.model.parameters)?);
        let (series, maker, found) = tokio::task::spawn_blocking(move || {
            let found = series.drift(&maker);
            (series, maker, found)
        })
        .await?;
        for change in &found.changes {
            if let Some(detected) = detected(&series, &maker, change) {
                self.record(tenant, &series, change.at, detected).await?;
            }
        }
        Ok(())
    }

    async fn record(
        &self,
        tenant: &TenantId,
        series: &Series,
        at: usize,
        found: DriftDetected,
    ) -> Result<(), DriftError> {
        let stream = StreamId::new(tenant, KIND, &found.author_id)?;
        for _ in 0..ATTEMPTS {
            let (mut version, mut known) = (0, false);
            loop {
                let page = self.log.read_stream(&stream, version + 1, STREAM_PAGE).await?;
                for event in &page {
                    version = event.version;
                    known |= is_same(series, at, &registry::decode_payload(event)?);
                }
                if page.len() < STREAM_PAGE {
                    break;
                }
            }
            if known {
                return Ok(());
            }
            let expected = match version {
                0 => ExpectedVersion::NoStream,
                version => ExpectedVersion::Exact(version),
            };
            // A struct of texts and numbers always serialises.
            let payload = serde_json::to_string(&found).unwrap_or_default();
            match self.append(stream.clone(), expected, DETECTED, payload).await {
                Ok(()) => {
                    metrics::counter!("daybook_style_drifts_total").increment(1);
                    return Ok(());
                }
                // Somebody else recorded something: perhaps the same.
                Err(DriftError::Append(AppendError::Conflict { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes down how far samples were looked at.
    async fn keep(&mut self) -> Result<(), DriftError> {
        if self.position < self.kept + PAGE as u64 {
            return Ok(());
        }
        let payload = format!(r#"{{"to":{}}}"#, self.position);
        self.append(cursor()?, ExpectedVersion::Any, ADVANCED, payload).await?;
        self.kept = self.position;
        Ok(())
    }

    async fn append(
        &self,
        stream: StreamId,
        expected: ExpectedVersion,
        event_type: &str,
        payload: String,
    ) -> Result<(), DriftError> {
        let schema = registry::schema_of(event_type);
        let (event_id, event_type) = (self.ids.next(), event_type.into());
        let event = NewEvent { event_id, event_type, schema, occurred_at: None, payload };
        let command_id = self.ids.next();
        let metadata = Metadata {
            actor: ACTOR.into(),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        };
        let writes = vec![StreamWrite { stream, expected, events: vec![event] }];
        let outcomes = self.log.append(vec![Append { writes, metadata, idempotency: None }]).await;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(|_| ())).map_err(DriftError::from)
    }
}

/// Events of one sample at most: its text in parts.
fn sample_events() -> u64 {
    (sample::MAX_ENCODED_BYTES / sample::PART_BYTES + 2) as u64
}

/// Whose sample it is from now on.
fn author(event: &RecordedEvent) -> Option<String> {
    // What is personal in it is sealed; the label beside it is not.
    #[derive(serde::Deserialize)]
    struct Labelled {
        author: Option<String>,
    }
    let payload = registry::payload(event).ok()?;
    let labelled: Labelled = serde_json::from_str(&payload).ok()?;
    labelled.author.as_deref().map(sample::subject_of)
}

fn detected(series: &Series, maker: &Fingerprinter, change: &Change) -> Option<DriftDetected> {
    let (names, units) = (maker.names(), maker.units());
    let sample = series.samples.get(change.at)?;
    let moved = |m: &models_stylometry::drift::Moved| Moved {
        feature: names[m.feature].clone(),
        before: m.before / units[m.feature],
        after: m.after / units[m.feature],
        deviations: m.deviations,
    };
    Some(DriftDetected {
        author_id: series.author.id.clone(),
        sample: sample.id.clone(),
        written_at: sample.label.written_at?,
        // At most 200.
        before: u32::try_from(change.at).unwrap_or(u32::MAX),
        after: u32::try_from(series.samples.len() - change.at).unwrap_or(u32::MAX),
        p_value: change.p_value,
        distance: change.distance,
        features: change.moved.iter().map(moved).collect(),
        model: DRIFT.to_owned(),
        fingerprint: series.snapshot.model.to_string(),
    })
}

/// Whether a recorded change is this one: with more samples the same change may
/// be seen a few samples earlier or later.
fn is_same(series: &Series, at: usize, known: &DriftDetected) -> bool {
    let date = |at: usize| series.samples.get(at).and_then(|s| s.label.written_at);
    let last = series.samples.len() - 1;
    let (first, last) = (at.saturating_sub(LEAST_SIDE), (at + LEAST_SIDE).min(last));
    let between = date(first).is_some_and(|d| d <= known.written_at)
        && date(last).is_some_and(|d| known.written_at <= d);
    between || series.samples[first..=last].iter().any(|s| s.id == known.sample)
}

fn cursor() -> Result<StreamId, domain::ids::InvalidId> {
    StreamId::new(&TenantId::system(), CURSOR_KIND, CURSOR)
}
