//! `daybook audit verify`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use domain::ports::log::LogError;
use infra_archive::SealedHistory;
use infra_runtime::{Config, SystemClock};
use proofs::{Checkpoint, NoteError, Trust};

use super::TrustFlags;
use crate::audit::tiles::AsOf;
use crate::audit::verify::{Finding, Known, Opens, Source, Verdict, Verifier};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::wiring::{self, audit};

#[derive(Args)]
pub struct Verify {
    /// Read this archive alone, without the log: a folder, s3://…, gs://… or az://…
    #[arg(long, value_name = "URL")]
    archive: Option<String>,
    #[command(flatten)]
    trust: TrustFlags,
    /// A checkpoint that the history must agree with: a signed note
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Begin behind the checkpoint, whose size this is, instead of at the first event
    #[arg(long, value_name = "SIZE", requires = "checkpoint")]
    from: Option<u64>,
}

pub async fn run(args: Verify, config: &Config, out: &mut Output) -> Result<u8> {
    let trust = args.trust.trust()?;
    let brought = brought(&args, trust.as_ref())?;
    let verdict = match &args.archive {
        Some(url) => sealed(url, &args, trust.as_ref(), brought, config).await?,
        None => live(&args, trust.as_ref(), brought, config).await?,
    };
    show(&verdict, trust.is_some(), out)?;
    Ok(match &verdict.finding {
        None => exit::OK,
        // It cannot be told yet.
        Some(Finding::Behind { .. }) => exit::FAILED,
        Some(_) => exit::DISAGREES,
    })
}

/// Without a key signatures are not looked at: whoever gives the note vouches
/// for it.
fn opened(note: &[u8], trust: Option<&Trust>) -> Result<Checkpoint, NoteError> {
    match trust {
        Some(trust) => Checkpoint::open(note, trust).map(|opened| opened.checkpoint),
        None => Checkpoint::peek(note),
    }
}

/// What `--checkpoint` names.
fn brought(args: &Verify, trust: Option<&Trust>) -> Result<Option<Checkpoint>> {
    let Some(file) = &args.checkpoint else { return Ok(None) };
    let note = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let checkpoint = opened(&note, trust).with_context(|| format!("the checkpoint in {}", file.display()))?;
    if args.from.is_some_and(|from| from != checkpoint.size) {
        bail!("--from is not the size of the checkpoint, which is {}", checkpoint.size);
    }
    Ok(Some(checkpoint))
}

async fn live(
    args: &Verify,
    trust: Option<&Trust>,
    brought: Option<Checkpoint>,
    config: &Config,
) -> Result<Verdict> {
    let log = match wiring::open_log(config, Arc::new(SystemClock)).await {
        Ok(log) => log,
        // Nobody opens a log whose end and tree disagree.
        Err(error) => match error.downcast_ref::<LogError>() {
            Some(LogError::Damaged { reason, .. }) => return Ok(Verdict::unreadable(reason)),
            _ => return Err(error),
        },
    };
    let events = wiring::history(config, log.log.clone())?;
    let origin = match trust {
        Some(trust) => trust.origin.clone().or_else(|| Some(trust.keys.first()?.name().to_owned())),
        None => audit::origin(config, &audit::present_keys(config)?),
    };
    let trusted = trust.cloned();
    let open = move |note: &str| opened(note.as_bytes(), trusted.as_ref()).ok();
    let (upto, trimmed) = (log.log.head().await?.position, log.keeping.trimmed().await?);
    let kept = origin.map(|origin| (origin, &open as &Opens));
    let verifier = Verifier {
        events: Source::Log(&*events),
        rows: Some((&*log.log, trimmed)),
        tree: Some(&*log.tree),
        tiles: None,
        upto,
        known: known(&brought),
        kept,
        must_be_signed: trust.is_some(),
    };
    let verdict = follow(verifier, args, brought.as_ref()).await;
    log.close().await;
    verdict
}

async fn sealed(
    url: &str,
    args: &Verify,
    trust: Option<&Trust>,
    brought: Option<Checkpoint>,
    config: &Config,
) -> Result<Verdict> {
    if args.from.is_some() {
        bail!("an archive is verified from its first event; leave --from out");
    }
    let store = wiring::open_archive_at(config, url)?;
    let archive = SealedHistory::new(store);
    // Before the manifest: who seals meanwhile shows a newer one.
    let shown = archive.store().shown_checkpoint().await?;
    let Some(manifest) = archive.store().manifest().await? else { bail!("there is no archive at {url}") };
    let note = manifest.checkpoint.as_deref().unwrap_or_default();
    let covered = Checkpoint::peek(note.as_bytes()).map_or(0, |checkpoint| checkpoint.size);
    let of_archive = opened(note.as_bytes(), trust).ok();
    let of_archive = of_archive.map(|checkpoint| Known { checkpoint, by: "kept with the archive" });
    // What other programs go by.
    let shown = shown.filter(|shown| shown.as_ref() != note.as_bytes());
    let shown = match shown.map(|shown| opened(shown.as_ref(), trust)).transpose() {
        Ok(shown) => shown.map(|checkpoint| Known { checkpoint, by: "tlog/checkpoint" }),
        Err(error) => return Ok(Verdict::unreadable(&format!("tlog/checkpoint of the archive: {error}"))),
    };
    let lying = AsOf { store: archive.store(), size: covered };
    let verifier = Verifier {
        events: Source::Archive(&archive),
        rows: None,
        tree: None,
        tiles: Some((&lying, covered)),
        upto: manifest.through,
        known: known(&brought).into_iter().chain(of_archive).chain(shown).collect(),
        kept: None,
        must_be_signed: trust.is_some(),
    };
    follow(verifier, args, None).await
}

fn known(brought: &Option<Checkpoint>) -> Vec<Known> {
    brought.iter().map(|c| Known { checkpoint: c.clone(), by: "the checkpoint" }).collect()
}

async fn follow(verifier: Verifier<'_>, args: &Verify, brought: Option<&Checkpoint>) -> Result<Verdict> {
    let from = brought.filter(|_| args.from.is_some());
    let (upto, mut bar) = (verifier.upto, Bar::events("verifying"));
    let verdict = verifier.run(from, &mut |done| bar.set(done, upto, "")).await;
    bar.finish();
    verdict
}

fn show(verdict: &Verdict, keyed: bool, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(verdict)?);
    }
    let Verdict { first, last, root, checkpoints, signed, .. } = verdict;
    if let Some(finding @ Finding::Behind { .. }) = &verdict.finding {
        return out.line(&format!("cannot be told: {finding}"));
    }
    if let Some(finding) = &verdict.finding {
        return out
            .line(&format!("DOES NOT HOLD: {finding}\nwhat comes before it was computed up to {last}"));
    }
    let by = if keyed { "" } else { " (their signatures were not checked: no --key)" };
    let signed = match checkpoints {
        0 => "compared with no checkpoint".to_owned(),
        n => format!("signed up to {signed}, compared with {n} checkpoints{by}"),
    };
    out.line(&format!("holds: positions {first} to {last}, {signed}\nroot {root}"))
}
