//! Which URL an event serves at an instant. Computed from stored instants at
//! the instant of the tap; no timer flips anything.

use jiff::Timestamp;

use super::{LiveEvent, ScheduleMode, Status, Window};
use crate::tap::Mode;
use crate::target_url::TargetUrl;

/// What applies at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served<'a> {
    pub mode: Mode,
    pub window_id: Option<&'a str>,
    /// `None`: the event has nothing to offer; the tenant's fallback is next.
    pub url: Option<&'a TargetUrl>,
}

/// The applying window's URL, else the phase's (pre, live, post), else the
/// event's fallback.
pub fn resolve(event: &LiveEvent, at: Timestamp) -> Served<'_> {
    let fallback = Served {
        mode: if fallback_url(event).is_some() { Mode::Fallback } else { Mode::None },
        window_id: None,
        url: fallback_url(event),
    };
    if event.status != Status::Scheduled {
        return fallback;
    }
    let window = match &event.mode {
        ScheduleMode::Off => return fallback,
        ScheduleMode::Held { window_id } => event.windows.get(window_id),
        ScheduleMode::Automatic => applying(event.windows.values(), at),
    };
    if let Some(w) = window {
        return Served { mode: w.kind.mode(), window_id: Some(&w.id), url: Some(&w.url) };
    }
    phase(event, at).unwrap_or(fallback)
}

fn fallback_url(event: &LiveEvent) -> Option<&TargetUrl> {
    event.details.as_ref().and_then(|d| d.fallback_url.as_ref())
}

/// Highest priority, then latest start, then greatest id.
fn applying<'a>(windows: impl Iterator<Item = &'a Window>, at: Timestamp) -> Option<&'a Window> {
    windows
        .filter(|w| w.starts_at <= at && at < w.ends_at)
        .max_by(|a, b| (a.priority, a.starts_at, &a.id).cmp(&(b.priority, b.starts_at, &b.id)))
}

fn phase(event: &LiveEvent, at: Timestamp) -> Option<Served<'_>> {
    let details = event.details.as_ref()?;
    let (mode, url) = if at < details.starts_at {
        (Mode::Pre, details.pre_url.as_ref())
    } else if at < details.ends_at {
        (Mode::Live, details.live_url.as_ref())
    } else {
        (Mode::Post, details.post_url.as_ref())
    };
    url.map(|url| Served { mode, window_id: None, url: Some(url) })
}

/// The other windows that overlap this one, in id order.
pub fn overlaps<'a>(event: &'a LiveEvent, window: &Window) -> Vec<&'a Window> {
    event
        .windows
        .values()
        .filter(|w| w.id != window.id && w.starts_at < window.ends_at && window.starts_at < w.ends_at)
        .collect()
}
