//! Rows of one race as commands.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use commands::execute::{Call, Refusal, execute};
use daybook_http::Principal;
use domain::api_key::Role;
use domain::decide::{Decide, Rejection};
use domain::racing::driver::{self, Driver};
use domain::racing::race::{self, Details, Entry, Measured, Placed, Race};
use domain::racing::scoring::{self, Scoring};
use domain::racing::track::{self, Definition, Track, TrackKind};
use domain::target_url::UrlPolicy;
use jiff::civil::{Date, date};
use models_fantasy::name::key;
use models_fantasy::scoring::{Site, all};
use models_fantasy::track::{Kind, known};

use super::form::Form;
use super::rows::{Row, Table};
use super::{FileReport, Importer};

/// The one series that the CSV forms are of.
pub(super) const SERIES: &str = "cup";

pub struct Writer<'a> {
    pub importer: &'a Importer,
    pub report: &'a mut FileReport,
}

/// The id of a race: `cup-2019-01`.
pub(super) fn race_id(season: i16, number: u16) -> String {
    format!("{SERIES}-{season}-{number:02}")
}

impl Writer<'_> {
    pub async fn write(&mut self, form: Form, table: &mut Table) -> Result<()> {
        if form == Form::Derived {
            return Ok(());
        }
        self.scoring().await?;
        let mut races: BTreeMap<(i16, u16), Vec<Row<'_>>> = BTreeMap::new();
        let number = if form == Form::Salaries { "race_num" } else { "race" };
        for row in table.rows() {
            self.report.rows += 1;
            let season = row.need_whole("season").map(|season| i16::try_from(season).unwrap_or(0));
            match (season, row.whole(number)) {
                (Ok(season), Ok(Some(number))) => {
                    races.entry((season, u16::try_from(number).unwrap_or(0))).or_default().push(row);
                }
                (Ok(_), Ok(None)) => self.report.without_race += 1,
                (Err(error), _) | (_, Err(error)) => self.report.refuse(error.to_string()),
            }
        }
        for ((season, number), rows) in races {
            self.report.races += 1;
            let done = match form {
                Form::Salaries => self.salaries(&race_id(season, number), &rows).await,
                _ => self.race(form, season, number, &rows).await,
            };
            if let Err(error) = done {
                // What the log refuses for the moment, it refuses for all.
                if !refused(&error) {
                    return Err(error);
                }
                self.report.refuse(format!("{}: {error:#}", race_id(season, number)));
            }
        }
        Ok(())
    }

    async fn race(&mut self, form: Form, season: i16, number: u16, rows: &[Row<'_>]) -> Result<()> {
        let first = rows.first().context("a race without rows")?;
        let id = race_id(season, number);
        let loops = form == Form::Loop;
        let official = !loops;
        let name = if loops { "track_name" } else { "track" };
        let day = first.date(if loops { "race_date" } else { "date" })?;
        let track = self.track(first.need(name)?, day.unwrap_or(date(season.clamp(1, 9999), 7, 1))).await?;
        let mut entries = Vec::new();
        for row in rows {
            entries.push(entry(row, loops)?);
        }
        self.drivers(rows, if loops { "driver_name" } else { "driver" }).await?;
        let details = Details {
            series: SERIES.into(),
            season,
            number,
            name: if loops { "" } else { first.text("name").unwrap_or_default() }.into(),
            track,
            date: day,
            starts_at: None,
            laps: first.whole("scheduled_laps")?,
            feed_id: None,
            official,
        };
        self.command::<Race>(&id, race::Command::Schedule(details)).await?;
        self.command::<Race>(&id, race::Command::Enter { entries, official }).await?;
        if form == Form::Entries {
            return Ok(());
        }
        let results = rows.iter().map(|row| placed(row, loops)).collect::<Result<Vec<_>>>()?;
        let reason = if loops { "timing" } else { "official results" };
        let finish = race::Command::Finish { results, official, reason: reason.into() };
        let events = self.command::<Race>(&id, finish).await?;
        if events.iter().any(|event| event == race::CORRECTED) {
            self.report.corrections.push(id.clone());
        }
        if loops {
            let cars = rows.iter().map(measured).collect::<Result<Vec<_>>>()?;
            self.command::<Race>(&id, race::Command::Measure { cars }).await?;
        }
        Ok(())
    }

    async fn salaries(&mut self, id: &str, rows: &[Row<'_>]) -> Result<()> {
        let mut sites: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        for row in rows {
            let site = row.need("platform")?;
            let site = Site::parse(site).with_context(|| format!("line {}: no site {site:?}", row.line()))?;
            let driver = key(row.need("driver")?);
            let salary = row.need_whole("salary")?;
            let salaries = sites.entry(site.as_str().to_owned()).or_default();
            if salaries.insert(driver.clone(), salary).is_some_and(|other| other != salary) {
                anyhow::bail!(Rejection::field(&format!("/salaries/{driver}"), "stands twice"));
            }
        }
        for (site, salaries) in sites {
            self.command::<Race>(id, race::Command::SetSalaries { site, salaries, ids: BTreeMap::new() })
                .await?;
        }
        Ok(())
    }

    /// Defines the track of this name and answers its id.
    pub(super) async fn track(&mut self, name: &str, day: Date) -> Result<String> {
        let said = self.importer.options.tracks.iter().find(|(said, _)| key(said) == key(name));
        let (id, kinds) = match said {
            Some((_, kind)) => (key(name), vec![(None, *kind)]),
            None => {
                let (id, _) = models_fantasy::track::find(name, day)?;
                (id.to_owned(), known(id))
            }
        };
        for (from, kind) in kinds {
            let defined = Definition { name: name.to_owned(), kind: track_kind(kind), from };
            self.command::<Track>(&id, track::Command::Define(defined)).await?;
        }
        Ok(id)
    }

    async fn drivers(&mut self, rows: &[Row<'_>], column: &str) -> Result<()> {
        let names: BTreeSet<&str> = rows.iter().map(|row| row.need(column)).collect::<Result<_>>()?;
        for name in names {
            let shown = name.split('(').next().unwrap_or_default().trim_matches([' ', '#', '*']);
            let command = driver::Command::Name { name: shown.into() };
            self.command::<Driver>(&key(name), command).await?;
        }
        Ok(())
    }

    /// The rules that this build knows; a version that is defined stays.
    pub(super) async fn scoring(&mut self) -> Result<()> {
        for rules in all() {
            let definition = scoring::Definition {
                version: rules.version,
                from: rules.from,
                place: rules.place,
                place_gained: rules.place_gained,
                fastest_lap: rules.fastest_lap,
                lap_led: rules.lap_led,
                lap_completed: rules.lap_completed,
                roster: rules.roster as u32,
                salary_cap: rules.salary_cap,
            };
            self.command::<Scoring>(rules.site.as_str(), scoring::Command::Define(definition)).await?;
        }
        Ok(())
    }

    /// The types of what was recorded.
    pub(super) async fn command<A: Decide<Command: Clone>>(
        &mut self,
        id: &str,
        command: A::Command,
    ) -> Result<Vec<String>> {
        let options = &self.importer.options;
        let call = Call {
            principal: Principal::new(options.tenant.clone(), "cli", &[Role::Writer]),
            actor: options.actor.clone(),
            role: Role::Writer,
            id: id.to_owned(),
            if_match: None,
            idempotency: None,
            correlation_id: None,
            urls: UrlPolicy::default(),
        };
        let outcome = execute::<A>(&self.importer.services, &call, command).await?;
        self.report.events += outcome.events.len() as u64;
        Ok(outcome.events.iter().map(|event| event.event_type.clone()).collect())
    }
}

/// Whether the rows are at fault, and not the log.
pub(super) fn refused(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Rejected(_) | Refusal::Id(_)) => true,
        Some(_) => false,
        None => true,
    }
}

