//! Summaries, risk, explanations and comparisons as rows: CSV, Arrow or Parquet.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use daybook_http::{Json, Problem};
use domain::ports::results::{Table, TableFormat, Values};
use serde_json::Value;

use super::slices::{ARROW, CSV, Format, PARQUET, cell};
use crate::cube::{Comparison, Explained, Risk, Summary};
use crate::{Desk, on_a_thread};

/// The answer as JSON unless its rows are asked for.
pub async fn answer<T: serde::Serialize>(
    desk: &Desk,
    body: T,
    format: Format,
    table: impl FnOnce(&T) -> Table,
) -> Result<Response, Problem> {
    let format = match format {
        Format::Json => return Ok(Json(body).into_response()),
        Format::Csv => {
            let kind = HeaderValue::from_static(CSV);
            return Ok(([(header::CONTENT_TYPE, kind)], csv(&table(&body))?).into_response());
        }
        Format::Arrow => TableFormat::Arrow,
        Format::Parquet => TableFormat::Parquet,
    };
    let (results, table) = (desk.results.clone(), table(&body));
    let bytes = on_a_thread(move || results.table(table, format)).await?.map_err(Problem::internal)?;
    let kind = if format == TableFormat::Arrow { ARROW } else { PARQUET };
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], bytes).into_response())
}

/// A line for each row, under the columns' names.
fn csv(table: &Table) -> Result<Vec<u8>, Problem> {
    let rows = table.columns.first().map_or(0, |(_, values)| match values {
        Values::Text(texts) => texts.len(),
        Values::Number(numbers) => numbers.len(),
        Values::Count(counts) => counts.len(),
    });
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(table.columns.iter().map(|(name, _)| name)).map_err(Problem::internal)?;
    for row in 0..rows {
        let of = |(_, values): &(String, Values)| match values {
            Values::Text(texts) => cell(texts[row].as_deref().unwrap_or_default()),
            Values::Number(numbers) => numbers[row].map(|number| number.to_string()).unwrap_or_default(),
            Values::Count(counts) => counts[row].to_string(),
        };
        writer.write_record(table.columns.iter().map(of)).map_err(Problem::internal)?;
    }
    writer.into_inner().map_err(Problem::internal)
}

fn facts<const N: usize>(all: [(&str, Option<String>); N]) -> Vec<(String, String)> {
    all.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))).collect()
}

/// Columns by name, of rows of one kind.
struct Columns<'a, R> {
    rows: &'a [R],
    columns: Vec<(String, Values)>,
}

impl<'a, R> Columns<'a, R> {
    fn of(rows: &'a [R]) -> Self {
        Self { rows, columns: Vec::new() }
    }

