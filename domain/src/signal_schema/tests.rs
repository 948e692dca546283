use cqrs_es::test::TestFramework;
use serde_json::json;

use super::*;
use crate::target_url::UrlPolicy;

fn schema() -> TestFramework<SignalSchema> {
    TestFramework::with(Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
}

fn said(on_mismatch: OnMismatch) -> Said {
    let schema = json!({"type": "object"});
    Said { app: "shop".into(), signal_type: "order.placed".into(), on_mismatch, schema }
}

fn defined() -> Vec<Event> {
    vec![Event::Defined(said(OnMismatch::Flag))]
}

fn retired() -> Vec<Event> {
    [defined(), vec![Event::Retired { reason: None }]].concat()
}

#[test]
fn it_is_defined_once_and_again_after_it_was_retired() {
    let define = || Command::Define(said(OnMismatch::Flag));
    schema().given_no_previous_events().when(define()).then_expect_events(defined());
    schema().given(defined()).when(define()).then_expect_events(vec![]);
    schema().given(retired()).when(define()).then_expect_events(defined());
    let other = Command::Define(said(OnMismatch::Reject));
    let refused = schema().given(defined()).when(other).inspect_result();
    assert!(matches!(refused, Err(Rejection::State(_))));
}

#[test]
fn a_change_replaces_what_is_in_force() {
    let change = || Command::Change(said(OnMismatch::Reject));
    let changed = Event::Changed(said(OnMismatch::Reject));
    schema().given(defined()).when(change()).then_expect_events(vec![changed.clone()]);
    schema().given(vec![defined().remove(0), changed]).when(change()).then_expect_events(vec![]);
    let refused = schema().given(retired()).when(change()).inspect_result();
    assert!(matches!(refused, Err(Rejection::State(_))));
    let refused = schema().given_no_previous_events().when(change()).inspect_result();
    assert!(matches!(refused, Err(Rejection::NotFound)));
}

#[test]
fn it_is_retired_once_and_counts_what_it_said() {
    let retire = || Command::Retire { reason: None };
    schema().given(defined()).when(retire()).then_expect_events(vec![Event::Retired { reason: None }]);
    schema().given(retired()).when(retire()).then_expect_events(vec![]);
    let refused = schema().given_no_previous_events().when(retire()).inspect_result();
    assert!(matches!(refused, Err(Rejection::NotFound)));
    let long = Command::Retire { reason: Some("x".repeat(1_001)) };
    let refused = schema().given(defined()).when(long).inspect_result();
    assert!(matches!(refused, Err(Rejection::Field { .. })));
    let mut state = SignalSchema::default();
    for event in [retired(), defined()].concat() {
        state.evolve(event);
    }
    assert_eq!((state.version, state.in_force()), (2, Some(&said(OnMismatch::Flag))));
}

#[test]
fn what_it_may_not_say() {
    let refused =
        |said: Said| match schema().given_no_previous_events().when(Command::Define(said)).inspect_result() {
            Err(Rejection::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        };
    assert_eq!(refused(Said { app: "a/b".into(), ..said(OnMismatch::Flag) }), "/app");
    assert_eq!(refused(Said { signal_type: String::new(), ..said(OnMismatch::Flag) }), "/type");
    let schema = json!({"const": "x".repeat(MAX_SCHEMA_BYTES)});
    assert_eq!(refused(Said { schema, ..said(OnMismatch::Flag) }), "/schema");
    assert_ne!(id("shop", "a"), id("sho", "pa"));
}
