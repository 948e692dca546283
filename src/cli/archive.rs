//! `daybook archive`: sealed history for people at a terminal.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use domain::TenantId;
use domain::ports::clock::Clock;
use domain::ports::log::ReadFilter;
use domain::ports::tree::{SignedCheckpoint, frontier_at};
use infra_archive::manifest::{Manifest, Segment};
use infra_archive::{ArchiveStore, EventScan};
use infra_runtime::{Config, RandomIds, SystemClock};
use jiff::Timestamp;
use proofs::Checkpoint;
use serde_json::json;
use std::sync::Arc;
use workers::dispatcher::live_from_here;

use super::output::{Output, paint};
use super::{events, exit};
use crate::wiring::{self, OpenLog, witnesses};

#[derive(Args)]
pub struct Archive {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Seal everything that is new, merge small segments, and delete what was merged long ago
    Run,
    /// How far history is sealed, in how many files of which size
    Status,
    /// Read every segment back: its bytes, its events and each leaf
    Verify,
    /// The segments, as the manifest lists them
    Ls {
        /// Only this event type; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
    },
    /// Sealed events, by position
    Cat {
        /// Only this event type; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        #[arg(long)]
        tenant: Option<String>,
        /// Positions past this one
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// At most this many
        #[arg(short = 'n', long)]
        limit: Option<u64>,
    },
    /// Drop taps and previews from the log that are sealed and read back well
    Trim {
        /// Up to this position, at most as far as history is sealed
        #[arg(long, value_name = "POSITION")]
        to: Option<u64>,
    },
}

pub async fn run(args: Archive, config: &Config, out: &mut Output) -> Result<u8> {
    let store = wiring::open_archive(config)?;
    match args.what {
        What::Status => status(&store, config, out).await,
        What::Verify => verify(&store, out).await,
        What::Ls { types } => ls(&store, &types, out).await,
        What::Cat { types, tenant, after, limit } => {
            let tenant = tenant.map(|t| TenantId::new(&t)).transpose().context("--tenant")?;
            let filter = ReadFilter { tenant, ..ReadFilter::types(types.iter().map(String::as_str)) };
            cat(&store, &filter, after, limit.unwrap_or(u64::MAX), out).await
        }
        What::Run => {
            let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
            let done = seal(&store, config, &log, out).await;
            log.close().await;
            done
        }
        What::Trim { to } => {
            let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
            let done = infra_archive::trim(&store, (&*log.log, &*log.keeping), to).await;
            log.close().await;
            let done = done?;
            out.line(&if out.json {
                json!({"upto": done.upto, "dropped": done.events}).to_string()
            } else {
                format!("dropped {} facts up to position {} from the log", done.events, done.upto)
            })?;
            Ok(exit::OK)
        }
    }
}

async fn seal(store: &ArchiveStore, config: &Config, log: &OpenLog, out: &mut Output) -> Result<u8> {
    let keys = wiring::audit::present_keys(config)?;
    let origin = wiring::audit::origin(config, &keys);
    let shown = (witnesses::shown(config, &log.tree)?, origin);
    let archiver = wiring::archiver(config, store.clone(), log, Arc::new(SystemClock), shown);
    // So that what is sealed is covered by a checkpoint.
    if let Some(signer) = wiring::audit::signer(config, log, keys, Arc::new(SystemClock))?
        && let Some(signed) = signer.sign().await?
    {
        witnesses::ask(config, &signer, &*log.tree, signed).await?;
    }
    let (mut events, mut segments, mut merged) = (0, 0, 0);
    while let Some(sealed) = archiver.seal(true).await? {
        events += sealed.through + 1 - sealed.first;
        segments += sealed.segments;
    }
    while archiver.merge().await?.is_some() {
        merged += 1;
    }
    let deleted = archiver.sweep().await?;
    out.line(&if out.json {
        json!({"events": events, "segments": segments, "merges": merged, "deleted": deleted}).to_string()
    } else {
        format!(
            "sealed {events} events in {segments} segments; merged {merged} times, deleted {deleted} files"
        )
    })?;
    Ok(exit::OK)
}

