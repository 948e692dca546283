//! The directory of bands: each with its event and tags, and lists by event
//! and by tag.

use std::collections::BTreeSet;

use domain::band::{self, Band};
use domain::decide::Decide;
use domain::ports::rows::{Column, ColumnKind, ModelId, TableSpec};
use domain::registry::decode;
use domain::{RecordedEvent, TenantId};
use serde::{Deserialize, Serialize};

use crate::directory::advance;
use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::{Row, Rows};

pub const NAME: &str = "bands";
/// Key: the band's id.
pub const BANDS: &str = "bands";
/// Key: `<event>/<band>`. Rows are whole [`BandRow`]s, so that a list is one
/// read.
pub const BY_EVENT: &str = "by_event";
/// Key: [`tag_key`]`/<band>`.
pub const BY_TAG: &str = "by_tag";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BandRow {
    pub id: String,
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(default)]
    pub tags: BTreeSet<String>,
    #[serde(default)]
    pub retired: bool,
}

impl Row for BandRow {}

/// A tag as a part of a key: `/` and `%` stand as `%2F` and `%25`.
pub fn tag_key(tag: &str) -> String {
    tag.replace('%', "%25").replace('/', "%2F")
}

const COLUMNS: &[Column] = &[
    Column { name: "event_id", path: "event_id", kind: ColumnKind::Text },
    Column { name: "tags", path: "tags", kind: ColumnKind::Json },
    Column { name: "retired", path: "retired", kind: ColumnKind::Boolean },
    Column { name: "version", path: "version", kind: ColumnKind::Integer },
];

const TABLES: &[TableSpec] = &[
    TableSpec { name: BANDS, sorted: false, columns: COLUMNS },
    TableSpec { name: BY_EVENT, sorted: false, columns: COLUMNS },
    TableSpec { name: BY_TAG, sorted: false, columns: COLUMNS },
];

pub struct Bands;

impl Projection for Bands {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[band::REGISTERED, band::ASSIGNED, band::UNASSIGNED, band::TAGGED, band::RETIRED, band::RESTORED]
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        want.row(BANDS, &event.stream.tenant, &event.stream.id);
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let change: band::Event = decode(event)?;
        let (tenant, id) = (&event.stream.tenant, &event.stream.id);
        let row: &mut BandRow = rows.entry_or_default(BANDS, tenant, id)?;
        let before = row.clone();
        advance(&mut row.version, event)?;
        let mut band = Band {
            registered: before.version > 0,
            event_id: row.event_id.take(),
            tags: std::mem::take(&mut row.tags),
            retired: row.retired,
        };
        band.evolve(change);
        let Band { event_id, tags, retired, .. } = band;
        *row = BandRow { id: id.to_string(), version: row.version, event_id, tags, retired };
        let after = row.clone();
        relist(rows, tenant, &before, after)
    }
}

/// Takes the band off the lists that it is on no longer and puts it, as it is
/// now, on the others.
fn relist(rows: &mut Rows, tenant: &TenantId, before: &BandRow, after: BandRow) -> Result<(), ApplyError> {
    let now = lists(&after);
    for (table, key) in lists(before).difference(&now) {
        rows.delete(table, tenant, key)?;
    }
    for (table, key) in now {
        rows.put(table, tenant, &key, after.clone())?;
    }
    Ok(())
}

fn lists(band: &BandRow) -> BTreeSet<(&'static str, String)> {
    let mut lists = BTreeSet::new();
    let id = &band.id;
    if let Some(event) = &band.event_id {
        lists.insert((BY_EVENT, format!("{event}/{id}")));
    }
    for tag in &band.tags {
        lists.insert((BY_TAG, format!("{}/{id}", tag_key(tag))));
    }
    lists
}
