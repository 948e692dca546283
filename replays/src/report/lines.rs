//! Lines of old and new values with the difference between them shaded.

use std::fmt::{self, Write};

use super::html::Escaped;
use super::words::{count, float};
use crate::compare::{Charted, Series};

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;

pub fn section(out: &mut String, chart: &Charted) -> fmt::Result {
    if chart.series.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>{}</h2>\n<p class=\"note\"><i class=\"key old\"></i>old&emsp;<i class=\"key new\"></i>new</p>",
        Escaped(&chart.title)
    )?;
    for series in &chart.series {
        figure(out, chart, series)?;
    }
    if chart.series_left_out > 0 {
        writeln!(out, "<p class=\"note\">… and {} more that differ less</p>", count(chart.series_left_out))?;
    }
    Ok(())
}

/// With zeros where nothing is between two points.
fn filled(series: &Series) -> Vec<(f64, f64, f64)> {
    let mut points: Vec<(f64, f64, f64)> = Vec::new();
    let near = series.step * 1.5;
    for &(x, old, new) in &series.points {
        if let Some(&(before, ..)) = points.last()
            && x - before > near
        {
            points.push((before + series.step, 0.0, 0.0));
            if x - before > near + series.step {
                points.push((x - series.step, 0.0, 0.0));
            }
        }
        points.push((x, old, new));
    }
    points
}

struct Scale {
    from: f64,
    to: f64,
    least: f64,
    most: f64,
}

impl Scale {
    fn of(points: &[(f64, f64, f64)]) -> Self {
        let from = points.first().map_or(0.0, |p| p.0);
        let to = points.last().map_or(1.0, |p| p.0).max(from + 1.0);
        let values = || points.iter().flat_map(|p| [p.1, p.2]);
        let most = values().fold(0.0, f64::max);
        let least = values().fold(0.0, f64::min);
        Self { from, to, least, most: if most > least { most } else { least + 1.0 } }
    }

    fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.from) / (self.to - self.from) * (WIDTH - LEFT - 4.0)
    }

    fn y(&self, y: f64) -> f64 {
        TOP + (self.most - y) / (self.most - self.least) * (HEIGHT - TOP - BOTTOM)
    }
}

fn figure(out: &mut String, chart: &Charted, series: &Series) -> fmt::Result {
    let points = filled(series);
    let scale = Scale::of(&points);
    let (old, new) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.1, sum.1 + p.2));
    let name = Escaped(format!("{} {}", series.tenant, series.name));
    let y = Escaped(&chart.y);
    write!(
        out,
        "<figure>\n<h3>{name} <small>{} {y} before, {} now</small></h3>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}: {y}, old and new\">\n",
        float(old),
        float(new)
    )?;
    grid(out, chart, &scale)?;
    let path = |out: &mut String, points: &mut dyn Iterator<Item = (f64, f64)>| {
        points.enumerate().try_for_each(|(i, (x, y))| {
            let command = if i == 0 { 'M' } else { 'L' };
            write!(out, "{command}{:.1} {:.1}", scale.x(x), scale.y(y))
        })
    };
    out.write_str("<path class=\"band\" d=\"")?;
    let back = points.iter().rev().map(|p| (p.0, p.1));
    path(out, &mut points.iter().map(|p| (p.0, p.2)).chain(back))?;
    out.write_str("Z\"/>\n<path class=\"old-line\" d=\"")?;
    path(out, &mut points.iter().map(|p| (p.0, p.1)))?;
    out.write_str("\"/>\n<path class=\"new-line\" d=\"")?;
    path(out, &mut points.iter().map(|p| (p.0, p.2)))?;
    out.write_str("\"/>\n</svg>\n</figure>\n")
}

fn grid(out: &mut String, chart: &Charted, scale: &Scale) -> fmt::Result {
    for part in 0..=2 {
        let value = scale.least + (scale.most - scale.least) * f64::from(part) / 2.0;
        let y = scale.y(value);
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            float(value)
        )?;
    }
    for part in 0..=4 {
        let at = scale.from + (scale.to - scale.from) * f64::from(part) / 4.0;
        let anchor = match part {
            0 => "start",
            4 => "end",
            _ => "middle",
        };
        let label = if chart.time { time(at, scale.to - scale.from) } else { float(at) };
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            scale.x(at),
            HEIGHT - 6.0,
            Escaped(label)
        )?;
    }
    Ok(())
}

/// As precise as the span wants it.
fn time(seconds: f64, span: f64) -> String {
    let Ok(at) = jiff::Timestamp::from_second(seconds as i64) else { return String::new() };
    let format = if span > 20.0 * 86_400.0 { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M UTC" };
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string()
}
