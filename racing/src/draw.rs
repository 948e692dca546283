//! One race drawn by a model that learned the races before it, and no other.

use std::collections::BTreeMap;

use models_fantasy::backtest::{Options, Walk};
use models_fantasy::model::Projection;
use models_fantasy::parameters::Parameters;
use models_fantasy::scoring::Rules;
use models_fantasy::{MODEL, VERSION};
use projections::races::{Races, Told, Unreadable};
use sha2::{Digest, Sha256};

/// Races drawn while learning: enough for levels of quantiles.
const LEARNING_RUNS: usize = 500;
/// Seeds are numbers that JSON can hold exactly.
const SEED_BITS: u32 = 53;

/// Why a race cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undrawn {
    #[error("there is no race {0} with an entry list")]
    Unknown(String),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A race with what came before it.
pub struct Task {
    pub told: Vec<Told>,
    /// Of the race among them; those behind it are not looked at.
    pub at: usize,
    pub rules: Vec<Rules>,
    pub seed: u64,
    pub runs: usize,
    /// Of the model.
    pub parameters: Parameters,
}

/// The race drawn.
pub struct Drawn {
    pub race: models_fantasy::race::Race,
    pub projection: Projection,
    /// Races that the model had learned from.
    pub learned: u32,
    /// Of the model.
    pub parameters: Parameters,
}

/// Name and version of the model, as it is recorded.
pub fn model() -> String {
    format!("{MODEL}@{VERSION}")
}

/// The same under parameters: others make another model.
pub fn model_under(parameters: &Parameters) -> String {
    let changed = changed(parameters);
    if changed.is_empty() {
        return model();
    }
    let text: String = changed.iter().map(|(name, value)| format!("{name}={value};")).collect();
    let hash = Sha256::digest(text);
    hash.iter().take(4).fold(model() + "-", |name, byte| format!("{name}{byte:02x}"))
}

/// Parameters that are not as the model has them.
pub fn changed(parameters: &Parameters) -> BTreeMap<String, f64> {
    parameters.changed().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The seed of a race for what was known at a position: nobody chooses it.
pub fn seed(race: &str, through: u64) -> u64 {
    let hash = Sha256::digest(format!("{race}/{through}"));
    let first = hash.iter().take(8).fold(0_u64, |seed, byte| seed << 8 | u64::from(*byte));
    first >> (64 - SEED_BITS)
}

impl Task {
    pub fn new(
        races: &Races,
        race: &str,
        (seed, runs): (u64, usize),
        parameters: Parameters,
    ) -> Result<Self, Undrawn> {
        // A race that cannot be read keeps nobody from drawing another.
        let told = races.readable();
        let Some(at) = told.iter().position(|told| told.race.id == race) else {
            races.told()?;
            return Err(Undrawn::Unknown(race.to_owned()));
        };
        Ok(Self { rules: races.rules_of(&told[at]), told, at, seed, runs, parameters })
    }

    /// Takes a moment; not for threads that serve.
    pub fn draw(mut self) -> Drawn {
        let walk = learned(&self.told[..self.at], &self.rules, self.seed, &self.parameters);
        let race = self.told.swap_remove(self.at).race;
        let projection = walk.model.project(&race, &self.rules, self.seed, self.runs);
        Drawn { race, projection, learned: walk.model.learned(), parameters: self.parameters }
    }
}

/// All these races, predicted with few draws and learned: levels of
/// quantiles and chances of pairs have to know how earlier ones did.
pub fn learned(before: &[Told], rules: &[Rules], seed: u64, parameters: &Parameters) -> Walk {
    let options = Options { runs: LEARNING_RUNS, seed, rules: rules.to_vec() };
    let mut walk = Walk::under(parameters, options);
    for race in before.iter().filter(|race| !race.outcomes.is_empty()) {
        walk.race(&race.race, &race.outcomes);
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_of_race_and_position() {
        let seeds = [seed("a", 1), seed("a", 2), seed("b", 1)];
        assert!(seeds[0] != seeds[1] && seeds[0] != seeds[2]);
        assert!(seeds.iter().all(|seed| *seed < 1 << SEED_BITS));
        assert_eq!(seed("a", 1), seeds[0]);
    }

    #[test]
    fn other_parameters_make_another_model() {
        let under =
            |half_life| model_under(&Parameters { recent_half_life: half_life, ..Parameters::default() });
        assert_eq!(under(8.0), "plackett-luce-back@1");
        assert!(under(4.0).starts_with("plackett-luce-back@1-") && under(4.0) != under(5.0));
        assert_eq!(under(4.0), under(4.0));
    }
}
