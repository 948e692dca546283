use cqrs_es::test::TestFramework;
use jiff::Timestamp;

use super::*;
use crate::decide::{Context, Decide, Rejection};
use crate::target_url::UrlPolicy;

fn window() -> TestFramework<Review> {
    TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
}

fn acknowledged() -> Event {
    Event::Acknowledged { note: Some("mine".into()) }
}

fn mute(second: i64) -> Command {
    let until = Timestamp::from_second(second).unwrap();
    Command::Mute { rule: "cpu".into(), key: Some("web-1".into()), until, note: None }
}

fn muted(second: i64) -> Event {
    let until = Timestamp::from_second(second).unwrap();
    Event::Muted { rule: "cpu".into(), key: Some("web-1".into()), until, note: None }
}

#[test]
fn a_window_is_acknowledged_once() {
    let acknowledge = |note: &str| Command::Acknowledge { note: Some(note.into()) };
    window().given_no_previous_events().when(acknowledge("mine")).then_expect_events(vec![acknowledged()]);
    window().given(vec![acknowledged()]).when(acknowledge("no, mine")).then_expect_events(vec![]);
}

#[test]
fn a_mute_can_be_moved_and_ended() {
    window().given_no_previous_events().when(mute(60)).then_expect_events(vec![muted(60)]);
    window().given(vec![muted(60)]).when(mute(60)).then_expect_events(vec![]);
    window().given(vec![muted(60)]).when(mute(90)).then_expect_events(vec![muted(90)]);
    let unmute = Command::Unmute { rule: "cpu".into(), key: None };
    let unmuted = Event::Unmuted { rule: "cpu".into(), key: None };
    window().given_no_previous_events().when(unmute.clone()).then_expect_events(vec![]);
    window().given(vec![muted(60)]).when(unmute.clone()).then_expect_events(vec![unmuted.clone()]);
    window().given(vec![muted(60), unmuted]).when(unmute).then_expect_events(vec![]);
}

#[test]
fn notes_are_kept_within_bounds() {
    let note = |note: &str| Command::Note { note: note.into() };
    let noted = Event::Noted { note: "deploy".into() };
    window().given_no_previous_events().when(note("deploy")).then_expect_events(vec![noted.clone()]);
    // Saying the same again is saying something.
    window().given(vec![noted.clone()]).when(note("deploy")).then_expect_events(vec![noted.clone()]);
    for bad in [" ", "a\u{7}", &"x".repeat(MAX_NOTE_BYTES + 1)] {
        let result = window().given_no_previous_events().when(note(bad)).inspect_result();
        assert!(matches!(result, Err(Rejection::Field { field, .. }) if field == "/note"));
    }
    let long = Command::Acknowledge { note: Some("x".repeat(MAX_NOTE_BYTES + 1)) };
    let result = window().given(vec![acknowledged()]).when(long).inspect_result();
    assert!(matches!(result, Err(Rejection::Field { field, .. }) if field == "/note"));
    let full = vec![noted; MAX_NOTES as usize];
    let result = window().given(full.clone()).when(note("one more")).inspect_result();
    assert!(matches!(result, Err(Rejection::State(_))));
    let bare = Event::Acknowledged { note: None };
    window().given(full).when(Command::Acknowledge { note: None }).then_expect_events(vec![bare]);
}

#[test]
fn what_was_said_folds() {
    let mut state = Review::default();
    for event in [acknowledged(), muted(5), Event::Noted { note: "x".into() }] {
        state.evolve(event);
    }
    let muted_until = Timestamp::from_second(5).ok();
    assert_eq!(state, Review { acknowledged: true, muted_until, notes: 2 });
}

#[test]
fn windows_have_ids_of_their_own() {
    let ids = [
        window_id(7, "cpu", 1, "a", 1),
        window_id(8, "cpu", 1, "a", 1),
        window_id(7, "cpu", 2, "a", 1),
        window_id(7, "cpu", 1, "b", 1),
        window_id(7, "cpua", 1, "", 1),
        window_id(7, "cpu", 1, "a", 2),
    ];
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert!(ids.iter().all(|id| crate::ids::check_id(id).is_ok()));
}
