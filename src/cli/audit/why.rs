//! `daybook audit why`.

use ::audit::why::{Ask, MAX_LIMIT, WhyError, why};
use anyhow::{Context, Result};
use clap::Args;
use domain::TenantId;
use domain::decide::Rejection;
use domain::ports::rows::RowsError;
use infra_runtime::Config;
use replays::ReplayError;
use replays::engine::At;
use serde_json::Value;

use crate::cli::exit;
use crate::cli::output::{Output, paint};
use crate::cli::reach::{Reach, ServerFlags, encoded};

#[derive(Args)]
pub struct Why {
    projection: String,
    table: String,
    /// Key of the row as the row store has it, such as show/b1
    #[arg(value_name = "ROW")]
    row: String,
    /// What was shown then instead of now
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<String>,
    /// Most events told
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Tell events past this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
    /// The key's own, or default on the database itself, unless told
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

pub async fn run(args: Why, config: &Config, out: &mut Output) -> Result<u8> {
    let reach = Reach::open(&args.server, config).await?;
    let told = told(&reach, &args).await;
    reach.close().await;
    let Some(text) = told? else {
        eprintln!("daybook: there is no such row");
        return Ok(exit::NOT_FOUND);
    };
    let told: Value = serde_json::from_str(&text)?;
    match out.json {
        true => out.line(&text)?,
        false => print(&told, out)?,
    }
    Ok(if told["same"] == false { exit::DISAGREES } else { exit::OK })
}

/// The answer as JSON; `None` if there is no such row.
async fn told(reach: &Reach, args: &Why) -> Result<Option<String>> {
    match reach {
        Reach::Direct(direct) => {
            let tenant = TenantId::new(args.tenant.as_deref().unwrap_or("default")).context("--tenant")?;
            let at = args.at.as_deref().map(|text| text.parse::<At>()).transpose();
            let at = at.map_err(|e| ReplayError::Rejected(Rejection::field("--at", e)))?;
            let (projection, table) = (args.projection.clone(), args.table.clone());
            let (key, limit) = (args.row.clone(), args.limit.clamp(1, MAX_LIMIT));
            let ask = Ask { projection, table, key, at, after: args.after, limit };
            match why(&direct.engine, &*direct.recorded, &tenant, &ask).await {
                Ok(why) => Ok(Some(serde_json::to_string(&why)?)),
                Err(WhyError::NoRow | WhyError::NoTable(_) | WhyError::Rows(RowsError::UnknownTable(_))) => {
                    Ok(None)
                }
                Err(WhyError::Replay(error)) => Err(error.into()),
                Err(WhyError::Rows(error)) => Err(error.into()),
                Err(error) => Err(error.into()),
            }
        }
        Reach::Server(server) => {
            let at = args.at.as_deref().map(|at| ("at", at.to_owned()));
            let tenant = args.tenant.clone().map(|tenant| ("tenant", tenant));
            let (after, limit) = (("after", args.after.to_string()), ("limit", args.limit.to_string()));
            let query: Vec<_> = at.into_iter().chain(tenant).chain([after, limit]).collect();
            let [projection, table, key] = [&args.projection, &args.table, &args.row].map(|p| encoded(p));
            let path = format!("/v1/audit/why/{projection}/{table}/{key}");
            server.text(&path, &query).await.map(Some)
        }
    }
}

fn print(told: &Value, out: &mut Output) -> Result<()> {
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let name = format!("{}/{}/{}", text("projection"), text("table"), text("key"));
    let model = told["model"]["model"].as_str().unwrap_or_default();
    let (name, generation, position) = (paint(out, &name), &told["generation"], &told["position"]);
    let tenant = text("tenant");
    out.line(&format!("{name} of {tenant}: generation {generation}, {model}, as of position {position}"))?;
    if !told["model"]["parameters"].is_null() {
        out.line(&format!("parameters {}", told["model"]["parameters"]))?;
    }
    let row = told.get("row").map(serde_json::to_string_pretty).transpose()?;
    out.line(row.as_deref().unwrap_or("there was no such row"))?;
    match (&told["same"], &told["not_folded"]) {
        (_, Value::String(reason)) => out.line(&format!("its events were not folded again: {reason}"))?,
        (Value::Bool(true), _) => out.line("folding its events again gives the same row")?,
        (Value::Bool(false), _) => {
            out.line(&format!("FOLDING ITS EVENTS AGAIN GIVES ANOTHER ROW: {}", told["folded"]))?;
        }
        _ => {}
    }
    out.line(&format!("{} events behind it:", told["count"]))?;
    for event in told["events"].as_array().into_iter().flatten() {
        let of = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (position, kind) = (event["position"].as_u64().unwrap_or_default(), of("type"));
        out.line(&format!("{position:>9}  {}  {kind}  {}", of("recorded_at"), event["payload"]))?;
    }
    if let Some(next) = told.get("next") {
        out.line(&format!("go on with --after {next}"))?;
    }
    if let Some(build) = told["build"].as_str() {
        out.line(&format!("all rows as they were: {build}"))?;
    }
    out.line("the proof of one: daybook audit prove <position>")
}
