//! Bars of the totals that differ most.

use std::fmt::{self, Write};

use super::html::Escaped;
use super::words::{difference, number, percent, shorter};
use crate::compare::{TableDifference, Total};

const MAX_BARS: usize = 12;
const WIDTH: f64 = 1_000.0;
const NAMES: f64 = 300.0;
const FIGURES: f64 = 200.0;
const ROW: f64 = 40.0;

pub fn section(out: &mut String, tables: &[TableDifference]) -> fmt::Result {
    let mut totals: Vec<(String, &Total)> = Vec::new();
    for table in tables {
        for field in &table.fields {
            if let Some(total) = field.total.as_ref().filter(|t| t.difference.as_f64() != Some(0.0)) {
                totals.push((format!("{} {}", table.table, field.field), total));
            }
        }
    }
    let size = |total: &Total| total.difference.as_f64().unwrap_or(0.0).abs();
    totals.sort_by(|a, b| size(b.1).total_cmp(&size(a.1)));
    totals.truncate(MAX_BARS);
    if totals.is_empty() {
        return Ok(());
    }
    let height = totals.len() as f64 * ROW;
    write!(
        out,
        "<h2>Totals that differ most</h2>\n<p class=\"note\"><i class=\"key old\"></i>old&emsp;\
         <i class=\"key new\"></i>new; each pair of bars has its own scale</p>\n<figure>\n\
         <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Totals that differ most\">\n"
    )?;
    for (i, (name, total)) in totals.iter().enumerate() {
        pair(out, i as f64 * ROW, name, total)?;
    }
    out.write_str("</svg>\n</figure>\n")
}

fn pair(out: &mut String, top: f64, name: &str, total: &Total) -> fmt::Result {
    let [old, new] = [&total.old, &total.new].map(|n| n.as_f64().unwrap_or(0.0).abs());
    let scale = (WIDTH - NAMES - FIGURES) / old.max(new).max(f64::MIN_POSITIVE);
    writeln!(
        out,
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        NAMES - 10.0,
        top + 22.0,
        Escaped(shorter(name, 48))
    )?;
    for (class, value, y) in [("old-bar", old, top + 7.0), ("new-bar", new, top + 19.0)] {
        let width = if value == 0.0 { 0.0 } else { (value * scale).max(1.0) };
        writeln!(
            out,
            "<rect class=\"{class}\" x=\"{NAMES}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"10\" rx=\"2\"/>"
        )?;
    }
    let relative = percent(total.relative);
    let comma = if relative.is_empty() { "" } else { ", " };
    let figures = format!(
        "{} → {} ({}{comma}{relative})",
        number(&total.old),
        number(&total.new),
        difference(&total.difference)
    );
    let x = NAMES + old.max(new) * scale + 8.0;
    writeln!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{}</text>", top + 22.0, Escaped(figures))
}
