//! One event into rows.

use domain::ids::check_id;
use domain::personal::PersonalText;
use domain::tap::{PREVIEWED, Tap};
use domain::{RecordedEvent, TenantId, live_event, registry};
use jiff::Timestamp;
use models::taps::sessions::{self, Session, Sessions};
use models::taps::{Class, Classification};

use super::rows::{
    BandTaps, EventSettings, HISTORY_EVENTS, HISTORY_TAPS, History, Minute, NONE, PastTap, Peak, Referrers,
    Seen, Shared, Summary, key,
};
use super::series::minute_of;
use super::{
    BANDS, EVENTS, HISTORY, MINUTES, NO_EVENT, REFERRERS, SHARED, SUMMARY, TapAnalytics, VISITORS, breakdown,
};
use crate::projection::ApplyError;
use crate::working_set::Rows;

/// Bounds of breakdowns whose names come from outside.
pub const MAX_HOSTS: usize = 1_000;
pub const MAX_WINDOWS: usize = 1_000;
pub const MAX_COUNTRIES: usize = 300;
pub const MAX_LANGUAGES: usize = 200;
/// For breakdowns with names from a closed list.
pub const CLOSED: usize = usize::MAX;

pub fn settings(rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
    match settings_of(event)? {
        Some(settings) => rows.put(EVENTS, &event.stream.tenant, &event.stream.id, settings),
        None => Ok(()),
    }
}

pub fn settings_of(event: &RecordedEvent) -> Result<Option<EventSettings>, ApplyError> {
    let details = match registry::decode(event)? {
        live_event::Event::Scheduled(details) | live_event::Event::DetailsChanged(details) => details,
        _ => return Ok(None),
    };
    Ok(Some(EventSettings {
        name: details.name,
        time_zone: details.time_zone,
        starts_at: details.starts_at,
        ends_at: details.ends_at,
    }))
}

/// A tap with everything that its rows need.
struct Counted<'a> {
    tenant: &'a TenantId,
    event_id: &'a str,
    tap: &'a Tap,
    at: Timestamp,
    position: u64,
    seen: Classification,
    /// `None` where visits are not told apart.
    gap_seconds: Option<u32>,
}

/// What a tap meant for its band, which the event's other rows depend on.
struct BandNews {
    /// The band's taps at the event, with this one; 0 if this is none.
    taps: u64,
    /// This tap came in late and is the first now; the band's first was then.
    moved_from: Option<Timestamp>,
}

pub fn tap(rows: &mut Rows, event: &RecordedEvent, model: &TapAnalytics) -> Result<(), ApplyError> {
    let tap: Tap = registry::decode_payload(event)?;
    let visitor = tap.visitor.as_ref().and_then(PersonalText::clear);
    let ids = [Some(&*tap.band_id), tap.event_id.as_deref(), tap.window_id.as_deref(), visitor];
    for id in ids.into_iter().flatten() {
        check_id(id).map_err(|e| ApplyError::Event(format!("an id of the tap {e}")))?;
    }
    let head = &*event.event_type == PREVIEWED;
    let counted = Counted {
        tenant: &event.stream.tenant,
        event_id: tap.event_id.as_deref().unwrap_or(NO_EVENT),
        at: event.at(),
        position: event.position,
        seen: match &tap.user_agent {
            Some(PersonalText::Erased) => Classification::erased(head),
            agent => model.classifier.classify(agent.as_ref().and_then(PersonalText::clear), head),
        },
        gap_seconds: model.gap_seconds,
        tap: &tap,
    };
    counted.fold(rows)
}

