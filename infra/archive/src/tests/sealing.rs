use std::collections::BTreeSet;
use std::time::Duration;

use domain::ports::archive::{Archive, ArchiveError};
use domain::ports::log::ReadFilter;
use domain::{TenantId, band, tap};
use object_store::ObjectStoreExt;

use super::bed::{Bed, Fault, HOUR};
use crate::names;

#[tokio::test]
async fn what_was_sealed_reads_like_the_log() {
    let bed = Bed::new();
    bed.seal_in_steps(3, 211).await;
    bed.grow(50).await;
    assert_eq!(bed.sealed(&ReadFilter::default()).await, bed.all().await[..633]);
    let filters = [
        ReadFilter::types([tap::TAPPED, band::REGISTERED]),
        ReadFilter::types(["not.there"]),
        ReadFilter { tenant: TenantId::new("acme").ok(), ..ReadFilter::default() },
        ReadFilter { kind: Some("band".into()), ..ReadFilter::types([band::RETIRED]) },
    ];
    for filter in filters {
        let expected: Vec<_> = bed.all().await[..633].iter().filter(|e| filter.matches(e)).cloned().collect();
        assert_eq!(bed.sealed(&filter).await, expected);
    }
    let beyond = bed.history().read(633, 10, &ReadFilter::default()).await.unwrap();
    assert_eq!((beyond.events.len(), beyond.through), (0, 633));
}

#[tokio::test]
async fn a_page_ends_where_it_is_asked_to() {
    let bed = Bed::new();
    bed.seal_in_steps(2, 100).await;
    let history = bed.history();
    let page = history.read(50, 7, &ReadFilter::default()).await.unwrap();
    assert_eq!((page.events.len(), page.events[0].position, page.through), (7, 51, 57));
    // Another reader in between changes nothing.
    assert_eq!(history.read(10, 3, &ReadFilter::default()).await.unwrap().through, 13);
    assert_eq!(history.read(57, 3, &ReadFilter::default()).await.unwrap().events[0].position, 58);
    assert_eq!(history.read(57, 3, &ReadFilter::default()).await.unwrap().events[0].position, 58);
}

#[tokio::test]
async fn an_empty_archive_holds_nothing() {
    let bed = Bed::new();
    assert_eq!(bed.archiver().seal(true).await.unwrap(), None);
    assert_eq!(bed.history().through().await.unwrap(), 0);
    assert_eq!(bed.history().read(0, 9, &ReadFilter::default()).await.unwrap().through, 0);
}

#[tokio::test]
async fn it_is_sealed_when_it_is_old_or_large_enough() {
    let mut bed = Bed::new();
    bed.settings.seal_after = Duration::from_secs(60);
    bed.grow(100).await;
    let archiver = bed.archiver();
    assert_eq!(archiver.seal(false).await.unwrap(), None);
    bed.clock.set("2026-07-01T12:01:00Z");
    assert_eq!(archiver.seal(false).await.unwrap().unwrap().through, 100);
    // Set back by an hour: not sooner, and not an hour later either.
    bed.clock.set("2026-07-01T11:01:00Z");
    bed.grow(10).await;
    assert_eq!(archiver.seal(false).await.unwrap().unwrap().through, 110);
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    assert_eq!(manifest.written_at, "2026-07-01T12:01:00Z".parse().unwrap());

    let mut bed = Bed::new();
    bed.settings.segment_bytes = 20_000;
    bed.grow(5_000).await;
    let archiver = bed.archiver();
    let sealed = archiver.seal(false).await.unwrap().unwrap();
    assert!(sealed.more && sealed.through < 5_000 && sealed.through.is_multiple_of(1_024), "{sealed:?}");
    while archiver.seal(true).await.unwrap().is_some() {}
    assert_eq!(bed.sealed(&ReadFilter::default()).await, bed.all().await);
}

/// The names and hashes of everything that counts.
async fn hashes(bed: &Bed) -> Vec<(String, String)> {
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    manifest.segments.into_iter().map(|s| (s.path, s.sha256)).collect()
}

#[tokio::test]
async fn the_same_events_make_the_same_files() {
    let (one, other) = (Bed::new(), Bed::new());
    one.seal_in_steps(1, 20_000).await;
    other.seal_in_steps(1, 20_000).await;
    assert_eq!(hashes(&one).await, hashes(&other).await);
}

#[tokio::test]
async fn an_interrupted_step_is_done_again_to_the_letter() {
    let (bed, smooth) = (Bed::new(), Bed::new());
    bed.grow(300).await;
    bed.objects.fail("manifest/00", Fault::Refused);
    assert!(matches!(bed.archiver().seal(true).await, Ok(_) | Err(ArchiveError::Unavailable(_))));
    bed.objects.fail("manifest/00", Fault::Refused);
    let _ = bed.archiver().seal(true).await;
    bed.grow(100).await;
    // Whoever comes next writes the same files, though there is more by now.
    let sealed = bed.archiver().seal(true).await.unwrap().unwrap();
    assert_eq!((sealed.first, sealed.through), (1, 300));
    smooth.seal_in_steps(1, 300).await;
    assert_eq!(hashes(&bed).await, hashes(&smooth).await);
}

