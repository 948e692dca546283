//! Stopping a join. Its inner loop goes over every pair of rows that it holds
//! and lets nobody else in until it has found some that match; so the condition
//! itself asks first whether the query is still wanted. And one that finds many
//! gives way after each batch of them, which only the engine's sources do by
//! themselves.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

use crate::pin::Pin;

const NAME: &str = "wanted";

/// Puts the question before the condition of every join that has one.
#[derive(Debug)]
pub struct AskInJoins(pub Arc<Pin>);

impl OptimizerRule for AskInJoins {
    fn name(&self) -> &str {
        "ask_in_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        match join.filter.take() {
            Some(filter) if !asks(&filter) => {
                let wanted = ScalarUDF::from(Wanted::new(self.0.clone())).call(Vec::new());
                join.filter = Some(wanted.and(filter));
                Ok(Transformed::yes(LogicalPlan::Join(join)))
            }
            filter => {
                join.filter = filter;
                Ok(Transformed::no(LogicalPlan::Join(join)))
            }
        }
    }
}

fn asks(filter: &Expr) -> bool {
    let is_it = |part: &Expr| matches!(part, Expr::ScalarFunction(call) if call.func.name() == NAME);
    filter.exists(|part| Ok(is_it(part))).unwrap_or(false)
}

/// Has every join give way.
#[derive(Debug)]
pub struct YieldAfterJoins;

impl PhysicalOptimizerRule for YieldAfterJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let wrap = |node: Arc<dyn ExecutionPlan>| match node.name() {
            "CrossJoinExec" | "NestedLoopJoinExec" | "HashJoinExec" | "SortMergeJoinExec" => {
                Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
            }
            _ => Ok(Transformed::no(node)),
        };
        Ok(plan.transform_up(wrap)?.data)
    }

    fn name(&self) -> &str {
        "yield_after_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// True, or an error once the query has been given up.
#[derive(Debug)]
struct Wanted {
    pin: Arc<Pin>,
    signature: Signature,
}

impl Wanted {
    fn new(pin: Arc<Pin>) -> Self {
        // Volatile, so that it is asked each time.
        Self { pin, signature: Signature::nullary(Volatility::Volatile) }
    }
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pin, &other.pin)
    }
}

impl Eq for Wanted {}

impl Hash for Wanted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NAME.hash(state);
    }
}

impl ScalarUDFImpl for Wanted {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.pin.check_wanted()?;
        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
    }
}
