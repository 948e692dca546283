//! The course of one evening, in the event's own time: what is served when,
//! and when people tap.

use domain::tap::Mode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const TIME_ZONE: &str = "America/New_York";

/// Minutes after midnight of the day.
pub const DOORS: i64 = 17 * 60;
pub const SHOW: i64 = 20 * 60;
pub const CURTAIN: i64 = 22 * 60 + 30;
pub const CLOSE: i64 = 23 * 60;

pub struct Day {
    pub event_id: &'static str,
    pub name: &'static str,
    /// Midnight of the day.
    midnight: Timestamp,
}

/// What a tap at some instant is answered with.
pub struct Answer {
    pub mode: Mode,
    pub window_id: Option<&'static str>,
    pub url: String,
}

impl Day {
    pub fn new(event_id: &'static str, name: &'static str, date: Date) -> Result<Self, jiff::Error> {
        let midnight = date.to_zoned(TimeZone::get(TIME_ZONE)?)?.timestamp();
        Ok(Self { event_id, name, midnight })
    }

    /// An instant by milliseconds after midnight.
    pub fn at(&self, millis: i64) -> Timestamp {
        self.midnight + SignedDuration::from_millis(millis)
    }

    fn minute(&self, minutes: i64) -> String {
        self.at(minutes * 60_000).to_string()
    }

    pub fn schedule(&self) -> Value {
        json!({
            "name": self.name,
            "venue": "Harbour Arena",
            "place": "New York",
            "time_zone": TIME_ZONE,
            "starts_at": self.minute(DOORS),
            "ends_at": self.minute(CLOSE),
            "pre_url": url("tickets"),
            "live_url": url("live"),
            "post_url": url("thanks"),
            "fallback_url": url("home"),
        })
    }

    pub fn windows(&self) -> Vec<Value> {
        vec![
            json!({
                "id": "doors", "title": "Doors open", "kind": "pre", "url": url("doors"),
                "starts_at": self.minute(DOORS), "ends_at": self.minute(SHOW),
            }),
            json!({
                "id": "show", "title": "On stage", "kind": "live", "url": url("show"),
                "starts_at": self.minute(SHOW), "ends_at": self.minute(CURTAIN),
            }),
        ]
    }

    /// Follows from [`Day::schedule`] and [`Day::windows`] by thought, not by
    /// the code that it checks.
    pub fn answer(&self, millis: i64, band_id: &str) -> Answer {
        let (mode, window_id, page) = match millis.div_euclid(60_000) {
            ..DOORS => (Mode::Pre, None, "tickets"),
            DOORS..SHOW => (Mode::Pre, Some("doors"), "doors"),
            SHOW..CURTAIN => (Mode::Live, Some("show"), "show"),
            CURTAIN..CLOSE => (Mode::Live, None, "live"),
            CLOSE.. => (Mode::Post, None, "thanks"),
        };
        Answer { mode, window_id, url: url(page).replace("{band_id}", band_id) }
    }
}

fn url(page: &str) -> String {
    format!("https://show.example/{page}?band={{band_id}}")
}
