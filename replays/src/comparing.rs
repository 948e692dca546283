//! Comparing two generations as of one position.

use std::time::Duration;

use domain::TenantId;
use domain::decide::Rejection;
use domain::ports::rows::{Generation, GenerationStatus, RowsSnapshot};
use domain::replay::{Command, Compared};
use projections::instantiate;

use crate::compare::{Comparison, Lines, Options, compare, explain};
use crate::decisions::By;
use crate::engine::Engine;
use crate::error::ReplayError;

/// How long the newer generation stands still at most, if nobody lets it go.
const HOLD: Duration = Duration::from_secs(600);
/// Events told for each row.
const EVENTS_BEHIND: usize = 20;

/// What is compared and how it is told.
#[derive(Default)]
pub struct Ask {
    /// The newest that is ready unless named.
    pub generation: Option<u32>,
    /// The live one unless named.
    pub against: Option<u32>,
    /// Rows told, those with the largest differences.
    pub top: usize,
    /// Whether the events behind these rows are looked for.
    pub explain: bool,
    /// Takes every difference.
    pub lines: Option<Lines>,
    /// For the rows to get to one position.
    pub wait: Duration,
    /// Whose rows are told; of all unless named.
    pub tenant: Option<TenantId>,
}

type Snapshots = (Box<dyn RowsSnapshot>, Box<dyn RowsSnapshot>);

impl Engine {
    /// Compares a generation with another one while both stand at one position,
    /// and records what came out. The other one, mostly live, is not delayed.
    pub async fn compare(&self, projection: &str, ask: Ask, by: &By) -> Result<Comparison, ReplayError> {
        let all = self.of(projection).await?;
        let live = all.iter().find(|g| g.status == GenerationStatus::Live);
        let newest = all.iter().rev().find(|g| g.status == GenerationStatus::Ready);
        let none = |what: &str| Rejection::State(format!("there is no {what} generation of {projection}"));
        let new = match ask.generation {
            Some(number) => self.find(projection, number).await?,
            None => newest.cloned().ok_or_else(|| none("ready"))?,
        };
        let old = match ask.against {
            Some(number) => self.find(projection, number).await?,
            None => live.cloned().ok_or_else(|| none("live"))?,
        };
        if new.status == GenerationStatus::Live {
            // It would have to wait for the other one, and its readers with it.
            let reason = format!("{} is live: compare another generation against it", new.id);
            return Err(Rejection::State(reason).into());
        }
        let facts = self.facts(projection).await?;
        let ends = facts.state.generations.get(&new.id.number).is_some_and(|known| known.at.is_some());
        let (mut before, mut after) = if ends {
            // A past state stands still, and nothing else goes back to it.
            (self.generations.snapshot(&old.id).await?, self.generations.snapshot(&new.id).await?)
        } else {
            self.pinned(&old, &new, ask.wait).await?
        };
        let folded_by = instantiate(projection, &new.model)?;
        let options =
            Options { top: ask.top, chart: folded_by.chart(), tenant: ask.tenant, ..Options::default() };
        let failed = |e: &dyn std::fmt::Display| ReplayError::Fold(e.to_string());
        let outcome = compare(&mut *before, &mut *after, options, ask.lines).await;
        let mut outcome = outcome.map_err(|e| failed(&e))?;
        let position = after.position();
        drop((before, after));
        if ask.explain && !outcome.rows.is_empty() {
            let names = outcome.row_names()?;
            let behind = explain(&*self.log, folded_by, &names, position, EVENTS_BEHIND).await;
            outcome.explained(behind.map_err(|e| failed(&e))?);
        }
        let (generation, against) = (new.id.number, old.id.number);
        let elsewhere = outcome.elsewhere.unwrap_or_default();
        let compared = Compared {
            generation,
            against,
            position,
            same: outcome.same,
            added: outcome.added + elsewhere.added,
            removed: outcome.removed + elsewhere.removed,
            changed: outcome.changed + elsewhere.changed,
        };
        self.simple(projection, generation, Command::Compare(compared), by).await?;
        Ok(outcome)
    }

    /// Snapshots of both at the position of the old one: the new one waits for
    /// it where it is, then goes exactly as far.
    async fn pinned(
        &self,
        old: &Generation,
        new: &Generation,
        wait: Duration,
    ) -> Result<Snapshots, ReplayError> {
        let there = self.generations.hold(&new.id, Some(0), HOLD).await?;
        let pinned = async {
            self.reached(&old.id, there, wait).await?;
            let before = self.generations.snapshot(&old.id).await?;
            self.generations.hold(&new.id, Some(before.position()), HOLD).await?;
            self.reached(&new.id, before.position(), wait).await?;
            let after = self.generations.snapshot(&new.id).await?;
            Ok((before, after))
        }
        .await;
        // Both are snapshots by now: nobody has to wait for the comparison.
        self.generations.hold(&new.id, None, HOLD).await?;
        pinned
    }
}
