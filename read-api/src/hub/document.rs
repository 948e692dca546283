//! The hub's part of the API document. Its path is answered in front of the
//! router, so there are no handlers to write it on.

use utoipa::{IntoParams, OpenApi};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "documents the link")]
struct Link {
    /// The band.
    #[param(rename = "bandId")]
    band_id: String,
    /// The event, for a band that is not registered.
    #[param(rename = "eventId", required = false)]
    event_id: Option<String>,
    /// The tenant, where the host does not tell.
    #[param(required = false)]
    org: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the headers")]
struct TapHeaders {
    /// `log`: answer when the tap is in the log, with its `Daybook-Position`.
    #[param(rename = "Daybook-Ack", required = false)]
    ack: Option<String>,
    /// Answer by what the hub knows at this position, or 503.
    #[param(rename = "Daybook-At-Least", required = false)]
    at_least: Option<u64>,
    /// `wait=<seconds>`: how long to wait for that, 10 unless told, 60 at most.
    #[param(rename = "Prefer", required = false)]
    prefer: Option<String>,
}

/// Tap a band: leads where its event wants it now, and records the tap.
#[utoipa::path(
    get, path = "/e", tag = "Hub", security(()), params(Link, TapHeaders),
    responses(
        (status = 302, description = "`Location` is where it leads"),
        (status = 400, description = "The link names no band; a page", content_type = "text/html"),
        (status = 404, description = "It leads nowhere now; a page. The tap is recorded", content_type = "text/html"),
    )
)]
#[allow(dead_code, reason = "documents what the server answers")]
fn tap() {}

/// The same answer, recorded as a preview and never as a tap.
#[utoipa::path(
    head, path = "/e", tag = "Hub", security(()), params(Link, TapHeaders),
    responses(
        (status = 302, description = "`Location` is where it leads"),
        (status = 400, description = "The link names no band"),
        (status = 404, description = "It leads nowhere now"),
    )
)]
#[allow(dead_code, reason = "documents what the server answers")]
fn preview() {}

#[derive(OpenApi)]
#[openapi(paths(tap, preview))]
pub struct Doc;
