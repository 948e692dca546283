//! The rows of the projection `history`, all of one generation and up to one
//! position.

use std::collections::HashMap;

use daybook_http::Problem;
use domain::TenantId;
use domain::ports::log::{EventLog, ReadFilter};
use domain::ports::rows::{KeyRange, Query, RowStore, Source, StoredRow};
use projections::history::{ACTORS, CAUSATIONS, NAME, Page, actor_day, actor_days, id, indexed, page_key};
use uuid::Uuid;

use crate::access::rows_problem;

/// Pages of an actor's days that are read at once.
const PAGES: usize = 32;
/// Causes that are asked for at once.
const CAUSES: usize = 100;

pub struct Index<'a> {
    rows: &'a dyn RowStore,
    tenant: &'a TenantId,
    source: Source,
    /// Every event up to here is indexed. Later ones are left out.
    pub position: u64,
}

/// Positions past `after` and up to `upto`, at most `limit`.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub after: u64,
    pub upto: u64,
    pub limit: usize,
}

impl Span {
    /// Takes what is in the span. False when nothing that follows can be.
    fn take(&self, positions: &[u64], found: &mut Vec<u64>) -> bool {
        for position in positions.iter().filter(|p| **p > self.after) {
            if *position > self.upto || found.len() == self.limit {
                return false;
            }
            found.push(*position);
        }
        true
    }
}

impl<'a> Index<'a> {
    pub async fn open(rows: &'a dyn RowStore, tenant: &'a TenantId) -> Result<Self, Problem> {
        let now = rows.read(&Source::live(NAME), tenant, &[]).await.map_err(rows_problem)?;
        Ok(Self { rows, tenant, source: Source::Generation(now.generation), position: now.position })
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Vec<StoredRow>>, Problem> {
        let read = self.rows.read(&self.source, self.tenant, queries).await;
        Ok(read.map_err(rows_problem)?.results)
    }

    async fn page(&self, table: &str, group: &str, number: u64) -> Result<Option<Page>, Problem> {
        let rows = self.read(&[Query::get(table, &page_key(group, number))]).await?;
        rows.first().and_then(|rows| rows.first()).map(parse).transpose()
    }

    /// A group's positions. All its pages but the newest are full, so the first
    /// one of interest is found by halving.
    pub async fn group(&self, table: &str, group: &str, span: Span) -> Result<Vec<u64>, Problem> {
        let span = Span { upto: span.upto.min(self.position), ..span };
        let mut found = Vec::new();
        let Some(first) = self.page(table, group, 0).await? else { return Ok(found) };
        let ends_before = |page: &Page| page.positions.last().is_none_or(|last| *last <= span.after);
        let (mut low, mut high) = (0, first.newest);
        while low < high {
            let middle = low + (high - low) / 2;
            let page = self.page(table, group, middle).await?;
            match page.is_none_or(|page| ends_before(&page)) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        for number in low..=first.newest {
            let Some(page) = self.page(table, group, number).await? else { break };
            if !span.take(&page.positions, &mut found) {
                break;
            }
        }
        Ok(found)
    }

    /// An actor's positions, over all days.
    pub async fn actor(&self, log: &dyn EventLog, actor: &str, span: Span) -> Result<Vec<u64>, Problem> {
        let span = Span { upto: span.upto.min(self.position), ..span };
        // Its day, or a later one, has the first position of the span.
        let Some(day) = self.day_after(log, actor, &span).await? else { return Ok(Vec::new()) };
        let mut found = self.group(ACTORS, &day, span).await?;
        // Past the keys `<day>/…`.
        let mut after = format!("{day}0");
        while found.len() < span.limit {
            let (prefix, limit) = (actor_days(actor), PAGES);
            let range = KeyRange { prefix, after: Some(after), limit, ..KeyRange::default() };
            let rows = self.read(&[Query::range(ACTORS, range)]).await?.pop().unwrap_or_default();
            for row in &rows {
                if !span.take(&parse(row)?.positions, &mut found) {
                    return Ok(found);
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGES => after = last.key.clone(),
                _ => break,
            }
        }
        Ok(found)
    }

    /// The group of the day of the first event past `after`, whose ever it is.
    async fn day_after(
        &self,
        log: &dyn EventLog,
        actor: &str,
        span: &Span,
    ) -> Result<Option<String>, Problem> {
        let filter = ReadFilter::types(indexed().iter().copied());
        let mut after = span.after;
        while after < span.upto {
            let page = log.read(after, 1, &filter).await?;
            if let Some(event) = page.events.first() {
                return Ok(Some(actor_day(actor, event.recorded_at)));
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        Ok(None)
    }

    /// What each of these events caused, at most `limit` positions of each.
    pub async fn caused(&self, causes: &[Uuid], limit: usize) -> Result<HashMap<Uuid, Vec<u64>>, Problem> {
        let span = Span { after: 0, upto: self.position, limit };
        let mut caused = HashMap::new();
        for causes in causes.chunks(CAUSES) {
            let queries: Vec<Query> =
                causes.iter().map(|cause| Query::get(CAUSATIONS, &page_key(&id(*cause), 0))).collect();
            for (cause, rows) in causes.iter().zip(self.read(&queries).await?) {
                let Some(page) = rows.first().map(parse).transpose()? else { continue };
                let positions = match page.newest {
                    0 => {
                        let mut positions = Vec::new();
                        span.take(&page.positions, &mut positions);
                        positions
                    }
                    _ => self.group(CAUSATIONS, &id(*cause), span).await?,
                };
                caused.insert(*cause, positions);
            }
        }
        Ok(caused)
    }
}

fn parse(row: &StoredRow) -> Result<Page, Problem> {
    serde_json::from_str(&row.doc).map_err(Problem::internal)
}
