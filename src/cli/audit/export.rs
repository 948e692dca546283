//! `daybook audit export` and `check-export`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::audit::export::{Asked, Kind, Terms, record, sha256, write};
use anyhow::{Context, Result, bail};
use clap::Args;
use domain::TenantId;
use domain::audit_trail::{EXPORTED, Exported};
use domain::ports::clock::Ids;
use infra_runtime::{Config, RandomIds, SystemClock};
use proofs::ProofFile;
use serde_json::json;

use super::prove;
use super::{Filter, TrustFlags};
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::cli::reach::{Reach, Refused, Server, ServerFlags};
use crate::wiring::{self, exports};

/// Beside the events: the proof of the fact that has the file's hash.
const MANIFEST: &str = "manifest.tlog-proof";

#[derive(Args)]
pub struct Export {
    /// A folder for the file and its manifest; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// ndjson, csv or parquet
    #[arg(long, default_value = "ndjson", value_parser = kind)]
    format: Kind,
    #[command(flatten)]
    filter: Filter,
    /// The key's own, or default on the database itself, unless told
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Args)]
pub struct CheckExport {
    /// The folder of an export
    dir: PathBuf,
    #[command(flatten)]
    trust: TrustFlags,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| "is no format: ndjson, csv or parquet".into())
}

impl Export {
    fn terms(&self) -> Terms {
        let filter = self.filter.clone();
        Terms {
            format: self.format,
            actor: filter.actor,
            r#type: self.filter.types(),
            correlation_id: filter.correlation_id,
            since: filter.since,
            until: filter.until,
            after: filter.after,
            upto: filter.upto,
            tenant: self.tenant.clone(),
        }
    }
}

pub async fn export(args: Export, config: &Config, out: &mut Output) -> Result<u8> {
    let dir = &args.out;
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let (file, manifest) = (dir.join(args.format.file_name()), dir.join(MANIFEST));
    for taken in [&file, &manifest] {
        if taken.exists() {
            bail!("{} is there already", taken.display());
        }
    }
    let (exported, proof) = match Reach::server(&args.server)? {
        Some(server) => asked_for(&server, &args.terms(), &file).await?,
        None => made(&args, config, &file).await?,
    };
    std::fs::write(&manifest, proof).with_context(|| format!("writing {}", manifest.display()))?;
    out.line(&if out.json {
        serde_json::to_string(&exported)?
    } else {
        format!(
            "{} events of positions {} to {} in {}\nsha256 {}\nproved by {}",
            exported.events,
            exported.after + 1,
            exported.upto,
            file.display(),
            exported.sha256,
            manifest.display()
        )
    })?;
    Ok(exit::OK)
}

/// From the database itself.
async fn made(args: &Export, config: &Config, file: &Path) -> Result<(Exported, String)> {
    let opened = wiring::open_log(config, Arc::new(SystemClock)).await?;
    let (log, terms) = (wiring::history(config, opened.log.clone())?, args.terms());
    let made = async {
        let tenant = TenantId::new(args.tenant.as_deref().unwrap_or("default")).context("--tenant")?;
        let asked = Asked::of(&*log, &terms, tenant.clone()).await.map_err(|problem| Refused {
            status: problem.status().as_u16(),
            detail: problem.detail().to_owned(),
        })?;
        let mut bar = Bar::events("exporting");
        let exported =
            write(&*log, &asked, file, exports::parquet, |done, all| bar.set(done, all, "")).await?;
        bar.finish();
        let (ids, id) = (RandomIds, RandomIds.next());
        let actor = crate::cli::actor();
        let position = record(&*log, &ids, (&tenant, id), actor, &exported).await?;
        let proof = prove::make(position, config, &opened).await?;
        Ok((exported, proof.context("the log lost the event that records the export")?))
    }
    .await;
    opened.close().await;
    made
}

/// From a server, which may take its time.
async fn asked_for(server: &Server, terms: &Terms, file: &Path) -> Result<(Exported, String)> {
    let mut told = server.post("/v1/audit/exports", &serde_json::to_value(terms)?).await?;
    let id = told["id"].as_str().context("the server named no export")?.to_owned();
    let whose: Vec<_> = terms.tenant.clone().map(|tenant| ("tenant", tenant)).into_iter().collect();
    while told["status"] == "running" {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        told = serde_json::from_str(&server.text(&format!("/v1/audit/exports/{id}"), &whose).await?)?;
    }
    if told["status"] != "done" {
        bail!("the export failed: {}", told["reason"].as_str().unwrap_or("the server does not say why"));
    }
    let exported: Exported = serde_json::from_value(told["done"]["exported"].clone())?;
    let address = |name: &str| -> Result<String> {
        let address = told["done"][name].as_str();
        Ok(address.filter(|a| a.starts_with("/v1/")).context("the server named no file")?.to_owned())
    };
    server.save(&address("file")?, &whose, file).await?;
    let proof = server.text(&address("manifest")?, &whose).await?;
    Ok((exported, proof))
}

pub fn check(args: CheckExport, out: &mut Output) -> Result<u8> {
    let (trust, manifest) = (args.trust.required()?, args.dir.join(MANIFEST));
    let proof = std::fs::read(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let verified = match ProofFile::parse(&proof).and_then(|proof| proof.check(&trust, None)) {
        Ok(verified) => verified,
        Err(error) => return refused(&format!("the manifest: {error}"), out),
    };
    let text = String::from_utf8_lossy(&verified.canonical_bytes);
    let Some((_, payload)) = text.split_once("\n\n").filter(|(head, _)| is_export(head)) else {
        return refused("the manifest proves another event than an export", out);
    };
    let exported: Exported = match serde_json::from_str(payload) {
        Ok(exported) => exported,
        Err(error) => return refused(&format!("the manifest says nothing that can be read: {error}"), out),
    };
    let Some(kind) = Kind::parse(&exported.format) else {
        return refused(&format!("the manifest is of the unknown format {:?}", exported.format), out);
    };
    let file = args.dir.join(kind.file_name());
    let (hash, bytes) = sha256(&file).with_context(|| format!("reading {}", file.display()))?;
    if (&hash, bytes) != (&exported.sha256, exported.bytes) {
        let reason = format!(
            "{} is not what was exported: {bytes} bytes with SHA-256 {hash} instead of {} with {}",
            file.display(),
            exported.bytes,
            exported.sha256
        );
        return refused(&reason, out);
    }
    let (position, checkpoint) = (verified.position, &verified.opened.checkpoint);
    out.line(&if out.json {
        json!({"holds": true, "position": position, "origin": checkpoint.origin, "size": checkpoint.size,
            "exported": exported})
        .to_string()
    } else {
        let query = serde_json::to_string(&exported.query)?;
        format!(
            "holds: {} has {} events of positions {} to {}, which were all that matched as the server says\n{query}\nrecorded at \
             position {position} of {}, which {} has signed up to {}",
            file.display(),
            exported.events,
            exported.after + 1,
            exported.upto,
            checkpoint.origin,
            verified.opened.signed[0].name(),
            checkpoint.size
        )
    })?;
    Ok(exit::OK)
}

/// Header lines of canonical bytes.
fn is_export(head: &str) -> bool {
    head.lines().any(|line| line.strip_prefix("type ") == Some(EXPORTED))
}

fn refused(reason: &str, out: &mut Output) -> Result<u8> {
    out.line(&match out.json {
        true => json!({"holds": false, "reason": reason}).to_string(),
        false => format!("DOES NOT HOLD: {reason}"),
    })?;
    Ok(exit::DISAGREES)
}
