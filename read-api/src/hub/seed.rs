//! What the table starts from: the rows that the projection `hub` keeps.

use domain::TenantId;
use domain::live_event::LiveEvent;
use domain::ports::rows::{KeyRange, Query, RowStore, RowsError, Source, StoredRow};
use projections::Projection;
use projections::hub::{BANDS, EVENTS, HubBand, KNOWN_TENANTS, NAME, TENANTS};
use serde::de::DeserializeOwned;

use super::Seed;

const PAGE: usize = 10_000;

/// Reads the persisted rows of every tenant. They are read page by page while
/// the projector moves on; the seed's position is that of the first page, and
/// what happened since is folded in again from the log, which changes nothing
/// where it is in already. Rows of another version of the projection are left
/// alone: the table then begins empty and takes everything from the log.
pub async fn seed(rows: &dyn RowStore) -> Result<Seed, RowsError> {
    let system = TenantId::system();
    let first = rows.read(&Source::live(NAME), &system, &[]).await?;
    if first.model != projections::hub::Hub.model() {
        return Ok(Seed::default());
    }
    let mut seed = Seed { position: first.position, ..Seed::default() };
    for (known, _) in all::<serde_json::Value>(rows, &system, KNOWN_TENANTS).await? {
        let tenant = TenantId::new(&known).map_err(|e| RowsError::Invalid(e.to_string()))?;
        let bands = all::<HubBand>(rows, &tenant, BANDS).await?;
        seed.bands.extend(bands.into_iter().map(|(id, band)| (tenant.clone(), id, band)));
        let events = all::<LiveEvent>(rows, &tenant, EVENTS).await?;
        seed.events.extend(events.into_iter().map(|(id, event)| (tenant.clone(), id, event)));
        let settings = all(rows, &tenant, TENANTS).await?;
        seed.tenants.extend(settings.into_iter().map(|(_, settings)| (tenant.clone(), settings)));
    }
    Ok(seed)
}

async fn all<T: DeserializeOwned>(
    rows: &dyn RowStore,
    tenant: &TenantId,
    table: &str,
) -> Result<Vec<(String, T)>, RowsError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let range = KeyRange { after: after.take(), limit: PAGE, ..KeyRange::default() };
        let mut snapshot = rows.read(&Source::live(NAME), tenant, &[Query::range(table, range)]).await?;
        let page = snapshot.results.pop().unwrap_or_default();
        let full = page.len() == PAGE;
        after = page.last().map(|row| row.key.clone());
        for StoredRow { key, doc, .. } in page {
            let row =
                serde_json::from_str(&doc).map_err(|e| RowsError::Invalid(format!("{table}/{key}: {e}")))?;
            found.push((key, row));
        }
        if !full {
            return Ok(found);
        }
    }
}
