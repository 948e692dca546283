//! Sums of measures by any dimensions.

use std::collections::BTreeMap;

use daybook_http::Problem;
use domain::valuation::cells::{Column, Dimensions, TaskCells, Unit};
use models_pricing::measures::Measure;
use models_pricing::money;
use serde::Serialize;
use utoipa::ToSchema;

use super::dims::{Dim, Filter, ancestors, dims};
use super::{Cube, QUALITIES, flag_of, in_base, rank};

/// Groups × scenarios × measures of one question.
pub const MAX_ROWS: usize = 500_000;

/// What is asked, as texts of the request.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub measures: Vec<String>,
    pub by: String,
    /// The first of the run unless told.
    pub scenario: Option<String>,
    pub filter: String,
    /// In the trades' currencies instead of the base currency.
    pub trade_currency: bool,
    /// Books with all that is below them.
    pub roll_up: bool,
}

/// One group, scenario and measure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Row {
    /// The values of the dimensions, joined by `|`.
    pub key: String,
    #[schema(value_type = Object)]
    pub by: BTreeMap<String, String>,
    pub measure: String,
    pub scenario_id: String,
    /// `null` where there is no number at all.
    pub value: Option<f64>,
    /// Money to the currency's smallest unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounded: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The worst of what the numbers rest on.
    pub quality: String,
    /// Positions whose numbers are in it.
    pub positions: u64,
    /// Positions that have none, and are not in it.
    pub flagged: u64,
    /// Why, of the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

pub struct Slice {
    pub rows: Vec<Row>,
}

#[derive(Default, Clone)]
struct Sum {
    value: f64,
    positions: u64,
    flagged: u64,
    flag: Option<(String, String)>,
    worst: usize,
}

type Key = Vec<String>;

struct Question<'a> {
    asked: &'a Asked,
    dims: Vec<Dim>,
    filter: Filter,
    scenarios: Vec<usize>,
}

impl Cube {
    pub fn slice(&self, asked: &Asked) -> Result<Slice, Problem> {
        let question = Question {
            asked,
            dims: dims("by", &asked.by, self)?,
            filter: Filter::new(&asked.filter, self)?,
            scenarios: match &asked.scenario {
                Some(named) => self.scenarios(named)?,
                None => vec![0],
            },
        };
        let mut rows = Vec::new();
        for measure in &asked.measures {
            rows.extend(self.sums(measure, &question)?);
            if rows.len() > MAX_ROWS {
                let reason = format!(
                    "makes more than {MAX_ROWS} rows; ask for fewer measures, scenarios or dimensions"
                );
                return Err(Problem::parameter("measure", reason));
            }
        }
        Ok(Slice { rows })
    }

    fn sums(&self, measure: &str, question: &Question<'_>) -> Result<Vec<Row>, Problem> {
        let alone = question.dims.contains(&Dim::Position);
        if !alone && !crate::submit::adds_up(measure) {
            let reason = format!("{measure} does not add up over positions; ask for it by position");
            return Err(Problem::parameter("by", reason));
        }
        // By group, its sums by scenario; the unit's currency is part of the group.
        let mut groups: BTreeMap<(Key, Option<String>), Vec<Sum>> = BTreeMap::new();
        let width = question.scenarios.len();
        for part in &self.parts {
            let Some(column) = part.column(measure) else { continue };
            for (at, position) in part.positions.iter().enumerate() {
                if !question.filter.takes(position) {
                    continue;
                }
                let currency = self.currency(column, position, question.asked.trade_currency);
                for key in keys(position, question) {
                    let sums =
                        groups.entry((key, currency.clone())).or_insert_with(|| vec![Sum::default(); width]);
                    add(sums, part, column, at, question);
                }
                if groups.len() * width > MAX_ROWS {
                    let reason =
                        format!("makes more than {MAX_ROWS} rows; ask for fewer scenarios or dimensions");
                    return Err(Problem::parameter("by", reason));
                }
            }
        }
        let money = Measure::named(measure).is_some_and(Measure::is_money);
        let mut rows = Vec::with_capacity(groups.len() * width);
        for ((key, currency), sums) in groups {
            for (sum, scenario) in sums.into_iter().zip(&question.scenarios) {
                rows.push(self.row(measure, money, (&key, &currency), sum, *scenario, question));
            }
        }
        let size = |row: &Row| row.value.unwrap_or(f64::NEG_INFINITY);
        // Scenario by scenario, the largest first.
        let place = |row: &Row| self.scenarios.iter().position(|id| *id == row.scenario_id);
        if question.scenarios.len() == 1 {
            rows.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.key.cmp(&b.key)));
        } else {
            rows.sort_by_cached_key(|row| (place(row), row.key.clone(), row.currency.clone()));
        }
        Ok(rows)
    }

    fn currency(&self, column: &Column, position: &Dimensions, trade: bool) -> Option<String> {
        match column.unit {
            Unit::Plain => None,
            Unit::Trade if trade => position.currency.clone(),
            _ => self.plan.base_currency.clone(),
        }
    }

    fn row(
        &self,
        measure: &str,
        money: bool,
        (key, currency): (&Key, &Option<String>),
        sum: Sum,
        scenario: usize,
        question: &Question<'_>,
    ) -> Row {
        let value = (sum.positions > 0).then_some(sum.value);
        let rounded = match (value, currency) {
            (Some(value), Some(currency)) if money => Some(money::rounded(value, currency)),
            _ => None,
        };
        let (flag, reason) = sum.flag.unzip();
        Row {
            key: key.join("|"),
            by: question.dims.iter().map(Dim::name).zip(key.iter().cloned()).collect(),
            measure: measure.to_owned(),
            scenario_id: self.scenarios[scenario].clone(),
            value,
            rounded,
            currency: currency.clone(),
            quality: if sum.positions > 0 { QUALITIES[sum.worst] } else { QUALITIES[4] }.to_owned(),
            positions: sum.positions,
            flagged: sum.flagged,
            flag,
            reason,
        }
    }
}

/// The groups that a position is in: several where books are rolled up.
fn keys(position: &Dimensions, question: &Question<'_>) -> Vec<Key> {
    let mut keys = vec![Vec::with_capacity(question.dims.len())];
    for dim in &question.dims {
        if question.asked.roll_up && *dim == Dim::Book {
            let with = |key: &Key, book: &str| [key.as_slice(), &[book.to_owned()]].concat();
            let books: Vec<&str> = ancestors(&position.book).collect();
            keys = keys.iter().flat_map(|key| books.iter().map(move |book| with(key, book))).collect();
        } else {
            keys.iter_mut().for_each(|key| key.push(dim.of(position).to_owned()));
        }
    }
    keys
}

fn add(sums: &mut [Sum], part: &TaskCells, column: &Column, at: usize, question: &Question<'_>) {
    let count = part.scenarios.len();
    for (sum, scenario) in sums.iter_mut().zip(&question.scenarios) {
        let cell = at * count + scenario;
        let value = match question.asked.trade_currency {
            true => Some(column.values[cell]).filter(|value| !value.is_nan()),
            false => in_base(part, column, at, *scenario),
        };
        match value {
            Some(value) => {
                sum.value += value;
                sum.positions += 1;
                sum.worst = sum.worst.max(rank(&column.qualities[at]));
            }
            None => {
                sum.flagged += 1;
                sum.flag.get_or_insert_with(|| {
                    let none = ("missing_rate", "there is no exchange rate to the base currency");
                    let (code, reason) = flag_of(column, cell).unwrap_or(none);
                    (code.to_owned(), reason.to_owned())
                });
            }
        }
    }
}