async fn status(store: &ArchiveStore, config: &Config, out: &mut Output) -> Result<u8> {
    let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let (head, trimmed) = (log.log.head().await, log.keeping.trimmed().await);
    log.close().await;
    let (head, trimmed) = (head?.position, trimmed?);
    let manifest = store.manifest().await?;
    let through = manifest.as_ref().map_or(0, |m| m.through);
    let segments: &[Segment] = manifest.as_ref().map_or(&[], |m| &m.segments);
    let bytes: u64 = segments.iter().map(|s| s.bytes).sum();
    let large: u64 = segments.iter().map(|s| s.bytes).filter(|b| *b >= config.archive.merge_bytes).sum();
    out.line(&if out.json {
        json!({
            "archive": store.name(),
            "manifest": manifest.as_ref().map(|m| m.number),
            "log": manifest.as_ref().map(|m| &m.log),
            "through": through,
            "recorded_at": manifest.as_ref().map(|m| m.through_recorded_at),
            "head": head,
            "lag": head.saturating_sub(through),
            "trimmed": trimmed,
            "segments": segments.len(),
            "bytes": bytes,
            "bytes_in_large_segments": large,
        })
        .to_string()
    } else {
        let share = (large * 100).checked_div(bytes).unwrap_or(0);
        format!(
            "{}\nsealed through {through} of {head} ({} to go); the log is trimmed to {trimmed}\n\
             {} segments, {bytes} bytes, {share} % of them in large files",
            paint(out, store.name()),
            head.saturating_sub(through),
            segments.len(),
        )
    })?;
    Ok(exit::OK)
}

async fn verify(store: &ArchiveStore, out: &mut Output) -> Result<u8> {
    let Some(manifest) = store.manifest().await? else { return nothing(out) };
    let verdict = store.verify(&manifest).await?;
    let problems: Vec<String> = verdict.problems.iter().map(ToString::to_string).collect();
    let good = problems.is_empty();
    if out.json {
        let through = manifest.through;
        let (segments, events, bytes) = (verdict.segments, verdict.events, verdict.bytes);
        let object = json!({"good": good, "through": through, "segments": segments, "events": events,
            "bytes": bytes, "problems": problems});
        out.line(&object.to_string())?;
    } else {
        for problem in &problems {
            out.line(problem)?;
        }
        let word = if good { "good" } else { "NOT GOOD" };
        out.line(&format!("{word}: {} events in {} segments", verdict.events, verdict.segments))?;
    }
    Ok(if good { exit::OK } else { exit::DISAGREES })
}

async fn ls(store: &ArchiveStore, types: &[String], out: &mut Output) -> Result<u8> {
    let Some(manifest) = store.manifest().await? else { return nothing(out) };
    for segment in manifest.of_types(types) {
        out.line(&if out.json {
            serde_json::to_string(segment)?
        } else {
            format!("{:>12} {:>10}  {}", segment.bytes, segment.events, segment.path)
        })?;
    }
    Ok(exit::OK)
}

fn nothing(out: &mut Output) -> Result<u8> {
    if !out.json {
        out.line("nothing is sealed")?;
    }
    Ok(exit::NOT_FOUND)
}

async fn cat(
    store: &ArchiveStore,
    filter: &ReadFilter,
    after: u64,
    limit: u64,
    out: &mut Output,
) -> Result<u8> {
    let Some(manifest) = store.manifest().await? else { return nothing(out) };
    let types: Vec<&str> = filter.event_types.iter().map(AsRef::as_ref).collect();
    let mut scan = EventScan::new(store, &manifest, after, &types);
    let mut left = limit;
    while left > 0 {
        let Some(event) = scan.next().await? else { break };
        if filter.matches(&event) {
            events::print(&event, out)?;
            left -= 1;
        }
    }
    Ok(exit::OK)
}

#[derive(Args)]
pub struct Restore {
    /// The archive: a folder, s3://…, gs://… or az://…
    #[arg(long, value_name = "URL")]
    from: String,
    #[arg(long, value_name = "POSITION")]
    to_position: Option<u64>,
    /// Leave out what was recorded after this RFC 3339 time
    #[arg(long, value_name = "TIME")]
    to_time: Option<Timestamp>,
}

