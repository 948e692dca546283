//! Reading back what was sealed: the file's bytes, and every event's leaf.

use bytes::Bytes;
use domain::RecordedEvent;
use domain::ports::archive::ArchiveError;
use futures::StreamExt;

use crate::decode::Events;
use crate::file::SegmentFile;
use crate::manifest::{Manifest, Segment};
use crate::{ArchiveStore, schema};

/// Segments that are checked at once.
const AT_ONCE: usize = 2;

/// What a look at every segment found.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    pub segments: usize,
    pub events: u64,
    pub bytes: u64,
    /// One for each segment that is not what was sealed.
    pub problems: Vec<ArchiveError>,
}

/// Hands every event of a segment's file to `each`, by position, each one
/// checked against its leaf.
pub fn each_event(
    segment: &Segment,
    bytes: &Bytes,
    mut each: impl FnMut(RecordedEvent) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let object = &segment.path;
    let damaged = |reason: String| ArchiveError::Damaged { object: object.clone(), reason };
    let file = SegmentFile::of(segment, bytes)?;
    let columns: Vec<String> = schema::ENVELOPE.map(str::to_owned).into();
    let (mut events, mut last) = (0, segment.first - 1);
    for group in 0..file.row_groups() {
        for batch in file.slice(bytes, group, &columns)?.decode()? {
            let batch = batch?;
            let mut rows = Events::new(&batch, object)?;
            for row in 0..batch.num_rows() {
                let event = rows.event(row, object)?;
                if event.position <= last || event.position > segment.last {
                    return Err(damaged(format!("position {} is out of place", event.position)));
                }
                if *event.event_type != *segment.event_type {
                    return Err(damaged(format!("position {} has another type", event.position)));
                }
                (events, last) = (events + 1, event.position);
                each(event)?;
            }
        }
    }
    match events == segment.events {
        true => Ok(()),
        false => Err(damaged(format!("it holds {events} events, {} were sealed", segment.events))),
    }
}

impl ArchiveStore {
    /// Reads a segment back: its bytes' hash, the number of its events, and
    /// each leaf. Returns the sum of its positions.
    pub async fn verify_segment(&self, segment: &Segment) -> Result<u128, ArchiveError> {
        let bytes = self.get_segment(segment).await?;
        let segment = segment.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let mut sum = 0_u128;
            each_event(&segment, &bytes, |event| {
                sum += u128::from(event.position);
                Ok(())
            })?;
            Ok(sum)
        });
        checked.await.map_err(|e| ArchiveError::Unavailable(e.to_string()))?
    }

    /// Reads everything back. Problems are gathered, not returned at the first;
    /// only a store that does not answer ends it.
    pub async fn verify(&self, manifest: &Manifest) -> Result<Verdict, ArchiveError> {
        let mut verdict = Verdict::default();
        let mut sum = 0_u128;
        let segments = manifest.segments.iter();
        let checks = segments.map(|segment| async move { (segment, self.verify_segment(segment).await) });
        let mut checks = std::pin::pin!(futures::stream::iter(checks).buffered(AT_ONCE));
        while let Some((segment, checked)) = checks.next().await {
            verdict.segments += 1;
            verdict.events += segment.events;
            verdict.bytes += segment.bytes;
            match checked {
                Ok(positions) => sum += positions,
                Err(unavailable @ ArchiveError::Unavailable(_)) => return Err(unavailable),
                Err(problem) => verdict.problems.push(problem),
            }
        }
        // As many events as positions; the sum tells that none stands twice.
        let through = u128::from(manifest.through);
        if verdict.problems.is_empty() && sum != through * (through + 1) / 2 {
            let reason = "a position stands in two segments and another in none".to_owned();
            verdict.problems.push(ArchiveError::Damaged { object: "the manifest".to_owned(), reason });
        }
        Ok(verdict)
    }
}
