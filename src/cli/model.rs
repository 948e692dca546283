//! `daybook model`: what the next building of a projection folds by.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use infra_runtime::Config;
use replays::models::{ModelBody, model_id};
use serde_json::{Value, json};

use super::exit;
use super::output::{Output, paint};
use super::reach::{Reach, ServerFlags, parameters};

#[derive(Args)]
pub struct Model {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Subcommand)]
enum What {
    /// Define the model of the next build; what is live stays as it is
    Set {
        projection: String,
        /// Such as bots@2
        #[arg(value_name = "NAME@VERSION")]
        model: String,
        /// JSON file with parameters, or - for standard input; what is left out is as the model has it
        #[arg(long, value_name = "FILE")]
        params: Option<String>,
    },
    /// The model of the next build, with all parameters
    Show { projection: String },
    /// The model of each projection's next build, and those that this build knows
    List,
}

pub async fn run(args: Model, config: &Config, out: &mut Output) -> Result<u8> {
    let reach = Reach::open(&args.server, config).await?;
    let done = match args.what {
        What::Set { projection, model, params } => {
            set(&reach, &projection, &model, parameters(params.as_deref())?, out).await
        }
        What::Show { projection } => show(&reach, &projection, out).await,
        What::List => list(&reach, out).await,
    };
    reach.close().await;
    done.map(|()| exit::OK)
}

async fn set(
    reach: &Reach,
    projection: &str,
    model: &str,
    parameters: Value,
    out: &mut Output,
) -> Result<()> {
    let decided = match reach {
        Reach::Direct(direct) => {
            let id =
                model_id(model, parameters).context("write the model as name@version, such as bots@2")?;
            serde_json::to_value(direct.engine.define(projection, &id, &direct.by).await?)?
        }
        Reach::Server(server) => {
            let mut body = json!({"model": model});
            if !parameters.is_null() {
                body["parameters"] = parameters;
            }
            server.post(&format!("/v1/models/{projection}"), &body).await?
        }
    };
    if out.json {
        return out.line(&decided.to_string());
    }
    out.line(&match decided["changed"].as_bool() {
        Some(true) => {
            format!("{projection} is built by {model} from now on; see daybook replay build {projection}")
        }
        _ => format!("{projection} was to be built by {model} with these parameters already"),
    })
}

async fn show(reach: &Reach, projection: &str, out: &mut Output) -> Result<()> {
    let body: ModelBody = match reach {
        Reach::Direct(direct) => direct.engine.model(projection).await?,
        Reach::Server(server) => {
            serde_json::from_value(server.get(&format!("/v1/models/{projection}")).await?)?
        }
    };
    if out.json {
        return out.line(&serde_json::to_string(&body)?);
    }
    let whose = if body.defined { "defined by an operator" } else { "as it comes" };
    out.line(&format!("{} {} ({whose}); known: {}", body.projection, body.model, body.known.join(", ")))?;
    out.line(&serde_json::to_string_pretty(&body.parameters)?)
}

async fn list(reach: &Reach, out: &mut Output) -> Result<()> {
    let bodies: Vec<ModelBody> = match reach {
        Reach::Direct(direct) => direct.engine.models().await?,
        Reach::Server(server) => serde_json::from_value(server.get("/v1/models").await?["models"].take())?,
    };
    for body in bodies {
        if out.json {
            out.line(&serde_json::to_string(&body)?)?;
            continue;
        }
        let name = paint(out, &format!("{:<16}", body.projection));
        let mark = if body.defined { "defined" } else { "" };
        out.line(&format!("{name} {:<18} {mark:<8} knows {}", body.model, body.known.join(", ")))?;
    }
    Ok(())
}
