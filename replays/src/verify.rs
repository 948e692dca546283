//! Building a generation again, to see whether it comes out the same.

use std::time::Duration;

use domain::decide::Rejection;
use domain::ports::rows::{GenerationId, GenerationStatus};
use domain::replay::{Command, Verified};
use projections::instantiate;
use tokio_util::sync::CancellationToken;

use crate::build::{Builder, Options};
use crate::checksum::Checksum;
use crate::decisions::By;
use crate::engine::Engine;
use crate::error::ReplayError;

impl Engine {
    /// Builds the generation (the live one unless named) again up to where it
    /// stands now, compares the checksums and records what came out.
    pub async fn verify(
        &self,
        projection: &str,
        generation: Option<u32>,
        by: &By,
    ) -> Result<Verified, ReplayError> {
        let verified = self.reproduce(projection, generation).await?;
        self.simple(projection, verified.generation, Command::Verify(verified.clone()), by).await?;
        Ok(verified)
    }

    /// As [`Engine::verify`], and records nothing.
    pub async fn reproduce(
        &self,
        projection: &str,
        generation: Option<u32>,
    ) -> Result<Verified, ReplayError> {
        let generation = match generation {
            Some(number) => self.find(projection, number).await?,
            None => {
                let live =
                    self.of(projection).await?.into_iter().find(|g| g.status == GenerationStatus::Live);
                live.ok_or_else(|| ReplayError::UnknownProjection(projection.into()))?
            }
        };
        let folded_by = instantiate(projection, &generation.model)?;
        let mut snapshot = self.generations.snapshot(&generation.id).await?;
        let position = snapshot.position();
        let stored = Checksum::of(&mut *snapshot).await?;
        drop(snapshot);
        let head = self.log.head().await?.position;
        if position > head {
            let reason = format!("the rows are at {position}, the history to fold ends at {head}");
            return Err(Rejection::State(reason).into());
        }
        let scratch = self.generations.create(projection, &generation.model, folded_by.tables()).await?;
        let rebuilt = self.rebuild(&scratch, &generation.id, position).await;
        self.drop_scratch(&scratch.id).await;
        let rebuilt = rebuilt?;
        Ok(Verified {
            generation: generation.id.number,
            position,
            same: stored == rebuilt,
            checksum: stored.hex(),
            rebuilt: rebuilt.hex(),
        })
    }

    async fn rebuild(
        &self,
        scratch: &domain::ports::rows::Generation,
        original: &GenerationId,
        position: u64,
    ) -> Result<Checksum, ReplayError> {
        let folded_by = instantiate(&scratch.id.projection, &scratch.model)?;
        let mut options = Options::new(format!("verify-{}", self.ids.next())).within(self.memory);
        options.left_out_of = Some(original.clone());
        let builder = Builder {
            log: self.log.clone(),
            rows: self.rows.clone(),
            generations: self.generations.clone(),
            sealed: self.sealed.clone(),
            board: self.board.clone(),
            options,
        };
        builder.run(scratch, folded_by, Some(position), &CancellationToken::new()).await?;
        Ok(Checksum::of(&mut *self.generations.snapshot(&scratch.id).await?).await?)
    }

    async fn drop_scratch(&self, id: &GenerationId) {
        for _ in 0..3 {
            match self.generations.drop_generation(id).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(generation = %id, %error, "scratch rows not dropped"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
