//! `daybook privacy`: subjects of personal data, and the keys of it.

mod erase;
mod keys;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use domain::decide::Rejection;
use domain::ports::erasure::{ErasureError, Exports};
use domain::ports::keys::KeyInfo;
use domain::subject::{Certificate, Command, Erasing, Told};
use domain::{Subject, TenantId};
use infra_runtime::Config;
use privacy::{Exporter, Recorder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::exit;
use super::output::Output;
use super::reach::{Direct, Reach, ServerFlags};

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed or refused (held), 2 usage or configuration, 3 nothing sealed is \
                  held about the subject"
)]
pub struct PrivacyArgs {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Args, Clone)]
struct Of {
    /// Such as band:b1
    #[arg(value_parser = subject)]
    subject: Subject,
    /// Whose; that of the hub unless named. With --server it is the key's
    #[arg(long, value_parser = TenantId::new)]
    tenant: Option<TenantId>,
}

fn subject(text: &str) -> Result<Subject, String> {
    Subject::try_from(text.to_owned()).map_err(|e| format!("{e}; a subject is <kind>:<id>"))
}

#[derive(Subcommand)]
enum What {
    /// Write down everything that is held about a subject, one JSON object a line
    Export {
        #[command(flatten)]
        of: Of,
        /// A new file, instead of the terminal
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Destroy a subject's keys and everything that shows what they had sealed, and print a certificate
    Erase {
        #[command(flatten)]
        of: Of,
        /// Kept for ever, with the decision
        #[arg(long)]
        reason: String,
    },
    /// Keep a subject's data: nothing of it may be erased until it is released
    Hold {
        #[command(flatten)]
        of: Of,
        #[arg(long)]
        reason: String,
    },
    /// End a hold
    Release {
        #[command(flatten)]
        of: Of,
        #[arg(long)]
        reason: String,
    },
    /// What was decided about a subject and what came of it
    Status {
        #[command(flatten)]
        of: Of,
    },
    /// Keys of personal data
    Keys(keys::Keys),
}

pub async fn run(args: PrivacyArgs, config: &Config, out: &mut Output) -> Result<u8> {
    let what = match args.what {
        What::Keys(keys) => return keys::run(keys, config, out).await,
        what => what,
    };
    let reach = Reach::open(&args.server, config).await?;
    let done = act(&reach, what, config, out).await;
    reach.close().await;
    match done {
        Err(error) if matches!(error.downcast_ref(), Some(ErasureError::Refused(Rejection::NotFound))) => {
            eprintln!("daybook: nothing sealed is held about this subject");
            Ok(exit::NOT_FOUND)
        }
        done => done,
    }
}

async fn act(reach: &Reach, what: What, config: &Config, out: &mut Output) -> Result<u8> {
    match what {
        What::Export { of, out: file } => export(reach, &of, config, file.as_deref(), out).await?,
        What::Erase { of, reason } => erase::erase(reach, &of, reason, config, out).await?,
        What::Hold { of, reason } => {
            let command = Command::Hold { subject: of.subject.clone(), reason: reason.clone() };
            let changed = decided(reach, &of, config, "hold", &reason, command).await?;
            say(out, &of, changed, if changed { "is held" } else { "was held already" })?;
        }
        What::Release { of, reason } => {
            let command = Command::Release { subject: of.subject.clone(), reason: reason.clone() };
            let changed = decided(reach, &of, config, "release", &reason, command).await?;
            say(out, &of, changed, if changed { "is released" } else { "was not held" })?;
        }
        What::Status { of } => status(reach, &of, config, out).await?,
        // Handled by the caller.
        What::Keys(_) => {}
    }
    Ok(exit::OK)
}

fn say(out: &mut Output, of: &Of, changed: bool, text: &str) -> Result<()> {
    match out.json {
        true => out.line(&json!({"subject": of.subject, "changed": changed}).to_string()),
        false => out.line(&format!("{} {text}", of.subject)),
    }
}

impl Of {
    fn tenant(&self, config: &Config) -> TenantId {
        self.tenant.clone().unwrap_or_else(|| config.hub.default_tenant.clone())
    }
}

impl Direct {
    /// The position of what was recorded; `None` if it was so already.
    async fn record(&self, of: &Of, config: &Config, command: Command) -> Result<Option<u64>, ErasureError> {
        let engine = &self.engine;
        let by =
            Recorder { log: &*engine.log, clock: &*engine.clock, ids: &*engine.ids, actor: &self.by.actor };
        by.record(&privacy::stream_of(&of.tenant(config), &of.subject)?, command).await
    }
}

/// The path of a verb about a subject.
fn path(of: &Of, verb: &str) -> Result<String> {
    if of.tenant.is_some() {
        bail!("with --server the tenant is that of the key: leave --tenant out");
    }
    Ok(format!("/v1/privacy/subjects/{}{verb}", of.subject))
}

async fn decided(
    reach: &Reach,
    of: &Of,
    config: &Config,
    verb: &str,
    reason: &str,
    command: Command,
) -> Result<bool> {
    Ok(match reach {
        Reach::Direct(direct) => direct.record(of, config, command).await?.is_some(),
        Reach::Server(server) => {
            let answer = server.post(&path(of, &format!("/{verb}"))?, &json!({"reason": reason})).await?;
            answer["events"].as_array().is_some_and(|events| !events.is_empty())
        }
    })
}

async fn export(
    reach: &Reach,
    of: &Of,
    config: &Config,
    file: Option<&Path>,
    out: &mut Output,
) -> Result<()> {
    let Reach::Direct(direct) = reach else {
        bail!("export works on the database: leave --server out, or POST {}", path(of, "/export")?)
    };
    let engine = &direct.engine;
    let exporter = Exporter {
        log: engine.log.clone(),
        keys: direct.privacy.keys.clone(),
        clock: engine.clock.clone(),
        ids: engine.ids.clone(),
    };
    let tenant = of.tenant(config);
    let Some(path) = file else {
        let mut line = |value: Value| writeln!(std::io::stdout(), "{value}").map_err(|e| e.to_string());
        exporter.export(&tenant, &of.subject, &direct.by.actor, &mut line).await?;
        return Ok(());
    };
    let made = owned_by_one(path).with_context(|| format!("making {}", path.display()))?;
    let mut made = BufWriter::new(made);
    let mut line = |value: Value| writeln!(made, "{value}").map_err(|e| e.to_string());
    let exported = exporter.export(&tenant, &of.subject, &direct.by.actor, &mut line).await?;
    made.into_inner().map_err(|e| e.into_error())?.sync_all()?;
    match out.json {
        true => out.line(&json!({"subject": of.subject, "facts": exported.facts}).to_string()),
        false => out.line(&format!("{} facts are in {}", exported.facts, path.display())),
    }
}

/// A new file that nobody else reads.
fn owned_by_one(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// As the server tells it.
#[derive(Debug, Serialize, Deserialize)]
struct StatusBody {
    subject: Subject,
    held: Option<String>,
    erasing: Option<Erasing>,
    certificates: Vec<Certificate>,
    exports: u64,
    keys: Vec<KeyInfo>,
}

async fn status_of(reach: &Reach, of: &Of, config: &Config) -> Result<StatusBody> {
    let direct = match reach {
        Reach::Direct(direct) => direct,
        Reach::Server(server) => return Ok(serde_json::from_value(server.get(&path(of, "")?).await?)?),
    };
    let tenant = of.tenant(config);
    let stream = privacy::stream_of(&tenant, &of.subject)?;
    let (Told { record, certificates, .. }, _) = privacy::load(&*direct.engine.log, &stream).await?;
    Ok(StatusBody {
        subject: of.subject.clone(),
        held: record.held,
        erasing: record.erasing,
        certificates,
        exports: record.exports,
        keys: direct.privacy.keys.of(&tenant, &of.subject).await?,
    })
}

async fn status(reach: &Reach, of: &Of, config: &Config, out: &mut Output) -> Result<()> {
    let status = status_of(reach, of, config).await?;
    if out.json {
        return out.line(&serde_json::to_string(&status)?);
    }
    let live = status.keys.iter().filter(|key| key.destroyed_at.is_none()).count();
    out.line(&format!("{}: {live} keys, {} erased", status.subject, status.keys.len() - live))?;
    if let Some(reason) = &status.held {
        out.line(&format!("held: {reason}"))?;
    }
    if let Some(erasing) = &status.erasing {
        out.line(&format!("being erased: {}", erasing.reason))?;
    }
    for certificate in &status.certificates {
        erase::print(certificate, None, out)?;
    }
    Ok(())
}
