//! `daybook webhooks`: endpoints, what was delivered to them, and whether every
//! delivery ended.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use commands::execute::{Call, Services, execute};
use daybook_http::Principal;
use domain::TenantId;
use domain::api_key::Role;
use domain::delivery::{self, Delivery, State};
use domain::ports::log::EventLog;
use domain::ports::rows::{KeyRange, Query, RowStore, Source};
use domain::target_url::UrlPolicy;
use infra_runtime::config::Interval;
use projections::webhook_deliveries::{BY_ENDPOINT, DeliveryRow, ENDPOINTS, EndpointRow, NAME, NEWEST};
use serde::de::DeserializeOwned;
use workers::dispatcher::verify::verify;

use super::exit;
use super::output::Output;

const PAGE: usize = 1_000;

#[derive(Args)]
pub struct WebhooksArgs {
    #[command(subcommand)]
    what: What,
    #[arg(long, global = true, default_value = "default")]
    tenant: String,
}

#[derive(Subcommand)]
enum What {
    /// Who is told of events
    Endpoints,
    /// What was delivered, or is to be, of the newest events first
    Deliveries {
        #[arg(long)]
        endpoint: Option<String>,
        /// due, delivered or dead
        #[arg(long, value_parser = state)]
        status: Option<State>,
        /// At most this many
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
    },
    /// Ask for deliveries again that have ended
    Redeliver {
        /// A delivery's id; may be repeated
        ids: Vec<String>,
        /// All of this endpoint that are dead
        #[arg(long, conflicts_with = "ids", required_unless_present = "ids")]
        endpoint: Option<String>,
    },
    /// Whether every delivery was delivered, was given up or is still due, over the log of all tenants
    Verify {
        /// How late an attempt may be before it counts as stuck
        #[arg(long, default_value = "10m", value_parser = wait)]
        late: Duration,
    },
}

fn state(text: &str) -> Result<State, String> {
    serde_json::from_value(text.into()).map_err(|_| "is not due, delivered or dead".into())
}

fn wait(text: &str) -> Result<Duration, String> {
    Interval::try_from(text.to_owned()).map(|wait| wait.0).map_err(str::to_owned)
}

pub async fn run(
    args: WebhooksArgs,
    services: &Services,
    rows: Arc<dyn RowStore>,
    out: &mut Output,
) -> Result<u8> {
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    match args.what {
        What::Endpoints => {
            for row in all::<EndpointRow>(&*rows, &tenant, (ENDPOINTS, ""), usize::MAX, |_| true).await? {
                let url = row.definition.as_ref().map_or("", |d| d.url.as_str());
                let status = serde_json::to_value(row.status)?;
                let line = format!("{:<24} {:<9} {url}", row.id, status.as_str().unwrap_or_default());
                out.line(&if out.json { serde_json::to_string(&row)? } else { line })?;
            }
        }
        What::Deliveries { endpoint, status, limit } => {
            let prefix = endpoint.map(|endpoint| format!("{endpoint}/"));
            let place = prefix.as_deref().map_or((NEWEST, ""), |prefix| (BY_ENDPOINT, prefix));
            let asked = |row: &DeliveryRow| status.is_none_or(|status| row.status == status);
            for row in all::<DeliveryRow>(&*rows, &tenant, place, limit, asked).await? {
                out.line(&if out.json { serde_json::to_string(&row)? } else { line(&row) })?;
            }
        }
        What::Redeliver { mut ids, endpoint } => {
            if let Some(endpoint) = endpoint {
                let dead = |row: &DeliveryRow| row.status == State::Dead;
                let place = format!("{endpoint}/");
                let rows =
                    all::<DeliveryRow>(&*rows, &tenant, (BY_ENDPOINT, &place), usize::MAX, dead).await?;
                ids.extend(rows.into_iter().rev().map(|row| row.id));
            }
            redeliver(services, &tenant, &ids, out).await?;
        }
        What::Verify { late } => return held(&*services.log, services.clock.now(), late, out).await,
    }
    Ok(exit::OK)
}

fn line(row: &DeliveryRow) -> String {
    let last = row.attempts.last();
    let said = last.map_or("-".to_owned(), |attempt| match (attempt.status, attempt.error) {
        (Some(status), _) => status.to_string(),
        (None, error) => format!("{error:?}").to_lowercase(),
    });
    let status = match row.status {
        State::Due => "due",
        State::Delivered => "delivered",
        State::Dead => "dead",
    };
    let (about, count) = (row.of.rule.as_deref().unwrap_or(&row.of.cause_type), row.count);
    let took = last.map_or(0, |attempt| attempt.latency_ms);
    format!(
        "{} {:<16} {status:<9} {count} attempts, last {said} in {took} ms  {about} {}",
        row.id, row.of.endpoint, row.of.cause
    )
}

/// Rows of a table that are asked for, at most so many.
async fn all<T: DeserializeOwned>(
    rows: &dyn RowStore,
    tenant: &TenantId,
    (table, prefix): (&'static str, &str),
    limit: usize,
    asked: impl Fn(&T) -> bool,
) -> Result<Vec<T>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let range = KeyRange { prefix: prefix.to_owned(), after, limit: PAGE, ..KeyRange::default() };
        let read = rows.read(&Source::live(NAME), tenant, &[Query::range(table, range)]).await?;
        let page = read.results.into_iter().next().unwrap_or_default();
        for row in &page {
            let row: T = serde_json::from_str(&row.doc)?;
            if found.len() < limit && asked(&row) {
                found.push(row);
            }
        }
        after = page.last().map(|row| row.key.clone());
        if page.len() < PAGE || found.len() >= limit {
            return Ok(found);
        }
    }
}

async fn redeliver(services: &Services, tenant: &TenantId, ids: &[String], out: &mut Output) -> Result<()> {
    for id in ids {
        let call = Call {
            principal: Principal::new(tenant.clone(), "cli", &[Role::Writer]),
            actor: super::actor(),
            role: Role::Writer,
            id: id.clone(),
            if_match: None,
            idempotency: None,
            correlation_id: None,
            urls: UrlPolicy::default(),
        };
        let outcome = execute::<Delivery>(services, &call, delivery::Command::RequestAgain).await?;
        let asked = !outcome.events.is_empty();
        out.line(&if out.json {
            serde_json::json!({"delivery": id, "requested": asked, "position": outcome.position}).to_string()
        } else if asked {
            format!("{id} is due again")
        } else {
            format!("{id} has not ended yet")
        })?;
    }
    Ok(())
}

async fn held(log: &dyn EventLog, now: jiff::Timestamp, late: Duration, out: &mut Output) -> Result<u8> {
    let verdict = verify(log, None, now, late).await.map_err(|e| anyhow!("reading deliveries: {e}"))?;
    if out.json {
        out.line(&serde_json::to_string(&verdict)?)?;
    } else {
        for problem in &verdict.named {
            out.line(&format!("position {}: {} {}", problem.position, problem.delivery, problem.what))?;
        }
        let word = if verdict.good() { "good" } else { "NOT GOOD" };
        out.line(&format!(
            "{word}: {} deliveries in {} attempts, {} delivered, {} dead, {} due, {} paused, {} problems, up to position {}",
            verdict.deliveries,
            verdict.attempts,
            verdict.delivered,
            verdict.dead,
            verdict.due,
            verdict.paused,
            verdict.problems,
            verdict.position
        ))?;
    }
    Ok(if verdict.good() { exit::OK } else { exit::DISAGREES })
}
