//! Writes what the lines say into the log: bands before their taps, several
//! batches of taps on their way at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, StreamWrite};
use domain::tap::{self, Tap};
use domain::{StreamId, TenantId, band, live_event, registry};
use tokio::task::JoinSet;

use super::click::{Click, Line};
use super::lines::Batch;
use super::report::FileReport;
use super::show::Show;
use super::{Importer, id_of};

/// Batches of taps that may be on their way to the log.
const IN_FLIGHT: usize = 4;
/// Tries of an append that finds the log full or away, and the first pause.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);

/// What became of one batch.
#[derive(Default)]
struct Written {
    taps: u64,
    previews: u64,
    bands: u64,
    known: u64,
    position: u64,
}

impl Importer {
    pub(super) fn metadata(&self) -> Metadata {
        let command_id = self.ids.next();
        Metadata {
            actor: self.options.actor.clone(),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        }
    }
}

pub struct Writer<'a> {
    importer: &'a Importer,
    show: &'a Show,
    /// Bands that this run has registered or found.
    seen_bands: &'a mut HashSet<String>,
    in_flight: JoinSet<Result<Written>>,
}

impl<'a> Writer<'a> {
    pub fn new(importer: &'a Importer, show: &'a Show, seen_bands: &'a mut HashSet<String>) -> Self {
        Self { importer, show, seen_bands, in_flight: JoinSet::new() }
    }

    /// Registers the batch's new bands and waits for it, so that no tap stands
    /// before its band; then sends the taps on their way.
    pub async fn write(&mut self, batch: Batch, report: &mut FileReport) -> Result<()> {
        let mut bands = Vec::new();
        let mut taps = Vec::new();
        let metadata = self.importer.metadata();
        for line in batch.lines {
            let Line::Click(click) = line.line else { continue };
            let band_id = id_of(&click.link);
            if !self.seen_bands.contains(&band_id) {
                bands.push(self.register(&band_id, &metadata)?);
                self.seen_bands.insert(band_id.clone());
            }
            taps.push(self.tap(click, band_id, &line.hash, &metadata)?);
        }
        if !bands.is_empty() {
            let registered = append_all(&*self.importer.log, bands).await?;
            report.counts.bands_new += registered.bands;
            report.position = report.position.max(registered.position);
        }
        if !taps.is_empty() {
            let log = self.importer.log.clone();
            self.in_flight.spawn(async move { append_all(&*log, taps).await });
        }
        while self.in_flight.len() >= IN_FLIGHT {
            self.settle(report).await?;
        }
        Ok(())
    }

    /// Waits for everything that is on its way.
    pub async fn finish(&mut self, report: &mut FileReport) -> Result<()> {
        while !self.in_flight.is_empty() {
            self.settle(report).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, report: &mut FileReport) -> Result<()> {
        let Some(done) = self.in_flight.join_next().await else { return Ok(()) };
        let written = done??;
        report.counts.taps += written.taps;
        report.counts.previews += written.previews;
        report.counts.duplicates += written.known;
        report.position = report.position.max(written.position);
        Ok(())
    }

    /// A band that is registered already keeps its event; its taps say which
    /// show they belong to.
    fn register(&self, band_id: &str, metadata: &Metadata) -> Result<Append> {
        let event =
            band::Event::Registered { event_id: Some(self.show.id.clone()), tags: Default::default() };
        let event = registry::new_event(&event, self.importer.ids.next())?;
        self.first_of_stream(band::KIND, band_id, event, metadata)
    }

    fn tap(&self, click: Click, band_id: String, hash: &[u8; 32], metadata: &Metadata) -> Result<Append> {
        let served = live_event::resolve(&self.show.state, click.at);
        let payload = Tap {
            band_id,
            event_id: Some(self.show.id.clone()),
            window_id: served.window_id.map(str::to_owned),
            mode: served.mode,
            url: click.url,
            user_agent: click.user_agent.map(Into::into),
            referrer: click.referrer,
            language: click.language,
            country: click.country,
            visitor: None,
            source: self.importer.options.format.source().into(),
        };
        let event_type = if click.preview { tap::PREVIEWED } else { tap::TAPPED };
        let event = NewEvent {
            event_id: self.importer.ids.next(),
            event_type: Arc::from(event_type),
            schema: registry::find(event_type).map_or(1, |known| known.schema),
            occurred_at: Some(click.at),
            payload: serde_json::to_string(&payload)?,
        };
        self.first_of_stream(tap::KIND, &hex::encode(&hash[..16]), event, metadata)
    }

    fn first_of_stream(&self, kind: &str, id: &str, event: NewEvent, metadata: &Metadata) -> Result<Append> {
        let tenant: &TenantId = &self.importer.options.tenant;
        let stream = StreamId::new(tenant, kind, id)?;
        let write = StreamWrite { stream, expected: ExpectedVersion::NoStream, events: vec![event] };
        Ok(Append { writes: vec![write], metadata: metadata.clone(), idempotency: None })
    }
}

/// Appends until each has an outcome: recorded, or there already.
async fn append_all(log: &dyn EventLog, mut waiting: Vec<Append>) -> Result<Written> {
    let mut written = Written::default();
    let mut pause = PAUSE;
    for tries in 1.. {
        let outcomes = log.append(waiting.clone()).await;
        if outcomes.len() != waiting.len() {
            bail!("the log gave {} answers to {} appends", outcomes.len(), waiting.len());
        }
        let mut again = Vec::new();
        let mut last = None;
        for (append, outcome) in waiting.into_iter().zip(outcomes) {
            match outcome {
                Ok(receipt) => written.count(&append, receipt.position()),
                Err(AppendError::Conflict { newer, .. }) => match is_ours(&append, &newer) {
                    Some(position) => written.count(&append, position),
                    None => written.known += 1,
                },
                Err(error @ (AppendError::QueueFull | AppendError::Unavailable { .. })) => {
                    last = Some(error);
                    again.push(append);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match last {
            None => break,
            Some(error) if tries >= TRIES => return Err(error.into()),
            Some(_) => tokio::time::sleep(pause).await,
        }
        pause *= 2;
        waiting = again;
    }
    Ok(written)
}

/// After an outcome that was lost, the conflict is with this very event.
fn is_ours(append: &Append, newer: &[domain::ports::log::Written]) -> Option<u64> {
    let ours = append.writes.first()?.events.first()?.event_id;
    newer.first().filter(|event| event.event_id == ours).map(|event| event.position)
}

impl Written {
    fn count(&mut self, append: &Append, position: u64) {
        let event = append.writes.first().and_then(|w| w.events.first());
        match event.map(|e| &*e.event_type) {
            Some(tap::TAPPED) => self.taps += 1,
            Some(tap::PREVIEWED) => self.previews += 1,
            _ => self.bands += 1,
        }
        self.position = self.position.max(position);
    }
}
