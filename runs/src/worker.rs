//! Claims tasks, prices them, puts their cells into an object and reports it.
//!
//! The log decides who has a task: a claim is an append at an exact version, and
//! a report is refused unless its token is the newest. Before that, whatever a
//! worker does changes nothing, so it may be killed anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commands::StoredOutcome;
use commands::caller::problem;
use commands::execute::{Call, Refusal, append_one, build_append, execute, load};
use daybook_http::{Principal, Problem};
use domain::TenantId;
use domain::api_key::Role;
use domain::decide::{Context, Decide, Rejection, stream_of};
use domain::ports::log::{AppendError, ExpectedVersion, ReadFilter};
use domain::registry::decode;
use domain::target_url::UrlPolicy;
use domain::valuation::cells::TaskCells;
use domain::valuation::run::{Cells, Command, EVENT_TYPES, Event, Plan, Run};
use jiff::Timestamp;
use models_pricing::position::Position;
use models_pricing::scenario::Scenario;
use tokio_util::sync::CancellationToken;

use crate::pricing::{Job, bucket, price};
use crate::submit::measures_of;
use crate::{Desk, inputs};

const PAGE: usize = 1_000;
const MAX_ATTEMPTS: usize = 8;
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

pub struct Worker {
    desk: Desk,
    /// Kept with what it does.
    name: String,
    /// Runs that are not over.
    open: BTreeMap<(TenantId, Arc<str>), Run>,
    /// Events up to here are in it.
    position: u64,
}

/// A task that is this worker's.
struct Claimed {
    tenant: TenantId,
    run_id: Arc<str>,
    task: String,
    token: u32,
    plan: Plan,
    scenarios: String,
}

impl Worker {
    pub fn new(desk: Desk, name: String) -> Self {
        Self { desk, name, open: BTreeMap::new(), position: 0 }
    }

