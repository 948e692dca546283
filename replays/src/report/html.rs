//! A comparison as one page that needs nothing else: no scripts, no fonts, no
//! pictures from elsewhere. Light or dark as the reader's system is.

use std::fmt::{self, Display, Write};

use super::words::{change, count, difference, number, percent, shorter, visible};
use super::{bars, lines};
use crate::compare::{Comparison, FieldDifference, RowDifference, Side, TableDifference};

const STYLE: &str = include_str!("style.css");
/// Members told of a table and of a row.
const MAX_FIELDS: usize = 30;
const MAX_TEXT: usize = 120;

/// Text with nothing in it that HTML would read as markup. Everything that is
/// not written in this crate goes through here.
pub struct Escaped<T>(pub T);

impl<T: AsRef<str>> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in visible(self.0.as_ref()).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

pub fn html(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = page(&mut out, comparison);
    out
}

fn page(out: &mut String, c: &Comparison) -> fmt::Result {
    let name = Escaped(&c.projection);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{name}: generation {} against {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{name}</h1>\n<p class=\"lead\">Generation {} against generation {}</p>\n",
        c.new.generation, c.old.generation, c.new.generation, c.old.generation
    )?;
    verdict(out, c)?;
    sides(out, c)?;
    if let Some(chart) = &c.chart {
        lines::section(out, chart)?;
    }
    bars::section(out, &c.tables)?;
    tables(out, &c.tables)?;
    for table in c.tables.iter().filter(|t| !t.fields.is_empty()) {
        fields(out, table)?;
    }
    rows(out, c)?;
    out.write_str("</main>\n</body>\n</html>\n")
}

fn verdict(out: &mut String, c: &Comparison) -> fmt::Result {
    if c.same {
        out.write_str("<p class=\"verdict same\">The same: every row of every table.</p>\n")?;
    } else {
        out.write_str("<ul class=\"verdict\">\n")?;
        let figures = [("changed", c.changed), ("added", c.added), ("removed", c.removed)];
        for (word, n) in figures {
            writeln!(out, "<li class=\"{word}\"><b>{}</b> rows {word}</li>", count(n))?;
        }
        out.write_str("</ul>\n")?;
    }
    if let Some(n) = c.elsewhere.map(|e| e.total()).filter(|n| *n > 0) {
        writeln!(out, "<p class=\"note\">{} rows of other tenants differ as well.</p>", count(n))?;
    }
    if c.old.position != c.new.position {
        out.write_str("<p class=\"note\">The positions differ: so may the rows for that alone.</p>\n")?;
    }
    Ok(())
}

fn sides(out: &mut String, c: &Comparison) -> fmt::Result {
    out.write_str(
        "<div class=\"wide\"><table>\n<thead><tr><th></th><th>Generation</th><th>Model</th>\
         <th class=\"n\">Position</th><th class=\"n\">Rows</th><th class=\"n\">Dead letters</th>\
         <th>Checksum</th></tr></thead>\n<tbody>\n",
    )?;
    for (word, side) in [("old", &c.old), ("new", &c.new)] {
        let Side { generation, model, position, rows, dead_letters, checksum, .. } = side;
        let parameters = if model.parameters.is_null() {
            String::new()
        } else {
            let text = serde_json::to_string_pretty(&model.parameters).unwrap_or_default();
            let text = shorter(&text, 20_000);
            format!("<details><summary>parameters</summary><pre>{}</pre></details>", Preformatted(&text))
        };
        writeln!(
            out,
            "<tr><th><i class=\"key {word}\"></i>{word}</th><td>{generation}</td><td>{}{parameters}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td><code>{}</code></td></tr>",
            Escaped(model.to_string()),
            count(*position),
            count(*rows),
            count(*dead_letters),
            Escaped(shorter(checksum, 16)),
        )?;
    }
    out.write_str("</tbody></table></div>\n")
}

/// As [`Escaped`], with line breaks.
struct Preformatted<'a>(&'a str);

impl Display for Preformatted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| writeln!(f, "{}", Escaped(line)))
    }
}

