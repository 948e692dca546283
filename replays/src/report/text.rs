//! A comparison as tables of a terminal.

use std::fmt::Write;

use super::words::{change, count, difference, number, percent, shorter, visible};
use crate::compare::{Comparison, FieldDifference, RowDifference, Side, TableDifference};

/// Members told of a table and of a row.
const MAX_FIELDS: usize = 12;
const WIDTH: usize = 44;

pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, comparison);
    out
}

fn write(out: &mut String, c: &Comparison) -> std::fmt::Result {
    writeln!(out, "{}: generation {} against {}", c.projection, c.new.generation, c.old.generation)?;
    side(out, "old", &c.old)?;
    side(out, "new", &c.new)?;
    if c.old.position != c.new.position {
        writeln!(out, "  The positions differ: so may the rows for that alone.")?;
    }
    if c.same {
        return writeln!(out, "\nThe same: every row of every table.");
    }
    let [added, removed, changed] = [c.added, c.removed, c.changed].map(count);
    writeln!(out, "\nDifferent: {changed} rows changed, {added} added, {removed} removed.")?;
    if let Some(other) = c.elsewhere {
        let [added, removed, changed] = [other.added, other.removed, other.changed].map(count);
        writeln!(out, "Of other tenants: {changed} rows changed, {added} added, {removed} removed.")?;
    }
    writeln!(out)?;
    tables(out, &c.tables)?;
    for table in c.tables.iter().filter(|t| !t.fields.is_empty()) {
        fields(out, table)?;
    }
    if !c.rows.is_empty() {
        writeln!(out, "\nRows that differ most")?;
    }
    for row in &c.rows {
        one(out, row)?;
    }
    if c.rows_left_out > 0 {
        writeln!(out, "  … and {} more rows", count(c.rows_left_out))?;
    }
    Ok(())
}

fn side(out: &mut String, name: &str, side: &Side) -> std::fmt::Result {
    writeln!(
        out,
        "  {name}  generation {} by {} at position {}: {} rows, checksum {}{}",
        side.generation,
        visible(&side.model.to_string()),
        count(side.position),
        count(side.rows),
        shorter(&side.checksum, 16),
        if side.dead_letters > 0 {
            format!(", {} events wait among the dead letters", count(side.dead_letters))
        } else {
            String::new()
        }
    )
}

fn tables(out: &mut String, tables: &[TableDifference]) -> std::fmt::Result {
    writeln!(
        out,
        "{:<24}{:>14}{:>14}{:>12}{:>12}{:>12}",
        "table", "rows before", "rows now", "added", "removed", "changed"
    )?;
    for t in tables {
        let [old, new, added, removed, changed] =
            [t.old_rows, t.new_rows, t.added, t.removed, t.changed].map(count);
        writeln!(
            out,
            "{:<24}{old:>14}{new:>14}{added:>12}{removed:>12}{changed:>12}",
            shorter(&t.table, 23)
        )?;
    }
    Ok(())
}

fn fields(out: &mut String, table: &TableDifference) -> std::fmt::Result {
    writeln!(out, "\n{} by member", table.table)?;
    writeln!(
        out,
        "  {:<WIDTH$}{:>10}{:>16}{:>16}{:>16}{:>12}",
        "member", "changed", "total before", "total now", "difference", "relative"
    )?;
    for field in table.fields.iter().take(MAX_FIELDS) {
        member(out, field)?;
    }
    if table.fields.len() > MAX_FIELDS {
        writeln!(out, "  … and {} more members", table.fields.len() - MAX_FIELDS)?;
    }
    Ok(())
}

fn member(out: &mut String, field: &FieldDifference) -> std::fmt::Result {
    let name = shorter(&visible(&field.field), WIDTH - 2);
    write!(out, "  {name:<WIDTH$}{:>10}", count(field.changed))?;
    if let Some(total) = &field.total {
        let [old, new] = [&total.old, &total.new].map(number);
        let (d, r) = (difference(&total.difference), percent(total.relative));
        write!(out, "{old:>16}{new:>16}{d:>16}{r:>12}")?;
    }
    writeln!(out)?;
    for example in field.largest.iter().chain(&field.examples).take(1) {
        let key = visible(&format!("{} {}", example.tenant, example.key));
        writeln!(out, "      {}: {}", shorter(&key, 60), shorter(&change(&example.change), 100))?;
    }
    Ok(())
}

fn one(out: &mut String, row: &RowDifference) -> std::fmt::Result {
    let name = visible(&format!("{} {} {}", row.table, row.tenant, row.key));
    writeln!(out, "  {} {name}", row.change.word())?;
    for field in row.fields.iter().take(MAX_FIELDS) {
        let name = shorter(&visible(&field.field), WIDTH - 2);
        writeln!(out, "      {name:<WIDTH$} {}", shorter(&change(&field.change), 100))?;
    }
    let more = row.fields.len().saturating_sub(MAX_FIELDS) as u64 + row.fields_left_out;
    if more > 0 {
        writeln!(out, "      … and {} more members", count(more))?;
    }
    if let Some(events) = &row.events {
        let positions: Vec<String> = events.positions.iter().map(u64::to_string).collect();
        let more = if events.count > positions.len() as u64 { ", …" } else { "" };
        let told = positions.join(", ");
        writeln!(out, "      by {} events: {told}{more}", count(events.count))?;
    }
    Ok(())
}
