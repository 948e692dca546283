use cqrs_es::test::TestFramework;
use serde_json::json;

use super::*;
use crate::decide::{Context, Rejection};
use crate::target_url::UrlPolicy;

fn rule() -> TestFramework<Rule> {
    TestFramework::with(Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
}

fn crashes() -> Definition {
    let condition =
        Condition { path: "$.data.crash_type".into(), operator: Operator::Eq, value: Some(json!("oom")) };
    Definition {
        name: "crashes".into(),
        app: Some("shop".into()),
        conditions: vec![condition],
        ..Default::default()
    }
}

fn watched(check: Check) -> Definition {
    let anomaly = json!({"series": {"of": "value", "path": "$.data.total"}, "check": check});
    Definition { anomaly: Some(serde_json::from_value(anomaly).unwrap()), ..crashes() }
}

fn refused(definition: Definition) -> String {
    match rule().given_no_previous_events().when(Command::Define(definition)).inspect_result() {
        Err(Rejection::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rule_is_defined_once() {
    let defined = Event::Defined(crashes());
    rule()
        .given_no_previous_events()
        .when(Command::Define(crashes()))
        .then_expect_events(vec![defined.clone()]);
    rule().given(vec![defined.clone()]).when(Command::Define(crashes())).then_expect_events(vec![]);
    let other = Definition { priority: 9, ..crashes() };
    let again = rule().given(vec![defined]).when(Command::Define(other)).inspect_result();
    assert!(matches!(again, Err(Rejection::State(_))));
}

#[test]
fn a_change_replaces_it_and_counts() {
    let other = Definition { priority: 9, ..crashes() };
    rule()
        .given(vec![Event::Defined(crashes())])
        .when(Command::Change(other.clone()))
        .then_expect_events(vec![Event::Changed(other.clone())]);
    rule().given(vec![Event::Defined(crashes())]).when(Command::Change(crashes())).then_expect_events(vec![]);
    let mut state = Rule::default();
    for event in [Event::Defined(crashes()), Event::Disabled { reason: None }, Event::Changed(other.clone())]
    {
        crate::decide::Decide::evolve(&mut state, event);
    }
    assert_eq!(state, Rule { definition: Some(other), enabled: false, archived: false, version: 2 });
}

#[test]
fn enabling_and_disabling_repeat_themselves_without_effect() {
    let defined = vec![Event::Defined(crashes())];
    rule().given(defined.clone()).when(Command::Enable).then_expect_events(vec![]);
    let reason = Some("noisy".to_owned());
    let disabled = Event::Disabled { reason: reason.clone() };
    rule()
        .given(defined.clone())
        .when(Command::Disable { reason: reason.clone() })
        .then_expect_events(vec![disabled.clone()]);
    let disabled = [defined, vec![disabled]].concat();
    rule().given(disabled.clone()).when(Command::Disable { reason }).then_expect_events(vec![]);
    rule().given(disabled).when(Command::Enable).then_expect_events(vec![Event::Enabled {}]);
}

#[test]
fn an_archived_rule_stays_so() {
    let defined = Event::Defined(crashes());
    rule().given(vec![defined.clone()]).when(Command::Archive).then_expect_events(vec![Event::Archived {}]);
    let archived = vec![defined, Event::Archived {}];
    rule().given(archived.clone()).when(Command::Archive).then_expect_events(vec![]);
    for command in [Command::Enable, Command::Change(crashes()), Command::Define(crashes())] {
        let result = rule().given(archived.clone()).when(command).inspect_result();
        assert!(matches!(result, Err(Rejection::State(_))));
    }
}

#[test]
fn an_unknown_rule_is_not_found() {
    for command in [Command::Enable, Command::Archive, Command::Change(crashes())] {
        rule().given_no_previous_events().when(command).then_expect_error(Rejection::NotFound);
    }
}

#[test]
fn what_is_out_of_bounds_is_named_by_its_pointer() {
    assert_eq!(refused(Definition { name: " ".into(), ..crashes() }), "/name");
    assert_eq!(refused(Definition { app: Some("a\u{0}".into()), ..crashes() }), "/app");
    assert_eq!(refused(Definition { cel: Some("x".repeat(MAX_CEL_BYTES + 1)), ..crashes() }), "/cel");
    let many = vec![crashes().conditions[0].clone(); MAX_CONDITIONS + 1];
    assert_eq!(refused(Definition { conditions: many, ..crashes() }), "/conditions");
    for (operator, value) in [
        (Operator::In, Some(json!("oom"))),
        (Operator::In, Some(json!([["oom"]]))),
        (Operator::Gt, Some(json!(true))),
        (Operator::Regex, Some(json!(1))),
        (Operator::Exists, Some(json!("yes"))),
        (Operator::Eq, Some(json!({}))),
        (Operator::Eq, None),
    ] {
        let conditions = vec![Condition { path: "$.a".into(), operator, value }];
        assert_eq!(refused(Definition { conditions, ..crashes() }), "/conditions/0/value");
    }
    let actions = Actions { webhooks: vec!["a/b".into()], subjects: vec![] };
    assert_eq!(refused(Definition { actions, ..crashes() }), "/actions/webhooks/0");
    let long = ["a"; MAX_SUBJECT_WORDS + 1].join(".");
    for bad in
        ["all.>", "*", "", " ", "a..b", ".a", "a.", "a b", "$SYS.a", "ä", "a\n", &long, &"x".repeat(201)]
    {
        let actions = Actions { webhooks: vec![], subjects: vec!["orders.big".into(), bad.into()] };
        assert_eq!(refused(Definition { actions, ..crashes() }), "/actions/subjects/1", "{bad:?}");
    }
    let throttle = Some(Throttle { actions: 1, seconds: 0 });
    assert_eq!(refused(Definition { throttle, ..crashes() }), "/throttle/seconds");
}

#[test]
fn what_is_watched_has_bounds_too() {
    assert_eq!(refused(watched(Check::Threshold { min: None, max: None })), "/anomaly/check");
    let inverted = Check::Threshold { min: Some(2.0), max: Some(1.0) };
    assert_eq!(refused(watched(inverted)), "/anomaly/check/min");
    assert_eq!(refused(watched(Check::Count { window_seconds: 0, max: 3 })), "/anomaly/check/window_seconds");
    let with = |change: fn(&mut Anomaly)| {
        let mut definition = watched(Check::Rate { max_per_minute: 100 });
        change(definition.anomaly.as_mut().unwrap());
        refused(definition)
    };
    assert_eq!(with(|a| a.sensitivity = 1.5), "/anomaly/sensitivity");
    assert_eq!(with(|a| a.floor = f64::NAN), "/anomaly/floor");
    assert_eq!(with(|a| a.cooldown_seconds = 90_000), "/anomaly/cooldown_seconds");
    let counted = |a: &mut Anomaly| {
        a.series = Series::Count;
        a.check = Check::Detector { model: "ensemble@1".into() };
    };
    assert_eq!(with(counted), "/anomaly/step_seconds");
    assert_eq!(with(|a| a.tick_seconds = 5), "/anomaly/tick_seconds");
    assert_eq!(with(|a| a.tick_seconds = 90_000), "/anomaly/tick_seconds");
    assert_eq!(refused(watched(Check::Silence { seconds: 0 })), "/anomaly/check/seconds");
    let stepped = |a: &mut Anomaly| {
        a.check = Check::Silence { seconds: 60 };
        a.step_seconds = 60;
    };
    assert_eq!(with(stepped), "/anomaly/step_seconds");
    // Taps have no app, and a count of them needs steps.
    assert_eq!(with(|a| a.series = Series::Taps), "/app");
    let mut taps = Definition { app: None, ..watched(Check::Threshold { min: Some(1.0), max: None }) };
    taps.anomaly.as_mut().unwrap().series = Series::Taps;
    assert_eq!(refused(taps), "/anomaly/step_seconds");
    let fine = watched(Check::Threshold { min: None, max: Some(5.0) });
    assert_eq!(fine.anomaly.as_ref().unwrap().cooldown_seconds, 300);
    rule()
        .given_no_previous_events()
        .when(Command::Define(fine.clone()))
        .then_expect_events(vec![Event::Defined(fine)]);
}
