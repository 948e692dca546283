//! The typed JSON events of apps: `{"appId", "deviceId", "timestampMs", …}` and
//! one body such as `screenView`, its name and its members in camelCase or in
//! snake_case. They are kept in snake_case, so that a rule's path holds for both.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::check::{self, Checked};
use super::cloud_event::{Apps, Members};
use super::{Fault, Format, Signal};

/// The bodies there are, with their categories.
pub const TYPES: &[(&str, &str)] = &[
    ("user_login", "user"),
    ("user_logout", "user"),
    ("user_signup", "user"),
    ("user_profile_update", "user"),
    ("screen_view", "screen"),
    ("screen_exit", "screen"),
    ("button_tap", "interaction"),
    ("swipe_gesture", "interaction"),
    ("scroll_event", "interaction"),
    ("text_input", "interaction"),
    ("long_press", "interaction"),
    ("double_tap", "interaction"),
    ("product_view", "commerce"),
    ("add_to_cart", "commerce"),
    ("remove_from_cart", "commerce"),
    ("checkout_start", "commerce"),
    ("checkout_step", "commerce"),
    ("purchase_complete", "commerce"),
    ("purchase_failed", "commerce"),
    ("app_start", "system"),
    ("app_background", "system"),
    ("app_foreground", "system"),
    ("app_crash", "system"),
    ("network_change", "system"),
    ("permission_request", "system"),
    ("permission_result", "system"),
    ("memory_warning", "system"),
    ("battery_change", "system"),
];

/// Other names that bodies go by.
const ALIASES: &[(&str, &str)] = &[
    ("logout", "user_logout"),
    ("signup", "user_signup"),
    ("profile_update", "user_profile_update"),
    ("custom", "custom_event"),
];

const CUSTOM: &str = "custom_event";

/// Reads one event. `fresh_id` is for an event that brings no idempotency key.
pub fn decode(members: Members, apps: Apps<'_>, fresh_id: &str) -> Result<Signal, Fault> {
    let mut envelope = Envelope::default();
    for (name, value) in members {
        envelope.take(&name, value)?;
    }
    let Some(body) = envelope.body else {
        return Err(Fault::new("", "has no body such as screenView, purchaseComplete or custom"));
    };
    let app = apps.pick("/appId", envelope.app.as_deref())?;
    let source = match &envelope.device {
        Some(device) => format!("/devices/{}", percent_encoded(device)),
        None => format!("/apps/{app}"),
    };
    Signal {
        app,
        source,
        id: envelope.id.unwrap_or_else(|| fresh_id.to_owned()),
        signal_type: body.signal_type,
        category: Some(body.category.to_owned()),
        subject: None,
        device: envelope.device,
        time: envelope.time.map(|at| at.to_string()),
        sent_at: envelope.sent_at,
        correlation: envelope.correlation,
        dataschema: None,
        datacontenttype: None,
        context: envelope.context,
        attributes: BTreeMap::new(),
        data: Some(body.data),
        data_base64: None,
        format: Format::App,
        mismatch: None,
    }
    .checked()
}

#[derive(Default)]
struct Envelope {
    app: Option<String>,
    device: Option<String>,
    id: Option<String>,
    correlation: Option<String>,
    time: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    context: Option<Box<RawValue>>,
    body: Option<Body>,
}

struct Body {
    signal_type: String,
    category: &'static str,
    data: Box<RawValue>,
}

impl Envelope {
    fn take(&mut self, name: &str, value: Box<RawValue>) -> Checked {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        if value.get() == "null" {
            return Ok(());
        }
        match snake_case(name).as_str() {
            "app_id" => put(&mut self.app, &pointer, text(&pointer, &value)?),
            "device_id" => put(&mut self.device, &pointer, text(&pointer, &value)?),
            // A key that makes repeating safe goes before an id that may not.
            "idempotency_key" => {
                self.id = Some(text(&pointer, &value)?);
                Ok(())
            }
            "id" => {
                let id = text(&pointer, &value)?;
                self.id.get_or_insert(id);
                Ok(())
            }
            "correlation_id" => {
                let id = text(&pointer, &value)?;
                check::short(&pointer, &id)?;
                put(&mut self.correlation, &pointer, id)
            }
            "timestamp_ms" | "timestamp" => put(&mut self.time, &pointer, instant(&pointer, &value)?),
            "sent_at" | "sent_at_ms" => put(&mut self.sent_at, &pointer, instant(&pointer, &value)?),
            "device_context" => put(&mut self.context, &pointer, members_in_snake_case(&pointer, &value)?),
            other => {
                let body = read_body(other, &pointer, &value)?;
                match self.body {
                    Some(_) => Err(Fault::new(pointer, "is a second body; an event has one")),
                    None => put(&mut self.body, &pointer, body),
                }
            }
        }
    }
}

