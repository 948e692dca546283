//! Draws the plan from a seed.

use std::collections::HashSet;

use anyhow::Result;
use jiff::SignedDuration;
use jiff::civil::Date;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::agents::{BOTS, COUNTRIES, Class, LANGUAGES, PHONES, PREVIEWS};
use super::day::{CLOSE, CURTAIN, DOORS, Day, SHOW};
use super::expected::Expected;
use super::{Plan, PlannedBand, PlannedEvent, PlannedTap};

const WARM_UP_BANDS: usize = 800;
const SHOW_BANDS: usize = 3_000;
/// Bands of the warm-up night that come back for the show.
const RETURNING: usize = 500;
/// One tap in so many arrives late.
const ONE_LATE_IN: u32 = 25;
const BOT_REQUESTS: usize = 900;
const PREVIEWS_EACH: usize = 350;

const MINUTE: i64 = 60_000;

/// The evening of `date` and the one before it.
pub fn plan(seed: u64, date: Date) -> Result<Plan> {
    let mut rng = StdRng::seed_from_u64(seed);
    let days = [
        Day::new("warm-up", "Warm-up night", date.yesterday()?)?,
        Day::new("show-night", "Show night", date)?,
    ];
    let bands = bands(&days);
    let mut taps = Vec::new();
    for day in &days {
        let own: Vec<&PlannedBand> =
            bands.iter().filter(|b| b.event_ids.iter().any(|e| e == day.event_id)).collect();
        people(&mut rng, day, &own, &mut taps);
        programs(&mut rng, day, &own, &mut taps);
    }
    let expected: Vec<Expected> = days.iter().map(|day| Expected::count(day.event_id, &taps)).collect();
    let returning_bands = returning(&days, &taps);
    taps.sort_by(|a, b| (a.arrives_at, a.at, &a.band_id).cmp(&(b.arrives_at, b.at, &b.band_id)));
    let events = days
        .iter()
        .map(|day| PlannedEvent { id: day.event_id.into(), schedule: day.schedule(), windows: day.windows() })
        .collect();
    Ok(Plan { events, bands, taps, expected, returning_bands })
}

fn bands(days: &[Day; 2]) -> Vec<PlannedBand> {
    let all = WARM_UP_BANDS + SHOW_BANDS - RETURNING;
    let [warm_up, show] = days.each_ref().map(|day| day.event_id.to_owned());
    (0..all)
        .map(|i| {
            let event_ids = if i < WARM_UP_BANDS - RETURNING {
                vec![warm_up.clone()]
            } else if i < WARM_UP_BANDS {
                vec![warm_up.clone(), show.clone()]
            } else {
                vec![show.clone()]
            };
            let tags = if i % 20 == 0 { vec!["vip".into()] } else { Vec::new() };
            PlannedBand { id: format!("demo-{:04}", i + 1), event_ids, tags }
        })
        .collect()
}

/// Four in five wearers tap, most of them a few times.
fn people(rng: &mut StdRng, day: &Day, bands: &[&PlannedBand], taps: &mut Vec<PlannedTap>) {
    for band in bands {
        if rng.random_ratio(1, 5) {
            continue;
        }
        let phone = Request::draw(rng, Class::Human, PHONES);
        for _ in 0..rng.random_range(1..=7) {
            let millis = moment(rng);
            taps.push(phone.at(rng, day, band, millis, false));
        }
    }
}

/// Bots, the previews of messengers, and browsers that only look (HEAD).
fn programs(rng: &mut StdRng, day: &Day, bands: &[&PlannedBand], taps: &mut Vec<PlannedTap>) {
    let sorts = [
        (BOT_REQUESTS, Class::Bot, BOTS, false),
        (PREVIEWS_EACH, Class::Preview, PREVIEWS, false),
        (PREVIEWS_EACH, Class::Preview, PHONES, true),
    ];
    for (requests, class, agents, head) in sorts {
        for _ in 0..requests {
            let band = bands[rng.random_range(0..bands.len())];
            let millis = rng.random_range(0..25 * 60 * MINUTE);
            taps.push(Request::draw(rng, class, agents).at(rng, day, band, millis, head));
        }
    }
}

/// When somebody taps: on the way in, at the changeover, during the show, at
/// the end and after it; a few before the doors open.
fn moment(rng: &mut StdRng) -> i64 {
    let (from, to) = match rng.random_range(0..100) {
        0..5 => (9 * 60 * MINUTE, DOORS * MINUTE),
        5..35 => (DOORS * MINUTE, SHOW * MINUTE),
        35..50 => (SHOW * MINUTE - 30_000, SHOW * MINUTE + 90_000),
        50..75 => (SHOW * MINUTE, CURTAIN * MINUTE),
        75..92 => (CURTAIN * MINUTE, CLOSE * MINUTE),
        _ => (CLOSE * MINUTE, 25 * 60 * MINUTE),
    };
    rng.random_range(from..to)
}

