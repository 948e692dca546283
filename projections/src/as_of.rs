//! The past of one key: its own stream, folded up to a position.

use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::{RecordedEvent, StreamId};
use jiff::Timestamp;

const PAGE: usize = 1_000;

/// The last position that was recorded at a time or before it; 0 if none was.
pub async fn position_at(log: &dyn EventLog, time: Timestamp) -> Result<u64, LogError> {
    // Times never decrease with positions.
    let (mut low, mut high) = (0, log.head().await?.position);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let page = log.read(middle - 1, 1, &ReadFilter::default()).await?;
        match page.events.first() {
            Some(event) if event.recorded_at <= time => low = middle,
            _ => high = middle - 1,
        }
    }
    Ok(low)
}

/// A stream's events up to a position.
pub async fn stream_until(
    log: &dyn EventLog,
    stream: &StreamId,
    position: u64,
) -> Result<Vec<RecordedEvent>, LogError> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let from = events.last().map_or(1, |e| e.version + 1);
        let page = log.read_stream(stream, from, PAGE).await?;
        let full = page.len() == PAGE;
        events.extend(page.into_iter().take_while(|e| e.position <= position));
        if !full || events.last().is_none_or(|e| e.version + 1 != from + PAGE as u64) {
            return Ok(events);
        }
    }
}
