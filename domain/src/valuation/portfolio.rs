//! All instruments, positions, snapshots and fixings of a tenant, folded from
//! its events: what a valuation starts from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::fixings::{self, Fixings};
use super::instrument::{self, Instrument};
use super::market_snapshot::{self, MarketSnapshot};
use super::position::{self, Position};
use crate::RecordedEvent;
use crate::decide::Decide;
use crate::registry::{DecodeError, decode};

/// The event types that it is folded from.
pub const EVENT_TYPES: [&str; 11] = [
    instrument::DEFINED,
    instrument::APPROVED,
    instrument::RETIRED,
    position::OPENED,
    position::AMENDED,
    position::TRANSFERRED,
    position::TAGGED,
    position::CLOSED,
    market_snapshot::PART_RECORDED,
    market_snapshot::RECORDED,
    fixings::PUBLISHED,
];

/// Of those, the types that positions and their terms are folded from.
pub const POSITION_TYPES: [&str; 8] = [
    instrument::DEFINED,
    instrument::APPROVED,
    instrument::RETIRED,
    position::OPENED,
    position::AMENDED,
    position::TRANSFERRED,
    position::TAGGED,
    position::CLOSED,
];

/// As of the last event that was folded.
#[derive(Debug, Clone, Default)]
pub struct Portfolio {
    pub instruments: BTreeMap<Arc<str>, Instrument>,
    pub positions: BTreeMap<Arc<str>, Position>,
    /// By the hash of their content.
    pub snapshots: BTreeMap<Arc<str>, MarketSnapshot>,
    /// By index.
    pub fixings: BTreeMap<Arc<str>, Fixings>,
    /// Position of the newest event in it.
    pub at: u64,
}

/// What an open position holds, with its terms looked up.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    pub id: &'a str,
    pub position: &'a Position,
    pub holding: &'a position::Holding,
    /// `None` if its instrument has no such version.
    pub terms: Option<&'a Value>,
}

impl Portfolio {
    pub fn apply(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        fn fold<A: Decide>(of: &mut BTreeMap<Arc<str>, A>, event: &RecordedEvent) -> Result<(), DecodeError> {
            let payload = decode(event)?;
            of.entry(event.stream.id.clone()).or_default().evolve(payload);
            Ok(())
        }
        match &*event.stream.kind {
            instrument::KIND => fold(&mut self.instruments, event)?,
            position::KIND => fold(&mut self.positions, event)?,
            market_snapshot::KIND => fold(&mut self.snapshots, event)?,
            fixings::KIND => fold(&mut self.fixings, event)?,
            _ => return Ok(()),
        }
        self.at = event.position;
        Ok(())
    }

    /// Open positions in the order of their ids; in a book and those below it if
    /// books are named.
    pub fn held(&self, books: &[String]) -> impl Iterator<Item = Held<'_>> {
        self.positions.iter().filter(|(_, position)| !position.closed).filter_map(move |(id, position)| {
            let inside = |book: &String| {
                position.book == *book
                    || position.book.strip_prefix(book).is_some_and(|rest| rest.starts_with('/'))
            };
            if !books.is_empty() && !books.iter().any(inside) {
                return None;
            }
            let holding = position.holding.as_ref()?;
            Some(Held { id, position, holding, terms: self.terms(holding) })
        })
    }

    fn terms<'a>(&'a self, holding: &'a position::Holding) -> Option<&'a Value> {
        if let Some(terms) = &holding.terms {
            return Some(terms);
        }
        let instrument = self.instruments.get(holding.instrument_id.as_deref()?)?;
        Some(&instrument.versions.get(&holding.instrument_version?)?.terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Metadata;
    use crate::{StreamId, TenantId, registry};
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    fn event(position: u64, kind: &str, id: &str, event: &impl serde::Serialize) -> RecordedEvent {
        let new = registry::new_event(event, Uuid::nil()).unwrap();
        RecordedEvent {
            position,
            stream: StreamId::new(&TenantId::new("t").unwrap(), kind, id).unwrap(),
            version: 1,
            event_id: new.event_id,
            event_type: new.event_type,
            schema: new.schema,
            occurred_at: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            metadata: Metadata {
                actor: "t".into(),
                command_id: Uuid::nil(),
                correlation_id: "c".into(),
                causation_id: None,
            },
            payload: new.payload,
            leaf: [0; 32],
        }
    }

    fn opened(book: &str, version: Option<u32>) -> position::Event {
        let holding = position::Holding {
            product_type: "CASH".into(),
            quantity: 1.0,
            instrument_id: version.map(|_| "I".to_owned()),
            instrument_version: version,
            terms: version.is_none().then(|| json!({"own": true})),
        };
        position::Event::Opened { book: book.into(), holding, tags: BTreeMap::new() }
    }

    #[test]
    fn open_positions_have_their_terms_by_book() {
        let mut portfolio = Portfolio::default();
        let defined = instrument::Event::Defined {
            version: 1,
            product_type: "CASH".into(),
            terms: json!({"shared": true}),
        };
        let events = [
            event(1, "instrument", "I", &defined),
            event(2, "position", "a", &opened("DESK/A", Some(1))),
            event(3, "position", "b", &opened("DESK", None)),
            event(4, "position", "c", &opened("DESKTOP", Some(2))),
            event(5, "position", "d", &opened("DESK", None)),
            event(6, "position", "d", &position::Event::Closed { reason: None }),
        ];
        events.iter().for_each(|event| portfolio.apply(event).unwrap());
        let held = |books: &[&str]| -> Vec<(String, Option<Value>)> {
            let books: Vec<String> = books.iter().map(|b| (*b).to_owned()).collect();
            portfolio.held(&books).map(|h| (h.id.to_owned(), h.terms.cloned())).collect()
        };
        let (shared, own) = (Some(json!({"shared": true})), Some(json!({"own": true})));
        assert_eq!(held(&["DESK"]), [("a".to_owned(), shared.clone()), ("b".to_owned(), own.clone())]);
        assert_eq!(held(&[]).len(), 3);
        assert_eq!(held(&["DESKTOP"]), [("c".to_owned(), None)]);
        assert_eq!(portfolio.at, 6);
    }
}