/// What a visitor's requests have in common.
struct Request {
    class: Class,
    user_agent: &'static str,
    language: &'static str,
    country: &'static str,
    visitor: String,
}

impl Request {
    fn draw(rng: &mut StdRng, class: Class, agents: &'static [&'static str]) -> Self {
        let mut one_of = |list: &'static [&'static str]| list[rng.random_range(0..list.len())];
        let (user_agent, language, country) = (one_of(agents), one_of(LANGUAGES), one_of(COUNTRIES));
        Self { class, user_agent, language, country, visitor: format!("{:032x}", rng.random::<u128>()) }
    }

    fn at(&self, rng: &mut StdRng, day: &Day, band: &PlannedBand, millis: i64, head: bool) -> PlannedTap {
        let at = day.at(millis);
        let late = if rng.random_ratio(1, ONE_LATE_IN) { rng.random_range(5..1_200) } else { 0 };
        let answer = day.answer(millis, &band.id);
        PlannedTap {
            at,
            arrives_at: at + SignedDuration::from_secs(late),
            event_id: day.event_id.into(),
            band_id: band.id.clone(),
            head,
            class: self.class,
            user_agent: self.user_agent,
            language: self.language,
            country: self.country,
            visitor: self.visitor.clone(),
            mode: answer.mode,
            window_id: answer.window_id,
            url: answer.url,
        }
    }
}

fn returning(days: &[Day; 2], taps: &[PlannedTap]) -> u64 {
    let tapped = |day: &Day| -> HashSet<&str> {
        let of_day = taps.iter().filter(|t| t.event_id == day.event_id && t.class == Class::Human);
        of_day.map(|t| t.band_id.as_str()).collect()
    };
    let (first, second) = (tapped(&days[0]), tapped(&days[1]));
    first.intersection(&second).count() as u64
}

#[cfg(test)]
mod tests {
    use domain::decide::{Context, Decide};
    use domain::live_event::{self, Command, LiveEvent};
    use domain::target_url::UrlPolicy;
    use jiff::Timestamp;
    use models::taps::Classifier;

    use super::*;

    fn tonight() -> Plan {
        plan(7, jiff::civil::date(2026, 7, 1)).unwrap()
    }

    #[test]
    fn a_seed_gives_one_plan() {
        assert_eq!(tonight().taps, tonight().taps);
        assert_ne!(tonight().taps, plan(8, jiff::civil::date(2026, 7, 1)).unwrap().taps);
    }

    #[test]
    fn there_is_something_of_everything() {
        let plan = tonight();
        assert_eq!(plan.bands.len(), 3_300);
        for expected in &plan.expected {
            assert!(expected.taps > 1_500 && expected.bots == 900 && expected.previews == 700);
            assert_eq!(expected.modes.keys().collect::<Vec<_>>(), ["live", "post", "pre"]);
            assert_eq!(expected.modes.values().sum::<u64>(), expected.taps);
            assert_eq!(expected.hours.values().sum::<u64>(), expected.taps);
            assert!(expected.unique_bands < expected.taps);
        }
        assert!(plan.returning_bands > 200 && plan.returning_bands < 500);
        assert!(plan.taps.iter().any(|t| t.arrives_at > t.at));
        assert!(plan.taps.windows(2).any(|pair| pair[0].at > pair[1].at), "some are out of order");
    }

    /// The same events through the domain's own decisions.
    fn decided(planned: &PlannedEvent) -> LiveEvent {
        let context = Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        let mut event = LiveEvent::default();
        let schedule = Command::Schedule(serde_json::from_value(planned.schedule.clone()).unwrap());
        let windows =
            planned.windows.iter().map(|w| Command::AddWindow(serde_json::from_value(w.clone()).unwrap()));
        for command in std::iter::once(schedule).chain(windows) {
            for fact in event.decide(command, &context).unwrap().events {
                event.evolve(fact);
            }
        }
        event
    }

    #[test]
    fn the_hub_would_have_answered_the_same() {
        let plan = tonight();
        for planned in &plan.events {
            let event = decided(planned);
            for tap in plan.taps.iter().filter(|t| t.event_id == planned.id) {
                let served = live_event::resolve(&event, tap.at);
                assert_eq!((served.mode, served.window_id), (tap.mode, tap.window_id), "{}", tap.at);
                assert_eq!(served.url.unwrap().for_band(&tap.band_id, &planned.id), tap.url);
            }
        }
    }

    #[test]
    fn the_model_sees_in_each_agent_what_it_is() {
        let classifier = Classifier::default();
        for tap in tonight().taps {
            let seen = classifier.classify(Some(tap.user_agent), tap.head).class.as_str();
            let meant = match tap.class {
                Class::Human => "human",
                Class::Bot => "bot",
                Class::Preview => "preview",
            };
            assert_eq!(seen, meant, "{} head={}", tap.user_agent, tap.head);
        }
    }
}
