//! Small segments become large ones, and what nobody needs goes.

use std::collections::BTreeSet;

use domain::ports::archive::ArchiveError;
use jiff::{SignedDuration, Timestamp};
use object_store::ObjectMeta;

use crate::encode::{Encoded, Encoder};
use crate::manifest::{Manifest, Retired, Segment};
use crate::names;
use crate::seal::Archiver;
use crate::verify::each_event;

/// Small neighbours that are merged before they are enough for a large file.
const MANY: usize = 8;

/// Neighbours of one type to be merged next, as a range of `segments`.
///
/// Small ones that together make a large file are merged into it, oldest first.
/// Fewer are merged when there are many, but an older file only if the newer
/// ones are about its size; so an event is rewritten a few times, not each time.
fn plan(segments: &[Segment], large: u64) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    while start < segments.len() {
        let same = |s: &&Segment| s.event_type == segments[start].event_type && s.bytes < large;
        let run = segments[start..].iter().take_while(same).count();
        if let Some(range) = plan_run(&segments[start..start + run], large) {
            return Some(start + range.start..start + range.end);
        }
        start += run.max(1);
    }
    None
}

fn plan_run(run: &[Segment], large: u64) -> Option<std::ops::Range<usize>> {
    if run.len() < 2 {
        return None;
    }
    if run.iter().map(|s| s.bytes).sum::<u64>() >= large {
        let mut bytes = 0;
        let enough = run.iter().position(|s| {
            bytes += s.bytes;
            // Merging saves bytes; past the mark the result is large.
            bytes >= large + large / 8
        });
        return Some(0..enough.map_or(run.len(), |last| last + 1).max(2));
    }
    if run.len() < MANY {
        return None;
    }
    let mut start = run.len() - 1;
    let mut newer = run[start].bytes;
    while start > 0 && run[start - 1].bytes <= 2 * newer {
        start -= 1;
        newer += run[start].bytes;
    }
    (run.len() - start >= MANY / 2).then_some(start..run.len())
}

impl Archiver {
    /// Merges some neighbours, if any are worth it. Returns the merged
    /// segment.
    pub async fn merge(&self) -> Result<Option<Segment>, ArchiveError> {
        let Some(manifest) = self.store.manifest().await? else { return Ok(None) };
        let Some(range) = plan(&manifest.segments, self.settings.merge_bytes) else { return Ok(None) };
        let parts = manifest.segments[range.clone()].to_vec();
        let mut files = Vec::with_capacity(parts.len());
        for part in &parts {
            files.push(self.store.get_segment(part).await?);
        }
        let merged = tokio::task::spawn_blocking(move || {
            let mut encoder = Encoder::new(&parts[0].event_type)?;
            for (part, bytes) in parts.iter().zip(&files) {
                each_event(part, bytes, |event| encoder.push(&event))?;
            }
            encoder.finish(parts[0].first, parts[parts.len() - 1].last)
        });
        let merged = merged.await.map_err(|e| ArchiveError::Unavailable(e.to_string()))??;
        let Some(Encoded { bytes, segment }) = merged else { return Ok(None) };
        let segment = self.store.put_segment(segment, bytes).await?;
        self.store.verify_segment(&segment).await?;
        let mut next = self.successor(Some(&manifest), String::new())?;
        let at = next.written_at;
        let parts = next.segments.splice(range, [segment.clone()]);
        let retired: Vec<Retired> = parts.map(|part| Retired { path: part.path, at }).collect();
        let count = retired.len();
        next.retired.extend(retired);
        self.store.commit(&next).await?;
        tracing::info!(segments = count, path = segment.path, bytes = segment.bytes, "merged");
        Ok(Some(segment))
    }