fn entry(row: &Row<'_>, loops: bool) -> Result<Entry> {
    let text = |column| if loops { None } else { row.text(column).map(str::to_owned) };
    Ok(Entry {
        driver: key(row.need(if loops { "driver_name" } else { "driver" })?),
        team: text("team"),
        car: text("car"),
        make: text("make"),
        start: row.whole("start")?.filter(|start| *start > 0),
    })
}

fn placed(row: &Row<'_>, loops: bool) -> Result<Placed> {
    let led = row.need_whole(if loops { "laps_led" } else { "led" })?;
    Ok(Placed {
        driver: key(row.need(if loops { "driver_name" } else { "driver" })?),
        finish: row.need_whole("finish")?,
        laps: row.need_whole("laps")?,
        led,
        status: row.need("status")?.to_ascii_lowercase(),
        points: row.whole("pts")?,
        rating: if loops { None } else { row.decimal("rating")? },
    })
}

fn measured(row: &Row<'_>) -> Result<Measured> {
    Ok(Measured {
        driver: key(row.need("driver_name")?),
        mid: row.whole("mid")?,
        best: row.whole("best")?,
        worst: row.whole("worst")?,
        average: row.decimal("avg")?,
        passes: row.whole("green_flag_passes")?,
        passed: row.whole("green_flag_times_passed")?,
        quality_passes: row.whole("quality_passes")?,
        fastest: row.whole("fastest_lap")?,
        top15: row.whole("top_15_laps")?,
        rating: row.decimal("rating")?,
    })
}

fn track_kind(kind: Kind) -> TrackKind {
    match kind {
        Kind::Superspeedway => TrackKind::Superspeedway,
        Kind::Intermediate => TrackKind::Intermediate,
        Kind::Short => TrackKind::Short,
        Kind::Road => TrackKind::Road,
        Kind::Dirt => TrackKind::Dirt,
    }
}
