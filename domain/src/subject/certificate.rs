//! What can be shown of an erasure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Erasing, Event, Rebuilt, Record};
use crate::decide::Decide;
use crate::envelope::RecordedEvent;
use crate::ids::TenantId;
use crate::personal::Subject;
use crate::ports::keys::KeyId;
use crate::registry::{self, DecodeError};

/// One erasure, from the facts that tell of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    pub tenant: TenantId,
    pub subject: Subject,
    pub reason: String,
    pub asked: Entry,
    pub erased: Entry,
    /// Ids of the keys that are gone.
    pub keys: Vec<KeyId>,
    /// How many facts they had sealed, the first and the last of them.
    pub facts: u64,
    pub first: Option<u64>,
    pub last: Option<u64>,
    /// Facts of the subject that were recorded in clear: they stay.
    pub clear: u64,
    pub rebuilt: Vec<Rebuilt>,
    pub replies: u64,
}

/// Where, when and by whom something was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub position: u64,
    pub at: Timestamp,
    pub by: String,
}

impl Entry {
    fn of(event: &RecordedEvent) -> Self {
        Self { position: event.position, at: event.recorded_at, by: event.metadata.actor.to_string() }
    }
}

/// A subject's stream, folded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    pub record: Record,
    pub certificates: Vec<Certificate>,
    asked: Option<(Entry, Erasing)>,
}

impl Told {
    /// The next event of the stream.
    pub fn add(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        let decoded: Event = registry::decode(event)?;
        match &decoded {
            Event::Erasing(erasing) => self.asked = Some((Entry::of(event), erasing.clone())),
            Event::Erased(erased) => {
                if let Some((asked, Erasing { reason, .. })) = self.asked.take() {
                    self.certificates.push(Certificate {
                        tenant: event.stream.tenant.clone(),
                        subject: erased.subject.clone(),
                        reason,
                        asked,
                        erased: Entry::of(event),
                        keys: erased.keys.clone(),
                        facts: erased.facts,
                        first: erased.first,
                        last: erased.last,
                        clear: erased.clear,
                        rebuilt: erased.rebuilt.clone(),
                        replies: erased.replies,
                    });
                }
            }
            _ => {}
        }
        self.record.evolve(decoded);
        Ok(())
    }
}
