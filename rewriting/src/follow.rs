//! Requests for rewrites as they come (role `reactor`), a few at a time.
//!
//! Who works on one claims it in its stream at the version that was read: of two
//! processes one does. A claim ends by itself, so that another takes over from
//! who died. How far requests were followed is a fact now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use commands::execute::{Refusal, append_one, execute, load};
use domain::decide::Rejection;
use domain::envelope::{Metadata, NewEvent};
use domain::ports::log::{Append, AppendError, ExpectedVersion, LogError, ReadFilter, StreamWrite};
use domain::ports::rows::RowStore;
use domain::registry;
use domain::rewrite::{Command, Outcome, REQUESTED, Rewrite};
use domain::rule_match::{ADVANCED, Advanced, CURSOR_KIND};
use domain::{StreamId, TenantId};
use jiff::SignedDuration;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sending::{Sender, Unanswered};
use crate::texts::decided;
use crate::work::{ACTOR, failed, rewritten};

const PAGE: usize = 200;
/// Requests that are known and not done.
const MOST_OPEN: usize = 1_000;
/// Those that are worked on at once.
const AT_ONCE: usize = 3;
/// What one may take; its claim a little more.
const TIME: Duration = Duration::from_secs(600);
const CLAIM: SignedDuration = SignedDuration::from_secs(630);
/// Between two looks at what others work on, and after a failure.
const PAUSE: Duration = Duration::from_secs(2);
const CURSOR: &str = "rewriter";
/// Positions between two facts of how far it came.
const KEEP_EVERY: u64 = 1_000;

pub struct Rewriter {
    sender: Sender,
    rows: Arc<dyn RowStore>,
    /// Every request up to here is known.
    position: u64,
    kept: u64,
    /// By position.
    open: BTreeMap<u64, StreamId>,
}

/// What became of one.
enum Step {
    Done,
    /// Somebody else works on it, or it could not be read.
    Later,
}

impl Rewriter {
    /// Where it ended the last time.
    pub async fn open(sender: Sender, rows: Arc<dyn RowStore>) -> Result<Self, LogError> {
        let last = match cursor() {
            Ok(stream) => sender.services().log.last(&stream).await?,
            Err(_) => None,
        };
        let kept =
            last.and_then(|event| registry::decode_payload::<Advanced>(&event).ok()).map_or(0, |a| a.to);
        Ok(Self { sender, rows, position: kept, kept, open: BTreeMap::new() })
    }

