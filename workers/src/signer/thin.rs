//! Which checkpoints are kept: all of the last day, one an hour of the last
//! month, one a day before that. Proofs are made to newer ones.

use domain::ports::log::LogError;
use domain::ports::tree::{SignedCheckpoint, TreeLog};
use jiff::Timestamp;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const MONTH: i64 = 30 * DAY;
/// Looked at together.
const PAGE: usize = 1_000;

/// Drops what is not kept; never the newest, nor the one that is shown.
pub(super) async fn thin(
    tree: &dyn TreeLog,
    origin: &str,
    now: Timestamp,
    shown: Option<u64>,
) -> Result<(), LogError> {
    let (mut after, mut last) = (0, None);
    loop {
        let page = tree.checkpoints(origin, after, PAGE).await?;
        let Some(end) = page.last().map(|c| c.size) else { return Ok(()) };
        let old = page.iter().filter(|c| !keep(c, now, &mut last) && Some(c.size) != shown);
        let sizes: Vec<u64> = old.map(|c| c.size).collect();
        tree.drop_checkpoints(origin, &sizes).await?;
        after = end;
    }
}

/// The first of its time is kept.
fn keep(checkpoint: &SignedCheckpoint, now: Timestamp, last: &mut Option<(i64, i64)>) -> bool {
    let at = checkpoint.signed_at.as_second();
    let span = match now.as_second() - at {
        ..DAY => return true,
        DAY..MONTH => HOUR,
        _ => DAY,
    };
    let time = Some((span, at.div_euclid(span)));
    std::mem::replace(last, time) != time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_ones_grow_sparse() {
        let now = Timestamp::from_second(100 * DAY).unwrap();
        let kept = |from: i64, to: i64, every: usize| {
            let mut last = None;
            let ages = (from..to).step_by(every);
            ages.filter(|at| {
                let signed_at = Timestamp::from_second(*at).unwrap();
                let (origin, note) = ("log.example".to_owned(), String::new());
                keep(&SignedCheckpoint { origin, size: 1, root: [0; 32], note, signed_at }, now, &mut last)
            })
            .count()
        };
        assert_eq!(kept(99 * DAY + 1, 100 * DAY, 60), 24 * 60);
        assert_eq!(kept(90 * DAY, 92 * DAY, 60), 48);
        assert_eq!(kept(60 * DAY, 62 * DAY, 60), 2);
    }
}
