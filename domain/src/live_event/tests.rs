use cqrs_es::test::TestFramework;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::decide::{Context, Decide, Rejection};
use crate::target_url::UrlPolicy;

fn context() -> Context {
    Context { now: "2026-05-01T00:00:00Z".parse().unwrap(), urls: UrlPolicy::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn details() -> Details {
    Details {
        name: "Night one".into(),
        venue: "Arena".into(),
        place: "New York".into(),
        time_zone: "America/New_York".into(),
        starts_at: "2026-07-01T19:00".into(),
        ends_at: "2026-07-01T23:00".into(),
        pre_url: Some("https://a.example/pre".into()),
        live_url: None,
        post_url: None,
        fallback_url: Some("https://a.example/fallback".into()),
    }
}

fn window(id: &str, starts_at: &str, ends_at: &str, priority: i32) -> WindowInput {
    WindowInput {
        id: id.into(),
        title: String::new(),
        kind: WindowKind::Live,
        starts_at: starts_at.into(),
        ends_at: ends_at.into(),
        url: format!("https://a.example/{id}"),
        priority,
    }
}

fn scheduled() -> LiveEvent {
    folded(&[Command::Schedule(details())])
}

fn folded(commands: &[Command]) -> LiveEvent {
    let mut event = LiveEvent::default();
    for command in commands {
        for e in event.decide(command.clone(), &context()).unwrap().events {
            event.evolve(e);
        }
    }
    event
}

fn refused(commands: &[Command], command: Command) -> String {
    folded(commands).decide(command, &context()).unwrap_err().to_string()
}

#[test]
fn local_times_are_read_in_the_zone_of_the_event() {
    let event = scheduled();
    let details = event.details.unwrap();
    assert_eq!(details.starts_at, at("2026-07-01T23:00:00Z"));
    assert_eq!(details.ends_at, at("2026-07-02T03:00:00Z"));
}

#[test]
fn local_times_in_a_gap_are_refused_and_in_a_fold_need_an_offset() {
    let gap =
        Details { starts_at: "2026-03-08T02:30".into(), ends_at: "2026-03-08T05:00".into(), ..details() };
    assert!(refused(&[], Command::Schedule(gap)).starts_with("/starts_at: does not exist"));
    let fold =
        Details { starts_at: "2026-11-01T01:30".into(), ends_at: "2026-11-01T05:00".into(), ..details() };
    assert!(refused(&[], Command::Schedule(fold.clone())).contains("happens twice"));
    let explicit = Details { starts_at: "2026-11-01T01:30:00-05:00".into(), ..fold };
    let event = folded(&[Command::Schedule(explicit)]);
    assert_eq!(event.details.unwrap().starts_at, at("2026-11-01T06:30:00Z"));
}

#[test]
fn scheduling_again_changes_nothing_or_is_refused() {
    let event = scheduled();
    assert!(event.decide(Command::Schedule(details()), &context()).unwrap().events.is_empty());
    let other = Details { name: "Other".into(), ..details() };
    assert!(matches!(event.decide(Command::Schedule(other), &context()), Err(Rejection::State(_))));
}

#[test]
fn commands_name_the_field_that_does_not_hold() {
    let bad = |change: fn(&mut Details)| {
        let mut d = details();
        change(&mut d);
        refused(&[], Command::Schedule(d))
    };
    assert!(bad(|d| d.name = " ".into()).starts_with("/name"));
    assert!(bad(|d| d.time_zone = "Mars/Base".into()).starts_with("/time_zone"));
    assert!(bad(|d| d.ends_at = d.starts_at.clone()).starts_with("/ends_at"));
    assert!(bad(|d| d.starts_at = "tomorrow".into()).starts_with("/starts_at"));
    assert!(bad(|d| d.live_url = Some("javascript:alert(1)".into())).starts_with("/live_url"));
    assert!(bad(|d| d.venue = "a\u{0}b".into()).starts_with("/venue"));
}

#[test]
fn a_window_is_added_changed_and_removed() {
    let add = Command::AddWindow(window("w1", "2026-07-01T20:00", "2026-07-01T21:00", 0));
    let mut event = folded(&[Command::Schedule(details()), add.clone()]);
    assert!(event.decide(add, &context()).unwrap().events.is_empty(), "the same again");
    let changed = window("w1", "2026-07-01T20:00", "2026-07-01T22:00", 0);
    let decided = event.decide(Command::ChangeWindow(changed), &context()).unwrap();
    event.evolve(decided.events[0].clone());
    assert_eq!(event.windows["w1"].ends_at, at("2026-07-02T02:00:00Z"));
    let decided = event.decide(Command::RemoveWindow { window_id: "w1".into() }, &context()).unwrap();
    event.evolve(decided.events[0].clone());
    assert!(event.windows.is_empty());
}

#[test]
fn overlaps_are_told_with_the_winner() {
    let event = folded(&[
        Command::Schedule(details()),
        Command::AddWindow(window("w1", "2026-07-01T20:00", "2026-07-01T21:00", 0)),
    ]);
    let touching = window("w2", "2026-07-01T21:00", "2026-07-01T22:00", 0);
    let decided = event.decide(Command::AddWindow(touching), &context()).unwrap();
    assert!(decided.warnings.is_empty(), "half-open windows that touch do not overlap");
    let overlapping = window("w3", "2026-07-01T20:30", "2026-07-01T22:00", -1);
    let decided = event.decide(Command::AddWindow(overlapping), &context()).unwrap();
    assert_eq!(decided.warnings, ["window w3 overlaps window w1; while both hold, w1 is served"]);
}

#[test]
fn a_held_window_cannot_be_removed() {
    let commands = [
        Command::Schedule(details()),
        Command::AddWindow(window("w1", "2026-07-01T20:00", "2026-07-01T21:00", 0)),
        Command::SetMode(ModeInput::Held { window_id: "w1".into() }),
    ];
    assert!(refused(&commands, Command::RemoveWindow { window_id: "w1".into() }).contains("held"));
    assert!(
        refused(&commands, Command::SetMode(ModeInput::Held { window_id: "w9".into() }))
            .contains("/window_id")
    );
}

#[test]
fn a_cancelled_event_takes_no_changes_until_restored() {
    let event = scheduled_event();
    TestFramework::<LiveEvent>::with(context())
        .given(vec![event.clone(), Event::Cancelled { reason: "rain".into() }])
        .when(Command::SetMode(ModeInput::Off))
        .then_expect_error(Rejection::State("the event is cancelled; restore it first".into()));
    TestFramework::<LiveEvent>::with(context())
        .given(vec![event, Event::Cancelled { reason: "rain".into() }])
        .when(Command::Restore)
        .then_expect_events(vec![Event::Restored {}]);
}

fn scheduled_event() -> Event {
    LiveEvent::default().decide(Command::Schedule(details()), &context()).unwrap().events.remove(0)
}

#[test]
fn an_unknown_event_is_not_found() {
    TestFramework::<LiveEvent>::with(context())
        .given_no_previous_events()
        .when(Command::Archive)
        .then_expect_error(Rejection::NotFound);
}

#[test]
fn the_window_changes_exactly_at_its_instant() {
    let event = folded(&[
        Command::Schedule(details()),
        Command::AddWindow(window("w1", "2026-07-01T20:00", "2026-07-01T21:00", 0)),
        Command::AddWindow(window("w2", "2026-07-01T21:00", "2026-07-01T22:00", 0)),
    ]);
    let served = |t: &str| resolve(&event, at(t)).window_id.map(str::to_owned);
    assert_eq!(served("2026-07-01T23:59:59.999999Z"), None);
    assert_eq!(served("2026-07-02T00:00:00Z").as_deref(), Some("w1"));
    assert_eq!(served("2026-07-02T00:59:59.999999Z").as_deref(), Some("w1"));
    assert_eq!(served("2026-07-02T01:00:00Z").as_deref(), Some("w2"));
    assert_eq!(served("2026-07-02T02:00:00Z"), None);
}

#[test]
fn without_a_window_the_phase_serves_then_the_fallback() {
    let event = scheduled();
    let before = resolve(&event, at("2026-06-01T00:00:00Z"));
    assert_eq!((before.mode, before.window_id), (Mode::Pre, None));
    let during = resolve(&event, at("2026-07-02T00:00:00Z"));
    assert_eq!(during.mode, Mode::Fallback, "there is no live URL");
    let off = folded(&[Command::Schedule(details()), Command::SetMode(ModeInput::Off)]);
    assert_eq!(resolve(&off, at("2026-06-01T00:00:00Z")).mode, Mode::Fallback);
    let cancelled = folded(&[Command::Schedule(details()), Command::Cancel { reason: String::new() }]);
    assert_eq!(resolve(&cancelled, at("2026-06-01T00:00:00Z")).mode, Mode::Fallback);
}

proptest! {
    /// Among the windows that hold the instant, nobody has a higher
    /// (priority, start, id) than the one served.
    #[test]
    fn the_served_window_is_the_greatest_that_holds(
        spans in prop::collection::vec((0i64..50, 1i64..20, -2i32..3), 1..12),
        instant in 0i64..80,
    ) {
        let mut event = scheduled();
        for (i, (start, length, priority)) in spans.iter().enumerate() {
            let seconds = |s: i64| Timestamp::from_second(s).unwrap();
            let url = TargetUrl::parse("https://a.example/", &UrlPolicy::default()).unwrap();
            let id = format!("w{i:02}");
            let (starts_at, ends_at) = (seconds(*start), seconds(start + length));
            event.windows.insert(id.clone(), Window {
                id, title: String::new(), kind: WindowKind::Live, starts_at, ends_at, url, priority: *priority,
            });
        }
        let at = Timestamp::from_second(instant).unwrap();
        let mut holding: Vec<_> =
            event.windows.values().filter(|w| w.starts_at <= at && at < w.ends_at).collect();
        holding.sort_by_key(|w| (w.priority, w.starts_at, w.id.clone()));
        prop_assert_eq!(resolve(&event, at).window_id, holding.last().map(|w| w.id.as_str()));
    }
}