fn put<T>(place: &mut Option<T>, pointer: &str, value: T) -> Checked {
    match place.replace(value) {
        Some(_) => Err(Fault::new(pointer, "is given twice")),
        None => Ok(()),
    }
}

fn text(pointer: &str, value: &RawValue) -> Checked<String> {
    let text: String =
        serde_json::from_str(value.get()).map_err(|_| Fault::new(pointer, "must be a string"))?;
    check::short(pointer, &text)?;
    Ok(text)
}

/// Milliseconds, as a number or as protobuf's JSON writes them in a string, or
/// an RFC 3339 time.
fn instant(pointer: &str, value: &RawValue) -> Checked<Timestamp> {
    let reason = "must be milliseconds since 1970 or a time of RFC 3339";
    let text = value.get();
    let text = serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned());
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        // What does not fit 64 bits is past every year.
        return check::millis(pointer, text.parse().unwrap_or(i64::MAX));
    }
    check::instant(pointer, &text).map_err(|_| Fault::new(pointer, reason))
}

fn read_body(name: &str, pointer: &str, value: &RawValue) -> Checked<Body> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    if name == CUSTOM {
        return read_custom(pointer, value);
    }
    let Some((signal_type, category)) = TYPES.iter().find(|(known, _)| *known == name) else {
        return Err(Fault::new(pointer, "is neither a field of an event nor one of the bodies"));
    };
    let data = in_snake_case(value, 0).filter(|data| data.get().starts_with('{'));
    let data = data.ok_or_else(|| Fault::new(pointer, "must be an object"))?;
    Ok(Body { signal_type: (*signal_type).to_owned(), category, data })
}

/// An event that the app has named itself; what its parameters are called is
/// the app's.
fn read_custom(pointer: &str, value: &RawValue) -> Checked<Body> {
    let data = members_in_snake_case(pointer, value)?;
    let members: Members =
        serde_json::from_str(data.get()).map_err(|_| Fault::new(pointer, "must be an object"))?;
    let at = format!("{pointer}/eventName");
    let name = members.get("event_name").ok_or_else(|| Fault::new(&at, "is missing"))?;
    let signal_type = text(&at, name)?;
    Ok(Body { signal_type, category: "custom", data })
}

/// An object whose own members are named in snake_case, and no deeper.
fn members_in_snake_case(pointer: &str, value: &RawValue) -> Checked<Box<RawValue>> {
    let members: Members =
        serde_json::from_str(value.get()).map_err(|_| Fault::new(pointer, "must be an object"))?;
    let members: Members = members.into_iter().map(|(name, value)| (snake_case(&name), value)).collect();
    serde_json::value::to_raw_value(&members).map_err(|e| Fault::new(pointer, e.to_string()))
}

/// The same with every object in it but free parameters. Numbers and texts stay
/// as they were written. `None` if it is too deep to be an event.
fn in_snake_case(value: &RawValue, depth: usize) -> Option<Box<RawValue>> {
    const MAX_DEPTH: usize = 16;
    if depth == MAX_DEPTH {
        return None;
    }
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let members: Members = serde_json::from_str(value.get()).ok()?;
            let mut out = Members::new();
            for (name, value) in members {
                let name = snake_case(&name);
                let value = if name == "params" { value } else { in_snake_case(&value, depth + 1)? };
                out.insert(name, value);
            }
            serde_json::value::to_raw_value(&out).ok()
        }
        Some(b'[') => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(value.get()).ok()?;
            let items: Option<Vec<_>> = items.iter().map(|item| in_snake_case(item, depth + 1)).collect();
            serde_json::value::to_raw_value(&items?).ok()
        }
        _ => Some(value.to_owned()),
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
