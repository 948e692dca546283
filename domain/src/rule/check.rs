//! The bounds of what a rule says, by JSON pointer.

use serde_json::Value;

use super::{
    Anomaly, Check, Condition, Definition, MAX_ACTIONS, MAX_CEL_BYTES, MAX_CONDITIONS, MAX_LIST,
    MAX_NAME_BYTES, MAX_TEXT_BYTES, Operator, Series,
};
use crate::decide::Rejection;
use crate::ids::check_id;

/// A day; longer windows belong into a report.
const MAX_SECONDS: u32 = 86_400;
/// Every tick is a fact.
const MIN_TICK_SECONDS: u32 = 10;

impl Definition {
    /// Whether it is within bounds and says anything that can be meant.
    pub fn check(&self) -> Result<(), Rejection> {
        text("/name", &self.name, MAX_NAME_BYTES)?;
        let filters = [("/app", &self.app), ("/category", &self.category), ("/event_type", &self.event_type)];
        for (field, filter) in filters {
            filter.as_ref().map_or(Ok(()), |filter| text(field, filter, MAX_NAME_BYTES))?;
        }
        if self.conditions.len() > MAX_CONDITIONS {
            let reason = format!("must have at most {MAX_CONDITIONS} entries");
            return Err(Rejection::field("/conditions", reason));
        }
        for (i, condition) in self.conditions.iter().enumerate() {
            condition.check(&format!("/conditions/{i}"))?;
        }
        self.cel.as_ref().map_or(Ok(()), |cel| text("/cel", cel, MAX_CEL_BYTES))?;
        self.anomaly.as_ref().map_or(Ok(()), Anomaly::check)?;
        self.check_taps()?;
        self.check_actions()
    }

    /// Taps have none of what signals are filtered by.
    fn check_taps(&self) -> Result<(), Rejection> {
        if self.anomaly.as_ref().is_none_or(|anomaly| anomaly.series != Series::Taps) {
            return Ok(());
        }
        let filters = [("/app", &self.app), ("/category", &self.category), ("/event_type", &self.event_type)];
        match filters.iter().find(|(_, filter)| filter.is_some()) {
            Some((field, _)) => Err(Rejection::field(field, "must be absent: taps have none")),
            None => Ok(()),
        }
    }

    fn check_actions(&self) -> Result<(), Rejection> {
        let (webhooks, subjects) = (&self.actions.webhooks, &self.actions.subjects);
        for (field, list) in [("/actions/webhooks", webhooks), ("/actions/subjects", subjects)] {
            if list.len() > MAX_ACTIONS {
                return Err(Rejection::field(field, format!("must have at most {MAX_ACTIONS} entries")));
            }
        }
        for (i, webhook) in webhooks.iter().enumerate() {
            check_id(webhook).map_err(|e| Rejection::field(&format!("/actions/webhooks/{i}"), e))?;
        }
        for (i, subject) in subjects.iter().enumerate() {
            let field = format!("/actions/subjects/{i}");
            text(&field, subject, MAX_NAME_BYTES)?;
            if !super::is_subject(subject) {
                let reason = "must be 1 to 8 words of letters, digits, - and _, joined by dots";
                return Err(Rejection::field(&field, reason));
            }
        }
        match self.throttle {
            Some(t) if t.actions == 0 => Err(Rejection::field("/throttle/actions", "must be at least 1")),
            Some(t) => seconds("/throttle/seconds", t.seconds, 1),
            None => Ok(()),
        }
    }
}

impl Condition {
    fn check(&self, at: &str) -> Result<(), Rejection> {
        text(&format!("{at}/path"), &self.path, MAX_TEXT_BYTES)?;
        let field = format!("{at}/value");
        let wrong = |reason: &str| Err(Rejection::field(&field, reason));
        match (self.operator, &self.value) {
            (Operator::Exists, None | Some(Value::Bool(_))) => Ok(()),
            (Operator::Exists, _) => wrong("must be true, false or absent"),
            (_, None) => wrong("is missing"),
            (Operator::In, Some(Value::Array(list))) if list.len() > MAX_LIST => {
                Err(Rejection::field(&field, format!("must have at most {MAX_LIST} entries")))
            }
            (Operator::In, Some(Value::Array(list))) => list.iter().try_for_each(|v| scalar(&field, v)),
            (Operator::In, _) => wrong("must be a list"),
            (Operator::Gt | Operator::Gte | Operator::Lt | Operator::Lte, Some(v)) => {
                if v.is_number() || v.is_string() {
                    scalar(&field, v)
                } else {
                    wrong("must be a number or a text")
                }
            }
            (Operator::StartsWith | Operator::EndsWith | Operator::Regex, Some(v)) => {
                if v.is_string() {
                    scalar(&field, v)
                } else {
                    wrong("must be a text")
                }
            }
            (_, Some(v)) => scalar(&field, v),
        }
    }
}

