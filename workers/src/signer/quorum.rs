//! The log's checkpoints as they are shown where witnesses must have cosigned.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::log::LogError;
use domain::ports::tree::{CheckpointError, SignedCheckpoint, TreeLog};
use domain::tree::{Frontier, Hash};
use jiff::SignedDuration;
use proofs::PublicKey;
use proofs::witness::cosigners;
use tokio::sync::Mutex;

/// No witness cosigns a checkpoint that is so much older than the newest.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);
/// Looked at together.
const PAGE: usize = 1_000;

/// A tree whose newest checkpoint is the newest that enough witnesses have
/// cosigned. Until there is one, it has none.
pub struct Quorum {
    tree: Arc<dyn TreeLog>,
    witnesses: Vec<PublicKey>,
    quorum: usize,
    /// By origin.
    found: Mutex<BTreeMap<String, Found>>,
}

#[derive(Default)]
struct Found {
    newest: Option<SignedCheckpoint>,
    /// Up to here nothing is cosigned any more that was not.
    settled: u64,
}

impl Quorum {
    pub fn new(tree: Arc<dyn TreeLog>, witnesses: Vec<PublicKey>, quorum: usize) -> Self {
        Self { tree, witnesses, quorum, found: Mutex::default() }
    }

    pub fn has(&self, checkpoint: &SignedCheckpoint) -> bool {
        cosigners(&checkpoint.note, &self.witnesses).is_ok_and(|keys| keys.len() >= self.quorum)
    }

    async fn newest(&self, origin: &str) -> Result<Option<SignedCheckpoint>, LogError> {
        let mut all = self.found.lock().await;
        let found = all.entry(origin.to_owned()).or_default();
        // Another witness may have cosigned the one that was found, too.
        let known = found.newest.as_ref().map_or(0, |newest| newest.size.saturating_sub(1));
        let mut after = known.max(found.settled);
        loop {
            let page = self.tree.checkpoints(origin, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.size;
            let is_settled = |c: &&SignedCheckpoint| last.signed_at.duration_since(c.signed_at) > SETTLED;
            let settled = page.iter().rfind(is_settled).map_or(0, |c| c.size);
            found.settled = found.settled.max(settled);
            if let Some(newest) = page.iter().rfind(|c| self.has(c)) {
                found.newest = Some(newest.clone());
            }
            if page.len() < PAGE {
                break;
            }
        }
        Ok(found.newest.clone())
    }
}

#[async_trait]
impl TreeLog for Quorum {
    async fn frontier(&self) -> Result<Frontier, LogError> {
        self.tree.frontier().await
    }

    async fn entries(&self, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        self.tree.entries(first, count).await
    }

    async fn nodes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        self.tree.nodes(level, first, count).await
    }

    async fn checkpoint(
        &self,
        origin: &str,
        at_most: Option<u64>,
    ) -> Result<Option<SignedCheckpoint>, LogError> {
        let newest = self.newest(origin).await?;
        let Some(mut most) = at_most else { return Ok(newest) };
        match newest {
            Some(newest) if newest.size > most => {}
            newest => return Ok(newest),
        }
        while let Some(older) = self.tree.checkpoint(origin, Some(most)).await? {
            if self.has(&older) {
                return Ok(Some(older));
            }
            let Some(less) = older.size.checked_sub(1) else { break };
            most = less;
        }
        Ok(None)
    }

    /// All that are kept, whoever has cosigned them.
    async fn checkpoints(
        &self,
        origin: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SignedCheckpoint>, LogError> {
        self.tree.checkpoints(origin, after, limit).await
    }

    async fn keep_checkpoint(
        &self,
        checkpoint: &SignedCheckpoint,
    ) -> Result<SignedCheckpoint, CheckpointError> {
        self.tree.keep_checkpoint(checkpoint).await
    }

    async fn drop_checkpoints(&self, origin: &str, sizes: &[u64]) -> Result<u64, LogError> {
        self.tree.drop_checkpoints(origin, sizes).await
    }
}
