//! Rows as they are sent. Encoded as they come, so that an answer is held once.

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches;
use domain::ports::sql::SqlFormat;

/// Rows encoded between two looks at the size.
const STEP: usize = 256;

pub struct Encoder {
    schema: SchemaRef,
    sink: Sink,
    max_bytes: usize,
    pub rows: usize,
    pub truncated: bool,
}

enum Sink {
    Json(Vec<u8>),
    Csv(Box<csv::Writer<Vec<u8>>>),
    Arrow(Box<StreamWriter<Vec<u8>>>),
    /// For a terminal, whose columns are as wide as their widest cell.
    Text(Vec<RecordBatch>, usize),
}

impl Encoder {
    pub fn new(format: SqlFormat, schema: SchemaRef, at: u64, max_bytes: usize) -> Result<Self, ArrowError> {
        let sink = match format {
            SqlFormat::Json => Sink::Json(json_head(&schema, at)?),
            SqlFormat::Csv => {
                let mut writer =
                    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
                writer.write_record(schema.fields().iter().map(|f| f.name())).map_err(other)?;
                Sink::Csv(Box::new(writer))
            }
            SqlFormat::Arrow => Sink::Arrow(Box::new(StreamWriter::try_new(Vec::new(), &schema)?)),
            SqlFormat::Text => Sink::Text(Vec::new(), 0),
        };
        Ok(Self { schema, sink, max_bytes, rows: 0, truncated: false })
    }

    /// False once no more rows are taken.
    pub fn push(&mut self, batch: &RecordBatch, max_rows: usize) -> Result<bool, ArrowError> {
        let mut begin = 0;
        while begin < batch.num_rows() {
            let room = max_rows - self.rows;
            if room == 0 || self.bytes() >= self.max_bytes {
                self.truncated = true;
                return Ok(false);
            }
            let count = STEP.min(batch.num_rows() - begin).min(room);
            self.write(&batch.slice(begin, count))?;
            self.rows += count;
            begin += count;
        }
        Ok(true)
    }

    fn bytes(&self) -> usize {
        match &self.sink {
            Sink::Json(out) => out.len(),
            Sink::Csv(writer) => writer.get_ref().len(),
            Sink::Arrow(writer) => writer.get_ref().len(),
            Sink::Text(_, bytes) => *bytes,
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match &mut self.sink {
            Sink::Json(out) => json_rows(out, batch, self.rows == 0),
            Sink::Csv(writer) => csv_rows(writer, batch),
            Sink::Arrow(writer) => writer.write(batch),
            Sink::Text(batches, bytes) => {
                *bytes += batch.get_array_memory_size();
                batches.push(batch.clone());
                Ok(())
            }
        }
    }

    pub fn finish(self) -> Result<Vec<u8>, ArrowError> {
        match self.sink {
            Sink::Json(mut out) => {
                let end = format!("],\"row_count\":{},\"truncated\":{}}}", self.rows, self.truncated);
                out.extend_from_slice(end.as_bytes());
                Ok(out)
            }
            Sink::Csv(writer) => writer.into_inner().map_err(|e| other(e.into_error())),
            Sink::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
            Sink::Text(mut batches, _) => {
                if batches.is_empty() {
                    batches.push(RecordBatch::new_empty(self.schema));
                }
                Ok(pretty_format_batches(&batches)?.to_string().into_bytes())
            }
        }
    }
}

fn other(error: impl std::fmt::Display) -> ArrowError {
    ArrowError::ExternalError(error.to_string().into())
}

/// What a column holds, in the words of the documentation.
fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        kind if kind.is_integer() => "integer".to_owned(),
        kind if kind.is_floating() => "number".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Binary | DataType::FixedSizeBinary(_) | DataType::BinaryView | DataType::LargeBinary => {
            "binary".to_owned()
        }
        other => other.to_string(),
    }
}

fn json_head(schema: &SchemaRef, at: u64) -> Result<Vec<u8>, ArrowError> {
    let column = |field: &std::sync::Arc<datafusion::arrow::datatypes::Field>| serde_json::json!({"name": field.name(), "type": type_name(field.data_type())});
    let columns: Vec<_> = schema.fields().iter().map(column).collect();
    let columns = serde_json::to_string(&columns).map_err(other)?;
    Ok(format!("{{\"position\":{at},\"columns\":{columns},\"rows\":[").into_bytes())
}

fn formatters(batch: &RecordBatch) -> Result<Vec<ArrayFormatter<'_>>, ArrowError> {
    static OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);
    batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &OPTIONS)).collect()
}

/// Numbers and truths as JSON has them, all else as text.
fn json_rows(out: &mut Vec<u8>, batch: &RecordBatch, first: bool) -> Result<(), ArrowError> {
    let cells = formatters(batch)?;
    for row in 0..batch.num_rows() {
        if !first || row > 0 {
            out.push(b',');
        }
        out.push(b'[');
        for (i, (column, cell)) in batch.columns().iter().zip(&cells).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if column.is_null(row) || *column.data_type() == DataType::Null {
                out.extend_from_slice(b"null");
                continue;
            }
            let text = cell.value(row).try_to_string()?;
            match column.data_type() {
                DataType::Boolean => out.extend_from_slice(text.as_bytes()),
                kind if kind.is_integer() => out.extend_from_slice(text.as_bytes()),
                kind if kind.is_floating() => {
                    // JSON has no infinities.
                    let number: Option<f64> = text.parse().ok().filter(|n: &f64| n.is_finite());
                    out.extend_from_slice(if number.is_some() { text.as_bytes() } else { b"null" });
                }
                _ => serde_json::to_writer(&mut *out, &text).map_err(other)?,
            }
        }
        out.push(b']');
    }
    Ok(())
}

fn csv_rows(writer: &mut csv::Writer<Vec<u8>>, batch: &RecordBatch) -> Result<(), ArrowError> {
    let cells = formatters(batch)?;
    for row in 0..batch.num_rows() {
        for (column, cell) in batch.columns().iter().zip(&cells) {
            let text = match column.is_null(row) {
                true => String::new(),
                false => cell.value(row).try_to_string()?,
            };
            let number = column.data_type().is_numeric();
            writer.write_field(if number { text } else { never_formula(text) }).map_err(other)?;
        }
        writer.write_record(None::<&[u8]>).map_err(other)?;
    }
    writer.flush().map_err(other)
}

/// A text that a spreadsheet would compute gets an apostrophe before it.
fn never_formula(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}
