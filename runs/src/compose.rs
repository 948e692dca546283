//! Markets out of what vendors delivered: for a day, the newest snapshot of each
//! vendor and the fixings before; for a history, what changed from day to day.

use std::collections::{BTreeMap, BTreeSet};

use domain::valuation::portfolio::Portfolio;
use models_pricing::date::Date;
use models_pricing::market::Market;
use models_pricing::scenario::{self, Scenario};
use models_pricing::snapshot::Snapshot;
use serde_json::{Map, Value, json};

/// A vendor's snapshot that is older is stale: a long weekend and a holiday.
pub const FRESH_DAYS: i32 = 4;
/// Fixings so many days back are taken along: a year's period and its lag.
pub const FIXING_DAYS: i32 = 400;

/// Snapshots of each vendor by date.
pub struct Vendors<'a> {
    by_vendor: BTreeMap<&'a str, BTreeMap<Date, &'a Value>>,
    portfolio: &'a Portfolio,
}

impl<'a> Vendors<'a> {
    /// All of them, or those that are named.
    pub fn new(portfolio: &'a Portfolio, named: &[String]) -> Self {
        let mut by_vendor: BTreeMap<&str, BTreeMap<Date, &Value>> = BTreeMap::new();
        for snapshot in portfolio.snapshots.values() {
            let vendor = snapshot.vendor.as_deref().unwrap_or_default();
            let (Ok(date), Some(content)) = (snapshot.as_of.parse(), &snapshot.content) else { continue };
            if named.is_empty() || named.iter().any(|name| name == vendor) {
                by_vendor.entry(vendor).or_default().insert(date, content);
            }
        }
        if named.is_empty() {
            // What was composed of others has nothing of its own.
            let vendors: Vec<&str> = by_vendor.keys().copied().collect();
            let composed =
                |name: &str| name.contains('+') && name.split('+').all(|part| vendors.contains(&part));
            by_vendor.retain(|name, _| !composed(name));
        }
        Self { by_vendor, portfolio }
    }

    /// Days with a snapshot up to a date, newest last.
    pub fn days(&self, until: Date) -> Vec<Date> {
        let all: BTreeSet<Date> =
            self.by_vendor.values().flat_map(|days| days.range(..=until).map(|(d, _)| *d)).collect();
        all.into_iter().collect()
    }

    /// The market of a day, as a snapshot; `None` if no vendor has one by then.
    pub fn compose(&self, as_of: Date) -> Option<Value> {
        let mut market = Map::new();
        for days in self.by_vendor.values() {
            let Some((date, content)) = days.range(..=as_of).next_back() else { continue };
            let stale = date.days_to(as_of) > FRESH_DAYS;
            merge(&mut market, content, stale);
        }
        if market.is_empty() {
            return None;
        }
        let fixings = self.fixings(as_of);
        if !fixings.is_empty() {
            market.insert("fixings".into(), Value::Object(fixings));
        }
        market.insert("as_of_time".into(), json!(as_of));
        market.insert("vendor".into(), json!(self.by_vendor.keys().copied().collect::<Vec<_>>().join("+")));
        Some(Value::Object(market))
    }

    fn fixings(&self, as_of: Date) -> Map<String, Value> {
        let (from, to) = (as_of.plus_days(-FIXING_DAYS).to_string(), as_of.to_string());
        let of = |(index, fixings): (&std::sync::Arc<str>, &domain::valuation::fixings::Fixings)| {
            let days: Map<String, Value> = fixings
                .rates
                .range(from.clone()..=to.clone())
                .map(|(d, rate)| (d.clone(), json!(rate)))
                .collect();
            (!days.is_empty()).then(|| (index.to_string(), Value::Object(days)))
        };
        self.portfolio.fixings.iter().filter_map(of).collect()
    }

    /// What changed between neighbouring days, the last so many of them: one
    /// scenario each, named after the later day.
    pub fn history(&self, until: Date, days: usize) -> Result<Vec<Scenario>, String> {
        let dates = self.days(until);
        let first = dates.len().saturating_sub(days + 1);
        let mut scenarios = Vec::new();
        let mut before: Option<Market> = None;
        for date in &dates[first..] {
            let Some(content) = self.compose(*date) else { continue };
            let snapshot: Snapshot = serde_json::from_value(content).map_err(|e| format!("{date}: {e}"))?;
            let market = Market::new(&snapshot).map_err(|e| format!("{date}: {e}"))?;
            if let Some(before) = &before {
                scenarios.push(scenario::between(&date.to_string(), before, &market));
            }
            before = Some(market);
        }
        Ok(scenarios)
    }
}

