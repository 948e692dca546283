//! Results of runs as Parquet objects, named by the hash of their bytes.
//!
//! The same cells make the same bytes, so a task that is computed twice is one
//! object. Reading compares the bytes with the name.

mod decode;
mod encode;
mod table;

use async_trait::async_trait;
use bytes::Bytes;
use domain::TenantId;
use domain::ports::archive::ArchiveError;
use domain::ports::results::{ResultError, Results, Stored, Table, TableFormat};
use domain::valuation::cells::TaskCells;
use infra_archive::ArchiveStore;
use sha2::{Digest, Sha256};

/// Where the archive could lie, results can: a folder or an object store.
#[derive(Clone)]
pub struct ObjectResults {
    store: ArchiveStore,
}

impl ObjectResults {
    pub fn new(store: ArchiveStore) -> Self {
        Self { store }
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// `acme/9f/9f86….parquet`. Ids of tenants have no slash.
fn path(tenant: &TenantId, sha256: &str) -> Result<String, ResultError> {
    let fine = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    match fine {
        true => Ok(format!("{tenant}/{}/{sha256}.parquet", &sha256[..2])),
        false => Err(ResultError::Missing { object: sha256.chars().take(64).collect() }),
    }
}

fn error(error: ArchiveError) -> ResultError {
    match error {
        ArchiveError::Missing { object } => ResultError::Missing { object },
        ArchiveError::Damaged { object, reason } => ResultError::Damaged { object, reason },
        other => ResultError::Unavailable(other.to_string()),
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ResultError> + Send + 'static,
) -> Result<T, ResultError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| ResultError::Unavailable(e.to_string()))?
}

#[async_trait]
impl Results for ObjectResults {
    async fn put(&self, tenant: &TenantId, cells: TaskCells) -> Result<Stored, ResultError> {
        let bytes = on_a_thread(move || encode::encode(&cells).map(Bytes::from)).await?;
        let stored = Stored { sha256: hash(&bytes), bytes: bytes.len() as u64 };
        let path = path(tenant, &stored.sha256)?;
        self.store.put_object(&path, bytes).await.map_err(error)?;
        Ok(stored)
    }

    async fn get(
        &self,
        tenant: &TenantId,
        sha256: &str,
        measures: &[String],
    ) -> Result<TaskCells, ResultError> {
        let path = path(tenant, sha256)?;
        let bytes = self.store.get_object(&path).await.map_err(error)?;
        let (name, measures) = (sha256.to_owned(), measures.to_vec());
        on_a_thread(move || {
            if hash(&bytes) != name {
                let reason = "its bytes are not those that it is named after".to_owned();
                return Err(ResultError::Damaged { object: name, reason });
            }
            decode::decode(bytes, &measures).map_err(|reason| ResultError::Damaged { object: name, reason })
        })
        .await
    }

    fn table(&self, table: Table, format: TableFormat) -> Result<Vec<u8>, ResultError> {
        table::encode(table, format)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::valuation::cells::{Column, Dimensions, Flagged, Rates, Unit};

    use super::*;

    fn cells() -> TaskCells {
        let position = |id: &str, currency: Option<&str>| Dimensions {
            position_id: id.into(),
            book: "DESK/A".into(),
            product_type: "CASH".into(),
            currency: currency.map(Into::into),
            tags: BTreeMap::from([("strategy".to_owned(), "carry".to_owned())]),
            ..Dimensions::default()
        };
        let column = |measure: &str, unit| Column {
            measure: measure.into(),
            unit,
            qualities: vec!["ok".into(), "stale".into(), "ok".into()],
            flagged: vec![Flagged { from: 4, to: 6, code: "bad_terms".into(), reason: "no amount".into() }],
            details: BTreeMap::from([(0, "{\"a\":1}".to_owned())]),
            values: vec![1.5, -0.25, f64::MIN_POSITIVE, 1e300, f64::NAN, f64::NAN],
        };
        TaskCells {
            model: "pricing@1".into(),
            base_currency: Some("USD".into()),
            positions: vec![position("a", Some("USD")), position("b", Some("EUR")), position("c", None)],
            scenarios: vec!["BASE".into(), "UP".into()],
            rates: vec![
                Rates { currency: "EUR".into(), to_base: vec![Some(1.1), None] },
                Rates { currency: "USD".into(), to_base: vec![Some(1.0), Some(1.0)] },
            ],
            columns: vec![column("PV", Unit::Trade), column("YIELD", Unit::Plain)],
        }
    }

    #[tokio::test]
    async fn cells_are_one_object_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let results = ObjectResults::new(ArchiveStore::folder(folder.path()).unwrap());
        let tenant = TenantId::new("acme").unwrap();
        let stored = results.put(&tenant, cells()).await.unwrap();
        assert_eq!(results.put(&tenant, cells()).await.unwrap(), stored);
        let all = ["YIELD".to_owned(), "PV".to_owned()];
        let back = results.get(&tenant, &stored.sha256, &all).await.unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", cells()));
        let one = results.get(&tenant, &stored.sha256, &all[1..]).await.unwrap();
        assert_eq!(one.columns.len(), 1);
        let other = results.get(&TenantId::new("other").unwrap(), &stored.sha256, &all).await;
        assert!(matches!(other, Err(ResultError::Missing { .. })), "{other:?}");
        assert!(results.get(&tenant, "../x", &all).await.is_err());
    }

    #[tokio::test]
    async fn what_was_changed_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let results = ObjectResults::new(ArchiveStore::folder(folder.path()).unwrap());
        let tenant = TenantId::new("acme").unwrap();
        let stored = results.put(&tenant, cells()).await.unwrap();
        let file = folder.path().join(path(&tenant, &stored.sha256).unwrap());
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let read = results.get(&tenant, &stored.sha256, &[]).await;
        assert!(matches!(read, Err(ResultError::Damaged { .. })), "{read:?}");
    }
}
