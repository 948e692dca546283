//! How large a plan is once every reference to a common table stands for what
//! it refers to. Forty lines that each name the one before twice are a plan
//! that no machine can hold.

use std::collections::HashMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

pub const MAX: u64 = 2_000;

/// Nodes, without going into one twice.
pub fn of(plan: &LogicalPlan) -> Result<u64> {
    let mut known = HashMap::new();
    weigh(plan, &mut known)
}

/// Plans that are shared lie at one address.
fn weigh(plan: &LogicalPlan, known: &mut HashMap<usize, u64>) -> Result<u64> {
    let address = std::ptr::from_ref(plan).addr();
    if let Some(weight) = known.get(&address) {
        return Ok(*weight);
    }
    let mut weight = 1_u64;
    for input in plan.inputs() {
        weight = weight.saturating_add(weigh(input, known)?);
    }
    plan.apply_expressions(|expression| {
        expression.apply(|part| {
            let inner = match part {
                Expr::ScalarSubquery(inner) => Some(inner),
                Expr::Exists(exists) => Some(&exists.subquery),
                Expr::InSubquery(within) => Some(&within.subquery),
                _ => None,
            };
            if let Some(inner) = inner {
                weight = weight.saturating_add(weigh(&inner.subquery, known)?);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    known.insert(address, weight);
    Ok(weight)
}
