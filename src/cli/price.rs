//! `daybook price`: positions valued on a market, once. Without a log to read
//! from, files are recorded on a log in memory and folded from there.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use commands::Services;
use domain::TenantId;
use domain::valuation::instrument::{self, Instrument};
use domain::valuation::market_snapshot::{MarketSnapshot, Record};
use domain::valuation::portfolio::Portfolio;
use infra_log::MemoryLog;
use infra_runtime::{Config, RandomIds, SystemClock};
use models_pricing::date::Date;
use models_pricing::model::Model;
use models_pricing::products::Flag;
use serde_json::{Map, Value};

use super::exit;
use super::output::Output;
use super::reach::parameters;
use crate::valuation::priced::{self, Asked, Line};
use crate::valuation::{Answer, Desk, Invalid, read};
use crate::wiring;

#[derive(Args)]
pub struct Price {
    /// Market snapshot (JSON), or - for standard input
    #[arg(long, value_name = "FILE")]
    market: PathBuf,
    /// Positions as JSON, NDJSON or CSV, ours or the old service's; those of the configured log if not given
    #[arg(long, value_name = "FILE")]
    positions: Option<PathBuf>,
    /// Instruments that positions name
    #[arg(long, value_name = "FILE")]
    instruments: Option<PathBuf>,
    /// Scenario sets: files, or BASE, RATES_PARALLEL_1BP, SPREAD_25BP, FX_SPOT_1PCT
    #[arg(long, value_name = "FILE|NAME", value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Such as PV,DV01,YIELD; PV if not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    measures: Vec<String>,
    /// Currency of PV_BASE
    #[arg(long, value_name = "CCY")]
    base_currency: Option<String>,
    /// Only these books, and those below them
    #[arg(long = "book", value_name = "PATH")]
    books: Vec<String>,
    /// A run request of the old service: as-of date, scope, measures and scenarios
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,
    /// Another version of the model, such as pricing@2
    #[arg(long, value_name = "NAME@VERSION")]
    model: Option<String>,
    /// With --model: JSON file with its parameters, or - for standard input
    #[arg(long, value_name = "FILE", requires = "model")]
    params: Option<String>,
    /// CSV, one line a measure, instead of a table
    #[arg(long)]
    csv: bool,
    /// Refuse the whole run if a position cannot be priced
    #[arg(long)]
    strict: bool,
    #[arg(long, default_value = "default")]
    tenant: String,
}

pub async fn run(args: Price, config: impl FnOnce() -> Result<Config>, out: &mut Output) -> Result<u8> {
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    let request = match &args.run {
        Some(path) => read::run_request(path)?,
        None => read::RunRequest::default(),
    };
    let content = read::json(&args.market)?;
    let model = match &args.model {
        Some(name) => Model::read(name, &parameters(args.params.as_deref())?),
        None => Ok(Model::default()),
    };
    let model = model.map_err(|e| Invalid(format!("the model: {e}")))?;
    // Before anything is recorded: everything that is wrong with it.
    priced::market_by(&content, &model)?;
    let names = if args.measures.is_empty() { &request.measures } else { &args.measures };
    let mut measures = read::measures(names.iter().map(String::as_str))?;
    if measures.is_empty() {
        measures = read::measures(["PV"])?;
    }
    let mut sets = read::scenarios(&args.scenarios)?;
    if sets.is_empty() {
        sets = request.sets;
    }
    let books: Vec<String> = args.books.iter().chain(&request.books).cloned().collect();
    let (portfolio, mut refused) = match &args.positions {
        Some(_) => in_memory(&args, tenant, &content).await?,
        None => (recorded(tenant, config()?).await?, Vec::new()),
    };
    let market = match portfolio.snapshots.values().next().and_then(|s| s.content.as_ref()) {
        Some(content) if args.positions.is_some() => priced::market_by(content, &model)?,
        _ => priced::market_by(&content, &model)?,
    };
    if let Some(as_of) = &request.as_of {
        let asked: Date = as_of.parse().map_err(|e| Invalid(format!("as_of_time: {e}")))?;
        if asked != market.as_of {
            return Err(Invalid(format!("the run is as of {asked}, the market of {}", market.as_of)).into());
        }
    }
    let positions = priced::positions(&portfolio, &books);
    if positions.is_empty() && refused.is_empty() {
        return Err(Invalid("there are no positions to price".into()).into());
    }
    refused.retain(|_| books.is_empty());
    let base_currency = args.base_currency.or(request.base_currency);
    let asked = Asked { positions, refused, market, sets, measures, base_currency };
    let problems = priced::problems(&asked);
    say(&problems);
    if args.strict && !problems.is_empty() {
        return Err(Invalid(format!("{} positions cannot be priced", problems.len())).into());
    }
    print(&asked, args.csv, out)?;
    Ok(exit::OK)
}

/// What will be flagged, up front; the first of many.
fn say(problems: &[(String, Flag)]) {
    const MOST: usize = 20;
    for (position, flag) in problems.iter().take(MOST) {
        eprintln!("daybook: {position}: {} ({})", flag.reason, flag.code);
    }
    if problems.len() > MOST {
        eprintln!("daybook: and {} more positions that cannot be priced", problems.len() - MOST);
    }
}

