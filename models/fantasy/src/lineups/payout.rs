//! A contest: how many lineups it has, what one costs, and what places pay.

use serde::{Deserialize, Serialize};

/// Most lineups of a contest.
pub const MAX_ENTRIES: u32 = 1_000_000;
/// Most ranges of places.
pub const MAX_RANGES: usize = 500;
/// Most dollars of one prize.
const MAX_PRIZE: f64 = 1e8;

/// Places that are paid alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prize {
    /// The first of them, from 1.
    pub from: u32,
    /// The last of them.
    pub to: u32,
    /// Dollars for each.
    pub amount: f64,
}

/// A contest as its site describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contest {
    /// Lineups, with one's own.
    pub entries: u32,
    /// Dollars for each lineup.
    #[serde(default)]
    pub entry_fee: f64,
    /// From the first place on, without a gap.
    pub prizes: Vec<Prize>,
}

/// A member that cannot be meant, by its JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Of the member.
    pub pointer: String,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pointer, self.reason)
    }
}

impl std::error::Error for Bad {}

fn bad(pointer: impl Into<String>, reason: impl Into<String>) -> Bad {
    Bad { pointer: pointer.into(), reason: reason.into() }
}

impl Contest {
    /// What cannot be meant is named.
    ///
    /// # Errors
    /// The first member that does not hold.
    pub fn check(&self) -> Result<(), Bad> {
        if !(2..=MAX_ENTRIES).contains(&self.entries) {
            return Err(bad("/entries", format!("must be 2 to {MAX_ENTRIES}")));
        }
        let dollars = |amount: f64| (0.0..=MAX_PRIZE).contains(&amount);
        if !dollars(self.entry_fee) {
            return Err(bad("/entry_fee", format!("must be 0 to {MAX_PRIZE}")));
        }
        if self.prizes.is_empty() || self.prizes.len() > MAX_RANGES {
            return Err(bad("/prizes", format!("must have 1 to {MAX_RANGES} ranges")));
        }
        let (mut next, mut least) = (1, f64::INFINITY);
        for (i, prize) in self.prizes.iter().enumerate() {
            let at = |member: &str| format!("/prizes/{i}/{member}");
            if prize.from != next {
                return Err(bad(at("from"), format!("must be {next}")));
            }
            if prize.to < prize.from || prize.to > self.entries {
                return Err(bad(at("to"), format!("must be {} to {}", prize.from, self.entries)));
            }
            if !dollars(prize.amount) {
                return Err(bad(at("amount"), format!("must be 0 to {MAX_PRIZE}")));
            }
            if prize.amount > least {
                return Err(bad(at("amount"), "is more than a better place is paid"));
            }
            (next, least) = (prize.to + 1, prize.amount);
        }
        Ok(())
    }

    /// Opponents that stand for the contest's, so many at most.
    pub fn rivals(&self, most: usize) -> usize {
        most.min(self.entries as usize - 1)
    }

    /// The prize that is expected where so many of the rivals are ahead, none
    /// first. Of more opponents than rivals each stands for several: a lineup
    /// between two of them is at any of the places in between.
    pub fn by_rivals_ahead(&self, rivals: usize) -> Vec<f64> {
        let width = f64::from(self.entries) / (rivals + 1) as f64;
        let paid = |ahead: usize| {
            let (from, to) = (ahead as f64 * width, (ahead + 1) as f64 * width);
            let overlap = |prize: &Prize| {
                let (first, last) = (f64::from(prize.from - 1), f64::from(prize.to));
                prize.amount * (last.min(to) - first.max(from)).max(0.0)
            };
            self.prizes.iter().map(overlap).sum::<f64>() / width
        };
        let mut prizes: Vec<f64> = (0..=rivals).map(paid).collect();
        while prizes.last() == Some(&0.0) {
            prizes.pop();
        }
        prizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contest(entries: u32, prizes: &[(u32, u32, f64)]) -> Contest {
        let prize = |(from, to, amount): &(u32, u32, f64)| Prize { from: *from, to: *to, amount: *amount };
        Contest { entries, entry_fee: 10.0, prizes: prizes.iter().map(prize).collect() }
    }

    #[test]
    fn a_table_has_no_gaps_and_pays_better_places_more() {
        let fault = |entries, prizes: &[_]| contest(entries, prizes).check().unwrap_err().to_string();
        assert_eq!(contest(10, &[(1, 1, 50.0), (2, 4, 10.0)]).check(), Ok(()));
        assert_eq!(fault(10, &[(1, 1, 50.0), (3, 4, 10.0)]), "/prizes/1/from must be 2");
        assert_eq!(fault(10, &[(2, 3, 50.0)]), "/prizes/0/from must be 1");
        assert_eq!(fault(10, &[(1, 11, 50.0)]), "/prizes/0/to must be 1 to 10");
        assert_eq!(
            fault(10, &[(1, 1, 5.0), (2, 2, 6.0)]),
            "/prizes/1/amount is more than a better place is paid"
        );
        assert_eq!(fault(10, &[(1, 1, f64::NAN)]), "/prizes/0/amount must be 0 to 100000000");
        assert_eq!(fault(1, &[(1, 1, 5.0)]), "/entries must be 2 to 1000000");
        assert_eq!(fault(10, &[]), "/prizes must have 1 to 500 ranges");
        let free = Contest { entry_fee: -1.0, ..contest(10, &[(1, 1, 5.0)]) };
        assert_eq!(free.check().unwrap_err().pointer, "/entry_fee");
    }

    #[test]
    fn rivals_stand_for_the_whole_field() {
        let small = contest(4, &[(1, 1, 30.0), (2, 2, 10.0)]);
        assert_eq!((small.rivals(500), small.by_rivals_ahead(3)), (3, vec![30.0, 10.0]));
        // Each of 9 rivals stands for ten opponents.
        let large = contest(100, &[(1, 1, 500.0), (2, 20, 20.0)]);
        let paid = large.by_rivals_ahead(large.rivals(9));
        assert_eq!(paid.len(), 2);
        assert!((paid[0] - 68.0).abs() < 1e-9 && (paid[1] - 20.0).abs() < 1e-9, "{paid:?}");
        // All that is paid, whoever gets it.
        let sum =
            |rivals: usize| large.by_rivals_ahead(rivals).iter().sum::<f64>() * 100.0 / (rivals + 1) as f64;
        for rivals in [1, 7, 9, 99] {
            assert!((sum(rivals) - 880.0).abs() < 1e-9);
        }
    }
}
