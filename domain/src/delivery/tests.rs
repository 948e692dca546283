use std::time::Duration;

use cqrs_es::test::TestFramework;
use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::decide::{Context, Rejection};
use crate::target_url::UrlPolicy;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn delivery() -> TestFramework<Delivery> {
    TestFramework::with(Context { now: NOW, urls: UrlPolicy::default() })
}

fn of() -> Scheduled {
    Scheduled {
        endpoint: "ops".into(),
        cause: 7,
        cause_id: Uuid::nil(),
        cause_type: "rule.matched".into(),
        signal: Some(6),
        app: Some("shop".into()),
        rule: Some("big".into()),
        rule_version: Some(1),
        key: None,
        due_at: NOW,
    }
}

fn schedule() -> Schedule {
    let delays = vec![Duration::from_secs(5), Duration::from_secs(60)];
    Schedule { delays, jitter_percent: 0, max_retry_after: Duration::from_secs(600) }
}

fn answered(status: u16) -> Command {
    record(Outcome::Answer { status, retry_after: None, body: "ok\u{0}\n".into() })
}

fn record(outcome: Outcome) -> Command {
    let attempt = Attempt { at: NOW, latency: Duration::from_millis(12), outcome };
    Command::Record { id: "msg_1".into(), attempt, schedule: schedule() }
}

fn attempted(attempt: u32, status: Option<u16>, next: Option<i64>) -> Event {
    Event::Attempted(Attempted {
        endpoint: "ops".into(),
        cause: 7,
        attempt,
        at: NOW,
        latency_ms: 12,
        status,
        error: None,
        detail: None,
        excerpt: Some("ok".into()),
        next_at: next.map(|s| Timestamp::from_second(s).unwrap()),
    })
}

fn ended(event: fn(String, u64, u32) -> Event, attempts: u32) -> Event {
    event("ops".into(), 7, attempts)
}

fn delivered(endpoint: String, cause: u64, attempts: u32) -> Event {
    Event::Delivered { endpoint, cause, attempts }
}

fn exhausted(endpoint: String, cause: u64, attempts: u32) -> Event {
    Event::Dead { endpoint, cause, attempts, reason: Death::Exhausted }
}

fn gone(endpoint: String, cause: u64, attempts: u32) -> Event {
    Event::Dead { endpoint, cause, attempts, reason: Death::Gone }
}

#[test]
fn it_is_scheduled_once() {
    delivery()
        .given_no_previous_events()
        .when(Command::Schedule(of()))
        .then_expect_events(vec![Event::Scheduled(of())]);
    delivery().given(vec![Event::Scheduled(of())]).when(Command::Schedule(of())).then_expect_events(vec![]);
}

#[test]
fn only_a_2xx_delivers() {
    for status in [200, 202, 299] {
        delivery()
            .given(vec![Event::Scheduled(of())])
            .when(answered(status))
            .then_expect_events(vec![attempted(1, Some(status), None), ended(delivered, 1)]);
    }
    for status in [100, 199, 301, 302, 400, 404, 429, 500, 503] {
        delivery()
            .given(vec![Event::Scheduled(of())])
            .when(answered(status))
            .then_expect_events(vec![attempted(1, Some(status), Some(5))]);
    }
}

#[test]
fn the_last_failure_of_the_schedule_ends_it() {
    let failed = |n, next| attempted(n, Some(500), next);
    let given = vec![Event::Scheduled(of()), failed(1, Some(5)), failed(2, Some(65))];
    delivery()
        .given(given)
        .when(answered(500))
        .then_expect_events(vec![failed(3, None), ended(exhausted, 3)]);
}

#[test]
fn gone_ends_it_at_once() {
    delivery()
        .given(vec![Event::Scheduled(of())])
        .when(answered(410))
        .then_expect_events(vec![attempted(1, Some(410), None), ended(gone, 1)]);
}

#[test]
fn retry_after_is_waited_for_up_to_a_bound() {
    for (asked, next) in [(30, 30), (1, 5), (100_000, 600)] {
        let outcome =
            Outcome::Answer { status: 503, retry_after: Some(Duration::from_secs(asked)), body: "ok".into() };
        delivery()
            .given(vec![Event::Scheduled(of())])
            .when(record(outcome))
            .then_expect_events(vec![attempted(1, Some(503), Some(next))]);
    }
}

#[test]
fn what_has_ended_can_be_asked_for_again_and_nothing_else() {
    let dead = vec![Event::Scheduled(of()), attempted(1, Some(410), None), ended(gone, 1)];
    let again = Event::RequestedAgain { endpoint: "ops".into(), cause: 7, due_at: NOW };
    delivery().given(dead.clone()).when(Command::RequestAgain).then_expect_events(vec![again.clone()]);
    let refused = delivery().given(dead.clone()).when(answered(200)).inspect_result();
    assert!(matches!(refused, Err(Rejection::State(_))));
    // Attempts count on, the schedule begins anew.
    delivery().given([dead, vec![again]].concat()).when(answered(500)).then_expect_events(vec![attempted(
        2,
        Some(500),
        Some(5),
    )]);
    delivery().given(vec![Event::Scheduled(of())]).when(Command::RequestAgain).then_expect_events(vec![]);
    let unknown = delivery().given_no_previous_events().when(Command::RequestAgain).inspect_result();
    assert!(matches!(unknown, Err(Rejection::NotFound)));
}

#[test]
fn an_endpoint_and_an_event_make_one_id() {
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert_eq!(id("ops", a), id("ops", a));
    assert_ne!(id("ops", a), id("ops", b));
    assert_ne!(id("ops", a), id("op", a));
    assert!(!id("ops", a).contains('.'));
    crate::ids::check_id(&id("ops", a)).unwrap();
}

#[test]
fn an_excerpt_is_short_and_without_control_characters() {
    assert_eq!(excerpt("a\r\nb\u{1b}[0m", 100), "a  b [0m");
    let long = excerpt(&"ü".repeat(1_000), 1_023);
    assert_eq!((long.len(), long.chars().count()), (1_022, 511));
}
