//! What every store of keys keeps, on SQLite and on PostgreSQL.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_tests::clock::FixedClock;
use daybook_tests::postgres::{Database, database};
use domain::ports::clock::Clock;
use domain::ports::keys::{
    DataKey, Found, Kek, KeyError, KeyId, KeyKeeping, KeyStore, StoredKey, StoredState,
};
use domain::{Secret, Subject, TenantId};
use infra_keys::{Keks, LocalKek, PostgresKeys, SqliteKeys};
use tempfile::TempDir;

trait Keys: KeyStore + KeyKeeping {}
impl<T: KeyStore + KeyKeeping> Keys for T {}

/// One database of keys, opened any number of times.
enum Bed {
    Sqlite(TempDir),
    Postgres(Database),
}

impl Bed {
    async fn open(&self, kek: char, older: &[char]) -> Box<dyn Keys> {
        let clock = Arc::new(FixedClock::at("2026-07-01T12:00:00Z"));
        let keks = Keks::new(local(kek), older.iter().map(|kek| local(*kek)).collect());
        match self {
            Self::Sqlite(_) => Box::new(SqliteKeys::open(&self.path(), keks, clock).await.unwrap()),
            Self::Postgres(database) => {
                Box::new(PostgresKeys::connect(&database.url, keks, clock).await.unwrap())
            }
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("daybook.keys.db"),
            Self::Postgres(_) => PathBuf::new(),
        }
    }
}

fn local(digit: char) -> Arc<dyn Kek> {
    Arc::new(LocalKek::parse(&Secret::new(digit.to_string().repeat(64))).unwrap())
}

async fn on_each(case: impl AsyncFn(&Bed)) {
    case(&Bed::Sqlite(tempfile::tempdir().unwrap())).await;
    if let Some(database) = database().await {
        case(&Bed::Postgres(database)).await;
    }
}

fn owner(tenant: &str, band: &str) -> (TenantId, Subject) {
    (TenantId::new(tenant).unwrap(), Subject::new("band", band).unwrap())
}

fn now() -> jiff::Timestamp {
    FixedClock::at("2026-07-01T13:00:00Z").now()
}

fn same(a: &DataKey, b: &DataKey) -> bool {
    a.id == b.id && a.bytes.reveal() == b.bytes.reveal()
}

async fn state(keys: &dyn Keys, id: KeyId) -> Result<&'static str, KeyError> {
    Ok(match keys.find(&[id]).await?.pop().unwrap() {
        Found::Key(_) => "there",
        Found::Destroyed => "destroyed",
        Found::Unknown => "unknown",
    })
}