impl Counted<'_> {
    fn is_tap(&self) -> bool {
        self.seen.class == Class::Human
    }

    fn fold(&self, rows: &mut Rows) -> Result<(), ApplyError> {
        self.history(rows)?;
        let news = self.band(rows)?;
        let minute = self.minute(rows, &news)?;
        let new_visitor = self.is_tap() && self.visitor(rows)?;
        self.summary(rows, &news, minute, new_visitor)?;
        if self.is_tap() {
            let referrers: &mut Referrers = rows.entry_or_default(REFERRERS, self.tenant, self.event_id)?;
            set_id(&mut referrers.event_id, self.event_id);
            let host = breakdown::referrer_host(self.tap.referrer.as_deref());
            referrers.hosts.add(&host, MAX_HOSTS);
        }
        Ok(())
    }

    fn history(&self, rows: &mut Rows) -> Result<(), ApplyError> {
        let history: &mut History = rows.entry_or_default(HISTORY, self.tenant, &self.tap.band_id)?;
        let past = PastTap(
            self.at.as_microsecond(),
            self.position,
            self.event_id.into(),
            self.seen.class,
            self.tap.mode,
            self.tap.window_id.clone(),
        );
        let place = history.last.partition_point(|p| (p.0, p.1) < (past.0, past.1));
        history.last.insert(place, past);
        if history.last.len() > HISTORY_TAPS {
            history.last.remove(0);
        }
        if !self.is_tap() {
            return Ok(());
        }
        if let Some(taps) = history.events.get_mut(self.event_id) {
            *taps += 1;
            return Ok(());
        }
        if history.events.len() >= HISTORY_EVENTS {
            return Ok(());
        }
        let others: Vec<String> = history.events.keys().filter(|e| *e != NO_EVENT).cloned().collect();
        history.events.insert(self.event_id.into(), 1);
        if self.event_id == NO_EVENT {
            return Ok(());
        }
        for other in others {
            let (a, b) =
                if *other < *self.event_id { (&*other, self.event_id) } else { (self.event_id, &*other) };
            rows.entry_or_default::<Shared>(SHARED, self.tenant, &key(a, b))?.bands += 1;
        }
        Ok(())
    }

    fn band(&self, rows: &mut Rows) -> Result<BandNews, ApplyError> {
        let row_key = key(self.event_id, &self.tap.band_id);
        let band: &mut BandTaps = rows.entry_or_default(BANDS, self.tenant, &row_key)?;
        set_id(&mut band.event_id, self.event_id);
        set_id(&mut band.band_id, &self.tap.band_id);
        count(self.seen.class, &mut band.taps, &mut band.bots, &mut band.previews);
        if !self.is_tap() {
            return Ok(BandNews { taps: 0, moved_from: None });
        }
        band.modes.add(self.tap.mode.as_str(), CLOSED);
        let moved_from = band.first_tap_at.filter(|first| self.at < *first);
        widen(&mut band.first_tap_at, &mut band.last_tap_at, self.at);
        Ok(BandNews { taps: band.taps, moved_from })
    }

    /// Counts the tap in its minute and returns the minute's start and taps.
    fn minute(&self, rows: &mut Rows, news: &BandNews) -> Result<Peak, ApplyError> {
        let start = minute_of(self.at);
        let row = self.minute_row(rows, start)?;
        count(self.seen.class, &mut row.taps, &mut row.bots, &mut row.previews);
        if self.is_tap() {
            row.modes.add(self.tap.mode.as_str(), CLOSED);
        }
        // A minute has six times ten seconds.
        let ten = usize::try_from(self.at.duration_since(start).as_secs() / 10).unwrap_or(0).min(5);
        row.tens[ten][class_index(self.seen.class)] += 1;
        let taps = row.taps;
        if news.taps == 1 || news.moved_from.is_some() {
            row.new_bands += 1;
        }
        if let Some(first) = news.moved_from {
            let row = self.minute_row(rows, minute_of(first))?;
            row.new_bands = row.new_bands.saturating_sub(1);
        }
        Ok(Peak { start, taps })
    }

    fn minute_row<'r>(&self, rows: &'r mut Rows, start: Timestamp) -> Result<&'r mut Minute, ApplyError> {
        let row_key = key(self.event_id, &start.to_string());
        let row: &mut Minute = rows.entry_or_default(MINUTES, self.tenant, &row_key)?;
        set_id(&mut row.event_id, self.event_id);
        row.start = start;
        Ok(row)
    }

    /// Whether this is the first tap of its visitor at the event.
    fn visitor(&self, rows: &mut Rows) -> Result<bool, ApplyError> {
        // Nobody can tell an erased visitor from others: not counted, as none is.
        let visitor = self.tap.visitor.as_ref().and_then(PersonalText::clear);
        let Some(visitor) = visitor else { return Ok(false) };
        let row_key = key(self.event_id, visitor);
        let Some(gap_seconds) = self.gap_seconds else {
            if rows.get::<Seen>(VISITORS, self.tenant, &row_key)?.is_some() {
                return Ok(false);
            }
            rows.put(VISITORS, self.tenant, &row_key, Seen::default())?;
            return Ok(true);
        };
        let seen: &mut Seen = rows.entry_or_default(VISITORS, self.tenant, &row_key)?;
        let new = seen.visits.is_empty();
        // The visits are lent out while the figures of the event change.
        let mut visits: Vec<Session> = std::mem::take(&mut seen.visits);
        let summary: &mut Summary = rows.entry_or_default(SUMMARY, self.tenant, self.event_id)?;
        let figures: &mut Sessions = summary.sessions.get_or_insert_default();
        sessions::add(&mut visits, self.at.as_microsecond(), gap_seconds, figures);
        rows.entry_or_default::<Seen>(VISITORS, self.tenant, &row_key)?.visits = visits;
        Ok(new)
    }

    fn summary(
        &self,
        rows: &mut Rows,
        news: &BandNews,
        minute: Peak,
        new_visitor: bool,
    ) -> Result<(), ApplyError> {
        let row: &mut Summary = rows.entry_or_default(SUMMARY, self.tenant, self.event_id)?;
        set_id(&mut row.event_id, self.event_id);
        count(self.seen.class, &mut row.taps, &mut row.bots, &mut row.previews);
        if let Some(class) = self.seen.bot_class {
            row.bot_classes.add(class.as_str(), CLOSED);
        }
        if !self.is_tap() {
            return Ok(());
        }
        row.unique_bands += u64::from(news.taps == 1);
        row.repeat_bands += u64::from(news.taps == 2);
        row.unique_visitors += u64::from(new_visitor);
        widen(&mut row.first_tap_at, &mut row.last_tap_at, self.at);
        raise(&mut row.peak_minute, minute);
        row.modes.add(self.tap.mode.as_str(), CLOSED);
        row.windows.add(self.tap.window_id.as_deref().unwrap_or(NONE), MAX_WINDOWS);
        row.devices.add(self.seen.device.as_str(), CLOSED);
        row.os.add(self.seen.os, CLOSED);
        row.browsers.add(self.seen.browser, CLOSED);
        row.countries.add(&breakdown::country(self.tap.country.as_deref()), MAX_COUNTRIES);
        row.languages.add(&breakdown::language(self.tap.language.as_deref()), MAX_LANGUAGES);
        Ok(())
    }
}

/// Rows are made on first use and don't know their ids then.
fn set_id(id: &mut String, value: &str) {
    if id.is_empty() {
        value.clone_into(id);
    }
}

pub fn class_index(class: Class) -> usize {
    match class {
        Class::Human => 0,
        Class::Bot => 1,
        Class::Preview => 2,
    }
}

fn count(class: Class, taps: &mut u64, bots: &mut u64, previews: &mut u64) {
    *[taps, bots, previews][class_index(class)] += 1;
}

fn widen(first: &mut Option<Timestamp>, last: &mut Option<Timestamp>, at: Timestamp) {
    *first = Some(first.map_or(at, |f| f.min(at)));
    *last = Some(last.map_or(at, |l| l.max(at)));
}

fn raise(peak: &mut Option<Peak>, minute: Peak) {
    let beaten = peak.is_none_or(|p| {
        (minute.taps, std::cmp::Reverse(minute.start)) > (p.taps, std::cmp::Reverse(p.start))
    });
    if beaten {
        *peak = Some(minute);
    }
}
