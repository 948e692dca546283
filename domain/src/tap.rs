//! Taps: facts that need no decision. The hub and the importers write them.
//!
//! Taps stand in streams of their own (kind `taps`, one per hub journal or per
//! imported line), not in the band's: a tap must not change the version that a
//! client editing the band holds in `If-Match`.

use serde::{Deserialize, Serialize};

use crate::personal::{Personal, PersonalText};

/// Somebody followed the link of a band (a GET).
pub const TAPPED: &str = "band.tapped";
/// A program asked what the link leads to (a HEAD). Never a tap.
pub const PREVIEWED: &str = "band.previewed";
/// Stream kind of taps.
pub const KIND: &str = "taps";

/// Data of whoever wears the band.
pub const PERSONAL: Personal =
    Personal { kind: crate::band::KIND, member: "band_id", fields: &["user_agent", "visitor"] };

/// What the redirect served. The words are those of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Pre,
    Live,
    Post,
    Custom,
    /// The event's fallback URL.
    Fallback,
    /// The tenant's fallback URL.
    TenantFallback,
    /// Nothing was configured: a plain 404 page.
    None,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Live => "live",
            Self::Post => "post",
            Self::Custom => "custom",
            Self::Fallback => "fallback",
            Self::TenantFallback => "tenant_fallback",
            Self::None => "none",
        }
    }
}

/// Payload of `band.tapped` and `band.previewed`. Whether a person, a bot or a
/// link preview was behind it is an interpretation and not in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tap {
    pub band_id: String,
    /// The event that the band was assigned to at that instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The window that applied, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_id: Option<String>,
    pub mode: Mode,
    /// Where the redirect led.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// At most [`MAX_USER_AGENT_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<PersonalText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// The `Accept-Language` header, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// ISO 3166-1 alpha-2, if a trusted proxy said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Keyed hash of address and user agent under a daily salt that is thrown
    /// away; 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<PersonalText>,
    /// `hub`, `import:bitly`, `import:combined`, `demo`.
    pub source: String,
}

pub const MAX_USER_AGENT_BYTES: usize = 512;
pub const MAX_REFERRER_BYTES: usize = 1024;
pub const MAX_LANGUAGE_BYTES: usize = 128;

/// Cuts text to at most `max` bytes at a character boundary.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
