//! The series' JSON feeds as commands: schedule, weekends, loop data, lap times,
//! a race as it runs. A feed is told by its members.
//!
//! Feeds name races and drivers by numbers. A race's is kept with its details;
//! a driver's is known while the run lasts that has read a weekend, and else by
//! the place on the grid.

mod laps;
mod running;
mod schedule;
mod values;
mod weekend;

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};
use domain::racing::race::Race;
use racing::facts::Folded;
use serde_json::Value;

use super::write::Writer;

/// The series that is read: the others have races of the same drivers.
const CUP: u32 = 1;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    RaceList,
    Weekend,
    LoopStats,
    LapTimes,
    Live,
    /// `null`, or a list of nothing.
    Nothing,
}

impl Feed {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RaceList => "race_list_basic",
            Self::Weekend => "weekend-feed",
            Self::LoopStats => "loopstats",
            Self::LapTimes => "lap-times",
            Self::Live => "live-feed",
            Self::Nothing => "nothing",
        }
    }

    pub fn of(body: &Value) -> Option<Self> {
        let has = |of: &Value, names: &[&str]| names.iter().all(|name| of.get(name).is_some());
        match body {
            Value::Null => Some(Self::Nothing),
            Value::Array(list) => match list.first() {
                None => Some(Self::Nothing),
                Some(first) if has(first, &["race_id", "drivers", "sch_laps"]) => Some(Self::LoopStats),
                Some(_) => None,
            },
            body if has(body, &["series_1"]) => Some(Self::RaceList),
            body if has(body, &["weekend_race"]) => Some(Self::Weekend),
            body if has(body, &["laps", "flags"]) => Some(Self::LapTimes),
            body if has(body, &["vehicles", "lap_number"]) => Some(Self::Live),
            _ => None,
        }
    }
}

/// What one run has learned of numbers.
#[derive(Default)]
pub struct Known {
    folded: Folded,
    /// Drivers' keys by the feeds' numbers.
    drivers: HashMap<u32, String>,
}

/// One body of a feed on its way into the log.
pub struct Reading<'a, 'b> {
    pub writer: &'a mut Writer<'b>,
    pub known: &'a mut Known,
    /// The feeds' number of the race, for a body that names none.
    pub race: Option<&'a str>,
}

impl Reading<'_, '_> {
    /// Races that are refused are named; what fails otherwise ends the run.
    pub async fn read(&mut self, body: &Value) -> Result<Feed> {
        let Some(feed) = Feed::of(body) else { bail!("the body is of no feed that is known") };
        if feed != Feed::Nothing {
            self.writer.scoring().await?;
        }
        match feed {
            Feed::RaceList => self.schedule(body).await?,
            Feed::Weekend => self.weekend(body).await?,
            Feed::LoopStats => self.loops(body).await?,
            Feed::LapTimes => self.laps(body).await?,
            Feed::Live => self.running(body).await?,
            Feed::Nothing => {}
        }
        Ok(feed)
    }

    /// The id and state of the race with this number, as the log has it now.
    async fn race(&mut self, feed_id: &str) -> Result<(String, Race)> {
        self.refold().await?;
        let races = self.known.folded.races.all();
        let mut named = races
            .filter(|(_, race)| race.details.as_ref().and_then(|d| d.feed_id.as_deref()) == Some(feed_id));
        let (id, race) =
            named.next().with_context(|| format!("race {feed_id} is in no race list that was read"))?;
        Ok((id.to_owned(), race.clone()))
    }

    async fn refold(&mut self) -> Result<()> {
        let importer = self.writer.importer;
        let read = self.known.folded.read(&*importer.services.log, &importer.options.tenant, None).await;
        if read.is_err() {
            self.known.folded = Folded::default();
        }
        Ok(read?)
    }

    /// Counts the race, and names it if it was refused.
    fn done(&mut self, race: &str, done: Result<()>) -> Result<()> {
        self.writer.report.races += 1;
        self.refused(race, done)
    }

    /// Names what was refused.
    fn refused(&mut self, what: &str, done: Result<()>) -> Result<()> {
        let Err(error) = done else { return Ok(()) };
        if !super::write::refused(&error) {
            return Err(error);
        }
        self.writer.report.refuse(format!("{what}: {error:#}"));
        Ok(())
    }
}