    /// Until `stop`; what is begun is finished.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = MIN_PAUSE;
        while !stop.is_cancelled() {
            match self.step().await {
                Ok(true) => pause = MIN_PAUSE,
                Ok(false) => {
                    pause = MIN_PAUSE;
                    self.idle(&stop).await;
                }
                Err(error) => {
                    metrics::counter!("daybook_run_worker_failures_total").increment(1);
                    tracing::warn!(error = error.detail(), "worker: cannot go on yet");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Until nothing is left to be claimed, and nobody holds a task.
    pub async fn run_until_idle(mut self, stop: CancellationToken) -> Result<(), Problem> {
        while !stop.is_cancelled() {
            if self.step().await? {
                continue;
            }
            if self.open.values().all(|run| run.status().is_over()) {
                return Ok(());
            }
            self.idle(&stop).await;
        }
        Ok(())
    }

    /// Until the log grows or a claim runs out.
    async fn idle(&self, stop: &CancellationToken) {
        let now = self.desk.services.clock.now();
        let expiry = self.open.values().filter_map(Run::next_expiry).min();
        let until = expiry.map_or(MAX_PAUSE, |at| pause_until(now, at));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(until) => {}
            changed = self.desk.services.log.changed(self.position) => if changed.is_err() {
                tokio::time::sleep(MAX_PAUSE).await;
            },
        }
    }

    /// One task. False if there was none.
    pub async fn step(&mut self) -> Result<bool, Problem> {
        self.refresh().await?;
        let now = self.desk.services.clock.now();
        let claimable: Vec<_> =
            self.open.iter().filter(|(_, run)| run.is_claimable(now)).map(|(key, _)| key.clone()).collect();
        for (tenant, run_id) in claimable {
            if let Some(claimed) = self.claim(&tenant, &run_id).await? {
                self.work(claimed).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn refresh(&mut self) -> Result<(), Problem> {
        let filter = ReadFilter::types(EVENT_TYPES);
        loop {
            let page = self.desk.services.log.read(self.position, PAGE, &filter).await?;
            for recorded in &page.events {
                // One that is not understood is not worked on.
                let Ok(event) = decode::<Event>(recorded) else { continue };
                if matches!(event, Event::ScenariosGiven { .. }) {
                    continue;
                }
                let key = (recorded.stream.tenant.clone(), recorded.stream.id.clone());
                self.open.entry(key).or_default().evolve(event);
            }
            if page.through <= self.position {
                break;
            }
            self.position = page.through;
        }
        // Failed runs may be retried, and are small without their scenarios.
        self.open.retain(|_, run| run.sealed.is_none() && !run.cancelled);
        Ok(())
    }

    async fn claim(&self, tenant: &TenantId, run_id: &Arc<str>) -> Result<Option<Claimed>, Problem> {
        let services = &self.desk.services;
        let call = self.call(tenant, run_id);
        let stream = stream_of::<Run>(tenant, run_id).map_err(Problem::internal)?;
        for _ in 0..MAX_ATTEMPTS {
            let loaded = load::<Run>(services, &stream).await.map_err(|e| problem(e, false))?;
            let context = Context { now: services.clock.now(), urls: UrlPolicy::default() };
            let decision = loaded.state.decide(Command::Claim { worker: self.name.clone() }, &context)?;
            if decision.events.is_empty() {
                return Ok(None);
            }
            let version = loaded.version + decision.events.len() as u64;
            let stored = StoredOutcome { version, unchanged_at: None, warnings: vec![] };
            let expected = ExpectedVersion::Exact(loaded.version);
            let append = build_append(services, &call, &stream, expected, &decision, &stored)
                .map_err(|e| problem(e, false))?;
            match append_one(services, append).await {
                Ok(_) => {}
                // Somebody was faster, perhaps at another task.
                Err(AppendError::Conflict { .. }) => continue,
                Err(error) => return Err(Problem::append(error, false)),
            }
            let claimed = decision.events.into_iter().find_map(|event| match event {
                Event::TaskClaimed { task, token, .. } => Some((task, token)),
                _ => None,
            });
            let (Some((task, token)), Some(plan)) = (claimed, loaded.state.plan) else { return Ok(None) };
            let (tenant, run_id, scenarios) = (tenant.clone(), run_id.clone(), loaded.state.scenarios);
            return Ok(Some(Claimed { tenant, run_id, task, token, plan, scenarios }));
        }
        Ok(None)
    }

    fn call(&self, tenant: &TenantId, run_id: &str) -> Call {
        Call {
            principal: Principal::new(tenant.clone(), "worker", &[Role::Admin]),
            actor: format!("worker:{}", self.name).into(),
            role: Role::Admin,
            id: run_id.to_owned(),
            if_match: None,
            idempotency: None,
            correlation_id: None,
            urls: UrlPolicy::default(),
        }
    }

    /// Prices a task and says what it came to. Only a log that does not answer is
    /// an error: everything else is a fact of the run.
    async fn work(&self, claimed: Claimed) -> Result<(), Problem> {
        let (task, token) = (claimed.task.clone(), claimed.token);
        let command = match self.cells(&claimed).await {
            Ok(Some((cells, stored))) => {
                let positions = u32::try_from(cells.0).unwrap_or(u32::MAX);
                let (rows, flagged) = (cells.1, cells.2);
                let cells = Cells { sha256: stored.sha256, bytes: stored.bytes, rows, flagged, positions };
                Command::Complete { task, token, cells }
            }
            // Somebody else has it now, or the run is cancelled.
            Ok(None) => return Ok(()),
            Err(reason) => {
                tracing::warn!(run = %claimed.run_id, task, reason, "worker: a task failed");
                Command::Fail { task, token, reason }
            }
        };
        self.say(&claimed, command).await.map(drop)
    }

    /// False if the run does not take it any more.
    async fn say(&self, claimed: &Claimed, command: Command) -> Result<bool, Problem> {
        let call = self.call(&claimed.tenant, &claimed.run_id);
        for _ in 0..MAX_ATTEMPTS {
            match execute::<Run>(&self.desk.services, &call, command.clone()).await {
                Ok(_) => return Ok(true),
                Err(Refusal::Rejected(Rejection::State(reason))) => {
                    tracing::info!(run = %claimed.run_id, task = claimed.task, reason, "worker: too late");
                    return Ok(false);
                }
                Err(Refusal::Append(AppendError::Conflict { .. })) => {}
                Err(refusal) => return Err(problem(refusal, false)),
            }
        }
        Err(Problem::internal("too many others write to the run"))
    }

    async fn cells(
        &self,
        claimed: &Claimed,
    ) -> Result<Option<((usize, u64, u64), domain::ports::results::Stored)>, String> {
        let text = |problem: Problem| problem.detail().to_owned();
        let plan = &claimed.plan;
        let model = inputs::model_of(plan).map_err(text)?;
        let market = self.desk.market(&claimed.tenant, &plan.market_snapshot, &model).await.map_err(text)?;
        let portfolio = self.desk.portfolio(&claimed.tenant, plan.at).await.map_err(text)?;
        let scenarios: Vec<Scenario> = serde_json::from_str(&claimed.scenarios).map_err(|e| e.to_string())?;
        let task = plan.tasks.iter().find(|task| task.id == claimed.task).cloned();
        let task = task.ok_or("the plan has no such task")?;
        let (books, hash_mod) = (plan.books.clone(), plan.hash_mod);
        let (measures, base) = (measures_of(plan), plan.base_currency.clone());
        let given_up = Arc::new(AtomicBool::new(false));
        let over = given_up.clone();
        let computing = tokio::task::spawn_blocking(move || {
            let positions: Vec<Position> = inputs::positions(&portfolio, &books)
                .into_iter()
                .filter(|p| {
                    p.product_type == task.product_type && bucket(&p.position_id, hash_mod) == task.bucket
                })
                .collect();
            let job = Job {
                market: &market,
                scenarios: &scenarios,
                positions: &positions,
                measures: &measures,
                base_currency: base.as_deref(),
            };
            price(&job, &|| !over.load(Ordering::Relaxed))
        });
        let storing = async {
            let cells: Option<TaskCells> = computing.await.map_err(|e| e.to_string())??;
            let Some(cells) = cells else { return Ok(None) };
            let counts = (cells.positions.len(), cells.rows(), cells.flagged());
            let stored = self.desk.results.put(&claimed.tenant, cells).await.map_err(|e| e.to_string())?;
            Ok(Some((counts, stored)))
        };
        tokio::pin!(storing);
        let beat = Duration::from_secs(plan.lease_seconds.into()) / 3;
        loop {
            tokio::select! {
                done = &mut storing => return done,
                () = tokio::time::sleep(beat) => {
                    let extend = Command::Extend { task: claimed.task.clone(), token: claimed.token };
                    // A log that is away for a moment is asked again by the next beat.
                    if let Ok(false) = self.say(claimed, extend).await {
                        given_up.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

fn pause_until(now: Timestamp, at: Timestamp) -> Duration {
    let left = at.duration_since(now);
    Duration::try_from(left).unwrap_or_default().clamp(MIN_PAUSE, MAX_PAUSE)
}
