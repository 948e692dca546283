//! The series' feeds, asked on a schedule: the season's list, the weekends that
//! are near, and the race that runs. What was read before is not sent again,
//! and what the log knows is not recorded again.

pub mod cron;
mod fetch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use commands::Services;
use domain::TenantId;
use domain::racing::race::{Details, Race};
use infra_runtime::Config;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use racing::facts::Folded;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::import::nascar::{FileReport, Importer, Known, Options};
use cron::Cron;
use fetch::{Fetched, Fetcher};

/// Weekends are asked from so many days before the race to so many after:
/// corrections come late.
const BEFORE: i32 = 5;
const AFTER: i32 = 10;
/// A race is under way for so long at most.
const RACE: Duration = Duration::from_secs(8 * 3_600);
/// Before a server is asked again that had no answer.
const PAUSE: Duration = Duration::from_secs(2);

pub struct Poller {
    importer: Importer,
    fetcher: Fetcher,
    known: Known,
    cron: Cron,
    /// Between two looks at a race that runs.
    live: Duration,
}

impl Poller {
    /// `None` unless an address is configured.
    pub fn open(config: &Config, services: Services) -> Result<Option<Self>> {
        let of = &config.poller;
        if of.url.is_empty() {
            return Ok(None);
        }
        let folder = config.data_dir.join("feeds");
        let cron = Cron::parse(&of.schedule).map_err(|e| config.invalid("poller.schedule", e))?;
        let live = Duration::from_secs(of.live_seconds.max(1).into());
        Self::new(&of.url, &folder, of.tenant.clone(), services, (cron, live, PAUSE)).map(Some)
    }

    pub fn new(
        url: &str,
        folder: &Path,
        tenant: TenantId,
        services: Services,
        (cron, live, pause): (Cron, Duration, Duration),
    ) -> Result<Self> {
        let options = Options { tenant, actor: Arc::from("poller"), tracks: Default::default() };
        let fetcher = Fetcher::new(url, folder, pause)?;
        Ok(Self { importer: Importer { services, options }, fetcher, known: Known::default(), cron, live })
    }

    /// Until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut due = self.now();
        while !stop.is_cancelled() {
            let now = self.now();
            let work = async {
                if now >= due {
                    self.round().await;
                }
                self.running().await
            };
            let running = tokio::select! {
                running = work => running,
                () = stop.cancelled() => return,
            };
            if now >= due {
                let Some(next) = self.cron.after(now) else { return };
                due = next;
            }
            let until = Duration::try_from(due.duration_since(self.now())).unwrap_or_default();
            let pause = if running { self.live } else { until.min(Duration::from_secs(60)) };
            tokio::select! {
                () = tokio::time::sleep(pause.max(Duration::from_millis(100))) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.importer.services.clock.now()
    }

    /// The list of the season, and the weekends that are near; what was read.
    pub async fn round(&mut self) -> Vec<FileReport> {
        let year = self.now().to_zoned(TimeZone::UTC).year();
        let mut reports = Vec::new();
        reports.extend(self.feed(&format!("cacher/{year}/race_list_basic.json"), None).await);
        let near = self.near(|details, now| {
            let day = now.to_zoned(TimeZone::UTC).date();
            details.date.is_some_and(|date| {
                date.until(day).is_ok_and(|since| (-BEFORE..=AFTER).contains(&since.get_days()))
            })
        });
        for (season, id) in near.await {
            let paths = [
                format!("cacher/{season}/1/{id}/weekend-feed.json"),
                format!("loopstats/prod/{season}/1/{id}.json"),
                format!("cacher/{season}/1/{id}/lap-times.json"),
            ];
            for path in paths {
                reports.extend(self.feed(&path, Some(&id)).await);
            }
        }
        reports
    }

    /// Looks at the race that runs; whether there is one.
    pub async fn running(&mut self) -> bool {
        let running = self.near(|details, now| {
            let since = details.starts_at.map(|at| now.duration_since(at));
            since.is_some_and(|since| !since.is_negative() && since <= RACE.try_into().unwrap_or_default())
        });
        if running.await.is_empty() {
            return false;
        }
        self.feed("live/feeds/live-feed.json", None).await;
        true
    }

    /// Season and feeds' number of races that have no official end and fit.
    async fn near(&self, fits: impl Fn(&Details, Timestamp) -> bool) -> Vec<(i16, String)> {
        let mut folded = Folded::default();
        let tenant = &self.importer.options.tenant;
        if let Err(error) = folded.read(&*self.importer.services.log, tenant, None).await {
            tracing::warn!(%error, "poller: the log cannot be read");
            return Vec::new();
        }
        let now = self.now();
        let of = |race: &Race| {
            let details = race.details.as_ref().filter(|d| !race.cancelled && fits(d, now))?;
            Some((details.season, details.feed_id.clone()?))
        };
        folded.races.all().filter_map(|(_, race)| of(race)).collect()
    }

    async fn feed(&mut self, path: &str, race: Option<&str>) -> Option<FileReport> {
        match self.one(path, race).await {
            Ok(report) => report,
            Err(error) => {
                tracing::warn!(path, error = format!("{error:#}"), "poller: nothing was read");
                None
            }
        }
    }

    async fn one(&mut self, path: &str, race: Option<&str>) -> Result<Option<FileReport>> {
        let Fetched::New(body) = self.fetcher.get(path).await? else { return Ok(None) };
        self.fetcher.keep(&body).await?;
        let value: Value = serde_json::from_slice(&body.bytes).context("the body is no JSON")?;
        let mut report = self.importer.feed(&value, &mut self.known, race).await?;
        report.file = path.to_owned();
        tracing::info!(
            path,
            sha256 = body.sha256,
            events = report.events,
            corrections = report.corrections.len(),
            refused = report.refused,
            "poller: read"
        );
        report.reasons.iter().for_each(|reason| tracing::warn!(path, reason, "poller: refused"));
        // What was refused may be accepted once something else is known.
        if report.refused == 0 {
            self.fetcher.read(path, body).await?;
        }
        Ok(Some(report))
    }
}
