//! Objects and manifests: what is put, what is read back, and what went wrong.
//!
//! **The one rule:** a manifest is created, never overwritten. Two archivers
//! that start from the same manifest both want to create the next number, and
//! the store lets one of them. So no lease and no clock decides who may write,
//! and a paused archiver finds out that it was overtaken.
//!
//! `manifest/newest` notes the number of the newest manifest. It may lag (its
//! writer may die before it), so readers go on from it to the last number that
//! exists. Only if the note is gone are the manifests listed.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use domain::ports::archive::ArchiveError;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::manifest::{Manifest, Segment};
use crate::{hash, names};

/// Manifests kept behind the newest one.
const KEPT_MANIFESTS: u64 = 100;

#[derive(Clone)]
pub struct ArchiveStore {
    objects: Arc<dyn ObjectStore>,
    /// Where objects lie as files, to be made durable.
    folder: Option<PathBuf>,
    /// For messages; without secrets.
    name: Arc<str>,
}

impl ArchiveStore {
    pub fn new(objects: Arc<dyn ObjectStore>, name: &str) -> Self {
        Self { objects, folder: None, name: name.into() }
    }

    pub(crate) fn in_folder(objects: Arc<dyn ObjectStore>, folder: PathBuf) -> Self {
        let name = folder.display().to_string().into();
        Self { objects, folder: Some(folder), name }
    }

