//! What operators may do with generations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::TenantId;
use domain::decide::{Context, Decide, Rejection};
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::EventLog;
use domain::ports::rows::is_worker;
use domain::ports::rows::{
    Generation, GenerationId, GenerationStatus, Generations, ModelId, ParkedEvent, RowStore, RowsError,
    Source,
};
use domain::replay::{Command, Stage};
use domain::target_url::UrlPolicy;
use jiff::Timestamp;
use projections::as_of::position_at;
use projections::board::Board;
use projections::bulk::Sealed;
use projections::instantiate;
use tokio::sync::Notify;

use crate::decisions::{Asked, By, Decided, ONCE, PATIENT};
use crate::error::ReplayError;
use crate::facts::{ReplayFacts, defined_model};

/// Between two looks at whether rows have got somewhere.
const POLL: Duration = Duration::from_millis(25);
/// For the scratch generations and numbers of a log that was restored.
const OWNER: &str = "replays";
const LETTERS: usize = 1_000;

#[derive(Clone)]
pub struct Engine {
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
    pub generations: Arc<dyn Generations>,
    /// The sealed part of history in columns, where there is an archive.
    pub sealed: Option<Arc<dyn Sealed>>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub board: Arc<Board>,
    /// Rung when something was decided here.
    pub wake: Arc<Notify>,
    /// Bytes that a build may take.
    pub memory: usize,
}

/// Up to where a build of a past state goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Position(u64),
    Time(Timestamp),
}

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        let time = text.parse().map(Self::Time);
        time.map_err(|_| "is neither a position nor an RFC 3339 time with an offset".into())
    }
}

impl Engine {
    /// Every generation of the projection.
    pub async fn of(&self, projection: &str) -> Result<Vec<Generation>, ReplayError> {
        let mut found = self.rows.generations().await?;
        found.retain(|g| *g.id.projection == *projection && !is_worker(projection));
        if found.is_empty() && !projections::names().contains(&projection) {
            return Err(ReplayError::UnknownProjection(projection.into()));
        }
        found.sort_by_key(|g| g.id.number);
        Ok(found)
    }

    pub async fn find(&self, projection: &str, number: u32) -> Result<Generation, ReplayError> {
        let id = GenerationId { projection: projection.into(), number };
        let found = self.of(projection).await?.into_iter().find(|g| g.id.number == number);
        found.ok_or(ReplayError::UnknownGeneration(id))
    }

    /// The position that a log had at a time, or that somebody named.
    pub async fn position_at(&self, at: At) -> Result<u64, ReplayError> {
        let head = self.log.head().await?;
        let time = match at {
            At::Position(position) if position > head.position => {
                let reason = format!("is past the end of the log at {}", head.position);
                return Err(Rejection::field("/at", reason).into());
            }
            At::Position(position) => return Ok(position),
            At::Time(time) => time,
        };
        Ok(position_at(&*self.log, time).await?)
    }

    /// Makes a generation and asks for it to be built: by this model, the one
    /// that was defined, or that of the live rows.
    pub async fn build(
        &self,
        projection: &str,
        model: Option<ModelId>,
        at: Option<At>,
        by: &By,
    ) -> Result<Decided, ReplayError> {
        if let Some(decided) = self.answered(by).await? {
            return Ok(decided);
        }
        let model = match model {
            Some(model) => model,
            None => self.next_model(projection).await?,
        };
        let built_by = instantiate(projection, &model)?;
        let at = match at {
            Some(at) => Some(self.position_at(at).await?),
            None => None,
        };
        let facts = ReplayFacts::load(&*self.log, projection).await?;
        let generation = loop {
            let made = self.generations.create(projection, &built_by.model(), built_by.tables()).await?;
            // The log may be older than these rows: numbers in it were given.
            if made.id.number > facts.state.greatest() {
                break made.id;
            }
            self.generations.drop_generation(&made.id).await?;
        };
        let number = generation.number;
        let command = Command::Request { generation: number, model: built_by.model(), at };
        let asked = Asked { facts, command, generation: Some(number), by, attempts: PATIENT };
        let decided = self.decide(projection, asked).await;
        let mine = decided.as_ref().is_ok_and(|d| d.generation == Some(number));
        if !mine && let Err(error) = self.generations.drop_generation(&generation).await {
            tracing::warn!(%generation, %error, "a generation that nobody asked for was not dropped");
        }
        decided
    }

    async fn next_model(&self, projection: &str) -> Result<ModelId, ReplayError> {
        if let Some(defined) = defined_model(&*self.log, projection).await? {
            return Ok(defined);
        }
        let live = self.of(projection).await?.into_iter().find(|g| g.status == GenerationStatus::Live);
        let default = || projections::versions(projection).into_iter().next();
        let unknown = || ReplayError::UnknownProjection(projection.into());
        live.map(|g| g.model).or_else(default).ok_or_else(unknown)
    }

