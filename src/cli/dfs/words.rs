//! What is told of a driver, as JSON.

use models_fantasy::project::{Driver, LEVELS, Spread};
use serde_json::{Map, Value, json};

/// Four digits behind the point are more than draws can tell.
pub fn round(value: f64) -> Value {
    json!((value * 1e4).round() / 1e4)
}

pub fn spread(spread: &Spread) -> Value {
    let mut object = Map::new();
    object.insert("mean".into(), round(spread.mean));
    object.insert("deviation".into(), round(spread.deviation));
    for (level, quantile) in LEVELS.iter().zip(spread.quantiles) {
        object.insert(format!("q{:02.0}", level * 100.0), round(quantile));
    }
    Value::Object(object)
}

/// Members of a driver's prediction that need no site.
pub fn driver(driver: &Driver) -> Map<String, Value> {
    let chances = &driver.chances;
    let mut object = Map::new();
    object.insert("strength".into(), round(-driver.badness));
    object.insert("finish".into(), spread(&driver.finish));
    object.insert("win".into(), round(chances.win));
    object.insert("top5".into(), round(chances.top5));
    object.insert("top10".into(), round(chances.top10));
    object.insert("dnf".into(), round(chances.accident + chances.mechanical));
    object.insert("accident".into(), round(chances.accident));
    object.insert("mechanical".into(), round(chances.mechanical));
    object.insert("laps_led".into(), round(driver.led));
    object.insert("fastest_laps".into(), round(driver.fastest));
    object
}
