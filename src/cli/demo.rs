//! `daybook demo`: the embedded server with a generated show day in it, sent
//! and read back as a client would.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use commands::Services;
use daybook_http::auth::NewKey;
use domain::envelope::Metadata;
use domain::ports::clock::Ids;
use domain::ports::log::{Append, ExpectedVersion, StreamWrite};
use domain::{StreamId, TenantId, tap};
use infra_runtime::config::Flags;
use infra_runtime::{Config, RandomIds, telemetry};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::exit;
use super::output::Output;
use super::progress::Bar;
use crate::demo::{Plan, compare, compare_retention, plan};
use crate::wiring::{self, Running};
use infra_runtime::shutdown::Signals;

const TENANT: &str = "default";
/// Taps of one append.
const BATCH: usize = 500;

#[derive(Args)]
pub struct Demo {
    /// Stop after the summary; exit code 0 only if the served figures agree
    #[arg(long)]
    exit: bool,
    /// The same seed gives the same day
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub async fn run(args: Demo, flags: &Flags, out: &mut Output) -> Result<u8> {
    let scratch = tempfile::tempdir().context("a temporary directory")?;
    let key = NewKey::generate();
    let directory = flags.data_dir.as_deref().map_or(scratch.path(), Path::new);
    let config = config(flags, directory, key.text.reveal())?;
    telemetry::init_logs(&config.log)?;
    let running = wiring::start(&config).await?;
    let client = Client::new(&running, key.text.reveal())?;

    let yesterday = Timestamp::now().to_zoned(TimeZone::UTC).date().yesterday()?;
    let plan = plan(args.seed, yesterday)?;
    let position = send(&client, &running, &plan).await?;
    let mismatches = report(&client, &plan, position, out).await?;
    let signals = Signals::listen()?;
    if !out.json {
        try_it(&running, key.text.reveal(), out)?;
    }
    out.flush()?;
    let code = if mismatches == 0 { exit::OK } else { exit::DISAGREES };
    if args.exit {
        running.stop().await;
        return Ok(code);
    }
    super::serve::until_stopped(running, signals).await?;
    Ok(code)
}

/// Everything embedded and on a free port, unless flags say otherwise.
fn config(flags: &Flags, directory: &Path, key: &str) -> Result<Config> {
    let mut flags = flags.clone();
    flags.data_dir = Some(directory.display().to_string());
    flags.database_url.get_or_insert_with(|| format!("sqlite:{}", directory.join("daybook.db").display()));
    flags.listen.get_or_insert_with(|| "127.0.0.1:0".into());
    flags.log_level.get_or_insert_with(|| "warn".into());
    let mut config = Config::load(&flags)?;
    config.auth.api_keys = domain::Secret::new(key);
    config.hub.journal_dir = directory.join("journal");
    Ok(config)
}

/// Events, bands and windows go through the API. The taps lie in the past, so
/// they are appended as the hub would have: a tap now would be of today.
async fn send(client: &Client, running: &Running, plan: &Plan) -> Result<u64> {
    for event in &plan.events {
        client.post(&format!("/v1/events/{}/schedule", event.id), &event.schedule).await?;
        for window in &event.windows {
            client.post(&format!("/v1/events/{}/add-window", event.id), window).await?;
        }
    }
    let rows: String = plan
        .bands
        .iter()
        .map(|b| format!("{}\n", json!({"band_id": b.id, "event_id": b.event_ids.first(), "tags": b.tags})))
        .collect();
    client.bulk("/v1/bands/bulk", rows).await?;
    for band in &plan.bands {
        for event_id in band.event_ids.iter().skip(1) {
            client.post(&format!("/v1/bands/{}/assign", band.id), &json!({"event_id": event_id})).await?;
        }
    }
    append_taps(&running.services, plan).await
}

async fn append_taps(services: &Services, plan: &Plan) -> Result<u64> {
    let mut bar = Bar::events("taps");
    let stream = StreamId::new(&TenantId::new(TENANT)?, tap::KIND, "demo")?;
    let mut position = 0;
    for (i, chunk) in plan.taps.chunks(BATCH).enumerate() {
        let events = chunk.iter().map(|t| t.to_event(RandomIds.next())).collect::<Result<_, _>>()?;
        let command_id = RandomIds.next();
        let append = Append {
            writes: vec![StreamWrite { stream: stream.clone(), expected: ExpectedVersion::Any, events }],
            metadata: Metadata {
                actor: "cli:demo".into(),
                command_id,
                correlation_id: command_id.to_string().into(),
                causation_id: None,
            },
            idempotency: None,
        };
        for result in services.log.append(vec![append]).await {
            position = result?.position();
        }
        bar.set((i * BATCH + chunk.len()) as u64, plan.taps.len() as u64, "");
    }
    bar.finish();
    Ok(position)
}

/// Prints each event's figures as served and how they differ from what was
/// sent. Returns the number of differences.
async fn report(client: &Client, plan: &Plan, position: u64, out: &mut Output) -> Result<usize> {
    let mut mismatches = 0;
    for expected in &plan.expected {
        let id = &expected.event_id;
        let summary = client.get(&format!("/v1/analytics/events/{id}/summary"), position).await?;
        let series =
            client.get(&format!("/v1/analytics/events/{id}/series?granularity=hour"), position).await?;
        let wrong = compare(expected, &summary, &series);
        mismatches += wrong.len();
        if out.json {
            out.line(&json!({"event_id": id, "summary": summary, "mismatches": wrong}).to_string())?;
            continue;
        }
        print_summary(id, &summary, &series, out)?;
        for line in &wrong {
            out.line(&format!("  DIFFERS  {line}"))?;
        }
    }
    let retention = client.get("/v1/analytics/retention", position).await?;
    let wrong = compare_retention(plan, &retention);
    mismatches += wrong.len();
    if !out.json {
        out.line(&format!("\n{} bands came to both nights", plan.returning_bands))?;
        for line in &wrong {
            out.line(&format!("  DIFFERS  {line}"))?;
        }
        let verdict = if mismatches == 0 { "agree with" } else { "DIFFER from" };
        out.line(&format!("the served figures {verdict} what was sent ({} taps)", plan.taps.len()))?;
    } else {
        out.line(&json!({"retention": retention, "mismatches": mismatches}).to_string())?;
    }
    Ok(mismatches)
}

fn print_summary(id: &str, summary: &Value, series: &Value, out: &mut Output) -> Result<()> {
    out.line(&format!(
        "\n{id}: {} taps by {} bands ({} visitors); beside them {} of bots, {} previews",
        summary["taps"],
        summary["unique_bands"],
        summary["unique_visitors"],
        summary["bots"],
        summary["previews"]
    ))?;
    let modes = summary["modes"].as_array().into_iter().flatten();
    let modes: Vec<_> =
        modes.map(|m| format!("{} {}", m["name"].as_str().unwrap_or("?"), m["taps"])).collect();
    out.line(&format!("  served: {}", modes.join(", ")))?;
    let points: Vec<_> = series["points"].as_array().into_iter().flatten().collect();
    let most = points.iter().filter_map(|p| p["taps"].as_u64()).max().unwrap_or(0).max(1);
    for point in points {
        let taps = point["taps"].as_u64().unwrap_or(0);
        let bar = "█".repeat(usize::try_from(taps * 40 / most).unwrap_or(0));
        out.line(&format!("  {}  {taps:>6}  {bar}", point["local"].as_str().unwrap_or_default()))?;
    }
    Ok(())
}

fn try_it(running: &Running, key: &str, out: &mut Output) -> Result<()> {
    let url = format!("http://{}", running.address);
    out.line(&format!(
        "
API key       {key}   (admin of the tenant default)
API           {url}/docs   (document: {url}/openapi.json)
Tap a band    {url}/e?bandId=demo-0001
Summary       curl -H 'X-API-Key: {key}' {url}/v1/analytics/events/show-night/summary
Live          curl -N -H 'X-API-Key: {key}' {url}/v1/analytics/events/show-night/stream
Read models   curl -H 'X-API-Key: {key}' {url}/v1/projections"
    ))
}

/// The API as its users see it.
struct Client {
    http: reqwest_tls::Client,
    url: String,
    key: String,
}

impl Client {
    fn new(running: &Running, key: &str) -> Result<Self> {
        let http = reqwest_tls::Client::builder().timeout(Duration::from_secs(120)).build()?;
        Ok(Self { http, url: format!("http://{}", running.address), key: key.to_owned() })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(serde_json::from_str(&self.send(path, "application/json", body.to_string()).await?)?)
    }

