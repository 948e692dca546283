//! What a site pays for a driver's race and what a lineup may be: data,
//! versioned by site and the date from which it holds.
//!
//! Sources: the sites' published rules; the place points of DraftKings were
//! compared with published scores of whole races.

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

/// A site with contests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Site {
    /// DraftKings, Classic.
    DraftKings,
    /// FanDuel.
    FanDuel,
}

impl Site {
    /// All sites.
    pub const ALL: [Self; 2] = [Self::DraftKings, Self::FanDuel];

    /// As it is written in facts and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DraftKings => "draftkings",
            Self::FanDuel => "fanduel",
        }
    }

    /// The site of this name, in any case, or its initials.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "draftkings" | "dk" => Some(Self::DraftKings),
            "fanduel" | "fd" => Some(Self::FanDuel),
            _ => None,
        }
    }
}

/// Rules of one site that hold from a date on. Points may be negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Whose rules.
    pub site: Site,
    /// Counts up with each change of the rules.
    pub version: u32,
    /// The first race day that they hold for.
    pub from: Date,
    /// Points for finishing first, second, …; 0 after the last.
    pub place: Vec<f64>,
    /// For each place won between start and finish; lost places take it away.
    pub place_gained: f64,
    /// For each lap that was the fastest of all cars in that lap.
    pub fastest_lap: f64,
    /// For each lap led.
    pub lap_led: f64,
    /// For each lap completed.
    pub lap_completed: f64,
    /// Drivers in a lineup.
    pub roster: usize,
    /// Most that a lineup may cost, in dollars.
    pub salary_cap: u32,
}

/// What a driver did, as far as sites pay for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Line {
    /// Place on the grid, from 1.
    pub start: u32,
    /// Place at the end, from 1.
    pub finish: u32,
    /// Laps led.
    pub led: u32,
    /// Laps in which the car was the fastest.
    pub fastest: u32,
    /// Laps completed.
    pub laps: u32,
}

impl Rules {
    /// Points of one driver.
    pub fn points(&self, line: &Line) -> f64 {
        let place = (line.finish as usize).checked_sub(1).and_then(|i| self.place.get(i));
        let gained = f64::from(line.start) - f64::from(line.finish);
        place.copied().unwrap_or(0.0)
            + gained * self.place_gained
            + f64::from(line.fastest) * self.fastest_lap
            + f64::from(line.led) * self.lap_led
            + f64::from(line.laps) * self.lap_completed
    }
}

/// The first three places, then one less for each place, and one less again
/// after each place named in `steps`.
fn ladder(podium: [f64; 3], steps: &[usize], places: usize) -> Vec<f64> {
    let mut points = podium.to_vec();
    for place in 4..=places {
        let skipped = steps.iter().filter(|step| place > **step).count();
        points.push(podium[2] - (place - 3) as f64 - skipped as f64);
    }
    points
}

/// All rules that this build knows, oldest first for each site.
pub fn all() -> Vec<Rules> {
    vec![
        Rules {
            site: Site::DraftKings,
            version: 1,
            from: date(2015, 1, 1),
            place: ladder([45.0, 42.0, 41.0], &[10, 20, 30], 40),
            place_gained: 1.0,
            fastest_lap: 0.45,
            lap_led: 0.25,
            lap_completed: 0.0,
            roster: 6,
            salary_cap: 50_000,
        },
        Rules {
            site: Site::FanDuel,
            version: 1,
            from: date(2015, 1, 1),
            place: ladder([43.0, 40.0, 38.0], &[], 40),
            place_gained: 0.5,
            fastest_lap: 0.0,
            lap_led: 0.1,
            lap_completed: 0.1,
            roster: 5,
            salary_cap: 50_000,
        },
    ]
}

/// The rules of a site on a day, among these: the newest that hold by then.
pub fn on(rules: &[Rules], site: Site, day: Date) -> Option<&Rules> {
    rules.iter().filter(|r| r.site == site && r.from <= day).max_by_key(|r| (r.from, r.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(site: Site) -> Rules {
        on(&all(), site, date(2021, 10, 4)).unwrap().clone()
    }

    fn line(start: u32, finish: u32, fastest: u32, led: u32, laps: u32) -> Line {
        Line { start, finish, led, fastest, laps }
    }

    #[test]
    fn golden_rows_of_draftkings() {
        let rules = rules(Site::DraftKings);
        assert!((rules.points(&line(19, 1, 2, 5, 117)) - 65.15).abs() < 1e-9);
        assert!((rules.points(&line(2, 27, 1, 4, 117)) + 8.55).abs() < 1e-9);
        let place = |p: usize| rules.place[p - 1];
        let table = [(1, 45.0), (2, 42.0), (3, 41.0), (10, 34.0), (11, 32.0), (20, 23.0), (21, 21.0)];
        for (p, points) in table.into_iter().chain([(30, 12.0), (31, 10.0), (40, 1.0)]) {
            assert_eq!(place(p), points, "place {p}");
        }
        assert_eq!(rules.place.len(), 40);
        // A 41st car of a larger field has only its lost places.
        assert_eq!(rules.points(&line(40, 41, 0, 0, 0)), -1.0);
    }

    #[test]
    fn fanduel_pays_for_laps_and_half_places() {
        let rules = rules(Site::FanDuel);
        assert_eq!(rules.place[..4], [43.0, 40.0, 38.0, 37.0]);
        assert_eq!(rules.place[39], 1.0);
        // 43 + 18 · ½ + 5 · 0.1 + 117 · 0.1
        assert!((rules.points(&line(19, 1, 2, 5, 117)) - 64.2).abs() < 1e-9);
    }

    #[test]
    fn the_newest_rules_by_then_hold() {
        let mut all = all();
        let newer = Rules { version: 2, from: date(2030, 1, 1), lap_led: 0.5, ..all[0].clone() };
        all.push(newer);
        assert_eq!(on(&all, Site::DraftKings, date(2029, 12, 31)).unwrap().version, 1);
        assert_eq!(on(&all, Site::DraftKings, date(2030, 1, 1)).unwrap().version, 2);
        assert_eq!(on(&all, Site::FanDuel, date(2014, 1, 1)), None);
    }
}
