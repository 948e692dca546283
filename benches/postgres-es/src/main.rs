//! Commands a second of cqrs-es with postgres-es as its manual sets them up:
//! `append-postgres-es URL WRITERS SECONDS PAYLOAD` prints one number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::{PostgresCqrs, default_postgress_pool, postgres_cqrs};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// As in the programs that it is compared with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS_PER_STREAM: u64 = 10;
const TABLES: &str = "
    CREATE TABLE events (
        aggregate_type text NOT NULL, aggregate_id text NOT NULL,
        sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL,
        event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Band {
    taps: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tapped {
    text: String,
}

impl DomainEvent for Tapped {
    fn event_type(&self) -> String {
        "band.tapped".to_owned()
    }
    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

impl Aggregate for Band {
    const TYPE: &'static str = "band";
    type Command = String;
    type Event = Tapped;
    type Error = std::io::Error;
    type Services = ();

    async fn handle(&mut self, text: String, _: &(), sink: &EventSink<Self>) -> Result<(), Self::Error> {
        sink.write(Tapped { text }, self).await;
        Ok(())
    }

    fn apply(&mut self, _: Tapped) {
        self.taps += 1;
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, writers, seconds, payload] = &arguments[..] else {
        return Err(anyhow!("append-postgres-es URL WRITERS SECONDS PAYLOAD"));
    };
    let pool = default_postgress_pool(url).await;
    sqlx::query(TABLES).execute(&pool).await?;
    let cqrs = Arc::new(postgres_cqrs::<Band>(pool, Vec::new(), ()));
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds.parse()?);
    let writers: usize = writers.parse().context("WRITERS")?;
    let tasks: Vec<_> = (0..writers)
        .map(|number| tokio::spawn(execute_until(cqrs.clone(), number, payload.clone(), until)))
        .collect();
    let mut events = 0;
    for task in tasks {
        events += task.await??;
    }
    println!("{}", events as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

async fn execute_until(
    cqrs: Arc<PostgresCqrs<Band>>,
    number: usize,
    payload: String,
    until: Instant,
) -> Result<u64> {
    let mut count = 0;
    while Instant::now() < until {
        let id = format!("s-{number}-{}", count / EVENTS_PER_STREAM);
        let command_id = Uuid::now_v7().to_string();
        let metadata = HashMap::from([
            ("actor".to_owned(), "key:bench".to_owned()),
            ("command".to_owned(), command_id.clone()),
            ("correlation".to_owned(), command_id),
        ]);
        cqrs.execute_with_metadata(&id, payload.clone(), metadata).await?;
        count += 1;
    }
    Ok(count)
}
