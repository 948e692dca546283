use cqrs_es::test::TestFramework;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::decide::{Context, Decide, Rejection};
use crate::target_url::UrlPolicy;

fn context(seconds: i64) -> Context {
    Context { now: at(seconds), urls: UrlPolicy::default() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn at_second(seconds: i64) -> TestFramework<Run> {
    TestFramework::with(context(seconds))
}

fn plan() -> Plan {
    Plan {
        run_type: "SANDBOX".into(),
        request_sha256: "asked".into(),
        as_of: "2026-01-23".into(),
        market_snapshot: "m".into(),
        at: 7,
        position_snapshot: None,
        books: vec![],
        model: "pricing@1".into(),
        parameters: serde_json::Value::Null,
        reprices: None,
        measures: vec!["PV".into()],
        scenarios: 1,
        base_currency: Some("USD".into()),
        hash_mod: 2,
        lease_seconds: 60,
        max_attempts: 2,
        positions: 3,
        unpriced: 0,
        tasks: vec![Task::new("CASH", 0, 2), Task::new("SWAP", 1, 1)],
    }
}

fn start(plan: Plan) -> Command {
    Command::Start(Box::new(Start { plan, scenarios: "[]".into() }))
}

fn started() -> Vec<Event> {
    vec![Event::ScenariosGiven { part: 0, text: "[]".into() }, Event::Started(Box::new(plan()))]
}

fn after(more: &[Event]) -> Vec<Event> {
    started().into_iter().chain(more.iter().cloned()).collect()
}

fn claimed(task: &str, token: u32, until: i64) -> Event {
    Event::TaskClaimed { task: task.into(), token, worker: "w".into(), until: at(until) }
}

fn cells(sha256: &str) -> Cells {
    Cells { sha256: sha256.into(), bytes: 10, rows: 2, flagged: 0, positions: 2 }
}

fn complete(task: &str, token: u32, sha256: &str) -> Command {
    Command::Complete { task: task.into(), token, cells: cells(sha256) }
}

fn completed(task: &str, token: u32, sha256: &str) -> Event {
    Event::TaskCompleted { task: task.into(), token, cells: cells(sha256) }
}

fn fail(task: &str, token: u32) -> Command {
    Command::Fail { task: task.into(), token, reason: "no room".into() }
}

fn failed(task: &str, token: u32) -> Event {
    Event::TaskFailed { task: task.into(), token, reason: "no room".into() }
}

fn died(task: &str, reason: &str) -> Event {
    Event::TaskDied { task: task.into(), reason: reason.into() }
}

fn claim() -> Command {
    Command::Claim { worker: "w".into() }
}

fn folded(events: Vec<Event>) -> Run {
    let mut run = Run::default();
    events.into_iter().for_each(|event| run.evolve(event));
    run
}

fn lost() -> Rejection {
    Rejection::State("the claim is not the task's newest".into())
}

#[test]
fn a_run_starts_once() {
    at_second(0).given_no_previous_events().when(start(plan())).then_expect_events(started());
    at_second(0).given(started()).when(start(Plan { at: 99, ..plan() })).then_expect_events(vec![]);
    let other = Plan { request_sha256: "other".into(), ..plan() };
    at_second(0).given(started()).when(start(other)).then_expect_error(Rejection::State(
        "there is a run of this id, and it was asked for otherwise".into(),
    ));
}

#[test]
fn what_is_no_plan_is_refused() {
    let refused = |plan: Plan, field: &str| {
        let error = Run::default().decide(start(plan), &context(0)).unwrap_err();
        assert!(matches!(&error, Rejection::Field { field: f, .. } if f == field), "{error}");
    };
    refused(Plan { run_type: "DAILY".into(), ..plan() }, "/run_type");
    refused(Plan { measures: vec![], ..plan() }, "/measures");
    refused(Plan { scenarios: 0, ..plan() }, "/scenarios");
    refused(Plan { hash_mod: 0, ..plan() }, "/execution/hash_mod");
    refused(Plan { lease_seconds: 0, ..plan() }, "/execution");
    refused(Plan { tasks: vec![], ..plan() }, "/portfolio_scope");
    refused(Plan { market_snapshot: "a/b".into(), ..plan() }, "/market_snapshot_id");
    let many = (0..=MAX_TASKS as u32).map(|n| Task::new("CASH", n, 1)).collect();
    refused(Plan { tasks: many, ..plan() }, "/execution/hash_mod");
    let decision = Run::default().decide(start(plan()), &context(0)).unwrap();
    assert_eq!((decision.checks[0].kind, decision.checks[0].id.as_str()), ("market_snapshot", "m"));
}

#[test]
fn tasks_are_claimed_in_order_until_their_lease_is_over() {
    at_second(5).given(started()).when(claim()).then_expect_events(vec![claimed("CASH/0000", 1, 65)]);
    let one = after(&[claimed("CASH/0000", 1, 65)]);
    at_second(6).given(one.clone()).when(claim()).then_expect_events(vec![claimed("SWAP/0001", 1, 66)]);
    let both = after(&[claimed("CASH/0000", 1, 65), claimed("SWAP/0001", 1, 66)]);
    at_second(64).given(both.clone()).when(claim()).then_expect_events(vec![]);
    at_second(65).given(both.clone()).when(claim()).then_expect_events(vec![claimed("CASH/0000", 2, 125)]);
    assert_eq!(folded(both.clone()).next_expiry(), Some(at(65)));
    assert!(!folded(both.clone()).is_claimable(at(64)) && folded(both).is_claimable(at(65)));
    let error = folded(started()).decide(Command::Claim { worker: "a/b".into() }, &context(0)).unwrap_err();
    assert!(error.to_string().starts_with("/worker"), "{error}");
    at_second(0).given_no_previous_events().when(claim()).then_expect_error(Rejection::NotFound);
}

#[test]
fn a_heartbeat_extends_the_newest_claim_only() {
    let extend = |token| Command::Extend { task: "CASH/0000".into(), token };
    let extended = Event::TaskExtended { task: "CASH/0000".into(), token: 1, until: at(90) };
    let one = after(&[claimed("CASH/0000", 1, 60)]);
    at_second(30).given(one.clone()).when(extend(1)).then_expect_events(vec![extended.clone()]);
    let longer = [one.clone(), vec![extended]].concat();
    assert_eq!(folded(longer).next_expiry(), Some(at(90)));
    let again = [one, vec![claimed("CASH/0000", 2, 121)]].concat();
    at_second(70).given(again).when(extend(1)).then_expect_error(lost());
    at_second(70).given(started()).when(extend(1)).then_expect_error(lost());
}

#[test]
fn an_overtaken_worker_changes_nothing() {
    let taken = after(&[claimed("CASH/0000", 1, 60), claimed("CASH/0000", 2, 121)]);
    at_second(70).given(taken.clone()).when(complete("CASH/0000", 1, "a")).then_expect_error(lost());
    at_second(70).given(taken.clone()).when(fail("CASH/0000", 1)).then_expect_error(lost());
    let done = completed("CASH/0000", 2, "a");
    at_second(70)
        .given(taken.clone())
        .when(complete("CASH/0000", 2, "a"))
        .then_expect_events(vec![done.clone()]);
    let over = [taken, vec![done]].concat();
    // The same report twice is one; another one is refused.
    at_second(71).given(over.clone()).when(complete("CASH/0000", 2, "a")).then_expect_events(vec![]);
    at_second(71).given(over.clone()).when(complete("CASH/0000", 2, "b")).then_expect_error(lost());
    at_second(71).given(over).when(complete("CASH/0000", 1, "a")).then_expect_error(lost());
    // Nobody else took it: late is not too late.
    let late = after(&[claimed("CASH/0000", 1, 60)]);
    let done = completed("CASH/0000", 1, "a");
    at_second(500).given(late).when(complete("CASH/0000", 1, "a")).then_expect_events(vec![done]);
}

#[test]
fn the_last_result_seals_the_run_in_whatever_order_they_come() {
    let sealed = |first: (&str, &str), second: (&str, &str)| {
        let given =
            after(&[claimed(first.0, 1, 60), completed(first.0, 1, first.1), claimed(second.0, 1, 60)]);
        let decision = folded(given).decide(complete(second.0, 1, second.1), &context(9)).unwrap();
        assert_eq!(decision.events[0], completed(second.0, 1, second.1));
        decision.events[1].clone()
    };
    let one = sealed(("CASH/0000", "a"), ("SWAP/0001", "b"));
    assert_eq!(one, sealed(("SWAP/0001", "b"), ("CASH/0000", "a")));
    assert_ne!(one, sealed(("SWAP/0001", "a"), ("CASH/0000", "b")));
    assert!(matches!(&one, Event::Sealed { rows: 4, flagged: 0, bytes: 20, .. }));
    let given = [
        claimed("CASH/0000", 1, 60),
        completed("CASH/0000", 1, "a"),
        claimed("SWAP/0001", 1, 60),
        completed("SWAP/0001", 1, "b"),
        one,
    ];
    let run = folded(after(&given));
    assert_eq!(run.status(), RunStatus::Completed);
    assert!(run.decide(claim(), &context(99)).unwrap().events.is_empty());
    let cancel = Command::Cancel { reason: None };
    assert_eq!(run.decide(cancel, &context(99)), Err(Rejection::State("the run is completed".into())));
}

#[test]
fn a_task_that_fails_is_tried_again_and_dies() {
    let first = after(&[claimed("CASH/0000", 1, 60)]);
    at_second(9)
        .given(first.clone())
        .when(fail("CASH/0000", 1))
        .then_expect_events(vec![failed("CASH/0000", 1)]);
    let second = [first, vec![failed("CASH/0000", 1)]].concat();
    at_second(9).given(second.clone()).when(claim()).then_expect_events(vec![claimed("CASH/0000", 2, 69)]);
    let again = [second, vec![claimed("CASH/0000", 2, 69)]].concat();
    at_second(10)
        .given(again.clone())
        .when(fail("CASH/0000", 2))
        .then_expect_events(vec![failed("CASH/0000", 2), died("CASH/0000", "no room")]);
    // A claim that runs out counts as an attempt.
    let gone = died("CASH/0000", "its worker was not heard of again, as often as it was tried");
    at_second(69).given(again).when(claim()).then_expect_events(vec![gone, claimed("SWAP/0001", 1, 129)]);
}

#[test]
fn dead_tasks_fail_the_run_and_are_retried() {
    let over = after(&[
        claimed("CASH/0000", 1, 60),
        died("CASH/0000", "no room"),
        claimed("SWAP/0001", 1, 60),
        completed("SWAP/0001", 1, "b"),
    ]);
    assert_eq!(folded(over.clone()).status(), RunStatus::Failed);
    let retry = |tasks: &[&str]| Command::Retry { tasks: tasks.iter().map(|t| (*t).into()).collect() };
    let retried = Event::TaskRetried { task: "CASH/0000".into() };
    at_second(9).given(over.clone()).when(retry(&[])).then_expect_events(vec![retried.clone()]);
    at_second(9).given(over.clone()).when(retry(&["CASH/0000"])).then_expect_events(vec![retried.clone()]);
    at_second(9)
        .given(over.clone())
        .when(retry(&["SWAP/0001"]))
        .then_expect_error(Rejection::field("/tasks/0", "is done"));
    at_second(9)
        .given(over.clone())
        .when(retry(&["X/0000"]))
        .then_expect_error(Rejection::field("/tasks/0", "there is no such task"));
    let open = [over, vec![retried]].concat();
    assert_eq!(folded(open.clone()).status(), RunStatus::Running);
    at_second(9).given(open.clone()).when(retry(&[])).then_expect_events(vec![]);
    at_second(9).given(open).when(claim()).then_expect_events(vec![claimed("CASH/0000", 2, 69)]);
}

#[test]
fn a_cancelled_run_takes_nothing_more() {
    let cancelled = Event::Cancelled { reason: Some("wrong market".into()) };
    let cancel = || Command::Cancel { reason: Some("wrong market".into()) };
    at_second(0).given(started()).when(cancel()).then_expect_events(vec![cancelled.clone()]);
    let over = after(&[claimed("CASH/0000", 1, 60), cancelled]);
    at_second(1).given(over.clone()).when(cancel()).then_expect_events(vec![]);
    at_second(1).given(over.clone()).when(claim()).then_expect_events(vec![]);
    let gone = || Rejection::State("the run is cancelled".into());
    at_second(1).given(over.clone()).when(complete("CASH/0000", 1, "a")).then_expect_error(gone());
    at_second(1).given(over.clone()).when(Command::Retry { tasks: vec![] }).then_expect_error(gone());
    assert_eq!(folded(over).status(), RunStatus::Cancelled);
}
