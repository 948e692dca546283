use std::fs::metadata;

use tempfile::TempDir;

use super::*;

struct Bed {
    connection: Connection,
    checkpoints: Arc<Checkpoints>,
    folder: TempDir,
}

impl Bed {
    fn new(long: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch("CREATE TABLE rows (text)").unwrap();
        watch(&connection);
        Self { connection, checkpoints: Arc::new(Checkpoints::new(&path, long)), folder }
    }

    /// Commits some pages and says how long the log is then.
    fn commit(&self, pages: usize, unstored: u32) -> u32 {
        self.connection.execute("INSERT INTO rows VALUES (?)", ["x".repeat(pages * 4_096)]).unwrap();
        let committed = COMMITTED.get();
        self.checkpoints.committed(&self.connection, unstored);
        committed
    }

    /// The same until no thread is at it.
    async fn write(&self, pages: usize, unstored: u32) -> u32 {
        let committed = self.commit(pages, unstored);
        self.checkpoints.done().await;
        committed
    }

    fn stored(&self) -> u32 {
        self.checkpoints.stored.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        metadata(self.folder.path().join("rows.db")).unwrap().len()
    }
}

#[tokio::test]
async fn pages_come_into_the_file_before_the_log_is_long() {
    let bed = Bed::new(10_000);
    let few = bed.write(10, 100).await;
    assert_eq!((bed.stored(), few < 100), (0, true));
    let before = bed.bytes();
    let more = bed.write(200, 100).await;
    assert_eq!(bed.stored(), more);
    assert!(bed.bytes() >= before + 200 * 4_096);
}

#[tokio::test]
async fn a_long_log_begins_anew() {
    let bed = Bed::new(1_000);
    let long = bed.write(1_100, 1_000).await;
    assert_eq!(bed.stored(), long);
    let anew = bed.write(5, 1_000).await;
    assert!(anew < 20, "{anew}");
    assert_eq!(bed.stored(), 0);
}

#[tokio::test]
async fn a_writer_brings_the_rest_of_a_long_log_into_the_file() {
    let bed = Bed::new(1_000);
    let turn = bed.checkpoints.turn.acquire().await.unwrap();
    let long = bed.commit(1_100, 1_000);
    assert_eq!(bed.stored(), 0);
    // A thread has brought all but what was written meanwhile.
    bed.checkpoints.stored.store(long, Ordering::Relaxed);
    let longer = bed.commit(5, 1_000);
    assert_eq!((longer > long, bed.stored()), (true, longer));
    assert!(bed.commit(5, 1_000) < 20);
    drop(turn);
}

#[tokio::test]
async fn it_does_not_grow_without_end_while_nobody_has_a_turn() {
    let bed = Bed::new(100);
    let turn = bed.checkpoints.turn.acquire().await.unwrap();
    bed.commit(300, 100);
    assert_eq!(bed.stored(), 0);
    let all = bed.commit(200, 100);
    assert_eq!((all >= 400, bed.stored()), (true, all));
    assert!(bed.commit(5, 100) < 20);
    drop(turn);
}

#[tokio::test]
async fn a_reader_keeps_what_it_sees() {
    let bed = Bed::new(100);
    let reader = Connection::open(&bed.checkpoints.path).unwrap();
    bed.write(10, 50).await;
    let snapshot = reader.unchecked_transaction().unwrap();
    let count =
        |c: &Connection| c.query_row("SELECT count(*) FROM rows", [], |r| r.get::<_, u32>(0)).unwrap();
    assert_eq!(count(&snapshot), 1);
    let all = bed.write(200, 50).await;
    assert!(bed.stored() < all);
    assert_eq!(count(&snapshot), 1);
    drop(snapshot);
    bed.write(5, 50).await;
    bed.write(5, 50).await;
    assert_eq!(count(&reader), 4);
    assert!(bed.write(5, 50).await < 20);
}

#[tokio::test]
async fn a_thread_that_has_not_committed_does_nothing() {
    let bed = Bed::new(1);
    bed.write(10, 1).await;
    let stored = bed.stored();
    bed.checkpoints.committed(&bed.connection, 0);
    assert_eq!((bed.stored(), COMMITTED.get()), (stored, 0));
}