impl Anomaly {
    fn check(&self) -> Result<(), Rejection> {
        if let Series::Value { path } = &self.series {
            text("/anomaly/series/path", path, MAX_TEXT_BYTES)?;
        }
        self.key.as_ref().map_or(Ok(()), |key| text("/anomaly/key", key, MAX_TEXT_BYTES))?;
        self.check_kind()?;
        let counts = matches!(self.series, Series::Count | Series::Taps);
        if counts && self.step_seconds == 0 && self.judges_values() {
            return Err(Rejection::field("/anomaly/step_seconds", "a count needs steps to count in"));
        }
        if self.step_seconds > 0 && matches!(self.check, Check::Silence { .. }) {
            return Err(Rejection::field("/anomaly/step_seconds", "silence is looked for between events"));
        }
        if self.tick_seconds > 0 && self.tick_seconds < MIN_TICK_SECONDS {
            let reason = format!("must be 0 or at least {MIN_TICK_SECONDS} seconds");
            return Err(Rejection::field("/anomaly/tick_seconds", reason));
        }
        if !(0.0..=1.0).contains(&self.sensitivity) {
            return Err(Rejection::field("/anomaly/sensitivity", "must be between 0 and 1"));
        }
        if !(self.floor >= 0.0 && self.floor.is_finite()) {
            return Err(Rejection::field("/anomaly/floor", "must be a number of at least 0"));
        }
        let durations = [
            ("/anomaly/step_seconds", self.step_seconds),
            ("/anomaly/for_seconds", self.for_seconds),
            ("/anomaly/cooldown_seconds", self.cooldown_seconds),
            ("/anomaly/lateness_seconds", self.lateness_seconds),
            ("/anomaly/tick_seconds", self.tick_seconds),
        ];
        durations.into_iter().try_for_each(|(field, value)| seconds(field, value, 0))
    }

    /// Whether points with values are judged, and not events as they come.
    fn judges_values(&self) -> bool {
        matches!(self.check, Check::Threshold { .. } | Check::Detector { .. })
    }

    fn check_kind(&self) -> Result<(), Rejection> {
        match &self.check {
            Check::Threshold { min: None, max: None } => {
                Err(Rejection::field("/anomaly/check", "needs min, max or both"))
            }
            Check::Threshold { min, max } => {
                let limits = [min, max];
                if limits.iter().any(|l| l.is_some_and(|l| !l.is_finite())) {
                    return Err(Rejection::field("/anomaly/check", "limits must be finite"));
                }
                match (min, max) {
                    (Some(min), Some(max)) if min > max => {
                        Err(Rejection::field("/anomaly/check/min", "must not be above max"))
                    }
                    _ => Ok(()),
                }
            }
            Check::Rate { .. } => Ok(()),
            Check::Count { window_seconds, .. } => {
                seconds("/anomaly/check/window_seconds", *window_seconds, 1)
            }
            Check::Silence { seconds: most } => seconds("/anomaly/check/seconds", *most, 1),
            Check::Detector { model } => text("/anomaly/check/model", model, MAX_NAME_BYTES),
        }
    }
}

fn text(field: &str, text: &str, most: usize) -> Result<(), Rejection> {
    if text.trim().is_empty() || text.len() > most {
        return Err(Rejection::field(field, format!("must be 1 to {most} bytes")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Rejection::field(field, "must not contain control characters"));
    }
    Ok(())
}

fn scalar(field: &str, value: &Value) -> Result<(), Rejection> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            Err(Rejection::field(field, "must be a text, a number, true, false or null"))
        }
        Value::String(text) if text.len() > MAX_TEXT_BYTES => {
            Err(Rejection::field(field, format!("texts must have at most {MAX_TEXT_BYTES} bytes")))
        }
        _ => Ok(()),
    }
}

fn seconds(field: &str, value: u32, least: u32) -> Result<(), Rejection> {
    if (least..=MAX_SECONDS).contains(&value) {
        Ok(())
    } else {
        Err(Rejection::field(field, format!("must be {least} to {MAX_SECONDS} seconds")))
    }
}
