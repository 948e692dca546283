//! The best lineups by the sum of a value of each driver, exactly.
//!
//! Players are tried best first. A branch ends where even the best players left
//! would not reach the last of the lineups kept, or the cheapest would cost too
//! much. Of lineups that are worth the same any will do: once there are enough,
//! a branch that could only add more of them ends too. The order of the search
//! is fixed, so the answer is one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Slate;
use super::limits::{Rule, Set};

/// Sums that are this near are the same, in parts of all values together: it
/// is what adding them up in another order can change.
const SAME: f64 = 1e-13;

/// A lineup.
#[derive(Debug, Clone, PartialEq)]
pub struct Lineup {
    /// Who is in it: bit i is player i of the slate.
    pub set: Set,
    /// What it costs.
    pub salary: u32,
    /// Sum of the values.
    pub value: f64,
}

impl Lineup {
    /// Its players' places in the slate, ascending.
    pub fn players(&self) -> impl Iterator<Item = usize> {
        let mut rest = self.set;
        std::iter::from_fn(move || {
            let player = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(player)
        })
    }
}

/// A lineup among those kept; the worst is the greatest.
struct Kept(Lineup);

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Kept {}
impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.value.total_cmp(&self.0.value).then(self.0.set.cmp(&other.0.set))
    }
}

/// The best `count` lineups that keep to the rules, best first; fewer if there
/// are not so many. Exposures are for [`super::portfolio`] and ignored here.
/// `values` may be negative, and must be finite.
pub fn best(slate: &Slate, rules: &[Rule], values: &[f64], count: usize) -> Vec<Lineup> {
    apart(slate, rules, values, count, &[], slate.roster)
}

/// As [`best`], of lineups that are worth more than this.
pub fn above(slate: &Slate, rules: &[Rule], values: &[f64], count: usize, floor: f64) -> Vec<Lineup> {
    let Some(mut search) = Search::new(slate, rules, values, count) else { return Vec::new() };
    search.floor = floor;
    search.told(slate)
}

/// As [`best`], of lineups that share at most `most` players with each of
/// `others`.
pub fn apart(
    slate: &Slate,
    rules: &[Rule],
    values: &[f64],
    count: usize,
    others: &[Set],
    most: usize,
) -> Vec<Lineup> {
    let Some(mut search) = Search::new(slate, rules, values, count) else { return Vec::new() };
    search.others = others.iter().map(|other| search.own(*other)).collect();
    search.most_shared = small(most);
    search.told(slate)
}

/// More than any roster has is as good as any more.
fn small(limit: usize) -> u32 {
    limit.min(64) as u32
}

struct Search {
    /// By place in the order of values; sets below are in this order too.
    values: Vec<f64>,
    salaries: Vec<u32>,
    /// Places in the slate.
    order: Vec<usize>,
    /// `sums[i]` is the value of the first i players.
    sums: Vec<f64>,
    /// What a lineup must be worth more to be better.
    margin: f64,
    /// `cheapest[i][r]`: what r players of i and later cost at least.
    cheapest: Vec<Vec<u32>>,
    at_least: Vec<(Set, u32)>,
    at_most: Vec<(Set, u32)>,
    stacks: Vec<(Vec<Set>, u32)>,
    others: Vec<Set>,
    most_shared: u32,
    min_salary: u32,
    cap: u32,
    count: usize,
    kept: BinaryHeap<Kept>,
    /// What a lineup must be worth more than: at last the worst that is kept.
    floor: f64,
    locked: Set,
    /// Branches that were looked at.
    #[cfg(test)]
    visited: usize,
}

