//! What the parts of a signal may be.

use jiff::Timestamp;

use super::{Fault, Signal};
use crate::ids::check_id;

const MAX_TEXT: usize = 1_024;
const MAX_SHORT: usize = 256;
const MAX_ATTRIBUTES: usize = 64;
pub(super) const MAX_ATTRIBUTE_NAME: usize = 64;
pub(super) const MAX_ATTRIBUTE_VALUE: usize = 4_096;

pub(super) type Checked<T = ()> = Result<T, Fault>;

/// A text that is there, not empty and not too long.
pub(super) fn text(pointer: &str, value: &str, max: usize) -> Checked {
    if value.is_empty() {
        return Err(Fault::new(pointer, "must not be empty"));
    }
    if value.len() > max {
        return Err(Fault::new(pointer, format!("must be at most {max} bytes long")));
    }
    match value.chars().find(|c| c.is_control()) {
        Some(c) => Err(Fault::new(pointer, format!("must not contain {c:?}"))),
        None => Ok(()),
    }
}

pub(super) fn app(pointer: &str, value: &str) -> Checked {
    if value == super::OWN_APP {
        return Err(Fault::new(pointer, "is the name that Daybook's own signals have"));
    }
    check_id(value).map_err(|e| Fault::new(pointer, e.to_string()))
}

pub(super) fn short(pointer: &str, value: &str) -> Checked {
    text(pointer, value, MAX_SHORT)
}

pub(super) fn long(pointer: &str, value: &str) -> Checked {
    text(pointer, value, MAX_TEXT)
}

pub(super) fn attribute(pointer: &str, value: &str) -> Checked {
    if value.len() > MAX_ATTRIBUTE_VALUE {
        return Err(Fault::new(pointer, format!("must be at most {MAX_ATTRIBUTE_VALUE} bytes long")));
    }
    match value.chars().find(|c| c.is_control()) {
        Some(c) => Err(Fault::new(pointer, format!("must not contain {c:?}"))),
        None => Ok(()),
    }
}

/// The characters of RFC 3986, with every `%` before two hex digits.
pub(super) fn uri_reference(pointer: &str, value: &str) -> Checked {
    long(pointer, value)?;
    let bytes = value.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let fits = |(i, b): (usize, &u8)| match b {
        b'%' => hex(i + 1) && hex(i + 2),
        b => b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(b),
    };
    match bytes.iter().enumerate().all(fits) {
        true => Ok(()),
        false => Err(Fault::new(pointer, "must be a URI-reference (RFC 3986)")),
    }
}

/// A URI with its scheme.
pub(super) fn uri(pointer: &str, value: &str) -> Checked {
    uri_reference(pointer, value)?;
    let scheme = value.split_once(':').map(|(scheme, _)| scheme.as_bytes());
    let named = scheme.is_some_and(|s| {
        s.first().is_some_and(u8::is_ascii_alphabetic)
            && s.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
    });
    match named {
        true => Ok(()),
        false => Err(Fault::new(pointer, "must be a URI with a scheme (RFC 3986)")),
    }
}

/// `type/subtype` with parameters.
pub(super) fn media_type(pointer: &str, value: &str) -> Checked {
    short(pointer, value)?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    let token =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    match essence.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub)) {
        true => Ok(()),
        false => Err(Fault::new(pointer, "must be a media type (RFC 2046)")),
    }
}

/// An RFC 3339 instant of the years that the log can hold.
pub(super) fn instant(pointer: &str, value: &str) -> Checked<Timestamp> {
    let at = value.parse().map_err(|_| Fault::new(pointer, "must be a time of RFC 3339 with its offset"))?;
    Ok(crate::time::to_micros(at))
}

/// Milliseconds since 1970.
pub(super) fn millis(pointer: &str, value: i64) -> Checked<Timestamp> {
    let reason = "must be milliseconds since 1970 up to the year 9999";
    match Timestamp::from_millisecond(value) {
        Ok(at) if value > 0 => Ok(at),
        _ => Err(Fault::new(pointer, reason)),
    }
}

/// Whether a media type says that its data is JSON. Without one it is.
pub fn is_json(media_type: Option<&str>) -> bool {
    let Some(media_type) = media_type else { return true };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// What holds of every signal, whatever it was written as.
pub(super) fn signal(signal: &Signal) -> Checked {
    app("/app", &signal.app)?;
    uri_reference("/source", &signal.source)?;
    short("/id", &signal.id)?;
    short("/type", &signal.signal_type)?;
    if let Some(subject) = &signal.subject {
        long("/subject", subject)?;
    }
    if let Some(device) = &signal.device {
        short("/deviceId", device)?;
    }
    if signal.attributes.len() > MAX_ATTRIBUTES {
        return Err(Fault::new("", format!("must have at most {MAX_ATTRIBUTES} extension attributes")));
    }
    Ok(())
}
