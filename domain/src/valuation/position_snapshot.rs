//! `PositionSnapshot`: the positions of some books as they were at a position of
//! the log, under a name. Nothing is copied: whoever reads it folds the log up to
//! there. Stream kind `position_snapshot`.

use serde::{Deserialize, Serialize};

use super::position::check_book;
use crate::decide::{Context, Decide, Decision, Rejection};

pub const KIND: &str = "position_snapshot";
pub const TAKEN: &str = "position_snapshot.taken";

pub const MAX_BOOKS: usize = 1_000;

/// What a snapshot pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Everything up to this position of the log counts.
    pub at: u64,
    /// Only these books and those below them; all if there are none.
    #[serde(default)]
    pub books: Vec<String>,
    /// The day that it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// How many were open.
    pub positions: u64,
    /// SHA-256 of them in canonical JSON, in the order of their ids.
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "position_snapshot.taken")]
    Taken(Pin),
}

/// Takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Take(pub Pin);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PositionSnapshot {
    pub pin: Option<Pin>,
}

impl Decide for PositionSnapshot {
    const KIND: &'static str = KIND;
    type Command = Take;
    type Event = Event;

    /// Asking again for what holds the same positions changes nothing.
    fn decide(&self, Take(pin): Take, _: &Context) -> Result<Decision<Event>, Rejection> {
        if let Some(known) = &self.pin {
            let same = (&known.books, &known.as_of, &known.sha256) == (&pin.books, &pin.as_of, &pin.sha256);
            return match same {
                true => Ok(Decision::nothing()),
                false => Err(Rejection::State("this name is that of another snapshot".into())),
            };
        }
        if pin.books.len() > MAX_BOOKS {
            return Err(Rejection::field("/books", format!("must be at most {MAX_BOOKS}")));
        }
        for (at, book) in pin.books.iter().enumerate() {
            check_book(&format!("/books/{at}"), book)?;
        }
        Ok(Decision::events(vec![Event::Taken(pin)]))
    }

    fn evolve(&mut self, event: Event) {
        let Event::Taken(pin) = event;
        self.pin = Some(pin);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::Timestamp;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn pin(at: u64, sha256: &str, book: &str) -> Pin {
        Pin { at, books: vec![book.into()], as_of: None, positions: 2, sha256: sha256.into() }
    }

    #[test]
    fn a_snapshot_is_taken_once() {
        let framework = || {
            TestFramework::<PositionSnapshot>::with(Context {
                now: Timestamp::UNIX_EPOCH,
                urls: UrlPolicy::default(),
            })
        };
        let taken = |at| Event::Taken(pin(at, "h", "A"));
        framework()
            .given_no_previous_events()
            .when(Take(pin(5, "h", "A")))
            .then_expect_events(vec![taken(5)]);
        framework().given(vec![taken(5)]).when(Take(pin(9, "h", "A"))).then_expect_events(vec![]);
        let other = Rejection::State("this name is that of another snapshot".into());
        framework().given(vec![taken(5)]).when(Take(pin(9, "i", "A"))).then_expect_error(other);
        let bad = Take(pin(5, "h", "A//B"));
        assert!(
            PositionSnapshot::default()
                .decide(bad, &Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
                .is_err()
        );
    }
}
