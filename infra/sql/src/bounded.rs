//! Functions that make long texts out of short ones. The memory pool does not
//! see what a function allocates, so these say before they begin how much it
//! will be, and refuse.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::arrow::compute::{cast, kernels::length::length};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DFSchema, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::functions::core::overlay;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawDictionaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Text that one call makes of one batch.
const MAX_BYTES: u64 = 64 << 20;

/// Bytes of a row's result, at most, by the sizes of texts and the values of
/// numbers among its arguments.
type Estimate = fn(&[u64]) -> u64;

const FUNCTIONS: &[(&str, Estimate)] = &[
    ("concat", sum),
    ("concat_ws", |sizes| sum(sizes).saturating_mul(2)),
    ("encode", |sizes| sizes[0].saturating_mul(2)),
    ("lpad", padded),
    ("overlay", sum),
    ("rpad", padded),
    ("repeat", |sizes| sizes[0].saturating_mul(nth(sizes, 1))),
    ("replace", |sizes| {
        let found = sizes[0].checked_div(nth(sizes, 1)).unwrap_or(sizes[0] + 1);
        sizes[0].saturating_add(found.saturating_mul(nth(sizes, 2)))
    }),
    // It may refer to what was found.
    ("regexp_replace", |sizes| (sizes[0] + 1).saturating_mul(nth(sizes, 2) + 1)),
];

/// Make types out of types, without end.
const ABSENT: &[&str] = &["struct", "named_struct", "row"];

fn nth(sizes: &[u64], n: usize) -> u64 {
    sizes.get(n).copied().unwrap_or(0)
}

fn sum(sizes: &[u64]) -> u64 {
    sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))
}

/// A character has up to four bytes.
fn padded(sizes: &[u64]) -> u64 {
    nth(sizes, 1).saturating_mul(4)
}

/// Puts the bounds before the functions of a session.
pub fn install(state: &mut SessionState) -> Result<()> {
    for (name, estimate) in FUNCTIONS {
        let inner = state.udf(name)?;
        state.register_udf(bounded(inner, *estimate))?;
    }
    for name in ABSENT {
        state.deregister_udf(name)?;
    }
    Ok(())
}

fn bounded(inner: Arc<ScalarUDF>, estimate: Estimate) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Bounded { inner, estimate: Fixed(estimate) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    estimate: Fixed,
}

/// Follows from the function that it belongs to.
#[derive(Debug)]
struct Fixed(Estimate);

impl PartialEq for Fixed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Fixed {}

impl std::hash::Hash for Fixed {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// Rewritings of the inner function are left out: they end in functions
/// without a bound.
impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check(self.name(), &args, self.estimate.0)?;
        self.inner.invoke_with_args(args)
    }
}

fn check(name: &str, args: &ScalarFunctionArgs, estimate: Estimate) -> Result<()> {
    let columns: Vec<Int64Array> = args.args.iter().map(sizes).collect::<Result<_>>()?;
    let all_one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if all_one { 1 } else { args.number_rows };
    let (mut total, mut row) = (0_u64, Vec::with_capacity(columns.len()));
    for i in 0..rows {
        row.clear();
        row.extend(columns.iter().map(|column| {
            let i = if column.len() == 1 { 0 } else { i };
            if column.is_null(i) { 0 } else { u64::try_from(column.value(i)).unwrap_or(0) }
        }));
        total = total.saturating_add(estimate(&row));
    }
    if total > MAX_BYTES {
        return exec_err!("{name} would make a text that is too long");
    }
    Ok(())
}

/// Of texts their bytes, of numbers their value.
fn sizes(value: &ColumnarValue) -> Result<Int64Array> {
    let array = match value {
        ColumnarValue::Array(array) => array.clone(),
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
    };
    let numbers: ArrayRef = match array.data_type() {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => length(&array)?,
        _ => array,
    };
    Ok(cast(&numbers, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// What the parser would give functions without a bound.
#[derive(Debug)]
pub struct BoundedSyntax;

impl ExprPlanner for BoundedSyntax {
    fn plan_binary_op(&self, raw: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if raw.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(raw));
        }
        let join = bounded(Arc::new(ScalarUDF::from(Join::default())), sum);
        Ok(PlannerResult::Planned(join.call(vec![raw.left, raw.right])))
    }

    fn plan_struct_literal(&self, _: Vec<Expr>, _: bool) -> Result<PlannerResult<Vec<Expr>>> {
        plan_err!("there are no structs here")
    }

    fn plan_dictionary_literal(
        &self,
        _: RawDictionaryExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawDictionaryExpr>> {
        plan_err!("there are no structs here")
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(bounded(overlay(), sum).call(args)))
    }
}

/// `||`: null with anything is null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Join(Signature);

impl Default for Join {
    fn default() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Join {
    fn name(&self) -> &str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8; types.len()])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = ColumnarValue::values_to_arrays(&args.args)?
            .try_into()
            .map_err(|_| datafusion::common::exec_datafusion_err!("|| takes two texts"))?;
        let (left, right) = (left.as_string::<i32>(), right.as_string::<i32>());
        let joined: StringArray = left.iter().zip(right).map(|(l, r)| Some([l?, r?].concat())).collect();
        Ok(ColumnarValue::Array(Arc::new(joined)))
    }
}
