use cqrs_es::test::TestFramework;
use jiff::Timestamp;

use super::*;
use crate::target_url::UrlPolicy;

fn given(events: Vec<Event>) -> cqrs_es::test::AggregateTestExecutor<Record> {
    let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
    TestFramework::<Record>::with(context).given(events)
}

fn refused(events: Vec<Event>, command: Command) -> Rejection {
    given(events).when(command).inspect_result().expect_err("it should be refused")
}

fn subject() -> Subject {
    Subject::new("band", "b1").unwrap()
}

fn key(n: u8) -> KeyId {
    KeyId([n; 12])
}

fn hold(reason: &str) -> Command {
    Command::Hold { subject: subject(), reason: reason.into() }
}

fn held(reason: &str) -> Event {
    Event::Held { subject: subject(), reason: reason.into() }
}

fn erase(keys: &[u8]) -> Command {
    Command::Erase {
        subject: subject(),
        reason: "asked".into(),
        keys: keys.iter().map(|n| key(*n)).collect(),
    }
}

fn erasing(keys: &[u8]) -> Event {
    let keys = keys.iter().map(|n| key(*n)).collect();
    Event::Erasing(Erasing { subject: subject(), reason: "asked".into(), keys })
}

fn done(keys: &[u8]) -> Erased {
    Erased {
        subject: subject(),
        asked: 7,
        keys: keys.iter().map(|n| key(*n)).collect(),
        facts: 3,
        first: Some(1),
        last: Some(5),
        clear: 0,
        rebuilt: Vec::new(),
        replies: 0,
    }
}

fn erased(keys: &[u8]) -> Event {
    Event::Erased(done(keys))
}

#[test]
fn a_hold_keeps_data_until_it_is_released() {
    given(vec![]).when(hold("case 7")).then_expect_events(vec![held("case 7")]);
    given(vec![held("case 7")]).when(hold("case 7")).then_expect_events(vec![]);
    given(vec![held("case 7")]).when(hold("case 8")).then_expect_events(vec![held("case 8")]);
    let refusal = refused(vec![held("case 7")], erase(&[1]));
    assert!(matches!(&refusal, Rejection::State(why) if why.contains("case 7")), "{refusal}");
    let release = Command::Release { subject: subject(), reason: "closed".into() };
    let released = Event::Released { subject: subject(), reason: "closed".into() };
    given(vec![]).when(release.clone()).then_expect_events(vec![]);
    given(vec![held("case 7")]).when(release).then_expect_events(vec![released.clone()]);
    given(vec![held("case 7"), released]).when(erase(&[1])).then_expect_events(vec![erasing(&[1])]);
}

#[test]
fn what_is_being_erased_cannot_be_held() {
    assert!(matches!(refused(vec![erasing(&[1])], hold("late")), Rejection::State(_)));
    given(vec![erasing(&[1]), erased(&[1])]).when(hold("later")).then_expect_events(vec![held("later")]);
}

#[test]
fn keys_are_erased_once() {
    given(vec![]).when(erase(&[1, 2])).then_expect_events(vec![erasing(&[1, 2])]);
    given(vec![erasing(&[1])]).when(erase(&[1])).then_expect_events(vec![]);
    let history = vec![erasing(&[1]), erased(&[1])];
    given(history.clone()).when(erase(&[])).then_expect_events(vec![]);
    given(history.clone()).when(erase(&[2])).then_expect_events(vec![erasing(&[2])]);
    // Somebody put it back.
    given(history).when(erase(&[1, 2])).then_expect_events(vec![erasing(&[1, 2])]);
    let newer = refused(vec![erasing(&[1])], erase(&[2]));
    assert!(matches!(&newer, Rejection::State(why) if why.contains("ask again")), "{newer}");
    assert_eq!(refused(vec![], erase(&[])), Rejection::NotFound);
}

#[test]
fn an_erasure_ends_once() {
    let finish = Command::Finish(done(&[1]));
    given(vec![]).when(finish.clone()).then_expect_events(vec![]);
    given(vec![erasing(&[1])]).when(finish.clone()).then_expect_events(vec![erased(&[1])]);
    given(vec![erasing(&[1]), erased(&[1])]).when(finish.clone()).then_expect_events(vec![]);
    let next = vec![erasing(&[1]), erased(&[1]), erasing(&[2])];
    given(next).when(finish).then_expect_events(vec![]);
}

#[test]
fn keys_that_came_back_go_again_whatever_holds_them() {
    let again = |keys: &[u8]| Command::EraseAgain {
        subject: subject(),
        reason: "asked".into(),
        keys: keys.iter().map(|n| key(*n)).collect(),
    };
    let history = vec![erasing(&[1]), erased(&[1]), held("case 7")];
    given(history.clone()).when(again(&[1])).then_expect_events(vec![erasing(&[1])]);
    given(history.clone()).when(again(&[])).then_expect_events(vec![]);
    given([history, vec![erasing(&[1])]].concat()).when(again(&[1])).then_expect_events(vec![]);
}

#[test]
fn an_export_is_recorded_each_time() {
    let exported = Exported { subject: subject(), facts: 3, upto: 9 };
    let event = Event::Exported(exported.clone());
    given(vec![event.clone()]).when(Command::Export(exported)).then_expect_events(vec![event]);
}

#[test]
fn a_reason_is_given() {
    for bad in ["", "  ", "a\nb", &"x".repeat(501)] {
        assert!(matches!(refused(vec![], hold(bad)), Rejection::Field { .. }), "{bad:?}");
        let erase = Command::Erase { subject: subject(), reason: bad.into(), keys: vec![key(1)] };
        assert!(matches!(refused(vec![], erase), Rejection::Field { .. }), "{bad:?}");
    }
}