    /// Deletes files that were merged away, and files that no manifest names,
    /// once they are older than the grace. Returns how many.
    pub async fn sweep(&self) -> Result<usize, ArchiveError> {
        // Listed first: what is named by then is not deleted.
        let listed = self.store.list(names::SEGMENTS).await?;
        let Some(manifest) = self.store.manifest().await? else { return Ok(0) };
        let now = self.clock.now().max(manifest.written_at);
        let grace = SignedDuration::try_from(self.settings.grace).unwrap_or(SignedDuration::MAX);
        let old = |at: Timestamp| now.duration_since(at) >= grace;
        let mut deleted = 0;
        let gone: Vec<Retired> = manifest.retired.iter().filter(|r| old(r.at)).cloned().collect();
        for retired in &gone {
            self.store.delete(&retired.path).await?;
            deleted += 1;
        }
        if !gone.is_empty() {
            let mut next = self.successor(Some(&manifest), String::new())?;
            next.retired.retain(|r| !gone.contains(r));
            self.store.commit(&next).await?;
        }
        Ok(deleted + self.sweep_unnamed(&manifest, &listed, old).await?)
    }

    /// Left by steps that were interrupted or overtaken.
    async fn sweep_unnamed(
        &self,
        manifest: &Manifest,
        listed: &[ObjectMeta],
        old: impl Fn(Timestamp) -> bool,
    ) -> Result<usize, ArchiveError> {
        let named = manifest.segments.iter().map(|s| s.path.as_str());
        let named: BTreeSet<&str> = named.chain(manifest.retired.iter().map(|r| r.path.as_str())).collect();
        let mut deleted = 0;
        for object in listed {
            let path = object.location.as_ref();
            // Files past the end are what an archiver is about to name.
            let covered = names::range_of(path).is_some_and(|(_, last)| last <= manifest.through);
            let modified = Timestamp::from_millisecond(object.last_modified.timestamp_millis());
            if covered && !named.contains(path) && modified.is_ok_and(&old) {
                self.store.delete(path).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn segments(of: &str, sizes: &[u64]) -> Vec<Segment> {
        let one = |(i, bytes): (usize, &u64)| Segment {
            path: format!("{of}{i}"),
            event_type: of.to_owned(),
            first: i as u64 + 1,
            last: i as u64 + 1,
            events: 1,
            bytes: *bytes,
            sha256: String::new(),
            footer_bytes: 0,
            footer_sha256: String::new(),
            schema: 1,
            recorded_from: Timestamp::UNIX_EPOCH,
            recorded_to: Timestamp::UNIX_EPOCH,
        };
        sizes.iter().enumerate().map(one).collect()
    }

    #[test]
    fn small_ones_that_make_a_large_one_are_merged() {
        let all = segments("a", &[100 * MIB, 40 * MIB, 30 * MIB, 10 * MIB, MIB]);
        assert_eq!(plan(&all, 64 * MIB), Some(1..4));
        assert_eq!(plan(&segments("a", &[100 * MIB, 40 * MIB, 10 * MIB]), 64 * MIB), None);
        let mut types = segments("a", &[40 * MIB]);
        types.extend(segments("b", &[40 * MIB, 40 * MIB]));
        assert_eq!(plan(&types, 64 * MIB), Some(1..3));
    }

    /// However much comes in small files, in the end nine tenths lie in large
    /// ones, and no byte was rewritten more than a few times.
    #[test]
    fn files_grow_large_and_are_rewritten_seldom() {
        let mut all: Vec<Segment> = Vec::new();
        let (mut written, mut rewritten) = (0, 0);
        for step in 0..2_000_u64 {
            all.extend(segments("a", &[MIB / 2 + (step * 7_919) % MIB]));
            written += all[all.len() - 1].bytes;
            while let Some(range) = plan(&all, 64 * MIB) {
                let bytes = all[range.clone()].iter().map(|s| s.bytes).sum();
                rewritten += bytes;
                all.splice(range, segments("a", &[bytes]));
            }
        }
        let large: u64 = all.iter().map(|s| s.bytes).filter(|b| *b >= 64 * MIB).sum();
        assert!(large * 10 >= written * 9, "{large} of {written}");
        assert!(rewritten < written * 6, "{rewritten} for {written}");
    }
}