/// Adds a vendor's lists to the market's.
fn merge(market: &mut Map<String, Value>, content: &Value, stale: bool) {
    let Value::Object(content) = content else { return };
    for (name, value) in content {
        match (value, market.get_mut(name)) {
            (Value::Array(rows), known) => {
                let mut rows = rows.clone();
                if stale {
                    rows.iter_mut().for_each(mark);
                }
                match known {
                    Some(Value::Array(known)) => known.extend(rows),
                    _ => drop(market.insert(name.clone(), Value::Array(rows))),
                }
            }
            (Value::Object(more), Some(Value::Object(known))) => {
                known.extend(more.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
            (Value::Object(_), _) => drop(market.insert(name.clone(), value.clone())),
            // Names and dates are the composed market's own.
            _ => {}
        }
    }
}

/// A quote, or all nodes of a curve, as stale.
fn mark(row: &mut Value) {
    match row.get_mut("nodes") {
        Some(Value::Array(nodes)) => nodes.iter_mut().for_each(mark),
        _ => {
            if let Value::Object(quote) = row {
                quote.insert("quality".into(), json!("stale"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::valuation::fixings::Fixings;
    use domain::valuation::market_snapshot::MarketSnapshot;

    fn snapshot(vendor: &str, as_of: &str, content: Value) -> MarketSnapshot {
        MarketSnapshot {
            name: None,
            as_of: as_of.into(),
            vendor: Some(vendor.into()),
            content: Some(content),
            parts: Vec::new(),
        }
    }

    fn portfolio() -> Portfolio {
        let mut portfolio = Portfolio::default();
        let curve = |rate: f64| json!({"curves": [{"curve_id": "USD-OIS", "nodes": [{"tenor": "1Y", "value": rate}]}]});
        let fx = |spot: f64| json!({"fx_spots": [{"pair": "EURUSD", "spot": spot}]});
        let all = [
            snapshot("a", "2026-01-20", curve(0.03)),
            snapshot("a", "2026-01-21", curve(0.04)),
            snapshot("b", "2026-01-10", fx(1.1)),
        ];
        for (at, snapshot) in all.into_iter().enumerate() {
            portfolio.snapshots.insert(at.to_string().into(), snapshot);
        }
        let rates = BTreeMap::from([("2026-01-20".to_owned(), 0.01), ("2026-01-22".to_owned(), 0.02)]);
        portfolio.fixings.insert("USD-SOFR".into(), Fixings { rates });
        portfolio
    }

    #[test]
    fn a_market_has_each_vendors_newest_and_says_what_is_stale() {
        let portfolio = portfolio();
        let vendors = Vendors::new(&portfolio, &[]);
        let market = vendors.compose("2026-01-21".parse().unwrap()).unwrap();
        assert_eq!(market["curves"][0]["nodes"][0]["value"], 0.04);
        assert_eq!(market["fx_spots"][0]["quality"], "stale");
        assert_eq!(market["fixings"], json!({"USD-SOFR": {"2026-01-20": 0.01}}));
        assert!(vendors.compose("2026-01-01".parse().unwrap()).is_none());
        let only = Vendors::new(&portfolio, &["b".to_owned()]);
        assert!(only.compose("2026-01-21".parse().unwrap()).unwrap().get("curves").is_none());
    }

    #[test]
    fn what_was_composed_is_not_taken_twice() {
        let mut portfolio = portfolio();
        let market = Vendors::new(&portfolio, &[]).compose("2026-01-21".parse().unwrap()).unwrap();
        let vendor = market["vendor"].as_str().unwrap().to_owned();
        assert_eq!(vendor, "a+b");
        portfolio.snapshots.insert("composed".into(), snapshot(&vendor, "2026-01-21", market.clone()));
        assert_eq!(Vendors::new(&portfolio, &[]).compose("2026-01-21".parse().unwrap()), Some(market));
    }

    #[test]
    fn a_history_is_what_changed() {
        let portfolio = portfolio();
        let history = Vendors::new(&portfolio, &[]).history("2026-01-21".parse().unwrap(), 1).unwrap();
        assert_eq!(history.len(), 1);
        let json = serde_json::to_value(&history[0]).unwrap();
        assert_eq!(json["scenario_id"], "2026-01-21");
        let size = json["shifts"][0]["points"][0][1].as_f64().unwrap();
        assert!((size - 0.01).abs() < 1e-15, "{json}");
    }
}
