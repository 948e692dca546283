//! Evaluation, one step for each part that is looked at and more for what is
//! large.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value;

use super::plan::{Binary, Literal, Loop, Node, Unary};
use super::value::{Val, equal, order, undefined};
use super::{Failed, MAX_STEPS};

pub(super) fn run<'a>(root: &'a Node, event: &'a Value) -> Result<Val<'a>, Failed> {
    Evaluation { event, variables: Vec::new(), steps: 0 }.node(root)
}

struct Evaluation<'a> {
    event: &'a Value,
    /// What a macro has come to so far may be an error, and yet be decided by
    /// a later element
    variables: Vec<(&'a str, Result<Val<'a>, Failed>)>,
    steps: u32,
}

impl<'a> Evaluation<'a> {
    fn spend(&mut self, steps: usize) -> Result<(), Failed> {
        self.steps = self.steps.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        if self.steps > MAX_STEPS { Err(Failed::Steps) } else { Ok(()) }
    }

    fn node(&mut self, node: &'a Node) -> Result<Val<'a>, Failed> {
        self.spend(1)?;
        match node {
            Node::Literal(literal) => Ok(literal_value(literal)),
            Node::Event => Ok(Val::of(self.event)),
            Node::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                found.map_or_else(|| Err(Failed::Missing(name.clone())), |(_, value)| value.clone())
            }
            Node::List(nodes) => {
                let list: Result<_, _> = nodes.iter().map(|n| self.node(n)).collect();
                Ok(Val::List(Rc::new(list?)))
            }
            Node::Field(operand, name) => field(self.node(operand)?, name),
            Node::Has(operand, name) => match self.node(operand)? {
                Val::Json(Value::Object(map)) => Ok(Val::Bool(map.contains_key(name))),
                other => Err(Failed::Types("has".into(), other.kind().into())),
            },
            Node::Index(operand, index) => {
                let operand = self.node(operand)?;
                let at = self.node(index)?;
                element(&operand, &at)
            }
            Node::And(a, b) => self.decided(a, b, false),
            Node::Or(a, b) => self.decided(a, b, true),
            Node::If(parts) => match self.node(&parts[0])? {
                Val::Bool(true) => self.node(&parts[1]),
                Val::Bool(false) => self.node(&parts[2]),
                other => Err(Failed::Types("?:".into(), other.kind().into())),
            },
            Node::Unary(Unary::NotStrictlyFalse, a) => match self.node(a) {
                Err(Failed::Steps) => Err(Failed::Steps),
                Ok(Val::Bool(false)) => Ok(Val::Bool(false)),
                _ => Ok(Val::Bool(true)),
            },
            Node::Unary(operation, a) => {
                let a = self.node(a)?;
                self.spend(a.weight())?;
                unary(*operation, a)
            }
            Node::Binary(operation, sides) => {
                let (a, b) = (self.node(&sides[0])?, self.node(&sides[1])?);
                self.spend(a.weight() + b.weight())?;
                binary(*operation, a, b)
            }
            Node::Matches(text, pattern) => match self.node(text)? {
                Val::Text(text) => {
                    self.spend(text.len() / 16)?;
                    Ok(Val::Bool(pattern.is_match(&text)))
                }
                other => Err(Failed::Types("matches".into(), other.kind().into())),
            },
            Node::Loop(of) => self.each(of),
        }
    }

