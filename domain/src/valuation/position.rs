//! `Position`: so many of an instrument, or of terms of its own, in a book.
//! Stream kind `position`.
//!
//! A book is a path in a hierarchy (`DESK/BOOK`); whoever asks for `DESK` means
//! all below it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{check_name, check_product, check_terms, instrument};
use crate::decide::{Check, Context, Decide, Decision, Rejection};
use crate::ports::log::ExpectedVersion;

pub const KIND: &str = "position";
pub const OPENED: &str = "position.opened";
pub const AMENDED: &str = "position.amended";
pub const TRANSFERRED: &str = "position.transferred";
pub const TAGGED: &str = "position.tagged";
pub const CLOSED: &str = "position.closed";

pub const MAX_TAGS: usize = 32;
pub const MAX_TAG_BYTES: usize = 128;
pub const MAX_BOOK_BYTES: usize = 256;

/// What is held: terms, or a version of an instrument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holding {
    pub product_type: String,
    /// Negative if short; never 0.
    pub quantity: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument_id: Option<String>,
    /// Which version, where the terms are the instrument's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument_version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "position.opened")]
    Opened {
        book: String,
        #[serde(flatten)]
        holding: Holding,
        #[serde(default)]
        tags: BTreeMap<String, String>,
    },
    /// All of what is held from now on.
    #[serde(rename = "position.amended")]
    Amended {
        #[serde(flatten)]
        holding: Holding,
    },
    #[serde(rename = "position.transferred")]
    Transferred { from: String, to: String },
    /// All tags from now on.
    #[serde(rename = "position.tagged")]
    Tagged { tags: BTreeMap<String, String> },
    #[serde(rename = "position.closed")]
    Closed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    pub book: String,
    pub holding: Holding,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Open(Open),
    Amend(Holding),
    Transfer { to: String },
    Tag { tags: BTreeMap<String, String> },
    Close { reason: Option<String> },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub book: String,
    pub holding: Option<Holding>,
    pub tags: BTreeMap<String, String>,
    pub closed: bool,
}

impl Decide for Position {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::Open(open) = command {
            return self.open(open);
        }
        let Some(holding) = &self.holding else { return Err(Rejection::NotFound) };
        let events = match command {
            Command::Close { .. } if self.closed => vec![],
            _ if self.closed => return Err(Rejection::State("the position is closed".into())),
            Command::Close { reason } => vec![Event::Closed { reason }],
            Command::Amend(amended) if amended == *holding => vec![],
            Command::Amend(amended) => {
                let checks = check(&amended)?;
                return Ok(Decision {
                    checks,
                    ..Decision::events(vec![Event::Amended { holding: amended }])
                });
            }
            Command::Transfer { to } if to == self.book => vec![],
            Command::Transfer { to } => {
                check_book("/to", &to)?;
                vec![Event::Transferred { from: self.book.clone(), to }]
            }
            Command::Tag { tags } if tags == self.tags => vec![],
            Command::Tag { tags } => {
                check_tags(&tags)?;
                vec![Event::Tagged { tags }]
            }
            // Handled above.
            Command::Open(_) => vec![],
        };
        Ok(Decision::events(events))
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Opened { book, holding, tags } => {
                *self = Self { book, holding: Some(holding), tags, closed: false };
            }
            Event::Amended { holding } => self.holding = Some(holding),
            Event::Transferred { to, .. } => self.book = to,
            Event::Tagged { tags } => self.tags = tags,
            Event::Closed { .. } => self.closed = true,
        }
    }
}

impl Position {
    /// Opening it again as it is changes nothing, so that a file can be sent
    /// twice.
    fn open(&self, open: Open) -> Result<Decision<Event>, Rejection> {
        let Open { book, holding, tags } = open;
        if self.closed {
            return Err(Rejection::State("the position is closed".into()));
        }
        if let Some(known) = &self.holding {
            let same = *known == holding && self.book == book && self.tags == tags;
            return match same {
                true => Ok(Decision::nothing()),
                false => Err(Rejection::State("the position is open already, and differs; amend it".into())),
            };
        }
        check_book("/book", &book)?;
        check_tags(&tags)?;
        let checks = check(&holding)?;
        Ok(Decision { checks, ..Decision::events(vec![Event::Opened { book, holding, tags }]) })
    }
}

/// Of a holding; an instrument that it names must be there.
fn check(holding: &Holding) -> Result<Vec<Check>, Rejection> {
    check_product(&holding.product_type)?;
    if !holding.quantity.is_finite() || holding.quantity == 0.0 {
        return Err(Rejection::field("/quantity", "must be a number other than 0"));
    }
    match (&holding.terms, &holding.instrument_id, holding.instrument_version) {
        (Some(terms), instrument, None) => {
            check_terms("/terms", terms)?;
            // The instrument is then a name and no more.
            instrument.iter().try_for_each(|id| check_name("/instrument_id", id))?;
            Ok(Vec::new())
        }
        (None, Some(id), Some(_)) => {
            check_name("/instrument_id", id)?;
            Ok(vec![Check {
                field: "/instrument_id",
                kind: instrument::KIND,
                id: id.clone(),
                expected: ExpectedVersion::Exists,
            }])
        }
        (None, Some(_), None) => {
            Err(Rejection::field("/instrument_version", "must be given where terms are not"))
        }
        (Some(_), _, Some(_)) => {
            Err(Rejection::field("/terms", "must not be given beside an instrument's version"))
        }
        (None, None, _) => Err(Rejection::field("/terms", "must be given, or an instrument and its version")),
    }
}

