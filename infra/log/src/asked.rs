//! One question to the database for all who ask at the same time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::ports::log::LogError;
use tokio::sync::Mutex;

/// How long another's question is waited for before one's own is put.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everybody who follows the log looks for more after each append, and finds
/// what the others find.
pub(crate) struct AskedHead {
    begun: AtomicU64,
    last: Mutex<Answer>,
}

struct Answer {
    /// Of its question, by when that began.
    number: u64,
    head: u64,
}

impl AskedHead {
    pub fn new() -> Self {
        Self { begun: AtomicU64::new(0), last: Mutex::new(Answer { number: 0, head: 0 }) }
    }

    /// The answer to `ask`, or to a question that began after this was called.
    pub async fn head(&self, ask: impl Future<Output = Result<u64, LogError>>) -> Result<u64, LogError> {
        let before = self.begun.load(Ordering::SeqCst);
        let Ok(mut last) = tokio::time::timeout(PATIENCE, self.last.lock()).await else {
            return ask.await;
        };
        if last.number <= before {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            *last = Answer { number, head: ask.await? };
        }
        Ok(last.head)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Semaphore;

    use super::*;

    struct Bed {
        asked: AskedHead,
        questions: AtomicUsize,
        answers: Semaphore,
    }

    impl Bed {
        async fn head(&self) -> Result<u64, LogError> {
            let ask = async {
                let number = self.questions.fetch_add(1, Ordering::SeqCst) as u64 + 1;
                self.answers.acquire().await.unwrap().forget();
                if number == 7 {
                    std::future::pending::<()>().await;
                }
                if number == 5 { Err(LogError::Unavailable("away".to_owned())) } else { Ok(number) }
            };
            self.asked.head(ask).await
        }
    }

    /// On one thread: what is spawned runs up to where it waits.
    async fn come(bed: &Arc<Bed>, count: usize) -> Vec<tokio::task::JoinHandle<Result<u64, LogError>>> {
        let one = |_| {
            let bed = bed.clone();
            tokio::spawn(async move { bed.head().await })
        };
        let all = (0..count).map(one).collect();
        tokio::task::yield_now().await;
        all
    }

    #[tokio::test]
    async fn who_comes_while_a_question_is_under_way_shares_the_next() {
        let bed = Arc::new(Bed { asked: AskedHead::new(), questions: 0.into(), answers: Semaphore::new(0) });
        let first = come(&bed, 1).await;
        let later = come(&bed, 5).await;
        assert_eq!(bed.questions.load(Ordering::SeqCst), 1);
        bed.answers.add_permits(2);
        for (task, expected) in first.into_iter().zip([1]).chain(later.into_iter().zip([2; 5])) {
            assert_eq!(task.await.unwrap(), Ok(expected));
        }
        assert_eq!(bed.questions.load(Ordering::SeqCst), 2);

        // One who leaves in the middle leaves no answer.
        let gone = come(&bed, 1).await;
        let waiting = come(&bed, 2).await;
        gone[0].abort();
        tokio::task::yield_now().await;
        bed.answers.add_permits(1);
        for task in waiting {
            assert_eq!(task.await.unwrap(), Ok(4));
        }
        assert_eq!(bed.questions.load(Ordering::SeqCst), 4);

        // A failure is nobody else's answer.
        let failed = come(&bed, 1).await;
        let waiting = come(&bed, 2).await;
        bed.answers.add_permits(2);
        for task in failed {
            assert!(task.await.unwrap().is_err());
        }
        for task in waiting {
            assert_eq!(task.await.unwrap(), Ok(6));
        }

        // One that hangs holds nobody up for long.
        let hanging = come(&bed, 1).await;
        bed.answers.add_permits(2);
        assert_eq!(bed.head().await, Ok(8));
        assert!(!hanging[0].is_finished());
    }
}
