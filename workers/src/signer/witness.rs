//! Asks witnesses to cosign (C2SP tlog-witness).
//!
//! A witness signs that it saw a checkpoint, and only what continues the one
//! that it saw before. So whoever asks for its line cannot be shown another
//! history than everybody else. And a witness remembers: if it has seen more
//! than there is, the log was set back, and if it has seen something else, the
//! log was rewritten.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::tree::{CheckpointError, SignedCheckpoint};
use domain::tree::Hash;
use proofs::witness::{Answer, answer, cosigners, request};
use proofs::{PublicKey, add_lines};
use tokio_util::sync::CancellationToken;

use super::{Sighting, SignError, Signer, SignerState, WitnessState, record};

/// Asked again after so long, then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Until an answer is there, whole.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions in a row to one that says each time that it has seen another size.
const ATTEMPTS: usize = 3;

/// The way to a witness.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends the body of `add-checkpoint`. Says why there is no answer.
    async fn add_checkpoint(&self, body: String) -> Result<Reply, String>;
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Without parameters.
    pub content_type: String,
    pub body: Vec<u8>,
}

pub struct Witness {
    pub key: PublicKey,
    pub post: Arc<dyn Post>,
    pub patience: Duration,
}

impl Witness {
    pub fn new(key: PublicKey, post: Arc<dyn Post>) -> Self {
        Self { key, post, patience: PATIENCE }
    }

    fn has_cosigned(&self, note: &str) -> bool {
        cosigners(note, std::slice::from_ref(&self.key)).is_ok_and(|keys| !keys.is_empty())
    }

    async fn ask(&self, old: u64, proof: &[Hash], note: &str) -> Result<Answer, Trouble> {
        let asked = self.post.add_checkpoint(request(old, proof, note));
        let reply = match tokio::time::timeout(self.patience, asked).await {
            Ok(reply) => reply.map_err(Trouble::Away)?,
            Err(_) => return Err(Trouble::Away(format!("no answer in {:?}", self.patience))),
        };
        let known = std::slice::from_ref(&self.key);
        Ok(answer(reply.status, &reply.content_type, &reply.body, note, known))
    }
}

/// Why a witness has not cosigned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Trouble {
    #[error("it cannot be asked now: {0}")]
    Away(String),
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("its line cannot be made or kept: {0}")]
    Here(String),
    #[error(transparent)]
    Contradicts(SignError),
}

