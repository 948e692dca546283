//! Objects and manifests, over the stores that the archive knows.
//!
//! **The one rule:** a manifest is created, never overwritten. Of two processes
//! that go on from the same manifest one creates the next, the other finds out.

use bytes::Bytes;
use infra_archive::ArchiveStore;

use crate::error::WarehouseError;
use crate::manifest::{File, Manifest};
use crate::plan::Plan;
use crate::{hash, names};

/// Manifests kept behind the newest one.
const KEPT_MANIFESTS: u64 = 20;

#[derive(Clone)]
pub struct WarehouseStore {
    pub(crate) objects: ArchiveStore,
}

type Result<T, E = WarehouseError> = std::result::Result<T, E>;

impl WarehouseStore {
    pub fn new(objects: ArchiveStore) -> Self {
        Self { objects }
    }

    /// For messages; without secrets. A folder's absolute path or a URL.
    pub fn name(&self) -> &str {
        self.objects.name()
    }

    async fn optional(&self, path: &str) -> Result<Option<Bytes>> {
        match self.objects.object(path).await.map_err(WarehouseError::from) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(WarehouseError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest manifest; `None` for a warehouse that holds nothing yet.
    pub async fn manifest(&self) -> Result<Option<Manifest>> {
        let noted = self.optional(names::NEWEST).await?;
        let noted = noted.and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse::<u64>().ok());
        let mut newest = match noted {
            Some(number) => self.manifest_text(number).await?,
            None => None,
        };
        if newest.is_none() {
            let listed = self.objects.objects_in(names::MANIFESTS).await?;
            if let Some(number) = listed.iter().filter_map(|o| names::number(&o.path)).max() {
                newest = self.manifest_text(number).await?;
            }
        }
        let Some((mut number, mut text)) = newest else { return Ok(None) };
        // The note may lag.
        while let Some(next) = self.manifest_text(number + 1).await? {
            (number, text) = next;
        }
        Manifest::parse(number, &text).map(Some)
    }

    async fn manifest_text(&self, number: u64) -> Result<Option<(u64, Bytes)>> {
        Ok(self.optional(&names::manifest(number)).await?.map(|text| (number, text)))
    }

    /// Creates the manifest: what it says, from now on counts.
    pub(crate) async fn commit(&self, manifest: &Manifest) -> Result<()> {
        let (path, text) = (names::manifest(manifest.number), Bytes::from(manifest.to_text()?));
        // It may be ours: an answer was lost and the request repeated.
        if !self.objects.create_object(&path, text.clone()).await?
            && self.objects.object(&path).await? != text
        {
            return Err(WarehouseError::Overtaken);
        }
        let note = Bytes::from(format!("{}\n", manifest.number));
        if let Err(error) = self.objects.replace_object(names::NEWEST, note).await {
            tracing::warn!(%error, "the number of the newest manifest could not be noted");
        }
        if let Some(old) = manifest.number.checked_sub(KEPT_MANIFESTS) {
            self.objects.delete_object(&names::manifest(old)).await?;
        }
        Ok(())
    }

    /// The plan of the batch past this position, if there is one.
    pub(crate) async fn planned(&self, after: u64) -> Result<Option<Plan>> {
        let path = names::plan(after);
        let Some(text) = self.optional(&path).await? else { return Ok(None) };
        Plan::parse(&path, &text).map(Some)
    }

    /// Whichever plan is there first holds, and is returned.
    pub(crate) async fn plan(&self, after: u64, plan: Plan) -> Result<Plan> {
        if self.objects.create_object(&names::plan(after), plan.to_text()?).await? {
            return Ok(plan);
        }
        let there = self.planned(after).await?;
        there.ok_or(WarehouseError::Overtaken)
    }

    /// Puts a file under its name. The same bytes there were left by an
    /// interrupted step and are taken; other bytes may be somebody's, so this file
    /// gets a name beside them.
    pub(crate) async fn put(&self, mut file: File, bytes: Bytes) -> Result<File> {
        let named = file.path.clone();
        for path in [named.clone(), names::beside(&named, &file.sha256)] {
            if self.objects.create_object(&path, bytes.clone()).await?
                || self.objects.object(&path).await? == bytes
            {
                file.path = path;
                return Ok(file);
            }
            tracing::warn!(path, "the name is taken by another content");
        }
        Err(WarehouseError::Damaged { object: named, reason: "its bytes are not those put".into() })
    }

    /// A file's bytes, which are those that were written.
    pub async fn get(&self, file: &File) -> Result<Bytes> {
        let bytes = self.objects.object(&file.path).await?;
        match hash(&bytes) == file.sha256 {
            true => Ok(bytes),
            false => Err(WarehouseError::Damaged {
                object: file.path.clone(),
                reason: "its bytes are not those that were written".to_owned(),
            }),
        }
    }
}
