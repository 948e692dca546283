//! A batch of taps with everything in it checked and read once for each value
//! of its dictionaries.

use domain::ids::check_id;
use domain::tap::Mode;
use models::taps::{Class, Classification, Classifier};

use crate::bulk::{Columns, ERASED, Texts};

/// In this order in [`Columns::members`].
pub const MEMBERS: &[&str] =
    &["band_id", "event_id", "window_id", "mode", "user_agent", "referrer", "language", "country", "visitor"];

pub const BAND: usize = 0;
pub const EVENT: usize = 1;
pub const WINDOW: usize = 2;
const MODE: usize = 3;
const AGENT: usize = 4;
pub const REFERRER: usize = 5;
pub const LANGUAGE: usize = 6;
pub const COUNTRY: usize = 7;
pub const VISITOR: usize = 8;

pub const MODES: [Mode; 7] =
    [Mode::Pre, Mode::Live, Mode::Post, Mode::Custom, Mode::Fallback, Mode::TenantFallback, Mode::None];

pub struct Taps {
    pub columns: Columns,
    /// By code; the last two are of taps whose user agent was erased, and of
    /// those without one.
    seen: Vec<Classification>,
    /// Index into [`MODES`] by code.
    modes: Vec<u8>,
}

impl Taps {
    /// The taps that fold, and the positions of those that do not.
    pub fn new(mut columns: Columns, head: bool, classifier: &Classifier) -> (Self, Vec<u64>) {
        let broken = drop_broken(&mut columns);
        let agents = columns.members[AGENT].values();
        let mut seen: Vec<_> = agents.map(|agent| classifier.classify(Some(agent), head)).collect();
        seen.extend([Classification::erased(head), classifier.classify(None, head)]);
        let mode = |name: &str| MODES.iter().position(|m| m.as_str() == name).unwrap_or_default();
        // There are seven.
        let modes = columns.members[MODE].values().map(|name| mode(name) as u8).collect();
        (Self { columns, seen, modes }, broken)
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Bytes, about.
    pub fn memory(&self) -> usize {
        self.columns.memory()
    }

    pub fn member(&self, member: usize) -> &Texts {
        &self.columns.members[member]
    }

    pub fn class(&self, row: usize) -> Class {
        self.seen[self.agent(row)].class
    }

    /// What the model says of each agent, and which one a row has.
    pub fn agents(&self) -> &[Classification] {
        &self.seen
    }

    pub fn agent(&self, row: usize) -> usize {
        match self.columns.members[AGENT].codes[row] {
            ERASED => self.seen.len() - 2,
            code => usize::try_from(code).unwrap_or(self.seen.len() - 1),
        }
    }

    pub fn mode(&self, row: usize) -> u8 {
        let code = self.columns.members[MODE].codes[row];
        usize::try_from(code).map_or(0, |code| self.modes[code])
    }
}

/// Member, whether it must be there, and what its values must be.
type Check<'a> = (usize, bool, &'a dyn Fn(&str) -> bool);

/// The same checks as for one tap: band and mode must be there, ids be ids.
fn drop_broken(columns: &mut Columns) -> Vec<u64> {
    let is_mode = |text: &str| MODES.iter().any(|m| m.as_str() == text);
    let is_id = |text: &str| check_id(text).is_ok();
    let checks: [Check<'_>; 5] = [
        (BAND, true, &is_id),
        (EVENT, false, &is_id),
        (WINDOW, false, &is_id),
        (MODE, true, &is_mode),
        (VISITOR, false, &is_id),
    ];
    let mut keep: Option<Vec<bool>> = None;
    for (member, required, check) in checks {
        let texts = &columns.members[member];
        let good: Vec<bool> = texts.values().map(check).collect();
        if good.iter().all(|g| *g) && !(required && texts.codes.iter().any(|c| *c < 0)) {
            continue;
        }
        let keep = keep.get_or_insert_with(|| vec![true; columns.positions.len()]);
        for (keep, code) in keep.iter_mut().zip(&texts.codes) {
            *keep &= usize::try_from(*code).map_or(!required, |code| good[code]);
        }
    }
    let Some(keep) = keep else { return Vec::new() };
    let broken = columns.positions.iter().zip(&keep).filter(|(_, keep)| !**keep).map(|(p, _)| *p).collect();
    columns.retain(&keep);
    broken
}
