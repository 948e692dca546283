//! The process that is killed: writers that note what they were told.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, Idempotency, Receipt, StreamWrite};
use domain::{StreamId, TenantId};
use rand::RngExt;
use uuid::Uuid;

/// Appends with `writers` tasks until the process is killed. Notes, one line
/// and one write each: `+ event position` for what was acknowledged, `- event`
/// for what was refused for sure, `! text` for an answer that cannot be.
pub async fn write(target: &str, notes: &str, writers: usize) -> Result<()> {
    let log = super::open(target).await?;
    let notes = Arc::new(OpenOptions::new().create(true).append(true).open(notes)?);
    let tasks = (0..writers).map(|_| {
        let writer = Writer { log: log.clone(), notes: notes.clone(), stream: Uuid::now_v7(), version: 0 };
        tokio::spawn(writer.run())
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(())
}

const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// A server may still be committing what a killed process sent: one who appends
/// now waits for it, and nothing comes after that.
pub async fn end(log: &dyn EventLog) -> Result<()> {
    let metadata = Metadata {
        actor: "torture".into(),
        command_id: Uuid::now_v7(),
        correlation_id: "end".into(),
        causation_id: None,
    };
    let stream = StreamId::new(&TenantId::new("torture")?, "end", &Uuid::now_v7().to_string())?;
    let write = StreamWrite { stream, expected: ExpectedVersion::Any, events: vec![event()] };
    let append = Append { writes: vec![write], metadata, idempotency: None };
    for _ in 0..TRIES {
        match log.append(vec![append.clone()]).await.pop() {
            Some(Ok(_)) => return Ok(()),
            // Its connection is from before the server was restarted.
            Some(Err(AppendError::Unavailable { .. })) => tokio::time::sleep(PAUSE).await,
            other => bail!("the last append was not taken: {other:?}"),
        }
    }
    bail!("the log is away")
}

struct Writer {
    log: Arc<dyn EventLog>,
    notes: Arc<File>,
    /// A stream of one's own, in which every version is known.
    stream: Uuid,
    version: u64,
}

impl Writer {
    async fn run(mut self) -> Result<()> {
        loop {
            let append = self.command()?;
            let events: Vec<Uuid> =
                append.writes.iter().flat_map(|w| &w.events).map(|e| e.event_id).collect();
            match self.put(append).await {
                Ok(receipt) => self.acknowledged(&receipt)?,
                Err(AppendError::Unavailable { unknown: true, .. }) => self.find_version().await?,
                Err(AppendError::Unavailable { .. } | AppendError::QueueFull) => {
                    for event in events {
                        self.note(&format!("- {event}\n"))?;
                    }
                }
                Err(other) => {
                    self.note(&format!("! {other}\n"))?;
                    self.find_version().await?;
                }
            }
        }
    }

    /// One event for the own stream, sometimes more for streams of all.
    fn command(&self) -> Result<Append> {
        let mut rng = rand::rng();
        let tenant = TenantId::new("torture")?;
        let stream = |id: &str| StreamId::new(&tenant, "thing", id);
        let mut writes = vec![StreamWrite {
            stream: stream(&self.stream.to_string())?,
            expected: ExpectedVersion::Exact(self.version),
            events: vec![event()],
        }];
        if rng.random_bool(0.3) {
            writes.push(StreamWrite {
                stream: stream(&format!("shared-{}", rng.random_range(0..5)))?,
                expected: ExpectedVersion::Any,
                events: (0..rng.random_range(0..4)).map(|_| event()).collect(),
            });
        }
        let command_id = Uuid::now_v7();
        Ok(Append {
            writes,
            metadata: Metadata {
                actor: "torture".into(),
                command_id,
                correlation_id: command_id.to_string().into(),
                causation_id: None,
            },
            idempotency: rng.random_bool(0.2).then(|| Idempotency {
                tenant,
                key: command_id.to_string(),
                request_hash: [7; 32],
                reply: "{}".to_owned(),
            }),
        })
    }

    /// With a key, asks until there is an answer, as a client would.
    async fn put(&self, append: Append) -> Result<Receipt, AppendError> {
        loop {
            let outcome = self.log.append(vec![append.clone()]).await.pop();
            match outcome {
                Some(Err(AppendError::Unavailable { .. } | AppendError::QueueFull))
                    if append.idempotency.is_some() =>
                {
                    tokio::task::yield_now().await;
                }
                Some(outcome) => return outcome,
                None => return Err(AppendError::Invalid("no outcome".to_owned())),
            }
        }
    }

    fn acknowledged(&mut self, receipt: &Receipt) -> Result<()> {
        for written in &receipt.events {
            self.note(&format!("+ {} {}\n", written.event_id, written.position))?;
        }
        self.version += 1;
        if receipt.events.first().map(|e| e.version) != Some(self.version) {
            self.note("! the receipt names another version\n")?;
        }
        Ok(())
    }

    async fn find_version(&mut self) -> Result<()> {
        let stream = StreamId::new(&TenantId::new("torture")?, "thing", &self.stream.to_string())?;
        loop {
            if let Ok(last) = self.log.last(&stream).await {
                self.version = last.map_or(0, |e| e.version);
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    fn note(&self, line: &str) -> Result<()> {
        Ok((&*self.notes).write_all(line.as_bytes())?)
    }
}

fn event() -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "thing.done".into(),
        schema: 1,
        occurred_at: None,
        payload: format!(r#"{{"text":"{}"}}"#, "x".repeat(rand::rng().random_range(0..400))),
    }
}