    /// `&&` and `||`: a side that decides does so whatever is wrong with the
    /// other.
    fn decided(&mut self, a: &'a Node, b: &'a Node, deciding: bool) -> Result<Val<'a>, Failed> {
        let mut wrong = None;
        for side in [a, b] {
            match self.node(side) {
                Ok(Val::Bool(value)) if value == deciding => return Ok(Val::Bool(deciding)),
                Ok(Val::Bool(_)) => {}
                Ok(other) => {
                    wrong = wrong.or(Some(Failed::Types("a logical operator".into(), other.kind().into())))
                }
                Err(Failed::Steps) => return Err(Failed::Steps),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        wrong.map_or(Ok(Val::Bool(!deciding)), Err)
    }

    fn each(&mut self, of: &'a Loop) -> Result<Val<'a>, Failed> {
        let over = self.node(&of.over)?;
        self.spend(over.size().unwrap_or(0))?;
        let Some(elements) = over.elements() else {
            return Err(Failed::Types("a macro".into(), over.kind().into()));
        };
        let mut result = self.node(&of.first);
        for element in elements {
            self.variables.push((&of.result_name, result));
            self.variables.push((&of.variable, Ok(element)));
            let goes_on = self.node(&of.condition);
            let next = match &goes_on {
                Ok(Val::Bool(false)) => None,
                _ => Some(self.node(&of.step)),
            };
            self.variables.pop();
            let before = self.variables.pop().map_or(Ok(Val::Null), |(_, before)| before);
            match next {
                Some(Err(Failed::Steps)) => return Err(Failed::Steps),
                Some(next) => result = next,
                None => {
                    result = before;
                    break;
                }
            }
        }
        self.variables.push((&of.result_name, result));
        let answer = self.node(&of.result);
        self.variables.pop();
        answer
    }
}

fn literal_value(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Bool(b) => Val::Bool(*b),
        Literal::Int(i) => Val::Int(*i),
        Literal::Uint(u) => Val::Uint(*u),
        Literal::Double(d) => Val::Double(*d),
        Literal::Text(text) => Val::Text(Cow::Borrowed(text)),
    }
}

fn field<'a>(operand: Val<'a>, name: &str) -> Result<Val<'a>, Failed> {
    match operand {
        Val::Json(Value::Object(map)) => {
            map.get(name).map(Val::of).ok_or_else(|| Failed::Missing(name.into()))
        }
        other => Err(Failed::Types(format!(".{name}"), other.kind().into())),
    }
}

fn element<'a>(operand: &Val<'a>, at: &Val<'a>) -> Result<Val<'a>, Failed> {
    let index = match at {
        Val::Int(i) => usize::try_from(*i).ok(),
        Val::Uint(u) => usize::try_from(*u).ok(),
        Val::Double(d) if d.fract() == 0.0 && *d >= 0.0 && *d < 1e15 => Some(*d as usize),
        _ => None,
    };
    match (operand, at) {
        (Val::Json(map @ Value::Object(_)), Val::Text(name)) => field(Val::Json(map), name),
        (Val::List(list), Val::Int(_) | Val::Uint(_) | Val::Double(_)) => {
            index.and_then(|i| list.get(i)).cloned().ok_or_else(|| Failed::Missing("element there".into()))
        }
        (Val::Json(Value::Array(list)), Val::Int(_) | Val::Uint(_) | Val::Double(_)) => index
            .and_then(|i| list.get(i))
            .map(Val::of)
            .ok_or_else(|| Failed::Missing("element there".into())),
        // A number is never the name of a member in JSON.
        (Val::Json(Value::Object(_)), _) => Err(Failed::Missing("such key".into())),
        _ => Err(undefined("[]", operand, at)),
    }
}