impl Search {
    /// `None` where no lineup can be.
    fn new(slate: &Slate, rules: &[Rule], values: &[f64], count: usize) -> Option<Self> {
        let (mut locked, mut excluded, mut min_salary): (Set, Set, u32) = (0, 0, 0);
        for rule in rules {
            match rule {
                Rule::Lock(player) => locked |= 1 << player,
                Rule::Exclude(player) => excluded |= 1 << player,
                Rule::MinSalary(salary) => min_salary = min_salary.max(*salary),
                _ => {}
            }
        }
        if locked & excluded != 0 || locked.count_ones() as usize > slate.roster || count == 0 {
            return None;
        }
        let mut order: Vec<usize> = (0..slate.players.len()).filter(|i| excluded >> i & 1 == 0).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        let mut search = Self {
            values: order.iter().map(|i| values[*i]).collect(),
            salaries: order.iter().map(|i| slate.players[*i].salary).collect(),
            sums: vec![0.0],
            margin: SAME * values.iter().map(|value| value.abs()).sum::<f64>(),
            cheapest: Vec::new(),
            at_least: Vec::new(),
            at_most: Vec::new(),
            stacks: Vec::new(),
            others: Vec::new(),
            most_shared: 0,
            min_salary,
            cap: slate.cap,
            count,
            kept: BinaryHeap::with_capacity(count + 1),
            floor: f64::NEG_INFINITY,
            locked: 0,
            #[cfg(test)]
            visited: 0,
            order,
        };
        for value in &search.values {
            search.sums.push(search.sums.last().copied().unwrap_or_default() + value);
        }
        search.cheapest = cheapest(&search.salaries, slate.roster);
        search.locked = search.own(locked);
        for rule in rules {
            match rule {
                Rule::AtLeast(set, n, _) => search.at_least.push((search.own(*set), small(*n))),
                Rule::AtMost(set, n, _) => search.at_most.push((search.own(*set), small(*n))),
                Rule::Stack(sets, n, _) => {
                    search.stacks.push((sets.iter().map(|s| search.own(*s)).collect(), small(*n)));
                }
                _ => {}
            }
        }
        Some(search)
    }

    /// A set of the slate's places, in the order of values.
    fn own(&self, set: Set) -> Set {
        self.order.iter().enumerate().fold(0, |own, (i, player)| own | (set >> player & 1) << i)
    }

    fn slates(&self, own: Set) -> Set {
        self.order.iter().enumerate().fold(0, |set, (i, player)| set | (own >> i & 1) << player)
    }

    /// Searches; what was found, best first.
    fn told(mut self, slate: &Slate) -> Vec<Lineup> {
        self.run(slate);
        let mut kept = std::mem::take(&mut self.kept).into_vec();
        kept.sort();
        kept.into_iter().map(|Kept(lineup)| Lineup { set: self.slates(lineup.set), ..lineup }).collect()
    }

    fn run(&mut self, slate: &Slate) {
        let locked: Vec<usize> = (0..self.order.len()).filter(|i| self.locked >> i & 1 == 1).collect();
        let salary: u32 = locked.iter().map(|i| self.salaries[*i]).sum();
        let value = locked.iter().map(|i| self.values[*i]).sum();
        self.pick(0, self.locked, salary, value, slate.roster - locked.len());
    }

    /// Picks `left` more of the players from `from` on.
    fn pick(&mut self, from: usize, set: Set, salary: u32, value: f64, left: usize) {
        #[cfg(test)]
        {
            self.visited += 1;
        }
        if left == 0 {
            return self.keep(set, salary, value);
        }
        for i in from..(self.order.len() + 1).saturating_sub(left) {
            // Players that are locked are in the set already; with them in it
            // the sum is still a bound.
            if value + self.sums[i + left] - self.sums[i] <= self.floor + self.margin {
                return;
            }
            if set >> i & 1 == 1 {
                continue;
            }
            let (set, salary) = (set | 1 << i, salary + self.salaries[i]);
            let rest = self.cheapest[i + 1].get(left - 1).copied().unwrap_or(u32::MAX);
            if salary.saturating_add(rest) > self.cap || !self.may(set) {
                continue;
            }
            self.pick(i + 1, set, salary, value + self.values[i], left - 1);
        }
    }

    /// Whether more players could make it a lineup, as far as upper limits say.
    fn may(&self, set: Set) -> bool {
        self.at_most.iter().all(|(of, most)| (set & of).count_ones() <= *most)
            && self.others.iter().all(|other| (set & other).count_ones() <= self.most_shared)
    }

