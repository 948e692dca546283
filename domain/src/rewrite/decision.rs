//! What a rewrite decides.

use super::{Command, Completed, Controls, Event, Failed, Outcome, Requested, Rewrite, Started};
use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ids::check_id;
use crate::personal::Subject;
use crate::sample::SUBJECT_KIND;

/// Longest text that is rewritten, and that comes of it.
pub const MAX_TEXT_BYTES: usize = 24 << 10;
pub const MOST_CANDIDATES: u32 = 5;
/// How often it is begun: who begins and ends without an outcome has died.
pub const MAX_ATTEMPTS: u32 = 3;
const MOST_WORDS: usize = 20;
const MAX_WORD_BYTES: usize = 64;

impl Decide for Rewrite {
    const KIND: &'static str = super::KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, context: &Context) -> Result<Decision<Event>, Rejection> {
        match command {
            Command::Request(request) => self.request(request),
            _ if self.requested.is_none() => Err(Rejection::NotFound),
            _ if self.outcome != Outcome::Open => Err(Rejection::State("the rewrite has ended".into())),
            Command::Start { until } => self.start(until, context),
            Command::Complete(completed, version) => {
                check(&completed)?;
                let subject = Subject::new(SUBJECT_KIND, &completed.subject);
                let subject = subject.map_err(|e| Rejection::field("/subject", e))?;
                let mut decision = Decision::events(vec![Event::Completed(completed)]);
                decision.checks.push(subject.undecided_since(version));
                Ok(decision)
            }
            Command::Fail(failed) => Ok(Decision::events(vec![Event::Failed(failed)])),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Requested(requested) => {
                *self = Self { requested: Some(requested), ..Self::default() };
            }
            Event::Started(started) => self.started = Some(started),
            Event::Completed(completed) => self.outcome = Outcome::Completed(completed),
            Event::Failed(failed) => self.outcome = Outcome::Failed(failed),
        }
    }
}

impl Rewrite {
    fn request(&self, request: Requested) -> Result<Decision<Event>, Rejection> {
        check_id(&request.author_id).map_err(|e| Rejection::field("/author", e))?;
        if !(1..=MOST_CANDIDATES).contains(&request.candidates) {
            return Err(Rejection::field("/candidates", format!("must be 1 to {MOST_CANDIDATES}")));
        }
        check_controls(&request.controls)?;
        // What failed may be asked for again; what cannot be read any more, too.
        let again = match (&self.requested, &self.outcome) {
            (None, _) | (_, Outcome::Failed(_)) => true,
            (_, Outcome::Completed(completed)) => completed.text.clear().is_none(),
            (_, Outcome::Open) => false,
        };
        Ok(Decision::events(if again { vec![Event::Requested(request)] } else { vec![] }))
    }

    fn start(&self, until: jiff::Timestamp, context: &Context) -> Result<Decision<Event>, Rejection> {
        let attempt = match &self.started {
            Some(started) if started.until > context.now => {
                return Err(Rejection::State("somebody works on the rewrite".into()));
            }
            Some(started) => started.attempt + 1,
            None => 1,
        };
        let event = match attempt > MAX_ATTEMPTS {
            true => Event::Failed(Failed {
                code: "given_up".into(),
                reason: format!("it was begun {MAX_ATTEMPTS} times and never ended"),
            }),
            false => Event::Started(Started { attempt, until }),
        };
        Ok(Decision::events(vec![event]))
    }
}

fn check(completed: &Completed) -> Result<(), Rejection> {
    let text = completed.text.clear().unwrap_or_default();
    if text.trim().is_empty() || text.len() > 2 * MAX_TEXT_BYTES {
        return Err(Rejection::field("/text", "is empty or too long"));
    }
    let chosen = completed.candidates.get(completed.chosen as usize);
    if !chosen.is_some_and(|candidate| candidate.rejected.is_none() && candidate.figures.is_some()) {
        return Err(Rejection::field("/chosen", "is no candidate that was considered"));
    }
    Ok(())
}

fn check_controls(controls: &Controls) -> Result<(), Rejection> {
    if controls.sentence_words.is_some_and(|words| !(3..=80).contains(&words)) {
        return Err(Rejection::field("/sentence_words", "must be 3 to 80"));
    }
    for (name, words) in [("prefer", &controls.prefer), ("avoid", &controls.avoid)] {
        if words.len() > MOST_WORDS {
            return Err(Rejection::field(&format!("/{name}"), format!("must be at most {MOST_WORDS} words")));
        }
        for (at, word) in words.iter().enumerate() {
            // Words only: they become part of the instructions.
            let plain = |c: char| c.is_alphabetic() || matches!(c, '\'' | '-' | '’');
            if word.is_empty() || word.len() > MAX_WORD_BYTES || !word.chars().all(plain) {
                let reason = format!("must be one word of at most {MAX_WORD_BYTES} bytes");
                return Err(Rejection::field(&format!("/{name}/{at}"), reason));
            }
        }
    }
    Ok(())
}
