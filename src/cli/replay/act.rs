//! Each verb, on the database itself or on a server.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use infra_runtime::Config;
use replays::comparing;
use replays::models::model_id;
use replays::status::{GenerationStatusBody, ReplayStatus, VerifiedBody};
use replays::{Decided, Engine, Runner};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::What;
use super::print;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::cli::reach::{Direct, Reach, parameters};

/// Between two looks at the progress of a build.
const LOOK: Duration = Duration::from_millis(200);

pub async fn act(reach: &Reach, what: What, config: &Config, out: &mut Output) -> Result<u8> {
    match what {
        What::Status { projection } => {
            for status in statuses(reach, projection.as_deref()).await? {
                print::status(&status, out)?;
            }
        }
        What::Build { projection, model, params, at, detach } => {
            let ask = Ask { model, parameters: parameters(params.as_deref())?, at };
            return build(reach, &projection, ask, detach, out).await;
        }
        What::Pause { projection, generation } => {
            let number = building(reach, &projection, generation).await?;
            let decided = simple(reach, &projection, "pause", number).await?;
            print::decided(&decided, "rests", out)?;
        }
        What::Resume { projection, generation, detach } => {
            let number = building(reach, &projection, generation).await?;
            let decided = simple(reach, &projection, "resume", number).await?;
            print::decided(&decided, "goes on", out)?;
            return followed(reach, &projection, number, detach, out).await;
        }
        What::Abort { projection, generation } => {
            let number = building(reach, &projection, generation).await?;
            let decided = simple(reach, &projection, "abort", number).await?;
            print::decided(&decided, "is given up", out)?;
        }
        What::Promote { projection, generation, wait } => {
            let decided = promote(reach, &projection, generation, wait).await?;
            print::decided(&decided, "is live", out)?;
        }
        What::Rollback { projection } => {
            let decided = match reach {
                Reach::Direct(d) => d.engine.roll_back(&projection, &d.by).await?,
                Reach::Server(_) => post(reach, &projection, "rollback", json!({})).await?,
            };
            print::decided(&decided, "is live again", out)?;
        }
        What::Compare { projection, generation, against, top, explain, ndjson, html, wait } => {
            let wait = Duration::from_secs(wait.into());
            let ask = comparing::Ask { generation, against, top, explain, lines: None, wait, tenant: None };
            return super::compare::compare(reach, &projection, ask, ndjson, html, out).await;
        }
        What::Prune { projection, generation } => prune(reach, &projection, generation, out).await?,
        What::Verify { projection, generation, from_archive: false } => {
            return verify(reach, &projection, generation, out).await;
        }
        What::Verify { projection, generation, from_archive: true } => {
            return verify_sealed(reach, &projection, generation, config, out).await;
        }
        What::Skip { projection, position, reason } => {
            let decided = match reach {
                Reach::Direct(d) => d.engine.skip(&projection, position, &reason, &d.by).await?,
                Reach::Server(_) => {
                    post(reach, &projection, "skip", json!({"position": position, "reason": reason})).await?
                }
            };
            print::skipped(&decided, position, out)?;
        }
        What::Retry { projection, generation } => retry(reach, &projection, generation, out).await?,
    }
    Ok(exit::OK)
}

pub async fn post<T: serde::de::DeserializeOwned>(
    reach: &Reach,
    projection: &str,
    verb: &str,
    body: Value,
) -> Result<T> {
    let Reach::Server(server) = reach else { bail!("there is no server to ask") };
    Ok(serde_json::from_value(server.post(&format!("/v1/replays/{projection}/{verb}"), &body).await?)?)
}

async fn statuses(reach: &Reach, projection: Option<&str>) -> Result<Vec<ReplayStatus>> {
    Ok(match (reach, projection) {
        (_, Some(projection)) => vec![status(reach, projection).await?],
        (Reach::Direct(d), None) => d.engine.all_status().await?,
        (Reach::Server(server), None) => {
            serde_json::from_value(server.get("/v1/replays").await?["replays"].take())?
        }
    })
}

