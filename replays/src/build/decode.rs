//! Pages of the log as columns, decoded on all cores, in order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use background::{Broken, Steps};
use domain::RecordedEvent;
use domain::cells::{Cell, cells};
use domain::columns;
use domain::ports::log::{EventLog, LogError, Page, ReadFilter};
use domain::registry;
use hashlink::DefaultHashBuilder;
use projections::bulk::{Columns, ERASED, MISSING, Texts, Wants};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::reader::Reader;
use crate::error::ReplayError;

/// A page taken apart.
pub struct Decoded {
    /// One for each type that is wanted, in that order.
    pub columns: Vec<Columns>,
    /// Those of other types.
    pub events: Vec<RecordedEvent>,
    pub through: u64,
}

/// Decodes some pages ahead of whoever takes them.
pub struct Decoder {
    pages: mpsc::Receiver<JoinHandle<Result<Decoded, Broken>>>,
    reading: AbortOnDropHandle<Result<(), LogError>>,
}

impl Decoder {
    /// Pages past `after` up to `target`, which is in the log, without the
    /// events for which `leave_out` says so.
    pub fn start(
        log: Arc<dyn EventLog>,
        filter: ReadFilter,
        (after, target): (u64, u64),
        limit: usize,
        wants: &'static [Wants],
        leave_out: impl Fn(u64) -> bool + Send + 'static,
    ) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (give, pages) = mpsc::channel(threads);
        let mut reader = Reader::start(log, filter, after, target, limit);
        let reading = tokio::spawn(async move {
            while let Some(page) = reader.next().await {
                let mut page = page?;
                page.events.retain(|e| !leave_out(e.position));
                let decoding = tokio::spawn(background::run(move || decode(page, wants)));
                if give.send(decoding).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Self { pages, reading: AbortOnDropHandle::new(reading) }
    }

    /// `None` at the target.
    pub async fn next(&mut self) -> Result<Option<Decoded>, ReplayError> {
        let panicked = |e: tokio::task::JoinError| ReplayError::Fold(e.to_string());
        if let Some(decoding) = self.pages.recv().await {
            return Ok(Some(decoding.await.map_err(panicked)??));
        }
        (&mut self.reading).await.map_err(panicked)??;
        Ok(None)
    }
}

/// A payload that does not fit its type gives a row without members, as in an
/// archive.
fn decode(page: Page, wants: &[Wants]) -> Decoded {
    let (wanted, others): (Vec<RecordedEvent>, Vec<RecordedEvent>) =
        page.events.into_iter().partition(|e| wants.iter().any(|w| *w.event_type == *e.event_type));
    let columns = wants.iter().map(|w| of_type(*w, wanted.iter().filter(|e| *w.event_type == *e.event_type)));
    Decoded { columns: columns.collect(), events: others, through: page.through }
}

fn of_type<'a>(wants: Wants, events: impl Iterator<Item = &'a RecordedEvent>) -> Columns {
    let fields = columns::of(wants.event_type).unwrap_or_default();
    let place = |member: &&str| fields.iter().position(|field| field.name == *member);
    let places: Vec<Option<usize>> = wants.members.iter().map(place).collect();
    let mut columns = Columns { event_type: wants.event_type, ..Columns::default() };
    let mut tenants = Coded::default();
    let mut members: Vec<Coded<'_>> = places.iter().map(|_| Coded::default()).collect();
    let mut row = Vec::new();
    let mut steps = Steps::of_nanos(2_000);
    for event in events {
        steps.step();
        columns.positions.push(event.position);
        columns.at.push(event.at().as_microsecond());
        tenants.push(Ok(Cow::Borrowed(event.stream.tenant.as_str())));
        let fits = match registry::payload(event) {
            Ok(Cow::Borrowed(text)) => cells(fields, text, &mut row),
            // Of an older schema.
            Ok(Cow::Owned(text)) => {
                let mut owned = Vec::new();
                let fits = cells(fields, &text, &mut owned);
                row = owned.into_iter().map(kept).collect();
                fits
            }
            Err(_) => false,
        };
        for (coded, place) in members.iter_mut().zip(&places) {
            let cell = place.filter(|_| fits).and_then(|place| row.get_mut(place)).map(std::mem::take);
            coded.push(match cell {
                Some(Cell::Text(text)) => Ok(text),
                Some(Cell::Erased) => Err(ERASED),
                _ => Err(MISSING),
            });
        }
    }
    columns.tenants = tenants.texts;
    columns.members = members.into_iter().map(|coded| coded.texts).collect();
    columns
}

fn kept<'a>(cell: Cell<'_>) -> Cell<'a> {
    match cell {
        Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
        Cell::Erased => Cell::Erased,
        // Only texts are taken.
        _ => Cell::Null,
    }
}

/// Texts with the code of each.
#[derive(Default)]
struct Coded<'a> {
    texts: Texts,
    codes: HashMap<Cow<'a, str>, i32, DefaultHashBuilder>,
}

impl<'a> Coded<'a> {
    fn push(&mut self, value: Result<Cow<'a, str>, i32>) {
        let code = value.map_or_else(|code| code, |value| self.code(value));
        self.texts.codes.push(code);
    }

    fn code(&mut self, value: Cow<'a, str>) -> i32 {
        // A page has far fewer values.
        let fresh = self.texts.len() as i32;
        match self.codes.entry(value) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.texts.add(new.key());
                *new.insert(fresh)
            }
        }
    }
}
