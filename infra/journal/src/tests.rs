use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::TenantId;
use domain::ports::journal::TapKind;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::storage::AppendFile;

fn entry(n: u64) -> JournalEntry {
    JournalEntry {
        tenant: TenantId::new("acme").unwrap(),
        kind: TapKind::Tapped,
        occurred_at: Timestamp::from_microsecond(1_700_000_000_000_000 + n as i64).unwrap(),
        payload: format!(r#"{{"band_id":"band-{n}","mode":"live","source":"hub"}}"#),
    }
}

async fn fill(journal: &DiskJournal, numbers: std::ops::Range<u64>) {
    for n in numbers {
        journal.append(&entry(n)).await.unwrap();
    }
}

/// Everything from `from` on, with the offset to go on at.
async fn read_all(journal: &DiskJournal, from: u64, limit: usize) -> (Vec<(u64, JournalEntry)>, u64) {
    let (mut all, mut next) = (Vec::new(), from);
    loop {
        let batch = journal.read(next, limit).await.unwrap();
        assert!(batch.entries.len() <= limit);
        if batch.next == next {
            return (all, next);
        }
        next = batch.next;
        all.extend(batch.entries);
    }
}

fn small() -> Options {
    Options { max_bytes: 64 << 10, segment_bytes: 1 << 10, queue_bytes: 1 << 20 }
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "taps"))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn what_is_drained_is_gone_after_a_turn() {
    let directory = tempfile::tempdir().unwrap();
    let journal = DiskJournal::open(directory.path(), Options::default()).unwrap();
    journal.turn().await.unwrap();
    fill(&journal, 0..5).await;
    journal.mark_drained(3).await.unwrap();
    journal.turn().await.unwrap();
    assert_eq!(read_all(&journal, 3, 10).await.0.len(), 2, "what is not drained stays");
    fill(&journal, 5..7).await;
    journal.mark_drained(7).await.unwrap();
    journal.turn().await.unwrap();
    journal.turn().await.unwrap();
    let left: Vec<u8> = segments(directory.path()).iter().flat_map(|p| fs::read(p).unwrap()).collect();
    assert!(!left.windows(4).any(|w| w == b"band"), "nothing of a tap is left");
    drop(journal);
    let journal = DiskJournal::open(directory.path(), Options::default()).unwrap();
    fill(&journal, 7..9).await;
    let (all, next) = read_all(&journal, 7, 10).await;
    assert_eq!((all, next), (vec![(7, entry(7)), (8, entry(8))], 9));
}

#[tokio::test]
async fn what_was_appended_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    let id = journal.id().to_owned();
    fill(&journal, 0..100).await;
    assert!(journal.stats().segments > 3);
    drop(journal);

    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    assert_eq!(journal.id(), id);
    fill(&journal, 100..120).await;
    for limit in [1, 7, 1000] {
        let (all, next) = read_all(&journal, 0, limit).await;
        assert_eq!(next, 120);
        assert_eq!(all, (0..120).map(|n| (n, entry(n))).collect::<Vec<_>>());
    }
    let (tail, _) = read_all(&journal, 77, 10).await;
    assert_eq!(tail.first(), Some(&(77, entry(77))));
}

#[tokio::test]
async fn only_one_process_may_have_it() {
    let directory = tempfile::tempdir().unwrap();
    let _held = DiskJournal::open(directory.path(), small()).unwrap();
    let refused = DiskJournal::open(directory.path(), small()).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
}

#[tokio::test]
async fn drained_segments_are_deleted_and_offsets_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    fill(&journal, 0..100).await;
    journal.mark_drained(100).await.unwrap();
    assert_eq!(segments(directory.path()).len(), 1);
    assert_eq!(journal.stats().waiting(), 0);
    drop(journal);
    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    assert_eq!(journal.append(&entry(0)).await, Ok(100));
    journal.mark_drained(500).await.unwrap();
    assert_eq!(journal.append(&entry(1)).await, Ok(500));
    assert_eq!(read_all(&journal, 101, 10).await, (vec![(500, entry(1))], 501));
}

#[tokio::test]
async fn a_full_journal_refuses_until_it_is_drained() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 4 << 10, ..small() };
    let journal = DiskJournal::open(directory.path(), options).unwrap();
    let mut written = 0;
    let refused = loop {
        match journal.append(&entry(written)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, JournalError::Full { max: 4 << 10 });
    journal.mark_drained(written).await.unwrap();
    assert_eq!(journal.append(&entry(written)).await, Ok(written));
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    let large = JournalEntry { payload: "x".repeat(MAX_ENTRY_BYTES + 1), ..entry(0) };
    assert!(matches!(journal.append(&large).await, Err(JournalError::Invalid(_))));
    let largest = JournalEntry { payload: "x".repeat(MAX_ENTRY_BYTES), ..entry(0) };
    assert_eq!(journal.append(&largest).await, Ok(0));
    assert_eq!(read_all(&journal, 0, 10).await.0, vec![(0, largest)]);
}

