//! The list of keys that were erased.

use domain::ports::archive::ArchiveError;
use domain::ports::erasure::{ErasedKeys, ErasedList};
use domain::ports::keys::KeyId;
use domain::{Subject, TenantId};

use super::bed::*;

fn erased(position: u64, band: &str, keys: &[u8], at: &str) -> ErasedKeys {
    ErasedKeys {
        tenant: TenantId::new("acme").unwrap(),
        subject: Subject::new("band", band).unwrap(),
        position,
        at: at.parse().unwrap(),
        keys: keys.iter().map(|n| KeyId([*n; 12])).collect(),
    }
}

#[tokio::test]
async fn what_was_noted_stays_noted() {
    let bed = Bed::new();
    let store = bed.store();
    assert_eq!(store.all().await.unwrap(), vec![]);
    let (first, second) =
        (erased(7, "b1", &[1, 2], "2026-07-01T00:00:00Z"), erased(9, "b2", &[3], "2026-07-02T00:00:00Z"));
    for noted in [&first, &second, &first] {
        store.note(noted).await.unwrap();
    }
    assert_eq!(store.all().await.unwrap(), vec![first.clone(), second]);
    // The same keys again, of a log that was set back.
    store.note(&ErasedKeys { at: "2026-07-03T00:00:00Z".parse().unwrap(), ..first.clone() }).await.unwrap();
    let foreign = store.note(&erased(7, "b5", &[1], "2026-07-01T00:00:00Z")).await.unwrap_err();
    assert!(matches!(foreign, ArchiveError::Foreign(_)), "{foreign}");
    assert!(store.all().await.unwrap().contains(&first));
}
