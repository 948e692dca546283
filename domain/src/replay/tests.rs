use cqrs_es::test::TestFramework;
use jiff::Timestamp;

use super::*;
use crate::target_url::UrlPolicy;

fn given(events: Vec<Event>) -> cqrs_es::test::AggregateTestExecutor<Replay> {
    let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
    TestFramework::<Replay>::with(context).given(events)
}

fn refused(events: Vec<Event>, command: Command) -> Rejection {
    given(events).when(command).inspect_result().expect_err("it should be refused")
}

fn requested(generation: u32) -> Event {
    Event::Requested { generation, model: ModelId::new("bots", 2), at: None }
}

fn result(generation: u32) -> Built {
    Built { generation, position: 90, rows: 3, checksum: "ab".into(), events: 80, seconds: 1.5 }
}

fn built(generation: u32) -> Event {
    Event::Built(result(generation))
}

fn promote(generation: u32) -> Command {
    Command::Promote { generation, fence: 100 }
}

fn promoted(generation: u32, previous: u32) -> Event {
    Event::Promoted { generation, previous, fence: 100 }
}

fn all() -> BTreeSet<u32> {
    (1..=9).collect()
}

#[test]
fn a_build_is_requested_paused_resumed_and_finished() {
    let request = Command::Request { generation: 2, model: ModelId::new("bots", 2), at: None };
    given(vec![]).when(request.clone()).then_expect_events(vec![requested(2)]);
    assert!(matches!(refused(vec![requested(2)], request), Rejection::State(_)));
    let (pause, resume) = (Command::Pause { generation: 2 }, Command::Resume { generation: 2 });
    let paused = Event::Paused { generation: 2 };
    given(vec![requested(2)]).when(pause.clone()).then_expect_events(vec![paused.clone()]);
    given(vec![requested(2), paused.clone()]).when(pause.clone()).then_expect_events(vec![]);
    given(vec![requested(2)]).when(resume.clone()).then_expect_events(vec![]);
    let resumed = Event::Resumed { generation: 2 };
    given(vec![requested(2), paused]).when(resume).then_expect_events(vec![resumed]);
    given(vec![requested(2)]).when(Command::Finish(result(2))).then_expect_events(vec![built(2)]);
    given(vec![requested(2), built(2)]).when(Command::Finish(result(2))).then_expect_events(vec![]);
    assert!(matches!(refused(vec![requested(2), built(2)], pause.clone()), Rejection::State(_)));
    assert_eq!(refused(vec![], pause), Rejection::NotFound);
}

#[test]
fn an_aborted_build_is_neither_finished_nor_promoted() {
    let (abort, aborted) = (Command::Abort { generation: 2 }, Event::Aborted { generation: 2 });
    given(vec![requested(2)]).when(abort.clone()).then_expect_events(vec![aborted.clone()]);
    let history = vec![requested(2), aborted];
    given(history.clone()).when(abort).then_expect_events(vec![]);
    assert!(matches!(refused(history.clone(), Command::Finish(result(2))), Rejection::State(_)));
    assert!(matches!(refused(history, promote(2)), Rejection::State(_)));
    assert!(matches!(refused(vec![], Command::Abort { generation: 1 }), Rejection::State(_)));
}

#[test]
fn only_what_is_built_and_follows_the_log_is_promoted() {
    given(vec![requested(2), built(2)]).when(promote(2)).then_expect_events(vec![promoted(2, 1)]);
    given(vec![requested(2), built(2), promoted(2, 1)]).when(promote(2)).then_expect_events(vec![]);
    assert!(matches!(refused(vec![requested(2)], promote(2)), Rejection::State(_)));
    assert_eq!(refused(vec![], promote(2)), Rejection::NotFound);
    let past = Event::Requested { generation: 2, model: ModelId::new("bots", 2), at: Some(7) };
    assert!(matches!(refused(vec![past, built(2)], promote(2)), Rejection::State(_)));
    let pruned = vec![requested(2), built(2), Event::Pruned { generation: 2 }];
    assert!(matches!(refused(pruned, promote(2)), Rejection::State(_)));
}