#[tokio::test]
async fn each_subject_of_a_tenant_has_one_live_key() {
    on_each(async |bed| {
        let keys = bed.open('1', &[]).await;
        let asked = [owner("acme", "b1"), owner("acme", "b2"), owner("acme", "b1"), owner("other", "b1")];
        let made = keys.live(&asked).await.unwrap();
        assert!(same(&made[0], &made[2]));
        assert_eq!(made.iter().map(|k| k.id).collect::<HashSet<_>>().len(), 3);
        let again = bed.open('1', &[]).await.live(&asked).await.unwrap();
        assert!(made.iter().zip(&again).all(|(a, b)| same(a, b)), "kept");
        let ids: Vec<KeyId> = made.iter().map(|k| k.id).chain([KeyId([0; 12])]).collect();
        let found = keys.find(&ids).await.unwrap();
        for (made, found) in made.iter().zip(&found) {
            assert!(matches!(found, Found::Key(bytes) if bytes.reveal() == made.bytes.reveal()));
        }
        assert!(matches!(found.last(), Some(Found::Unknown)));
        assert!(keys.live(&[]).await.unwrap().is_empty() && keys.find(&[]).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_make_a_key_at_once_get_the_same() {
    on_each(async |bed| {
        let (one, two) = (bed.open('1', &[]).await, bed.open('1', &[]).await);
        let forward: Vec<_> = (0..200).map(|n| owner("acme", &format!("b{n}"))).collect();
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        let (a, b) = tokio::join!(one.live(&forward), two.live(&backward));
        let (a, mut b) = (a.unwrap(), b.unwrap());
        b.reverse();
        assert!(a.iter().zip(&b).all(|(a, b)| same(a, b)));
    })
    .await;
}

#[tokio::test]
async fn a_destroyed_key_is_remembered_and_the_subject_goes_on_with_another() {
    on_each(async |bed| {
        let keys = bed.open('1', &[]).await;
        let (b1, b2) = (owner("acme", "b1"), owner("acme", "b2"));
        let made = keys.live(&[b1.clone(), b2.clone()]).await.unwrap();
        let (gone, stays) = (made[0].id, made[1].id);
        let epoch = keys.epoch().await.unwrap();
        // Not by naming it as somebody else's.
        assert_eq!(keys.destroy(&b2.0, &b2.1, &[gone], now()).await, Ok(0));
        assert_eq!(keys.destroy(&owner("other", "b1").0, &b1.1, &[gone], now()).await, Ok(0));
        assert_eq!(state(&*keys, gone).await, Ok("there"));
        assert_eq!(keys.epoch().await.unwrap(), epoch);

        assert_eq!(keys.destroy(&b1.0, &b1.1, &[gone, gone], now()).await, Ok(1));
        assert!(keys.epoch().await.unwrap() > epoch);
        let epoch = keys.epoch().await.unwrap();
        assert_eq!(keys.destroy(&b1.0, &b1.1, &[gone], now()).await, Ok(0), "it may be repeated");
        assert_eq!(keys.epoch().await.unwrap(), epoch);
        assert_eq!(state(&*keys, gone).await, Ok("destroyed"));
        assert_eq!(state(&*bed.open('1', &[]).await, stays).await, Ok("there"));

        let fresh = keys.live(std::slice::from_ref(&b1)).await.unwrap().pop().unwrap();
        assert_ne!(fresh.id, gone);
        let of = keys.of(&b1.0, &b1.1).await.unwrap();
        let mut told: Vec<_> = of.iter().map(|k| (k.id, k.destroyed_at)).collect();
        let mut meant = vec![(gone, Some(now())), (fresh.id, None)];
        told.sort_unstable();
        meant.sort_unstable();
        assert_eq!(told, meant);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_not_there_can_be_noted_as_destroyed() {
    on_each(async |bed| {
        let keys = bed.open('1', &[]).await;
        let (tenant, subject) = owner("acme", "b1");
        let lost = KeyId([7; 12]);
        assert_eq!(state(&*keys, lost).await, Ok("unknown"));
        assert_eq!(keys.destroy(&tenant, &subject, &[lost], now()).await, Ok(1));
        assert_eq!(state(&*keys, lost).await, Ok("destroyed"));
        let wrapped = StoredKey {
            id: lost,
            tenant: tenant.clone(),
            subject: subject.clone(),
            made_at: now(),
            state: stored(bed, "b9").await.state,
        };
        // An old copy does not bring it back; this one would not even unwrap.
        assert!(keys.import(&[wrapped]).await.is_err());
        assert_eq!(state(&*keys, lost).await, Ok("destroyed"));
    })
    .await;
}

/// A key of a band as it is stored.
async fn stored(bed: &Bed, band: &str) -> StoredKey {
    let keys = bed.open('1', &[]).await;
    let id = keys.live(&[owner("acme", band)]).await.unwrap().pop().unwrap().id;
    let page = keys.page(None, 1_000).await.unwrap();
    page.into_iter().find(|key| key.id == id).unwrap()
}

#[tokio::test]
async fn another_key_encryption_key_opens_nothing_and_is_named() {
    on_each(async |bed| {
        let made = bed.open('1', &[]).await.live(&[owner("acme", "b1")]).await.unwrap().pop().unwrap();
        let other = bed.open('2', &[]).await;
        let error = state(&*other, made.id).await.unwrap_err();
        assert!(matches!(&error, KeyError::NoKek { id, .. } if *id == made.id), "{error}");
        assert!(other.live(&[owner("acme", "b1")]).await.is_err(), "no second key beside it");
        assert_eq!(state(&*bed.open('2', &['1']).await, made.id).await, Ok("there"));
    })
    .await;
}

#[tokio::test]
async fn rotation_goes_on_where_it_was_killed() {
    on_each(async |bed| {
        let owners: Vec<_> = (0..25).map(|n| owner("acme", &format!("b{n}"))).collect();
        let before = bed.open('1', &[]).await.live(&owners).await.unwrap();
        let rotating = bed.open('2', &['1']).await;
        assert_eq!(rotating.rewrap(10).await, Ok(10));
        let by = rotating.wrapped_by().await.unwrap();
        assert_eq!(by.iter().map(|(_, keys)| *keys).sum::<u64>(), 25);
        assert_eq!(by.len(), 2);
        drop(rotating);
        // Whoever knows both still reads all.
        let resumed = bed.open('2', &['1']).await;
        assert!(resumed.live(&owners).await.unwrap().iter().zip(&before).all(|(a, b)| same(a, b)));
        assert_eq!(resumed.rewrap(10).await, Ok(10));
        assert_eq!(resumed.rewrap(10).await, Ok(5));
        assert_eq!(resumed.rewrap(10).await, Ok(0));
        let alone = bed.open('2', &[]).await;
        assert!(alone.live(&owners).await.unwrap().iter().zip(&before).all(|(a, b)| same(a, b)));
        assert_eq!(alone.wrapped_by().await.unwrap(), [(local('2').id().to_owned(), 25)]);
    })
    .await;
}

#[tokio::test]
async fn a_copy_brings_keys_back_but_none_that_was_destroyed() {
    on_each(async |bed| {
        let keys = bed.open('1', &[]).await;
        let owners = [owner("acme", "b1"), owner("acme", "b2"), owner("acme", "b3")];
        let made = keys.live(&owners).await.unwrap();
        keys.destroy(&owners[0].0, &owners[0].1, &[made[0].id], now()).await.unwrap();
        let mut copy = keys.page(None, 2).await.unwrap();
        copy.extend(keys.page(copy.last().map(|key| key.id), 2).await.unwrap());
        assert_eq!(copy.len(), 3);

        let elsewhere = Bed::Sqlite(tempfile::tempdir().unwrap());
        let other = elsewhere.open('1', &[]).await;
        // Taps came in before the copy did.
        let newer = other.live(&owners[1..2]).await.unwrap().pop().unwrap();
        assert_eq!(other.import(&copy).await, Ok(3));
        assert_eq!(other.import(&copy).await, Ok(0));
        assert_eq!(state(&*other, made[0].id).await, Ok("destroyed"));
        assert_eq!(state(&*other, made[1].id).await, Ok("there"));
        assert!(same(&other.live(&owners[1..2]).await.unwrap()[0], &newer), "one key seals");

        // A copy from before the erasure does not undo it, and a later one does it.
        other.destroy(&owners[2].0, &owners[2].1, &[made[2].id], now()).await.unwrap();
        assert_eq!(other.import(&copy).await, Ok(0));
        assert_eq!(state(&*other, made[2].id).await, Ok("destroyed"));
        let later = other.page(None, 10).await.unwrap();
        keys.import(&later).await.unwrap();
        assert_eq!(state(&*keys, made[2].id).await, Ok("destroyed"));
    })
    .await;
}

#[tokio::test]
async fn a_wrapped_key_unwraps_in_its_own_row_only() {
    on_each(async |bed| {
        let key = stored(bed, "b1").await;
        let keys = bed.open('1', &[]).await;
        let moved = [
            StoredKey { id: KeyId([9; 12]), ..key.clone() },
            StoredKey { tenant: TenantId::new("other").unwrap(), ..key.clone() },
            StoredKey { subject: Subject::new("band", "b2").unwrap(), ..key.clone() },
        ];
        for moved in moved {
            assert!(matches!(keys.import(&[moved]).await, Err(KeyError::Damaged { .. })));
        }
        let StoredState::Wrapped { kek, bytes } = &key.state else { unreachable!() };
        for bytes in [Vec::new(), vec![0; 12], bytes[..40].to_vec(), [&bytes[..], &[0]].concat()] {
            let short = StoredState::Wrapped { kek: kek.clone(), bytes };
            let short = StoredKey { state: short, ..key.clone() };
            assert!(matches!(keys.import(&[short]).await, Err(KeyError::Damaged { .. })));
        }
    })
    .await;
}

#[tokio::test]
async fn sqlite_keeps_nothing_of_a_destroyed_key() {
    let bed = Bed::Sqlite(tempfile::tempdir().unwrap());
    let key = stored(&bed, "b1").await;
    let keys = bed.open('1', &[]).await;
    let StoredState::Wrapped { bytes, .. } = &key.state else { unreachable!() };
    assert!(lies_in(&bed.path(), bytes), "the search finds it while it is there");
    keys.destroy(&key.tenant, &key.subject, &[key.id], now()).await.unwrap();
    assert!(!lies_in(&bed.path(), bytes));
}

/// Whether a file or those beside it (write-ahead log) hold these bytes.
fn lies_in(path: &Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let mut all = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    all.any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test]
async fn a_store_that_is_away_says_so() {
    let Some(database) = database().await else { return };
    let bed = Bed::Postgres(database);
    let keys = bed.open('1', &[]).await;
    let Bed::Postgres(database) = &bed else { return };
    database.allow_connections(false).await;
    let error = keys.live(&[owner("acme", "b1")]).await.unwrap_err();
    database.allow_connections(true).await;
    assert!(matches!(error, KeyError::Unavailable(_)), "{error}");
}