/// Records the files on a log in memory, as a server would, and folds it.
async fn in_memory(
    args: &Price,
    tenant: TenantId,
    content: &Value,
) -> Result<(Portfolio, Vec<(String, Flag)>)> {
    let clock = Arc::new(SystemClock);
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let services = Services { log, clock, ids: Arc::new(RandomIds), bulk: Default::default() };
    let desk = Desk { services, tenant, actor: super::actor() };
    let record = Record::new(content.clone()).map_err(|e| Invalid(e.to_string()))?;
    if let Answer::Rejected(reason) = desk.one::<MarketSnapshot>(&record.id(), record.clone()).await? {
        return Err(Invalid(format!("the market snapshot: {reason}")).into());
    }
    let instruments = match &args.instruments {
        Some(path) => read::instruments(path)?,
        None => Map::new(),
    };
    define(&desk, &instruments).await?;
    let path = args.positions.as_deref().unwrap_or("-".as_ref());
    let mut refused = Vec::new();
    let mut rows = Vec::new();
    for row in read::positions(path, &instruments)? {
        match row {
            Ok(row) => rows.push(row),
            Err((line, reason)) => refused.push((format!("line:{line}"), Flag::new("bad_row", reason))),
        }
    }
    let ids: Vec<String> = rows.iter().map(|row| row.position_id.clone()).collect();
    let opened = desk.open(rows).await?;
    for (at, reason) in opened.rejected() {
        refused.push((ids[at].clone(), Flag::new("refused", reason)));
    }
    Ok((desk.portfolio().await?, refused))
}

/// Instruments of ours: product type and terms, each its next version.
async fn define(desk: &Desk, instruments: &Map<String, Value>) -> Result<()> {
    for (id, row) in instruments {
        let product = row.get("product_type").or_else(|| row.get("instrument_type")).and_then(Value::as_str);
        let (Some(product), Some(terms)) = (product, row.get("terms")) else {
            return Err(Invalid(format!("instrument {id}: product_type and terms must be given")).into());
        };
        let command = instrument::Command::Define { product_type: product.to_owned(), terms: terms.clone() };
        if let Answer::Rejected(reason) = desk.one::<Instrument>(id, command).await? {
            return Err(Invalid(format!("instrument {id}: {reason}")).into());
        }
    }
    Ok(())
}

/// What the configured log has.
async fn recorded(tenant: TenantId, config: Config) -> Result<Portfolio> {
    infra_runtime::telemetry::init_logs(&config.log)?;
    let clock = Arc::new(SystemClock);
    let opened = wiring::open_log(&config, clock.clone()).await?;
    let services =
        Services { log: opened.log.clone(), clock, ids: Arc::new(RandomIds), bulk: Default::default() };
    let portfolio = Desk { services, tenant, actor: super::actor() }.portfolio().await;
    opened.close().await;
    portfolio
}

fn print(asked: &Asked, csv: bool, out: &mut Output) -> Result<()> {
    if csv && !out.json {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(priced::CSV_HEADER)?;
        let mut flush = |writer: &mut csv::Writer<Vec<u8>>| -> Result<()> {
            let bytes = std::mem::replace(writer, csv::Writer::from_writer(Vec::new())).into_inner();
            let text = String::from_utf8(bytes.map_err(|e| anyhow::anyhow!("{e}"))?)?;
            out.line(text.trim_end_matches('\n'))
        };
        flush(&mut writer)?;
        return priced::price(asked, |line| {
            for record in priced::to_records(&line, &asked.measures) {
                writer.write_record(&record)?;
            }
            flush(&mut writer)
        });
    }
    if out.json {
        return priced::price(asked, |line| out.line(&priced::to_json(&line, &asked.measures).to_string()));
    }
    let names = asked.measures.iter().map(|m| format!("{:>20}", m.name())).collect::<String>();
    out.line(&format!("{:<28} {:<18} {:<26} {:<4}{names}", "position", "product", "scenario", "ccy"))?;
    priced::price(asked, |line| out.line(&row(&line, asked)))
}

/// For people: money in its smallest unit, other numbers with ten places.
fn row(line: &Line<'_>, asked: &Asked) -> String {
    let mut text = String::new();
    let mut said = Vec::new();
    let mut currency = "";
    for (measure, cell) in asked.measures.iter().zip(&line.cells) {
        let shown = match cell {
            Ok(cell) => {
                if currency.is_empty() {
                    currency = cell.currency.as_deref().unwrap_or_default();
                }
                let mark = if cell.quality == Default::default() { "" } else { "*" };
                if mark == "*" && !said.contains(&cell.quality.name().to_owned()) {
                    said.push(cell.quality.name().to_owned());
                }
                match &cell.currency {
                    Some(of) if measure.is_money() => {
                        format!("{}{mark}", models_pricing::money::rounded(cell.value, of))
                    }
                    _ => format!("{:.10}{mark}", cell.value),
                }
            }
            Err(flag) => {
                let reason = format!("{}: {}", flag.code, flag.reason);
                if !said.contains(&reason) {
                    said.push(reason);
                }
                "-".into()
            }
        };
        text.push_str(&format!("{shown:>20}"));
    }
    said.extend(line.notes.iter().cloned());
    let said = if said.is_empty() { String::new() } else { format!("  ({})", said.join("; ")) };
    format!(
        "{:<28} {:<18} {:<26} {currency:<4}{text}{said}",
        line.position_id, line.product_type, line.scenario_id
    )
}