#[test]
fn a_rollback_leads_to_what_was_live_before() {
    let back = |available| Command::RollBack { available };
    assert!(matches!(refused(vec![], back(all())), Rejection::State(_)));
    let mut history = vec![requested(2), built(2), requested(3), built(3), promoted(2, 1), promoted(3, 2)];
    let to = |from, to| Event::RolledBack { from, to };
    given(history.clone()).when(back(all())).then_expect_events(vec![to(3, 2)]);
    // Generation 2 is not in the row store.
    given(history.clone()).when(back([1, 3].into())).then_expect_events(vec![to(3, 1)]);
    history.push(to(3, 2));
    given(history.clone()).when(back(all())).then_expect_events(vec![to(2, 1)]);
    history.push(to(2, 1));
    assert!(matches!(refused(history.clone(), back(all())), Rejection::State(_)));
    given(history).when(promote(3)).then_expect_events(vec![promoted(3, 1)]);
}

#[test]
fn what_is_live_or_being_built_is_not_pruned() {
    let prune = |generation| Command::Prune { generation };
    assert!(matches!(refused(vec![], prune(1)), Rejection::State(_)));
    assert!(matches!(refused(vec![requested(2)], prune(2)), Rejection::State(_)));
    assert_eq!(refused(vec![], prune(2)), Rejection::NotFound);
    let history = vec![requested(2), built(2), promoted(2, 1)];
    let pruned = Event::Pruned { generation: 1 };
    given(history.clone()).when(prune(1)).then_expect_events(vec![pruned.clone()]);
    given([history.clone(), vec![pruned.clone()]].concat()).when(prune(1)).then_expect_events(vec![]);
    let gone = [history, vec![pruned]].concat();
    assert!(matches!(refused(gone, Command::RollBack { available: all() }), Rejection::State(_)));
}

#[test]
fn an_event_is_skipped_once_and_with_a_reason() {
    let skip = |reason: &str| Command::Skip { position: 7, reason: reason.into(), kept_by: [1].into() };
    let skipped = Event::SkippedEvent { position: 7, reason: "torn".into(), kept_by: [1].into() };
    given(vec![]).when(skip("torn")).then_expect_events(vec![skipped.clone()]);
    given(vec![skipped.clone()]).when(skip("again")).then_expect_events(vec![]);
    for bad in ["", "  ", "a\nb", &"x".repeat(501)] {
        assert!(matches!(refused(vec![], skip(bad)), Rejection::Field { .. }), "{bad:?}");
    }
    let mut state = Replay::default();
    state.evolve(skipped);
    assert_eq!(state.left_out(2), [7].into());
    assert!(state.left_out(1).is_empty());
}

#[test]
fn comparisons_and_verifications_are_of_what_is_built() {
    let compared = |against| Compared {
        generation: 2,
        against,
        position: 90,
        same: false,
        added: 1,
        removed: 0,
        changed: 2,
    };
    let history = vec![requested(2), built(2)];
    given(history.clone())
        .when(Command::Compare(compared(1)))
        .then_expect_events(vec![Event::Compared(compared(1))]);
    assert_eq!(refused(history, Command::Compare(compared(5))), Rejection::NotFound);
    assert!(matches!(refused(vec![requested(2)], Command::Compare(compared(1))), Rejection::State(_)));
}

#[test]
fn generations_are_bounded() {
    let many: Vec<Event> = (2..=commands::MAX_GENERATIONS as u32).map(requested).collect();
    let next = Command::Request { generation: 99, model: ModelId::new("bots", 1), at: None };
    assert!(matches!(refused(many.clone(), next.clone()), Rejection::State(_)));
    let one_less = [many, vec![Event::Aborted { generation: 2 }]].concat();
    assert!(given(one_less).when(next).inspect_result().is_ok());
}
