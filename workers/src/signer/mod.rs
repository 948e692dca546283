//! Signs the log's tree, at most once an interval and only while it grows.
//!
//! Before it signs, the tree must continue the largest checkpoint that anybody
//! remembers: this signer's own file, the log's database, and whoever else is
//! asked. If it does not, history was set back or rewritten; nothing is signed
//! then, by this process or the next one, until an operator has looked.
//!
//! Beside that, and never in its way, witnesses are asked to cosign what was
//! signed ([`witness`]).

mod quorum;
mod record;
#[cfg(test)]
mod tests;
mod thin;
pub mod witness;

pub use quorum::Quorum;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::clock::Clock;
use domain::ports::log::LogError;
use domain::ports::tree::{CheckpointError, SignedCheckpoint, TreeLog};
use domain::tree::Frontier;
use proofs::{Checkpoint, ProofError, SigningKey, TileError, Tiles};
use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often checkpoints that nobody needs any more are dropped.
const THIN_EVERY: Duration = Duration::from_secs(3600);

pub struct SignerConfig {
    /// Whose statements these are; never changed once something was signed.
    pub origin: String,
    /// All of them sign.
    pub keys: Vec<SigningKey>,
    pub every: Duration,
    /// The file that remembers what was signed last. Not on the database's
    /// disk, if there is a choice.
    pub record: PathBuf,
}

/// Somebody else who remembers a checkpoint: the archive, a witness.
#[async_trait]
pub trait Remembers: Send + Sync {
    fn name(&self) -> &'static str;
    /// The newest of this origin. Who cannot be asked says why; that does not
    /// keep the signer from its work.
    async fn newest(&self, origin: &str) -> Result<Option<Checkpoint>, String>;
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SignError {
    #[error("the log was set back: {by} remembers a checkpoint of size {signed}, the log has {size}")]
    SetBack { by: &'static str, signed: u64, size: u64 },
    #[error("the log up to {signed} is not what was signed: {by} remembers another tree of that size")]
    Rewritten { by: &'static str, signed: u64 },
    #[error("{sighting}; nothing is signed while {file} is there")]
    Witnessed { sighting: Sighting, file: String },
    #[error("{file} cannot be used: {reason}")]
    Record { file: String, reason: String },
    #[error(transparent)]
    Kept(#[from] CheckpointError),
    #[error("the log: {0}")]
    Log(#[from] LogError),
    #[error("tiles: {0}")]
    Tiles(#[from] TileError),
}

/// What a witness says that it has seen, which the log does not continue, and
/// the size that the log had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub witness: String,
    pub seen: u64,
    pub size: u64,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { witness, seen, size } = self;
        if seen > size {
            write!(
                f,
                "the log was set back: witness {witness} has seen {seen} events of it when it had {size}"
            )
        } else {
            write!(f, "the log up to {seen} is not what witness {witness} has seen, says the witness")
        }
    }
}

impl SignError {
    /// Whether trying again will not help.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::SetBack { .. } | Self::Rewritten { .. } | Self::Witnessed { .. } | Self::Record { .. } => {
                true
            }
            Self::Kept(error) => matches!(error, CheckpointError::Contradicts { .. }),
            Self::Log(error) => matches!(error, LogError::Damaged { .. }),
            Self::Tiles(error) => matches!(error, TileError::Damaged { .. }),
        }
    }
}

/// How the signer is, for `/health`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignerState {
    pub signed: u64,
    pub error: Option<String>,
    pub witnesses: Vec<WitnessState>,
}

/// How far a witness has cosigned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WitnessState {
    pub name: String,
    /// The largest size that it has cosigned, as far as this process knows.
    pub cosigned: u64,
    /// Why it has not cosigned more.
    pub error: Option<String>,
}

impl SignerState {
    fn tell_lag(&self) {
        for witness in &self.witnesses {
            let lag = self.signed.saturating_sub(witness.cosigned);
            metrics::gauge!("daybook_audit_witness_lag", "witness" => witness.name.clone()).set(lag as f64);
        }
    }
}

