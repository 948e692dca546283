//! `daybook anomaly windows|ack|mute`: what a server has found, and what
//! is said about it.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use super::reach::{Reach, Server, ServerFlags, encoded};

#[derive(Args)]
pub struct List {
    #[arg(long)]
    app: Option<String>,
    #[arg(long)]
    rule: Option<String>,
    /// Which of the rule's series
    #[arg(long)]
    series: Option<String>,
    /// At least low, medium or high
    #[arg(long)]
    severity: Option<String>,
    /// open, closed, acknowledged or muted
    #[arg(long)]
    status: Option<String>,
    /// Began at or after this RFC 3339 time
    #[arg(long)]
    from: Option<String>,
    /// Began before this RFC 3339 time
    #[arg(long)]
    to: Option<String>,
    /// 1 to 1,000
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Args)]
pub struct Say {
    /// The window's id
    id: String,
    /// Kept with it
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Args)]
pub struct Mute {
    /// Set nothing off for this series before this event time, in RFC 3339
    #[arg(long)]
    until: String,
    #[command(flatten)]
    say: Say,
}

pub async fn list(args: List, out: &mut Output) -> Result<()> {
    let given = [
        ("app", args.app),
        ("rule", args.rule),
        ("key", args.series),
        ("severity", args.severity),
        ("status", args.status),
        ("from", args.from),
        ("to", args.to),
        ("limit", Some(args.limit.to_string())),
        ("format", Some("json".to_owned())),
    ];
    let query: Vec<(&str, String)> = given.into_iter().filter_map(|(name, v)| Some((name, v?))).collect();
    let text = server(&args.server)?.text("/v1/anomalies", &query).await?;
    let listed: Value = serde_json::from_str(&text)?;
    for window in listed["windows"].as_array().into_iter().flatten() {
        out.line(&if out.json { window.to_string() } else { line(window) })?;
    }
    if !listed["next"].is_null() {
        eprintln!("there are more: ask with --to, or a larger --limit");
    }
    Ok(())
}

pub async fn acknowledge(args: Say, out: &mut Output) -> Result<()> {
    let body = args.note.as_ref().map_or(json!({}), |note| json!({ "note": note }));
    say(&args, "acknowledge", &body, "acknowledged", out).await
}

pub async fn mute(args: Mute, out: &mut Output) -> Result<()> {
    let mut body = json!({ "until": args.until });
    if let Some(note) = &args.say.note {
        body["note"] = json!(note);
    }
    say(&args.say, "mute", &body, "muted", out).await
}

async fn say(args: &Say, command: &str, body: &Value, done: &str, out: &mut Output) -> Result<()> {
    let path = format!("/v1/anomalies/{}/{command}", encoded(&args.id));
    let answer = server(&args.server)?.post(&path, body).await?;
    let position = &answer["position"];
    let told = json!({"window": args.id, "position": position});
    out.line(&if out.json { told.to_string() } else { format!("{} {done} at {position}", args.id) })
}

fn server(flags: &ServerFlags) -> Result<Server> {
    match Reach::server(flags)? {
        Some(server) => Ok(server),
        None => bail!("windows are asked of a server: --server and --key, or DAYBOOK_URL and DAYBOOK_KEY"),
    }
}

fn line(window: &Value) -> String {
    let text = |name: &str| window[name].as_str().unwrap_or_default();
    let state = if window["open"] == true { "open" } else { "closed" };
    let series = if window["key"].is_null() { String::new() } else { format!(" {}", text("key")) };
    let care = window["acknowledged"]["by"].as_str().map(|by| format!(" acknowledged by {by}"));
    format!(
        "{} {state} {} {}{series} {} to {} peak {} score {:.3} points {}{}",
        text("id"),
        text("severity"),
        text("rule"),
        text("start"),
        text("end"),
        window["peak"]["value"],
        window["score"].as_f64().unwrap_or_default(),
        window["points"],
        care.unwrap_or_default()
    )
}