    fn keep(&mut self, set: Set, salary: u32, value: f64) {
        let of_one = |(sets, least): &(Vec<Set>, u32)| sets.iter().any(|s| (set & s).count_ones() >= *least);
        if salary > self.cap
            || salary < self.min_salary
            || !self.may(set)
            || !self.at_least.iter().all(|(of, least)| (set & of).count_ones() >= *least)
            || !self.stacks.iter().all(of_one)
        {
            return;
        }
        if value <= self.floor {
            return;
        }
        let new = Kept(Lineup { set, salary, value });
        if self.kept.len() < self.count {
            self.kept.push(new);
        } else if let Some(mut worst) = self.kept.peek_mut() {
            *worst = new;
        }
        if self.kept.len() == self.count
            && let Some(Kept(worst)) = self.kept.peek()
        {
            self.floor = worst.value;
        }
    }
}

/// For each place the sums of the r lowest salaries from there on.
fn cheapest(salaries: &[u32], roster: usize) -> Vec<Vec<u32>> {
    let mut lowest: Vec<u32> = Vec::new();
    let mut sums = vec![vec![0]; salaries.len() + 1];
    for i in (0..salaries.len()).rev() {
        let at = lowest.partition_point(|s| *s < salaries[i]);
        lowest.insert(at, salaries[i]);
        lowest.truncate(roster);
        let mut total = 0;
        for salary in &lowest {
            total += salary;
            sums[i].push(total);
        }
    }
    sums
}

#[cfg(test)]
#[allow(missing_docs, reason = "shared by the tests of this folder")]
pub mod tests {
    use proptest::prelude::*;

    use super::super::{Group, Limits, Player};
    use super::*;
    use crate::rng::Rng;

    /// A slate as a race has it: dear drivers are worth more.
    pub fn slate(players: usize, roster: usize, seed: u64) -> (Slate, Vec<f64>) {
        let mut rng = Rng::new(seed);
        let (mut list, mut values) = (Vec::new(), Vec::new());
        for i in 0..players {
            let salary = 4_500 + 100 * rng.below(65) as u32;
            list.push(Player {
                driver: format!("d{i}"),
                salary,
                team: Some(format!("t{}", i % 11)),
                make: Some(["Ford", "Chevrolet", "Toyota"][i % 3].into()),
            });
            values.push(f64::from(salary) / 250.0 + 6.0 * rng.normal());
        }
        (Slate { players: list, roster, cap: 50_000 * roster as u32 / 6 }, values)
    }

    /// All lineups, looked at one by one.
    fn plainly(slate: &Slate, rules: &[Rule], values: &[f64], count: usize) -> Vec<Lineup> {
        let n = slate.players.len();
        let mut all = Vec::new();
        for set in 0..1u64 << n {
            let lineup = Lineup { set, salary: 0, value: 0.0 };
            let players: Vec<usize> = lineup.players().collect();
            let salary = players.iter().map(|i| slate.players[*i].salary).sum();
            let of = |s: &Set| (set & s).count_ones() as usize;
            let keeps = |rule: &Rule| match rule {
                Rule::Lock(i) => set >> i & 1 == 1,
                Rule::Exclude(i) => set >> i & 1 == 0,
                Rule::AtLeast(s, n, _) => of(s) >= *n,
                Rule::AtMost(s, n, _) => of(s) <= *n,
                Rule::Stack(sets, n, _) => sets.iter().any(|s| of(s) >= *n),
                Rule::MinSalary(least) => salary >= *least,
                _ => true,
            };
            if players.len() == slate.roster && salary <= slate.cap && rules.iter().all(keeps) {
                all.push(Lineup { set, salary, value: players.iter().map(|i| values[*i]).sum() });
            }
        }
        all.sort_by(|a, b| b.value.total_cmp(&a.value));
        all.truncate(count);
        all
    }

