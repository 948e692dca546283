//! Random appends to each database do what they do to the log in memory.

use domain::ports::log::{Append, AppendError, ExpectedVersion, Receipt, StreamWrite};
use infra_log::MemoryLog;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;

use super::bed::*;

/// One stream's part: which stream, what is expected, how many events.
type Part = (u8, ExpectedVersion, usize);
/// Parts and, maybe, an idempotency key with a request.
type Command = (Vec<Part>, Option<(u8, u8)>);

fn expected() -> impl Strategy<Value = ExpectedVersion> {
    prop_oneof![
        3 => Just(ExpectedVersion::Any),
        1 => Just(ExpectedVersion::NoStream),
        1 => Just(ExpectedVersion::Exists),
        4 => (0..6u64).prop_map(ExpectedVersion::Exact),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let part = (0..4u8, expected(), 0..3usize);
    (vec(part, 0..4), proptest::option::weighted(0.3, (0..4u8, 0..2u8)))
}

fn build((parts, key): &Command) -> Append {
    let writes = parts.iter().map(|(id, expected, count)| write(&format!("s{id}"), *expected, *count));
    let append = append(writes.collect::<Vec<StreamWrite>>());
    match key {
        Some((key, hash)) => with_key(append, &format!("k{key}"), *hash),
        None => append,
    }
}

/// Alone, a database goes by what it remembers and guesses; beside another that
/// appends, it looks everything up.
async fn compare(bed: &Bed, batches: &[(Vec<Command>, bool)], alone: bool) {
    let model: Log = Arc::new(MemoryLog::new(bed.clock.clone()));
    let mut log = bed.open().await;
    let other = bed.open().await;
    for (index, (commands, reopen)) in batches.iter().enumerate() {
        let appends: Vec<_> = commands.iter().map(build).collect();
        let expected: Vec<Result<Receipt, AppendError>> = model.append(appends.clone()).await;
        let turn = if !alone && index % 3 == 2 { &other } else { &log };
        assert_eq!(turn.append(appends).await, expected);
        if *reopen {
            log = bed.open().await;
        }
    }
    let all = read_all(&log, 5).await;
    check_log(&all);
    assert_eq!(all, read_all(&model, 100).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_agree_with_the_model() {
    let batches = vec((vec(command(), 0..6), prop::bool::weighted(0.1)), 1..12);
    // Case by case on a fresh database; all values are drawn up front because
    // the runner itself is not asynchronous. The seed is fixed.
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(Config::default().rng_algorithm),
    );
    for case in 0..12 {
        let tree = batches.new_tree(&mut runner).unwrap();
        let batches = proptest::strategy::ValueTree::current(&tree);
        on_databases(async |bed| compare(bed, &batches, case % 2 == 0).await).await;
    }
}
