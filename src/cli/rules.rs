//! `daybook rules`: whether rules can be saved, what they would have matched in
//! the recorded history, and how that differs from the rules in force. Writes
//! nothing.

mod compare;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use domain::anomaly_window::Change;
use domain::decide::{Context, Decide, Rejection};
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::rule::{Command, Definition, Rule, Series};
use domain::rule_match::TICKED;
use domain::target_url::UrlPolicy;
use domain::{RecordedEvent, TenantId, signal, tap};
use models_rules::watched::{LeftOut, Place, Told, Watched, body};
use models_rules::{Compiled, Invalid, RuleSet};
use serde_json::{Value, json};

use super::exit;
use super::output::Output;

const PAGE: usize = 1_000;

#[derive(Args)]
pub struct RulesArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Whether the rules of a file can be saved
    Check {
        /// JSON: one rule, or an object of rules by id
        file: PathBuf,
    },
    /// What the rules of a file would have matched in the recorded signals
    DryRun {
        /// JSON: one rule, or an object of rules by id
        file: PathBuf,
        /// First position that is looked at
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Last position that is looked at; the newest unless said
        #[arg(long)]
        to: Option<u64>,
        #[arg(long, default_value = "default")]
        tenant: String,
    },
    /// What the rules of a file would match beside those of the same ids in the
    /// log: which matches and windows appear, and which vanish
    Compare {
        /// JSON: one rule, or an object of rules by id
        file: PathBuf,
        /// First position that is looked at
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Last position that is looked at; the newest unless said
        #[arg(long)]
        to: Option<u64>,
        /// Findings listed of each rule that appear, and that vanish
        #[arg(long, default_value_t = 20)]
        show: usize,
        #[arg(long, default_value = "default")]
        tenant: String,
    },
}

/// A file of rules that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("{0}: {1}")]
    Json(String, serde_json::Error),
    #[error("rule {0}: {1}")]
    Rejected(String, Rejection),
    #[error("rule {0}: {1}")]
    Invalid(String, Invalid),
}

pub async fn run(args: RulesArgs, log: Arc<dyn EventLog>, out: &mut Output) -> Result<u8> {
    match args.what {
        What::Check { file } => {
            for id in rules(&file)?.keys() {
                let said = json!({"rule": id, "saved": true});
                out.line(&if out.json { said.to_string() } else { format!("{id} can be saved") })?;
            }
        }
        What::DryRun { file, from, to, tenant } => {
            let tenant = TenantId::new(&tenant).context("--tenant")?;
            let mut run = DryRun::new(rules(&file)?)?;
            let filter = ReadFilter { tenant: Some(tenant), ..ReadFilter::types(run.types()) };
            let until = to.unwrap_or(u64::MAX).min(log.head().await?.position);
            let mut after = begin(&*log, from, &filter).await?;
            while after < until {
                let page = log.read(after, PAGE, &filter).await?;
                for event in page.events.iter().filter(|e| e.position <= until) {
                    run.event(event, out)?;
                }
                after = page.through.max(after + 1);
            }
            run.end();
        }
        What::Compare { file, from, to, show, tenant } => {
            let tenant = TenantId::new(&tenant).context("--tenant")?;
            let span = compare::Span { tenant, from, to, show };
            compare::run(&*log, rules(&file)?, &span, out).await?;
        }
    }
    Ok(exit::OK)
}

/// The position to read after: what was trimmed is not there any more.
async fn begin(log: &dyn EventLog, from: u64, filter: &ReadFilter) -> Result<u64> {
    let after = from.saturating_sub(1);
    match log.read(after, 1, filter).await {
        Err(LogError::Trimmed { upto }) if after < upto => {
            eprintln!("taps up to position {upto} were trimmed: beginning at {}", upto.saturating_add(1));
            Ok(upto)
        }
        page => Ok(page.map(|_| after)?),
    }
}

/// Reads a file and decides about each rule as the log would.
fn rules(file: &Path) -> Result<BTreeMap<String, Definition>> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| Unusable::Json(name.clone(), e))?;
    let rules: BTreeMap<String, Definition> = if json["name"].is_string() {
        let id = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        [(id, serde_json::from_value(json).map_err(|e| Unusable::Json(name, e))?)].into()
    } else {
        serde_json::from_value(json).map_err(|e| Unusable::Json(name, e))?
    };
    let context = Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
    for (id, definition) in &rules {
        let command = Command::Define(definition.clone());
        Rule::default().decide(command, &context).map_err(|e| Unusable::Rejected(id.clone(), e))?;
        Compiled::new(definition).map_err(|e| Unusable::Invalid(id.clone(), e))?;
        if let Some(anomaly) = &definition.anomaly {
            Watched::new(anomaly).map_err(|e| Unusable::Invalid(id.clone(), e))?;
        }
    }
    Ok(rules)
}

