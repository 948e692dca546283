//! A series around a window, drawn: the band, the line, the window, the peak.

use std::fmt::Write as _;

use domain::anomaly_window::Expected;
use jiff::Timestamp;

use super::plot::{Plot, Point};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 28.0;

/// From values and instants to places in the picture.
struct Scale {
    from: f64,
    span: f64,
    low: f64,
    high: f64,
}

impl Scale {
    fn new(plot: &Plot) -> Self {
        let window = &plot.window;
        let instants = plot.points.iter().map(|p| p.at).chain([window.start, window.end]);
        let (first, last) = instants.fold((window.start, window.end), |(a, b), at| (a.min(at), b.max(at)));
        let values = plot.points.iter().map(|p| p.value).chain([window.peak.value]);
        let (mut low, mut high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        // A band belongs into the picture, unless it would make the line flat.
        let room = (high / 2.0 - low / 2.0).max(high.abs() / 8.0).max(f64::MIN_POSITIVE);
        let limits = plot.points.iter().filter_map(|p| p.expected).flat_map(|e| [e.lower, e.upper]);
        let shown = low - room..high + room;
        for limit in limits.flatten().filter(|limit| shown.contains(limit)) {
            (low, high) = (low.min(limit), high.max(limit));
        }
        // Values may be as far apart as numbers go.
        let pad = (high / 20.0 - low / 20.0).max(high.abs() / 100.0).max(f64::MIN_POSITIVE);
        let (low, high) = ((low - pad).max(-f64::MAX), (high + pad).min(f64::MAX));
        let micros = |at: Timestamp| at.as_microsecond() as f64;
        Self { from: micros(first), span: (micros(last) - micros(first)).max(1.0), low, high }
    }

    fn x(&self, at: Timestamp) -> f64 {
        LEFT + (at.as_microsecond() as f64 - self.from) / self.span * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        // Halves, since the difference of two large numbers may be none.
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }
}

/// The picture as a document of its own.
pub fn draw(plot: &Plot) -> String {
    let scale = Scale::new(plot);
    let window = &plot.window;
    let key = window.key.as_deref().map(|key| format!(" · {key}")).unwrap_or_default();
    let title = escaped(&format!("{}{key} · {} to {}", window.rule, window.start, window.end));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n<title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"13\">{title}</text>\n"
    );
    let (x1, x2) = (scale.x(window.start), scale.x(window.end));
    let (left, width) = ((x1 - 2.0).max(0.0), x2 - x1 + 4.0);
    let height = HEIGHT - TOP - BOTTOM;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<rect class=\"window\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\" fill=\"#fde2e2\"/>"
    );
    bands(&mut out, plot, &scale);
    let line: Vec<String> =
        plot.points.iter().map(|p| format!("{:.1},{:.1}", scale.x(p.at), scale.y(p.value))).collect();
    let _ = writeln!(
        out,
        "<polyline class=\"series\" points=\"{}\" fill=\"none\" stroke=\"#1f4e79\"/>",
        line.join(" ")
    );
    for point in plot.points.iter().filter(|p| p.unusual) {
        let (x, y) = (scale.x(point.at), scale.y(point.value));
        let _ =
            writeln!(out, "<circle class=\"unusual\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"#c00\"/>");
    }
    let (x, y) = (scale.x(window.peak.at), scale.y(window.peak.value));
    let _ = writeln!(
        out,
        "<circle class=\"peak\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"none\" stroke=\"#c00\"/>"
    );
    axes(&mut out, plot, &scale);
    out.push_str("</svg>\n");
    out
}

/// One area for each stretch of points with a band.
fn bands(out: &mut String, plot: &Plot, scale: &Scale) {
    for stretch in plot.points.chunk_by(|a, b| a.expected.is_some() == b.expected.is_some()) {
        let limits: Vec<(&Point, Expected)> =
            stretch.iter().filter_map(|p| p.expected.map(|e| (p, e))).collect();
        if limits.is_empty() {
            continue;
        }
        let place = |(p, limit): (&Point, f64)| format!("{:.1},{:.1}", scale.x(p.at), scale.y(limit));
        let upper = limits.iter().map(|(p, e)| place((p, e.upper.unwrap_or(f64::MAX))));
        let lower = limits.iter().rev().map(|(p, e)| place((p, e.lower.unwrap_or(-f64::MAX))));
        let area: Vec<String> = upper.chain(lower).collect();
        let _ = writeln!(
            out,
            "<polygon class=\"band\" points=\"{}\" fill=\"#1f4e79\" fill-opacity=\"0.15\"/>",
            area.join(" ")
        );
    }
}

fn axes(out: &mut String, plot: &Plot, scale: &Scale) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let _ = writeln!(out, "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/>");
    for share in [0.0, 0.5, 1.0] {
        let value = scale.low + (scale.high / 2.0 - scale.low / 2.0) * 2.0 * share;
        let (x, y) = (LEFT - 6.0, scale.y(value) + 4.0);
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", short(value));
    }
    let ends = [(plot.points.first(), LEFT, "start"), (plot.points.last(), right, "end")];
    for (point, x, anchor) in ends {
        let Some(point) = point else { continue };
        let y = HEIGHT - 10.0;
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", point.at);
    }
}

fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) { format!("{value:.2e}") } else { format!("{value:.3}") }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Not allowed in XML, in whatever form.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
