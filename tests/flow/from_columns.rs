//! A build from columns, sealed or decoded from the log, ends in the rows of a
//! build from events, with personal data in clear, sealed and erased.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook::wiring::ArchiveColumns;
use daybook_tests::clock::FixedClock;
use domain::envelope::{Metadata, NewEvent};
use domain::ports::archive::ArchiveError;
use domain::ports::keys::KeyStore;
use domain::ports::log::{Append, EventLog, ExpectedVersion, ReadFilter, StreamWrite};
use domain::ports::rows::{Commit, Generation, Generations, RowKey, RowPut, RowStore, Source, TableChanges};
use domain::{Secret, StreamId, Subject, TenantId, live_event, registry, tap};
use infra_archive::{ArchiveStore, Archiver, Patience, S3Settings, Settings};
use infra_keys::{Keks, LocalKek, SqliteKeys};
use infra_log::MemoryLog;
use infra_rows::MemoryRows;
use privacy::{Keyring, NoKeys, OpenedLog};
use projections::Projection;
use projections::board::Board;
use projections::bulk::{Sealed, Texts, Wants};
use projections::tap_analytics::TapAnalytics;
use replays::build::{Builder, Options};
use replays::checksum::Checksum;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SEALED: u64 = 3_000;

/// Taps of three shows, late ones and such as do not fold among them.
fn fact(n: u64) -> (&'static str, String, NewEvent) {
    let (kind, id, event_type, payload) = match n {
        1..=3 => {
            let details = serde_json::json!({"name": format!("Show {n}"), "time_zone": "Asia/Kolkata",
                "starts_at": "2026-07-01T19:00:00Z", "ends_at": "2026-07-01T23:00:00Z"});
            (live_event::KIND, format!("show-{n}"), live_event::SCHEDULED, details)
        }
        _ => {
            let agents = ["Mozilla/5.0 (iPhone) Safari/604.1", "Googlebot/2.1", "WhatsApp/2.23"];
            let band = if n.is_multiple_of(500) { "a/b".into() } else { format!("b{}", n * 7 % 211) };
            let tap = serde_json::json!({"band_id": band, "event_id": format!("show-{}", n % 3 + 1),
                "window_id": "main", "mode": if n.is_multiple_of(3) { "live" } else { "pre" },
                "user_agent": agents[(n % 7 % 3) as usize], "visitor": format!("v{}", n * 13 % 307),
                "country": "US", "source": "hub"});
            let event_type = if n.is_multiple_of(17) { tap::PREVIEWED } else { tap::TAPPED };
            (tap::KIND, "hub-1".into(), event_type, tap)
        }
    };
    let at: jiff::Timestamp = "2026-07-01T19:00:00Z".parse().unwrap();
    let event = NewEvent {
        event_id: Uuid::from_u128(n.into()),
        event_type: event_type.into(),
        // Some are from before anything was sealed.
        schema: if n.is_multiple_of(3) { 1 } else { registry::schema_of(event_type) },
        occurred_at: Some(at + jiff::SignedDuration::from_secs((n * 37 % 9_000) as i64)),
        payload: payload.to_string(),
    };
    (kind, id, event)
}

async fn append(log: &MemoryLog, opened: &OpenedLog, facts: std::ops::RangeInclusive<u64>) {
    for n in facts {
        let (kind, id, event) = fact(n);
        let tenant = TenantId::new(if n.is_multiple_of(5) { "acme" } else { "default" }).unwrap();
        let stream = StreamId::new(&tenant, kind, &id).unwrap();
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events: vec![event] }];
        let metadata = Metadata {
            actor: "test".into(),
            command_id: Uuid::from_u128(n.into()),
            correlation_id: "c".into(),
            causation_id: None,
        };
        let batch = vec![Append { writes, metadata, idempotency: None }];
        // Whose id is none has no key.
        let clear = n.is_multiple_of(3) || n.is_multiple_of(500);
        let done = if clear { log.append(batch).await } else { opened.append(batch).await };
        done.into_iter().next().unwrap().unwrap();
    }
}

#[derive(Debug, Clone, Copy)]
enum From {
    Events,
    /// The rest event by event.
    Archive,
    ArchiveAndLog,
    Log,
}