fn unary(operation: Unary, a: Val<'_>) -> Result<Val<'_>, Failed> {
    let wrong = |a: &Val<'_>, what: &str| Failed::Types(what.into(), a.kind().into());
    let range = Failed::Arithmetic("a number out of range");
    match (operation, &a) {
        (Unary::Not, Val::Bool(b)) => Ok(Val::Bool(!b)),
        (Unary::Negate, Val::Int(i)) => i.checked_neg().map(Val::Int).ok_or(range),
        (Unary::Negate, Val::Double(d)) => Ok(Val::Double(-d)),
        (Unary::Size, _) => a.size().map(|n| Val::Int(n as i64)).ok_or_else(|| wrong(&a, "size")),
        (Unary::ToInt, Val::Int(_)) | (Unary::ToUint, Val::Uint(_)) | (Unary::ToDouble, Val::Double(_)) => {
            Ok(a)
        }
        (Unary::ToInt, Val::Uint(u)) => i64::try_from(*u).map(Val::Int).map_err(|_| range),
        // The limits are not exact as doubles: they are left out.
        (Unary::ToInt, Val::Double(d)) if d.abs() < 9.223_372_036_854_775e18 => Ok(Val::Int(*d as i64)),
        (Unary::ToUint, Val::Int(i)) => u64::try_from(*i).map(Val::Uint).map_err(|_| range),
        (Unary::ToUint, Val::Double(d)) if (0.0..1.844_674_407_370_955e19).contains(d) => {
            Ok(Val::Uint(*d as u64))
        }
        (Unary::ToInt | Unary::ToUint, Val::Double(_)) => Err(range),
        (Unary::ToDouble, Val::Int(i)) => Ok(Val::Double(*i as f64)),
        (Unary::ToDouble, Val::Uint(u)) => Ok(Val::Double(*u as f64)),
        (Unary::ToInt, Val::Text(t)) => number(t).map(Val::Int),
        (Unary::ToUint, Val::Text(t)) => number(t).map(Val::Uint),
        (Unary::ToDouble, Val::Text(t)) => number(t).map(Val::Double),
        (Unary::ToText, Val::Text(_)) => Ok(a),
        (Unary::ToText, Val::Int(i)) => Ok(Val::Text(i.to_string().into())),
        (Unary::ToText, Val::Uint(u)) => Ok(Val::Text(u.to_string().into())),
        (Unary::ToText, Val::Double(d)) => Ok(Val::Text(d.to_string().into())),
        (Unary::ToText, Val::Bool(b)) => Ok(Val::Text(b.to_string().into())),
        (Unary::Not, _) => Err(wrong(&a, "!")),
        (Unary::Negate, _) => Err(wrong(&a, "-")),
        _ => Err(wrong(&a, "a conversion")),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Failed> {
    text.parse().map_err(|_| Failed::Arithmetic("a text that is not such a number"))
}

fn binary<'a>(operation: Binary, a: Val<'a>, b: Val<'a>) -> Result<Val<'a>, Failed> {
    let ordered = |wanted: fn(Ordering) -> bool| Ok(Val::Bool(order(&a, &b)?.is_some_and(wanted)));
    match operation {
        Binary::Equal => Ok(Val::Bool(equal(&a, &b))),
        Binary::Differs => Ok(Val::Bool(!equal(&a, &b))),
        Binary::Less => ordered(Ordering::is_lt),
        Binary::LessOrEqual => ordered(Ordering::is_le),
        Binary::Greater => ordered(Ordering::is_gt),
        Binary::GreaterOrEqual => ordered(Ordering::is_ge),
        Binary::In => match (&b, &a) {
            (Val::Json(Value::Object(map)), Val::Text(name)) => {
                Ok(Val::Bool(map.contains_key(name.as_ref())))
            }
            (Val::Json(Value::Object(_)), _) => Ok(Val::Bool(false)),
            _ => match b.elements() {
                Some(list) => Ok(Val::Bool(list.iter().any(|e| equal(e, &a)))),
                None => Err(undefined("in", &a, &b)),
            },
        },
        Binary::Contains | Binary::StartsWith | Binary::EndsWith => match (&a, &b) {
            (Val::Text(text), Val::Text(part)) => Ok(Val::Bool(match operation {
                Binary::Contains => text.contains(part.as_ref()),
                Binary::StartsWith => text.starts_with(part.as_ref()),
                _ => text.ends_with(part.as_ref()),
            })),
            _ => Err(undefined("a search in texts", &a, &b)),
        },
        _ => arithmetic(operation, a, b),
    }
}

fn arithmetic<'a>(operation: Binary, a: Val<'a>, b: Val<'a>) -> Result<Val<'a>, Failed> {
    let overflow = Failed::Arithmetic("a number out of range");
    let zero = Failed::Arithmetic("a division by zero");
    let divides = matches!(operation, Binary::Divide | Binary::Remainder);
    match (a, b) {
        (_, Val::Int(0)) | (_, Val::Uint(0)) if divides => Err(zero),
        (Val::Int(a), Val::Int(b)) => match operation {
            Binary::Add => a.checked_add(b),
            Binary::Subtract => a.checked_sub(b),
            Binary::Multiply => a.checked_mul(b),
            Binary::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        }
        .map(Val::Int)
        .ok_or(overflow),
        (Val::Uint(a), Val::Uint(b)) => match operation {
            Binary::Add => a.checked_add(b),
            Binary::Subtract => a.checked_sub(b),
            Binary::Multiply => a.checked_mul(b),
            Binary::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        }
        .map(Val::Uint)
        .ok_or(overflow),
        (Val::Double(a), Val::Double(b)) if operation != Binary::Remainder => {
            Ok(Val::Double(match operation {
                Binary::Add => a + b,
                Binary::Subtract => a - b,
                Binary::Multiply => a * b,
                _ => a / b,
            }))
        }
        (Val::Text(a), Val::Text(b)) if operation == Binary::Add => {
            Ok(Val::Text((a.into_owned() + &b).into()))
        }
        (a, b) if operation == Binary::Add && a.kind() == "list" && b.kind() == "list" => {
            let mut list = a.elements().unwrap_or_default();
            list.extend(b.elements().unwrap_or_default());
            Ok(Val::List(Rc::new(list)))
        }
        (a, b) => Err(undefined("arithmetic", &a, &b)),
    }
}