struct DryRun {
    set: RuleSet,
    /// Those that watch taps.
    taps: RuleSet,
    watched: BTreeMap<String, Watched>,
    signals: u64,
    matches: u64,
    failures: u64,
    /// Matches that are no points of a series, by reason.
    left_out: BTreeMap<&'static str, u64>,
}

impl DryRun {
    fn new(rules: BTreeMap<String, Definition>) -> Result<Self> {
        let (mut signals, mut taps) = (RuleSet::default(), RuleSet::default());
        let mut watched = BTreeMap::new();
        for (id, definition) in rules {
            let of_taps = definition.anomaly.as_ref().is_some_and(|a| a.series == Series::Taps);
            let set = if of_taps { &mut taps } else { &mut signals };
            set.put(&id, 1, &definition).map_err(|e| Unusable::Invalid(id.clone(), e))?;
            if let Some(anomaly) = &definition.anomaly {
                let series = Watched::new(anomaly).map_err(|e| Unusable::Invalid(id.clone(), e))?;
                watched.insert(id, series);
            }
        }
        Ok(Self {
            set: signals,
            taps,
            watched,
            signals: 0,
            matches: 0,
            failures: 0,
            left_out: BTreeMap::new(),
        })
    }

    /// Taps only where they are asked for: there are many.
    fn types(&self) -> Vec<&'static str> {
        let taps = (!self.taps.is_empty()).then_some(tap::TAPPED);
        [signal::RECEIVED, TICKED].into_iter().chain(taps).collect()
    }

    fn event(&mut self, event: &RecordedEvent, out: &mut Output) -> Result<()> {
        if *event.event_type == *TICKED {
            for (rule, watched) in &mut self.watched {
                let told = watched.tick(Place::of(event));
                told.iter().try_for_each(|told| print(rule, told, out))?;
            }
            return Ok(());
        }
        let body = body(event)?;
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let set = if *event.event_type == *tap::TAPPED {
            &self.taps
        } else {
            self.signals += 1;
            &self.set
        };
        let (app, event_type) = (text("app"), text("type"));
        let asked = models_rules::Signal { app, category: text("category"), event_type, body: &body };
        for matched in set.matching(&asked) {
            if let Some(reason) = &matched.failed {
                self.failures += 1;
                eprintln!("position {}: rule {} failed: {reason}", event.position, matched.rule);
                continue;
            }
            self.matches += 1;
            if let Some(watched) = self.watched.get_mut(&*matched.rule) {
                let Some(compiled) = set.get(&matched.rule) else { continue };
                match watched.observe(compiled, &body, Place::of(event)) {
                    Ok(told) => told.iter().try_for_each(|told| print(&matched.rule, told, out))?,
                    Err(left_out) => *self.left_out.entry(LeftOut::as_str(left_out)).or_default() += 1,
                }
            } else if out.json {
                let line = json!({"rule": &*matched.rule, "position": event.position, "app": app,
                    "type": event_type, "source": text("source"), "id": text("id")});
                out.line(&line.to_string())?;
            } else {
                let (rule, id) = (&matched.rule, text("id"));
                out.line(&format!("{rule} matches {} {app} {event_type} {id}", event.position))?;
            }
        }
        Ok(())
    }

    fn end(&self) {
        eprintln!("{} signals, {} matches, {} failures", self.signals, self.matches, self.failures);
        for (reason, count) in &self.left_out {
            eprintln!("{count} matches are no points of a series: {reason}");
        }
    }
}

fn print(rule: &str, told: &Told, out: &mut Output) -> Result<()> {
    let (key, window) = (&*told.key, &told.window);
    let word = match told.change {
        Change::Opened => "opened",
        Change::Extended => "extended",
        Change::Closed => "closed",
        Change::Reopened => "reopened",
    };
    if out.json {
        return out.line(&json!({"rule": rule, "key": key, "change": word, "window": window}).to_string());
    }
    let instant = |at: i64| jiff::Timestamp::from_microsecond(at).map_or(at.to_string(), |t| t.to_string());
    let severity = json!(window.severity);
    let severity = severity.as_str().unwrap_or_default();
    let (start, end) = (instant(window.start), instant(window.end));
    out.line(&format!(
        "{rule} {word} {key} {start} to {end} peak {} score {:.3} {severity} points {}",
        window.peak.value, window.score, window.points
    ))
}