fn tables(out: &mut String, tables: &[TableDifference]) -> fmt::Result {
    out.write_str(
        "<h2>Tables</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Table</th>\
         <th class=\"n\">Rows before</th><th class=\"n\">Rows now</th><th class=\"n\">Added</th>\
         <th class=\"n\">Removed</th><th class=\"n\">Changed</th></tr></thead>\n<tbody>\n",
    )?;
    for t in tables {
        write!(out, "<tr><th>{}</th>", Escaped(&t.table))?;
        for n in [t.old_rows, t.new_rows, t.added, t.removed, t.changed] {
            let class = if n == 0 { "n zero" } else { "n" };
            write!(out, "<td class=\"{class}\">{}</td>", count(n))?;
        }
        out.write_str("</tr>\n")?;
    }
    out.write_str("</tbody></table></div>\n")
}

fn fields(out: &mut String, table: &TableDifference) -> fmt::Result {
    write!(
        out,
        "<h2>{} by member</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Member</th>\
         <th class=\"n\">Rows</th><th class=\"n\">Total before</th><th class=\"n\">Total now</th>\
         <th class=\"n\">Difference</th><th class=\"n\">Relative</th><th>Largest change</th></tr></thead>\n<tbody>\n",
        Escaped(&table.table)
    )?;
    for field in table.fields.iter().take(MAX_FIELDS) {
        member(out, field)?;
    }
    out.write_str("</tbody></table></div>\n")?;
    more(out, table.fields.len().saturating_sub(MAX_FIELDS) as u64, "members")
}

fn member(out: &mut String, field: &FieldDifference) -> fmt::Result {
    let name = shorter(&field.field, MAX_TEXT);
    write!(out, "<tr><th>{}</th><td class=\"n\">{}</td>", Escaped(name), count(field.changed))?;
    match &field.total {
        Some(total) => write!(
            out,
            "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
            number(&total.old),
            number(&total.new),
            difference(&total.difference),
            percent(total.relative)
        )?,
        None => out.write_str("<td></td><td></td><td></td><td></td>")?,
    }
    out.write_str("<td>")?;
    for example in field.largest.iter().chain(&field.examples).take(2) {
        let told = shorter(&change(&example.change), MAX_TEXT);
        let key = format!("{} {}", example.tenant, example.key);
        write!(out, "<div>{} <small>{}</small></div>", Escaped(told), Escaped(shorter(&key, MAX_TEXT)))?;
    }
    out.write_str("</td></tr>\n")
}

fn rows(out: &mut String, c: &Comparison) -> fmt::Result {
    if c.rows.is_empty() {
        return Ok(());
    }
    out.write_str("<h2>Rows that differ most</h2>\n")?;
    for row in &c.rows {
        one(out, row)?;
    }
    more(out, c.rows_left_out, "rows")
}

fn one(out: &mut String, row: &RowDifference) -> fmt::Result {
    let word = row.change.word();
    let name = format!("{} {}", row.tenant, row.key);
    write!(
        out,
        "<details class=\"row\"><summary><span class=\"tag {word}\">{word}</span> {} <b>{}</b>",
        Escaped(&row.table),
        Escaped(shorter(&name, MAX_TEXT * 2))
    )?;
    if let Some(first) = row.fields.first() {
        let told = format!("{}: {}", first.field, change(&first.change));
        write!(out, " <small>{}</small>", Escaped(shorter(&told, MAX_TEXT)))?;
    }
    out.write_str("</summary>\n<div class=\"wide\"><table>\n<tbody>\n")?;
    for field in row.fields.iter().take(MAX_FIELDS) {
        writeln!(
            out,
            "<tr><th>{}</th><td>{}</td></tr>",
            Escaped(shorter(&field.field, MAX_TEXT)),
            Escaped(shorter(&change(&field.change), 2 * MAX_TEXT))
        )?;
    }
    out.write_str("</tbody></table></div>\n")?;
    more(out, row.fields.len().saturating_sub(MAX_FIELDS) as u64 + row.fields_left_out, "members")?;
    if let Some(events) = &row.events {
        let positions: Vec<String> = events.positions.iter().map(u64::to_string).collect();
        let more = if events.count > positions.len() as u64 { ", …" } else { "" };
        let told = positions.join(", ");
        writeln!(out, "<p>Changed by {} events, at positions {told}{more}</p>", count(events.count))?;
    }
    out.write_str("</details>\n")
}

fn more(out: &mut String, n: u64, what: &str) -> fmt::Result {
    if n > 0 { writeln!(out, "<p class=\"note\">… and {} more {what}</p>", count(n)) } else { Ok(()) }
}
