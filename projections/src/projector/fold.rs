//! Folding one batch, with events that fail set aside.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use background::Steps;
use domain::RecordedEvent;
use domain::ports::rows::{DeadLetter, RowsError, TableChanges};

use crate::projection::{ApplyError, Projection, Wanted, settle};
use crate::working_set::Rows;

/// A batch with more failures ends before the next one, so that folding it
/// again and again has a bound.
const MAX_FAILURES: usize = 16;

/// What a batch comes to.
#[derive(Debug, Default, PartialEq)]
pub struct Folded {
    pub changes: Vec<TableChanges>,
    pub parked: Vec<DeadLetter>,
    /// The checkpoint after it.
    pub through: u64,
}

/// An event that did not fold.
pub struct Failure {
    /// Among the batch's events.
    pub index: usize,
    pub error: String,
}

/// Folds the events into `rows`. An event that fails, and all of its partition
/// after it, is parked and leaves no trace in the rows: the batch is folded
/// again without them.
pub fn fold(
    projection: &dyn Projection,
    rows: &mut Rows,
    parked: &HashSet<String>,
    events: &[RecordedEvent],
    through: u64,
) -> Result<Folded, RowsError> {
    let mut failures: HashMap<String, Failure> = HashMap::new();
    let (mut events, mut through) = (events, through);
    loop {
        let waits = |index: usize, event: &RecordedEvent| {
            let partition =
                (!parked.is_empty() || !failures.is_empty()).then(|| projection.partition(event))?;
            let error = match failures.get(&partition) {
                Some(failure) if index < failure.index => return None,
                Some(failure) if index == failure.index => Some(failure.error.clone()),
                Some(_) => None,
                None if parked.contains(&partition) => None,
                None => return None,
            };
            Some(letter(event, partition, error))
        };
        prefetch(projection, rows, events)?;
        match attempt(projection, rows, events, waits)? {
            Ok(parked) => return Ok(Folded { changes: changes(projection, rows)?, parked, through }),
            Err(failure) if failures.len() == MAX_FAILURES => {
                through = events[failure.index].position - 1;
                events = &events[..failure.index];
            }
            Err(failure) => {
                failures.insert(projection.partition(&events[failure.index]), failure);
            }
        }
        rows.discard();
    }
}

/// Applies a parked partition's events as far as they go. Returns how many,
/// and why the next one failed if one did.
pub fn refold(
    projection: &dyn Projection,
    rows: &mut Rows,
    events: &[RecordedEvent],
) -> Result<(usize, Vec<TableChanges>, Option<String>), RowsError> {
    prefetch(projection, rows, events)?;
    let Err(failure) = attempt(projection, rows, events, |_, _| None)? else {
        return Ok((events.len(), changes(projection, rows)?, None));
    };
    rows.discard();
    // The same events succeeded a moment ago.
    let again = attempt(projection, rows, &events[..failure.index], |_, _| None)?;
    if again.is_err() {
        rows.discard();
        return Ok((0, Vec::new(), Some(failure.error)));
    }
    Ok((failure.index, changes(projection, rows)?, Some(failure.error)))
}

/// Fetches the rows that the events surely need.
pub fn prefetch(
    projection: &dyn Projection,
    rows: &mut Rows,
    events: &[RecordedEvent],
) -> Result<(), RowsError> {
    let mut wanted = Wanted::default();
    let mut steps = Steps::of_nanos(1_000);
    for event in events {
        steps.step();
        projection.prefetch(event, &mut wanted);
    }
    rows.prefetch(wanted)
}

/// Applies every event that does not wait, up to the first that fails.
pub fn attempt(
    projection: &dyn Projection,
    rows: &mut Rows,
    events: &[RecordedEvent],
    waits: impl Fn(usize, &RecordedEvent) -> Option<DeadLetter>,
) -> Result<Result<Vec<DeadLetter>, Failure>, RowsError> {
    let mut parked = Vec::new();
    let mut steps = Steps::of_nanos(5_000);
    for (index, event) in events.iter().enumerate() {
        steps.step();
        if let Some(letter) = waits(index, event) {
            parked.push(letter);
            continue;
        }
        let applied = apply(projection, rows, event);
        if let Some(error) = rows.failure() {
            return Err(error);
        }
        match applied {
            Ok(()) => {}
            Err(ApplyError::Store(error)) => return Err(error),
            Err(ApplyError::Event(error)) => return Ok(Err(Failure { index, error })),
        }
    }
    Ok(Ok(parked))
}

/// A panic is a failure of its event: the rows it may have left half changed
/// are discarded as after any other.
fn apply(projection: &dyn Projection, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
    catch_unwind(AssertUnwindSafe(|| projection.apply(rows, event))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(ApplyError::Event(format!("panicked: {}", text.unwrap_or_default())))
    })
}

/// What the batch comes to, settled.
pub fn changes(projection: &dyn Projection, rows: &mut Rows) -> Result<Vec<TableChanges>, RowsError> {
    let settled = settle(projection, rows);
    if let Some(error) = rows.failure() {
        return Err(error);
    }
    let invalid = |e: ApplyError| RowsError::Invalid(e.to_string());
    settled.map_err(invalid)?;
    rows.changes().map_err(invalid)
}

pub fn letter(event: &RecordedEvent, partition: String, error: Option<String>) -> DeadLetter {
    DeadLetter {
        tenant: event.stream.tenant.clone(),
        partition,
        position: event.position,
        event_type: event.event_type.to_string(),
        error,
    }
}
