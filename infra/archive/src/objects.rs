//! Objects by their exact names, for whoever keeps files of its own in a folder
//! or a store. Names may have `%` in them, which stays as it is.

use bytes::Bytes;
use domain::ports::archive::ArchiveError;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload};

use crate::store::{ArchiveStore, failed};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub bytes: u64,
    pub modified: Timestamp,
}

fn exact(path: &str) -> Result<Path, ArchiveError> {
    Path::parse(path).map_err(|e| ArchiveError::Log(format!("{path} names no object: {e}")))
}

impl ArchiveStore {
    /// Puts what is not there yet. False: something is, which may be the same.
    pub async fn create_object(&self, path: &str, bytes: Bytes) -> Result<bool, ArchiveError> {
        match self.objects().put_opts(&exact(path)?, PutPayload::from(bytes), PutMode::Create.into()).await {
            Ok(_) => self.make_durable(path).await.map(|()| true),
            // Its writer may have died before it was on disk.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                self.make_durable(path).await.map(|()| false)
            }
            Err(error) => Err(failed(path, error)),
        }
    }

    pub async fn replace_object(&self, path: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let put = self.objects().put(&exact(path)?, PutPayload::from(bytes)).await;
        put.map_err(|e| failed(path, e))?;
        self.make_durable(path).await
    }

    /// [`ArchiveError::Missing`] if there is none.
    pub async fn object(&self, path: &str) -> Result<Bytes, ArchiveError> {
        let got = self.objects().get(&exact(path)?).await.map_err(|e| failed(path, e))?;
        got.bytes().await.map_err(|e| failed(path, e))
    }

    /// Deleting what is gone is done.
    pub async fn delete_object(&self, path: &str) -> Result<(), ArchiveError> {
        match self.objects().delete(&exact(path)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }

    /// Everything in this folder, however deep.
    pub async fn objects_in(&self, folder: &str) -> Result<Vec<Listed>, ArchiveError> {
        let prefix = exact(folder)?;
        let prefix = (!folder.is_empty()).then_some(&prefix);
        let listed: Vec<_> =
            self.objects().list(prefix).try_collect().await.map_err(|e| failed(folder, e))?;
        let modified = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        let one = |o: object_store::ObjectMeta| Listed {
            path: o.location.to_string(),
            bytes: o.size,
            modified: modified(o.last_modified.timestamp_millis()),
        };
        Ok(listed.into_iter().map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        for store in [ArchiveStore::memory(), ArchiveStore::folder(folder.path()).unwrap()] {
            let name = "tenant=a/events/app_id=x%3Ay/part.parquet";
            assert!(store.create_object(name, Bytes::from_static(b"1")).await.unwrap());
            assert!(!store.create_object(name, Bytes::from_static(b"2")).await.unwrap());
            assert_eq!(store.object(name).await.unwrap(), "1");
            let listed = store.objects_in("tenant=a").await.unwrap();
            assert_eq!(listed.iter().map(|o| &*o.path).collect::<Vec<_>>(), [name]);
            assert_eq!(store.objects_in("").await.unwrap(), listed);
            store.delete_object(name).await.unwrap();
            store.delete_object(name).await.unwrap();
            assert!(matches!(store.object(name).await, Err(ArchiveError::Missing { .. })));
        }
        assert!(ArchiveStore::memory().create_object("a/../b", Bytes::new()).await.is_err());
    }
}
