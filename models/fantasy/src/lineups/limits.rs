//! What lineups must keep to, beside roster and salary cap.

use serde::{Deserialize, Serialize};

use super::{Slate, Wrong};

/// Limits by drivers' keys. Nothing is limited unless it is named.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// In every lineup; also the spots of a late swap that have started.
    pub lock: Vec<String>,
    /// In none.
    pub exclude: Vec<String>,
    /// How many of some drivers.
    pub groups: Vec<Group>,
    /// Least that a lineup costs.
    pub min_salary: Option<u32>,
    /// Most drivers of one team.
    pub max_per_team: Option<usize>,
    /// Most drivers of one make.
    pub max_per_make: Option<usize>,
    /// At least so many drivers of one team, whichever.
    pub team_stack: Option<usize>,
    /// At least so many drivers of one make, whichever.
    pub make_stack: Option<usize>,
    /// Most drivers that two lineups share.
    pub max_shared: Option<usize>,
    /// Bounds over all lineups of a portfolio, for drivers named.
    pub exposures: Vec<Exposure>,
    /// The bound of drivers that are not named.
    pub max_exposure: Option<f64>,
}

/// How many of some drivers a lineup has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// For messages.
    pub name: String,
    /// Who.
    pub drivers: Vec<String>,
    /// At least.
    #[serde(default)]
    pub min: usize,
    /// At most.
    pub max: Option<usize>,
}

/// In what part of the lineups a driver is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// Who.
    pub driver: String,
    /// At least, 0 to 1.
    #[serde(default)]
    pub min: f64,
    /// At most, 0 to 1.
    #[serde(default = "one")]
    pub max: f64,
}

fn one() -> f64 {
    1.0
}

/// A set of players: bit i is player i of the slate.
pub type Set = u64;

/// One thing that a lineup or portfolio must keep to.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// A driver in every lineup.
    Lock(usize),
    /// A driver in none.
    Exclude(usize),
    /// At least so many of a set.
    AtLeast(Set, usize, String),
    /// At most so many of a set.
    AtMost(Set, usize, String),
    /// At least so many of one of these sets.
    Stack(Vec<Set>, usize, String),
    /// The lineup costs at least this.
    MinSalary(u32),
    /// A driver in at least this part of the lineups.
    MinExposure(usize, f64),
    /// A driver in at most this part of the lineups.
    MaxExposure(usize, f64),
}

impl Rule {
    /// For people.
    pub fn say(&self, slate: &Slate) -> String {
        let name = |i: &usize| slate.players[*i].driver.clone();
        match self {
            Self::Lock(i) => format!("lock {}", name(i)),
            Self::Exclude(i) => format!("exclude {}", name(i)),
            Self::AtLeast(_, n, what) => format!("at least {n} of {what}"),
            Self::AtMost(_, n, what) => format!("at most {n} of {what}"),
            Self::Stack(_, n, what) => format!("at least {n} of one {what}"),
            Self::MinSalary(salary) => format!("a salary of at least ${salary}"),
            Self::MinExposure(i, part) => {
                format!("{} in at least {:.0} % of the lineups", name(i), part * 100.0)
            }
            Self::MaxExposure(i, part) => {
                format!("{} in at most {:.0} % of the lineups", name(i), part * 100.0)
            }
        }
    }
}

impl Limits {
    /// The rules that these limits mean for a slate.
    pub fn rules(&self, slate: &Slate) -> Result<Vec<Rule>, Wrong> {
        let mut rules = Vec::new();
        for driver in &self.lock {
            rules.push(Rule::Lock(slate.find(driver)?));
        }
        for driver in &self.exclude {
            rules.push(Rule::Exclude(slate.find(driver)?));
        }
        for group in &self.groups {
            let mut set = 0;
            for driver in &group.drivers {
                set |= 1 << slate.find(driver)?;
            }
            if group.min > 0 {
                rules.push(Rule::AtLeast(set, group.min, group.name.clone()));
            }
            if let Some(max) = group.max {
                rules.push(Rule::AtMost(set, max, group.name.clone()));
            }
        }
        rules.extend(self.min_salary.map(Rule::MinSalary));
        let teams = sets(slate.players.iter().map(|p| p.team.as_deref()));
        let makes = sets(slate.players.iter().map(|p| p.make.as_deref()));
        for (most, stack, sets, what) in [
            (self.max_per_team, self.team_stack, teams, "team"),
            (self.max_per_make, self.make_stack, makes, "make"),
        ] {
            if let Some(most) = most {
                let rule = |(name, set): &(String, Set)| Rule::AtMost(*set, most, format!("{what} {name}"));
                rules.extend(sets.iter().map(rule));
            }
            if let Some(least) = stack {
                rules.push(Rule::Stack(sets.into_iter().map(|(_, set)| set).collect(), least, what.into()));
            }
        }
        self.exposure_rules(slate, &mut rules)?;
        Ok(rules)
    }

    fn exposure_rules(&self, slate: &Slate, rules: &mut Vec<Rule>) -> Result<(), Wrong> {
        let part = |p: f64| (0.0..=1.0).contains(&p);
        for exposure in &self.exposures {
            let player = slate.find(&exposure.driver)?;
            if !part(exposure.min) || !part(exposure.max) {
                return Err(Wrong::Limit(format!(
                    "the exposure of {} is not within 0 and 1",
                    exposure.driver
                )));
            }
            if exposure.min > 0.0 {
                rules.push(Rule::MinExposure(player, exposure.min));
            }
            if exposure.max < 1.0 {
                rules.push(Rule::MaxExposure(player, exposure.max));
            }
        }
        if let Some(max) = self.max_exposure {
            if !part(max) {
                return Err(Wrong::Limit("max_exposure is not within 0 and 1".into()));
            }
            let named = |driver: &str| self.exposures.iter().any(|e| e.driver == driver);
            let others = (0..slate.players.len()).filter(|i| !named(&slate.players[*i].driver));
            rules.extend(others.map(|i| Rule::MaxExposure(i, max)));
        }
        Ok(())
    }
}

/// The players of each name, in the order of the names.
fn sets<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<(String, Set)> {
    let mut sets = std::collections::BTreeMap::<&str, Set>::new();
    for (i, name) in names.enumerate() {
        if let Some(name) = name {
            *sets.entry(name).or_default() |= 1 << i;
        }
    }
    sets.into_iter().map(|(name, set)| (name.to_owned(), set)).collect()
}
