use std::sync::Arc;
use std::time::Duration;

use domain::ports::rows::{Lease, RowStore, RowsError};
use tokio_util::sync::CancellationToken;

/// Renews a lease beside the work, however long a batch takes.
pub struct Renewal {
    /// Cancelled once the lease is somebody else's.
    pub lost: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Renewal {
    pub fn start(rows: Arc<dyn RowStore>, lease: Lease, ttl: Duration) -> Self {
        let lost = CancellationToken::new();
        let signal = lost.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(ttl / 3).await;
                // A store that does not answer says nothing about the lease.
                if let Err(RowsError::LeaseLost) = rows.renew(&lease, ttl).await {
                    return signal.cancel();
                }
            }
        });
        Self { lost, task }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}