pub(super) fn check_book(field: &str, book: &str) -> Result<(), Rejection> {
    if book.len() > MAX_BOOK_BYTES {
        return Err(Rejection::field(field, format!("must be at most {MAX_BOOK_BYTES} bytes long")));
    }
    book.split('/').try_for_each(|part| check_name(field, part))
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Rejection> {
    if tags.len() > MAX_TAGS {
        return Err(Rejection::field("/tags", format!("must be at most {MAX_TAGS}")));
    }
    let long = |text: &String| text.is_empty() || text.len() > MAX_TAG_BYTES;
    match tags.iter().any(|(name, value)| long(name) || long(value)) {
        true => Err(Rejection::field("/tags", format!("names and values have 1 to {MAX_TAG_BYTES} bytes"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn framework() -> TestFramework<Position> {
        TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    fn cash(quantity: f64) -> Holding {
        Holding {
            product_type: "CASH".into(),
            quantity,
            instrument_id: None,
            instrument_version: None,
            terms: Some(json!({"currency": "USD", "amount": 1.0})),
        }
    }

    fn open(holding: Holding) -> Command {
        Command::Open(Open { book: "DESK/BOOK".into(), holding, tags: BTreeMap::new() })
    }

    fn opened(holding: Holding) -> Event {
        Event::Opened { book: "DESK/BOOK".into(), holding, tags: BTreeMap::new() }
    }

    #[test]
    fn a_position_is_opened_once() {
        framework()
            .given_no_previous_events()
            .when(open(cash(2.0)))
            .then_expect_events(vec![opened(cash(2.0))]);
        framework().given(vec![opened(cash(2.0))]).when(open(cash(2.0))).then_expect_events(vec![]);
        framework().given(vec![opened(cash(2.0))]).when(open(cash(3.0))).then_expect_error(Rejection::State(
            "the position is open already, and differs; amend it".into(),
        ));
    }

    #[test]
    fn it_is_amended_transferred_tagged_and_closed() {
        let given = || framework().given(vec![opened(cash(2.0))]);
        given()
            .when(Command::Amend(cash(3.0)))
            .then_expect_events(vec![Event::Amended { holding: cash(3.0) }]);
        given().when(Command::Amend(cash(2.0))).then_expect_events(vec![]);
        let moved = Event::Transferred { from: "DESK/BOOK".into(), to: "OTHER".into() };
        given().when(Command::Transfer { to: "OTHER".into() }).then_expect_events(vec![moved]);
        given().when(Command::Transfer { to: "DESK/BOOK".into() }).then_expect_events(vec![]);
        let tags = BTreeMap::from([("strategy".to_owned(), "carry".to_owned())]);
        given().when(Command::Tag { tags: tags.clone() }).then_expect_events(vec![Event::Tagged { tags }]);
        let closed = || Event::Closed { reason: None };
        given().when(Command::Close { reason: None }).then_expect_events(vec![closed()]);
        let after = || framework().given(vec![opened(cash(2.0)), closed()]);
        after().when(Command::Close { reason: None }).then_expect_events(vec![]);
        for command in [Command::Amend(cash(3.0)), open(cash(2.0)), Command::Transfer { to: "X".into() }] {
            after().when(command).then_expect_error(Rejection::State("the position is closed".into()));
        }
        framework()
            .given_no_previous_events()
            .when(Command::Close { reason: None })
            .then_expect_error(Rejection::NotFound);
    }

    #[test]
    fn it_holds_terms_or_a_version_of_an_instrument() {
        let named = Holding {
            instrument_id: Some("I-1".into()),
            instrument_version: Some(2),
            terms: None,
            ..cash(1.0)
        };
        let decision = Position::default()
            .decide(open(named.clone()), &Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
            .unwrap();
        assert_eq!((decision.checks[0].kind, decision.checks[0].id.as_str()), ("instrument", "I-1"));
        let refused = |holding: Holding, field: &str| {
            let error = Position::default()
                .decide(open(holding), &Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
                .unwrap_err();
            assert!(matches!(&error, Rejection::Field { field: f, .. } if f == field), "{error}");
        };
        refused(Holding { instrument_version: None, ..named.clone() }, "/instrument_version");
        refused(Holding { terms: Some(json!({})), ..named }, "/terms");
        refused(Holding { terms: None, ..cash(1.0) }, "/terms");
        refused(cash(0.0), "/quantity");
        refused(cash(f64::NAN), "/quantity");
        refused(Holding { product_type: "cash".into(), ..cash(1.0) }, "/product_type");
    }

    #[test]
    fn books_and_tags_are_bounded() {
        let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        for book in ["", "A//B", "A/ B", "/A"] {
            let open = Command::Open(Open { book: book.into(), holding: cash(1.0), tags: BTreeMap::new() });
            assert!(Position::default().decide(open, &context).is_err(), "{book}");
        }
        let tags: BTreeMap<_, _> = (0..40).map(|n| (n.to_string(), "x".to_owned())).collect();
        let open = Command::Open(Open { book: "A".into(), holding: cash(1.0), tags });
        assert!(Position::default().decide(open, &context).is_err());
    }
}
