//! `daybook runs`: valuation runs of a server, or of the configured log. Either
//! way the same routes answer.

mod reprice;

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use clap::{Args, Subcommand};
use daybook_http::Principal;
use domain::TenantId;
use domain::api_key::Role;
use infra_runtime::Config;
use runs::Worker;
use runs::routes::Served;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::exit;
use super::output::Output;
use super::reach::{Reach, Refused, Server, ServerFlags, encoded};
use crate::valuation::Invalid;
use crate::wiring;

const MAX_ANSWER_BYTES: usize = 1 << 30;
const LOOK: Duration = Duration::from_millis(250);

#[derive(Args)]
pub struct Runs {
    #[command(subcommand)]
    what: What,
    #[arg(long, global = true, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Subcommand)]
enum What {
    /// Start a run from a request (JSON; - for standard input)
    Start {
        file: PathBuf,
        /// Another run id than the file's
        #[arg(long)]
        run_id: Option<String>,
        /// Work on it in this process, and wait until it is over
        #[arg(long)]
        work: bool,
    },
    /// Where a run stands, until it is over
    Watch { run: String },
    /// Where a run stands
    Show { run: String },
    /// What a run came to
    Summary {
        run: String,
        /// A generation that priced the run again, 1 for the run itself
        #[arg(long)]
        generation: Option<u32>,
    },
    /// Sums of measures by dimensions and scenarios
    Cube {
        run: String,
        #[arg(long)]
        measure: Option<String>,
        /// position, book, book:<level>, product, currency, instrument, tag.<name>
        #[arg(long)]
        by: Option<String>,
        #[arg(long)]
        scenario: Option<String>,
        /// dimension:value|value,…
        #[arg(long)]
        filter: Option<String>,
        /// base or trade
        #[arg(long)]
        currency: Option<String>,
        /// Books with all that is below them
        #[arg(long)]
        rollup: bool,
        #[arg(long)]
        limit: Option<String>,
        /// A generation that priced the run again, 1 for the run itself
        #[arg(long)]
        generation: Option<u32>,
    },
    /// Value at risk and expected shortfall
    Risk {
        run: String,
        #[arg(long)]
        level: Option<String>,
        #[arg(long)]
        by: Option<String>,
        #[arg(long)]
        filter: Option<String>,
        #[arg(long)]
        scenario: Option<String>,
        /// historical or parametric
        #[arg(long)]
        method: Option<String>,
        /// A generation that priced the run again, 1 for the run itself
        #[arg(long)]
        generation: Option<u32>,
    },
    /// What a position's numbers are made of
    Explain {
        run: String,
        position: String,
        /// A generation that priced the run again, 1 for the run itself
        #[arg(long)]
        generation: Option<u32>,
    },
    /// What is different in another run
    Compare { run: String, other: String },
    /// Take a run back
    Cancel {
        run: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let dead tasks be tried again
    Retry { run: String },
    /// The model that runs are priced again by next
    Model {
        #[command(subcommand)]
        what: reprice::Model,
    },
    /// Price runs again by another model, compare, promote and roll back
    Reprice {
        #[command(subcommand)]
        what: reprice::Reprice,
    },
}

impl What {
    /// Whether this process prices, too.
    fn works(&self) -> bool {
        match self {
            Self::Start { work, .. } => *work,
            Self::Reprice { what } => what.works(),
            _ => false,
        }
    }
}

impl Runs {
    pub fn remote(&self) -> bool {
        self.server.server.is_some()
    }
}

/// Who answers.
enum Answers {
    Here(Box<Router>, Principal),
    There(Server),
}

type Parameters = Vec<(&'static str, String)>;

impl Answers {
    async fn get(&self, path: &str, parameters: &Parameters) -> Result<Value> {
        match self {
            Self::Here(..) => self.here(Method::GET, &with(path, parameters), None).await,
            Self::There(server) => server.get(&with(path, parameters)).await,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        match self {
            Self::Here(..) => self.here(Method::POST, path, Some(body)).await,
            Self::There(server) => server.post(path, body).await,
        }
    }

    async fn here(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let Self::Here(router, principal) = self else { bail!("nobody answers here") };
        let request = Request::builder().method(method).uri(path).extension(principal.clone());
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        let response = router.as_ref().clone().oneshot(request?).await?;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await?;
        let answer: Value = serde_json::from_slice(&bytes).context("the answer is no JSON")?;
        if status.is_success() {
            return Ok(answer);
        }
        let detail = answer["detail"].as_str().unwrap_or("refused").to_owned();
        Err(Refused { status: status.as_u16(), detail }.into())
    }
}

fn with(path: &str, parameters: &Parameters) -> String {
    let query: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

pub async fn remote(args: Runs, out: &mut Output) -> Result<u8> {
    let Some(server) = Reach::server(&args.server)? else { bail!("no server is named") };
    if args.what.works() {
        return Err(Invalid("--work works on the configured log, not on a server's".into()).into());
    }
    answer(args.what, &Answers::There(server), out).await
}

pub async fn local(
    args: Runs,
    config: &Config,
    services: commands::Services,
    out: &mut Output,
) -> Result<u8> {
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    let desk = wiring::desk(config, &services)?;
    let router = runs::routes::router(desk.clone(), Served { commands: true, reads: true });
    let principal = Principal::new(tenant, "cli", &[Role::Admin]);
    let works = args.what.works();
    let answers = Answers::Here(Box::new(router), principal);
    let stop = CancellationToken::new();
    let working = works.then(|| tokio::spawn(Worker::new(desk, wiring::worker_name()).run(stop.clone())));
    let code = answer(args.what, &answers, out).await;
    stop.cancel();
    if let Some(working) = working {
        working.await?;
    }
    code
}

async fn answer(what: What, answers: &Answers, out: &mut Output) -> Result<u8> {
    let results = |run: &str, what: &str| format!("/v1/results/{}/{what}", encoded(run));
    let body = match what {
        What::Start { file, run_id, work } => {
            let mut request = request(&file)?;
            if let (Some(run_id), Value::Object(map)) = (run_id, &mut request) {
                map.insert("run_id".into(), run_id.into());
            }
            let started = answers.post("/v1/runs", &request).await?;
            let run = started["run_id"].as_str().unwrap_or_default().to_owned();
            print(&started, out)?;
            return if work { watch(&run, answers, out).await } else { Ok(exit::OK) };
        }
        What::Watch { run } => return watch(&run, answers, out).await,
        What::Show { run } => answers.get(&format!("/v1/runs/{}", encoded(&run)), &vec![]).await?,
        What::Summary { run, generation } => {
            let given = given([("generation", number(generation))]);
            answers.get(&results(&run, "summary"), &given).await?
        }
        What::Cube { run, measure, by, scenario, filter, currency, rollup, limit, generation } => {
            let rollup = rollup.then(|| "true".to_owned());
            let given = given([
                ("measure", measure),
                ("by", by),
                ("scenario", scenario),
                ("filter", filter),
                ("currency", currency),
                ("rollup", rollup),
                ("limit", limit),
                ("generation", number(generation)),
            ]);
            let body = answers.get(&results(&run, "cube"), &given).await?;
            return rows(&body, out);
        }
        What::Risk { run, level, by, filter, scenario, method, generation } => {
            let given = given([
                ("level", level),
                ("by", by),
                ("filter", filter),
                ("scenario", scenario),
                ("method", method),
                ("generation", number(generation)),
            ]);
            answers.get(&results(&run, "risk"), &given).await?
        }
        What::Explain { run, position, generation } => {
            let given = given([("position", Some(position)), ("generation", number(generation))]);
            answers.get(&results(&run, "explain"), &given).await?
        }
        What::Compare { run, other } => {
            answers.get(&results(&run, "compare"), &vec![("other", other)]).await?
        }
        What::Cancel { run, reason } => {
            let path = format!("/v1/runs/{}/cancel", encoded(&run));
            answers.post(&path, &serde_json::json!({ "reason": reason })).await?
        }
        What::Model { what } => return reprice::model(what, answers, out).await,
        What::Reprice { what } => return reprice::reprice(what, answers, out).await,
        What::Retry { run } => {
            answers.post(&format!("/v1/runs/{}/retry", encoded(&run)), &serde_json::json!({})).await?
        }
    };
    print(&body, out)?;
    Ok(exit::OK)
}

fn number(number: Option<u32>) -> Option<String> {
    number.map(|number| number.to_string())
}

fn given<const N: usize>(all: [(&'static str, Option<String>); N]) -> Parameters {
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn request(file: &std::path::Path) -> Result<Value> {
    let mut text = String::new();
    match file.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).context("reading standard input")?,
        _ => {
            text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            text.len()
        }
    };
    Ok(serde_json::from_str(&text).map_err(|e| Invalid(format!("{}: {e}", file.display())))?)
}

/// Until the run is over: a line for each change. Ends well if it is completed.
async fn watch(run: &str, answers: &Answers, out: &mut Output) -> Result<u8> {
    let path = format!("/v1/runs/{}", encoded(run));
    let mut last = Value::Null;
    loop {
        let mut seen = answers.get(&path, &vec![]).await?;
        if let Value::Object(map) = &mut seen {
            // It is pinned, and long.
            map.remove("plan");
        }
        let key = (seen["status"].clone(), seen["tasks"].clone());
        if last != serde_json::json!([key.0, key.1]) {
            out.line(&if out.json { seen.to_string() } else { progress(run, &seen) })?;
            out.flush()?;
            last = serde_json::json!([key.0, key.1]);
        }
        match seen["status"].as_str() {
            Some("COMPLETED") => return Ok(exit::OK),
            Some("FAILED" | "CANCELLED") => return Ok(exit::FAILED),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

fn progress(run: &str, seen: &Value) -> String {
    let percent = seen["progress"].as_f64().unwrap_or_default() * 100.0;
    let eta = seen["eta_seconds"].as_u64().map(|s| format!(", about {s} s left")).unwrap_or_default();
    let hash = seen["sha256"].as_str().map(|hash| format!(" {hash}")).unwrap_or_default();
    format!("{run} {} {percent:.0} %{eta}{hash}", seen["status"].as_str().unwrap_or_default())
}

fn print(body: &Value, out: &mut Output) -> Result<()> {
    out.line(&if out.json { body.to_string() } else { serde_json::to_string_pretty(body)? })
}

/// As JSON the answer, for people a table.
fn rows(body: &Value, out: &mut Output) -> Result<u8> {
    if out.json {
        out.line(&body.to_string())?;
        return Ok(exit::OK);
    }
    for row in body["rows"].as_array().into_iter().flatten() {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let value = row["value"].as_f64().map_or_else(|| text("flag"), |value| format!("{value:.4}"));
        out.line(&format!(
            "{:<40} {:<18} {:<20} {value:>20} {:<4} {:>6} {}",
            text("key"),
            text("measure"),
            text("scenario_id"),
            text("currency"),
            row["positions"],
            text("quality")
        ))?;
    }
    if !body["next"].is_null() {
        out.line("… and more; give a larger --limit")?;
    }
    Ok(exit::OK)
}
