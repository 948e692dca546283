//! The show that imported taps belong to.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use domain::decide::{Context, Decide, Rejection, stream_of};
use domain::live_event::{Command, Details, LiveEvent};
use domain::ports::log::{Append, AppendError, ExpectedVersion, StreamWrite};
use domain::target_url::UrlPolicy;
use domain::{StreamId, registry};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::{Importer, id_of, lines};

/// Events of a show that are read at once.
const PAGE: usize = 1_000;

pub struct Show {
    pub id: String,
    /// For the mode and window that applied at the instant of a click.
    pub state: LiveEvent,
}

impl Show {
    /// Reads the show, or schedules it over the hours of the files' clicks.
    /// Answers also the position at which it was scheduled.
    pub async fn open(importer: &Importer, id: &str, files: &[PathBuf]) -> Result<(Self, Option<u64>)> {
        let stream = stream_of::<LiveEvent>(&importer.options.tenant, id)
            .with_context(|| format!("{id:?} is no id for an event"))?;
        if let Some(state) = load(importer, &stream).await? {
            return Ok((Self { id: id.into(), state }, None));
        }
        let Some(bounds) = bounds(importer, files).await? else {
            // No click in it: nothing to schedule a show for.
            return Ok((Self { id: id.into(), state: LiveEvent::default() }, None));
        };
        let position = schedule(importer, &stream, details(importer, id, bounds)?).await?;
        let state = load(importer, &stream).await?.context("the scheduled event is not in the log")?;
        Ok((Self { id: id.into(), state }, position))
    }
}

/// `clicks_2012-03-16.jsonl.gz` becomes `clicks_2012-03-16`.
pub fn id_from(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut stem = name.as_ref();
    for ending in [".gz", ".jsonl", ".json", ".log", ".txt"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    id_of(if stem.is_empty() { "import" } else { stem })
}

async fn load(importer: &Importer, stream: &StreamId) -> Result<Option<LiveEvent>> {
    let mut state: Option<LiveEvent> = None;
    let mut next = 1;
    loop {
        let events = importer.log.read_stream(stream, next, PAGE).await?;
        for event in &events {
            state.get_or_insert_default().evolve(registry::decode(event)?);
        }
        next += events.len() as u64;
        if events.len() < PAGE {
            return Ok(state);
        }
    }
}

async fn bounds(importer: &Importer, files: &[PathBuf]) -> Result<Option<(Timestamp, Timestamp)>> {
    let (files, format) = (files.to_owned(), importer.options.format);
    let looked = tokio::task::spawn_blocking(move || {
        let mut all: Option<(Timestamp, Timestamp)> = None;
        for file in &files {
            let found = lines::bounds(file, format).with_context(|| file.display().to_string())?;
            if let Some((first, last)) = found {
                all = Some(all.map_or((first, last), |(f, l)| (f.min(first), l.max(last))));
            }
        }
        Ok(all)
    });
    looked.await?
}

/// From the hour that the first click is in to the end of that of the last.
fn details(importer: &Importer, id: &str, (first, last): (Timestamp, Timestamp)) -> Result<Details> {
    let hour = |at: Timestamp| at.round(TimestampRound::new().smallest(Unit::Hour).mode(RoundMode::Floor));
    let ends_at = hour(last)? + jiff::SignedDuration::from_hours(1);
    Ok(Details {
        name: importer.options.name.clone().unwrap_or_else(|| id.to_owned()),
        venue: String::new(),
        place: String::new(),
        time_zone: importer.options.time_zone.clone(),
        starts_at: hour(first)?.to_string(),
        ends_at: ends_at.to_string(),
        pre_url: None,
        live_url: None,
        post_url: None,
        fallback_url: None,
    })
}

/// Answers `None` if somebody else has scheduled it meanwhile.
async fn schedule(importer: &Importer, stream: &StreamId, details: Details) -> Result<Option<u64>> {
    let context = Context { now: importer.clock.now(), urls: UrlPolicy::default() };
    let decision =
        LiveEvent::default().decide(Command::Schedule(details), &context).map_err(|r| match r {
            Rejection::Field { field, reason } => {
                anyhow::anyhow!("{} {reason}", field.trim_start_matches('/'))
            }
            other => other.into(),
        })?;
    let events = decision
        .events
        .iter()
        .map(|event| registry::new_event(event, importer.ids.next()))
        .collect::<Result<Vec<_>, _>>()?;
    let write = StreamWrite { stream: stream.clone(), expected: ExpectedVersion::NoStream, events };
    let append = Append { writes: vec![write], metadata: importer.metadata(), idempotency: None };
    match importer.log.append(vec![append]).await.pop() {
        Some(Ok(receipt)) => Ok(Some(receipt.position())),
        Some(Err(AppendError::Conflict { .. })) => Ok(None),
        Some(Err(error)) => Err(error).context("scheduling the show"),
        None => bail!("the log gave no answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_show_a_name() {
        let cases = [
            ("/a/clicks_2012-03-16T18h.jsonl.gz", "clicks_2012-03-16T18h"),
            ("access.log", "access"),
            ("access.log.1", "access.log.1"),
            ("my show.gz", "my~20show"),
            (".gz", "import"),
        ];
        for (file, id) in cases {
            assert_eq!(id_from(Path::new(file)), id);
        }
    }
}
