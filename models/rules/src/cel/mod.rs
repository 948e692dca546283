//! Conditions in the Common Expression Language: a subset of it, parsed by the
//! crate `cel` and evaluated here, so that every step can be counted.
//!
//! **Variable.** `event`, the event as JSON: `event.type`, `event.data.total`.
//! **Values.** null, bool, int, uint, double, string, list; objects of the
//! event. A whole number in JSON is an int, or a uint if it is too large for
//! one; any other is a double.
//! **Operators.** `== != < <= > >= && || ! ?: + - * / % in`, `a.b`, `a[b]`,
//! `has(a.b)`. Numbers of different kinds compare by what they are worth and
//! do not calculate with each other. `&&` and `||` have an answer if either
//! side decides it, whatever is wrong with the other.
//! **Functions.** `size`, `contains`, `startsWith`, `endsWith`, `matches` with
//! a pattern that is written out, `int`, `uint`, `double`, `string`.
//! **Macros.** `all`, `exists`, `exists_one`, `filter`, `map` over lists and
//! the names of objects.
//! **Not in the subset**, and refused when saved: bytes, maps and messages
//! written out, types as values, timestamps and durations, `dyn`, optional
//! values, any other function or variable.
//!
//! **Bounds.** 4,096 bytes, 256 operators and brackets, nesting of 16, 512
//! nodes and loops within loops 2 deep are checked when a rule is saved;
//! 20,000 steps when it is asked, of which a long text or list takes several.
//! An expression that fails or takes more does not match, and says so.

mod eval;
mod plan;
mod value;

use domain::rule::MAX_CEL_BYTES;
use serde_json::Value;

use plan::Node;
use value::Val;

/// Steps of one evaluation.
pub const MAX_STEPS: u32 = 20_000;

/// Why an expression can't be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Beyond a bound
    #[error("{0}")]
    TooLarge(String),
    /// Not CEL
    #[error("does not parse: {0}")]
    Syntax(String),
    /// CEL, but not in the subset
    #[error("{0} is not in the subset of CEL that rules have")]
    Unsupported(String),
}

/// Why an expression has no answer for an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A field or a key that is not there
    #[error("there is no {0}")]
    Missing(String),
    /// An operator that is not defined for what it was given
    #[error("{0} is not defined for {1}")]
    Types(String, String),
    /// Overflow, division by zero, a number that can't be converted
    #[error("{0}")]
    Arithmetic(&'static str),
    /// More steps than one evaluation may take
    #[error("took more than {MAX_STEPS} steps")]
    Steps,
}

/// Bytes; taken from the system as they are used.
const PARSER_STACK: usize = 64 * 1024 * 1024;

fn parse(text: &str) -> Result<Cel, Refused> {
    let parsed = cel::parser::Parser::new().max_recursion_depth(64).parse(text).map_err(|e| {
        let first = e.errors.first().map(|e| e.msg.clone()).unwrap_or_default();
        Refused::Syntax(first.chars().take(200).collect())
    })?;
    Ok(Cel { root: plan::plan(&parsed)? })
}

/// An expression, compiled.
#[derive(Debug)]
pub struct Cel {
    root: Node,
}

impl Cel {
    /// Compiles an expression, or says why it can't be saved.
    pub fn compile(text: &str) -> Result<Self, Refused> {
        if text.len() > MAX_CEL_BYTES {
            return Err(Refused::TooLarge(format!("must have at most {MAX_CEL_BYTES} bytes")));
        }
        plan::bounded(text)?;
        // The parser is recursive and wants more of a stack than a thread that
        // serves has to spare; what it makes of strange texts ends with it.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(PARSER_STACK);
            let parsing = thread.spawn_scoped(scope, || parse(text));
            let parsing = parsing.map_err(|e| Refused::Syntax(format!("no thread to parse in: {e}")))?;
            parsing.join().unwrap_or_else(|_| Err(Refused::Syntax("the parser gave up".into())))
        })
    }

    /// Whether it holds for an event.
    pub fn holds(&self, event: &Value) -> Result<bool, Failed> {
        match eval::run(&self.root, event)? {
            Val::Bool(holds) => Ok(holds),
            other => Err(Failed::Types("a condition".into(), other.kind().into())),
        }
    }

    /// What it comes to, as JSON; lists and objects of the event included.
    pub fn evaluate(&self, event: &Value) -> Result<Value, Failed> {
        eval::run(&self.root, event).map(|value| value.to_json())
    }
}
