//! `daybook audit history`, `diff`, `events` and `trace`: what `/v1/audit/…`
//! answers, of a server or of the database itself. Either way the same routes
//! answer.

use ::audit::{AuditState, router};
use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::Request;
use clap::Args;
use daybook_http::Principal;
use domain::TenantId;
use domain::api_key::Role;
use infra_runtime::Config;
use serde_json::Value;
use tower::ServiceExt;

use super::Filter;
use crate::cli::exit;
use crate::cli::output::{Output, paint};
use crate::cli::reach::{Reach, Refused, ServerFlags, encoded};

const MAX_ANSWER_BYTES: usize = 256 << 20;

#[derive(Args)]
pub struct Where {
    /// The key's own, or default on the database itself, unless told
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Args)]
pub struct History {
    /// Such as band/b1 or event/show-1
    #[arg(value_name = "KIND/ID")]
    stream: String,
    /// The first version told
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    from: u64,
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

#[derive(Args)]
pub struct Diff {
    /// Such as band/b1 or event/show-1
    #[arg(value_name = "KIND/ID")]
    stream: String,
    /// A version; 0 is before the first
    from: u64,
    to: u64,
    #[command(flatten)]
    at: Where,
}

#[derive(Args)]
pub struct Events {
    #[command(flatten)]
    filter: Filter,
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("of").required(true))]
pub struct Trace {
    /// Everything of a correlation id and what came of it
    #[arg(long, value_name = "ID", group = "of")]
    correlation: Option<String>,
    /// The events of a command and what came of them
    #[arg(long, value_name = "UUID", group = "of")]
    command: Option<String>,
    /// What reacted to the event with this id
    #[arg(long, value_name = "UUID", group = "of")]
    event: Option<String>,
    /// Most events told
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

pub async fn history(args: History, config: &Config, out: &mut Output) -> Result<u8> {
    let path = format!("/v1/audit/streams/{}", stream(&args.stream)?);
    let query = vec![("from", args.from.to_string()), ("limit", args.limit.to_string())];
    let told = ask(&args.at, config, &path, query).await?;
    if out.json {
        return told.whole(out);
    }
    let told = told.value;
    let (name, version) = (paint(out, &args.stream), &told["version"]);
    out.line(&format!("{name}: {version} versions"))?;
    for event in told["events"].as_array().into_iter().flatten() {
        let version = event["version"].as_u64().unwrap_or_default();
        out.line(&format!("v{version:<5} {}", of(event)))?;
        match (&event["state"], &event["state_error"]) {
            (_, Value::String(reason)) => out.line(&format!("       no state: {reason}"))?,
            (Value::Null, _) => {}
            (state, _) => out.line(&format!("       state {state}"))?,
        }
    }
    if told["next"].is_u64() {
        out.line(&format!("go on with --from {}", told["next"]))?;
    }
    Ok(exit::OK)
}

pub async fn diff(args: Diff, config: &Config, out: &mut Output) -> Result<u8> {
    let path = format!("/v1/audit/streams/{}/diff", stream(&args.stream)?);
    let query = vec![("from", args.from.to_string()), ("to", args.to.to_string())];
    let told = ask(&args.at, config, &path, query).await?;
    if out.json {
        return told.whole(out);
    }
    let told = told.value;
    for change in told["changes"].as_array().into_iter().flatten() {
        let side = |name: &str| change.get(name).map_or("nothing".to_owned(), Value::to_string);
        let pointer = change["pointer"].as_str().filter(|pointer| !pointer.is_empty());
        let pointer = paint(out, pointer.unwrap_or("everything"));
        out.line(&format!("{pointer}: {} -> {}", side("before"), side("after")))?;
    }
    Ok(exit::OK)
}

pub async fn events(args: Events, config: &Config, out: &mut Output) -> Result<u8> {
    let (types, filter) = (args.filter.types(), args.filter);
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let query = [
        ("actor", filter.actor),
        ("type", types),
        ("correlation_id", filter.correlation_id),
        ("since", filter.since),
        ("until", filter.until),
        ("after", number(filter.after)),
        ("upto", number(filter.upto)),
        ("limit", Some(args.limit.to_string())),
    ];
    let query = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let told = ask(&args.at, config, "/v1/audit/events", query).await?;
    if out.json {
        return told.whole(out);
    }
    let told = told.value;
    for event in told["events"].as_array().into_iter().flatten() {
        out.line(&of(event))?;
    }
    match told["through"] == told["upto"] {
        true => out.line(&format!("that is all up to position {}", told["upto"]))?,
        false => out.line(&format!("go on with --after {}, up to {}", told["through"], told["upto"]))?,
    }
    Ok(exit::OK)
}

pub async fn trace(args: Trace, config: &Config, out: &mut Output) -> Result<u8> {
    let ways =
        [("correlations", &args.correlation), ("commands", &args.command), ("causations", &args.event)];
    let way = ways.into_iter().find_map(|(way, id)| Some((way, id.as_ref()?)));
    let (way, id) = way.context("--correlation, --command or --event is needed")?;
    let path = format!("/v1/audit/{way}/{}", encoded(id));
    let told = ask(&args.at, config, &path, vec![("limit", args.limit.to_string())]).await?;
    if out.json {
        return told.whole(out);
    }
    let told = told.value;
    branches(&told["commands"], 0, out)?;
    if told["truncated"] == true {
        out.line("there is more")?;
    }
    Ok(exit::OK)
}

/// No deeper than the routes tell it, which is 32 levels.
fn branches(commands: &Value, depth: usize, out: &mut Output) -> Result<()> {
    let indent = "    ".repeat(depth);
    for command in commands.as_array().into_iter().flatten() {
        let text = |name: &str| command[name].as_str().unwrap_or_default();
        let id = paint(out, text("command_id"));
        out.line(&format!("{indent}command {id} by {}", text("actor")))?;
        for event in command["events"].as_array().into_iter().flatten() {
            out.line(&format!("{indent}  {}", of(event)))?;
            branches(&event["caused"], depth + 1, out)?;
        }
    }
    Ok(())
}

/// An answer. Its text has payloads as they were recorded, to the byte.
struct Told {
    text: String,
    value: Value,
}

impl Told {
    fn whole(&self, out: &mut Output) -> Result<u8> {
        out.line(&self.text)?;
        Ok(exit::OK)
    }
}

/// An event on one line.
fn of(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let stream = &event["stream"];
    let (kind, id) = (stream["kind"].as_str().unwrap_or_default(), stream["id"].as_str().unwrap_or_default());
    let (at, by, what) = (text("recorded_at"), text("actor"), text("type"));
    let position = event["position"].as_u64().unwrap_or_default();
    format!("{position:>9}  {at}  {by}  {kind}/{id}  {what}  {}", event["payload"])
}

fn stream(given: &str) -> Result<String> {
    let (kind, id) = given.split_once('/').context("write the stream as KIND/ID")?;
    Ok(format!("{}/{}", encoded(kind), encoded(id)))
}

async fn ask(at: &Where, config: &Config, path: &str, query: Vec<(&str, String)>) -> Result<Told> {
    let reach = Reach::open(&at.server, config).await?;
    let told = match &reach {
        Reach::Server(server) => {
            let tenant = at.tenant.clone().map(|tenant| ("tenant", tenant));
            let query: Vec<_> = query.into_iter().chain(tenant).collect();
            server.text(path, &query).await
        }
        Reach::Direct(direct) => {
            let tenant = TenantId::new(at.tenant.as_deref().unwrap_or("default")).context("--tenant");
            let state = AuditState::new(direct.engine.clone(), direct.recorded.clone());
            match tenant {
                Ok(tenant) => here(state, tenant, path, &query).await,
                Err(error) => Err(error),
            }
        }
    };
    reach.close().await;
    let text = told?;
    Ok(Told { value: serde_json::from_str(&text).context("the answer is no JSON")?, text })
}

async fn here(state: AuditState, tenant: TenantId, path: &str, query: &[(&str, String)]) -> Result<String> {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let request = Request::builder().uri(format!("{path}?{}", query.join("&")));
    let request = request.extension(Principal::new(tenant, "cli", &[Role::Auditor]));
    let response = router(state).oneshot(request.body(Body::empty())?).await?;
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await?;
    let text = String::from_utf8(bytes.into()).context("the answer is no text")?;
    if status.is_success() {
        return Ok(text);
    }
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("refused").to_owned();
    Err(Refused { status: status.as_u16(), detail }.into())
}
