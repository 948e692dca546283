//! Events by their positions.

use daybook_http::Problem;
use domain::ports::log::{EventLog, ReadFilter};
use domain::{RecordedEvent, TenantId};
use projections::history::indexed;

/// The tenant's events at these positions, which are in order and whose types
/// are indexed. Fewer of them once they weigh `bytes`, but at least one.
pub async fn fetch(
    log: &dyn EventLog,
    tenant: &TenantId,
    positions: &[u64],
    bytes: usize,
) -> Result<Vec<RecordedEvent>, Problem> {
    // What is indexed is never trimmed, so the archive is not asked.
    let filter = ReadFilter { tenant: Some(tenant.clone()), ..ReadFilter::types(indexed().iter().copied()) };
    let (mut found, mut weight): (Vec<RecordedEvent>, usize) = (Vec::with_capacity(positions.len()), 0);
    while let Some(&next) = positions.get(found.len()) {
        // A command's events are next to each other.
        let rest = &positions[found.len()..];
        let run = rest.iter().zip(next..).take_while(|(position, expected)| **position == *expected).count();
        let page = log.read(next - 1, run, &filter).await?;
        let as_indexed = page.events.iter().zip(rest).all(|(event, position)| event.position == *position);
        if page.events.is_empty() || !as_indexed {
            return Err(Problem::internal(format!(
                "the index names position {next}, the log has another event"
            )));
        }
        weight += page.events.iter().map(|e| e.payload.len()).sum::<usize>();
        found.extend(page.events);
        if weight >= bytes {
            break;
        }
    }
    Ok(found)
}
