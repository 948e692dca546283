//! `daybook import` against counts made in another way.

mod feeds;
mod nascar;
mod real;
mod small;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use daybook::import::{Format, Importer, Options, Report};
use daybook_tests::clock::{CountingIds, FixedClock};
use domain::TenantId;
use domain::envelope::RecordedEvent;
use domain::ports::log::{EventLog, ReadFilter};
use infra_log::MemoryLog;

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at("2026-07-01T12:00:00Z"))
}

/// Shared, so that no two imports write the same event id.
static IDS: LazyLock<Arc<CountingIds>> = LazyLock::new(Arc::default);

fn memory() -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new(clock()))
}

fn importer(log: &Arc<dyn EventLog>, format: Format, event_id: Option<&str>) -> Importer {
    Importer {
        log: log.clone(),
        clock: clock(),
        ids: IDS.clone(),
        options: Options {
            tenant: tenant(),
            format,
            event_id: event_id.map(str::to_owned),
            name: None,
            time_zone: "UTC".into(),
            actor: "cli:test".into(),
        },
    }
}

async fn import(log: &Arc<dyn EventLog>, format: Format, files: &[PathBuf]) -> Report {
    importer(log, format, None).run(files, &mut |_| {}).await.unwrap()
}

async fn all_events(log: &Arc<dyn EventLog>) -> Vec<RecordedEvent> {
    let page = log.read(0, usize::MAX, &ReadFilter::default()).await.unwrap();
    assert_eq!(page.through, log.head().await.unwrap().position);
    page.events
}
