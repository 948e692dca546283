//! `race_list_basic`: the season's schedule.

use anyhow::{Context as _, Result};
use domain::racing::race::{Command, Details, Race};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::write::{SERIES, race_id};
use super::Reading;
use super::values::{counted, day, list, text, utc, whole};

/// `race_type_id` of races that count for the championship, and `run_type` of
/// the race itself in a weekend's schedule.
const POINTS: u32 = 1;
const RACE_RUN: u32 = 3;

impl Reading<'_, '_> {
    /// Races that count are numbered in the order of the list.
    pub(super) async fn schedule(&mut self, body: &Value) -> Result<()> {
        let races = list(body, "series_1");
        self.writer.report.rows += races.len() as u64;
        let mut number = 0;
        for race in races {
            if whole(race, "race_type_id") != Some(POINTS) {
                self.writer.report.without_race += 1;
                continue;
            }
            number += 1;
            let named = text(race, "race_name").unwrap_or("a race without a name").to_owned();
            let done = self.scheduled(race, number).await;
            self.done(&named, done)?;
        }
        Ok(())
    }

    async fn scheduled(&mut self, race: &Value, number: u16) -> Result<()> {
        let feed_id = counted(race, "race_id").context("no race_id")?.to_string();
        let season =
            whole(race, "race_season").and_then(|y| i16::try_from(y).ok()).context("no race_season")?;
        let date =
            of_season(day(race, "race_date"), season).or(of_season(day(race, "date_scheduled"), season));
        let run = |run: &&Value| whole(run, "run_type") == Some(RACE_RUN);
        let starts_at = list(race, "schedule").iter().filter(run).find_map(|run| utc(run, "start_time_utc"));
        // A start on another day than the race's is one of the two that is wrong.
        let near = |date: Date, at: jiff::Timestamp| {
            let day = at.to_zoned(TimeZone::UTC).date();
            [date.yesterday(), Ok(date), date.tomorrow()].into_iter().flatten().any(|near| near == day)
        };
        let starts_at = starts_at.filter(|at| date.is_some_and(|date| near(date, *at)));
        let track = text(race, "track_name").context("no track_name")?;
        let track =
            self.writer.track(track, date.unwrap_or(jiff::civil::date(season.clamp(1, 9999), 7, 1))).await?;
        // A list may have been cut or reordered since: what a race is stays.
        let known = self.race(&feed_id).await.ok();
        let (id, number) = match known.and_then(|(id, race)| Some((id, race.details?.number))) {
            Some((id, number)) => (id, number),
            None => (race_id(season, number), number),
        };
        let details = Details {
            series: SERIES.into(),
            season,
            number,
            name: text(race, "race_name").unwrap_or_default().into(),
            track,
            date,
            starts_at,
            laps: counted(race, "scheduled_laps"),
            feed_id: Some(feed_id),
            official: true,
        };
        self.writer.command::<Race>(&id, Command::Schedule(details)).await?;
        Ok(())
    }
}

/// Feeds have had dates of other years.
fn of_season(date: Option<Date>, season: i16) -> Option<Date> {
    date.filter(|date| date.year() == season)
}
