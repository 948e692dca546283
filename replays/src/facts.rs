//! The decisions about a projection's generations, folded from their stream.

use domain::decide::Decide;
use domain::ports::log::{EventLog, LogError};
use domain::ports::rows::ModelId;
use domain::replay::{self, Replay};
use domain::{StreamId, TenantId, model_choice, registry};
use projections::as_of::stream_until;

use crate::error::ReplayError;

const PAGE: usize = 1_000;

/// An aggregate of the system's tenant as its stream tells.
pub struct Facts<A> {
    pub stream: StreamId,
    pub state: A,
    pub version: u64,
    /// Of the newest event of the stream.
    pub position: u64,
    /// Where the pointer was decided on last, and how far the rows had to be.
    pub pointer: Option<Pointer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    pub decided_at: u64,
    pub fence: u64,
}

pub type ReplayFacts = Facts<Replay>;

impl<A: Decide> Facts<A> {
    pub async fn load(log: &dyn EventLog, projection: &str) -> Result<Self, ReplayError> {
        let stream = StreamId::new(&TenantId::system(), A::KIND, projection)
            .map_err(|_| ReplayError::UnknownProjection(projection.into()))?;
        let mut facts = Self { stream, state: A::default(), version: 0, position: 0, pointer: None };
        facts.refresh(log).await?;
        Ok(facts)
    }

    /// Reads what is new. True if there was something.
    pub async fn refresh(&mut self, log: &dyn EventLog) -> Result<bool, ReplayError> {
        let before = self.version;
        loop {
            let page = log.read_stream(&self.stream, self.version + 1, PAGE).await?;
            for event in &page {
                let decoded = registry::decode(event)
                    .map_err(|e| LogError::Damaged { position: event.position, reason: e.to_string() })?;
                self.state.evolve(decoded);
                self.version = event.version;
                self.position = event.position;
                self.point(event)?;
            }
            if page.len() < PAGE {
                return Ok(self.version != before);
            }
        }
    }

    fn point(&mut self, event: &domain::RecordedEvent) -> Result<(), LogError> {
        let fence = match &*event.event_type {
            replay::PROMOTED => match registry::decode(event) {
                Ok(replay::Event::Promoted { fence, .. }) => fence,
                _ => 0,
            },
            // What was live before is kept up to date; it has nothing to wait for.
            replay::ROLLED_BACK => 0,
            _ => return Ok(()),
        };
        self.pointer = Some(Pointer { decided_at: event.position, fence });
        Ok(())
    }
}

/// What had been decided when the log ended at a position.
pub async fn decided_at(log: &dyn EventLog, projection: &str, position: u64) -> Result<Replay, ReplayError> {
    let unknown = |_| ReplayError::UnknownProjection(projection.into());
    let stream = StreamId::new(&TenantId::system(), replay::KIND, projection).map_err(unknown)?;
    let mut state = Replay::default();
    for event in stream_until(log, &stream, position).await? {
        let decoded = registry::decode(&event)
            .map_err(|e| LogError::Damaged { position: event.position, reason: e.to_string() })?;
        state.evolve(decoded);
    }
    Ok(state)
}

/// The model that the next generation is built by, if somebody defined one.
pub async fn defined_model(log: &dyn EventLog, projection: &str) -> Result<Option<ModelId>, ReplayError> {
    Ok(Facts::<model_choice::ModelChoice>::load(log, projection).await?.state.model)
}

/// The model of an installation's first generation. Where the rows are new and
/// the log is not (it was restored), it is the one that was promoted last.
pub async fn opening_model(log: &dyn EventLog, projection: &str) -> Result<Option<ModelId>, ReplayError> {
    let facts = ReplayFacts::load(log, projection).await?;
    Ok(facts.state.generations.get(&facts.state.live).and_then(|known| known.model.clone()))
}