    /// For engines that read Parquet themselves: paths are those of the
    /// manifest's segments.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.objects.clone()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a segment under its name. A file of that name with the same bytes
    /// was left by an interrupted step and is taken; one with other bytes may be
    /// another archiver's, so this segment gets a name beside it.
    pub(crate) async fn put_segment(
        &self,
        mut segment: Segment,
        bytes: Bytes,
    ) -> Result<Segment, ArchiveError> {
        loop {
            let path = segment.path.as_str();
            match self.put(path, bytes.clone(), PutMode::Create).await {
                Ok(()) => return Ok(segment),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                }
                Err(error) => return Err(failed(path, error)),
            }
            if self.get(path).await? == bytes {
                self.make_durable(path).await?;
                return Ok(segment);
            }
            let beside = names::beside(path, &segment.sha256);
            if path != names::segment(&segment.event_type, segment.first, segment.last) {
                return Err(self.blame(&segment, 0));
            }
            tracing::warn!(path, "the name is taken by another content");
            segment.path = beside;
        }
    }

    pub(crate) async fn put(&self, path: &str, bytes: Bytes, mode: PutMode) -> object_store::Result<()> {
        self.objects.put_opts(&names::path(path), PutPayload::from(bytes), mode.into()).await?;
        self.make_durable(path)
            .await
            .map_err(|e| object_store::Error::Generic { store: "folder", source: e.to_string().into() })
    }

    /// Puts an object whose name says what it holds: what is there of that name
    /// is the same. Durable when it returns.
    pub async fn put_object(&self, path: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        self.put(path, bytes, PutMode::Overwrite).await.map_err(|e| failed(path, e))
    }

    /// An object's bytes, as they are there.
    pub async fn get_object(&self, path: &str) -> Result<Bytes, ArchiveError> {
        self.get(path).await
    }

    /// An object store has the object on disk once it says so; a file system
    /// only after being told.
    pub(crate) async fn make_durable(&self, path: &str) -> Result<(), ArchiveError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (root, file) = (folder.clone(), folder.join(path));
        let synced = tokio::task::spawn_blocking(move || {
            std::fs::File::open(&file)?.sync_all()?;
            let mut inside = file.as_path();
            while let Some(parent) = inside.parent() {
                std::fs::File::open(parent)?.sync_all()?;
                if parent == root {
                    break;
                }
                inside = parent;
            }
            Ok::<_, std::io::Error>(())
        });
        let synced = synced.await.map_err(|e| ArchiveError::Unavailable(e.to_string()))?;
        synced.map_err(|e| ArchiveError::Unavailable(format!("{path}: {e}")))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Bytes, ArchiveError> {
        let got = self.objects.get(&names::path(path)).await.map_err(|e| failed(path, e))?;
        got.bytes().await.map_err(|e| failed(path, e))
    }

    /// A segment's bytes, which are those that were sealed.
    pub async fn get_segment(&self, segment: &Segment) -> Result<Bytes, ArchiveError> {
        let bytes = self.get(&segment.path).await?;
        let sealed = bytes.len() as u64 == segment.bytes && hex::encode(hash(&bytes)) == segment.sha256;
        if sealed { Ok(bytes) } else { Err(self.blame(segment, bytes.len() as u64)) }
    }

    /// Parts of a segment; the caller checks what they hold.
    pub(crate) async fn get_ranges(
        &self,
        segment: &Segment,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<Bytes>, ArchiveError> {
        let path = names::path(&segment.path);
        match self.objects.get_ranges(&path, ranges).await {
            Ok(parts) if parts.iter().zip(ranges).all(|(p, r)| p.len() as u64 == r.end - r.start) => {
                Ok(parts)
            }
            Ok(_) => Err(self.wrong_length(segment).await.unwrap_or_else(|| self.blame(segment, 0))),
            Err(error) => match failed(&segment.path, error) {
                missing @ ArchiveError::Missing { .. } => Err(missing),
                // A file that was cut short refuses ranges past its end.
                other => Err(self.wrong_length(segment).await.unwrap_or(other)),
            },
        }
    }

    async fn wrong_length(&self, segment: &Segment) -> Option<ArchiveError> {
        let meta = self.objects.head(&names::path(&segment.path)).await.ok()?;
        (meta.size != segment.bytes).then(|| self.blame(segment, meta.size))
    }

    fn blame(&self, segment: &Segment, bytes: u64) -> ArchiveError {
        let reason = match bytes == segment.bytes {
            true => "its bytes are not those that were sealed".to_owned(),
            false => format!("it has {bytes} bytes, {} were sealed", segment.bytes),
        };
        ArchiveError::Damaged { object: segment.path.clone(), reason }
    }

    /// The newest manifest; `None` for an archive that holds nothing yet.
    pub async fn manifest(&self) -> Result<Option<Manifest>, ArchiveError> {
        let noted = match self.get(names::NEWEST).await {
            Ok(text) => std::str::from_utf8(&text).ok().and_then(|t| t.trim().parse::<u64>().ok()),
            Err(ArchiveError::Missing { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut newest = match noted {
            Some(number) => self.manifest_text(number).await?.map(|text| (number, text)),
            None => None,
        };
        if newest.is_none()
            && let Some(number) = self.last_listed().await?
        {
            newest = self.manifest_text(number).await?.map(|text| (number, text));
        }
        let Some((mut number, mut text)) = newest else { return Ok(None) };
        while let Some(next) = self.manifest_text(number + 1).await? {
            (number, text) = (number + 1, next);
        }
        Manifest::parse(number, &text).map(Some)
    }

    async fn manifest_text(&self, number: u64) -> Result<Option<Bytes>, ArchiveError> {
        match self.get(&names::manifest(number)).await {
            Ok(text) => Ok(Some(text)),
            Err(ArchiveError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn last_listed(&self) -> Result<Option<u64>, ArchiveError> {
        let listed = self.list(names::MANIFESTS).await?;
        Ok(listed.iter().filter_map(|o| names::manifest_number(o.location.as_ref())).max())
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, ArchiveError> {
        let listed = self.objects.list(Some(&names::path(prefix)));
        listed.try_collect().await.map_err(|e| failed(prefix, e))
    }

    /// Creates the manifest that follows `previous`: what it says, from now on
    /// counts. [`ArchiveError::Overtaken`] if there is another one.
    pub(crate) async fn commit(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        manifest.check().map_err(|reason| ArchiveError::Log(format!("not a manifest: {reason}")))?;
        let path = names::manifest(manifest.number);
        let text = Bytes::from(manifest.to_text()?);
        match self.put(&path, text.clone(), PutMode::Create).await {
            Ok(()) => {}
            // It may be ours: an answer was lost and the request repeated.
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                if self.get(&path).await? != text {
                    return Err(ArchiveError::Overtaken);
                }
            }
            Err(error) => return Err(failed(&path, error)),
        }
        // Only a note; readers find the manifest without it.
        let note = Bytes::from(format!("{}\n", manifest.number));
        if let Err(error) = self.put(names::NEWEST, note, PutMode::Overwrite).await {
            tracing::warn!(%error, "the number of the newest manifest could not be noted");
        }
        if let Some(old) = manifest.number.checked_sub(KEPT_MANIFESTS) {
            self.delete(&names::manifest(old)).await?;
        }
        Ok(())
    }

    /// The hash that the manifest after this one names.
    pub(crate) fn link(manifest: &Manifest) -> Result<String, ArchiveError> {
        Ok(hex::encode(hash(manifest.to_text()?.as_bytes())))
    }

    /// Deleting what is gone is done.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ArchiveError> {
        match self.objects.delete(&names::path(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }
}

/// What an error of the store means for us.
pub(crate) fn failed(path: &str, error: object_store::Error) -> ArchiveError {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return ArchiveError::Missing { object: path.to_owned() };
    }
    if no_room(&error) {
        return ArchiveError::Full(format!("{path}: {error}"));
    }
    ArchiveError::Unavailable(format!("{path}: {error}"))
}

fn no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded)) {
            return true;
        }
        next = error.source();
    }
    false
}
