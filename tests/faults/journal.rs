//! The journal and the drainer: every acknowledged tap reaches the log once,
//! in order, whatever fails and wherever the process dies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_tests::clock::{CountingIds, FixedClock};
use domain::ports::journal::{JournalEntry, TapJournal, TapKind};
use domain::ports::log::{EventLog, ReadFilter};
use domain::{TenantId, tap};
use infra_journal::{DiskJournal, Options};
use jiff::Timestamp;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;
use workers::{Drainer, DrainerConfig, drainer::Step};

use super::journal_log::{FailingLog, Fault};

fn entry(n: u64) -> JournalEntry {
    JournalEntry {
        tenant: TenantId::new(if n.is_multiple_of(3) { "acme" } else { "globex" }).unwrap(),
        kind: if n.is_multiple_of(5) { TapKind::Previewed } else { TapKind::Tapped },
        occurred_at: Timestamp::from_microsecond(1_700_000_000_000_000 + n as i64).unwrap(),
        payload: format!(r#"{{"band_id":"{n}","mode":"none","source":"hub"}}"#),
    }
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at("2026-05-01T00:00:00Z"))
}

fn open(path: &Path) -> Arc<DiskJournal> {
    let options = Options { segment_bytes: 2 << 10, ..Options::default() };
    Arc::new(DiskJournal::open(path, options).unwrap())
}

fn drainer(journal: &Arc<DiskJournal>, log: &Arc<FailingLog>) -> Drainer {
    let config = DrainerConfig {
        batch: 7,
        linger: Duration::ZERO,
        min_backoff: Duration::from_millis(1),
        ..DrainerConfig::default()
    };
    let ids = Arc::new(CountingIds::default());
    Drainer::new(journal.clone(), log.clone(), clock(), ids, config)
}

/// The numbers of the taps in the log, by tenant, in log order.
async fn recorded(log: &FailingLog, tenant: &str) -> Vec<u64> {
    let filter = ReadFilter {
        tenant: Some(TenantId::new(tenant).unwrap()),
        ..ReadFilter::types([tap::TAPPED, tap::PREVIEWED])
    };
    let page = log.inner.read(0, 100_000, &filter).await.unwrap();
    page.events
        .iter()
        .map(|event| {
            let tap: tap::Tap = domain::registry::decode_payload(event).unwrap();
            let n = tap.band_id.parse().unwrap();
            assert_eq!(event.occurred_at, Some(entry(n).occurred_at));
            assert_eq!(&*event.event_type, entry(n).kind.event_type());
            n
        })
        .collect()
}

async fn assert_each_once(log: &FailingLog, appended: u64) {
    for tenant in ["acme", "globex"] {
        let expected: Vec<u64> = (0..appended).filter(|n| entry(*n).tenant.as_str() == tenant).collect();
        assert_eq!(recorded(log, tenant).await, expected);
    }
}

#[derive(Debug, Clone)]
enum Action {
    Append(u64),
    Step(Fault),
    Crash,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let fault = prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Refused),
        1 => Just(Fault::QueueFull),
        2 => Just(Fault::LostBefore),
        3 => Just(Fault::LostAfter),
        1 => Just(Fault::Unreadable),
    ];
    let action = prop_oneof![
        3 => (1u64..20).prop_map(Action::Append),
        6 => fault.prop_map(Action::Step),
        1 => Just(Action::Crash),
    ];
    proptest::collection::vec(action, 1..40)
}

#[test]
fn each_tap_is_recorded_once_under_any_schedule_of_failures_and_crashes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    proptest!(ProptestConfig::with_cases(60), |(actions in actions())| {
        let directory = tempfile::tempdir().unwrap();
        let log = Arc::new(FailingLog::new(clock()));
        runtime.block_on(async {
            let mut journal = open(directory.path());
            let mut worker = drainer(&journal, &log);
            let mut appended = 0;
            for action in actions {
                match action {
                    Action::Append(count) => {
                        for n in appended..appended + count {
                            journal.append(&entry(n)).await.unwrap();
                        }
                        appended += count;
                    }
                    Action::Step(fault) => {
                        // A step asks for the cursor first if it is in doubt.
                        log.schedule([fault, fault]);
                        let _ = worker.step().await;
                    }
                    Action::Crash => {
                        drop(worker);
                        drop(journal);
                        journal = open(directory.path());
                        worker = drainer(&journal, &log);
                    }
                }
            }
            log.schedule([]);
            while worker.step().await.unwrap() != Step::Idle {}
            assert_each_once(&log, appended).await;
            prop_assert_eq!(journal.stats().waiting(), 0);
            Ok(())
        })?;
    });
}

#[tokio::test]
async fn two_drainers_of_one_journal_do_not_double_anything() {
    let directory = tempfile::tempdir().unwrap();
    let log = Arc::new(FailingLog::new(clock()));
    let journal = open(directory.path());
    for n in 0..100 {
        journal.append(&entry(n)).await.unwrap();
    }
    let (mut one, mut two) = (drainer(&journal, &log), drainer(&journal, &log));
    // Both know the same cursor; each is overtaken by the other in turn.
    loop {
        let (a, b) = (one.step().await, two.step().await);
        if matches!((a, b), (Ok(Step::Idle), Ok(Step::Idle))) {
            break;
        }
    }
    assert_each_once(&log, 100).await;
}

#[tokio::test]
async fn what_is_left_is_drained_on_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let log = Arc::new(FailingLog::new(clock()));
    let journal = open(directory.path());
    log.schedule([Fault::Unreadable, Fault::Refused]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(drainer(&journal, &log).run(stop.clone()));
    for n in 0..50 {
        journal.append(&entry(n)).await.unwrap();
    }
    stop.cancel();
    running.await.unwrap();
    log.schedule([]);
    // A failure may have ended it early; then a restart takes the rest.
    drop(journal);
    let journal = open(directory.path());
    let mut worker = drainer(&journal, &log);
    while worker.step().await.unwrap() != Step::Idle {}
    assert_each_once(&log, 50).await;
}

#[tokio::test]
async fn a_running_drainer_moves_taps_as_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let log = Arc::new(FailingLog::new(clock()));
    let journal = open(directory.path());
    log.schedule([Fault::Unreadable, Fault::LostAfter, Fault::None, Fault::LostBefore]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(drainer(&journal, &log).run(stop.clone()));
    for n in 0..30 {
        journal.append(&entry(n)).await.unwrap();
    }
    let mut head = 0;
    while recorded(&log, "acme").await.len() + recorded(&log, "globex").await.len() < 30 {
        head = log.inner.changed(head).await.unwrap();
    }
    assert_each_once(&log, 30).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_old_copy_put_back_loses_nothing_that_comes_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let log = Arc::new(FailingLog::new(clock()));
    let journal = open(directory.path());
    for n in 0..10 {
        journal.append(&entry(n)).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for item in std::fs::read_dir(directory.path()).unwrap() {
        let item = item.unwrap();
        std::fs::copy(item.path(), copy.path().join(item.file_name())).unwrap();
    }
    for n in 10..30 {
        journal.append(&entry(n)).await.unwrap();
    }
    let mut worker = drainer(&journal, &log);
    while worker.step().await.unwrap() != Step::Idle {}

    let journal = open(copy.path());
    workers::align(&*journal, &*log).await.unwrap();
    // Taps come before the drainer has taken its first step.
    for n in 30..40 {
        journal.append(&entry(n)).await.unwrap();
    }
    let mut worker = drainer(&journal, &log);
    while worker.step().await.unwrap() != Step::Idle {}
    assert_each_once(&log, 40).await;
}
