//! Samples with their texts, folded from many streams: what models of style
//! are fitted to.

use std::collections::BTreeMap;

use super::{Event, Label};
use crate::ids::TenantId;
use crate::personal::PersonalText;
use crate::registry::{DecodeError, decode};
use crate::{RecordedEvent, sample};

/// A sample as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub title: Option<String>,
    pub label: Label,
    /// All parts so far; empty once it was erased.
    pub text: String,
    /// Whose data it is.
    pub subject: String,
    pub withdrawn: bool,
    pub erased: bool,
    parts: u32,
    recorded: u32,
}

impl Entry {
    /// Whether its text may be used.
    pub fn is_readable(&self) -> bool {
        !self.withdrawn && !self.erased && self.parts == self.recorded
    }
}

/// All samples of the tenants whose events were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Library {
    entries: BTreeMap<(TenantId, String), Entry>,
}

impl Library {
    /// Folds one event; those of other kinds change nothing.
    pub fn apply(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        if &*event.stream.kind != sample::KIND {
            return Ok(());
        }
        let change: Event = decode(event)?;
        let key = (event.stream.tenant.clone(), event.stream.id.to_string());
        let entry = self.entries.entry(key).or_default();
        match change {
            Event::Submitted(submitted) => {
                *entry = Entry {
                    title: submitted.title.as_ref().and_then(PersonalText::clear).map(str::to_owned),
                    label: submitted.label,
                    subject: submitted.subject,
                    parts: submitted.parts,
                    ..Entry::default()
                };
            }
            Event::PartRecorded(part) => {
                entry.recorded += 1;
                match part.text.clear() {
                    Some(text) if !entry.erased => entry.text.push_str(text),
                    _ => {
                        entry.erased = true;
                        entry.text.clear();
                    }
                }
            }
            Event::Labelled(label) => entry.label = label,
            Event::Withdrawn { .. } => entry.withdrawn = true,
        }
        Ok(())
    }

    /// A sample by its id.
    pub fn get(&self, tenant: &TenantId, id: &str) -> Option<&Entry> {
        self.entries.get(&(tenant.clone(), id.to_owned()))
    }

    /// Leaves out every sample that is not wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Entry) -> bool) {
        self.entries.retain(|_, entry| wanted(entry));
    }

    /// The tenant's samples whose text may be used, by id.
    pub fn readable<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let own = self.entries.iter().filter(move |((t, _), entry)| t == tenant && entry.is_readable());
        own.map(|((_, id), entry)| (id.as_str(), entry))
    }
}
