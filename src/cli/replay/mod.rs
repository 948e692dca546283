//! `daybook replay`: other interpretations built beside the live ones.

mod act;
mod compare;
mod print;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use infra_runtime::Config;

pub(in crate::cli) use act::with_runner;

use super::output::Output;
use super::reach::{Reach, ServerFlags};

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 done (compare, verify: the same), 1 failed or refused, 2 usage, configuration or \
                  parameters that do not hold, 3 no such projection or generation, 4 different (compare, verify)"
)]
pub struct Replay {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Subcommand)]
enum What {
    /// Generations with their models, positions, progress and failures
    Status { projection: Option<String> },
    /// Build a generation beside the live one
    Build {
        projection: String,
        /// Such as bots@2; otherwise the one of `model set`, or that of the live rows
        #[arg(long, value_name = "NAME@VERSION")]
        model: Option<String>,
        /// With --model: JSON file with parameters, or - for standard input
        #[arg(long, value_name = "FILE", requires = "model")]
        params: Option<String>,
        /// Only the past up to this position or RFC 3339 time; never promoted
        #[arg(long, value_name = "POSITION|TIME")]
        at: Option<String>,
        /// Return at once and leave the building to the server's projector
        #[arg(long)]
        detach: bool,
    },
    /// Let a build rest; what is folded is kept
    Pause {
        projection: String,
        /// The only one that is being built unless named
        generation: Option<u32>,
    },
    /// Go on with a build that rests
    Resume {
        projection: String,
        generation: Option<u32>,
        #[arg(long)]
        detach: bool,
    },
    /// Give a build up; its rows stay until they are pruned
    Abort { projection: String, generation: Option<u32> },
    /// Tell what a generation would change: exit code 0 same, 4 different
    Compare {
        projection: String,
        /// The newest that is ready unless named
        generation: Option<u32>,
        /// The live one unless named
        #[arg(long, value_name = "GENERATION")]
        against: Option<u32>,
        /// Rows told, those with the largest differences
        #[arg(long, default_value_t = 20)]
        top: usize,
        /// Name the positions of the events behind these rows
        #[arg(long)]
        explain: bool,
        /// Write every difference, one JSON object a line
        #[arg(long, value_name = "FILE")]
        ndjson: Option<PathBuf>,
        /// Write a report with pictures
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Seconds to wait for the rows to get to one position
        #[arg(long, default_value_t = 60)]
        wait: u32,
    },
    /// Make a generation live, once it has all that the log holds now
    Promote {
        projection: String,
        /// The newest that is ready unless named
        generation: Option<u32>,
        /// Seconds to wait for its rows
        #[arg(long, default_value_t = 60)]
        wait: u32,
    },
    /// Back to what was live before, at once
    Rollback { projection: String },
    /// Drop a generation, or all that are retired or aborted
    Prune { projection: String, generation: Option<u32> },
    /// Build a generation again and compare checksums: exit code 0 same, 4 different
    Verify {
        projection: String,
        /// The live one unless named
        generation: Option<u32>,
        /// Read nothing from the log and record nothing: what is sealed must come to the same rows
        #[arg(long)]
        from_archive: bool,
    },
    /// Leave an event out that does not fold, now and in later builds
    Skip {
        projection: String,
        position: u64,
        /// Kept with the decision
        #[arg(long)]
        reason: String,
    },
    /// Have a generation's dead letters tried again
    Retry {
        projection: String,
        /// The live one unless named
        generation: Option<u32>,
    },
}

pub async fn run(args: Replay, config: &Config, out: &mut Output) -> Result<u8> {
    let reach = Reach::open(&args.server, config).await?;
    let done = act::act(&reach, args.what, config, out).await;
    reach.close().await;
    done
}
