//! What a live event decides.

use jiff::Timestamp;

use super::commands::{Command, Details, ModeInput, WindowInput};
use super::{Event, EventDetails, LiveEvent, MAX_WINDOWS, ScheduleMode, Status, Window, overlaps};
use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ids::check_id;
use crate::target_url::{TargetUrl, UrlPolicy};
use crate::time;

/// Longest name, venue, place, title or reason, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// An event or window lasts at most this long.
pub const MAX_DAYS: i64 = 3_660;

impl Decide for LiveEvent {
    const KIND: &'static str = super::KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, context: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::Schedule(details) = command {
            return self.schedule(&details, &context.urls);
        }
        let Some(details) = &self.details else { return Err(Rejection::NotFound) };
        match command {
            Command::Restore => return Ok(self.only_if(self.status != Status::Scheduled, Event::Restored {})),
            Command::Archive => return Ok(self.only_if(self.status != Status::Archived, Event::Archived {})),
            _ => {}
        }
        match self.status {
            Status::Scheduled => {}
            Status::Cancelled => {
                return Err(Rejection::State("the event is cancelled; restore it first".into()));
            }
            Status::Archived => {
                return Err(Rejection::State("the event is archived; restore it first".into()));
            }
        }
        match command {
            Command::ChangeDetails(input) => {
                let changed = check_details(&input, &context.urls)?;
                Ok(self.only_if(changed != *details, Event::DetailsChanged(changed)))
            }
            Command::AddWindow(input) => self.add_window(&input, details, &context.urls),
            Command::ChangeWindow(input) => self.change_window(&input, details, &context.urls),
            Command::RemoveWindow { window_id } => self.remove_window(window_id),
            Command::SetMode(input) => self.set_mode(input),
            Command::Cancel { reason } => {
                check_text("/reason", &reason, false)?;
                Ok(Decision::events(vec![Event::Cancelled { reason }]))
            }
            // Handled above.
            Command::Schedule(_) | Command::Restore | Command::Archive => Ok(Decision::nothing()),
        }
    }

    fn evolve(&mut self, event: Event) {
        self.apply_event(event);
    }
}

impl LiveEvent {
    fn only_if(&self, changes: bool, event: Event) -> Decision<Event> {
        Decision::events(if changes { vec![event] } else { vec![] })
    }

    /// Scheduling the same again changes nothing, so that a set-up script can
    /// be repeated.
    fn schedule(&self, input: &Details, urls: &UrlPolicy) -> Result<Decision<Event>, Rejection> {
        let details = check_details(input, urls)?;
        match &self.details {
            None => Ok(Decision::events(vec![Event::Scheduled(details)])),
            Some(known) if *known == details => Ok(Decision::nothing()),
            Some(_) => Err(Rejection::State("the event is scheduled already; use change".into())),
        }
    }

    fn add_window(
        &self,
        input: &WindowInput,
        details: &EventDetails,
        urls: &UrlPolicy,
    ) -> Result<Decision<Event>, Rejection> {
        let window = check_window(input, details, urls)?;
        match self.windows.get(&window.id) {
            Some(known) if *known == window => return Ok(Decision::nothing()),
            Some(_) => {
                return Err(Rejection::State(format!(
                    "window {} exists already; use change-window",
                    window.id
                )));
            }
            None if self.windows.len() >= MAX_WINDOWS => {
                return Err(Rejection::State(format!("an event has at most {MAX_WINDOWS} windows")));
            }
            None => {}
        }
        Ok(self.with_overlaps(Event::WindowAdded(window.clone()), &window))
    }

    fn change_window(
        &self,
        input: &WindowInput,
        details: &EventDetails,
        urls: &UrlPolicy,
    ) -> Result<Decision<Event>, Rejection> {
        let window = check_window(input, details, urls)?;
        match self.windows.get(&window.id) {
            None => Err(Rejection::field("/id", "names no window of this event")),
            Some(known) if *known == window => Ok(Decision::nothing()),
            Some(_) => Ok(self.with_overlaps(Event::WindowChanged(window.clone()), &window)),
        }
    }

    fn with_overlaps(&self, event: Event, window: &Window) -> Decision<Event> {
        let warnings = overlaps(self, window)
            .into_iter()
            .map(|other| {
                let order = |w: &Window| (w.priority, w.starts_at, w.id.clone());
                let winner = if order(window) > order(other) { &window.id } else { &other.id };
                format!(
                    "window {} overlaps window {}; while both hold, {winner} is served",
                    window.id, other.id
                )
            })
            .collect();
        Decision { warnings, ..Decision::events(vec![event]) }
    }

