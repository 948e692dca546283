//! Keys that were erased, listed beside what they had sealed: an archive that
//! brings a log back says which keys must not come back with it.

use async_trait::async_trait;
use bytes::Bytes;
use domain::ports::archive::ArchiveError;
use domain::ports::erasure::{ErasedKeys, ErasedList};
use object_store::PutMode;

use crate::names;
use crate::store::{ArchiveStore, failed};

fn parsed(path: &str, text: &[u8]) -> Result<ErasedKeys, ArchiveError> {
    let damaged =
        |e: serde_json::Error| ArchiveError::Damaged { object: path.to_owned(), reason: e.to_string() };
    serde_json::from_slice(text).map_err(damaged)
}

#[async_trait]
impl ErasedList for ArchiveStore {
    async fn note(&self, erased: &ErasedKeys) -> Result<(), ArchiveError> {
        let Some(key) = erased.keys.first() else { return Ok(()) };
        let path = names::erased(erased.position, &key.to_string());
        let text = serde_json::to_string(erased).map_err(|e| ArchiveError::Log(e.to_string()))?;
        let text = Bytes::from(format!("{text}\n"));
        match self.put(&path, text, PutMode::Create).await {
            Ok(()) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // By a process that died, by one that is at it, too, or from before
                // the log was set back.
                let there = parsed(&path, &self.get(&path).await?)?;
                let of_same = there.tenant == erased.tenant && there.subject == erased.subject;
                match of_same && erased.keys.iter().all(|key| there.keys.contains(key)) {
                    true => self.make_durable(&path).await,
                    false => Err(ArchiveError::Foreign(format!("{path} names other keys"))),
                }
            }
            Err(error) => Err(failed(&path, error)),
        }
    }

    async fn all(&self) -> Result<Vec<ErasedKeys>, ArchiveError> {
        let mut all = Vec::new();
        for object in self.list(names::ERASED).await? {
            let path = object.location.as_ref();
            all.push(parsed(path, &self.get(path).await?)?);
        }
        Ok(all)
    }
}
