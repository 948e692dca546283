//! Taps a second and their p99 with 200,000 bands, driven by wrk, beside nginx
//! answering `return 302` on the same machine. All run in turn, several times.

mod load;
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::table::{Line, median, print};
use load::{Figures, Nginx, Wrk};
use server::{Case, Server};

#[derive(clap::Args)]
pub struct Arguments {
    /// Seconds of each run.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// How often everything is run.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    #[arg(long, default_value_t = 200_000)]
    bands: usize,
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256])]
    connections: Vec<u32>,
    /// Names of cases; all if empty.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// For the cases on PostgreSQL; without it they are left out.
    #[arg(long, env = "DAYBOOK_TEST_POSTGRES")]
    postgres: Option<String>,
}

pub fn run(arguments: Arguments, json: bool) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(arguments, json))
}

async fn measure(arguments: Arguments, json: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Nginx::start(folder.path()).await?;
    let wrk = Wrk::new(folder.path(), arguments.bands, arguments.seconds)?;
    let cases: Vec<Case> = Case::all(arguments.postgres.as_deref())
        .into_iter()
        .filter(|c| arguments.cases.is_empty() || arguments.cases.iter().any(|name| name == c.name))
        .collect();
    let mut figures: BTreeMap<(usize, u32), Vec<Figures>> = BTreeMap::new();
    for _ in 0..arguments.runs {
        for &connections in &arguments.connections {
            let peer = wrk.run(nginx.address(), connections).await?;
            figures.entry((0, connections)).or_default().push(peer);
            for (number, case) in cases.iter().enumerate() {
                let server = Server::start(case, arguments.bands).await?;
                let ours = wrk.run(server.address(), connections).await?;
                server.stop().await?;
                figures.entry((number + 1, connections)).or_default().push(ours);
                // The disk settles.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
    let mut lines = Vec::new();
    for &connections in &arguments.connections {
        let of = |number, value: fn(&Figures) -> f64| {
            let runs: &Vec<Figures> = &figures[&(number, connections)];
            median(&runs.iter().map(value).collect::<Vec<_>>())
        };
        for (number, case) in cases.iter().enumerate() {
            for (what, unit, value) in
                [("", "requests/s", (|f| f.rate) as fn(&Figures) -> f64), (" p99", "ms", |f| f.p99_ms)]
            {
                lines.push(Line {
                    bench: "redirect",
                    case: format!("{}, {connections} connections{what}", case.name),
                    ours: of(number + 1, value),
                    peer: "nginx",
                    peer_value: of(0, value),
                    unit,
                    runs: arguments.runs,
                });
            }
        }
    }
    print(&lines, json);
    Ok(())
}
