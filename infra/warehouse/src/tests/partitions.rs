//! What is due when, and where it goes.

use std::time::Duration;

use domain::TenantId;

use super::bed::Bed;
use crate::{Codec, Settings};

#[tokio::test]
async fn a_batch_is_due_by_number_or_age() {
    let bed = Bed::new();
    let settings = Settings { max_signals: 10, ..Settings::default() };
    let warehouse = bed.warehouse(settings);
    assert_eq!(warehouse.flush(true).await.unwrap(), None);
    bed.grow(9).await;
    assert_eq!(warehouse.flush(false).await.unwrap(), None, "six signals, new");
    bed.clock.advance(299);
    assert_eq!(warehouse.flush(false).await.unwrap(), None);
    bed.clock.advance(1);
    let flushed = warehouse.flush(false).await.unwrap().unwrap();
    assert_eq!((flushed.signals, flushed.through, flushed.more), (6, 8, false));
    bed.grow(36).await;
    let flushed = warehouse.flush(false).await.unwrap().unwrap();
    assert_eq!((flushed.signals, flushed.more), (10, true));
    assert_eq!(warehouse.flush(false).await.unwrap().unwrap().signals, 10);
    assert_eq!(warehouse.flush(false).await.unwrap(), None);
    assert_eq!(warehouse.flush(true).await.unwrap().unwrap().signals, 4);
    assert_eq!(bed.rows().await.len(), 30);
}

#[tokio::test]
async fn hours_are_the_event_times_in_utc() {
    let bed = Bed::new();
    let tenant = TenantId::new("acme").unwrap();
    let times = [
        (Some("2026-07-01T01:30:00+02:00"), "year=2026/month=06/day=30/hour=23"),
        (Some("1970-01-01T00:00:00.001Z"), "year=1970/month=01/day=01/hour=00"),
        (Some("2300-12-31T23:59:59.999Z"), "year=2300/month=12/day=31/hour=23"),
        (Some("2026-10-25T02:30:00+02:00"), "year=2026/month=10/day=25/hour=00"),
        // Without an event time it is the time at which it was received.
        (None, "year=2026/month=07/day=01/hour=12"),
    ];
    for (n, (at, _)) in (1..).zip(times) {
        bed.signal(&tenant, "shop", n, at.map(|at| at.parse().unwrap())).await;
    }
    bed.warehouse(Settings::default()).flush(true).await.unwrap();
    for ((position, path, _), (_, hour)) in bed.rows().await.into_iter().zip(times) {
        let name = format!("{position:016}-{position:016}.parquet");
        assert_eq!(path, format!("tenant=acme/events/app_id=shop/{hour}/{name}"));
    }
}

/// An app's name cannot lead out of its tenant's folder.
#[tokio::test]
async fn names_of_apps_stay_in_their_folder() {
    let bed = Bed::new();
    let tenant = TenantId::new("acme").unwrap();
    for (n, app) in (1..).zip(["..a", "a=b", "tenant=other", "*", "a%2Fb", "../../tenant=other/events"]) {
        bed.signal(&tenant, app, n, None).await;
    }
    bed.warehouse(Settings::default()).flush(true).await.unwrap();
    let files = bed.manifest().await.files;
    assert_eq!(files.len(), 6);
    for file in &files {
        assert!(file.path.starts_with("tenant=acme/events/app_id="), "{}", file.path);
        assert_eq!(file.path.split('/').count(), 8, "{}", file.path);
    }
}

/// Each codec is what it says, and row groups are as long as asked.
#[tokio::test]
async fn files_are_made_as_configured() {
    use parquet::basic::Compression;
    use parquet::file::metadata::ParquetMetaDataReader;
    for (codec, expected) in [(Codec::Zstd, "ZSTD"), (Codec::Snappy, "SNAPPY"), (Codec::None, "UNCOMPRESSED")]
    {
        let bed = Bed::new();
        let tenant = TenantId::new("acme").unwrap();
        for n in 1..=25 {
            bed.signal(&tenant, "shop", n, None).await;
        }
        let settings = Settings { codec, row_group_rows: 10, ..Settings::default() };
        bed.warehouse(settings).flush(true).await.unwrap();
        let bytes = bed.files().await.into_values().next().unwrap();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
        let rows: Vec<i64> = metadata.row_groups().iter().map(|g| g.num_rows()).collect();
        assert_eq!(rows, [10, 10, 5]);
        let compression: Compression = metadata.row_group(0).column(0).compression();
        assert!(format!("{compression:?}").starts_with(expected), "{compression:?}");
    }
}

/// Files lie on a disk as they do in a store, and merged ones go after the
/// grace, not before.
#[tokio::test]
async fn what_was_merged_is_kept_for_its_readers() {
    let bed = Bed::new();
    let settings = Settings { grace: Duration::from_secs(3_600), ..Settings::default() };
    let warehouse = bed.warehouse(settings);
    for _ in 0..3 {
        bed.grow(12).await;
        warehouse.flush(true).await.unwrap();
    }
    bed.clock.advance(20 * 3_600);
    let before = bed.files().await.len();
    let mut merges = 0;
    while warehouse.compact().await.unwrap().is_some() {
        merges += 1;
    }
    assert!(merges > 1);
    assert_eq!(bed.files().await.len(), before + merges);
    let retired = bed.manifest().await.retired.len();
    bed.clock.advance(3_599);
    warehouse.sweep().await.unwrap();
    assert_eq!(bed.manifest().await.retired.len(), retired);
    bed.clock.advance(1);
    assert_eq!(warehouse.sweep().await.unwrap(), retired);
    let manifest = bed.manifest().await;
    assert_eq!((manifest.retired.len(), bed.files().await.len()), (0, manifest.files.len()));
}
