use cqrs_es::test::TestFramework;

use super::*;
use crate::decide::{Context, Rejection};
use crate::target_url::UrlPolicy;

fn sample() -> TestFramework<Sample> {
    TestFramework::with(Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
}

fn submit(author: Option<&str>, text: &str) -> Submit {
    Submit {
        title: Some("On rivers".into()),
        label: Label { author: author.map(Into::into), genre: Some("essay".into()), ..Label::default() },
        format: "text".into(),
        normalisation: "normalise@1".into(),
        text: text.into(),
    }
}

fn facts(author: Option<&str>, text: &str) -> Vec<Event> {
    let context = Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
    crate::decide::Decide::decide(&Sample::default(), Command::Submit(submit(author, text)), &context)
        .unwrap()
        .events
}

#[test]
fn a_text_is_recorded_under_its_author() {
    let events = facts(Some("Jane Austen"), "It is a truth.");
    let Event::Submitted(submitted) = &events[0] else { panic!("{events:?}") };
    assert_eq!(submitted.subject, format!("Jane_Austen~{}", &id_of("Jane Austen")[..16]));
    assert_eq!((submitted.parts, submitted.bytes, &submitted.sha256), (1, 14, &id_of("It is a truth.")));
    let Event::PartRecorded(part) = &events[1] else { panic!("{events:?}") };
    assert_eq!((part.part, &part.text, &part.subject), (1, &"It is a truth.".into(), &submitted.subject));
}

#[test]
fn an_unknown_authors_text_is_a_subject_of_its_own() {
    let subject = |text: &str| match &facts(None, text)[0] {
        Event::Submitted(submitted) => submitted.subject.clone(),
        other => panic!("{other:?}"),
    };
    assert_ne!(subject("One."), subject("Two."));
    crate::Subject::new(SUBJECT_KIND, &subject("One.")).unwrap();
}

#[test]
fn names_that_look_alike_are_different_subjects() {
    assert_eq!(subject_of("austen"), "austen");
    let named = ["Jane Austen", "Jane_Austen", "Jane?Austen", "Žane Austen", "", "-", &"x".repeat(300)]
        .map(subject_of);
    for (i, subject) in named.iter().enumerate() {
        crate::ids::check_id(subject).unwrap();
        assert!(!named[..i].contains(subject), "{subject}");
    }
}

#[test]
fn the_same_again_changes_nothing_and_another_author_is_refused() {
    let known = facts(Some("a"), "Text.");
    sample()
        .given(known.clone())
        .when(Command::Submit(submit(Some("a"), "Text.")))
        .then_expect_events(vec![]);
    let refused = sample().given(known).when(Command::Submit(submit(Some("b"), "Text."))).inspect_result();
    assert!(matches!(refused, Err(Rejection::State(reason)) if reason.contains("by a;")));
}

#[test]
fn bad_texts_and_names_are_refused() {
    let refused = |submit: Submit| match sample()
        .given_no_previous_events()
        .when(Command::Submit(submit))
        .inspect_result()
    {
        Err(Rejection::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(submit(None, " \n ")), "/text");
    assert_eq!(refused(submit(None, &"word ".repeat(2 << 20))), "/text");
    assert_eq!(refused(submit(None, &"\"".repeat(6 << 20))), "/text");
    assert_eq!(refused(submit(Some("a\nb"), "x")), "/label/author");
    assert_eq!(refused(submit(Some(""), "x")), "/label/author");
    assert_eq!(refused(Submit { title: Some("t".repeat(300)), ..submit(None, "x") }), "/title");
}

#[test]
fn a_long_text_is_recorded_in_parts_that_fit() {
    let text = "A \"quoted\" word,\n\nünd more. ".repeat(100_000);
    let events = facts(Some("a"), &text);
    let mut whole = String::new();
    for event in &events[1..] {
        let Event::PartRecorded(part) = event else { panic!("{event:?}") };
        assert!(serde_json::to_string(&part).unwrap().len() <= PART_BYTES + 200);
        whole.push_str(part.text.clear().unwrap());
    }
    assert_eq!(whole, text);
    let words_of_one_letter = facts(Some("a"), &"x".repeat(1 << 20));
    assert_eq!(words_of_one_letter.len(), 4);
}

#[test]
fn a_label_is_given_later_and_a_sample_withdrawn_and_submitted_again() {
    let known = facts(None, "Text.");
    let label = Label { author: Some("b".into()), ..Label::default() };
    let labelled = Event::Labelled(label.clone());
    sample()
        .given(known.clone())
        .when(Command::Label(label.clone()))
        .then_expect_events(vec![labelled.clone()]);
    let mut history = known.clone();
    history.push(labelled);
    sample().given(history.clone()).when(Command::Label(label.clone())).then_expect_events(vec![]);
    let withdrawn = Event::Withdrawn { reason: "by mistake".into() };
    let withdraw = Command::Withdraw { reason: "by mistake".into() };
    sample().given(history.clone()).when(withdraw.clone()).then_expect_events(vec![withdrawn.clone()]);
    history.push(withdrawn);
    sample().given(history.clone()).when(withdraw.clone()).then_expect_events(vec![]);
    let refused = sample().given(history.clone()).when(Command::Label(label)).inspect_result();
    assert!(matches!(refused, Err(Rejection::State(_))));
    sample().given(history).when(Command::Submit(submit(None, "Text."))).then_expect_events(known);
    sample().given_no_previous_events().when(withdraw).then_expect_error(Rejection::NotFound);
}

#[test]
fn an_erased_text_may_be_submitted_again() {
    let mut known = facts(Some("a"), "Text.");
    if let Event::PartRecorded(part) = &mut known[1] {
        part.text = PersonalText::Erased;
    }
    let again = facts(Some("a"), "Text.");
    sample().given(known).when(Command::Submit(submit(Some("a"), "Text."))).then_expect_events(again);
}
