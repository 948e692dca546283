//! What is said of a race, as it is recorded.

use std::collections::BTreeMap;

use domain::racing::race::{Said, Sealed, Spread};
use domain::racing::scoring::Definition;
use models_fantasy::model::SitePoints;
use models_fantasy::project::{Driver, Spread as Drawn};
use models_fantasy::scoring::Rules;

use crate::draw;

/// More digits are more than draws can tell.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn spread(drawn: &Drawn) -> Spread {
    Spread {
        mean: rounded(drawn.mean),
        deviation: rounded(drawn.deviation),
        quantiles: drawn.quantiles.map(rounded),
    }
}

/// The rules as facts have them.
pub fn definition(rules: &Rules) -> Definition {
    Definition {
        version: rules.version,
        from: rules.from,
        place: rules.place.clone(),
        place_gained: rules.place_gained,
        fastest_lap: rules.fastest_lap,
        lap_led: rules.lap_led,
        lap_completed: rules.lap_completed,
        roster: rules.roster as u32,
        salary_cap: rules.salary_cap,
    }
}

/// One for each site. `salaries` are by site and driver.
pub fn sealed(
    drawn: &draw::Drawn,
    salaries: &BTreeMap<String, BTreeMap<String, u32>>,
    (through, seed): (u64, u64),
) -> Vec<Sealed> {
    let site = |points: &SitePoints| {
        let site = points.rules.site.as_str();
        let salaries = salaries.get(site);
        let entries = drawn.race.entries.iter().zip(drawn.projection.drivers.iter().zip(&points.spreads));
        let drivers = entries.map(|(entry, (driver, points))| {
            let salary = salaries.and_then(|of| of.get(&entry.driver)).copied();
            said(&entry.driver, entry.start, salary, driver, points)
        });
        Sealed {
            site: site.to_owned(),
            model: draw::model_under(&drawn.parameters),
            parameters: draw::changed(&drawn.parameters),
            through,
            seed,
            runs: drawn.projection.races.runs() as u32,
            learned: drawn.learned,
            rules: definition(&points.rules),
            sha256: String::new(),
            drivers: drivers.collect(),
        }
    };
    drawn.projection.sites.iter().map(site).collect()
}

fn said(name: &str, start: Option<u32>, salary: Option<u32>, driver: &Driver, points: &Drawn) -> Said {
    let chances = &driver.chances;
    Said {
        driver: name.to_owned(),
        start,
        salary,
        strength: rounded(-driver.badness),
        finish: spread(&driver.finish),
        places: driver.places.clone(),
        win: rounded(chances.win),
        top5: rounded(chances.top5),
        top10: rounded(chances.top10),
        dnf: rounded((chances.accident + chances.mechanical).min(1.0)),
        laps_led: rounded(driver.led),
        fastest_laps: rounded(driver.fastest),
        points: spread(points),
    }
}