#[tokio::test]
async fn damage_in_the_middle_costs_what_it_hit_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    fill(&journal, 0..60).await;
    drop(journal);
    let files = segments(directory.path());
    for file in [&files[1], files.last().unwrap()] {
        let mut bytes = fs::read(file).unwrap();
        bytes[50] ^= 0x40;
        fs::write(file, bytes).unwrap();
    }
    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    let (all, next) = read_all(&journal, 0, 7).await;
    assert_eq!(next, 60);
    assert_eq!(all.len(), 58);
    assert!(all.iter().all(|(offset, found)| *found == entry(*offset)));
    let kept = fs::read_dir(directory.path().join("quarantine")).unwrap().count();
    assert_eq!(kept, 2);
}

#[test]
fn a_file_cut_anywhere_opens_with_the_entries_before_the_cut() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let journal = DiskJournal::open(directory.path(), Options::default()).unwrap();
        fill(&journal, 0..20).await;
    });
    let file = segments(directory.path()).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let size = whole.len() / 20;
    proptest!(ProptestConfig::with_cases(64), |(cut in 0..=whole.len(), zeros in 0usize..64)| {
        let mut bytes = whole[..cut].to_vec();
        bytes.resize(cut + zeros, 0);
        fs::write(&file, bytes).unwrap();
        runtime.block_on(async {
            let journal = DiskJournal::open(directory.path(), Options::default()).unwrap();
            // Not all entries are equally long; count the ends before the cut.
            let (all, _) = read_all(&journal, 0, 1000).await;
            prop_assert!(all.iter().enumerate().all(|(n, (o, e))| *o == n as u64 && *e == entry(*o)));
            prop_assert!((cut / (size + 1)..=cut / (size - 2)).contains(&all.len()));
            let next = journal.append(&entry(77)).await.unwrap();
            let (again, _) = read_all(&journal, 0, 1000).await;
            prop_assert_eq!(again.len(), all.len() + 1);
            prop_assert_eq!(again.last(), Some(&(next, entry(77))));
            Ok(())
        })?;
    });
}

/// A disk with room for so many bytes more; half of a write that does not fit
/// goes through.
struct Tight {
    room: Arc<AtomicI64>,
    truncate_fails: bool,
}

struct TightFile {
    file: Box<dyn AppendFile>,
    room: Arc<AtomicI64>,
    truncate_fails: bool,
}

impl Storage for Tight {
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let (room, truncate_fails) = (self.room.clone(), self.truncate_fails);
        Ok(Box::new(TightFile { file: Disk.open(path)?, room, truncate_fails }))
    }
}

impl AppendFile for TightFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.room.fetch_sub(bytes.len() as i64, Ordering::SeqCst) < bytes.len() as i64 {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.truncate_fails && self.room.load(Ordering::SeqCst) < 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.truncate(length)
    }
}

#[tokio::test]
async fn a_full_disk_loses_only_what_it_refused() {
    for truncate_fails in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let room = Arc::new(AtomicI64::new(1000));
        let storage = Tight { room: room.clone(), truncate_fails };
        let journal = DiskJournal::open_on(directory.path(), small(), Box::new(storage)).unwrap();
        let mut expected = Vec::new();
        let mut refused = 0;
        for n in 0..40 {
            match journal.append(&entry(n)).await {
                Ok(offset) => expected.push((offset, entry(n))),
                Err(JournalError::DiskFull) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            if n == 30 {
                room.store(100_000, Ordering::SeqCst);
            }
        }
        assert!(refused > 5 && expected.len() > 15, "{refused} refused");
        assert_eq!(read_all(&journal, 0, 6).await.0, expected);
        drop(journal);
        let journal = DiskJournal::open(directory.path(), small()).unwrap();
        assert_eq!(read_all(&journal, 0, 6).await.0, expected);
    }
}

#[tokio::test]
async fn reserved_space_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let journal = DiskJournal::open(directory.path(), small()).unwrap();
    fill(&journal, 0..30).await;
    // As a crash leaves them: neither segment has been closed.
    let copy = tempfile::tempdir().unwrap();
    fs::copy(directory.path().join("journal.id"), copy.path().join("journal.id")).unwrap();
    let files = segments(directory.path());
    assert!(files.len() > 2 && fs::metadata(files.last().unwrap()).unwrap().len() == 1 << 20);
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        bytes.resize(2 << 20, 0);
        fs::write(copy.path().join(file.file_name().unwrap()), bytes).unwrap();
    }
    drop(journal);
    let closed = segments(directory.path()).iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>();
    assert!(closed < 4 << 10, "{closed} bytes are left");

    let roomy = Options { max_bytes: 64 << 20, ..small() };
    let journal = DiskJournal::open(copy.path(), roomy).unwrap();
    assert_eq!(journal.append(&entry(30)).await, Ok(30));
    let expected: Vec<_> = (0..31).map(|n| (n, entry(n))).collect();
    assert_eq!(read_all(&journal, 0, 7).await, (expected, 31));
    assert!(!copy.path().join("quarantine").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Arc::new(DiskJournal::open(directory.path(), Options::default()).unwrap());
    let tasks: Vec<_> = (0..2000)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(&entry(n)).await.unwrap() })
        })
        .collect();
    let mut offsets = Vec::new();
    for task in tasks {
        offsets.push(task.await.unwrap());
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..2000).collect::<Vec<_>>());
    assert_eq!(read_all(&journal, 0, 300).await.0.len(), 2000);
}
