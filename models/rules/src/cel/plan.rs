//! From the syntax tree to what is evaluated; what is not in the subset is
//! refused here.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::Regex;

use super::Refused;
use crate::pattern;

const MAX_SIGNS: usize = 256;
const MAX_NESTING: usize = 16;
const MAX_NODES: usize = 512;
const MAX_LOOPS: usize = 2;

#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    Differs,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    In,
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Negate,
    /// What the macros put around their condition: an error does not end them
    NotStrictlyFalse,
    Size,
    ToInt,
    ToUint,
    ToDouble,
    ToText,
}

#[derive(Debug)]
pub(super) struct Loop {
    pub over: Node,
    pub variable: String,
    pub result_name: String,
    pub first: Node,
    pub condition: Node,
    pub step: Node,
    pub result: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    Event,
    Variable(String),
    List(Vec<Node>),
    Field(Box<Node>, String),
    Has(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<[Node; 3]>),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<[Node; 2]>),
    Matches(Box<Node>, Regex),
    Loop(Box<Loop>),
}

/// Bounds that hold before anything is parsed: the parser is recursive.
pub(super) fn bounded(text: &str) -> Result<(), Refused> {
    let (mut signs, mut nesting) = (0, 0usize);
    let mut quoted: Option<char> = None;
    let mut escaped = false;
    for c in text.chars() {
        if let Some(quote) = quoted {
            // What ends a text too late only counts less of it as signs: the
            // number of quotes bounds how often that can be.
            if !escaped && (c == quote || c == '\n') {
                quoted = None;
            }
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' | '\'' => {
                quoted = Some(c);
                signs += 1;
            }
            '(' | '[' | '{' => {
                nesting += 1;
                signs += 1;
            }
            ')' | ']' | '}' => nesting = nesting.saturating_sub(1),
            '.' | '?' | ':' | '!' | '-' | '+' | '*' | '/' | '%' | '<' | '>' | '=' | '&' | '|' | ',' => {
                signs += 1
            }
            _ => {}
        }
        if nesting > MAX_NESTING {
            return Err(Refused::TooLarge(format!("is nested more than {MAX_NESTING} deep")));
        }
    }
    match signs > MAX_SIGNS {
        true => Err(Refused::TooLarge(format!("has more than {MAX_SIGNS} operators and brackets"))),
        false => Ok(()),
    }
}

pub(super) fn plan(parsed: &IdedExpr) -> Result<Node, Refused> {
    Planner::default().node(parsed)
}

#[derive(Default)]
struct Planner {
    nodes: usize,
    loops: usize,
    variables: Vec<String>,
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Unsupported(what.into()))
}

