//! What a build may keep in memory, it writes that often. How much a process
//! takes beside that is measured by the benchmarks.

use replays::build::{Builder, Options};

use super::*;
use crate::flow::projector::faulty::Faulty;

/// Rows of each of these many bands.
const BANDS: u64 = 3_000;
const LIMIT: usize = 64 << 10;

struct Built {
    /// Bytes of the documents of each commit.
    written: Vec<usize>,
    checksum: String,
}

impl Built {
    fn total(&self) -> usize {
        self.written.iter().sum()
    }

    fn largest(&self) -> usize {
        self.written.iter().copied().max().unwrap_or(0)
    }
}

/// A bed whose every band has rows of its own.
async fn many_bands() -> (Bed, Arc<Faulty>, u64) {
    let rows = Arc::new(Faulty::never(Arc::new(MemoryRows::new())));
    let bed = bed("memory", Arc::new(MemoryLog::new(clock())), rows.clone()).opened().await;
    let mut head = 0;
    for first in (0..BANDS).step_by(500) {
        let taps = (first..first + 500).map(|i| {
            let (tap, at) = tap(i);
            event(&Tap { band_id: format!("band-{i}"), ..tap }, at)
        });
        head = bed.append(taps.collect()).await;
    }
    (bed, rows, head)
}

async fn build((bed, rows, head): &(Bed, Arc<Faulty>, u64), memory: usize, columns_from: u64) -> Built {
    let model = other_model();
    let projection = instantiate(NAME, &model).unwrap();
    let made = bed.engine.generations.create(NAME, &projection.model(), projection.tables()).await.unwrap();
    let mut options = Options::new("test").within(memory);
    options.columns_from = columns_from;
    // Only memory decides when rows are written.
    (options.page, options.checkpoint) = (50, Duration::from_secs(3_600));
    let builder = Builder {
        log: bed.engine.log.clone(),
        rows: bed.engine.rows.clone(),
        generations: bed.engine.generations.clone(),
        sealed: None,
        board: Arc::new(Board::default()),
        options,
    };
    rows.written.lock().unwrap().clear();
    let done = builder.run(&made, projection, Some(*head), &CancellationToken::new()).await;
    assert_eq!(done.unwrap().unwrap().position, *head);
    let written = rows.written.lock().unwrap().clone();
    Built { written, checksum: bed.checksum(made.id.number).await }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_from_events_writes_before_its_memory_is_full() {
    let bed = many_bands().await;
    let plenty = build(&bed, 512 << 20, u64::MAX).await;
    assert!(plenty.largest() > 4 * LIMIT, "all rows fit: this shows nothing");
    let little = build(&bed, LIMIT, u64::MAX).await;
    assert!(little.largest() <= LIMIT, "{:?}", little.written);
    assert!(little.written.len() >= little.total() / LIMIT, "{:?}", little.written);
    assert_eq!(little.checksum, plenty.checksum);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_from_columns_that_do_not_fit_comes_to_the_same() {
    let bed = many_bands().await;
    let plenty = build(&bed, 512 << 20, 0).await;
    let little = build(&bed, 4 * LIMIT, 0).await;
    assert!(little.written.len() > plenty.written.len(), "all fit: this shows nothing");
    assert_eq!(little.checksum, plenty.checksum);
}
