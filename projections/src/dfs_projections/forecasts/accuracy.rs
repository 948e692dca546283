//! Scores of races put together.

use std::collections::BTreeMap;

use models_fantasy::backtest::Score;
use models_fantasy::track::Kind;

use super::rows::{Accuracy, ForecastRace};

impl Accuracy {
    /// Of one race.
    pub fn of(score: &Score) -> Self {
        let part = |number: f64| number / score.cars.max(1.0);
        Self {
            races: 1.0,
            cars: score.cars,
            pairs: score.pairs.count,
            rho: score.rho[0],
            grid: score.rho[1],
            recent: score.rho[2],
            brier: score.pairs.squares / score.pairs.count.max(1.0),
            crps: part(score.crps),
            within_50: part(score.within[0]),
            within_80: part(score.within[1]),
            within_90: part(score.within[2]),
        }
        .rounded(1e6)
    }

    /// Races weigh alike in correlations, pairs in Brier's score, cars in the
    /// rest.
    fn mean<'a>(of: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for one in of {
            sum.races += one.races;
            sum.cars += one.cars;
            sum.pairs += one.pairs;
            sum.rho += one.rho;
            sum.grid += one.grid;
            sum.recent += one.recent;
            sum.brier += one.brier * one.pairs;
            sum.crps += one.crps * one.cars;
            sum.within_50 += one.within_50 * one.cars;
            sum.within_80 += one.within_80 * one.cars;
            sum.within_90 += one.within_90 * one.cars;
        }
        let (races, cars, pairs) = (sum.races.max(1.0), sum.cars.max(1.0), sum.pairs.max(1.0));
        Self {
            rho: sum.rho / races,
            grid: sum.grid / races,
            recent: sum.recent / races,
            brier: sum.brier / pairs,
            crps: sum.crps / cars,
            within_50: sum.within_50 / cars,
            within_80: sum.within_80 / cars,
            within_90: sum.within_90 / cars,
            ..sum
        }
        .rounded(1e4)
    }

    fn rounded(self, to: f64) -> Self {
        let round = |number: f64| (number * to).round() / to;
        Self {
            rho: round(self.rho),
            grid: round(self.grid),
            recent: round(self.recent),
            brier: round(self.brier),
            crps: round(self.crps),
            within_50: round(self.within_50),
            within_80: round(self.within_80),
            within_90: round(self.within_90),
            ..self
        }
    }
}

/// Over all races, and by group of them: without superspeedways, kinds of
/// track, seasons. Groups without a race are not there.
pub fn record(races: &[ForecastRace]) -> (Option<Accuracy>, BTreeMap<String, Accuracy>) {
    let mut groups: BTreeMap<String, Vec<&Accuracy>> = BTreeMap::new();
    let mut all = Vec::new();
    for race in races {
        let Some(judged) = &race.judged else { continue };
        all.push(judged);
        if race.kind != Kind::Superspeedway {
            groups.entry("without superspeedways".into()).or_default().push(judged);
        }
        groups.entry(race.kind.as_str().into()).or_default().push(judged);
        groups.entry(race.season.to_string()).or_default().push(judged);
    }
    let mean = |of: Vec<&Accuracy>| Accuracy::mean(of.into_iter());
    let groups = groups.into_iter().map(|(name, of)| (name, mean(of))).collect();
    ((!all.is_empty()).then(|| mean(all)), groups)
}
