//! What caused what: commands, their events, the commands that react to these.

use std::collections::{HashMap, HashSet};

use axum::extract::State;
use daybook_http::{Json, Path, Problem, Query};
use domain::{RecordedEvent, TenantId};
use jiff::Timestamp;
use projections::history::{
    CAUSATIONS, COMMANDS, CORRELATIONS, correlation as correlation_group, id as group,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::AuditState;
use crate::access::{Auditor, name, within};
use crate::body::EventBody;
use crate::fetch::fetch;
use crate::index::{Index, Span};

const MAX_EVENTS: usize = 1_000;
const MAX_DEPTH: usize = 32;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Bounds {
    /// Most events told: 1 to 1,000, which is what it is unless told.
    limit: Option<usize>,
    /// How many commands may follow from each other: 1 to 32, which is what it
    /// is unless told.
    depth: Option<usize>,
    /// Another tenant than the key's own, for auditors of the installation.
    tenant: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Tree {
    tenant: String,
    /// In the order of their first events.
    commands: Vec<CommandNode>,
    /// How many events are told.
    events: usize,
    /// There are more than were told, for one of the bounds.
    truncated: bool,
    /// Events up to this position are considered.
    position: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct CommandNode {
    command_id: Uuid,
    actor: String,
    correlation_id: String,
    /// The event that it reacts to.
    causation_id: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    events: Vec<EventNode>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EventNode {
    #[serde(flatten)]
    event: EventBody,
    /// Commands that react to this event.
    #[schema(no_recursion)]
    caused: Vec<CommandNode>,
}

/// Everything that bears a correlation id, and what came of it: commands, their
/// events, and the commands that react to these. Taps and previews are left out.
#[utoipa::path(get, path = "/v1/audit/correlations/{id}", tag = "Audit", params(("id" = String, Path), Bounds), responses((status = 200, body = Tree)))]
pub async fn correlation(
    State(state): State<AuditState>,
    auditor: Auditor,
    Path(id): Path<String>,
    Query(bounds): Query<Bounds>,
) -> Result<Json<Tree>, Problem> {
    let key = correlation_group(name("id", &id)?);
    let tree = answer(&state, &auditor, bounds, CORRELATIONS, &key).await?;
    if tree.commands.is_empty() { Err(Problem::not_found()) } else { Ok(Json(tree)) }
}

/// A command's events and what came of them. Taps and previews are left out.
#[utoipa::path(get, path = "/v1/audit/commands/{id}", tag = "Audit", params(("id" = Uuid, Path), Bounds), responses((status = 200, body = Tree)))]
pub async fn command(
    State(state): State<AuditState>,
    auditor: Auditor,
    Path(id): Path<Uuid>,
    Query(bounds): Query<Bounds>,
) -> Result<Json<Tree>, Problem> {
    let tree = answer(&state, &auditor, bounds, COMMANDS, &group(id)).await?;
    if tree.commands.is_empty() { Err(Problem::not_found()) } else { Ok(Json(tree)) }
}

/// The commands that react to an event, and what came of them. None of an event
/// that caused nothing, or that there is not.
#[utoipa::path(get, path = "/v1/audit/causations/{event_id}", tag = "Audit", params(("event_id" = Uuid, Path), Bounds), responses((status = 200, body = Tree)))]
pub async fn causation(
    State(state): State<AuditState>,
    auditor: Auditor,
    Path(event_id): Path<Uuid>,
    Query(bounds): Query<Bounds>,
) -> Result<Json<Tree>, Problem> {
    Ok(Json(answer(&state, &auditor, bounds, CAUSATIONS, &group(event_id)).await?))
}

async fn answer(
    state: &AuditState,
    auditor: &Auditor,
    bounds: Bounds,
    table: &str,
    group: &str,
) -> Result<Tree, Problem> {
    let tenant = auditor.tenant(bounds.tenant.as_deref())?;
    let limit = within("limit", bounds.limit, MAX_EVENTS, MAX_EVENTS)?;
    let depth = within("depth", bounds.depth, MAX_DEPTH, MAX_DEPTH)?;
    let index = Index::open(&*state.rows, &tenant).await?;
    let mut growing = Growing::new(state, &tenant, &index, limit);
    let first = growing.first(table, group).await?;
    let known: HashSet<Uuid> = first.iter().map(|e| e.event_id).collect();
    let begins = |e: &RecordedEvent| table != CORRELATIONS || e.metadata.causation_id.is_none();
    let (begin, rest): (Vec<_>, Vec<_>) = first.into_iter().partition(begins);
    let mut top = growing.follow(begin, depth).await?;
    // What of the correlation hangs from none of these: the cause is not of it,
    // or was not followed so far. A cause comes first, so the order of
    // positions finds the places of all others.
    for command in rest.chunk_by(|a, b| a.metadata.command_id == b.metadata.command_id) {
        let cause = command[0].metadata.causation_id;
        if !growing.truncated || cause.is_none_or(|cause| !known.contains(&cause)) {
            top.extend(growing.follow(command.to_vec(), depth).await?);
        }
    }
    top.sort_unstable_by_key(|event| event.position);
    let (events, truncated, position) = (growing.seen.len(), growing.truncated, index.position);
    let commands = growing.told(top)?;
    Ok(Tree { tenant: tenant.to_string(), commands, events, truncated, position })
}

/// A tree, level by level.
struct Growing<'a> {
    state: &'a AuditState,
    tenant: &'a TenantId,
    index: &'a Index<'a>,
    limit: usize,
    /// What is left for payloads.
    room: usize,
    /// Positions of the tree's events.
    seen: HashSet<u64>,
    /// By the event that caused them.
    caused: HashMap<Uuid, Vec<RecordedEvent>>,
    truncated: bool,
}

impl<'a> Growing<'a> {
    fn new(state: &'a AuditState, tenant: &'a TenantId, index: &'a Index<'a>, limit: usize) -> Self {
        let (seen, caused, room) = (HashSet::new(), HashMap::new(), state.limits.bytes);
        Self { state, tenant, index, limit, room, seen, caused, truncated: false }
    }

    async fn first(&mut self, table: &str, group: &str) -> Result<Vec<RecordedEvent>, Problem> {
        // One more than asked for tells whether there are more.
        let span = Span { after: 0, upto: self.index.position, limit: self.limit + 1 };
        let mut positions = self.index.group(table, group, span).await?;
        self.truncated |= positions.len() > self.limit;
        positions.truncate(self.limit);
        self.read(&positions).await
    }

    async fn read(&mut self, positions: &[u64]) -> Result<Vec<RecordedEvent>, Problem> {
        let events = fetch(&*self.state.log, self.tenant, positions, self.room).await?;
        self.truncated |= events.len() < positions.len();
        Ok(events)
    }

    /// Takes these events into the tree, then what each caused, and so on.
    /// Returns those of the first level that are new to it.
    async fn follow(
        &mut self,
        events: Vec<RecordedEvent>,
        depth: usize,
    ) -> Result<Vec<RecordedEvent>, Problem> {
        let first = self.take(events);
        let mut level: Vec<Uuid> = first.iter().map(|e| e.event_id).collect();
        for number in 1.. {
            let caused = self.index.caused(&level, self.limit + 1).await?;
            let mut positions: Vec<u64> = caused.into_values().flatten().collect();
            positions.retain(|position| !self.seen.contains(position));
            positions.sort_unstable();
            let left = if number < depth { self.limit.saturating_sub(self.seen.len()) } else { 0 };
            self.truncated |= positions.len() > left;
            positions.truncate(left);
            if positions.is_empty() || self.room == 0 {
                self.truncated |= !positions.is_empty();
                break;
            }
            let read = self.read(&positions).await?;
            let events = self.take(read);
            level = events.iter().map(|e| e.event_id).collect();
            for event in events {
                let cause = event.metadata.causation_id.unwrap_or_default();
                self.caused.entry(cause).or_default().push(event);
            }
        }
        Ok(first)
    }

    fn take(&mut self, mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
        events.retain(|event| !self.seen.contains(&event.position));
        let left = self.limit.saturating_sub(self.seen.len());
        self.truncated |= events.len() > left;
        events.truncate(left);
        self.seen.extend(events.iter().map(|event| event.position));
        let weight: usize = events.iter().map(|e| e.payload.len()).sum();
        self.room = self.room.saturating_sub(weight);
        events
    }

    /// The events by command, each with what it caused. No deeper than the
    /// levels that were followed.
    fn told(&mut self, events: Vec<RecordedEvent>) -> Result<Vec<CommandNode>, Problem> {
        let mut commands: Vec<CommandNode> = Vec::new();
        let mut places: HashMap<Uuid, usize> = HashMap::new();
        for event in events {
            let meta = &event.metadata;
            let place = *places.entry(meta.command_id).or_insert(commands.len());
            if place == commands.len() {
                commands.push(CommandNode {
                    command_id: meta.command_id,
                    actor: meta.actor.to_string(),
                    correlation_id: meta.correlation_id.to_string(),
                    causation_id: meta.causation_id,
                    recorded_at: event.recorded_at,
                    events: Vec::new(),
                });
            }
            let caused = self.caused.remove(&event.event_id).unwrap_or_default();
            let caused = self.told(caused)?;
            let event = EventBody::new(event)?;
            commands[place].events.push(EventNode { event, caused });
        }
        Ok(commands)
    }
}
