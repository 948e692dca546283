//! Cells to the bytes of a Parquet file.
//!
//! A row is a cell; a row group has one measure, position by position, scenarios
//! next to each other. What a reader of ours wants of the texts stands once in the
//! footer, so that it decodes numbers only.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use domain::ports::results::ResultError;
use domain::valuation::cells::{Column, TaskCells, Unit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

/// All of [`TaskCells`] but the numbers, as JSON.
pub const CELLS_KEY: &str = "daybook.cells";
pub const VALUE: &str = "value";
const CREATED_BY: &str = "daybook-cube/1";
/// Positions encoded at once.
const BATCH: usize = 256;

const TEXTS: [&str; 10] = [
    "position_id",
    "book",
    "product_type",
    "instrument_id",
    "tags",
    "scenario_id",
    "measure",
    "currency",
    "quality",
    "flag",
];

fn unwritable(error: impl std::fmt::Display) -> ResultError {
    ResultError::Unwritable(error.to_string())
}

fn schema() -> SchemaRef {
    let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields: Vec<Field> = TEXTS.iter().map(|name| Field::new(*name, text.clone(), true)).collect();
    fields.push(Field::new("reason", text, true));
    fields.push(Field::new(VALUE, DataType::Float64, true));
    // Units of the base currency for one of the cell's.
    fields.push(Field::new("to_base", DataType::Float64, true));
    Arc::new(Schema::new(fields))
}

pub fn encode(cells: &TaskCells) -> Result<Vec<u8>, ResultError> {
    let count = cells.positions.len() * cells.scenarios.len();
    let whole =
        |column: &Column| column.values.len() == count && column.qualities.len() == cells.positions.len();
    if !cells.columns.iter().all(whole) {
        return Err(unwritable("a column has another length than positions and scenarios make"));
    }
    let schema = schema();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties()?)).map_err(unwritable)?;
    for column in &cells.columns {
        let flags = Flags::of(column);
        for start in (0..cells.positions.len()).step_by(BATCH) {
            let range = start..(start + BATCH).min(cells.positions.len());
            writer.write(&batch(cells, column, &flags, range, &schema)?).map_err(unwritable)?;
        }
        writer.flush().map_err(unwritable)?;
    }
    let footer = serde_json::to_string(cells).map_err(unwritable)?;
    writer.append_key_value_metadata(KeyValue::new(CELLS_KEY.to_owned(), footer));
    writer.into_inner().map_err(unwritable)
}

fn properties() -> Result<WriterProperties, ResultError> {
    let level = ZstdLevel::try_new(1).map_err(unwritable)?;
    Ok(WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_column_dictionary_enabled(ColumnPath::from(VALUE), false)
        .build())
}

/// Flags of a column by cell: 0 for none, else one more than its place.
struct Flags<'a> {
    column: &'a Column,
    of: Vec<u32>,
}

impl<'a> Flags<'a> {
    fn of(column: &'a Column) -> Self {
        let mut of = vec![0; column.values.len()];
        for (at, flagged) in (1..).zip(&column.flagged) {
            let cells = flagged.from.min(of.len())..flagged.to.min(of.len());
            of[cells].fill(at);
        }
        Self { column, of }
    }

    fn at(&self, cell: usize) -> Option<&'a domain::valuation::cells::Flagged> {
        let place = (self.of[cell] as usize).checked_sub(1)?;
        self.column.flagged.get(place)
    }
}

/// Texts that repeat: keys are found by the place of what was last looked up.
#[derive(Default)]
struct Texts {
    keys: Vec<Option<i32>>,
    values: Vec<String>,
    known: std::collections::HashMap<String, i32>,
}

impl Texts {
    fn key(&mut self, text: Option<&str>) -> Option<i32> {
        let text = text?;
        if let Some(key) = self.known.get(text) {
            return Some(*key);
        }
        let key = self.values.len() as i32;
        self.values.push(text.to_owned());
        self.known.insert(text.to_owned(), key);
        Some(key)
    }

    fn repeat(&mut self, text: Option<&str>, times: usize) {
        let key = self.key(text);
        self.keys.extend(std::iter::repeat_n(key, times));
    }

    fn push(&mut self, text: Option<&str>) {
        self.repeat(text, 1);
    }

    fn array(self) -> Result<ArrayRef, ResultError> {
        let array = DictionaryArray::<Int32Type>::try_new(
            Int32Array::from(self.keys),
            Arc::new(StringArray::from(self.values)),
        );
        Ok(Arc::new(array.map_err(unwritable)?))
    }
}

fn batch(
    cells: &TaskCells,
    column: &Column,
    flags: &Flags<'_>,
    range: std::ops::Range<usize>,
    schema: &SchemaRef,
) -> Result<RecordBatch, ResultError> {
    let count = cells.scenarios.len();
    let mut texts: [Texts; 11] = Default::default();
    let mut to_base = Vec::with_capacity(range.len() * count);
    for at in range.clone() {
        let position = &cells.positions[at];
        let tags = (!position.tags.is_empty()).then(|| serde_json::to_string(&position.tags));
        let tags = tags.transpose().map_err(unwritable)?;
        let currency = match column.unit {
            Unit::Trade => position.currency.as_deref(),
            Unit::Base => cells.base_currency.as_deref(),
            Unit::Plain => None,
        };
        let by_position = [
            Some(position.position_id.as_str()),
            Some(position.book.as_str()),
            Some(position.product_type.as_str()),
            position.instrument_id.as_deref(),
            tags.as_deref(),
        ];
        for (texts, text) in texts.iter_mut().zip(by_position) {
            texts.repeat(text, count);
        }
        texts[6].repeat(Some(&column.measure), count);
        texts[7].repeat(currency, count);
        texts[8].repeat(Some(&column.qualities[at]), count);
        let rates = match column.unit {
            Unit::Trade => currency.and_then(|currency| cells.rates_of(currency)),
            _ => None,
        };
        for (scenario, id) in cells.scenarios.iter().enumerate() {
            let flag = flags.at(at * count + scenario);
            texts[5].push(Some(id));
            texts[9].push(flag.map(|flag| flag.code.as_str()));
            texts[10].push(flag.map(|flag| flag.reason.as_str()));
            to_base.push(match column.unit {
                Unit::Base => Some(1.0),
                _ => rates.and_then(|rates| rates[scenario]),
            });
        }
    }
    let values = &column.values[range.start * count..range.end * count];
    let values: Float64Array = values.iter().map(|value| (!value.is_nan()).then_some(*value)).collect();
    let mut arrays = texts.into_iter().map(Texts::array).collect::<Result<Vec<_>, _>>()?;
    arrays.push(Arc::new(values));
    arrays.push(Arc::new(Float64Array::from(to_base)));
    RecordBatch::try_new(schema.clone(), arrays).map_err(unwritable)
}
