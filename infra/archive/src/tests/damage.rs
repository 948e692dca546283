use domain::ports::archive::{Archive, ArchiveError};
use domain::ports::log::ReadFilter;
use domain::tap;
use object_store::ObjectStoreExt;

use super::bed::Bed;
use crate::manifest::Segment;
use crate::names;

/// The segment of taps of a fresh archive.
async fn taps(bed: &Bed) -> Segment {
    bed.seal_in_steps(1, 400).await;
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    manifest.segments.into_iter().find(|s| s.event_type == tap::TAPPED).unwrap()
}

async fn put(bed: &Bed, path: &str, bytes: Vec<u8>) {
    bed.objects.inner.put(&names::path(path), bytes.into()).await.unwrap();
}

async fn problems(bed: &Bed) -> Vec<ArchiveError> {
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    bed.store().verify(&manifest).await.unwrap().problems
}

/// Reads all events; an error, or exactly what the log has.
async fn read(bed: &Bed) -> Result<(), ArchiveError> {
    let (history, mut after, mut events) = (bed.history(), 0, Vec::new());
    while after < 400 {
        let page = history.read(after, 100, &ReadFilter::default()).await?;
        after = page.through;
        events.extend(page.events);
    }
    assert_eq!(events, bed.all().await);
    Ok(())
}

#[tokio::test]
async fn wherever_a_byte_is_changed_nobody_reads_something_wrong() {
    let bed = Bed::new();
    let segment = taps(&bed).await;
    let whole = bed.store().get(&segment.path).await.unwrap().to_vec();
    let mut read_on = 0;
    for at in (0..whole.len()).step_by(311) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        put(&bed, &segment.path, bytes).await;
        let found = problems(&bed).await;
        assert!(
            matches!(&found[..], [ArchiveError::Damaged { object, .. }] if *object == segment.path),
            "byte {at}: {found:?}"
        );
        match read(&bed).await {
            // What nobody reads for this may be anything: indexes, filters.
            Ok(()) => read_on += 1,
            Err(ArchiveError::Damaged { object, .. }) => assert_eq!(object, segment.path),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(read_on < whole.len() / 311 / 2);
    put(&bed, &segment.path, whole).await;
    assert_eq!(problems(&bed).await, []);
    read(&bed).await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_named() {
    let bed = Bed::new();
    let segment = taps(&bed).await;
    let whole = bed.store().get(&segment.path).await.unwrap().to_vec();
    for length in [0, 100, whole.len() / 2, whole.len() - 1] {
        put(&bed, &segment.path, whole[..length].to_vec()).await;
        let error = read(&bed).await.unwrap_err();
        assert!(error.to_string().contains(&segment.path), "{error}");
        assert!(error.to_string().contains(&format!("it has {length} bytes")), "{error}");
        assert_eq!(problems(&bed).await.len(), 1);
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let bed = Bed::new();
    let segment = taps(&bed).await;
    bed.objects.inner.delete(&names::path(&segment.path)).await.unwrap();
    let missing = ArchiveError::Missing { object: segment.path };
    assert_eq!(read(&bed).await, Err(missing.clone()));
    assert_eq!(problems(&bed).await, [missing]);
}

#[tokio::test]
async fn a_file_in_the_place_of_another_is_named() {
    let bed = Bed::new();
    let segment = taps(&bed).await;
    let manifest = bed.store().manifest().await.unwrap().unwrap();
    let other = manifest.segments.iter().find(|s| s.event_type == tap::PREVIEWED).unwrap();
    let bytes = bed.store().get(&other.path).await.unwrap().to_vec();
    put(&bed, &segment.path, bytes).await;
    let error = read(&bed).await.unwrap_err();
    assert!(matches!(&error, ArchiveError::Damaged { object, .. } if *object == segment.path), "{error}");
    assert_eq!(problems(&bed).await.len(), 1);
}

#[tokio::test]
async fn a_changed_manifest_is_refused() {
    let bed = Bed::new();
    taps(&bed).await;
    let path = names::manifest(1);
    let text = bed.store().get(&path).await.unwrap().to_vec();
    let text = String::from_utf8(text).unwrap();
    let changes = [
        text.replace("\"through\":400", "\"through\":399"),
        text.replace("band.tapped", "band.tippet"),
        text.replace("daybook-archive/1", "daybook-archive/9"),
        text[..text.len() / 2].to_owned(),
        String::new(),
    ];
    for changed in changes {
        put(&bed, &path, changed.into_bytes()).await;
        let error = bed.store().manifest().await.unwrap_err();
        assert!(matches!(&error, ArchiveError::Damaged { object, .. } if *object == path), "{error}");
        assert!(bed.archiver().seal(true).await.is_err());
    }
}