    async fn bulk(&self, path: &str, rows: String) -> Result<()> {
        for line in self.send(path, "application/x-ndjson", rows).await?.lines() {
            let answer: Value = serde_json::from_str(line)?;
            if answer["status"] == "rejected" {
                bail!("a band was rejected: {line}");
            }
        }
        Ok(())
    }

    async fn send(&self, path: &str, content_type: &str, body: String) -> Result<String> {
        let request =
            self.http.post(format!("{}{path}", self.url)).header("Content-Type", content_type).body(body);
        self.answer(request).await.with_context(|| format!("POST {path}"))
    }

    async fn get(&self, path: &str, position: u64) -> Result<Value> {
        let request =
            self.http.get(format!("{}{path}", self.url)).header("Daybook-At-Least", position.to_string());
        let text = self.answer(request).await.with_context(|| format!("GET {path}"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits where the server says that it was too fast.
    async fn answer(&self, request: reqwest_tls::RequestBuilder) -> Result<String> {
        loop {
            let again = request.try_clone().context("a request that can be repeated")?;
            let response = again.header("X-API-Key", &self.key).send().await?;
            let status = response.status();
            if status == reqwest_tls::StatusCode::TOO_MANY_REQUESTS {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            let text = response.text().await?;
            if !status.is_success() {
                bail!("{status}: {text}");
            }
            return Ok(text);
        }
    }
}
