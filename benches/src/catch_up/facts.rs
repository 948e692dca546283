//! The log: live events, bands and taps, the same for the same numbers.

use std::sync::Arc;

use anyhow::{Context, Result};
use domain::band;
use domain::envelope::{Metadata, NewEvent};
use domain::live_event;
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::tap::{self, Mode, Tap};
use domain::{StreamId, TenantId};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub const TENANT: &str = "bench";
const PER_APPEND: u64 = 5_000;
const DOORS: &str = "2026-07-01T22:00:00Z";
const EVENING: SignedDuration = SignedDuration::from_hours(5);
const AGENTS: [&str; 8] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13; SM-A536B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPad; CPU OS 18_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];
const COUNTRIES: [&str; 4] = ["US", "CA", "MX", "DE"];

pub async fn write(log: &dyn EventLog, bands: u64, events: u64, taps: u64) -> Result<()> {
    let tenant = TenantId::new(TENANT)?;
    let night: Timestamp = DOORS.parse()?;
    let details = serde_json::json!({
        "name": "Show", "time_zone": "America/New_York", "starts_at": night, "ends_at": night + EVENING,
    });
    let schedule = |n| {
        let scheduled = new_event(live_event::SCHEDULED, n, details.to_string());
        alone(StreamId::new(&tenant, live_event::KIND, &event_id(n))?, scheduled)
    };
    in_chunks(log, events, schedule).await?;
    let register = |n| {
        let payload = serde_json::json!({"event_id": event_id(n % events), "tags": []}).to_string();
        alone(StreamId::new(&tenant, band::KIND, &band_id(n))?, new_event(band::REGISTERED, n, payload))
    };
    in_chunks(log, bands, register).await?;
    let stream = StreamId::new(&tenant, tap::KIND, "journal-1")?;
    for start in (0..taps).step_by(PER_APPEND as usize) {
        let tap = |n| tap(n, night, n as f64 / taps as f64, bands, events);
        let events = (start..taps.min(start + PER_APPEND)).map(tap).collect::<Result<_>>()?;
        append(log, vec![StreamWrite { stream: stream.clone(), expected: ExpectedVersion::Any, events }])
            .await?;
    }
    Ok(())
}

/// The `n`th tap after the history, alone.
pub async fn append_tap(log: &dyn EventLog, n: u64, bands: u64, events: u64) -> Result<()> {
    let stream = StreamId::new(&TenantId::new(TENANT)?, tap::KIND, "journal-2")?;
    let events = vec![tap(mix(!n), DOORS.parse()?, 1.0, bands, events)?];
    append(log, vec![StreamWrite { stream, expected: ExpectedVersion::Any, events }]).await
}

async fn in_chunks(log: &dyn EventLog, count: u64, write: impl Fn(u64) -> Result<StreamWrite>) -> Result<()> {
    for start in (0..count).step_by(PER_APPEND as usize) {
        let writes = (start..count.min(start + PER_APPEND)).map(&write).collect::<Result<_>>()?;
        append(log, writes).await?;
    }
    Ok(())
}

/// The `n`th of the evening. One in thirty comes in up to an hour late.
fn tap(n: u64, night: Timestamp, progress: f64, bands: u64, events: u64) -> Result<NewEvent> {
    let band = mix(n) % bands;
    let draw = mix(n ^ 0x5eed);
    let late = if draw.is_multiple_of(30) { mix(draw) % 3_600 } else { 0 };
    let at = night + EVENING.mul_f64(progress) - SignedDuration::from_secs(late as i64);
    let tap = Tap {
        band_id: band_id(band),
        event_id: Some(event_id(band % events)),
        window_id: Some("main".into()),
        mode: Mode::Live,
        url: Some(format!("https://example.org/live?band={}", band_id(band))),
        user_agent: Some(AGENTS[(mix(band) % 40) as usize % AGENTS.len()].into()),
        referrer: None,
        language: Some("en-US,en;q=0.9".into()),
        country: Some(COUNTRIES[(mix(band) % 4) as usize].into()),
        visitor: Some(format!("{:032x}", mix(band ^ 0xface)).into()),
        source: "hub".into(),
    };
    let event_type = if draw % 50 == 1 { tap::PREVIEWED } else { tap::TAPPED };
    let event = new_event(event_type, n, serde_json::to_string(&tap)?);
    Ok(NewEvent { occurred_at: Some(at), ..event })
}

pub fn event_id(n: u64) -> String {
    format!("show-{n:02}")
}

fn band_id(n: u64) -> String {
    format!("b-{n:06}")
}

fn new_event(event_type: &str, n: u64, payload: String) -> NewEvent {
    let id = u128::from(mix(n)) << 64 | u128::from(mix(!n ^ event_type.len() as u64));
    NewEvent {
        event_id: Uuid::from_u128(id),
        event_type: event_type.into(),
        schema: domain::registry::schema_of(event_type),
        occurred_at: None,
        payload,
    }
}

fn alone(stream: StreamId, event: NewEvent) -> Result<StreamWrite> {
    Ok(StreamWrite { stream, expected: ExpectedVersion::NoStream, events: vec![event] })
}

async fn append(log: &dyn EventLog, writes: Vec<StreamWrite>) -> Result<()> {
    let metadata = Metadata {
        actor: Arc::from("hub"),
        command_id: Uuid::from_u128(1),
        correlation_id: Arc::from("bench"),
        causation_id: None,
    };
    log.append(vec![Append { writes, metadata, idempotency: None }]).await.pop().context("no outcome")??;
    Ok(())
}

/// Scatters numbers (the finaliser of SplitMix64).
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
