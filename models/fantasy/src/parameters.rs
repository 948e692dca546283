//! What of the model may be set: how fast it forgets and how far it trusts.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// What each of them may be.
pub const LIMITS: RangeInclusive<f64> = 0.5..=10_000.0;

/// Half-lives in races, strengths of the ridges. The defaults are the model as
/// it is described; others make another model, which says so in its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Of a driver's form.
    pub driver_half_life: f64,
    /// Of the form lately.
    pub recent_half_life: f64,
    /// Of the form on a kind of track.
    pub kind_half_life: f64,
    /// Of the form on a track.
    pub track_half_life: f64,
    /// Of cars and teams.
    pub car_half_life: f64,
    /// Of past races when the order is fitted.
    pub order_half_life: f64,
    /// Holds weights near where they started.
    pub ridge: f64,
    /// Holds what a kind of track insists on near nothing.
    pub kind_ridge: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            driver_half_life: 30.0,
            recent_half_life: 8.0,
            kind_half_life: 60.0,
            track_half_life: 120.0,
            car_half_life: 15.0,
            order_half_life: 80.0,
            ridge: 30.0,
            kind_ridge: 100.0,
        }
    }
}

impl Parameters {
    /// The first that cannot be meant, and why.
    ///
    /// # Errors
    /// A member outside 0.5 to 10,000.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in self.members() {
            if !LIMITS.contains(&value) {
                return Err(format!("{name} must be {} to {}", LIMITS.start(), LIMITS.end()));
            }
        }
        Ok(())
    }

    fn members(&self) -> [(&'static str, f64); 8] {
        [
            ("driver_half_life", self.driver_half_life),
            ("recent_half_life", self.recent_half_life),
            ("kind_half_life", self.kind_half_life),
            ("track_half_life", self.track_half_life),
            ("car_half_life", self.car_half_life),
            ("order_half_life", self.order_half_life),
            ("ridge", self.ridge),
            ("kind_ridge", self.kind_ridge),
        ]
    }

    /// Those that are not as the model has them; for names and messages.
    pub fn changed(&self) -> Vec<(&'static str, f64)> {
        let defaults = Self::default().members();
        self.members()
            .into_iter()
            .zip(defaults)
            .filter(|(own, usual)| own != usual)
            .map(|(own, _)| own)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_is_as_the_model_has_it() {
        let parse = serde_json::from_value::<Parameters>;
        assert_eq!(parse(json!({})).unwrap(), Parameters::default());
        let parsed = parse(json!({"recent_half_life": 4})).unwrap();
        assert_eq!((parsed.changed(), parsed.check()), (vec![("recent_half_life", 4.0)], Ok(())));
        assert!(parse(json!({"recent": 4})).is_err());
        assert!(parse(json!({"ridge": 0})).unwrap().check().is_err());
    }
}