#[tokio::test]
async fn of_two_archivers_one_is_overtaken() {
    let bed = Bed::new();
    bed.seal_in_steps(1, 100).await;
    bed.grow(100).await;
    let (one, other) = (bed.archiver(), bed.archiver());
    let done = tokio::join!(one.seal(true), other.seal(true));
    let ok = |r: &Result<_, _>| matches!(r, Ok(_) | Err(ArchiveError::Overtaken));
    assert!(ok(&done.0) && ok(&done.1), "{done:?}");
    assert_eq!(bed.sealed(&ReadFilter::default()).await, bed.all().await);
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    assert_eq!(manifest.number, 2);
}

#[tokio::test]
async fn another_log_is_refused() {
    let (bed, other) = (Bed::new(), Bed::new());
    bed.seal_in_steps(1, 100).await;
    let foreign = |log: &Bed| {
        crate::Archiver::new(bed.store(), log.log.clone(), log.clock.clone(), log.settings.clone())
    };
    other.grow(50).await;
    let refused = foreign(&other).seal(true).await;
    assert!(matches!(refused, Err(ArchiveError::Foreign(_))), "{refused:?}");
    other.clock.set("2026-07-01T13:00:00Z");
    other.grow(100).await;
    let refused = foreign(&other).seal(true).await;
    assert!(matches!(refused, Err(ArchiveError::Foreign(_))), "{refused:?}");
    let read = async |of: &Bed| {
        crate::SealedHistory::of(bed.store(), of.log.clone()).read(0, 10, &ReadFilter::default()).await
    };
    let refused = read(&other).await;
    assert!(matches!(refused, Err(ArchiveError::Foreign(_))), "{refused:?}");
    assert_eq!(read(&bed).await.unwrap().events.len(), 10);
}

#[tokio::test]
async fn small_files_are_merged_and_go_after_the_grace() {
    let mut bed = Bed::new();
    bed.settings.grace = HOUR;
    bed.seal_in_steps(9, 100).await;
    let mut before =
        crate::EventScan::new(&bed.store(), &bed.store().manifest().await.unwrap().unwrap(), 0, &[]);
    assert_eq!(before.next().await.unwrap().unwrap().position, 1);
    let small = hashes(&bed).await.len();
    let archiver = bed.archiver();
    while archiver.merge().await.unwrap().is_some() {}
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    assert!(manifest.segments.len() < small / 4, "{} of {small}", manifest.segments.len());
    assert_eq!(bed.sealed(&ReadFilter::default()).await, bed.all().await);
    // Who began to read before goes on with the files of then.
    let mut read = 1;
    while before.next().await.unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, 900);
    assert_eq!(archiver.sweep().await.unwrap(), 0);
    bed.clock.set("2026-07-01T13:00:00Z");
    assert_eq!(archiver.sweep().await.unwrap(), manifest.retired.len());
    let listed = bed.store().list(names::SEGMENTS).await.unwrap();
    let named: BTreeSet<String> = hashes(&bed).await.into_iter().map(|(path, _)| path).collect();
    assert_eq!(listed.into_iter().map(|o| o.location.to_string()).collect::<BTreeSet<_>>(), named);
    assert!(
        bed.store()
            .verify(&bed.store().manifest().await.unwrap().unwrap())
            .await
            .unwrap()
            .problems
            .is_empty()
    );
}

#[tokio::test]
async fn a_reader_goes_on_in_merged_files() {
    let mut bed = Bed::new();
    bed.settings.grace = Duration::ZERO;
    bed.seal_in_steps(9, 100).await;
    let history = bed.history();
    let first = history.read(0, 10, &ReadFilter::default()).await.unwrap();
    let archiver = bed.archiver();
    while archiver.merge().await.unwrap().is_some() {}
    archiver.sweep().await.unwrap();
    let mut after = first.through;
    let mut events = first.events;
    while after < 900 {
        let page = history.read(after, 100, &ReadFilter::default()).await.unwrap();
        after = page.through;
        events.extend(page.events);
    }
    assert_eq!(events, bed.all().await);
}

#[tokio::test]
async fn the_note_of_the_newest_manifest_may_be_lost() {
    let bed = Bed::new();
    bed.seal_in_steps(3, 10).await;
    for text in ["1", "nonsense", "999"] {
        let note = names::path(names::NEWEST);
        bed.objects.inner.put(&note, text.into()).await.unwrap();
        assert_eq!(bed.store().manifest().await.unwrap().unwrap().number, 3, "{text}");
    }
    bed.objects.inner.delete(&names::path(names::NEWEST)).await.unwrap();
    assert_eq!(bed.store().manifest().await.unwrap().unwrap().through, 30);
}