    fn text<T: Into<String>>(mut self, name: &str, of: impl Fn(&'a R) -> Option<T>) -> Self {
        let values = self.rows.iter().map(|row| of(row).map(Into::into)).collect();
        self.columns.push((name.to_owned(), Values::Text(values)));
        self
    }

    fn number(mut self, name: &str, of: impl Fn(&'a R) -> Option<f64>) -> Self {
        self.columns.push((name.to_owned(), Values::Number(self.rows.iter().map(of).collect())));
        self
    }

    fn count(mut self, name: &str, of: impl Fn(&'a R) -> u64) -> Self {
        self.columns.push((name.to_owned(), Values::Count(self.rows.iter().map(of).collect())));
        self
    }

    fn table(self, facts: Vec<(String, String)>) -> Table {
        Table { facts, columns: self.columns }
    }
}

/// `row` says what a row is of: `total`, `product`, `quality` or `flag`.
pub fn summary(body: &Summary) -> Table {
    type Row<'a> = (&'static str, &'a str, Option<f64>, u64, Option<&'a str>, Option<&'a str>);
    let valued = body.positions_by_quality.values().sum();
    let mut rows: Vec<Row<'_>> = vec![("total", "", body.pv_sum, valued, None, None)];
    let products = body.pv_by_product.iter();
    rows.extend(products.map(|(name, pv)| ("product", name.as_str(), Some(*pv), 0, None, None)));
    let qualities = body.positions_by_quality.iter();
    rows.extend(qualities.map(|(name, count)| ("quality", name.as_str(), None, *count, None, None)));
    rows.extend(body.flags.iter().map(|flag| {
        let (reason, first) = (flag.reason.as_str(), flag.position_id.as_str());
        ("flag", flag.code.as_str(), None, flag.positions, Some(reason), Some(first))
    }));
    Columns::of(&rows)
        .text("row", |row| Some(row.0))
        .text("key", |row| Some(row.1))
        .number("pv", |row| row.2)
        .text("currency", |row| row.2.and(body.base_currency.clone()))
        .count("positions", |row| row.3)
        .text("reason", |row| row.4)
        .text("position_id", |row| row.5)
        .table(facts([
            ("run_id", Some(body.run_id.clone())),
            ("generation", Some(body.generation.to_string())),
            ("model", Some(body.model.clone())),
            ("status", Some(body.status.clone())),
            ("complete", Some(body.complete.to_string())),
            ("missing_tasks", Some(body.missing_tasks.len().to_string())),
            ("sha256", body.sha256.clone()),
        ]))
}

/// The whole's rows, whose `of` is `total`, then those of the groups.
pub fn risk(body: &Risk) -> Table {
    let whole = body.total.iter().map(|numbers| (None, numbers));
    let groups = body.groups.iter().flat_map(|group| group.risk.iter().map(move |n| (Some(group), n)));
    let rows: Vec<_> = whole.chain(groups).collect();
    let mut columns = Columns::of(&rows)
        .text("of", |row| Some(if row.0.is_some() { "group" } else { "total" }))
        .text("key", |row| row.0.map(|group| group.key.clone()));
    for name in body.groups.first().map(|group| group.by.keys()).into_iter().flatten() {
        columns = columns.text(&format!("by.{name}"), |row| row.0.and_then(|g| g.by.get(name).cloned()));
    }
    columns
        .number("level", |row| Some(row.1.level))
        .number("var", |row| Some(row.1.var))
        .number("es", |row| Some(row.1.es))
        .number("component_var", |row| Some(row.1.component_var))
        .number("component_es", |row| Some(row.1.component_es))
        .number("marginal_var", |row| Some(row.1.marginal_var))
        .number("marginal_es", |row| Some(row.1.marginal_es))
        .text("currency", |_| body.currency.clone())
        .count("positions", |row| row.0.map_or(body.positions, |group| group.positions))
        .table(facts([
            ("run_id", Some(body.run_id.clone())),
            ("generation", Some(body.generation.to_string())),
            ("model", Some(body.model.clone())),
            ("rule", Some(body.rule.clone())),
            ("base_scenario", Some(body.base_scenario.clone())),
            ("scenarios", Some(body.scenarios.to_string())),
            ("excluded", Some(body.excluded.to_string())),
        ]))
}

/// The cash flows.
pub fn explanation(body: &Explained) -> Table {
    let none = Vec::new();
    let rows = body.cashflows.as_array().unwrap_or(&none);
    let text = |name: &'static str| move |row: &Value| row[name].as_str().map(str::to_owned);
    let number = |name: &'static str| move |row: &Value| row[name].as_f64();
    Columns::of(rows)
        .text("date", text("date"))
        .text("currency", text("currency"))
        .text("kind", text("kind"))
        .number("amount", number("amount"))
        .number("discount_factor", number("discount_factor"))
        .number("pv", number("pv"))
        .text("accrual_start", text("accrual_start"))
        .text("accrual_end", text("accrual_end"))
        .number("accrual_years", number("accrual_years"))
        .number("notional", number("notional"))
        .table(facts([
            ("run_id", Some(body.run_id.clone())),
            ("generation", Some(body.generation.to_string())),
            ("model", Some(body.model.clone())),
            ("position_id", Some(body.position.position_id.clone())),
            ("scenario_id", Some(body.scenario_id.clone())),
            ("flag", body.flag.clone()),
            ("reason", body.reason.clone()),
        ]))
}

/// Positions, the largest difference first; causes stand beside them.
pub fn comparison(body: &Comparison) -> Table {
    Columns::of(&body.by_position)
        .text("position_id", |row| Some(row.position_id.clone()))
        .text("book", |row| Some(row.book.clone()))
        .text("product_type", |row| Some(row.product_type.clone()))
        .text("change", |row| Some(row.change.clone()))
        .number("before", |row| row.before)
        .number("after", |row| row.after)
        .number("difference", |row| Some(row.difference))
        .table(facts([
            ("run_id", Some(body.run_id.clone())),
            ("other", Some(body.other.clone())),
            ("base_currency", body.base_currency.clone()),
            ("before", Some(body.before.to_string())),
            ("after", Some(body.after.to_string())),
            ("difference", Some(body.difference.to_string())),
            ("positions", Some(body.positions.to_string())),
            ("flagged", Some(body.flagged.to_string())),
            ("by_cause.time", Some(body.by_cause.time.to_string())),
            ("by_cause.market", Some(body.by_cause.market.to_string())),
            ("by_cause.positions", Some(body.by_cause.positions.to_string())),
            ("by_cause.model", Some(body.by_cause.model.to_string())),
        ]))
}
