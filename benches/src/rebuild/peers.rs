//! What a build is measured against.

use std::fs::File;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use domain::live_event;
use domain::tap::{PREVIEWED, TAPPED, Tap};
use futures::TryStreamExt;
use infra_archive::Scan;
use infra_archive::arrow_array::Array;
use infra_archive::arrow_array::cast::AsArray;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use projections::Projection;
use projections::tap_analytics::TapAnalytics;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt;

use super::prepared::{Database, Prepared};

const TAPS: [&str; 2] = [TAPPED, PREVIEWED];

/// PostgreSQL hands out the rows and nobody reads them.
pub async fn copy(database: &Database, events: u64) -> Result<f64> {
    let pool = PgPool::connect(&database.url).await?;
    let types = [live_event::SCHEDULED, live_event::DETAILS_CHANGED, TAPPED, PREVIEWED];
    let types = types.map(|t| format!("'{t}'")).join(", ");
    let text = format!("COPY (SELECT * FROM events WHERE type IN ({types}) ORDER BY position) TO STDOUT");
    let start = Instant::now();
    let mut out = pool.copy_out_raw(&text).await?;
    let mut rows = 0;
    while let Some(bytes) = out.try_next().await? {
        rows += bytes.iter().filter(|b| **b == b'\n').count() as u64;
    }
    let took = start.elapsed();
    ensure!(rows == events, "COPY gave {rows} of {events} rows");
    Ok(events as f64 / took.as_secs_f64())
}

/// One thread reads the payloads and parses them.
pub async fn parse(prepared: &Prepared) -> Result<f64> {
    let names = |s: &infra_archive::manifest::Segment| prepared.folder.join("archive").join(&s.path);
    let files: Vec<PathBuf> = prepared.manifest.of_types(&TAPS).map(names).collect();
    tokio::task::spawn_blocking(move || {
        let (start, mut taps) = (Instant::now(), 0);
        for file in files {
            let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?;
            let only = ProjectionMask::columns(builder.parquet_schema(), ["payload"]);
            for batch in builder.with_projection(only).with_batch_size(8_192).build()? {
                let batch = batch?;
                let payloads = batch.column(0).as_string_opt::<i32>().context("payloads are no texts")?;
                for row in 0..payloads.len() {
                    let tap: Tap = serde_json::from_str(payloads.value(row))?;
                    black_box(tap);
                    taps += 1;
                }
            }
        }
        Ok(f64::from(taps) / start.elapsed().as_secs_f64())
    })
    .await?
}

/// The columns that are folded, read on all cores and thrown away.
pub async fn columns(prepared: &Prepared) -> Result<f64> {
    let bulk = TapAnalytics::default().bulk(1).context("no fold from columns")?;
    let (start, mut taps) = (Instant::now(), 0);
    for wants in bulk.wants() {
        let members: Vec<String> = wants.members.iter().map(|m| format!("p_{m}")).collect();
        let mut names = vec!["occurred_at", "recorded_at", "tenant"];
        names.extend(members.iter().map(String::as_str));
        let scan = Scan::new(&[wants.event_type], &names).dictionaries();
        let mut chunks = prepared.archive.scan(&prepared.manifest, &scan);
        while let Some(chunk) = chunks.next().await? {
            taps += chunk.events();
        }
    }
    Ok(taps as f64 / start.elapsed().as_secs_f64())
}
