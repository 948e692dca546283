//! Reads ahead: pages of the log, in order, while the ones before are folded.

use std::sync::Arc;

use domain::ports::log::{EventLog, LogError, Page, ReadFilter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pages that wait to be folded.
const AHEAD: usize = 2;

pub struct Reader {
    pages: mpsc::Receiver<Result<Page, LogError>>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Pages past `after` up to `target`, which is in the log.
    pub fn start(log: Arc<dyn EventLog>, filter: ReadFilter, after: u64, target: u64, limit: usize) -> Self {
        let (give, pages) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move {
            let mut position = after;
            while position < target {
                let read = log.read(position, limit, &filter).await.map(|mut page| {
                    page.events.retain(|e| e.position <= target);
                    page.through = page.through.min(target);
                    page
                });
                let stuck = read.as_ref().map_or(true, |page| page.through <= position);
                position = read.as_ref().map_or(target, |page| page.through);
                if give.send(read).await.is_err() || stuck {
                    return;
                }
            }
        });
        Self { pages, task }
    }

    /// `None` at the target.
    pub async fn next(&mut self) -> Option<Result<Page, LogError>> {
        self.pages.recv().await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
