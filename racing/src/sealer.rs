//! Projections that are sealed by themselves: each race once, so long before
//! its scheduled green flag.
//!
//! The schedule is what the log has recorded. A race that is postponed after it
//! was sealed is sealed again before the new green flag, and the last one
//! counts; what was said first stays. A race of which only the day is known has
//! no green flag to be early for and is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use commands::execute::RequestKey;
use daybook_http::problem::Kind;
use daybook_http::{Principal, Problem};
use domain::TenantId;
use domain::api_key::Role;
use domain::ports::log::{LogError, ReadFilter};
use domain::racing::race::{self, Event, Race};
use domain::registry::decode;
use jiff::{SignedDuration, Timestamp};
use models_fantasy::scoring::Site;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::Racing;

const NAME: &str = "sealer";
/// Who seals, in the events.
pub(crate) const ACTOR: &str = "worker:sealer";
const PAGE: usize = 1_000;
/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(5);
/// What a green flag follows from.
const EVENT_TYPES: [&str; 6] =
    [race::SCHEDULED, race::DETAILS_CHANGED, race::POSTPONED, race::CANCELLED, race::STARTED, race::FINISHED];

/// A green flag that is sealed for once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Once(Timestamp);

impl Once {
    /// The race may have been postponed a moment ago.
    pub fn holds(&self, race: &Race) -> Result<(), Problem> {
        let scheduled = race.details.as_ref().and_then(|details| details.starts_at);
        if scheduled == Some(self.0) && !race.cancelled {
            return Ok(());
        }
        Err(Problem::new(Kind::Conflict, "The race has another green flag by now."))
    }

    /// One for each race, site and green flag: what is recorded under it is
    /// recorded once, whoever tries.
    pub fn key(&self, race: &str, site: &str) -> RequestKey {
        let hash = Sha256::digest(format!("{race}/{site}/{}", self.0));
        RequestKey { key: format!("{NAME}-{}", hex::encode(hash)), request_hash: hash.into() }
    }
}

/// Seals what is due.
pub struct Sealer {
    racing: Racing,
    before: SignedDuration,
    runs: u32,
    position: u64,
    /// Races that have not been run, with their green flags.
    flags: BTreeMap<(TenantId, String), Timestamp>,
    /// Those that need nothing more.
    done: BTreeSet<(TenantId, String, Timestamp)>,
    /// Why others were not sealed, as it was told last.
    told: BTreeMap<(TenantId, String), String>,
}

/// What became of one race.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub tenant: TenantId,
    pub race: String,
    /// Facts that were recorded now, or why there are none.
    pub sealed: Result<usize, String>,
}

impl Sealer {
    /// Each race is drawn so often, so long before its green flag.
    pub fn new(racing: Racing, before: Duration, runs: u32) -> Self {
        let before = SignedDuration::try_from(before).unwrap_or(SignedDuration::MAX);
        let (flags, done, told) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { racing, before, runs, position: 0, flags, done, told }
    }

    /// Until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let work = async {
                if let Err(error) = self.round().await {
                    tracing::warn!(%error, "sealer: the log cannot be read");
                }
                tokio::time::sleep(LOOK).await;
            };
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Seals every race that is due now.
    pub async fn round(&mut self) -> Result<Vec<Tried>, LogError> {
        self.read().await?;
        let now = self.racing.now();
        self.done.retain(|(_, _, at)| *at > now);
        self.told.retain(|race, _| self.flags.get(race).is_some_and(|at| *at > now));
        let due = |at: Timestamp| now < at && at.duration_since(now) <= self.before;
        let due: Vec<(TenantId, String, Timestamp)> = self
            .flags
            .iter()
            .filter(|(_, at)| due(**at))
            .map(|((tenant, race), at)| (tenant.clone(), race.clone(), *at))
            .filter(|race| !self.done.contains(race))
            .collect();
        let mut tried = Vec::new();
        for (tenant, race, at) in due {
            let principal = Principal::new(tenant.clone(), NAME, &[Role::Writer]);
            let sealed = self.seal(&principal, &race, &Once(at)).await;
            let sealed = sealed.map_err(|problem| problem.detail().to_owned());
            self.tell(&tenant, &race, at, &sealed);
            tried.push(Tried { tenant, race, sealed });
        }
        Ok(tried)
    }

    /// Returns how many facts were recorded: none where somebody else was first.
    async fn seal(&self, principal: &Principal, race: &str, once: &Once) -> Result<usize, Problem> {
        let mut left = 0;
        for site in Site::ALL {
            let key = once.key(race, site.as_str());
            left += usize::from(!self.racing.answered(principal, Some(&key)).await?);
        }
        if left == 0 {
            return Ok(0);
        }
        let sealed = self.racing.seal(principal, race, self.runs, Some(once)).await?;
        Ok(sealed.sealed.iter().filter(|site| site.recorded).count())
    }

    /// The same reason is told once.
    fn tell(&mut self, tenant: &TenantId, race: &str, at: Timestamp, sealed: &Result<usize, String>) {
        let key = (tenant.clone(), race.to_owned());
        match sealed {
            Ok(count) => {
                tracing::info!(%tenant, race, count, "sealer: projections are sealed");
                self.told.remove(&key);
                self.done.insert((key.0, key.1, at));
            }
            Err(reason) if self.told.get(&key) != Some(reason) => {
                tracing::warn!(%tenant, race, reason, "sealer: nothing was sealed yet");
                self.told.insert(key, reason.clone());
            }
            Err(_) => {}
        }
    }

    /// Reads on to the end of the log.
    async fn read(&mut self) -> Result<(), LogError> {
        let filter = ReadFilter::types(EVENT_TYPES.iter().copied());
        loop {
            let page = self.racing.log().read(self.position, PAGE, &filter).await?;
            for event in &page.events {
                let key = (event.stream.tenant.clone(), event.stream.id.to_string());
                let flag = match decode(event) {
                    Ok(Event::Scheduled(details) | Event::DetailsChanged(details)) => details.starts_at,
                    Ok(Event::Postponed { starts_at, .. }) => starts_at,
                    _ => None,
                };
                match flag {
                    Some(at) => self.flags.insert(key, at),
                    None => self.flags.remove(&key),
                };
            }
            if page.through <= self.position {
                return Ok(());
            }
            self.position = page.through;
        }
    }
}
