use domain::envelope::{Metadata, NewEvent};
use domain::ids::{StreamId, TenantId};
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::tree::Hash;
use infra_log::MemoryLog;
use jiff::Timestamp;
use proofs::{LogTiles, Trust};
use uuid::Uuid;

use super::*;

const ORIGIN: &str = "log.example";

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

async fn log(events: usize, payload: &str) -> Arc<MemoryLog> {
    let log = Arc::new(MemoryLog::new(Arc::new(Noon)));
    grow(&log, events, payload).await;
    log
}

async fn grow(log: &MemoryLog, events: usize, payload: &str) {
    let stream = StreamId::new(&TenantId::new("acme").unwrap(), "test", "a").unwrap();
    let event = |n: usize| NewEvent {
        event_id: Uuid::from_u128(n as u128),
        event_type: "test.done".into(),
        schema: 1,
        occurred_at: None,
        payload: payload.to_owned(),
    };
    let metadata = Metadata {
        actor: "cli:test".into(),
        command_id: Uuid::nil(),
        correlation_id: "test".into(),
        causation_id: None,
    };
    let start = log.head().await.unwrap().position as usize;
    let events = (start..start + events).map(event).collect();
    let writes = vec![StreamWrite { stream, expected: ExpectedVersion::Any, events }];
    let mut done = log.append(vec![Append { writes, metadata, idempotency: None }]).await;
    done.remove(0).unwrap();
}

fn key(seed: u8) -> SigningKey {
    SigningKey::generate(ORIGIN, &[seed; 32]).unwrap()
}

/// A signer with these keys that remembers in this folder.
fn signer(log: &Arc<MemoryLog>, folder: &std::path::Path, keys: &[u8]) -> Signer {
    remembered_by(log, folder, keys, Vec::new())
}

fn remembered_by(
    log: &Arc<MemoryLog>,
    folder: &std::path::Path,
    keys: &[u8],
    others: Vec<Arc<dyn Remembers>>,
) -> Signer {
    let config = SignerConfig {
        origin: ORIGIN.to_owned(),
        keys: keys.iter().map(|seed| key(*seed)).collect(),
        every: Duration::from_secs(1),
        record: folder.join("record"),
    };
    Signer::new(log.clone(), Arc::new(LogTiles::new(log.clone())), others, Arc::new(Noon), config)
}

fn signed_by(note: &str, seed: u8) -> bool {
    Checkpoint::open(note.as_bytes(), &Trust::of(key(seed).public().clone())).is_ok()
}

#[tokio::test]
async fn what_grows_is_signed_and_what_does_not_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(0, "{}").await;
    let signer = signer(&log, folder.path(), &[1]);
    assert_eq!(signer.sign().await, Ok(None));
    for size in [1, 255, 256, 257, 700] {
        grow(&log, size - log.head().await.unwrap().position as usize, "{}").await;
        let signed = signer.sign().await.unwrap().unwrap();
        assert_eq!(signed.size, size as u64);
        assert_eq!(signed.root, log.frontier().await.unwrap().root());
        assert!(signed_by(&signed.note, 1));
        assert_eq!(signer.sign().await, Ok(Some(signed)));
    }
    assert_eq!(log.checkpoints(ORIGIN, 0, 10).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_key_that_is_added_signs_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(5, "{}").await;
    signer(&log, folder.path(), &[1]).sign().await.unwrap();
    let signed = signer(&log, folder.path(), &[1, 2]).sign().await.unwrap().unwrap();
    assert!(signed_by(&signed.note, 1) && signed_by(&signed.note, 2), "{}", signed.note);
    let signed = signer(&log, folder.path(), &[2]).sign().await.unwrap().unwrap();
    assert_eq!(signed.size, 5);
}

