//! `Fixings`: what an index was fixed at, day by day. Stream kind `fixings`, its
//! id the index.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decide::{Context, Decide, Decision, Rejection};

pub const KIND: &str = "fixings";
pub const PUBLISHED: &str = "fixings.published";

/// Days in one event: more are published in several.
pub const MAX_DAYS: usize = 5_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// Days that are new, or that have another rate now.
    #[serde(rename = "fixings.published")]
    Published {
        source: String,
        /// Date to rate, as a decimal.
        rates: BTreeMap<String, f64>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    pub source: String,
    pub rates: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fixings {
    pub rates: BTreeMap<String, f64>,
}

impl Decide for Fixings {
    const KIND: &'static str = KIND;
    type Command = Publish;
    type Event = Event;

    fn decide(&self, command: Publish, _: &Context) -> Result<Decision<Event>, Rejection> {
        let Publish { source, rates } = command;
        if let Some((date, rate)) = rates.iter().find(|(_, rate)| !rate.is_finite() || rate.abs() > 10.0) {
            return Err(Rejection::field(
                &format!("/rates/{date}"),
                format!("{rate} is no rate as a decimal"),
            ));
        }
        let new: Vec<(String, f64)> =
            rates.into_iter().filter(|(date, rate)| self.rates.get(date) != Some(rate)).collect();
        let of = |days: &[(String, f64)]| Event::Published {
            source: source.clone(),
            rates: days.iter().cloned().collect(),
        };
        Ok(Decision::events(new.chunks(MAX_DAYS).map(of).collect()))
    }

    fn evolve(&mut self, event: Event) {
        let Event::Published { rates, .. } = event;
        self.rates.extend(rates);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::Timestamp;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn rates(days: &[(&str, f64)]) -> BTreeMap<String, f64> {
        days.iter().map(|(date, rate)| ((*date).to_owned(), *rate)).collect()
    }

    fn framework() -> TestFramework<Fixings> {
        TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    #[test]
    fn only_what_is_new_is_published() {
        let publish = |days: &[(&str, f64)]| Publish { source: "s".into(), rates: rates(days) };
        let published = |days: &[(&str, f64)]| Event::Published { source: "s".into(), rates: rates(days) };
        let first = [("2026-01-22", 0.01), ("2026-01-23", 0.02)];
        framework()
            .given_no_previous_events()
            .when(publish(&first))
            .then_expect_events(vec![published(&first)]);
        framework().given(vec![published(&first)]).when(publish(&first)).then_expect_events(vec![]);
        let corrected = [("2026-01-22", 0.01), ("2026-01-23", 0.03), ("2026-01-26", 0.0)];
        framework()
            .given(vec![published(&first)])
            .when(publish(&corrected))
            .then_expect_events(vec![published(&corrected[1..])]);
        let percent = Rejection::field("/rates/2026-01-22", "25 is no rate as a decimal");
        framework()
            .given_no_previous_events()
            .when(publish(&[("2026-01-22", 25.0)]))
            .then_expect_error(percent);
    }
}
