//! tephra embedded, with its defaults. What the others keep as metadata stands
//! in the data. An append goes through if its stream has no event that its
//! caller does not know, unless the case is unconditional.

use std::time::Instant;

use anyhow::Result;
use tephra::{
    AppendCondition, Event, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag, Tags,
    WriteCoordinator, WriteHandle, WriterConfig,
};
use uuid::Uuid;

use super::{Case, EVENTS_PER_STREAM, PAYLOAD, measure};

const SEGMENT_BYTES: u64 = 256 << 20;

pub async fn run(case: &Case) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let set = SegmentSet::open(folder.path(), SegmentConfig::new(SEGMENT_BYTES as _))?;
    let (coordinator, handle) = WriteCoordinator::start(set, WriterConfig::default())?;
    let rate = measure(case, |number, until| append_until(handle.clone(), case.unconditional, number, until))
        .await?;
    drop(handle);
    tokio::task::spawn_blocking(move || coordinator.shutdown()).await?;
    Ok(rate)
}

async fn append_until(
    handle: WriteHandle,
    unconditional: bool,
    number: usize,
    until: Instant,
) -> Result<u64> {
    let event_type = EventType::new("band.tapped")?;
    let (mut count, mut known) = (0, Position::ZERO);
    while Instant::now() < until {
        let tags = Tags::new([Tag::new(format!("s:{number}-{}", count / EVENTS_PER_STREAM))?])?;
        let (event_id, command_id) = (Uuid::now_v7(), Uuid::now_v7());
        let data = format!(
            r#"{{"id":"{event_id}","actor":"key:bench","command":"{command_id}","correlation":"{command_id}","payload":{PAYLOAD}}}"#
        );
        let event = Event::new(&event_type, &tags, data.as_bytes())?;
        let unknown = Query::item(QueryItem::with_tags(tags));
        let condition = (!unconditional).then(|| AppendCondition::new(unknown).after(known));
        let range = handle.append_async(vec![event], condition).await?;
        count += 1;
        known = if count % EVENTS_PER_STREAM == 0 { Position::ZERO } else { range.last };
    }
    Ok(count)
}