async fn status(reach: &Reach, projection: &str) -> Result<ReplayStatus> {
    Ok(match reach {
        Reach::Direct(d) => d.engine.status(projection).await?,
        Reach::Server(server) => {
            serde_json::from_value(server.get(&format!("/v1/replays/{projection}")).await?)?
        }
    })
}

/// The generation that is meant if none is named.
async fn building(reach: &Reach, projection: &str, named: Option<u32>) -> Result<u32> {
    if let Some(number) = named {
        return Ok(number);
    }
    let found: Vec<u32> = status(reach, projection)
        .await?
        .generations
        .iter()
        .filter(|g| matches!(g.status.as_str(), "building" | "paused"))
        .map(|g| g.generation)
        .collect();
    match found[..] {
        [number] => Ok(number),
        [] => bail!("nothing of {projection} is being built"),
        _ => bail!("several generations of {projection} are being built; name one of {found:?}"),
    }
}

async fn simple(reach: &Reach, projection: &str, verb: &str, number: u32) -> Result<Decided> {
    match reach {
        Reach::Direct(d) => Ok(match verb {
            "pause" => d.engine.pause(projection, number, &d.by).await?,
            "resume" => d.engine.resume(projection, number, &d.by).await?,
            _ => d.engine.abort(projection, number, &d.by).await?,
        }),
        Reach::Server(_) => post(reach, projection, verb, json!({"generation": number})).await,
    }
}

struct Ask {
    model: Option<String>,
    parameters: Value,
    at: Option<String>,
}

async fn build(reach: &Reach, projection: &str, ask: Ask, detach: bool, out: &mut Output) -> Result<u8> {
    let decided = match reach {
        Reach::Direct(d) => {
            let wrong = "write the model as name@version, such as bots@2";
            let model = match &ask.model {
                Some(text) => Some(model_id(text, ask.parameters).context(wrong)?),
                None => None,
            };
            let at = ask.at.map(|text| text.parse().map_err(|e| anyhow::anyhow!("--at {e}"))).transpose()?;
            d.engine.build(projection, model, at, &d.by).await?
        }
        Reach::Server(_) => {
            let mut body = json!({});
            if let Some(model) = ask.model {
                body["model"] = model.into();
                if !ask.parameters.is_null() {
                    body["parameters"] = ask.parameters;
                }
            }
            if let Some(at) = ask.at {
                body["at"] = at.into();
            }
            post(reach, projection, "build", body).await?
        }
    };
    print::decided(&decided, "is being built", out)?;
    out.flush()?;
    let number = decided.generation.context("the answer names no generation")?;
    followed(reach, projection, number, detach, out).await
}

/// Shows the progress of a build until it is done. On the database itself it
/// is built here, unless a server's projector is at it.
async fn followed(
    reach: &Reach,
    projection: &str,
    number: u32,
    detach: bool,
    out: &mut Output,
) -> Result<u8> {
    if detach {
        return Ok(exit::OK);
    }
    let watched = watch(reach, projection, number);
    let done = match reach {
        Reach::Direct(direct) => with_runner(direct, Some(projection), watched).await?,
        Reach::Server(_) => watched.await?,
    };
    print::generation(projection, &done, out)?;
    Ok(if done.status == "ready" { exit::OK } else { exit::FAILED })
}