pub struct Signer {
    tree: Arc<dyn TreeLog>,
    /// What is shown of the checkpoints: the newest of these is never dropped.
    shown: Arc<dyn TreeLog>,
    tiles: Arc<dyn Tiles>,
    others: Vec<Arc<dyn Remembers>>,
    clock: Arc<dyn Clock>,
    config: SignerConfig,
    state: watch::Sender<SignerState>,
    /// What was signed last, for those who ask witnesses.
    latest: watch::Sender<Option<SignedCheckpoint>>,
    /// Set once a witness has seen what the log does not continue.
    refused: OnceLock<SignError>,
    /// One at a time, so that what was signed last is known.
    at_work: Mutex<()>,
}

impl Signer {
    pub fn new(
        tree: Arc<dyn TreeLog>,
        tiles: Arc<dyn Tiles>,
        others: Vec<Arc<dyn Remembers>>,
        clock: Arc<dyn Clock>,
        config: SignerConfig,
    ) -> Self {
        let (state, latest) = (watch::Sender::default(), watch::Sender::default());
        let (refused, at_work, shown) = (OnceLock::new(), Mutex::default(), tree.clone());
        Self { tree, shown, tiles, others, clock, config, state, latest, refused, at_work }
    }

    /// Of what it signs, this is shown to others.
    pub fn showing(self, shown: Arc<dyn TreeLog>) -> Self {
        Self { shown, ..self }
    }

    pub fn state(&self) -> watch::Receiver<SignerState> {
        self.state.subscribe()
    }