struct Bed {
    /// As it is recorded.
    raw: Arc<MemoryLog>,
    log: Arc<OpenedLog>,
    keys: Arc<SqliteKeys>,
    sealed: Arc<dyn Sealed>,
    rows: Arc<MemoryRows>,
    _folder: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let clock = Arc::new(FixedClock::at("2026-07-02T00:00:00Z"));
        let raw = Arc::new(MemoryLog::new(clock.clone()));
        let folder = tempfile::tempdir().unwrap();
        let kek = LocalKek::parse(&Secret::new("5".repeat(64))).unwrap();
        let keks = Keks::new(Arc::new(kek), Vec::new());
        let keys = SqliteKeys::open(&folder.path().join("keys.db"), keks, clock.clone()).await.unwrap();
        let keys = Arc::new(keys);
        let ring = Arc::new(Keyring::new(keys.clone()));
        let log = Arc::new(OpenedLog::new(raw.clone(), ring.clone(), true));
        append(&raw, &log, 1..=SEALED).await;
        let url = format!("file://{}/archive", folder.path().display());
        let store = ArchiveStore::open(&url, &S3Settings::default(), &Patience::default()).unwrap();
        Archiver::new(store.clone(), raw.clone(), clock, Settings::default()).seal(true).await.unwrap();
        append(&raw, &log, SEALED + 1..=SEALED + 40).await;
        let (sealed, rows) =
            (ArchiveColumns { archive: store, log: raw.clone(), keys: ring }, Arc::new(MemoryRows::new()));
        let sealed = Arc::new(sealed);
        Self { raw, log, keys, sealed, rows, _folder: folder }
    }

    async fn create(&self, version: u32) -> (Generation, Arc<TapAnalytics>) {
        let projection = TapAnalytics::new(version, models::taps::Parameters::of(version));
        let (model, tables) = (projection.model(), projection.tables());
        let generation = self.rows.create(projection.name(), &model, tables).await.unwrap();
        (generation, Arc::new(projection))
    }

    async fn build(&self, built: &(Generation, Arc<TapAnalytics>), from: From, at: Option<u64>) -> Outcome {
        let (columns_from, columns_of_log) = match from {
            From::Events => (u64::MAX, 0),
            From::Archive => (0, 0),
            From::ArchiveAndLog | From::Log => (0, u64::MAX),
        };
        let options = Options { columns_from, columns_of_log, page: 700, ..Options::new("test") };
        let archived = matches!(from, From::Archive | From::ArchiveAndLog);
        let builder = Builder {
            log: self.log.clone(),
            rows: self.rows.clone(),
            generations: self.rows.clone(),
            sealed: archived.then(|| self.sealed.clone()),
            board: Arc::new(Board::default()),
            options,
        };
        let (generation, projection) = built;
        let done = builder
            .run(generation, projection.clone(), at, &CancellationToken::new())
            .await
            .unwrap()
            .unwrap();
        let checksum = Checksum::of(&mut *self.rows.snapshot(&generation.id).await.unwrap()).await.unwrap();
        let source = Source::Generation(generation.id.clone());
        let letters = self.rows.dead_letters(&source, None, 0, 100).await.unwrap();
        Outcome {
            position: done.position,
            events: done.events,
            checksum: checksum.hex(),
            rows: checksum.total(),
            letters: letters.into_iter().map(|l| (l.letter.position, l.letter.error)).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    position: u64,
    events: u64,
    checksum: String,
    rows: u64,
    letters: Vec<(u64, Option<String>)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_events_end_in_the_same_generation() {
    let bed = Bed::new().await;
    for version in [1, 2] {
        for at in [Some(SEALED + 40), Some(SEALED - 555)] {
            let by_events = bed.build(&bed.create(version).await, From::Events, at).await;
            assert!(by_events.rows > 500 && by_events.letters.len() > 3, "{by_events:?}");
            for from in [From::Archive, From::ArchiveAndLog, From::Log] {
                let by_columns = bed.build(&bed.create(version).await, from, at).await;
                // Pages that fail are counted again.
                assert_eq!(
                    by_columns,
                    Outcome { events: by_columns.events, ..by_events.clone() },
                    "{from:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_build_left_is_gone() {
    let bed = Bed::new().await;
    let expected = bed.build(&bed.create(1).await, From::ArchiveAndLog, None).await;
    let begun = bed.create(1).await;
    let lease = bed.rows.acquire(&begun.0.id, "dead", std::time::Duration::from_secs(60)).await.unwrap();
    let row = RowKey { tenant: TenantId::new("acme").unwrap(), key: "show-9".into() };
    let puts = vec![RowPut { row, sort: None, doc: "{}".into() }];
    let changes = vec![TableChanges { table: "summary".into(), puts, deletes: Vec::new() }];
    let (parked, unparked) = (Vec::new(), Vec::new());
    bed.rows
        .commit(Commit { lease: lease.clone(), from: 0, to: 0, changes, parked, unparked })
        .await
        .unwrap();
    bed.rows.release(&lease).await.unwrap();
    assert_eq!(bed.build(&begun, From::ArchiveAndLog, None).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_the_same_in_both_and_changes_no_recorded_byte() {
    let bed = Bed::new().await;
    let upto = Some(SEALED + 40);
    let before = bed.build(&bed.create(2).await, From::ArchiveAndLog, upto).await;
    let recorded = bed.raw.read(0, 10_000, &ReadFilter::default()).await.unwrap();
    for tenant in ["acme", "default"].map(|t| TenantId::new(t).unwrap()) {
        for band in 0..70 {
            let subject = Subject::new("band", &format!("b{band}")).unwrap();
            let ids: Vec<_> = bed.keys.of(&tenant, &subject).await.unwrap().iter().map(|k| k.id).collect();
            let at = "2026-07-03T00:00:00Z".parse().unwrap();
            bed.keys.destroy(&tenant, &subject, &ids, at).await.unwrap();
        }
    }
    for version in [1, 2] {
        let by_events = bed.build(&bed.create(version).await, From::Events, upto).await;
        for from in [From::Archive, From::ArchiveAndLog, From::Log] {
            let by_columns = bed.build(&bed.create(version).await, from, upto).await;
            let expected = Outcome { events: by_columns.events, ..by_events.clone() };
            assert_eq!(by_columns, expected, "{from:?}");
            assert_ne!(by_columns.checksum, before.checksum, "a third of the bands was erased");
        }
    }
    assert_eq!(bed.raw.read(0, 10_000, &ReadFilter::default()).await.unwrap(), recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_of_another_log_is_not_folded() {
    let mut bed = Bed::new().await;
    let (other, _folder) = segments(&[(1, SEALED)]).await;
    let by_events = bed.build(&bed.create(2).await, From::Events, None).await;
    bed.sealed = Arc::new(ArchiveColumns { log: bed.raw.clone(), ..other });
    let refused = bed.sealed.extent(&[tap::TAPPED]).await;
    assert!(matches!(refused, Err(ArchiveError::Foreign(_))), "{refused:?}");
    let built = bed.build(&bed.create(2).await, From::ArchiveAndLog, None).await;
    assert_eq!(built, Outcome { events: built.events, ..by_events });
}

/// An archive of a segment for the taps of each of these ranges.
async fn segments(ranges: &[(u64, u64)]) -> (ArchiveColumns, tempfile::TempDir) {
    let clock = Arc::new(FixedClock::at("2026-07-02T00:00:00Z"));
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let folder = tempfile::tempdir().unwrap();
    let archive = ArchiveStore::folder(folder.path()).unwrap();
    let archiver = Archiver::new(archive.clone(), log.clone(), clock, Settings::default());
    for (from, to) in ranges {
        record(&log, *from..*to).await;
        archiver.seal(true).await.unwrap();
    }
    let keys = Arc::new(Keyring::new(Arc::new(NoKeys)));
    (ArchiveColumns { archive, log, keys }, folder)
}

async fn record(log: &MemoryLog, range: std::ops::Range<u64>) {
    let stream = StreamId::new(&TenantId::new("acme").unwrap(), tap::KIND, "hub-1").unwrap();
    let tap = |n: u64| {
        let (.., mut event) = fact(n);
        let visitor = format!("v{}", n * 13 % 307);
        event.payload = event.payload.replace(&visitor, &format!("v{}", n % 15_000));
        (&*event.event_type == tap::TAPPED).then_some(event)
    };
    let taps: Vec<_> = range.filter_map(tap).collect();
    let metadata = Metadata {
        actor: "test".into(),
        command_id: Uuid::nil(),
        correlation_id: "c".into(),
        causation_id: None,
    };
    let batch = taps.chunks(5_000).map(|events| {
        let (stream, events) = (stream.clone(), events.to_vec());
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events }];
        Append { writes, metadata: metadata.clone(), idempotency: None }
    });
    assert!(log.append(batch.collect()).await.iter().all(Result::is_ok));
}

/// Batches of a row group share its dictionary.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_stands_once_in_a_dictionary_however_many_rows_have_it() {
    let (columns, _folder) = segments(&[(4, 40_000)]).await;
    let wants = Wants { event_type: tap::TAPPED, members: &["band_id", "mode"] };
    let mut batches = columns.read(wants, u64::MAX).await.unwrap();
    let batch = batches.next().await.unwrap().unwrap();
    assert!(batch.len() > 30_000, "{} rows in one batch", batch.len());
    // 211 bands, and one that is none.
    assert_eq!(batch.members.iter().map(Texts::len).collect::<Vec<_>>(), [212, 2]);
    assert!(batches.next().await.unwrap().is_none());
}

/// Each has more values than a batch of the file has rows.
#[tokio::test(flavor = "multi_thread")]
async fn batches_end_with_a_segment_and_leave_nothing_out() {
    let (columns, _folder) =
        segments(&[(4, 20_000), (20_000, 41_000), (41_000, 62_000), (62_000, 65_000)]).await;
    let wants = Wants { event_type: tap::TAPPED, members: &["visitor"] };
    let all = read_all(&columns, usize::MAX, wants).await;
    let by_segment = read_all(&columns, 32_768, wants).await;
    let sizes = |read: &[Vec<(u64, String)>]| read.iter().map(Vec::len).collect::<Vec<_>>();
    let whole = sizes(&all);
    assert!(whole.len() == 1 && whole[0] > 60_000, "{whole:?}");
    // The last is too small for a batch of its own, and ends what there is.
    let found = sizes(&by_segment);
    let tapped = |range: std::ops::Range<u64>| range.filter(|n| !n.is_multiple_of(17)).count();
    let expected = [4..20_000, 20_000..41_000, 41_000..65_000].map(tapped);
    assert_eq!(found, expected);
    assert_eq!(by_segment.concat(), all.concat());
    assert!(all.concat().iter().map(|(position, _)| *position).eq(1..=whole[0] as u64));
}

/// Positions and visitors, batch by batch.
async fn read_all(columns: &ArchiveColumns, rows: usize, wants: Wants) -> Vec<Vec<(u64, String)>> {
    let mut batches = columns.read_by(rows, wants, u64::MAX).await.unwrap();
    let mut read = Vec::new();
    while let Some(batch) = batches.next().await.unwrap() {
        let visitors: Vec<&str> = batch.members[0].values().collect();
        let of = batch.members[0].codes.iter().map(|code| visitors[*code as usize].to_owned());
        read.push(batch.positions.iter().copied().zip(of).collect());
    }
    read
}

/// Requests would be served on them later.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_of_low_priority_that_reads_starts_no_others_like_it() {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let started = Arc::new(Mutex::new(Vec::new()));
    let starts = started.clone();
    // Nothing is read on a thread that was there before.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(Duration::ZERO)
        .on_thread_start(move || starts.lock().unwrap().push(nice()))
        .enable_all()
        .build()
        .unwrap();
    let wants = Wants { event_type: tap::TAPPED, members: &["band_id", "visitor"] };
    let (mut batches, _bed) = runtime.block_on(async {
        let bed = Bed::new().await;
        (bed.sealed.read(wants, SEALED).await.unwrap(), bed)
    });
    let before = started.lock().unwrap().len();
    let handle = runtime.handle().clone();
    let read = move || {
        handle.block_on(async {
            let mut rows = 0;
            while let Some(batch) = batches.next().await.unwrap() {
                rows += batch.len();
            }
            (rows, nice())
        })
    };
    let (rows, low) = background::spawn("low", background::Share::Least, read).unwrap().join().unwrap();
    assert!(rows > 1_000);
    assert_eq!(low, 19);
    let started = started.lock().unwrap();
    assert!(started.len() > before, "{started:?}: nothing was read on threads of the runtime");
    assert_eq!(*started, vec![nice(); started.len()]);
}
