//! `daybook market`: what the log has of markets, and markets composed of it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::TenantId;
use domain::valuation::market_name::{Give, MarketName};
use domain::valuation::market_snapshot::{MarketSnapshot, Record};
use models_pricing::date::Date;
use serde_json::{Value, json};

use super::exit;
use super::output::Output;
use crate::valuation::compose::Vendors;
use crate::valuation::{Answer, Desk, Invalid, priced, read, sample};

#[derive(Args)]
pub struct MarketArgs {
    #[command(subcommand)]
    what: What,
    #[arg(long, global = true, default_value = "default")]
    tenant: String,
}

#[derive(Subcommand)]
enum What {
    /// Record a snapshot; the same content twice is one
    Record {
        /// JSON
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Snapshots by vendor, and fixings by index
    List,
    /// The market of a day, as a snapshot file: the newest of each vendor, and fixings
    Compose {
        #[arg(long)]
        as_of: Date,
        /// Only these vendors
        #[arg(long = "vendor", value_name = "NAME")]
        vendors: Vec<String>,
        /// A snapshot's name
        #[arg(long)]
        name: Option<String>,
        /// What nobody publishes: a file with more curves, volatilities, equities, discount_curves …
        #[arg(long, value_name = "FILE")]
        with: Option<PathBuf>,
    },
    /// A market that has all that `daybook positions sample` needs
    Sample,
    /// What changed from day to day, as a scenario set
    History {
        /// The last day
        #[arg(long)]
        as_of: Date,
        /// How many days
        #[arg(long, default_value_t = 500)]
        days: usize,
        /// Only these vendors
        #[arg(long = "vendor", value_name = "NAME")]
        vendors: Vec<String>,
    },
}

pub async fn run(args: MarketArgs, services: commands::Services, out: &mut Output) -> Result<u8> {
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    let desk = Desk { services, tenant, actor: super::actor() };
    match args.what {
        What::Record { files } => record(&desk, &files, out).await,
        What::List => list(&desk, out).await,
        What::Sample => {
            out.line(&sample::market("SAMPLE").to_string())?;
            Ok(exit::OK)
        }
        What::Compose { as_of, vendors, name, with } => {
            let portfolio = desk.portfolio().await?;
            let market = Vendors::new(&portfolio, &vendors).compose(as_of);
            let Some(mut market) = market else {
                eprintln!("daybook: no snapshot is as old as {as_of}");
                return Ok(exit::NOT_FOUND);
            };
            if let Some(file) = with {
                let more: Value = read::json(&file)?;
                if !more.is_object() {
                    return Err(Invalid(format!("{}: must be an object", file.display())).into());
                }
                join(&mut market, more);
            }
            if let Some(name) = name {
                market["snapshot_id"] = name.into();
            }
            priced::market(&market)?;
            out.line(&market.to_string())?;
            Ok(exit::OK)
        }
        What::History { as_of, days, vendors } => {
            let portfolio = desk.portfolio().await?;
            let history = Vendors::new(&portfolio, &vendors).history(as_of, days).map_err(Invalid)?;
            let set = json!({"scenario_set_id": "HIST", "kind": "historical", "scenarios": history});
            out.line(&set.to_string())?;
            Ok(exit::OK)
        }
    }
}

/// Lists grow, maps are filled, all else is replaced.
fn join(market: &mut Value, more: Value) {
    match (market, more) {
        (Value::Object(market), Value::Object(more)) => {
            for (name, value) in more {
                join(market.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(market), Value::Array(more)) => market.extend(more),
        (market, more) => *market = more,
    }
}

async fn record(desk: &Desk, files: &[PathBuf], out: &mut Output) -> Result<u8> {
    let mut code = exit::OK;
    for file in files {
        let content = read::json(file)?;
        priced::market(&content)?;
        let record = Record::new(content).map_err(|e| Invalid(e.to_string()))?;
        let (id, name) = (record.id(), record.name.clone());
        if let Some(name) = &name
            && let Some(other) = desk.market_named(name).await?.filter(|other| *other != id)
        {
            let reason = format!("{name} is the name of another snapshot, {other}; snapshots don't change");
            return Err(Invalid(format!("{}: {reason}", file.display())).into());
        }
        let answer = desk.one::<MarketSnapshot>(&id, record).await?;
        if let Some(name) = name.as_ref().filter(|_| !matches!(answer, Answer::Rejected(_))) {
            desk.one::<MarketName>(name, Give { sha256: id.clone() }).await?;
        }
        let (status, position) = match &answer {
            Answer::Recorded(position) => ("recorded", Some(*position)),
            Answer::Unchanged => ("unchanged", None),
            Answer::Rejected(reason) => {
                eprintln!("daybook: {}: {reason}", file.display());
                code = exit::USAGE;
                ("rejected", None)
            }
        };
        out.line(&if out.json {
            json!({"file": file, "id": id, "snapshot_id": name, "status": status, "position": position})
                .to_string()
        } else {
            format!("{} {id} {status}", file.display())
        })?;
    }
    Ok(code)
}

async fn list(desk: &Desk, out: &mut Output) -> Result<u8> {
    let portfolio = desk.portfolio().await?;
    let mut vendors: std::collections::BTreeMap<&str, (usize, &str, &str)> = Default::default();
    for snapshot in portfolio.snapshots.values() {
        let (count, first, last) = vendors.entry(snapshot.vendor.as_deref().unwrap_or_default()).or_insert((
            0,
            &snapshot.as_of,
            &snapshot.as_of,
        ));
        *count += 1;
        *first = (*first).min(&snapshot.as_of);
        *last = (*last).max(&snapshot.as_of);
    }
    let of = |kind: &str, name: &str, count: usize, first: &str, last: &str| -> (Value, String) {
        let row = json!({"kind": kind, "name": name, "count": count, "first": first, "last": last});
        (row, format!("{kind:<10} {name:<28} {count:>7} {first} to {last}"))
    };
    let mut rows: Vec<(Value, String)> = vendors
        .into_iter()
        .map(|(name, (count, first, last))| of("snapshots", name, count, first, last))
        .collect();
    for (index, fixings) in &portfolio.fixings {
        let first = fixings.rates.keys().next().map_or("", String::as_str);
        let last = fixings.rates.keys().next_back().map_or("", String::as_str);
        rows.push(of("fixings", index, fixings.rates.len(), first, last));
    }
    for (row, text) in rows {
        out.line(&if out.json { row.to_string() } else { text })?;
    }
    Ok(exit::OK)
}

/// Where commands on the configured log come from.
pub fn services(
    log: Arc<dyn domain::ports::log::EventLog>,
    clock: Arc<infra_runtime::SystemClock>,
) -> commands::Services {
    commands::Services { log, clock, ids: Arc::new(infra_runtime::RandomIds), bulk: Default::default() }
}
