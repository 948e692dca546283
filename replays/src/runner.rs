//! One task for each generation: those that are building are built, the others
//! follow the log, each by the model that it was made with. What operators
//! decide is noticed here, whichever process recorded it, and the row store's
//! pointer is moved to where the facts have it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::rows::{Generation, GenerationId, GenerationStatus, RowsError};
use domain::replay::{Built, Command, Stage};
use projections::board::{Backoff, Board};
use projections::projector::{Options as ProjectorOptions, Projector};
use projections::working_set::Bounds;
use projections::{ModelError, instantiate};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::build::{Builder, Options as BuildOptions};
use crate::checksum::Checksum;
use crate::decisions::By;
use crate::engine::Engine;
use crate::error::ReplayError;
use crate::facts::ReplayFacts;

/// How long a decision of another process may go unnoticed.
const TICK: Duration = Duration::from_millis(250);
/// For generations that nobody reads at the moment.
const QUIET_BYTES: usize = 48 << 20;

pub struct Runner {
    engine: Engine,
    /// Only this projection.
    only: Option<String>,
    projector: ProjectorOptions,
    build: BuildOptions,
    facts: BTreeMap<Arc<str>, ReplayFacts>,
    tasks: HashMap<GenerationId, Task>,
    failures: HashMap<GenerationId, (Backoff, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Build,
    Follow { live: bool },
}

struct Task {
    kind: Kind,
    stop: CancellationToken,
    handle: JoinHandle<Result<(), ReplayError>>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Runner {
    /// `owner` differs for every start of every process.
    pub fn new(engine: Engine, owner: &str) -> Self {
        let build = BuildOptions::new(owner).within(engine.memory);
        Self {
            engine,
            only: None,
            projector: ProjectorOptions::new(owner),
            build,
            facts: BTreeMap::new(),
            tasks: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    /// For a command that works on one projection.
    pub fn only(mut self, projection: &str) -> Self {
        self.only = Some(projection.into());
        self
    }

    pub fn with_build(mut self, change: impl FnOnce(&mut BuildOptions)) -> Self {
        change(&mut self.build);
        self
    }

    /// Until it is cancelled; then every task finishes what it is at.
    pub async fn run(mut self, cancel: CancellationToken) {
        let wake = self.engine.wake.clone();
        let mut troubled = false;
        while !cancel.is_cancelled() {
            let woken = wake.notified();
            match self.tick().await {
                Ok(()) => troubled = false,
                Err(error) if !troubled => {
                    troubled = true;
                    tracing::warn!(%error, "generations cannot be looked after; trying again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                () = woken => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
        for task in self.tasks.values() {
            task.stop.cancel();
        }
        for (_, mut task) in std::mem::take(&mut self.tasks) {
            if let Err(error) = (&mut task.handle).await {
                tracing::error!(%error, "a task ended with a panic");
            }
        }
    }

    async fn tick(&mut self) -> Result<(), ReplayError> {
        self.collect().await;
        let mut all = self.engine.rows.generations().await?;
        // Others keep checkpoints of theirs in the row store too.
        let names = projections::names();
        all.retain(|g| names.contains(&&*g.id.projection));
        all.retain(|g| self.only.as_ref().is_none_or(|only| **only == *g.id.projection));
        let mut by_projection: BTreeMap<Arc<str>, Vec<Generation>> = BTreeMap::new();
        for generation in &all {
            by_projection.entry(generation.id.projection.clone()).or_default().push(generation.clone());
        }
        for (projection, mut there) in by_projection {
            self.decided(&projection).await?;
            let Some(facts) = self.facts.get(&projection) else { continue };
            match self.engine.follow_pointer(facts, &there).await {
                Ok(true) => there = self.engine.of(&projection).await?,
                Ok(false) => {}
                Err(error) => tracing::debug!(%projection, %error, "the pointer follows later"),
            }
            for generation in &there {
                self.look_after(generation).await;
            }
        }
        let gone = |id: &GenerationId| !all.iter().any(|g| g.id == *id);
        self.tasks.retain(|id, _| !gone(id));
        self.failures.retain(|id, _| !gone(id));
        Ok(())
    }

    async fn decided(&mut self, projection: &Arc<str>) -> Result<(), ReplayError> {
        let log = self.engine.log.clone();
        match self.facts.get_mut(projection) {
            Some(facts) => {
                facts.refresh(&*log).await?;
            }
            None => {
                self.facts.insert(projection.clone(), ReplayFacts::load(&*log, projection).await?);
            }
        }
        Ok(())
    }

    /// Takes note of tasks that ended.
    async fn collect(&mut self) {
        let done: Vec<GenerationId> =
            self.tasks.iter().filter(|(_, t)| t.handle.is_finished()).map(|(id, _)| id.clone()).collect();
        for id in done {
            let Some(mut task) = self.tasks.remove(&id) else { continue };
            let ended = match (&mut task.handle).await {
                Ok(ended) => ended,
                Err(error) => Err(ReplayError::Fold(error.to_string())),
            };
            match ended {
                Ok(()) => {
                    self.failures.remove(&id);
                }
                // Another process is at it.
                Err(ReplayError::Rows(RowsError::LeaseHeld { .. })) => {
                    self.engine.board.generation(&id).set(|a| a.error = None);
                }
                Err(error) => {
                    tracing::warn!(generation = %id, %error, "build broken off; trying again");
                    let new =
                        || (Backoff::new(Duration::from_millis(100), Duration::from_secs(5)), Instant::now());
                    let failed = self.failures.entry(id).or_insert_with(new);
                    failed.1 = Instant::now() + failed.0.delay();
                }
            }
        }
    }

    /// Starts, changes or ends the task of a generation.
    async fn look_after(&mut self, generation: &Generation) {
        let facts = self.facts.get(&generation.id.projection);
        let known = facts.and_then(|f| f.state.generations.get(&generation.id.number));
        let stage = known.map(|k| k.stage);
        let live = generation.status == GenerationStatus::Live;
        if live {
            self.engine.board.live(&generation.id);
        }
        let kind = match (generation.status, stage) {
            (_, Some(Stage::Pruned)) if !live => {
                self.tasks.remove(&generation.id);
                if let Err(error) = self.engine.generations.drop_generation(&generation.id).await {
                    tracing::debug!(generation = %generation.id, %error, "dropped later");
                }
                None
            }
            (GenerationStatus::Building | GenerationStatus::Ready, Some(Stage::Building)) => {
                Some(Kind::Build)
            }
            (GenerationStatus::Building, _) => None,
            _ if known.is_some_and(|k| k.at.is_some()) => None,
            _ => Some(Kind::Follow { live }),
        };
        if let Some(task) = self.tasks.get(&generation.id) {
            if Some(task.kind) == kind {
                return;
            }
            // It is replaced once it has ended.
            task.stop.cancel();
            if stage == Some(Stage::Aborted) {
                task.handle.abort();
            }
            return;
        }
        let Some(kind) = kind else { return };
        if self.failures.get(&generation.id).is_some_and(|(_, not_before)| *not_before > Instant::now()) {
            return;
        }
        let at = known.and_then(|k| k.at);
        match instantiate(&generation.id.projection, &generation.model) {
            Ok(projection) => {
                let stop = CancellationToken::new();
                let handle = match kind {
                    Kind::Build => self.build(generation.clone(), projection, at, stop.clone()),
                    Kind::Follow { live } => self.follow(generation, projection, live, stop.clone()),
                };
                self.tasks.insert(generation.id.clone(), Task { kind, stop, handle });
            }
            Err(error) => unknown(&self.engine.board, generation, &error),
        }
    }

    fn follow(
        &self,
        generation: &Generation,
        projection: Arc<dyn projections::Projection>,
        live: bool,
        stop: CancellationToken,
    ) -> JoinHandle<Result<(), ReplayError>> {
        let mut options = self.projector.clone();
        if !live {
            options.memory = Bounds { bytes: QUIET_BYTES, ..options.memory };
        }
        let projector = Projector {
            log: self.engine.log.clone(),
            rows: self.engine.rows.clone(),
            board: self.engine.board.clone(),
            options,
        };
        let id = generation.id.clone();
        tokio::spawn(async move {
            projector.keep(id, projection, stop).await;
            Ok(())
        })
    }

    fn build(
        &self,
        generation: Generation,
        projection: Arc<dyn projections::Projection>,
        at: Option<u64>,
        stop: CancellationToken,
    ) -> JoinHandle<Result<(), ReplayError>> {
        let builder = Builder {
            log: self.engine.log.clone(),
            rows: self.engine.rows.clone(),
            generations: self.engine.generations.clone(),
            sealed: self.engine.sealed.clone(),
            board: self.engine.board.clone(),
            options: self.build.clone(),
        };
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let Some(done) = builder.run(&generation, projection, at, &stop).await? else { return Ok(()) };
            let mut snapshot = engine.generations.snapshot(&generation.id).await?;
            let checksum = Checksum::of(&mut *snapshot).await?;
            let built = Built {
                generation: generation.id.number,
                position: snapshot.position(),
                rows: checksum.total(),
                checksum: checksum.hex(),
                events: done.events,
                seconds: done.seconds,
            };
            tracing::info!(generation = %generation.id, position = built.position, rows = built.rows,
                events = built.events, seconds = built.seconds, "built");
            let by = By::actor("worker:replays");
            let projection = generation.id.projection.clone();
            match engine.simple(&projection, generation.id.number, Command::Finish(built), &by).await {
                // It was aborted at the last moment.
                Ok(_) | Err(ReplayError::Rejected(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

/// A generation that this build has no code for stays as it is, and says so.
fn unknown(board: &Board, generation: &Generation, error: &ModelError) {
    let reason = error.to_string();
    board.generation(&generation.id).set(|a| {
        if a.error.as_ref() != Some(&reason) {
            tracing::error!(generation = %generation.id, error = reason, "generation not followed");
            a.error = Some(reason);
        }
    });
}
