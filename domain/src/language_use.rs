//! What a tenant sent to language models on one day: stream kind
//! `language_use`, the id is the day. A text leaves the machine only after it
//! was recorded here, and only within the day's budget; so the stream is the
//! audit trail and the budget's ledger at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::personal::Subject;

pub const KIND: &str = "language_use";
pub const TEXT_SENT: &str = "language.text_sent";
pub const ANSWERED: &str = "language.answered";

/// Payload of `language.text_sent`: recorded before the text goes. It never
/// holds the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSent {
    /// Of this call, for its answer.
    pub call: String,
    /// `rewrite` or `embedding`.
    pub purpose: String,
    /// Who asked for it.
    pub asked_by: String,
    pub provider: String,
    pub model: String,
    /// Whose text it is.
    pub sample: String,
    /// Of all that goes out: text and instructions.
    pub bytes: u64,
    /// How often it may go out until there is an answer.
    pub attempts: u32,
    /// Held back from the budget until the answer says what was used.
    pub tokens: u64,
}

/// Payload of `language.answered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    pub call: String,
    /// `answered`, or why there is no answer.
    pub outcome: String,
    /// As the provider counts; absent: what was held back counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "language.text_sent")]
    TextSent(TextSent),
    #[serde(rename = "language.answered")]
    Answered(Answered),
}

/// Of one tenant and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub calls: u64,
    pub tokens: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// With whose text it is, and the version of what was decided about them.
    Send(TextSent, Budget, (Subject, u64)),
    Answer(Answered),
}

/// State folded from a day's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanguageUse {
    pub calls: u64,
    pub tokens: u64,
    /// Calls without an answer, and what is held back for them.
    open: BTreeMap<String, u64>,
}

impl Decide for LanguageUse {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        match command {
            Command::Send(sent, budget, (subject, decided)) => {
                if self.calls >= budget.calls {
                    return Err(spent(&format!("{} calls", budget.calls)));
                }
                if self.tokens.saturating_add(sent.tokens) > budget.tokens {
                    return Err(spent(&format!("{} tokens", budget.tokens)));
                }
                let mut decision = Decision::events(vec![Event::TextSent(sent)]);
                // Nothing of an erased subject goes out.
                decision.checks.push(subject.undecided_since(decided));
                Ok(decision)
            }
            Command::Answer(answer) if self.open.contains_key(&answer.call) => {
                Ok(Decision::events(vec![Event::Answered(answer)]))
            }
            Command::Answer(_) => Ok(Decision::nothing()),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::TextSent(sent) => {
                self.calls += 1;
                self.tokens = self.tokens.saturating_add(sent.tokens);
                self.open.insert(sent.call, sent.tokens);
            }
            Event::Answered(answer) => {
                let held = self.open.remove(&answer.call).unwrap_or(0);
                if let Some(used) = answer.tokens {
                    self.tokens = self.tokens.saturating_sub(held).saturating_add(used);
                }
            }
        }
    }
}

fn spent(budget: &str) -> Rejection {
    Rejection::State(format!("the budget of {budget} a day for language models is spent"))
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::target_url::UrlPolicy;

    const BUDGET: Budget = Budget { calls: 3, tokens: 1_000 };

    fn day() -> TestFramework<LanguageUse> {
        TestFramework::with(Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    fn sent(call: &str, tokens: u64) -> TextSent {
        TextSent {
            call: call.into(),
            purpose: "rewrite".into(),
            asked_by: "key:k".into(),
            provider: "ollama".into(),
            model: "m".into(),
            sample: "s".into(),
            bytes: 100,
            attempts: 3,
            tokens,
        }
    }

    fn whose() -> (Subject, u64) {
        (Subject::new("author", "a").unwrap(), 0)
    }

    fn answered(call: &str, tokens: Option<u64>) -> Event {
        Event::Answered(Answered { call: call.into(), outcome: "answered".into(), tokens })
    }

    #[test]
    fn a_text_is_recorded_before_it_goes() {
        let event = Event::TextSent(sent("1", 400));
        day()
            .given_no_previous_events()
            .when(Command::Send(sent("1", 400), BUDGET, whose()))
            .then_expect_events(vec![event]);
    }

    #[test]
    fn calls_and_tokens_of_a_day_are_bounded() {
        let refused = |given: Vec<Event>, tokens| match day()
            .given(given)
            .when(Command::Send(sent("x", tokens), BUDGET, whose()))
            .inspect_result()
        {
            Err(Rejection::State(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let three = ["1", "2", "3"].map(|call| Event::TextSent(sent(call, 1)));
        assert!(refused(three.to_vec(), 1).contains("3 calls"));
        assert!(refused(vec![Event::TextSent(sent("1", 700))], 301).contains("1000 tokens"));
    }

    #[test]
    fn what_was_held_back_becomes_what_was_used() {
        let given = vec![Event::TextSent(sent("1", 900)), answered("1", Some(100))];
        let next = Command::Send(sent("2", 900), BUDGET, whose());
        day().given(given).when(next.clone()).then_expect_events(vec![Event::TextSent(sent("2", 900))]);
        // Without a count it stays held.
        let given = vec![Event::TextSent(sent("1", 900)), answered("1", None)];
        assert!(day().given(given).when(next).inspect_result().is_err());
    }

    #[test]
    fn an_answer_counts_once() {
        let Event::Answered(answer) = answered("1", Some(5)) else { unreachable!() };
        let sent = Event::TextSent(sent("1", 9));
        let command = Command::Answer(answer);
        day()
            .given(vec![sent.clone()])
            .when(command.clone())
            .then_expect_events(vec![answered("1", Some(5))]);
        day().given(vec![sent, answered("1", Some(5))]).when(command).then_expect_events(vec![]);
    }
}