#[tokio::test]
async fn the_signers_own_file_remembers() {
    let folder = tempfile::tempdir().unwrap();
    signer(&log(300, "{}").await, folder.path(), &[1]).sign().await.unwrap();
    let yesterday = log(200, "{}").await;
    let refused = signer(&yesterday, folder.path(), &[1]).sign().await;
    assert_eq!(refused, Err(SignError::SetBack { by: "the signer's file", signed: 300, size: 200 }));
    for size in [300, 600] {
        let other = log(size, r#"{"other":true}"#).await;
        let refused = signer(&other, folder.path(), &[1]).sign().await;
        assert_eq!(refused, Err(SignError::Rewritten { by: "the signer's file", signed: 300 }));
        assert_eq!(other.checkpoint(ORIGIN, None).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_database_remembers() {
    let (folder, lost) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = log(300, "{}").await;
    let ahead = Checkpoint { origin: ORIGIN.to_owned(), size: 400, root: [7; 32] };
    let note = ahead.sign(&[key(1)]);
    let kept = SignedCheckpoint {
        origin: ORIGIN.to_owned(),
        size: 400,
        root: [7; 32],
        note,
        signed_at: Timestamp::UNIX_EPOCH,
    };
    signer(&log, folder.path(), &[1]).sign().await.unwrap();
    log.keep_checkpoint(&kept).await.unwrap();
    let refused = signer(&log, lost.path(), &[1]).sign().await;
    assert_eq!(refused, Err(SignError::SetBack { by: "the database", signed: 400, size: 300 }));
    grow(&log, 200, "{}").await;
    let refused = signer(&log, lost.path(), &[1]).sign().await;
    assert_eq!(refused, Err(SignError::Rewritten { by: "the database", signed: 400 }));
}

struct Witness(Result<(u64, Hash), String>);

#[async_trait]
impl Remembers for Witness {
    fn name(&self) -> &'static str {
        "a witness"
    }

    async fn newest(&self, origin: &str) -> Result<Option<Checkpoint>, String> {
        let origin = origin.to_owned();
        self.0.clone().map(|(size, root)| Some(Checkpoint { origin, size, root }))
    }
}

#[tokio::test]
async fn others_are_asked_and_may_be_away() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(300, "{}").await;
    let with = |answer| remembered_by(&log, folder.path(), &[1], vec![Arc::new(Witness(answer))]);
    let refused = with(Ok((301, [1; 32]))).sign().await;
    assert_eq!(refused, Err(SignError::SetBack { by: "a witness", signed: 301, size: 300 }));
    let refused = with(Ok((299, [1; 32]))).sign().await;
    assert_eq!(refused, Err(SignError::Rewritten { by: "a witness", signed: 299 }));
    assert_eq!(with(Err("it is away".to_owned())).sign().await.unwrap().unwrap().size, 300);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_no_new_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(3, "{}").await;
    let foreign = Checkpoint { origin: "log.example/other".to_owned(), size: 1, root: [1; 32] };
    for text in ["", "nonsense", &foreign.sign(&[key(1)])] {
        std::fs::write(folder.path().join("record"), text).unwrap();
        let refused = signer(&log, folder.path(), &[1]).sign().await.unwrap_err();
        assert!(matches!(refused, SignError::Record { .. }) && refused.is_refusal(), "{refused}");
    }
    std::fs::remove_file(folder.path().join("record")).unwrap();
    std::fs::create_dir(folder.path().join("record")).unwrap();
    let refused = signer(&log, folder.path(), &[1]).sign().await.unwrap_err();
    assert!(matches!(refused, SignError::Record { .. }), "{refused}");
}

/// Whoever may write to the database cannot make the signer forget.
#[tokio::test]
async fn a_row_with_the_note_of_another_size_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(300, "{}").await;
    let old = Checkpoint { origin: ORIGIN.to_owned(), size: 200, root: [7; 32] }.sign(&[key(1)]);
    let root = log.frontier().await.unwrap().root();
    let (origin, signed_at) = (ORIGIN.to_owned(), Timestamp::UNIX_EPOCH);
    log.keep_checkpoint(&SignedCheckpoint { origin, size: 300, root, note: old, signed_at }).await.unwrap();
    let refused = signer(&log, folder.path(), &[1]).sign().await.unwrap_err();
    assert_eq!(refused, SignError::Kept(CheckpointError::Contradicts { size: 300 }));
    let record = std::fs::read(folder.path().join("record")).unwrap();
    assert_eq!(Checkpoint::peek(&record).unwrap().size, 300);
}

#[tokio::test]
async fn two_signers_with_one_file_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(1, "{}").await;
    let signers = [signer(&log, folder.path(), &[1]), signer(&log, folder.path(), &[1])];
    for _ in 0..20 {
        let (one, two, ()) = tokio::join!(signers[0].sign(), signers[1].sign(), grow(&log, 7, "{}"));
        one.unwrap();
        two.unwrap();
    }
    let last = signers[0].sign().await.unwrap().unwrap();
    assert_eq!(last.size, 141);
}

#[tokio::test]
async fn what_is_shown_is_not_dropped() {
    let log = log(0, "{}").await;
    for size in 1..=4 {
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: [7; 32] };
        let (note, origin) = (checkpoint.sign(&[key(1)]), ORIGIN.to_owned());
        let signed_at = Timestamp::from_second(size as i64).unwrap();
        log.keep_checkpoint(&SignedCheckpoint { origin, size, root: [7; 32], note, signed_at })
            .await
            .unwrap();
    }
    let now = Timestamp::from_second(100 * 24 * 3600).unwrap();
    for (shown, left) in [(Some(3), vec![1, 3, 4]), (Some(4), vec![1, 4])] {
        thin::thin(&*log, ORIGIN, now, shown).await.unwrap();
        let kept = log.checkpoints(ORIGIN, 0, 10).await.unwrap();
        assert_eq!(kept.iter().map(|c| c.size).collect::<Vec<_>>(), left);
    }
}
