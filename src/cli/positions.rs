//! `daybook positions`: what is held, as facts of the configured log.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use domain::TenantId;
use domain::valuation::position::{Command, Position};
use serde_json::{Map, json};

use super::exit;
use super::output::Output;
use crate::valuation::{Answer, Desk, Recorded, read, sample};

const MOST_SAMPLES: usize = 1_000_000;

#[derive(Args)]
pub struct Positions {
    #[command(subcommand)]
    what: What,
    #[arg(long, global = true, default_value = "default")]
    tenant: String,
}

#[derive(Subcommand)]
enum What {
    /// Positions of every product, drawn from a seed, as NDJSON: to try things with, on the
    /// market of `daybook market sample`
    Sample {
        #[arg(long, default_value_t = 2_000)]
        count: usize,
        /// The same seed makes the same positions
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Open positions from JSON, NDJSON or CSV; each row is answered, and a file may be sent twice
    Open { file: PathBuf },
    /// Replace what positions hold: product, quantity and terms
    Amend { file: PathBuf },
    /// Close positions
    Close {
        #[arg(required = true)]
        ids: Vec<String>,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Move positions to another book
    Transfer {
        #[arg(required = true)]
        ids: Vec<String>,
        #[arg(long, value_name = "PATH")]
        to: String,
    },
    /// Replace a position's tags
    Tag {
        id: String,
        /// name=value
        #[arg(value_parser = tag)]
        tags: Vec<(String, String)>,
    },
    /// Open positions
    List {
        /// Only these books, and those below them
        #[arg(long = "book", value_name = "PATH")]
        books: Vec<String>,
    },
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write tags as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub async fn run(args: Positions, services: commands::Services, out: &mut Output) -> Result<u8> {
    if let What::Sample { count, seed } = args.what {
        for position in sample::positions(seed, count.min(MOST_SAMPLES)) {
            out.line(&position.to_string())?;
        }
        return Ok(exit::OK);
    }
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    let desk = Desk { services, tenant, actor: super::actor() };
    match args.what {
        What::Open { file } => from_file(&desk, &file, false, out).await,
        What::Amend { file } => from_file(&desk, &file, true, out).await,
        What::Close { ids, reason } => {
            let of = |id: &String| (id.clone(), Command::Close { reason: reason.clone() });
            each(&desk, ids.iter().map(of).collect(), out).await
        }
        What::Transfer { ids, to } => {
            let of = |id: &String| (id.clone(), Command::Transfer { to: to.clone() });
            each(&desk, ids.iter().map(of).collect(), out).await
        }
        What::Tag { id, tags } => {
            let tags: BTreeMap<String, String> = tags.into_iter().collect();
            each(&desk, vec![(id, Command::Tag { tags })], out).await
        }
        What::List { books } => list(&desk, &books, out).await,
        What::Sample { .. } => Ok(exit::OK),
    }
}

async fn from_file(desk: &Desk, file: &std::path::Path, amend: bool, out: &mut Output) -> Result<u8> {
    let mut commands = Vec::new();
    let mut unread = Vec::new();
    for row in read::positions(file, &Map::new())? {
        match row {
            Ok(row) if amend => {
                commands.push((row.position_id.clone(), Command::Amend(crate::valuation::holding(row))));
            }
            Ok(row) => commands.push((row.position_id.clone(), crate::valuation::open(row))),
            Err((line, reason)) => unread.push((line, reason)),
        }
    }
    let code = each(desk, commands, out).await?;
    for (line, reason) in &unread {
        let answer = json!({"line": line, "status": "rejected", "reason": reason});
        out.line(&if out.json { answer.to_string() } else { format!("line {line}: rejected: {reason}") })?;
    }
    Ok(if unread.is_empty() { code } else { exit::USAGE })
}

async fn each(desk: &Desk, commands: Vec<(String, Command)>, out: &mut Output) -> Result<u8> {
    let ids: Vec<String> = commands.iter().map(|(id, _)| id.clone()).collect();
    let recorded = desk.record::<Position>(commands).await?;
    print(&ids, &recorded, out)
}

/// As JSON each row; for people the refused ones and the sums.
fn print(ids: &[String], recorded: &Recorded, out: &mut Output) -> Result<u8> {
    for (id, answer) in ids.iter().zip(&recorded.answers) {
        let (status, position, reason) = match answer {
            Answer::Recorded(position) => ("recorded", Some(position), None),
            Answer::Unchanged => ("unchanged", None, None),
            Answer::Rejected(reason) => ("rejected", None, Some(reason)),
        };
        if out.json {
            let row = json!({"position_id": id, "status": status, "position": position, "reason": reason});
            out.line(&row.to_string())?;
        } else if let Some(reason) = reason {
            out.line(&format!("{id}: rejected: {reason}"))?;
        }
    }
    let rejected = recorded.rejected().count();
    if !out.json {
        let (new, same) = (recorded.recorded(), recorded.unchanged());
        out.line(&format!("{new} recorded, {same} unchanged, {rejected} rejected"))?;
    }
    Ok(if rejected == 0 { exit::OK } else { exit::USAGE })
}

async fn list(desk: &Desk, books: &[String], out: &mut Output) -> Result<u8> {
    let portfolio = desk.portfolio().await?;
    for held in portfolio.held(books) {
        let holding = held.holding;
        out.line(&if out.json {
            json!({"position_id": held.id, "book": held.position.book, "product_type": holding.product_type,
                   "quantity": holding.quantity, "instrument_id": holding.instrument_id,
                   "instrument_version": holding.instrument_version, "terms": holding.terms,
                   "tags": held.position.tags})
            .to_string()
        } else {
            format!(
                "{:<28} {:<24} {:<18} {:>16}",
                held.id, held.position.book, holding.product_type, holding.quantity
            )
        })?;
    }
    Ok(exit::OK)
}
