//! Small files of an hour become large ones, and what nobody needs goes.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use crate::columns::schema;
use crate::encode::Encoder;
use crate::error::{WarehouseError, died};
use crate::hash;
use crate::manifest::{File, Manifest, Retired};
use crate::names::{self};
use crate::write::{Settings, Warehouse};

/// Small files of an hour that is over, merged although another is large.
const MANY: usize = 8;

/// Neighbours to be merged next, as a range of `files`: small ones that are
/// enough for a large file at any time, fewer once their hour is over. A late
/// signal does not cause all of its hour to be written again: then its file waits
/// for others like it.
fn plan(files: &[File], settings: &Settings, now: Timestamp) -> Option<Range<usize>> {
    let mut start = 0;
    while start < files.len() {
        let run = files[start..].iter().take_while(|f| f.partition() == files[start].partition()).count();
        if let Some(range) = plan_hour(&files[start..start + run], settings, now) {
            return Some(start + range.start..start + range.end);
        }
        start += run;
    }
    None
}

fn plan_hour(files: &[File], settings: &Settings, now: Timestamp) -> Option<Range<usize>> {
    let pause = SignedDuration::try_from(settings.closed_after).unwrap_or(SignedDuration::MAX);
    let closed = files.first()?.hour.end().is_none_or(|end| now.duration_since(end) >= pause);
    let small = |f: &File| f.bytes < settings.small_bytes;
    let mut start = 0;
    while start < files.len() {
        let mut bytes = 0;
        let fits = |f: &&File| {
            bytes += f.bytes;
            small(f) && bytes <= settings.large_bytes
        };
        let count = files[start..].iter().take_while(fits).count();
        let run = &files[start..start + count];
        let sum: u64 = run.iter().map(|f| f.bytes).sum();
        let largest = run.iter().map(|f| f.bytes).max().unwrap_or(0);
        let worth = sum >= settings.small_bytes || count >= MANY || largest + largest / 2 <= sum;
        if count >= 2 && worth && (closed || sum >= settings.small_bytes) {
            return Some(start..start + count);
        }
        start += count.max(1);
    }
    None
}

impl Warehouse {
    /// Merges some neighbours, if any are worth it. Returns the merged file.
    pub async fn compact(&self) -> Result<Option<File>, WarehouseError> {
        let Some(manifest) = self.store.manifest().await? else { return Ok(None) };
        let now = self.clock.now();
        let Some(range) = plan(&manifest.files, &self.settings, now) else { return Ok(None) };
        let parts = manifest.files[range.clone()].to_vec();
        let (codec, rows) = (self.settings.codec, self.settings.row_group_rows);
        let mut encoder = Encoder::new(schema(), codec, rows)?;
        for part in &parts {
            let (bytes, expected) = (self.store.get(part).await?, part.rows);
            let path = part.path.clone();
            let appended = tokio::task::spawn_blocking(move || {
                let rows = encoder.append(bytes)?;
                match rows == expected {
                    true => Ok(encoder),
                    false => {
                        Err(WarehouseError::Damaged { object: path, reason: format!("it has {rows} rows") })
                    }
                }
            });
            encoder = appended.await.map_err(died)??;
        }
        let bytes = tokio::task::spawn_blocking(|| encoder.finish()).await.map_err(died)??;
        let Some(merged) = merged(&parts, &bytes) else { return Ok(None) };
        let merged = self.store.put(merged, bytes).await?;
        let mut next = Manifest::successor(Some(&manifest), now)?;
        let at = next.written_at;
        let parts: Vec<File> = next.files.splice(range, [merged.clone()]).collect();
        next.retired.extend(parts.iter().map(|part| Retired { path: part.path.clone(), at }));
        self.store.commit(&next).await?;
        self.store.publish(&next, &merged.tenant).await?;
        tracing::info!(files = parts.len(), path = merged.path, bytes = merged.bytes, "merged");
        Ok(Some(merged))
    }