async fn watch(reach: &Reach, projection: &str, number: u32) -> Result<GenerationStatusBody> {
    let (mut bar, mut told) = (Bar::events("building"), None);
    loop {
        let status = status(reach, projection).await?;
        let found = status.generations.into_iter().find(|g| g.generation == number);
        let Some(generation) = found else { bail!("generation {number} of {projection} is gone") };
        let goal = generation.target.or(generation.at).unwrap_or(status.head);
        let detail = generation.rate.map(|r| format!("{r:.0}/s")).unwrap_or_default();
        bar.set(generation.folded.unwrap_or(generation.position), goal, &detail);
        if generation.error != told {
            // It is tried again, for ever; what is in the way may be put right meanwhile.
            if let Some(error) = &generation.error {
                bar.say(&format!("broken off, trying again: {error}"));
            }
            told = generation.error.clone();
        }
        if generation.status != "building" {
            bar.finish();
            return Ok(generation);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Keeps the projection's generations, or all, while something is waited for.
pub async fn with_runner<T>(
    direct: &Direct,
    projection: Option<&str>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let stop = CancellationToken::new();
    let runner = Runner::new(direct.engine.clone(), &direct.owner);
    let runner = match projection {
        Some(projection) => runner.only(projection),
        None => runner,
    };
    let running = tokio::spawn(runner.run(stop.clone()));
    let done = tokio::select! {
        done = work => done,
        interrupted = tokio::signal::ctrl_c() => match interrupted {
            Ok(()) => Err(anyhow::anyhow!("interrupted; what is committed is kept, a projector goes on with it")),
            Err(error) => Err(error.into()),
        },
    };
    stop.cancel();
    running.await?;
    done
}

async fn promote(reach: &Reach, projection: &str, number: Option<u32>, wait: u32) -> Result<Decided> {
    match reach {
        Reach::Direct(d) => {
            let wait = Duration::from_secs(wait.into());
            with_runner(d, Some(projection), async {
                Ok(d.engine.promote(projection, number, wait, &d.by).await?)
            })
            .await
        }
        Reach::Server(_) => {
            let mut body = json!({"wait_seconds": wait});
            if let Some(number) = number {
                body["generation"] = number.into();
            }
            post(reach, projection, "promote", body).await
        }
    }
}

fn of(number: Option<u32>) -> Value {
    number.map_or_else(|| json!({}), |n| json!({"generation": n}))
}

async fn prune(reach: &Reach, projection: &str, number: Option<u32>, out: &mut Output) -> Result<()> {
    let gone: Vec<u32> = match reach {
        Reach::Direct(d) => d.engine.prune(projection, number, &d.by).await?,
        Reach::Server(_) => {
            let answer: Value = post(reach, projection, "prune", of(number)).await?;
            serde_json::from_value(answer["generations"].clone())?
        }
    };
    print::pruned(projection, &gone, out)
}

async fn verify(reach: &Reach, projection: &str, number: Option<u32>, out: &mut Output) -> Result<u8> {
    let verified: VerifiedBody = match reach {
        Reach::Direct(d) => d.engine.verify(projection, number, &d.by).await?.into(),
        Reach::Server(_) => post(reach, projection, "verify", of(number)).await?,
    };
    print::verified(projection, &verified, out)?;
    Ok(if verified.same { exit::OK } else { exit::DISAGREES })
}

async fn verify_sealed(
    reach: &Reach,
    projection: &str,
    number: Option<u32>,
    config: &Config,
    out: &mut Output,
) -> Result<u8> {
    let Reach::Direct(direct) = reach else {
        bail!("--from-archive works on the database: leave --server out")
    };
    let log = direct.privacy.over(crate::wiring::sealed_history(config)?);
    let engine = Engine { log, ..direct.engine.clone() };
    let verified: VerifiedBody = engine.reproduce(projection, number).await?.into();
    print::verified(projection, &verified, out)?;
    Ok(if verified.same { exit::OK } else { exit::DISAGREES })
}

async fn retry(reach: &Reach, projection: &str, number: Option<u32>, out: &mut Output) -> Result<()> {
    let number = match number {
        Some(number) => number,
        None => status(reach, projection).await?.live.context("there is no live generation")?,
    };
    let events = match reach {
        Reach::Direct(d) => d.engine.retry(projection, number, None).await?,
        Reach::Server(_) => {
            let answer: Value = post(reach, projection, "retry", of(Some(number))).await?;
            answer["events"].as_u64().unwrap_or(0)
        }
    };
    print::retried(projection, number, events, out)
}