    fn same(a: &[Lineup], b: &[Lineup]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a.value - b.value).abs() < 1e-9)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn nothing_better_is_missed(seed: u64, count in 1usize..60, lock in 0usize..14, most in 1usize..4) {
            let (slate, values) = slate(14, 4, seed);
            let limits = Limits {
                lock: vec![format!("d{lock}")],
                exclude: vec![format!("d{}", (lock + 1) % 14)],
                groups: vec![Group {
                    name: "g".into(),
                    drivers: (0..7).map(|i| format!("d{i}")).collect(),
                    min: 1,
                    max: Some(3),
                }],
                min_salary: Some(26_000),
                max_per_make: Some(most + 1),
                make_stack: Some(2),
                ..Limits::default()
            };
            let rules = limits.rules(&slate).unwrap();
            let found = best(&slate, &rules, &values, count);
            prop_assert!(same(&found, &plainly(&slate, &rules, &values, count)));
            let free = best(&slate, &[], &values, count);
            prop_assert!(same(&free, &plainly(&slate, &[], &values, count)));
            for lineup in found {
                let salary: u32 = lineup.players().map(|i| slate.players[i].salary).sum();
                prop_assert_eq!(salary, lineup.salary);
            }
        }
    }

    #[test]
    fn lineups_are_apart_from_others() {
        let (slate, values) = slate(20, 6, 3);
        let first = best(&slate, &[], &values, 1);
        let others = [first[0].set];
        for lineup in apart(&slate, &[], &values, 20, &others, 3) {
            assert!((lineup.set & first[0].set).count_ones() <= 3);
        }
    }

    /// Told apart by nothing, 3.8 million lineups are as good as one another.
    #[test]
    fn of_equal_drivers_the_same_lineups_are_the_best() {
        let (slate, _) = slate(40, 6, 3);
        let values = vec![31.7; 40];
        let first = best(&slate, &[], &values, 150);
        assert_eq!(first.len(), 150);
        assert!(first.iter().all(|l| l.salary <= slate.cap && (l.value - 190.2).abs() < 1e-9));
        assert_eq!(best(&slate, &[], &values, 150), first);
    }

    /// How many branches the search of 150 lineups looks at, at most, on some
    /// slates of 40 drivers with these salaries and values.
    fn visited(salary: fn(usize, u32) -> u32, value: fn(usize, u32) -> f64) -> usize {
        let of = |seed| {
            let (mut slate, _) = slate(40, 6, seed);
            for (i, player) in slate.players.iter_mut().enumerate() {
                player.salary = salary(i, player.salary);
            }
            let players = slate.players.iter().enumerate();
            let values: Vec<f64> = players.map(|(i, player)| value(i, player.salary)).collect();
            let mut search = Search::new(&slate, &[], &values, 150).unwrap();
            search.run(&slate);
            assert_eq!(search.kept.len(), 150);
            search.visited
        };
        (0..12).map(of).max().unwrap_or_default()
    }

    /// There are 3.8 million lineups.
    #[test]
    fn equal_values_and_salaries_are_searched_in_few_steps() {
        let own = |_: usize, salary: u32| salary;
        let flat = |_: usize, _: u32| 8_000;
        let steps = |_: usize, salary: u32| 5_000 + salary / 1_600 % 4 * 2_000;
        let proportional = |_: usize, salary: u32| f64::from(salary) / 250.0;
        let most = [
            ("equal", visited(own, |_, _| 31.7)),
            ("equal, salaries too", visited(flat, |_, _| 31.7)),
            ("two levels", visited(own, |i, _| (i % 2) as f64)),
            ("five levels", visited(own, |i, _| (i % 5) as f64 * 7.0)),
            ("one better", visited(own, |i, _| if i == 0 { 40.0 } else { 20.0 })),
            ("equal salaries", visited(flat, |i, _| i as f64)),
            ("as dear as good", visited(own, proportional)),
            ("as dear as good, in steps", visited(steps, proportional)),
            ("as dear as good, rounded", visited(own, |_, salary| f64::from(salary / 1_000))),
            ("the cheaper the better", visited(own, |_, salary| -f64::from(salary))),
        ];
        assert!(most.iter().all(|(_, visited)| *visited < 200_000), "{most:?}");
    }

    #[test]
    fn a_slate_that_is_too_small_has_no_lineup() {
        let (slate, values) = slate(5, 6, 1);
        assert_eq!(best(&slate, &[], &values, 10), []);
    }
}