impl Planner {
    fn node(&mut self, expression: &IdedExpr) -> Result<Node, Refused> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Refused::TooLarge(format!("has more than {MAX_NODES} parts")));
        }
        Ok(match &expression.expr {
            Expr::Literal(literal) => Node::Literal(self.literal(literal)?),
            Expr::Ident(name) if self.variables.contains(name) => Node::Variable(name.clone()),
            Expr::Ident(name) if name == "event" => Node::Event,
            Expr::Ident(name) => return unsupported(format!("the variable {name}")),
            Expr::List(list) if list.optional_indices.is_empty() => {
                Node::List(list.elements.iter().map(|e| self.node(e)).collect::<Result<_, _>>()?)
            }
            Expr::Select(select) if select.test => {
                Node::Has(self.boxed(&select.operand)?, select.field.clone())
            }
            Expr::Select(select) => Node::Field(self.boxed(&select.operand)?, select.field.clone()),
            Expr::Call(call) => self.call(call)?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
            Expr::List(_) => return unsupported("an optional element"),
            Expr::Map(_) => return unsupported("a map that is written out"),
            Expr::Struct(_) => return unsupported("a message"),
            Expr::Unspecified => return unsupported("an empty expression"),
        })
    }

    fn boxed(&mut self, expression: &IdedExpr) -> Result<Box<Node>, Refused> {
        self.node(expression).map(Box::new)
    }

    fn literal(&mut self, literal: &LiteralValue) -> Result<Literal, Refused> {
        Ok(match literal {
            LiteralValue::Null => Literal::Null,
            LiteralValue::Boolean(b) => Literal::Bool(*b.inner()),
            LiteralValue::Int(i) => Literal::Int(*i.inner()),
            LiteralValue::UInt(u) => Literal::Uint(*u.inner()),
            LiteralValue::Double(d) => Literal::Double(*d.inner()),
            LiteralValue::String(s) => Literal::Text(s.inner().to_owned()),
            LiteralValue::Bytes(_) => return unsupported("a text of bytes"),
        })
    }

    fn call(&mut self, call: &CallExpr) -> Result<Node, Refused> {
        let name = call.func_name.as_str();
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (name, call.target.is_some(), arguments.as_slice()) {
            (operators::CONDITIONAL, false, [a, b, c]) => {
                Ok(Node::If(Box::new([self.node(a)?, self.node(b)?, self.node(c)?])))
            }
            (operators::LOGICAL_AND, false, [a, b]) => Ok(Node::And(self.boxed(a)?, self.boxed(b)?)),
            (operators::LOGICAL_OR, false, [a, b]) => Ok(Node::Or(self.boxed(a)?, self.boxed(b)?)),
            (operators::INDEX, false, [a, b]) => Ok(Node::Index(self.boxed(a)?, self.boxed(b)?)),
            ("matches", _, [text, pattern]) => self.matches(text, pattern),
            (_, method, [a]) => match unary(name, method) {
                Some(unary) => Ok(Node::Unary(unary, self.boxed(a)?)),
                None => unsupported(format!("the function {name}")),
            },
            (_, method, [a, b]) => match binary(name, method) {
                Some(binary) => Ok(Node::Binary(binary, Box::new([self.node(a)?, self.node(b)?]))),
                None => unsupported(format!("the function {name}")),
            },
            _ => unsupported(format!("the function {name}")),
        }
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Result<Node, Refused> {
        let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
            return unsupported("a pattern that is not written out");
        };
        let compiled = pattern::compile(pattern.inner());
        let compiled = compiled.map_err(|e| Refused::Syntax(format!("the pattern: {e}")))?;
        Ok(Node::Matches(self.boxed(text)?, compiled))
    }

    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Node, Refused> {
        if of.iter_var2.is_some() {
            return unsupported("a macro with two variables");
        }
        let over = self.node(&of.iter_range)?;
        let first = self.node(&of.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(Refused::TooLarge(format!("has loops within loops more than {MAX_LOOPS} deep")));
        }
        self.variables.extend([of.iter_var.clone(), of.accu_var.clone()]);
        let parts = (|| Ok((self.node(&of.loop_cond)?, self.node(&of.loop_step)?, self.node(&of.result)?)))();
        self.variables.truncate(self.variables.len() - 2);
        self.loops -= 1;
        let (condition, step, result) = parts?;
        Ok(Node::Loop(Box::new(Loop {
            over,
            variable: of.iter_var.clone(),
            result_name: of.accu_var.clone(),
            first,
            condition,
            step,
            result,
        })))
    }
}

fn unary(name: &str, method: bool) -> Option<Unary> {
    Some(match (name, method) {
        (operators::LOGICAL_NOT, false) => Unary::Not,
        (operators::NEGATE, false) => Unary::Negate,
        (operators::NOT_STRICTLY_FALSE, false) => Unary::NotStrictlyFalse,
        ("size", _) => Unary::Size,
        ("int", false) => Unary::ToInt,
        ("uint", false) => Unary::ToUint,
        ("double", false) => Unary::ToDouble,
        ("string", false) => Unary::ToText,
        _ => return None,
    })
}

fn binary(name: &str, method: bool) -> Option<Binary> {
    Some(match (name, method) {
        (operators::EQUALS, false) => Binary::Equal,
        (operators::NOT_EQUALS, false) => Binary::Differs,
        (operators::LESS, false) => Binary::Less,
        (operators::LESS_EQUALS, false) => Binary::LessOrEqual,
        (operators::GREATER, false) => Binary::Greater,
        (operators::GREATER_EQUALS, false) => Binary::GreaterOrEqual,
        (operators::ADD, false) => Binary::Add,
        (operators::SUBSTRACT, false) => Binary::Subtract,
        (operators::MULTIPLY, false) => Binary::Multiply,
        (operators::DIVIDE, false) => Binary::Divide,
        (operators::MODULO, false) => Binary::Remainder,
        (operators::IN, false) => Binary::In,
        ("contains", true) => Binary::Contains,
        ("startsWith", true) => Binary::StartsWith,
        ("endsWith", true) => Binary::EndsWith,
        _ => return None,
    })
}