    pub async fn pause(&self, projection: &str, generation: u32, by: &By) -> Result<Decided, ReplayError> {
        self.simple(projection, generation, Command::Pause { generation }, by).await
    }

    pub async fn resume(&self, projection: &str, generation: u32, by: &By) -> Result<Decided, ReplayError> {
        self.simple(projection, generation, Command::Resume { generation }, by).await
    }

    pub async fn abort(&self, projection: &str, generation: u32, by: &By) -> Result<Decided, ReplayError> {
        self.simple(projection, generation, Command::Abort { generation }, by).await
    }

    pub(crate) async fn simple(
        &self,
        projection: &str,
        generation: u32,
        command: Command,
        by: &By,
    ) -> Result<Decided, ReplayError> {
        if let Some(decided) = self.answered(by).await? {
            return Ok(decided);
        }
        let facts = self.facts(projection).await?;
        let asked = Asked { facts, command, generation: Some(generation), by, attempts: PATIENT };
        self.decide(projection, asked).await
    }

    pub async fn facts(&self, projection: &str) -> Result<ReplayFacts, ReplayError> {
        if !projections::names().contains(&projection) {
            self.of(projection).await?;
        }
        ReplayFacts::load(&*self.log, projection).await
    }

    /// Makes a generation live once its rows reflect all that is in the log
    /// now; waits for that as long as it may.
    pub async fn promote(
        &self,
        projection: &str,
        generation: Option<u32>,
        wait: Duration,
        by: &By,
    ) -> Result<Decided, ReplayError> {
        if let Some(decided) = self.answered(by).await? {
            return Ok(decided);
        }
        let facts = self.facts(projection).await?;
        let newest = || {
            let candidate = |(n, k): &(&u32, &domain::replay::Known)| {
                k.stage == Stage::Built && k.at.is_none() && **n > facts.state.live
            };
            facts.state.generations.iter().filter(candidate).map(|(n, _)| *n).next_back()
        };
        let none = || Rejection::State("there is no generation that is ready to be promoted".into());
        let number = generation.or_else(newest).ok_or_else(none)?;
        let fence = self.log.head().await?.position;
        let command = Command::Promote { generation: number, fence };
        // What would be refused anyway is not waited for.
        let context = Context { now: self.clock.now(), urls: UrlPolicy::default() };
        let changes = !facts.state.decide(command.clone(), &context)?.events.is_empty();
        let id = self.find(projection, number).await?.id;
        if changes {
            self.reached(&id, fence, wait).await?;
        }
        let asked = Asked { facts, command, generation: Some(number), by, attempts: ONCE };
        let decided = self.decide(projection, asked).await?;
        self.point(projection).await;
        Ok(decided)
    }

