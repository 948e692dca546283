//! Sums and differences of JSON numbers: exact as long as they are whole.

use serde_json::{Number, Value};

use crate::canonical::whole;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    whole: i128,
    part: f64,
}

impl Sum {
    pub fn add(&mut self, number: &Number) {
        match whole(number) {
            Some(n) => self.whole = self.whole.saturating_add(n),
            None => self.part += number.as_f64().unwrap_or(0.0),
        }
    }

    pub fn of(number: Option<&Number>) -> Self {
        let mut sum = Self::default();
        number.into_iter().for_each(|n| sum.add(n));
        sum
    }

    /// What must be added to `self` to get `new`.
    pub fn to(self, new: Self) -> Self {
        Self { whole: new.whole.saturating_sub(self.whole), part: new.part - self.part }
    }

    pub fn float(self) -> f64 {
        self.whole as f64 + self.part
    }

    pub fn is_zero(self) -> bool {
        self.float() == 0.0
    }

    pub fn number(self) -> Number {
        if self.part == 0.0 {
            if let Ok(n) = i64::try_from(self.whole) {
                return n.into();
            }
            if let Ok(n) = u64::try_from(self.whole) {
                return n.into();
            }
        }
        // Sums of finite numbers may be infinite.
        Number::from_f64(self.float()).unwrap_or_else(|| 0.into())
    }
}

/// The difference in parts of the old value; none if that is zero.
pub fn relative(old: Sum, difference: Sum) -> Option<f64> {
    let relative = difference.float() / old.float().abs();
    relative.is_finite().then_some(relative)
}

pub fn number(value: Option<&Value>) -> Option<&Number> {
    match value {
        Some(Value::Number(number)) => Some(number),
        _ => None,
    }
}

/// Whether two numbers are the same, however they are written.
pub fn same(a: &Number, b: &Number) -> bool {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        _ => false,
    }
}
