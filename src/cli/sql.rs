//! `daybook sql`: a query over archive and log, for people at the machine.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use domain::TenantId;
use domain::ports::sql::{SqlFormat, SqlQuery};
use infra_runtime::{Config, SystemClock};
use infra_sql::Sources;
use std::sync::Arc;

use super::exit;
use super::output::Output;
use crate::wiring;

#[derive(Args)]
pub struct SqlArgs {
    /// One SELECT, EXPLAIN of one, DESCRIBE <table> or SHOW TABLES
    query: String,
    /// As of this position; the newest unless told
    #[arg(long, value_name = "POSITION")]
    at: Option<u64>,
    /// Only this tenant's events; everybody's unless told
    #[arg(long)]
    tenant: Option<String>,
    /// table unless --json is given
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Rows of the answer
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// Read this archive alone, without the log: a folder, s3://…, gs://… or az://…
    #[arg(long, value_name = "URL")]
    archive: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Arrow,
}

pub async fn run(args: SqlArgs, config: Config, out: &mut Output) -> Result<u8> {
    infra_runtime::telemetry::init_logs(&config.log)?;
    match &args.archive {
        Some(url) => {
            let archive = wiring::open_archive_at(&config, url)?;
            answer(&args, &config, Sources { archive: Some(archive), log: None }, out).await
        }
        None => {
            let opened = wiring::open_log(&config, Arc::new(SystemClock)).await?;
            let code = answer(&args, &config, wiring::sql::sources(&config, &opened)?, out).await;
            opened.close().await;
            code
        }
    }
}

async fn answer(args: &SqlArgs, config: &Config, sources: Sources, out: &mut Output) -> Result<u8> {
    let format = args.format.unwrap_or(if out.json { Format::Json } else { Format::Table });
    let tenant = args.tenant.as_deref().map(TenantId::new).transpose().context("--tenant")?;
    let sql = wiring::sql::engine(sources, wiring::sql::limits(config))?;
    let query = SqlQuery {
        text: args.query.clone(),
        tenant,
        at: args.at,
        limit: args.limit,
        format: match format {
            Format::Table => SqlFormat::Text,
            Format::Json => SqlFormat::Json,
            Format::Csv => SqlFormat::Csv,
            Format::Arrow => SqlFormat::Arrow,
        },
    };
    let answer = sql.run(query).await?;
    out.bytes(&answer.body)?;
    if matches!(format, Format::Table | Format::Json) {
        out.line("")?;
    }
    out.flush()?;
    if format == Format::Table {
        eprintln!("{} rows at position {}", answer.rows, answer.at);
    }
    if answer.truncated {
        eprintln!("there are more; see --limit and [sql] in the configuration");
    }
    Ok(exit::OK)
}
