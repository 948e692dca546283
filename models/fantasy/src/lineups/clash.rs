//! Which limits cannot hold together.

use super::Slate;
use super::limits::Rule;
use super::portfolio::violation;

/// Limits that contradict one another. Without any one of them the rest can
/// hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", self.say())]
pub struct Clash {
    /// In words; empty if even the bare slate has no such lineups.
    pub rules: Vec<String>,
    /// Whether it is proved that there is no way, or only none was found.
    pub proved: bool,
}

impl Clash {
    fn say(&self) -> String {
        match (self.rules.as_slice(), self.proved) {
            ([], _) => "the slate has too few lineups below the salary cap".into(),
            (rules, true) => format!("these cannot hold together: {}", rules.join("; ")),
            (rules, false) => rules.join("; "),
        }
    }
}

/// Leaves out one rule after the other; what can be left out without making the
/// rest possible has no part in the contradiction.
pub fn clash(slate: &Slate, mut rules: Vec<Rule>, count: usize) -> Clash {
    let impossible = |rules: &[Rule]| violation(slate, rules, count) > 1e-6;
    // Halves first: most rules have no part in it.
    let mut step = rules.len().div_ceil(2);
    while step > 0 {
        let mut from = 0;
        while from < rules.len() {
            let to = (from + step).min(rules.len());
            let rest: Vec<Rule> = rules[..from].iter().chain(&rules[to..]).cloned().collect();
            if impossible(&rest) { rules = rest } else { from = to }
        }
        step /= 2;
    }
    Clash { rules: rules.iter().map(|rule| rule.say(slate)).collect(), proved: true }
}

#[cfg(test)]
mod tests {
    use super::super::search::tests::slate;
    use super::super::{Exposure, Group, Limits, Wrong, portfolio};

    fn refused(limits: &Limits, count: usize) -> Vec<String> {
        let (slate, values) = slate(20, 6, 3);
        match portfolio(&slate, limits, &values, count) {
            Err(Wrong::Clash(clash)) => {
                assert!(clash.proved);
                clash.rules
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_clashes_is_named() {
        let exposure = |driver: &str, min, max| Exposure { driver: driver.into(), min, max };
        let limits = Limits {
            lock: vec!["d3".into()],
            exclude: vec!["d7".into(), "d9".into()],
            exposures: vec![exposure("d7", 0.3, 1.0), exposure("d1", 0.2, 0.9)],
            max_per_team: Some(3),
            ..Limits::default()
        };
        assert_eq!(refused(&limits, 10), ["exclude d7", "d7 in at least 30 % of the lineups"]);
        let limits = Limits { lock: (0..7).map(|i| format!("d{i}")).collect(), ..Limits::default() };
        assert_eq!(refused(&limits, 1).len(), 7);
    }

    #[test]
    fn exposures_clash_with_groups_over_the_whole_portfolio() {
        // Each can be met alone; of three drivers, of whom a lineup has one at
        // most, all cannot be in every second one.
        let exposure = |i: usize| Exposure { driver: format!("d{i}"), min: 0.5, max: 1.0 };
        let group = Group {
            name: "the three".into(),
            drivers: vec!["d0".into(), "d1".into(), "d2".into()],
            min: 0,
            max: Some(1),
        };
        let limits =
            Limits { groups: vec![group], exposures: (0..4).map(exposure).collect(), ..Limits::default() };
        let named = refused(&limits, 10);
        assert_eq!(named.len(), 4, "{named:?}");
        assert!(
            named.contains(&"at most 1 of the three".to_owned())
                && !named.iter().any(|r| r.starts_with("d3"))
        );
    }

    #[test]
    fn a_slate_of_five_has_no_lineup_of_six() {
        let (slate, values) = slate(5, 6, 3);
        let error = portfolio(&slate, &Limits::default(), &values, 1).unwrap_err();
        assert_eq!(error.to_string(), "the slate has too few lineups below the salary cap");
    }
}
