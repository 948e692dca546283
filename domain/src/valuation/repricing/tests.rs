use cqrs_es::test::TestFramework;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::target_url::UrlPolicy;

fn framework() -> TestFramework<Repricing> {
    TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
}

fn model(interpolation: &str) -> ModelId {
    ModelId { parameters: json!({ "interpolation": interpolation }), ..ModelId::new("pricing", 2) }
}

fn chosen(run: &str) -> Chosen {
    Chosen { run_id: run.into(), sha256: format!("own {run}") }
}

fn request(runs: &[&str]) -> Command {
    Command::Request { model: model("cubic_zero"), runs: runs.iter().map(|run| chosen(run)).collect() }
}

fn requested(generation: u32, runs: &[&str]) -> Event {
    let runs = runs.iter().map(|run| chosen(run)).collect();
    Event::Requested { generation, model: model("cubic_zero"), runs }
}

fn sealed(generation: u32, runs: &[&str]) -> Vec<Chosen> {
    let of =
        |run: &&str| Chosen { run_id: repriced_id(run, generation), sha256: format!("{generation} {run}") };
    runs.iter().map(of).collect()
}

fn promote(generation: u32, runs: &[&str]) -> Command {
    Command::Promote { generation, sealed: sealed(generation, runs) }
}

fn promoted(generation: u32, runs: &[(&str, u32)]) -> Event {
    let of = |(run, previous): &(&str, u32)| Shown {
        run_id: (*run).into(),
        previous: *previous,
        sha256: format!("{generation} {run}"),
    };
    Event::Promoted { generation, runs: runs.iter().map(of).collect() }
}

fn back(from: u32, runs: &[&str]) -> Event {
    Event::RolledBack { from, runs: runs.iter().map(|run| (*run).into()).collect() }
}

fn folded(events: &[Event]) -> Repricing {
    let mut state = Repricing::default();
    events.iter().cloned().for_each(|event| state.evolve(event));
    state
}

#[test]
fn numbers_are_given_once() {
    framework()
        .given_no_previous_events()
        .when(request(&["B", "A", "A"]))
        .then_expect_events(vec![requested(2, &["A", "B"])]);
    let given = vec![requested(2, &["A"]), Event::Aborted { generation: 2 }];
    framework().given(given).when(request(&["A"])).then_expect_events(vec![requested(3, &["A"])]);
}

#[test]
fn what_cannot_be_priced_again_is_refused() {
    let refused = |runs: &[&str]| {
        let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        let error = Repricing::default().decide(request(runs), &context).unwrap_err();
        assert!(matches!(&error, Rejection::Field { field, .. } if field == "/runs"), "{error}");
    };
    refused(&[]);
    refused(&["A@2"]);
    refused(&["a/b"]);
    refused(&[&"x".repeat(127)]);
    let many: Vec<String> = (0..=MAX_RUNS).map(|n| format!("R{n}")).collect();
    refused(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let full: Vec<Event> = (0..MAX_GENERATIONS as u32).map(|n| requested(n + 2, &["A"])).collect();
    framework()
        .given(full)
        .when(request(&["A"]))
        .then_expect_error(Rejection::State("there are 100 generations already; abort some of them".into()));
    assert!(
        is_repriced_id("R@12") && !is_repriced_id("R@") && !is_repriced_id("R@x") && !is_repriced_id("12")
    );
}

#[test]
fn a_generation_is_promoted_whole() {
    let given = vec![requested(2, &["A", "B"])];
    framework()
        .given(given.clone())
        .when(promote(2, &["A"]))
        .then_expect_error(Rejection::State("B@2 is not completed".into()));
    let done = promoted(2, &[("A", 1), ("B", 1)]);
    framework().given(given.clone()).when(promote(2, &["A", "B"])).then_expect_events(vec![done.clone()]);
    let given = [given, vec![done]].concat();
    framework().given(given.clone()).when(promote(2, &["A", "B"])).then_expect_events(vec![]);
    framework().given(given).when(promote(3, &["A"])).then_expect_error(Rejection::NotFound);
}

#[test]
fn what_is_in_force_is_the_last_promotion_that_has_the_run() {
    let mut events = vec![
        requested(2, &["A", "B"]),
        promoted(2, &[("A", 1), ("B", 1)]),
        requested(3, &["B", "C"]),
        promoted(3, &[("B", 2), ("C", 1)]),
    ];
    let of = |events: &[Event]| ["A", "B", "C", "D"].map(|run| folded(events).in_force(run));
    assert_eq!(of(&events), [2, 3, 3, 1]);
    framework().given(events.clone()).when(Command::RollBack).then_expect_events(vec![back(3, &["B", "C"])]);
    events.push(back(3, &["B", "C"]));
    assert_eq!(of(&events), [2, 2, 1, 1]);
    assert_eq!(folded(&events).model_in_force(), Some(&model("cubic_zero")));
    framework().given(events.clone()).when(Command::RollBack).then_expect_events(vec![back(2, &["A", "B"])]);
    events.push(back(2, &["A", "B"]));
    assert_eq!((of(&events), folded(&events).model_in_force()), ([1; 4], None));
    framework()
        .given(events)
        .when(Command::RollBack)
        .then_expect_error(Rejection::State("nothing is promoted".into()));
}

#[test]
fn what_is_given_up_is_not_promoted_and_what_is_promoted_not_given_up() {
    let abort = |generation| Command::Abort { generation };
    let given = vec![requested(2, &["A"])];
    let aborted = Event::Aborted { generation: 2 };
    framework().given(given.clone()).when(abort(2)).then_expect_events(vec![aborted.clone()]);
    framework().given(given.clone()).when(abort(7)).then_expect_error(Rejection::NotFound);
    let over = [given.clone(), vec![aborted]].concat();
    framework().given(over.clone()).when(abort(2)).then_expect_events(vec![]);
    assert_eq!(folded(&over).newest(), None);
    framework()
        .given(over)
        .when(promote(2, &["A"]))
        .then_expect_error(Rejection::State("generation 2 is aborted".into()));
    let live = [given, vec![promoted(2, &[("A", 1)])]].concat();
    framework()
        .given(live)
        .when(abort(2))
        .then_expect_error(Rejection::State("generation 2 is promoted; roll it back first".into()));
}

#[test]
fn a_comparison_is_kept() {
    let compared = Compared { generation: 2, same: false, positions: 9, changed: 4 };
    let given = vec![requested(2, &["A"])];
    framework()
        .given(given.clone())
        .when(Command::Compare(compared.clone()))
        .then_expect_events(vec![Event::Compared(compared.clone())]);
    let state = folded(&[given, vec![Event::Compared(compared.clone())]].concat());
    assert_eq!((state.generations[&2].compared.as_ref(), state.newest()), (Some(&compared), Some(2)));
}