    /// Works until told to stop, and signs once more then.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.config.every);
        let mut thinning = tokio::time::interval(THIN_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                _ = ticks.tick() => false,
                _ = thinning.tick() => {
                    if let Err(error) = self.thin().await {
                        tracing::warn!(%error, "old checkpoints could not be dropped");
                    }
                    continue;
                }
            };
            self.tick().await;
            if stopped {
                return;
            }
        }
    }

    async fn thin(&self) -> Result<(), LogError> {
        let origin = &self.config.origin;
        let shown = self.shown.checkpoint(origin, None).await?.map(|shown| shown.size);
        thin::thin(&*self.tree, origin, self.clock.now(), shown).await
    }

    /// A refusal is told once, not every second.
    async fn tick(&self) {
        let signed = self.sign().await;
        let error = signed.as_ref().err().map(ToString::to_string);
        if let Err(error) = &signed {
            if error.is_refusal() {
                metrics::counter!("daybook_audit_refused_total").increment(1);
            }
            if self.state.borrow().error.as_deref() != Some(&error.to_string()) {
                match error.is_refusal() {
                    true => tracing::error!(%error, alert = true, "the log is not signed any more"),
                    false => tracing::warn!(%error, "the log could not be signed"),
                }
            }
        }
        self.state.send_modify(|state| {
            state.signed = signed.map_or(state.signed, |checkpoint| checkpoint.map_or(0, |c| c.size));
            state.error = error;
            state.tell_lag();
        });
    }

    /// The checkpoint of the log as it is, made now unless there is one. `None`
    /// for an empty log.
    pub async fn sign(&self) -> Result<Option<SignedCheckpoint>, SignError> {
        let _alone = self.at_work.lock().await;
        let _held = record::hold(&self.config.record).await?;
        self.not_refused().await?;
        // In this order: another signer may go on meanwhile.
        let kept = self.tree.checkpoint(&self.config.origin, None).await?;
        let remembered = self.remembered(kept.as_ref()).await?;
        let frontier = self.tree.frontier().await?;
        if frontier.size() == 0 && remembered.is_empty() {
            return Ok(None);
        }
        for (by, checkpoint) in &remembered {
            self.check(by, checkpoint, &frontier).await?;
        }
        if let Some(kept) = kept.filter(|kept| self.is_signed_by_all(kept, &frontier)) {
            record::write(&self.config.record, &kept.note).await?;
            self.tell(&kept);
            return Ok(Some(kept));
        }
        let made = self.make(&frontier);
        // First where a database that is set back takes nothing with it.
        record::write(&self.config.record, &made.note).await?;
        let kept = match self.tree.keep_checkpoint(&made).await {
            // Another signer was faster; what it signed is looked at next time.
            Err(CheckpointError::Smaller { .. }) => return Ok(Some(made)),
            kept => kept?,
        };
        metrics::gauge!("daybook_audit_signed_size").set(kept.size as f64);
        self.tell(&kept);
        Ok(Some(kept))
    }

    fn tell(&self, kept: &SignedCheckpoint) {
        self.latest.send_if_modified(|latest| {
            let new = latest.as_ref() != Some(kept);
            if new {
                *latest = Some(kept.clone());
            }
            new
        });
    }

    async fn not_refused(&self) -> Result<(), SignError> {
        if let Some(refused) = self.refused.get() {
            return Err(refused.clone());
        }
        match record::refused(&self.config.record, &self.config.origin).await? {
            Some(sighting) => Err(self.witnessed(sighting)),
            None => Ok(()),
        }
    }

    fn witnessed(&self, sighting: Sighting) -> SignError {
        let file = record::refusal(&self.config.record).display().to_string();
        SignError::Witnessed { sighting, file }
    }

    /// By the file, by the database (`kept`), and by whoever else is asked.
    async fn remembered(
        &self,
        kept: Option<&SignedCheckpoint>,
    ) -> Result<Vec<(&'static str, Checkpoint)>, SignError> {
        let origin = &self.config.origin;
        let mut all = Vec::new();
        let own = record::read(&self.config.record).await?;
        let first = own.is_none();
        if let Some(own) = own {
            if own.origin != *origin {
                let reason = format!("it is of log «{}», not of «{origin}»", own.origin);
                return Err(record::unusable(&self.config.record, &reason));
            }
            all.push(("the signer's file", own));
        }
        if let Some(kept) = kept {
            if first {
                tracing::warn!(file = %self.config.record.display(), signed = kept.size,
                    "the signer's file is not there: only the database remembers what was signed");
            }
            let SignedCheckpoint { origin, size, root, .. } = kept.clone();
            all.push(("the database", Checkpoint { origin, size, root }));
        }
        for other in &self.others {
            match other.newest(origin).await {
                Ok(Some(checkpoint)) => all.push((other.name(), checkpoint)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(by = other.name(), %error, "a checkpoint could not be asked for")
                }
            }
        }
        Ok(all)
    }

    async fn check(&self, by: &'static str, old: &Checkpoint, now: &Frontier) -> Result<(), SignError> {
        if old.size > now.size() {
            return Err(SignError::SetBack { by, signed: old.size, size: now.size() });
        }
        let rewritten = SignError::Rewritten { by, signed: old.size };
        if old.size == now.size() {
            return if old.root == now.root() { Ok(()) } else { Err(rewritten) };
        }
        match proofs::consistency(&*self.tiles, old.size, now.size(), &now.root()).await {
            Ok(proof) if proof.old_root == old.root => Ok(()),
            // The tiles are not those of the frontier: one of them was changed.
            Ok(_) | Err(ProofError::Foreign) => Err(rewritten),
            Err(ProofError::Tile(error)) => Err(error.into()),
            Err(error) => Err(LogError::Damaged { position: now.size(), reason: error.to_string() }.into()),
        }
    }

    fn make(&self, frontier: &Frontier) -> SignedCheckpoint {
        let (size, root, origin) = (frontier.size(), frontier.root(), self.config.origin.clone());
        let note = Checkpoint { origin: origin.clone(), size, root }.sign(&self.config.keys);
        SignedCheckpoint { origin, size, root, note, signed_at: self.clock.now() }
    }

    /// Whether the note says what the tree is now, by every key: one that was
    /// added later signs what others have signed.
    fn is_signed_by_all(&self, kept: &SignedCheckpoint, now: &Frontier) -> bool {
        let origin = self.config.origin.clone();
        let said = Checkpoint { origin: origin.clone(), size: now.size(), root: now.root() };
        let by = |key: &SigningKey| {
            let trust =
                proofs::Trust { origin: Some(origin.clone()), ..proofs::Trust::of(key.public().clone()) };
            let opened = Checkpoint::open(kept.note.as_bytes(), &trust);
            opened.is_ok_and(|opened| opened.checkpoint == said)
        };
        kept.size == now.size() && self.config.keys.iter().all(by)
    }
}
