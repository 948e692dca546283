//! Erasing: the eraser with what it needs of this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use commands::{Services, Subjects};
use domain::TenantId;
use domain::ports::erasure::{Emptied, Rebuild};
use domain::ports::journal::TapJournal;
use domain::ports::log::ReadFilter;
use domain::ports::rows::{Generation, GenerationStatus};
use domain::replay::Stage;
use domain::subject::{self, Rebuilt};
use domain::{ports::log::EventLog, registry};
use infra_runtime::Config;
use infra_runtime::config::Role;
use privacy::{Eraser, Exporter};
use replays::engine::At;
use replays::{By, Engine, ReplayError, RequestKey};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::keys::Privacy;
use super::replaying::history;
use super::tasks::Tasks;
use super::{OpenLog, open_archive};

const LOOK: Duration = Duration::from_millis(50);
/// What is waited for at once; after that the eraser begins again, and says so.
const PATIENCE: Duration = Duration::from_secs(60);
const ACTOR: &str = "worker:eraser";
/// Drained taps lie in a journal's newest segment no longer than this.
const TURN: Duration = Duration::from_secs(3_600);
const TICK: Duration = Duration::from_millis(500);

pub fn eraser(
    config: &Config,
    log: &OpenLog,
    privacy: &Privacy,
    engine: &Engine,
    journals: Option<Arc<dyn Emptied>>,
) -> Result<Eraser> {
    Ok(Eraser {
        log: history(config, log.log.clone())?,
        keeping: log.keeping.clone(),
        keys: privacy.keys.clone(),
        list: Arc::new(open_archive(config)?),
        rows: Arc::new(Rebuilds(engine.clone())),
        journals,
        clock: engine.clock.clone(),
        ids: engine.ids.clone(),
        watch: None,
    })
}

/// What runs of it in this process.
pub fn start(
    config: &Config,
    (log, privacy, engine): (&OpenLog, &Privacy, &Engine),
    journal: Option<Arc<dyn TapJournal>>,
    stop: &CancellationToken,
    tasks: &mut Tasks,
) -> Result<()> {
    let emptied = journal.clone().map(|journal| Arc::new(Journal(journal)) as Arc<dyn Emptied>);
    // Who follows the rows builds them anew; without keys nothing is sealed.
    if config.roles.has(Role::Projector) && privacy.keeping.is_some() {
        let eraser = eraser(config, log, privacy, engine, emptied)?;
        tasks.working(eraser.run(stop.clone()));
    }
    if let Some(journal) = journal {
        tasks.background(turn_journal(journal, log.log.clone()));
    }
    Ok(())
}

/// For the routes.
pub fn subjects(services: &Services, privacy: &Privacy, engine: &Engine) -> Subjects {
    let exporter = Exporter {
        log: engine.log.clone(),
        keys: privacy.keys.clone(),
        clock: services.clock.clone(),
        ids: services.ids.clone(),
    };
    let (exports, exporting) = (Arc::new(exporter), Arc::new(Semaphore::new(1)));
    Subjects { services: services.clone(), keys: privacy.keys.clone(), exports, exporting }
}

/// The journal of this process, which a drainer of this process empties.
pub struct Journal(pub Arc<dyn TapJournal>);

