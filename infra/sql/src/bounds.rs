//! What a query's filters say about where its events can be. Only ever used to
//! leave out reading; the engine applies the filters itself.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use infra_archive::manifest::Segment;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Positions.
    pub first: u64,
    pub last: u64,
    /// None: any.
    pub types: Option<BTreeSet<String>>,
    /// Instants in microseconds.
    pub recorded_from: i64,
    pub recorded_to: i64,
}

impl Bounds {
    pub fn new(at: u64, event_type: Option<&str>, filters: &[Expr]) -> Self {
        let types = event_type.map(|name| BTreeSet::from([name.to_owned()]));
        let (recorded_from, recorded_to) = (i64::MIN, i64::MAX);
        let mut bounds = Self { first: 1, last: at, types, recorded_from, recorded_to };
        for filter in filters {
            bounds.narrow(filter);
        }
        bounds
    }

    pub fn may_hold(&self, segment: &Segment) -> bool {
        segment.first <= self.last
            && segment.last >= self.first
            && segment.recorded_from.as_microsecond() <= self.recorded_to
            && segment.recorded_to.as_microsecond() >= self.recorded_from
            && self.types.as_ref().is_none_or(|types| types.contains(&segment.event_type))
    }

    fn narrow(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.narrow(left);
                self.narrow(right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
                (Expr::Column(column), Expr::Literal(value, _)) => self.compare(&column.name, *op, value),
                (Expr::Literal(value, _), Expr::Column(column)) => {
                    if let Some(op) = op.swap() {
                        self.compare(&column.name, op, value);
                    }
                }
                _ => {}
            },
            Expr::Between(Between { expr, negated: false, low, high }) => {
                if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                    (&**expr, &**low, &**high)
                {
                    self.compare(&column.name, Operator::GtEq, low);
                    self.compare(&column.name, Operator::LtEq, high);
                }
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                if let Expr::Column(column) = &**expr
                    && column.name == "type"
                {
                    let names: Option<BTreeSet<String>> = list.iter().map(literal_text).collect();
                    names.into_iter().for_each(|names| self.only(names));
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &ScalarValue) {
        match column {
            "position" => {
                if let ScalarValue::Int64(Some(position)) = value {
                    let (from, to) = range(op, *position);
                    self.first = self.first.max(u64::try_from(from).unwrap_or(0));
                    self.last = self.last.min(u64::try_from(to).unwrap_or(0));
                }
            }
            "recorded_at" => {
                if let ScalarValue::TimestampMicrosecond(Some(at), _) = value {
                    let (from, to) = range(op, *at);
                    self.recorded_from = self.recorded_from.max(from);
                    self.recorded_to = self.recorded_to.min(to);
                }
            }
            "type" if op == Operator::Eq => {
                text(value).into_iter().for_each(|name| self.only(BTreeSet::from([name])));
            }
            _ => {}
        }
    }

    fn only(&mut self, names: BTreeSet<String>) {
        self.types = Some(match self.types.take() {
            Some(types) => types.intersection(&names).cloned().collect(),
            None => names,
        });
    }
}

/// The values that compare so, inclusive.
fn range(op: Operator, value: i64) -> (i64, i64) {
    match op {
        Operator::Eq => (value, value),
        Operator::Lt => (i64::MIN, value.saturating_sub(1)),
        Operator::LtEq => (i64::MIN, value),
        Operator::Gt => (value.saturating_add(1), i64::MAX),
        Operator::GtEq => (value, i64::MAX),
        _ => (i64::MIN, i64::MAX),
    }
}

fn text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => text.clone(),
        _ => None,
    }
}

fn literal_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => text(value),
        _ => None,
    }
}

/// Whether a filter only compares columns with values, so that it may be tried
/// on the least and greatest value of a row group.
pub fn is_plain(filter: &Expr) -> bool {
    let value = |expr: &Expr| matches!(expr, Expr::Column(_) | Expr::Literal(..));
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            is_plain(left) && is_plain(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            op.supports_propagation() && value(left) && value(right)
        }
        Expr::Between(between) => value(&between.expr) && value(&between.low) && value(&between.high),
        Expr::InList(list) => value(&list.expr) && list.list.iter().all(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn filters_narrow_what_is_read() {
        let filters = [
            col("position").gt(lit(10_i64)).and(lit(90_i64).gt_eq(col("position"))),
            col("type").in_list(vec![lit("a"), lit("b")], false),
            col("type").eq(lit("b")),
        ];
        let bounds = Bounds::new(80, None, &filters);
        assert_eq!((bounds.first, bounds.last), (11, 80));
        assert_eq!(bounds.types, Some(BTreeSet::from(["b".to_owned()])));
        let bounds = Bounds::new(80, Some("c"), &[col("position").between(lit(-5_i64), lit(7_i64))]);
        assert_eq!((bounds.first, bounds.last), (1, 7));
        let at = lit(ScalarValue::TimestampMicrosecond(Some(500), Some("UTC".into())));
        assert_eq!(Bounds::new(1, None, &[col("recorded_at").lt(at)]).recorded_to, 499);
    }

    #[test]
    fn what_is_not_understood_narrows_nothing() {
        let filters = [
            col("position").gt(lit(10_i64)).or(col("position").eq(lit(1_i64))),
            col("position").not_eq(lit(4_i64)),
            col("type").not_eq(lit("a")),
            col("type").in_list(vec![lit("a")], true),
            col("position").between(lit(5_i64), lit(6_i64)).is_not_null(),
        ];
        assert_eq!(Bounds::new(80, None, &filters), Bounds::new(80, None, &[]));
    }
}