/// Fills the configured database, which must be empty.
pub async fn restore(args: Restore, config: &Config, out: &mut Output) -> Result<u8> {
    let store = wiring::open_archive_at(config, &args.from)?;
    let manifest = needed(&store).await?;
    let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let until = infra_archive::Until { position: args.to_position, time: args.to_time };
    let to = (&*log.log, &*log.keeping);
    let through = manifest.through;
    let progress = |position| tracing::info!(position, through, "restored");
    let done = async {
        let done = infra_archive::restore(&store, &manifest, to, until, progress).await?;
        keep_signed(&manifest, done.through, &log).await?;
        // Endpoints were told by whoever the archive is of.
        if let Some(position) = live_from_here(&*log.log, &RandomIds).await? {
            tracing::info!(position, "webhooks of what was restored are not sent");
        }
        anyhow::Ok(done)
    };
    let done = done.await;
    log.close().await;
    let done = done?;
    out.line(&if out.json {
        json!({"restored": done.events, "through": done.through}).to_string()
    } else {
        format!("restored {} events; the log ends at position {}", done.events, done.through)
    })?;
    Ok(exit::OK)
}

/// What was signed stays signed: proofs can be made without the signer's key,
/// and whoever signs next has to go on from there.
async fn keep_signed(manifest: &Manifest, through: u64, log: &OpenLog) -> Result<()> {
    let Some(note) = &manifest.checkpoint else { return Ok(()) };
    let Checkpoint { origin, size, root } = Checkpoint::peek(note.as_bytes()).context("its checkpoint")?;
    if size > through {
        return Ok(());
    }
    if frontier_at(&*log.tree, size).await?.root() != root {
        bail!("what was restored is not what {origin} has signed up to position {size}");
    }
    let (note, signed_at) = (note.clone(), SystemClock.now());
    log.tree.keep_checkpoint(&SignedCheckpoint { origin, size, root, note, signed_at }).await?;
    Ok(())
}

async fn needed(store: &ArchiveStore) -> Result<Manifest> {
    store.manifest().await?.with_context(|| format!("{} holds no archive", store.name()))
}

#[derive(Args)]
pub struct Backup {
    #[command(subcommand)]
    what: BackupWhat,
}

#[derive(Subcommand)]
enum BackupWhat {
    /// Restore the archive into a scratch store and compare every event with it and with the log
    Verify {
        /// The archive [default: the configured one]
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
}

pub async fn backup(args: Backup, config: &Config, out: &mut Output) -> Result<u8> {
    let BackupWhat::Verify { from } = args.what;
    let store = wiring::open_archive_at(config, from.as_deref().unwrap_or(&config.archive.url))?;
    let manifest = needed(&store).await?;
    let scratch = tempfile::tempdir().context("a folder for the scratch store")?;
    let copy = wiring::scratch_log(scratch.path()).await?;
    let (whole, again) = restore_and_compare(&store, &manifest, &copy).await?;
    copy.close().await;
    let log = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let live = async {
        infra_archive::check_continues(&manifest, &*log.log).await?;
        let after = log.keeping.trimmed().await?;
        anyhow::Ok(infra_archive::compare(&store, &manifest, &*log.log, after).await?)
    };
    let live = live.await;
    log.close().await;
    let live = live.context("comparing with the log")?;
    let good = whole && live.differing.is_empty();
    let differing = [again.differing.clone(), live.differing.clone()].concat();
    out.line(&if out.json {
        json!({"good": good, "through": manifest.through, "restored": again.same,
            "same_in_log": live.same, "differing": differing})
        .to_string()
    } else if good {
        format!(
            "good: {} events restored, every leaf is right; {} compared with the log",
            again.same, live.same
        )
    } else {
        format!("NOT GOOD: {:?} differ restored, {:?} in the log", again.differing, live.differing)
    })?;
    Ok(if good { exit::OK } else { exit::DISAGREES })
}

async fn restore_and_compare(
    store: &ArchiveStore,
    manifest: &Manifest,
    copy: &OpenLog,
) -> Result<(bool, infra_archive::Comparison)> {
    let to = (&*copy.log, &*copy.keeping);
    infra_archive::restore(store, manifest, to, infra_archive::Until::default(), |_| {}).await?;
    let found = infra_archive::compare(store, manifest, &*copy.log, 0).await?;
    Ok((found.same == manifest.through, found))
}
