//! `daybook runs reprice` and `daybook runs model`: runs priced again by another
//! model.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{Answers, print, watch};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::reach::parameters;

#[derive(Subcommand)]
pub enum Model {
    /// The model of the next build, and the one in force
    Show,
    /// Define the model of the next build; results stay as they are
    Set {
        /// Such as pricing@2
        #[arg(value_name = "NAME@VERSION")]
        model: String,
        /// JSON file with parameters, or - for standard input; what is left out is as the version has it
        #[arg(long, value_name = "FILE")]
        params: Option<String>,
    },
}

#[derive(Subcommand)]
pub enum Reprice {
    /// Generations with their models, runs and where they stand
    Status,
    /// Price completed runs again beside the results in force
    Build {
        #[arg(required = true)]
        runs: Vec<String>,
        /// Such as pricing@2; otherwise the one of `runs model set`
        #[arg(long, value_name = "NAME@VERSION")]
        model: Option<String>,
        /// With --model: JSON file with parameters, or - for standard input
        #[arg(long, value_name = "FILE", requires = "model")]
        params: Option<String>,
        /// Work on it in this process, and wait until it is over
        #[arg(long)]
        work: bool,
    },
    /// Start runs of a generation that the process which built it did not get to
    Resume { generation: u32 },
    /// Give a generation up; what of it is not over is cancelled
    Abort { generation: u32 },
    /// Tell what a generation would change: exit code 0 same, 4 different
    Compare {
        /// The newest unless named
        generation: Option<u32>,
        /// What readers get unless named; 1 is what runs made themselves
        #[arg(long, value_name = "GENERATION")]
        against: Option<u32>,
        /// Positions told of each run
        #[arg(long, default_value_t = 20)]
        top: usize,
    },
    /// Show a generation to readers of its runs
    Promote {
        /// The newest unless named
        generation: Option<u32>,
    },
    /// Take the last promotion away
    Rollback,
}

impl Reprice {
    pub fn works(&self) -> bool {
        matches!(self, Self::Build { work: true, .. })
    }
}

/// Members that are there.
fn body<const N: usize>(members: [(&str, Value); N]) -> Value {
    let there = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(there.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

pub async fn model(what: Model, answers: &Answers, out: &mut Output) -> Result<u8> {
    let answer = match what {
        Model::Show => answers.get("/v1/models/pricing", &vec![]).await?,
        Model::Set { model, params } => {
            let body = body([("model", json!(model)), ("parameters", parameters(params.as_deref())?)]);
            answers.post("/v1/models/pricing", &body).await?
        }
    };
    print(&answer, out)?;
    Ok(exit::OK)
}

pub async fn reprice(what: Reprice, answers: &Answers, out: &mut Output) -> Result<u8> {
    let answer = match what {
        Reprice::Status => answers.get("/v1/repricings", &vec![]).await?,
        Reprice::Build { runs, model, params, work } => {
            let parameters = parameters(params.as_deref())?;
            let body = body([("runs", json!(runs)), ("model", json!(model)), ("parameters", parameters)]);
            let decided = answers.post("/v1/repricings/build", &body).await?;
            print(&decided, out)?;
            let generation = decided["generation"].as_u64().filter(|_| work);
            let Some(generation) = generation else { return Ok(exit::OK) };
            let mut code = exit::OK;
            for run in runs {
                code = code.max(watch(&format!("{run}@{generation}"), answers, out).await?);
            }
            return Ok(code);
        }
        Reprice::Resume { generation } => {
            answers.post("/v1/repricings/resume", &json!({ "generation": generation })).await?
        }
        Reprice::Abort { generation } => {
            answers.post("/v1/repricings/abort", &json!({ "generation": generation })).await?
        }
        Reprice::Compare { generation, against, top } => {
            let body =
                body([("generation", json!(generation)), ("against", json!(against)), ("top", json!(top))]);
            let compared = answers.post("/v1/repricings/compare", &body).await?;
            if out.json {
                print(&compared, out)?
            } else {
                tell(&compared, out)?
            };
            let same = compared["same"] == json!(true);
            return Ok(if same { exit::OK } else { exit::DISAGREES });
        }
        Reprice::Promote { generation } => {
            answers.post("/v1/repricings/promote", &body([("generation", json!(generation))])).await?
        }
        Reprice::Rollback => answers.post("/v1/repricings/rollback", &json!({})).await?,
    };
    print(&answer, out)?;
    Ok(exit::OK)
}

/// A comparison for people.
fn tell(compared: &Value, out: &mut Output) -> Result<()> {
    let number =
        |value: &Value| value.as_f64().map_or_else(|| "none".to_owned(), |value| format!("{value:.2}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    out.line(&format!(
        "generation {} by {}: {} of {} positions change",
        compared["generation"],
        text(&compared["model"]),
        compared["changed"],
        compared["positions"]
    ))?;
    for run in compared["runs"].as_array().into_iter().flatten() {
        out.line(&format!(
            "{} against generation {} ({}): {} {} to {}, {:+.2}",
            text(&run["run_id"]),
            run["against"],
            text(&run["against_model"]),
            text(&run["base_currency"]),
            number(&run["before"]),
            number(&run["after"]),
            run["difference"].as_f64().unwrap_or_default()
        ))?;
        for (list, name) in
            [("by_product", "product_type"), ("by_curve", "curve_id"), ("by_position", "position_id")]
        {
            for row in run[list].as_array().into_iter().flatten() {
                let difference = row["difference"].as_f64().unwrap_or_default();
                out.line(&format!("  {list:<12} {:<32} {difference:>+20.4}", text(&row[name])))?;
            }
        }
        out.line(&format!("  {:<45} {:>+20.4}", "other", run["other"].as_f64().unwrap_or_default()))?;
    }
    Ok(())
}
