//! Events that are not sealed yet: pages of the log as record batches. A log
//! that is trimmed meanwhile says so when it is read.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::streaming::PartitionStream;
use domain::RecordedEvent;
use domain::ports::log::{EventLog, Page, ReadFilter};
use futures::StreamExt;
use infra_archive::Rows;

use crate::bounds::Bounds;
use crate::pin::Pin;
use crate::sealed::{Gate, Gated};

/// Payload bytes that a page aims at, and its greatest number of events. The
/// first page is small, since nothing is known about the size of its events.
const PAGE_BYTES: usize = 2 << 20;
const PAGE: usize = 2_000;
const FIRST_PAGE: usize = 100;

/// The log's part of a scan; none if there is nothing in it.
pub fn scan(gate: &Gate, bounds: &Bounds, event_type: Option<&str>) -> Option<Arc<dyn PartitionStream>> {
    let pin = gate.pin.clone();
    let log = pin.log.clone()?;
    let begin = pin.through().max(bounds.first.saturating_sub(1));
    let types = bounds.types.clone();
    if begin >= bounds.last || types.as_ref().is_some_and(|types| types.is_empty()) {
        return None;
    }
    let filter = ReadFilter {
        tenant: pin.tenant.clone(),
        ..ReadFilter::types(types.iter().flatten().map(String::as_str))
    };
    // Without a type there are the columns that all have.
    let rows_of = event_type.unwrap_or_default().to_owned();
    let last = bounds.last;
    Some(Gated::stream(gate.clone(), "log", move |_| {
        let start = Tail {
            pin: pin.clone(),
            log: log.clone(),
            filter: filter.clone(),
            rows_of: rows_of.clone(),
            after: begin,
            last,
            limit: FIRST_PAGE,
        };
        let pages = futures::stream::try_unfold(start, |mut tail| async move {
            Ok(tail.next().await?.map(|batch| (batch, tail)))
        });
        Ok(pages.boxed())
    }))
}

struct Tail {
    pin: Arc<Pin>,
    log: Arc<dyn EventLog>,
    filter: ReadFilter,
    rows_of: String,
    after: u64,
    last: u64,
    limit: usize,
}

impl Tail {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.after < self.last {
            let page = self.page().await?;
            if page.through <= self.after {
                return Err(self.pin.failed(&format!("the log ends before position {}", self.last)));
            }
            self.after = page.through;
            let last = self.last;
            let events: Vec<RecordedEvent> =
                page.events.into_iter().filter(|event| event.position <= last).collect();
            if !events.is_empty() {
                return self.batch(&events).map(Some);
            }
        }
        Ok(None)
    }

    async fn page(&self) -> Result<Page> {
        let (log, filter, after, limit) = (self.log.clone(), self.filter.clone(), self.after, self.limit);
        self.pin.request(async move { log.read(after, limit, &filter).await }).await
    }

    fn batch(&mut self, events: &[RecordedEvent]) -> Result<RecordBatch> {
        let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
        self.limit = (PAGE_BYTES * events.len() / bytes.max(1)).clamp(1, PAGE);
        let mut rows = Rows::new(&self.rows_of);
        for event in events {
            rows.push(event).map_err(|e| self.pin.failed(&e))?;
        }
        rows.take().map_err(|e| DataFusionError::External(Box::new(e)))
    }
}