    /// Until `stop`. What is worked on then is begun again by whoever follows.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut working: JoinSet<Step> = JoinSet::new();
        let mut busy: HashMap<Id, u64> = HashMap::new();
        // Not before.
        let mut later: BTreeMap<u64, Instant> = BTreeMap::new();
        while !stop.is_cancelled() {
            let read = self.read().await;
            if let Err(error) = &read {
                tracing::warn!(%error, "rewriting: requests cannot be read");
            }
            for (at, stream) in self.due(&busy, &later) {
                let (sender, rows) = (self.sender.clone(), self.rows.clone());
                let task = working.spawn(async move { perform(&sender, &rows, &stream).await });
                busy.insert(task.id(), at);
            }
            let log = self.sender.services().log.clone();
            let more = async {
                if read.is_err() || (!matches!(read, Ok(true)) && log.changed(self.position).await.is_err()) {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            let ended = tokio::select! {
                () = stop.cancelled() => None,
                () = more, if self.open.len() < MOST_OPEN => None,
                ended = working.join_next_with_id(), if !busy.is_empty() => ended,
                () = tokio::time::sleep(PAUSE), if !later.is_empty() => None,
            };
            let (id, step) = match ended {
                None => continue,
                Some(Ok(ended)) => ended,
                Some(Err(error)) => {
                    tracing::error!(%error, "rewriting: one ended with a panic");
                    (error.id(), Step::Later)
                }
            };
            let Some(at) = busy.remove(&id) else { continue };
            later.remove(&at);
            match step {
                Step::Done => drop(self.open.remove(&at)),
                Step::Later => drop(later.insert(at, Instant::now() + PAUSE)),
            }
        }
    }

    /// The oldest that nobody here works on, and that are due.
    fn due(&self, busy: &HashMap<Id, u64>, later: &BTreeMap<u64, Instant>) -> Vec<(u64, StreamId)> {
        let now = Instant::now();
        let free = |at: &u64| !busy.values().any(|b| b == at) && later.get(at).is_none_or(|due| *due <= now);
        let due = self.open.iter().filter(|(at, _)| free(at)).take(AT_ONCE - busy.len());
        due.map(|(at, stream)| (*at, stream.clone())).collect()
    }

    /// True if there is more to read at once.
    async fn read(&mut self) -> Result<bool, Refusal> {
        if self.open.len() >= MOST_OPEN {
            return Ok(false);
        }
        let log = self.sender.services().log.clone();
        let page = log.read(self.position, PAGE, &ReadFilter::types([REQUESTED])).await?;
        let more = page.through > self.position && page.events.len() == PAGE;
        self.open.extend(page.events.iter().map(|event| (event.position, event.stream.clone())));
        self.position = self.position.max(page.through);
        self.keep().await?;
        Ok(more)
    }

    /// Writes down up to where nothing is open.
    async fn keep(&mut self) -> Result<(), Refusal> {
        let to = self.open.keys().next().map_or(self.position, |first| first - 1);
        if to < self.kept + KEEP_EVERY {
            return Ok(());
        }
        let services = self.sender.services();
        let event = NewEvent {
            event_id: services.ids.next(),
            event_type: ADVANCED.into(),
            schema: registry::schema_of(ADVANCED),
            occurred_at: None,
            payload: format!(r#"{{"to":{to}}}"#),
        };
        let command_id = services.ids.next();
        let metadata = Metadata {
            actor: ACTOR.into(),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        };
        let writes =
            vec![StreamWrite { stream: cursor()?, expected: ExpectedVersion::Any, events: vec![event] }];
        append_one(services, Append { writes, metadata, idempotency: None }).await?;
        self.kept = to;
        Ok(())
    }
}

fn cursor() -> Result<StreamId, domain::ids::InvalidId> {
    StreamId::new(&TenantId::system(), CURSOR_KIND, CURSOR)
}

/// Claims one, works on it, records its outcome.
async fn perform(sender: &Sender, rows: &Arc<dyn RowStore>, stream: &StreamId) -> Step {
    match worked(sender, rows, stream).await {
        Ok(step) => step,
        Err(error) => {
            tracing::warn!(%error, rewrite = %stream.id, "rewriting: it is looked at again");
            Step::Later
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Unworked {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Work(#[from] crate::work::WorkError),
    #[error(transparent)]
    Read(#[from] crate::texts::ReadError),
}

async fn worked(sender: &Sender, rows: &Arc<dyn RowStore>, stream: &StreamId) -> Result<Step, Unworked> {
    let services = sender.services();
    let loaded = load::<Rewrite>(services, stream).await?;
    let (Some(asked), Outcome::Open) = (loaded.state.requested, loaded.state.outcome) else {
        return Ok(Step::Done);
    };
    let call = sender.call(&stream.tenant, &ACTOR.into(), &stream.id);
    let until = services.clock.now() + CLAIM;
    match execute::<Rewrite>(services, &call, Command::Start { until }).await {
        Ok(_) => {}
        Err(Refusal::Rejected(Rejection::State(_))) => return Ok(Step::Later),
        Err(error) => return Err(error.into()),
    }
    // Given up instead of begun.
    let loaded = load::<Rewrite>(services, stream).await?;
    if loaded.state.outcome != Outcome::Open {
        return Ok(Step::Done);
    }
    let decided = decided(services, &stream.tenant, &asked.sample).await?;
    let outcome =
        match tokio::time::timeout(TIME, rewritten(sender, rows, &stream.tenant, (&asked, decided))).await {
            Ok(outcome) => outcome?,
            Err(_) => Err(failed("timeout", format!("it took {} seconds", TIME.as_secs()))),
        };
    let command = match outcome {
        Ok(completed) => Command::Complete(Box::new(completed), decided),
        Err(failed) => Command::Fail(failed),
    };
    metrics::counter!("daybook_rewrites_total", "outcome" => label(&command)).increment(1);
    let mut ended = execute::<Rewrite>(services, &call, command).await;
    // Whose text it was may have been erased while the model wrote: what came
    // of it must not be recorded under a new key.
    if matches!(&ended, Err(Refusal::Rejected(Rejection::Field { field, .. })) if field == "/subject") {
        let why = Unanswered::Subject;
        let command = Command::Fail(failed(why.code(), why.to_string()));
        ended = execute::<Rewrite>(services, &call, command).await;
    }
    match ended {
        Ok(_) => Ok(Step::Done),
        // Somebody else was faster.
        Err(Refusal::Rejected(Rejection::State(_)) | Refusal::Append(AppendError::Conflict { .. })) => {
            Ok(Step::Later)
        }
        Err(error) => Err(error.into()),
    }
}

fn label(command: &Command) -> &'static str {
    if matches!(command, Command::Complete(..)) { "completed" } else { "failed" }
}