    /// Deletes files that were merged away and that no manifest names, once they
    /// are older than the grace. Lists are brought up to date before, so that none
    /// names what is gone. Returns how many.
    pub async fn sweep(&self) -> Result<usize, WarehouseError> {
        // Listed first: what is named by then is not deleted.
        let listed = self.store.objects.objects_in("").await?;
        let Some(manifest) = self.store.manifest().await? else { return Ok(0) };
        for tenant in manifest.tenants() {
            self.store.publish(&manifest, tenant).await?;
        }
        let now = self.clock.now().max(manifest.written_at);
        let grace = SignedDuration::try_from(self.settings.grace).unwrap_or(SignedDuration::MAX);
        let old = |at: Timestamp| now.duration_since(at) >= grace;
        let (gone, kept): (Vec<Retired>, Vec<Retired>) =
            manifest.retired.iter().cloned().partition(|r| old(r.at));
        for retired in &gone {
            self.store.objects.delete_object(&retired.path).await?;
        }
        let named = manifest.files.iter().map(|f| &*f.path).chain(manifest.retired.iter().map(|r| &*r.path));
        let named: BTreeSet<&str> = named.collect();
        let mut deleted = gone.len();
        for object in listed.iter().filter(|o| o.path.starts_with("tenant=") && old(o.modified)) {
            // Files past the end are what somebody is about to name.
            let covered = names::last_of(&object.path).is_some_and(|last| last <= manifest.through);
            if covered && !named.contains(&*object.path) {
                self.store.objects.delete_object(&object.path).await?;
                deleted += 1;
            }
        }
        for object in listed.iter().filter(|o| o.path.starts_with(names::PLANS)) {
            if names::number(&object.path).is_some_and(|after| after < manifest.through) {
                self.store.objects.delete_object(&object.path).await?;
            }
        }
        if !gone.is_empty() {
            let mut next = Manifest::successor(Some(&manifest), now)?;
            next.retired = kept;
            self.store.commit(&next).await?;
        }
        Ok(deleted)
    }
}

fn merged(parts: &[File], bytes: &bytes::Bytes) -> Option<File> {
    let (first, last) = (parts.first()?, parts.last()?);
    Some(File {
        path: names::file(&first.tenant, &first.app, &first.hour, first.first, last.last),
        last: last.last,
        rows: parts.iter().map(|p| p.rows).sum(),
        bytes: bytes.len() as u64,
        sha256: hash(bytes),
        ..first.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Hour;

    const MIB: u64 = 1 << 20;
    const HOUR: &str = "2026-07-01T12:00:00Z";

    fn files(sizes: &[u64]) -> Vec<File> {
        let hour = Hour::of(HOUR.parse().unwrap());
        let one = |(i, size): (usize, &u64)| File {
            path: i.to_string(),
            tenant: "acme".into(),
            app: "shop".into(),
            hour: hour.clone(),
            first: i as u64 + 1,
            last: i as u64 + 1,
            rows: 1,
            bytes: size * MIB,
            sha256: String::new(),
        };
        sizes.iter().enumerate().map(one).collect()
    }

    #[test]
    fn what_is_merged_and_when() {
        let settings = Settings::default();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (open, closed) = (at("2026-07-01T12:30:00Z"), at("2026-07-01T14:00:00Z"));
        let plan = |sizes: &[u64], now| plan(&files(sizes), &settings, now);
        assert_eq!(plan(&[1, 1, 1], open), None, "its hour goes on");
        assert_eq!(plan(&[1, 1, 1], closed), Some(0..3));
        assert_eq!(plan(&[70, 70], open), Some(0..2), "enough for a large file");
        assert_eq!(plan(&[200, 1], closed), None);
        assert_eq!(plan(&[100, 1], closed), None, "a late file waits for others");
        assert_eq!(plan(&[100, 1, 1, 1, 1, 1, 1, 1], closed), Some(0..8));
        assert_eq!(plan(&[127; 5], closed), Some(0..4), "no larger than 512 MiB");
        assert_eq!(plan(&[300, 2, 9], closed), None);
        assert_eq!(plan(&[300, 2, 2], closed), Some(1..3));
        let mut hours = files(&[1, 1]);
        hours[1].hour.hour = 13;
        assert_eq!(super::plan(&hours, &settings, at("2026-07-02T00:00:00Z")), None);
    }
}
