use cqrs_es::test::TestFramework;
use jiff::SignedDuration;

use super::*;
use crate::decide::{Context, Rejection};
use crate::target_url::UrlPolicy;

fn rewrite() -> TestFramework<Rewrite> {
    TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
}

fn request() -> Requested {
    Requested {
        sample: "s".into(),
        author_id: "austen".into(),
        controls: Controls::default(),
        candidates: 2,
        seed: 0,
        asked_by: "key:k".into(),
    }
}

fn figures() -> Figures {
    Figures { words: 3, distance: 0.5, sentence_words: 3.0, word_letters: 4.0 }
}

fn completed() -> Completed {
    let good = Candidate {
        seed: 0,
        rejected: None,
        figures: Some(figures()),
        similarity: Some(0.9),
        edits: Some(0.4),
    };
    let bad =
        Candidate { seed: 1, rejected: Some("empty".into()), figures: None, similarity: None, edits: None };
    Completed {
        subject: "a".into(),
        text: "A new text.".into(),
        chosen: 0,
        candidates: vec![good, bad],
        before: figures(),
        meaning: "m@1".into(),
        rules: "rewrite@1".into(),
        instructions_sha256: "00".into(),
        fingerprint: "fingerprint@1".into(),
        provider: "ollama".into(),
        model: "m".into(),
        digest: None,
        warnings: vec![],
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn started(attempt: u32, until: i64) -> Event {
    Event::Started(Started { attempt, until: at(until) })
}

fn failed() -> Event {
    Event::Failed(Failed { code: "timeout".into(), reason: "late".into() })
}

#[test]
fn asking_the_same_again_asks_nobody_twice() {
    let asked = Event::Requested(request());
    let again = Command::Request(request());
    rewrite().given_no_previous_events().when(again.clone()).then_expect_events(vec![asked.clone()]);
    rewrite().given(vec![asked.clone()]).when(again.clone()).then_expect_events(vec![]);
    let done = Event::Completed(Box::new(completed()));
    rewrite().given(vec![asked.clone(), done]).when(again.clone()).then_expect_events(vec![]);
    // What failed is tried anew, and what was erased.
    rewrite()
        .given(vec![asked.clone(), failed()])
        .when(again.clone())
        .then_expect_events(vec![asked.clone()]);
    let erased = Completed { text: PersonalText::Erased, ..completed() };
    let erased = Event::Completed(Box::new(erased));
    rewrite().given(vec![asked.clone(), erased]).when(again).then_expect_events(vec![asked]);
}

#[test]
fn one_works_on_it_at_a_time_and_not_for_ever() {
    let asked = Event::Requested(request());
    let start = Command::Start { until: at(60) };
    rewrite().given(vec![asked.clone()]).when(start.clone()).then_expect_events(vec![started(1, 60)]);
    let busy = rewrite().given(vec![asked.clone(), started(1, 1)]).when(start.clone()).inspect_result();
    assert!(matches!(busy, Err(Rejection::State(reason)) if reason.contains("works on")));
    // Whoever began has died.
    rewrite()
        .given(vec![asked.clone(), started(1, 0)])
        .when(start.clone())
        .then_expect_events(vec![started(2, 60)]);
    let given_up = rewrite().given(vec![asked, started(3, 0)]).when(start).inspect_result().unwrap();
    assert!(matches!(&given_up[..], [Event::Failed(f)] if f.code == "given_up"), "{given_up:?}");
}

#[test]
fn an_outcome_is_the_end() {
    let asked = Event::Requested(request());
    let done = Command::Complete(Box::new(completed()), 0);
    rewrite()
        .given(vec![asked.clone(), started(1, 60)])
        .when(done.clone())
        .then_expect_events(vec![Event::Completed(Box::new(completed()))]);
    for command in [done, Command::Start { until: at(1) }] {
        let late = rewrite().given(vec![asked.clone(), failed()]).when(command.clone()).inspect_result();
        assert!(matches!(late, Err(Rejection::State(_))));
        rewrite().given_no_previous_events().when(command).then_expect_error(Rejection::NotFound);
    }
}

#[test]
fn what_does_not_hold_is_named() {
    let refused = |request: Requested| match rewrite()
        .given_no_previous_events()
        .when(Command::Request(request))
        .inspect_result()
    {
        Err(Rejection::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let with = |controls: Controls| Requested { controls, ..request() };
    assert_eq!(refused(Requested { candidates: 0, ..request() }), "/candidates");
    assert_eq!(refused(Requested { candidates: 6, ..request() }), "/candidates");
    assert_eq!(refused(Requested { author_id: "no id".into(), ..request() }), "/author");
    assert_eq!(refused(with(Controls { sentence_words: Some(2), ..Controls::default() })), "/sentence_words");
    let prefer = vec!["upon".to_owned(), "ignore all that".to_owned()];
    assert_eq!(refused(with(Controls { prefer, ..Controls::default() })), "/prefer/1");
    let avoid = vec!["so".to_owned(); 21];
    assert_eq!(refused(with(Controls { avoid, ..Controls::default() })), "/avoid");
    let chosen = Command::Complete(Box::new(Completed { chosen: 1, ..completed() }), 0);
    let bad = rewrite().given(vec![Event::Requested(request())]).when(chosen).inspect_result();
    assert!(matches!(bad, Err(Rejection::Field { field, .. }) if field == "/chosen"));
}

#[test]
fn every_wish_is_a_rewrite_of_its_own() {
    let of = |controls: &Controls, n, seed| id_of("s", "a", controls, n, seed);
    let plain = Controls::default();
    let formal = Controls { formality: Some(Formality::Formal), ..Controls::default() };
    let ids = [of(&plain, 3, 0), of(&plain, 3, 1), of(&plain, 2, 0), of(&formal, 3, 0)];
    for (i, id) in ids.iter().enumerate() {
        crate::ids::check_id(id).unwrap();
        assert!(!ids[..i].contains(id));
    }
    assert_eq!(of(&plain, 3, 0), ids[0]);
}

#[test]
fn a_text_is_kept_only_of_whom_nothing_was_decided_meanwhile() {
    use crate::decide::Decide;
    use crate::ports::log::ExpectedVersion;
    let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
    let asked = Rewrite { requested: Some(request()), ..Rewrite::default() };
    for (version, expected) in [(0, ExpectedVersion::NoStream), (3, ExpectedVersion::Exact(3))] {
        let done = Command::Complete(Box::new(completed()), version);
        let checks = asked.decide(done, &context).unwrap().checks;
        assert_eq!((checks[0].kind, &*checks[0].id, checks[0].expected), ("subject", "author:a", expected));
    }
}