impl Signer {
    /// Has a witness cosign what is signed, until told to stop. There is one
    /// question at a time, and what is signed meanwhile is not asked for.
    pub async fn follow(self: Arc<Self>, witness: Witness, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.asking(&witness) => {}
        }
    }

    async fn asking(&self, witness: &Witness) {
        let mut latest = self.latest.subscribe();
        let (mut has, mut pause) = (0, FIRST_PAUSE);
        self.tell_witness(witness, |_| {});
        loop {
            let newest = latest.borrow_and_update().clone();
            let asked = match &newest {
                Some(newest) => self.cosign(witness, newest, &mut has).await,
                None => Ok(()),
            };
            match asked {
                Ok(()) => pause = FIRST_PAUSE,
                Err(Trouble::Contradicts(_)) => {}
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            }
            if latest.changed().await.is_err() {
                return;
            }
        }
    }

    /// Asks once, for those who don't wait.
    pub async fn ask(&self, witness: &Witness, checkpoint: &SignedCheckpoint) -> Result<(), Trouble> {
        self.cosign(witness, checkpoint, &mut 0).await
    }

    /// `has` is the size that the witness has seen, as far as that is known.
    async fn cosign(
        &self,
        witness: &Witness,
        checkpoint: &SignedCheckpoint,
        has: &mut u64,
    ) -> Result<(), Trouble> {
        let done = self.try_cosign(witness, checkpoint, has).await;
        self.tell_witness(witness, |state| match &done {
            Ok(Some(size)) => (state.cosigned, state.error) = (state.cosigned.max(*size), None),
            Ok(None) => state.error = None,
            Err(trouble) => state.error = Some(trouble.to_string()),
        });
        done.map(|_| ())
    }

    /// The size that is cosigned now. `None` if another signer was faster: the
    /// next checkpoint will do.
    async fn try_cosign(
        &self,
        witness: &Witness,
        checkpoint: &SignedCheckpoint,
        has: &mut u64,
    ) -> Result<Option<u64>, Trouble> {
        let SignedCheckpoint { size, note, .. } = checkpoint;
        if witness.has_cosigned(note) {
            *has = *size;
            return Ok(Some(*size));
        }
        for _ in 0..ATTEMPTS {
            if *has > *size {
                return Ok(None);
            }
            let proof = self.proof(*has, checkpoint).await?;
            match witness.ask(*has, &proof, note).await? {
                Answer::Cosigned(lines) => {
                    *has = *size;
                    return self.merge(checkpoint, &lines).await.map(|()| Some(*size));
                }
                // Its size is ours, and its root is not.
                Answer::Has(_) | Answer::Conflict if *has == *size => {
                    return Err(self.contradicted(witness, *has, *size).await);
                }
                // What it has seen it has said before, and the proof from there
                // was checked when it was made.
                Answer::Inconsistent if *has > 0 => {
                    return Err(self.contradicted(witness, *has, *size).await);
                }
                Answer::Has(seen) => {
                    self.is_not_ahead(witness, seen).await?;
                    *has = seen;
                }
                Answer::Conflict | Answer::Inconsistent => {
                    return Err(Trouble::Refused("it does not say what it has seen instead".to_owned()));
                }
                Answer::Refused(reason) => return Err(Trouble::Refused(reason)),
                Answer::Later(reason) => return Err(Trouble::Away(reason)),
            }
        }
        Err(Trouble::Refused("it says another size each time that it is asked".to_owned()))
    }

    async fn proof(&self, old: u64, new: &SignedCheckpoint) -> Result<Vec<Hash>, Trouble> {
        let proof = proofs::consistency(&*self.tiles, old, new.size, &new.root).await;
        proof.map(|proof| proof.path).map_err(|error| Trouble::Here(error.to_string()))
    }

    /// The size is of now, not of what was asked for: other signers may have
    /// gone on.
    async fn is_not_ahead(&self, witness: &Witness, seen: u64) -> Result<(), Trouble> {
        let frontier = self.tree.frontier().await.map_err(|error| Trouble::Here(error.to_string()))?;
        if seen <= frontier.size() {
            return Ok(());
        }
        Err(self.contradicted(witness, seen, frontier.size()).await)
    }

    /// Ends the signing.
    async fn contradicted(&self, witness: &Witness, seen: u64, size: u64) -> Trouble {
        let sighting = Sighting { witness: witness.key.name().to_owned(), seen, size };
        let refused = self.witnessed(sighting.clone());
        if self.refused.set(refused.clone()).is_ok() {
            metrics::counter!("daybook_audit_refused_total").increment(1);
            tracing::error!(error = %refused, alert = true, "the log is not signed any more");
        }
        self.state.send_modify(|state| state.error = Some(refused.to_string()));
        // So that the next process does not sign either.
        if let Err(error) = record::refuse(&self.config.record, &self.config.origin, &sighting).await {
            tracing::error!(%error, alert = true, "that nothing is signed could not be written down");
        }
        Trouble::Contradicts(refused)
    }

    async fn merge(&self, checkpoint: &SignedCheckpoint, lines: &[String]) -> Result<(), Trouble> {
        let here = |error: &dyn std::fmt::Display| Trouble::Here(error.to_string());
        let note = add_lines(&checkpoint.note, lines.iter().map(String::as_str)).map_err(|e| here(&e))?;
        match self.tree.keep_checkpoint(&SignedCheckpoint { note, ..checkpoint.clone() }).await {
            // It was dropped as an old one meanwhile.
            Ok(_) | Err(CheckpointError::Smaller { .. }) => Ok(()),
            Err(error) => Err(here(&error)),
        }
    }

    /// Tells once, not at each question, that there is trouble.
    fn tell_witness(&self, witness: &Witness, change: impl FnOnce(&mut WitnessState)) {
        self.state.send_modify(|state| {
            let of_witness = of_witness(state, witness.key.name());
            let before = of_witness.error.clone();
            change(of_witness);
            match (&of_witness.error, before) {
                (Some(error), before) if before.as_ref() != Some(error) => {
                    tracing::warn!(witness = witness.key.name(), %error, "a witness has not cosigned");
                }
                (None, Some(_)) => tracing::info!(witness = witness.key.name(), "a witness cosigns again"),
                _ => {}
            }
            state.tell_lag();
        });
    }
}

fn of_witness<'s>(state: &'s mut SignerState, name: &str) -> &'s mut WitnessState {
    let place = state.witnesses.iter().position(|w| w.name == name).unwrap_or_else(|| {
        state.witnesses.push(WitnessState { name: name.to_owned(), ..WitnessState::default() });
        state.witnesses.len() - 1
    });
    &mut state.witnesses[place]
}
