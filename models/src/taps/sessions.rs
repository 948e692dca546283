//! Visits: taps of one visitor without a longer pause between them.
//!
//! A visit is what remains when instants that are at most a gap apart are
//! joined, so it does not matter in which order they come: a late tap may
//! lengthen a visit or make one of two.

use serde::{Deserialize, Serialize};

/// Visits of one visitor that are kept; with more, a tap outside of all of them
/// is a visit of its own that nothing joins later.
pub const MAX_SESSIONS: usize = 1_000;

/// First and last instant in microseconds since 1970, and taps. An array in
/// JSON, as there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session(pub i64, pub i64, pub u64);

impl Session {
    pub fn seconds(self) -> u64 {
        u64::try_from((self.1 - self.0) / 1_000_000).unwrap_or(0)
    }
}

/// All visits of an event in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    pub count: u64,
    /// Visits of one tap only.
    pub single: u64,
    /// Taps with a visitor.
    pub taps: u64,
    /// Lengths, each in whole seconds, added up.
    pub seconds: u64,
    pub longest_seconds: u64,
}

impl Sessions {
    /// The figures of both, which share no visitor.
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            single: self.single + other.single,
            taps: self.taps + other.taps,
            seconds: self.seconds + other.seconds,
            longest_seconds: self.longest_seconds.max(other.longest_seconds),
        }
    }

    fn add(&mut self, session: Session) {
        self.count += 1;
        self.single += u64::from(session.2 == 1);
        self.taps += session.2;
        self.seconds += session.seconds();
        // Visits only grow, so the longest never has to be taken back.
        self.longest_seconds = self.longest_seconds.max(session.seconds());
    }

    fn remove(&mut self, session: Session) {
        self.count = self.count.saturating_sub(1);
        self.single = self.single.saturating_sub(u64::from(session.2 == 1));
        self.taps = self.taps.saturating_sub(session.2);
        self.seconds = self.seconds.saturating_sub(session.seconds());
    }
}

/// Adds a tap to a visitor's visits, which are in order of time, and to the
/// figures that these visits are part of.
pub fn add(visits: &mut Vec<Session>, at: i64, gap_seconds: u32, figures: &mut Sessions) {
    let gap = i64::from(gap_seconds) * 1_000_000;
    let from = visits.partition_point(|s| s.1 < at - gap);
    let to = visits.partition_point(|s| s.0 <= at + gap);
    let mut joined = Session(at, at, 1);
    for near in &visits[from..to] {
        figures.remove(*near);
        joined = Session(joined.0.min(near.0), joined.1.max(near.1), joined.2 + near.2);
    }
    figures.add(joined);
    if from < to || visits.len() < MAX_SESSIONS {
        visits.splice(from..to, [joined]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fold(seconds: &[i64], gap: u32) -> (Vec<Session>, Sessions) {
        let (mut visits, mut figures) = (Vec::new(), Sessions::default());
        for second in seconds {
            add(&mut visits, second * 1_000_000, gap, &mut figures);
        }
        (visits, figures)
    }

    #[test]
    fn a_late_tap_joins_two_visits() {
        let (visits, figures) = fold(&[0, 10, 100, 55], 50);
        assert_eq!(visits, [Session(0, 100_000_000, 4)]);
        assert_eq!(figures, Sessions { count: 1, single: 0, taps: 4, seconds: 100, longest_seconds: 100 });
        let (visits, figures) = fold(&[0, 51, 200], 50);
        assert_eq!(visits.len(), 3);
        assert_eq!((figures.count, figures.single, figures.seconds), (3, 3, 0));
    }

    proptest! {
        #[test]
        fn the_order_changes_nothing(mut seconds in prop::collection::vec(0i64..3_000, 0..60), gap in 60u32..200) {
            let as_given = fold(&seconds, gap);
            seconds.sort_unstable();
            let in_order = fold(&seconds, gap);
            prop_assert_eq!(&as_given, &in_order);
            // By hand: a pause longer than the gap ends a visit.
            let pauses = seconds.windows(2).filter(|w| w[1] - w[0] > i64::from(gap)).count();
            let count = if seconds.is_empty() { 0 } else { pauses + 1 };
            prop_assert_eq!(in_order.1.count, count as u64);
            prop_assert_eq!(in_order.1.taps, seconds.len() as u64);
            prop_assert_eq!(in_order.1.seconds, in_order.0.iter().map(|s| s.seconds()).sum::<u64>());
        }
    }
}
