//! The lines of a model's picture, gathered while rows go by.

use std::collections::BTreeMap;

use domain::TenantId;
use projections::chart::Chart;
use serde_json::Value;

use super::merge::Pair;
use super::outcome::{Charted, Series};

/// Lines drawn, those that differ most.
const MAX_SERIES: usize = 8;
/// Points of a line; then neighbours are put together.
const MAX_POINTS: usize = 720;

pub struct Charting {
    chart: Chart,
    line: Option<Line>,
    /// Those that differ, most first.
    done: Vec<(f64, Series)>,
    left_out: u64,
    time: bool,
}

struct Line {
    tenant: TenantId,
    name: String,
    width: f64,
    points: BTreeMap<i64, (f64, f64)>,
}

impl Charting {
    pub fn new(chart: Chart) -> Self {
        Self { chart, line: None, done: Vec::new(), left_out: 0, time: false }
    }

    pub fn row(&mut self, table: &str, pair: &Pair, old: Option<&Value>, new: Option<&Value>) {
        let (Some(row), Some(doc)) = (pair.0.as_ref().or(pair.1.as_ref()), old.or(new)) else { return };
        if table != self.chart.table {
            return;
        }
        let Some(x) = member(doc, self.chart.x).and_then(|x| self.position(x)) else { return };
        let name = match self.chart.group.and_then(|group| member(doc, group)) {
            Some(Value::String(name)) => name.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        if self.line.as_ref().is_none_or(|l| l.tenant != row.row.tenant || l.name != name) {
            self.end_line();
            let (tenant, width) = (row.row.tenant.clone(), self.chart.step.max(f64::MIN_POSITIVE));
            self.line = Some(Line { tenant, name, width, points: BTreeMap::new() });
        }
        let y = |doc: Option<&Value>| {
            doc.and_then(|d| member(d, self.chart.y)).and_then(Value::as_f64).unwrap_or(0.0)
        };
        let (old, new) = (y(old), y(new));
        if let Some(line) = &mut self.line {
            line.add(x, old, new);
        }
    }

    fn position(&mut self, x: &Value) -> Option<f64> {
        match x {
            Value::String(text) => {
                self.time = true;
                text.parse::<jiff::Timestamp>().ok().map(|t| t.as_second() as f64)
            }
            other => other.as_f64(),
        }
    }

    fn end_line(&mut self) {
        let Some(line) = self.line.take() else { return };
        let size: f64 = line.points.values().map(|(old, new)| (old - new).abs()).sum();
        if size == 0.0 {
            return;
        }
        let place = self.done.partition_point(|(other, _)| *other >= size);
        self.done.insert(place, (size, line.series()));
        if self.done.len() > MAX_SERIES {
            self.done.pop();
            self.left_out += 1;
        }
    }

    pub fn end(mut self) -> Charted {
        self.end_line();
        Charted {
            title: self.chart.title.into(),
            y: self.chart.y.into(),
            time: self.time,
            series: self.done.into_iter().map(|(_, series)| series).collect(),
            series_left_out: self.left_out,
        }
    }
}

impl Line {
    fn add(&mut self, x: f64, old: f64, new: f64) {
        let point = self.points.entry((x / self.width).floor() as i64).or_default();
        point.0 += old;
        point.1 += new;
        while self.points.len() > MAX_POINTS {
            self.width *= 2.0;
            let finer = std::mem::take(&mut self.points);
            for (bucket, (old, new)) in finer {
                let point = self.points.entry(bucket.div_euclid(2)).or_default();
                point.0 += old;
                point.1 += new;
            }
        }
    }

    fn series(self) -> Series {
        let width = self.width;
        let point = |(bucket, (old, new)): (i64, (f64, f64))| (bucket as f64 * width, old, new);
        Series {
            tenant: self.tenant.to_string(),
            name: self.name,
            step: width,
            points: self.points.into_iter().map(point).collect(),
        }
    }
}

fn member<'a>(doc: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(doc, |value, name| value.get(name))
}
