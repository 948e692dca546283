//! Plots as SVG, without scripts.

use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 340.0;
/// Left, top, right, bottom.
const MARGIN: [f64; 4] = [52.0, 16.0, 16.0, 44.0];

/// A frame with axes, and what is drawn in it.
pub struct Plot {
    x: [f64; 2],
    y: [f64; 2],
    body: String,
}

impl Plot {
    /// Axes from and to these values, with a label and so many steps each.
    pub fn new(x: [f64; 2], y: [f64; 2], labels: [&str; 2], steps: [usize; 2]) -> Self {
        let mut plot = Self { x, y, body: String::new() };
        let [left, top, right, bottom] = MARGIN;
        let (width, height) = (WIDTH - left - right, HEIGHT - top - bottom);
        let _ = write!(
            plot.body,
            "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>"
        );
        for i in 0..=steps[0] {
            let value = x[0] + (x[1] - x[0]) * i as f64 / steps[0] as f64;
            let (at, under) = (plot.across(value), HEIGHT - bottom + 16.0);
            let _ =
                write!(plot.body, "<text class=\"x\" x=\"{at:.1}\" y=\"{under}\">{}</text>", short(value));
        }
        for i in 0..=steps[1] {
            let value = y[0] + (y[1] - y[0]) * i as f64 / steps[1] as f64;
            let (at, end) = (plot.up(value), WIDTH - right);
            let _ = write!(
                plot.body,
                "<line class=\"grid\" x1=\"{left}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\"/><text class=\"y\" x=\"{}\" y=\"{:.1}\">{}</text>",
                left - 6.0,
                at + 4.0,
                short(value)
            );
        }
        let _ = write!(
            plot.body,
            "<text class=\"x\" x=\"{}\" y=\"{}\">{}</text><text class=\"x\" transform=\"translate(14 {}) rotate(-90)\">{}</text>",
            left + width / 2.0,
            HEIGHT - 8.0,
            escaped(labels[0]),
            top + height / 2.0,
            escaped(labels[1])
        );
        plot
    }

    fn across(&self, x: f64) -> f64 {
        let [left, _, right, _] = MARGIN;
        left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - left - right)
    }

    fn up(&self, y: f64) -> f64 {
        let [_, top, _, bottom] = MARGIN;
        HEIGHT - bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - top - bottom)
    }

    pub fn dot(&mut self, at: (f64, f64), radius: f64, class: &str, title: &str) {
        let (x, y) = (self.across(at.0), self.up(at.1));
        let _ = write!(
            self.body,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"><title>{}</title></circle>",
            escaped(title)
        );
    }

    pub fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.across(*x), self.up(*y))).collect();
        let _ = write!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// The area between a lower and an upper line.
    pub fn band(&mut self, lower: &[(f64, f64)], upper: &[(f64, f64)], class: &str) {
        let around = lower.iter().chain(upper.iter().rev());
        let points: Vec<String> =
            around.map(|(x, y)| format!("{:.1},{:.1}", self.across(*x), self.up(*y))).collect();
        let _ = write!(self.body, "<polygon class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    pub fn text(&mut self, at: (f64, f64), class: &str, text: &str) {
        let (x, y) = (self.across(at.0), self.up(at.1));
        let _ =
            write!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
    }

    pub fn svg(self, title: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            escaped(title),
            self.body
        )
    }
}

/// As few digits as tell.
fn short(value: f64) -> String {
    // Steps of tenths miss nothing by a little, on either side.
    let value = if value.abs() < 0.005 { 0.0 } else { value };
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_the_axes_say() {
        let mut plot = Plot::new([0.0, 1.0], [0.0, 10.0], ["<said>", "seen"], [2, 2]);
        plot.dot((0.0, 0.0), 3.0, "a", "low & left");
        plot.dot((1.0, 10.0), 3.0, "a", "");
        let svg = plot.svg("t");
        assert!(
            svg.contains("cx=\"52.0\" cy=\"296.0\"") && svg.contains("cx=\"444.0\" cy=\"16.0\""),
            "{svg}"
        );
        assert!(svg.contains("&lt;said&gt;") && svg.contains("low &amp; left"));
        assert_eq!((short(0.5), short(10.0), short(2.25)), ("0.5".into(), "10".into(), "2.25".into()));
    }
}
