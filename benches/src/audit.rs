//! `audit`: what proofs and privacy cost. Durable appends a second while the
//! log keeps its Merkle tree, against the same log without one; of taps whose
//! personal data is sealed, against the same log with it in clear; and with
//! tree, sealing and a checkpoint signed every second, against none of these.

use std::time::Duration;

use anyhow::Result;

use crate::append::{Case, ours};
use crate::table::{Line, median, print};

#[derive(clap::Args)]
pub struct Arguments {
    /// A server on which databases may be created.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
    /// Callers at once.
    #[arg(long, value_delimiter = ',', default_value = "64,256")]
    writers: Vec<usize>,
    /// Length of one run in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Runs of each; they take turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only these: postgres, sqlite.
    #[arg(long)]
    only: Option<String>,
}

/// What is switched on and off.
#[derive(Clone, Copy)]
enum Switch {
    Tree,
    Sealing,
    All,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |store: &str| arguments.only.as_deref().is_none_or(|only| only == store);
    let mut lines = Vec::new();
    for (store, name) in [("postgres", "PostgreSQL"), ("sqlite", "SQLite")] {
        if !wanted(store) || (store == "postgres" && arguments.postgres.is_none()) {
            continue;
        }
        for (switch, on, off) in [
            (Switch::Tree, "with a tree", "without a tree"),
            (Switch::Sealing, "of taps sealed", "in clear"),
            (Switch::All, "with tree, signing and sealing", "with none of them"),
        ] {
            for &writers in &arguments.writers {
                let (mut with, mut without) = (Vec::new(), Vec::new());
                for turn in 0..2 * arguments.runs {
                    // Each goes first as often as the other.
                    let first = (turn + turn / 2) % 2 == 0;
                    let duration = Duration::from_secs(arguments.seconds);
                    let postgres = arguments.postgres.clone();
                    let (tree, sealed, signed) = match switch {
                        Switch::Tree => (first, false, false),
                        Switch::Sealing => (true, first, false),
                        Switch::All => (first, first, first),
                    };
                    let unconditional = false;
                    let case = Case { writers, duration, postgres, unconditional, tree, sealed, signed };
                    let rate = match store {
                        "postgres" => runtime.block_on(ours::postgres(&case))?,
                        _ => runtime.block_on(ours::sqlite(&case))?,
                    };
                    if first { with.push(rate) } else { without.push(rate) }
                }
                lines.push(Line {
                    bench: "audit",
                    case: format!("appends {on}, {name}, {writers} writers"),
                    ours: median(&with),
                    peer: off,
                    peer_value: median(&without),
                    unit: "events/s",
                    runs: arguments.runs,
                });
            }
        }
    }
    print(&lines, json);
    Ok(())
}