    /// Waits until rows reflect a position.
    pub async fn reached(&self, id: &GenerationId, fence: u64, wait: Duration) -> Result<(), ReplayError> {
        let deadline = tokio::time::Instant::now() + wait;
        let source = Source::Generation(id.clone());
        loop {
            let position = self.rows.read(&source, &TenantId::system(), &[]).await?.position;
            if position >= fence {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(ReplayError::Behind { generation: id.clone(), position, fence });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Back to what was live before, at once: it has been kept up to date.
    pub async fn roll_back(&self, projection: &str, by: &By) -> Result<Decided, ReplayError> {
        if let Some(decided) = self.answered(by).await? {
            return Ok(decided);
        }
        let facts = self.facts(projection).await?;
        let there = self.of(projection).await?.into_iter();
        let built = there.filter(|g| g.status != GenerationStatus::Building);
        let available: BTreeSet<u32> = built.map(|g| g.id.number).collect();
        let generation = facts.state.previous(&available);
        let command = Command::RollBack { available };
        let decided =
            self.decide(projection, Asked { facts, command, generation, by, attempts: ONCE }).await?;
        self.point(projection).await;
        Ok(decided)
    }

    /// Moves the row store's pointer to where the facts have it. What fails
    /// now is done by a projector's process later.
    async fn point(&self, projection: &str) {
        let moved = async {
            let facts = self.facts(projection).await?;
            let live = self.of(projection).await?;
            self.follow_pointer(&facts, &live).await
        };
        if let Err(error) = moved.await {
            tracing::warn!(projection, %error, "the decision stands, the rows follow later");
        }
    }

    /// True if the pointer was moved.
    pub(crate) async fn follow_pointer(
        &self,
        facts: &ReplayFacts,
        there: &[Generation],
    ) -> Result<bool, ReplayError> {
        let Some(pointer) = facts.pointer else { return Ok(false) };
        let live = there.iter().find(|g| g.status == GenerationStatus::Live);
        let target = there.iter().find(|g| g.id.number == facts.state.live);
        let Some(target) = target.filter(|t| live.is_none_or(|l| l.id != t.id)) else { return Ok(false) };
        let moved = self.generations.promote(&target.id, pointer.fence, pointer.decided_at).await?;
        if moved {
            self.board.live(&target.id);
            tracing::info!(generation = %target.id, decided_at = pointer.decided_at, "live now");
        }
        Ok(moved)
    }

    /// Drops a generation, or all that are retired or aborted, and what is
    /// left over of builds that nobody asked for.
    pub async fn prune(
        &self,
        projection: &str,
        generation: Option<u32>,
        by: &By,
    ) -> Result<Vec<u32>, ReplayError> {
        let facts = self.facts(projection).await?;
        let there = self.of(projection).await?;
        let mut numbers: Vec<u32> = generation.into_iter().collect();
        if generation.is_none() {
            let retired = |g: &&Generation| g.status == GenerationStatus::Retired;
            numbers.extend(there.iter().filter(retired).map(|g| g.id.number));
            let aborted = |(_, k): &(&u32, &domain::replay::Known)| k.stage == Stage::Aborted;
            numbers.extend(facts.state.generations.iter().filter(aborted).map(|(n, _)| *n));
            for g in there.iter().filter(|g| facts.state.stage(g.id.number).is_none()) {
                self.drop_leftover(g).await?;
            }
        }
        for number in &numbers {
            let facts = self.facts(projection).await?;
            let command = Command::Prune { generation: *number };
            let asked = Asked { facts, command, generation: Some(*number), by, attempts: PATIENT };
            self.decide(projection, asked).await?;
            let id = GenerationId { projection: projection.into(), number: *number };
            self.generations.drop_generation(&id).await?;
        }
        Ok(numbers)
    }

    /// Of a build or verification that died before it was recorded; one that
    /// runs holds its lease.
    pub async fn drop_leftover(&self, generation: &Generation) -> Result<(), ReplayError> {
        if generation.status != GenerationStatus::Building {
            return Ok(());
        }
        match self.rows.acquire(&generation.id, OWNER, Duration::from_secs(10)).await {
            Ok(_) => Ok(self.generations.drop_generation(&generation.id).await?),
            Err(RowsError::LeaseHeld { .. } | RowsError::UnknownGeneration(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves an event out that waits among the dead letters of a generation,
    /// and of all that are built from now on.
    pub async fn skip(
        &self,
        projection: &str,
        position: u64,
        reason: &str,
        by: &By,
    ) -> Result<Decided, ReplayError> {
        if let Some(decided) = self.answered(by).await? {
            return Ok(decided);
        }
        let facts = self.facts(projection).await?;
        let (mut waiting, mut kept_by) = (Vec::new(), BTreeSet::new());
        for generation in self.of(projection).await? {
            let source = Source::Generation(generation.id.clone());
            let after = position.saturating_sub(1);
            let found = self.rows.dead_letters(&source, None, after, 1).await?;
            match found.into_iter().find(|p| p.letter.position == position) {
                Some(parked) => waiting.push((source, parked.letter)),
                None if generation.position >= position => {
                    kept_by.insert(generation.id.number);
                }
                None => {}
            }
        }
        if waiting.is_empty() && !facts.state.skips.contains_key(&position) {
            let reason = format!("position {position} waits in no generation of {projection}");
            return Err(Rejection::State(reason).into());
        }
        let command = Command::Skip { position, reason: reason.into(), kept_by };
        let decided = self
            .decide(projection, Asked { facts, command, generation: None, by, attempts: PATIENT })
            .await?;
        for (source, letter) in waiting {
            self.rows.request_retry(&source, &letter.tenant, Some(&letter.partition)).await?;
        }
        Ok(decided)
    }

    /// Has the projector try a generation's dead letters again, of one tenant
    /// or of all.
    pub async fn retry(
        &self,
        projection: &str,
        generation: u32,
        tenant: Option<&TenantId>,
    ) -> Result<u64, ReplayError> {
        let source = Source::Generation(self.find(projection, generation).await?.id);
        let (mut tenants, mut after) = (BTreeSet::new(), 0);
        loop {
            let page: Vec<ParkedEvent> = self.rows.dead_letters(&source, tenant, after, LETTERS).await?;
            let Some(last) = page.last() else { break };
            after = last.letter.position;
            tenants.extend(page.into_iter().map(|p| p.letter.tenant));
        }
        let mut asked = 0;
        for tenant in tenants {
            asked += self.rows.request_retry(&source, &tenant, None).await?;
        }
        Ok(asked)
    }
}