    fn remove_window(&self, window_id: String) -> Result<Decision<Event>, Rejection> {
        if !self.windows.contains_key(&window_id) {
            return Err(Rejection::field("/window_id", "names no window of this event"));
        }
        if self.mode == (ScheduleMode::Held { window_id: window_id.clone() }) {
            return Err(Rejection::State("the window is held; switch the schedule mode first".into()));
        }
        Ok(Decision::events(vec![Event::WindowRemoved { window_id }]))
    }

    fn set_mode(&self, input: ModeInput) -> Result<Decision<Event>, Rejection> {
        let mode = match input {
            ModeInput::Automatic => ScheduleMode::Automatic,
            ModeInput::Off => ScheduleMode::Off,
            ModeInput::Held { window_id } if self.windows.contains_key(&window_id) => {
                ScheduleMode::Held { window_id }
            }
            ModeInput::Held { .. } => {
                return Err(Rejection::field("/window_id", "names no window of this event"));
            }
        };
        Ok(self.only_if(mode != self.mode, Event::ScheduleModeChanged(mode)))
    }
}

fn check_details(input: &Details, urls: &UrlPolicy) -> Result<EventDetails, Rejection> {
    check_text("/name", &input.name, true)?;
    check_text("/venue", &input.venue, false)?;
    check_text("/place", &input.place, false)?;
    let zone = time::zone(&input.time_zone).map_err(|e| Rejection::field("/time_zone", e))?;
    let starts_at = time::instant(&input.starts_at, &zone).map_err(|e| Rejection::field("/starts_at", e))?;
    let ends_at = time::instant(&input.ends_at, &zone).map_err(|e| Rejection::field("/ends_at", e))?;
    check_span(starts_at, ends_at)?;
    let url = |field: &str, text: &Option<String>| {
        text.as_deref().map(|t| TargetUrl::parse(t, urls).map_err(|e| Rejection::field(field, e))).transpose()
    };
    Ok(EventDetails {
        name: input.name.clone(),
        venue: input.venue.clone(),
        place: input.place.clone(),
        time_zone: zone.iana_name().unwrap_or(&input.time_zone).to_owned(),
        starts_at,
        ends_at,
        pre_url: url("/pre_url", &input.pre_url)?,
        live_url: url("/live_url", &input.live_url)?,
        post_url: url("/post_url", &input.post_url)?,
        fallback_url: url("/fallback_url", &input.fallback_url)?,
    })
}

fn check_window(input: &WindowInput, details: &EventDetails, urls: &UrlPolicy) -> Result<Window, Rejection> {
    check_id(&input.id).map_err(|e| Rejection::field("/id", e))?;
    check_text("/title", &input.title, false)?;
    // The zone was checked when the event was scheduled.
    let zone = time::zone(&details.time_zone).map_err(|e| Rejection::State(format!("time zone {e}")))?;
    let starts_at = time::instant(&input.starts_at, &zone).map_err(|e| Rejection::field("/starts_at", e))?;
    let ends_at = time::instant(&input.ends_at, &zone).map_err(|e| Rejection::field("/ends_at", e))?;
    check_span(starts_at, ends_at)?;
    Ok(Window {
        id: input.id.clone(),
        title: input.title.clone(),
        kind: input.kind,
        starts_at,
        ends_at,
        url: TargetUrl::parse(&input.url, urls).map_err(|e| Rejection::field("/url", e))?,
        priority: input.priority,
    })
}

fn check_span(starts_at: Timestamp, ends_at: Timestamp) -> Result<(), Rejection> {
    if ends_at <= starts_at {
        return Err(Rejection::field("/ends_at", "must be after starts_at"));
    }
    let seconds = ends_at.as_second() - starts_at.as_second();
    if seconds > MAX_DAYS * 86_400 {
        return Err(Rejection::field("/ends_at", format!("must be at most {MAX_DAYS} days after starts_at")));
    }
    Ok(())
}

fn check_text(field: &str, text: &str, required: bool) -> Result<(), Rejection> {
    if required && text.trim().is_empty() {
        return Err(Rejection::field(field, "must not be empty"));
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(Rejection::field(field, format!("must be at most {MAX_TEXT_BYTES} bytes long")));
    }
    if text.chars().any(char::is_control) {
        return Err(Rejection::field(field, "must not contain control characters"));
    }
    Ok(())
}
