//! Answers the callers of a committed batch. A task of the runtime does it, so
//! that the writer goes on meanwhile and waking a caller is no system call.

use std::sync::Arc;

use domain::ports::log::{Append, AppendError, Receipt, Written};
use tokio::sync::mpsc;

use crate::MAX_NEWER;
use crate::log::Reads;
use crate::plan::{Conflict, Outcome, Plan};
use crate::queue::{Job, Outcomes};
use crate::tip::Tip;
use crate::written;

/// What the writer tells, in this order.
pub(crate) enum Told {
    /// The plan for these jobs is in the log.
    Committed(Vec<Job>, Box<Plan<'static>>),
    /// Somebody else appended, or the connection was lost.
    Forget,
}

/// Batches that may wait for their answers while the writer goes on.
pub(crate) const BATCHES: usize = 4;

pub(crate) struct Answers<R> {
    pub tip: Arc<Tip>,
    pub reads: Arc<R>,
}

impl<R: Reads> Answers<R> {
    /// Serves until the writer is gone.
    pub async fn run(self, mut told: mpsc::Receiver<Told>) {
        while let Some(news) = told.recv().await {
            match news {
                Told::Committed(jobs, plan) => self.answer(jobs, plan),
                Told::Forget => self.tip.clear(),
            }
        }
    }

    fn answer(&self, jobs: Vec<Job>, mut plan: Box<Plan<'static>>) {
        let batch: Vec<&Append> = jobs.iter().flat_map(|job| &job.appends).collect();
        let mut outcomes: Outcomes = (0..batch.len()).map(|i| plan.receipt(&batch, i)).collect();
        self.tip.extend(std::mem::take(&mut plan.events));
        let to_read = self.name_newer(&plan.outcomes, &mut outcomes);
        if to_read.is_empty() {
            reply(jobs, outcomes);
        } else {
            tokio::spawn(read_newer(self.reads.clone(), to_read, jobs, outcomes));
        }
    }

    /// Completes conflicts with the events that their callers don't know, and
    /// returns those whose events are not at the tip.
    fn name_newer(&self, planned: &[Outcome], outcomes: &mut Outcomes) -> Vec<(usize, Conflict)> {
        let mut to_read = Vec::new();
        for (index, outcome) in planned.iter().enumerate() {
            let Outcome::Conflict(conflict) = outcome else { continue };
            if conflict.actual <= conflict.known {
                continue;
            }
            let to = conflict.actual.min(conflict.known + MAX_NEWER as u64);
            match self.tip.newer(&conflict.stream, conflict.known, to) {
                Some(found) => set_newer(&mut outcomes[index], found),
                None => to_read.push((index, conflict.clone())),
            }
        }
        to_read
    }
}

async fn read_newer<R: Reads>(
    reads: Arc<R>,
    to_read: Vec<(usize, Conflict)>,
    jobs: Vec<Job>,
    mut outcomes: Outcomes,
) {
    let mut last: Option<(Conflict, Vec<Written>)> = None;
    for (index, conflict) in to_read {
        // Many who want to write to one stream often conflict together.
        let newer = match last.take() {
            Some((same, newer)) if same == conflict => newer,
            _ => {
                let limit = usize::try_from(conflict.actual - conflict.known).unwrap_or(MAX_NEWER);
                let found = reads.stream(&conflict.stream, conflict.known + 1, limit.min(MAX_NEWER)).await;
                // The conflict stands without their names.
                let found = found.inspect_err(|error| {
                    tracing::warn!(%error, "the events of a conflict could not be read");
                });
                found.map(|found| found.events.iter().map(written).collect()).unwrap_or_default()
            }
        };
        set_newer(&mut outcomes[index], newer.clone());
        last = Some((conflict, newer));
    }
    reply(jobs, outcomes);
}

pub(crate) fn reply(jobs: Vec<Job>, outcomes: Outcomes) {
    let mut outcomes = outcomes.into_iter();
    for job in jobs {
        let answer = outcomes.by_ref().take(job.appends.len()).collect();
        // A caller that has gone away needs no answer.
        let _ = job.reply.send(answer);
    }
}

fn set_newer(outcome: &mut Result<Receipt, AppendError>, found: Vec<Written>) {
    if let Err(AppendError::Conflict { newer, .. }) = outcome {
        *newer = found;
    }
}