#[async_trait]
impl Emptied for Journal {
    async fn emptied(&self) -> Result<(), String> {
        let upto = self.0.stats().durable;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.0.stats().drained < upto {
            if tokio::time::Instant::now() >= deadline {
                return Err(format!("{} taps wait in it", self.0.stats().waiting()));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.0.turn().await.map_err(|e| e.to_string())
    }
}

/// Empties this process's journal whenever anybody is erased, whichever
/// process does it, and once an hour.
pub async fn turn_journal(journal: Arc<dyn TapJournal>, log: Arc<dyn EventLog>) {
    let filter = ReadFilter::types([subject::ERASING]);
    let mut after = log.head().await.map_or(0, |head| head.position);
    let mut turned = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let asked = match log.read(after, 1, &filter).await {
            Ok(page) => {
                after = page.through;
                !page.events.is_empty()
            }
            Err(_) => false,
        };
        if !asked && turned.elapsed() < TURN {
            continue;
        }
        turned = tokio::time::Instant::now();
        if let Err(error) = Journal(journal.clone()).emptied().await {
            tracing::warn!(error, "drained taps lie in the journal a while longer");
            // Asked again at the next look.
            turned = turned.checked_sub(TURN).unwrap_or(turned);
        }
    }
}

/// Generations built anew by the engine. A projector's process builds and
/// follows them; this only decides and waits.
struct Rebuilds(Engine);

/// Whether rows of the projection may show what is sealed in facts.
fn shows(projection: &dyn projections::Projection) -> bool {
    let personal = |name: &&str| registry::find(name).is_some_and(|t| t.personal.is_some());
    projection.event_types().iter().any(personal)
}

#[async_trait]
impl Rebuild for Rebuilds {
    async fn rebuild(&self, asked: u64) -> Result<Vec<Rebuilt>, String> {
        let mut all = Vec::new();
        for projection in projections::all().iter().filter(|p| shows(&***p)) {
            let rebuilt = self.one(projection.name(), asked).await;
            all.push(rebuilt.map_err(|e| format!("{}: {e}", projection.name()))?);
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.0.generations.scrub().await.map_err(|e| e.to_string())? {
            if tokio::time::Instant::now() >= deadline {
                return Err("old rows are being read and cannot be overwritten".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(all)
    }
}

/// The same request has the same answer, so whoever goes on with an erasure
/// finds the generation that was asked for.
fn by(what: &str) -> By {
    let key = RequestKey {
        tenant: TenantId::system(),
        key: format!("erasure-{what}"),
        request_hash: Sha256::digest(what.as_bytes()).into(),
    };
    By { key: Some(key), ..By::actor(ACTOR) }
}

impl Rebuilds {
    async fn one(&self, projection: &str, asked: u64) -> Result<Rebuilt, ReplayError> {
        let engine = &self.0;
        let number = self.requested(projection, asked).await?;
        self.drop_before(projection, number, asked).await?;
        let built = self.built(projection, number).await?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while engine.facts(projection).await?.state.live < number {
            match engine.promote(projection, Some(number), PATIENCE, &By::actor(ACTOR)).await {
                // Whatever was decided instead is looked at again.
                Err(ReplayError::Overtaken(_)) if tokio::time::Instant::now() < deadline => {}
                promoted => drop(promoted?),
            }
        }
        while let Err(error) = self.drop_before(projection, number, asked).await {
            // The rows follow the decision a moment later.
            if tokio::time::Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
        let left = engine.of(projection).await?.into_iter().find(|g| g.id.number < number);
        match left {
            Some(old) => Err(ReplayError::Fold(format!("{} is still there", old.id))),
            None => Ok(built),
        }
    }

    /// The generation that this erasure builds, asked for once; once more if
    /// somebody gave it up.
    async fn requested(&self, projection: &str, asked: u64) -> Result<u32, ReplayError> {
        let engine = &self.0;
        for attempt in 0_u32.. {
            let by = by(&format!("{asked}-{projection}-{attempt}"));
            let decided = match engine.answered(&by).await? {
                Some(decided) => decided,
                None => {
                    // There may be no room beside those that go anyway.
                    let there = engine.of(projection).await?;
                    let goes = |g: &&Generation| {
                        matches!(g.status, GenerationStatus::Retired | GenerationStatus::Ready)
                    };
                    for old in there.iter().filter(goes) {
                        engine.prune(projection, Some(old.id.number), &By::actor(ACTOR)).await?;
                    }
                    let live = there.iter().find(|g| g.status == GenerationStatus::Live);
                    engine.build(projection, live.map(|g| g.model.clone()), None, &by).await?
                }
            };
            let Some(number) = decided.generation else { continue };
            match engine.facts(projection).await?.state.stage(number) {
                Some(Stage::Aborted | Stage::Pruned) => {}
                _ => return Ok(number),
            }
        }
        Err(ReplayError::UnknownProjection(projection.into()))
    }

    /// Drops all rows that were begun before this generation and are not live.
    /// What is being built of them begins again.
    async fn drop_before(&self, projection: &str, number: u32, asked: u64) -> Result<(), ReplayError> {
        let engine = &self.0;
        let facts = engine.facts(projection).await?;
        let by_us = By::actor(ACTOR);
        let there: Vec<Generation> = engine.of(projection).await?;
        let old = there.into_iter().filter(|g| g.id.number < number && g.id.number != facts.state.live);
        for generation in old {
            let old = generation.id.number;
            let known = facts.state.generations.get(&old);
            if known.is_some_and(|k| matches!(k.stage, Stage::Building | Stage::Paused)) {
                let again = by(&format!("{asked}-{projection}-again-{old}"));
                let at = known.and_then(|k| k.at).map(At::Position);
                engine.build(projection, Some(generation.model.clone()), at, &again).await?;
                engine.abort(projection, old, &by_us).await?;
            }
            match known {
                Some(_) => drop(engine.prune(projection, Some(old), &by_us).await?),
                // Nobody asked for it: a verification at work, or what one left.
                None => engine.drop_leftover(&generation).await?,
            }
        }
        Ok(())
    }

    async fn built(&self, projection: &str, number: u32) -> Result<Rebuilt, ReplayError> {
        loop {
            let facts = self.0.facts(projection).await?;
            let known = facts.state.generations.get(&number);
            match known.map(|k| (k.stage, &k.built)) {
                Some((Stage::Built, Some(built))) => {
                    return Ok(Rebuilt {
                        projection: projection.to_owned(),
                        generation: number,
                        position: built.position,
                        rows: built.rows,
                        checksum: built.checksum.clone(),
                    });
                }
                Some((Stage::Building, _)) => {}
                Some((Stage::Paused, _)) => {
                    self.0.resume(projection, number, &By::actor(ACTOR)).await?;
                }
                _ => return Err(ReplayError::Fold(format!("{projection}#{number} was given up"))),
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
