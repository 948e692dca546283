//! Pages of a list whose filter looks into the rows.

use daybook_http::Problem;
use domain::ports::rows::{KeyRange, Query, Snapshot, Source, StoredRow};
use serde::{Deserialize, Serialize};

use super::Reader;
use crate::cursor;
use crate::state::{ReadState, problem};

/// Rows of the second and every later read for one page.
const CHUNK: usize = 1_000;
/// A page for which so many rows were looked at ends, full or not.
const MAX_SCANNED: usize = 10_000;

/// The last row seen, in the order of the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    pub sort: Option<String>,
    pub key: String,
}

impl Place {
    fn of(row: &StoredRow) -> Self {
        Self { sort: row.sort.clone(), key: row.key.clone() }
    }
}

/// The rows whose keys begin so, in their order, behind a place.
pub fn range(table: &str, prefix: &str, after: Option<Place>, limit: usize) -> Query {
    let after = after.map(|place| place.key);
    Query::range(table, KeyRange { prefix: prefix.to_owned(), after, limit, ..KeyRange::default() })
}

/// A list of one projection's rows.
pub struct List<'a> {
    pub projection: &'a str,
    /// Names the list for its cursors: the operation, the tenant, the filters.
    pub scope: &'a [&'a str],
    pub limit: usize,
    /// Of the page before.
    pub cursor: Option<&'a str>,
}

pub struct Page<T> {
    /// The first one that was read; later rows are as new or newer.
    pub snapshot: Snapshot,
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl List<'_> {
    /// Reads on until the page is full of rows that `keep` makes something of,
    /// the list ends, or enough rows were looked at.
    pub async fn page<T>(
        &self,
        state: &ReadState,
        reader: &Reader,
        query: impl Fn(Option<Place>, usize) -> Query,
        keep: impl Fn(&StoredRow) -> Result<Option<T>, Problem>,
    ) -> Result<Page<T>, Problem> {
        let mut after = self.cursor.map(|text| cursor::decode(self.scope, text)).transpose()?;
        let mut items = Vec::new();
        // Of the last item.
        let mut place = None;
        // One more than asked for tells whether there is a next page.
        let mut count = self.limit + 1;
        let first = [query(after.clone(), count)];
        let mut snapshot = state.read(self.projection, &reader.tenant, &reader.at_least, &first).await?;
        let mut rows = std::mem::take(&mut snapshot.results).pop().unwrap_or_default();
        let source = Source::Generation(snapshot.generation.clone());
        let mut scanned = 0;
        let next = loop {
            for row in &rows {
                let Some(item) = keep(row)? else { continue };
                if items.len() == self.limit {
                    let next = self.next(place.as_ref())?;
                    return Ok(Page { snapshot, items, next });
                }
                items.push(item);
                place = Some(Place::of(row));
            }
            scanned += rows.len();
            after = rows.last().map(Place::of);
            if rows.len() < count {
                break None;
            }
            if scanned >= MAX_SCANNED {
                break self.next(after.as_ref())?;
            }
            count = CHUNK;
            let queries = [query(after, count)];
            let read = state.rows.read(&source, &reader.tenant, &queries).await.map_err(problem)?;
            rows = read.results.into_iter().next().unwrap_or_default();
        };
        Ok(Page { snapshot, items, next })
    }

    fn next(&self, place: Option<&Place>) -> Result<Option<String>, Problem> {
        place.map(|place| cursor::encode(self.scope, place)).transpose()
    }
}
