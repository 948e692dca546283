use std::fs::metadata;

use tempfile::TempDir;

use super::*;

struct Bed {
    connection: Connection,
    checkpoints: Arc<Checkpoints>,
    _folder: TempDir,
}

impl Bed {
    fn new(long: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch("CREATE TABLE rows (text)").unwrap();
        watch(&connection);
        Self { connection, checkpoints: Arc::new(Checkpoints::new(&path, long)), _folder: folder }
    }

    /// Commits some pages and says how long the log is then.
    fn commit(&self, pages: usize, unstored: u32) -> u32 {
        self.connection.execute("INSERT INTO rows VALUES (?)", ["x".repeat(pages * 4_096)]).unwrap();
        let committed = COMMITTED.get();
        assert!(committed > 0);
        self.checkpoints.committed(&self.connection, unstored);
        committed
    }

    /// The same until no thread is at it.
    async fn write(&self, pages: usize, unstored: u32) -> u32 {
        let committed = self.commit(pages, unstored);
        self.checkpoints.done().await;
        committed
    }

    fn waiting(&self) -> u32 {
        waiting(&self.connection).unwrap()
    }

    fn bytes(&self) -> u64 {
        metadata(&self.checkpoints.path).unwrap().len()
    }
}

#[tokio::test]
async fn pages_come_into_the_file_before_the_log_is_long() {
    let bed = Bed::new(10_000);
    let few = bed.write(10, 100).await;
    assert_eq!((bed.waiting() >= 10, few < 100), (true, true));
    let before = bed.bytes();
    bed.write(200, 100).await;
    assert_eq!(bed.waiting(), 0);
    assert!(bed.bytes() >= before + 200 * 4_096);
}

#[tokio::test]
async fn a_long_log_begins_anew() {
    let bed = Bed::new(1_000);
    let long = bed.write(1_100, 1_000).await;
    assert_eq!((long >= 1_100, bed.waiting()), (true, 0));
    let anew = bed.write(5, 1_000).await;
    assert!(anew < 20, "{anew}");
}

#[tokio::test]
async fn a_writer_brings_the_rest_of_a_long_log_into_the_file() {
    let bed = Bed::new(1_000);
    let turn = bed.checkpoints.turn.acquire().await.unwrap();
    bed.commit(900, 1_000);
    let reader = Connection::open(&bed.checkpoints.path).unwrap();
    let snapshot = reader.unchecked_transaction().unwrap();
    snapshot.query_row("SELECT count(*) FROM rows", [], |_| Ok(())).unwrap();
    store(&bed.connection);
    // While somebody reads it does not begin anew.
    bed.connection.execute("INSERT INTO rows VALUES (?)", ["x".repeat(100 * 4_096)]).unwrap();
    drop(snapshot);
    assert!(bed.waiting() > 0);
    bed.checkpoints.committed(&bed.connection, 1_000);
    assert_eq!(bed.waiting(), 0);
    assert!(bed.commit(5, 1_000) < 20);
    drop(turn);
}

#[tokio::test]
async fn it_does_not_grow_without_end_while_another_has_the_turn() {
    let bed = Bed::new(1_000);
    let turn = bed.checkpoints.turn.acquire().await.unwrap();
    bed.commit(4_100, 1_000);
    assert!(bed.waiting() > 4_000, "one commit may be as long");
    bed.commit(5, 1_000);
    assert_eq!(bed.waiting(), 0);
    assert!(bed.commit(5, 1_000) < 20);
    drop(turn);
}

#[tokio::test]
async fn what_is_committed_while_a_thread_is_at_it_is_not_forgotten() {
    let bed = Bed::new(10_000);
    let turn = bed.checkpoints.turn.acquire().await.unwrap();
    bed.commit(1_000, 100);
    assert!(bed.waiting() > 900);
    drop(turn);
    bed.checkpoints.done().await;
    assert_eq!(bed.waiting(), 0);
}

#[tokio::test]
async fn a_reader_keeps_what_it_sees() {
    let bed = Bed::new(1_000);
    let reader = Connection::open(&bed.checkpoints.path).unwrap();
    bed.write(10, 50).await;
    let snapshot = reader.unchecked_transaction().unwrap();
    let count =
        |c: &Connection| c.query_row("SELECT count(*) FROM rows", [], |r| r.get::<_, u32>(0)).unwrap();
    assert_eq!(count(&snapshot), 1);
    bed.write(2_000, 50).await;
    assert!(bed.waiting() > 0);
    assert_eq!(count(&snapshot), 1);
    drop(snapshot);
    bed.write(5, 50).await;
    assert_eq!((bed.waiting(), count(&reader)), (0, 3));
    assert!(bed.write(5, 50).await < 20);
}

#[tokio::test]
async fn what_another_connection_has_brought_into_the_file_counts() {
    let bed = Bed::new(1_000);
    bed.write(500, 10_000).await;
    let other = Connection::open(&bed.checkpoints.path).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert_eq!(bed.waiting(), 0);
    assert!(bed.write(600, 10_000).await < 700);
    assert!(bed.waiting() >= 600);
}

#[tokio::test]
async fn a_thread_that_has_not_committed_does_nothing() {
    let bed = Bed::new(1_000);
    bed.commit(10, 1_000);
    let mut other = Connection::open(&bed.checkpoints.path).unwrap();
    bed.connection.execute("INSERT INTO rows VALUES ('of another')", []).unwrap();
    bed.checkpoints.around(&mut other, 1, |_| {});
    bed.checkpoints.done().await;
    assert!(bed.waiting() >= 10);
}
