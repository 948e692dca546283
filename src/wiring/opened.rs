//! Personal data of columns: opened beside each other on several threads, and
//! put where it would have stood in clear.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use background::Steps;
use domain::personal::ERASED as ERASED_VALUE;
use domain::ports::archive::ArchiveError;
use domain::ports::keys::{KeyBytes, KeyId};
use infra_archive::arrow_array::cast::AsArray;
use infra_archive::arrow_array::types::Int32Type;
use infra_archive::arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use infra_archive::positions;
use privacy::{Keyring, Place, Sealed};
use projections::bulk::{Columns, ERASED, MISSING, Wants};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Columns that opening takes beside the tenant.
pub const NAMES: [&str; 4] = ["kind", "stream", "event_id", "p_personal"];

/// Whether a type has members that may be sealed.
pub fn concerns(wants: &Wants) -> bool {
    let marked = domain::registry::find(wants.event_type).and_then(|t| t.personal.as_ref());
    marked.is_some_and(|marked| wants.members.iter().any(|m| marked.fields.contains(m)))
}

/// What was sealed of one row: member and text, or nothing where it was
/// erased.
struct Opened {
    row: usize,
    members: Vec<(usize, Option<String>)>,
    /// A member that is no text; the whole fact does not fold then.
    broken: bool,
}

type Keys = HashMap<KeyId, Option<KeyBytes>>;

/// Keys that are asked for at once.
const KEYS: usize = 5_000;

/// Opens the batches that `columns` has taken the clear members of, in this
/// order.
pub async fn open(
    batches: Vec<RecordBatch>,
    keys: &Arc<Keyring>,
    wants: Wants,
    columns: &mut Columns,
) -> Result<(), ArchiveError> {
    let ids = each(&batches, |batch, _| sealed_ids(batch)).await?;
    if ids.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let keys = Arc::new(find(keys, ids).await?);
    let opened = each(&batches, move |batch, first| open_batch(batch, first, &keys, wants)).await?;
    let mut codes: Vec<HashMap<String, i32>> = wants.members.iter().map(|_| HashMap::new()).collect();
    let mut steps = Steps::of_nanos(300);
    for opened in opened.into_iter().flatten() {
        steps.step();
        if opened.broken {
            columns.members.iter_mut().for_each(|texts| texts.codes[opened.row] = MISSING);
            continue;
        }
        for (member, text) in opened.members {
            let texts = &mut columns.members[member];
            texts.codes[opened.row] = match text {
                None => ERASED,
                Some(text) => *codes[member].entry(text).or_insert_with_key(|text| {
                    texts.add(text);
                    // A dictionary is of a few batches.
                    i32::try_from(texts.len() - 1).unwrap_or(MISSING)
                }),
            };
        }
    }
    Ok(())
}

/// On tasks: the store may start threads, which are to be like any other.
async fn find(keys: &Arc<Keyring>, ids: Vec<Vec<KeyId>>) -> Result<Keys, ArchiveError> {
    let mut found = Keys::new();
    let mut steps = Steps::of_nanos(100);
    for ids in ids {
        let mut unknown = ids;
        unknown.retain(|id| {
            steps.step();
            !found.contains_key(id)
        });
        for ids in unknown.chunks(KEYS) {
            let (keys, ids) = (keys.clone(), ids.to_vec());
            let task = AbortOnDropHandle::new(tokio::spawn(async move { keys.find(ids).await }));
            for (id, key) in task.await.map_err(unavailable)?.map_err(unavailable)? {
                steps.step();
                found.insert(id, key);
            }
        }
    }
    Ok(found)
}

/// Does something with each batch and the number of its first row, on several
/// threads.
async fn each<T: Send + 'static>(
    batches: &[RecordBatch],
    work: impl Fn(&RecordBatch, usize) -> Result<T, ArchiveError> + Clone + Send + 'static,
) -> Result<Vec<T>, ArchiveError> {
    let mut first = 0;
    let mut tasks = Vec::with_capacity(batches.len());
    for batch in batches {
        let (batch, work, at) = (batch.clone(), work.clone(), first);
        first += batch.num_rows();
        tasks.push(AbortOnDropHandle::new(tokio::spawn(background::run(move || work(&batch, at)))));
    }
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        all.push(task.await.map_err(unavailable)?.map_err(unavailable)??);
    }
    Ok(all)
}

fn unavailable(error: impl Display) -> ArchiveError {
    ArchiveError::Unavailable(error.to_string())
}

fn unread(what: &str, position: i64) -> ArchiveError {
    ArchiveError::Damaged { object: format!("position {position}"), reason: what.to_owned() }
}

/// The sealed rows of a batch.
fn sealed(batch: &RecordBatch) -> Result<Option<&StringArray>, ArchiveError> {
    // Nothing was sealed before there was a column for it.
    let Some(column) = batch.column_by_name(NAMES[3]) else { return Ok(None) };
    let texts = column.as_string_opt::<i32>();
    let texts = texts.ok_or_else(|| unread("p_personal is no text", 0))?;
    Ok((texts.null_count() < texts.len()).then_some(texts))
}

fn parsed<'a>(batch: &RecordBatch, text: &'a str, row: usize) -> Result<Sealed<'a>, ArchiveError> {
    Sealed::parse(text).map_err(|e| unread(&e.to_string(), positions(batch)[row]))
}

fn sealed_ids(batch: &RecordBatch) -> Result<Vec<KeyId>, ArchiveError> {
    let Some(texts) = sealed(batch)? else { return Ok(Vec::new()) };
    let mut ids = Vec::new();
    let mut steps = Steps::of_nanos(300);
    for (row, text) in texts.iter().enumerate() {
        steps.step();
        if let Some(text) = text {
            ids.push(parsed(batch, text, row)?.key());
        }
    }
    // A band taps more than once.
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn open_batch(
    batch: &RecordBatch,
    first: usize,
    keys: &Keys,
    wants: Wants,
) -> Result<Vec<Opened>, ArchiveError> {
    let Some(texts) = sealed(batch)? else { return Ok(Vec::new()) };
    let [tenants, kinds, streams, ids] =
        ["tenant", NAMES[0], NAMES[1], NAMES[2]].map(|name| Text::of(batch.column_by_name(name)));
    let mut opened = Vec::with_capacity(texts.len());
    let mut steps = Steps::of_nanos(2_000);
    for row in 0..texts.len() {
        steps.step();
        if texts.is_null(row) {
            continue;
        }
        let damaged = |what: &str| unread(what, positions(batch)[row]);
        let sealed = parsed(batch, texts.value(row), row)?;
        let event_id = Uuid::parse_str(ids.at(row)).map_err(|_| damaged("its id is no UUID"))?;
        let place = Place {
            tenant: tenants.at(row),
            kind: kinds.at(row),
            stream: streams.at(row),
            event_id,
            event_type: wants.event_type,
        };
        let personal = match keys.get(&sealed.key()) {
            Some(Some(key)) => sealed.open(key, &place).map_err(|e| damaged(&e.to_string()))?,
            Some(None) => sealed.erased(),
            None => return Err(ArchiveError::Unavailable(format!("there is no key {}", sealed.key()))),
        };
        opened.push(members(&personal, first + row, wants).ok_or_else(|| damaged("it is no object"))?);
    }
    Ok(opened)
}

fn members(personal: &str, row: usize, wants: Wants) -> Option<Opened> {
    let mut opened = Opened { row, members: Vec::with_capacity(2), broken: false };
    // A member that stands twice does not decode as a fact either.
    let fields: privacy::Members<'_> = privacy::Members::of(personal)?;
    for (i, (name, value)) in fields.0.iter().enumerate() {
        opened.broken |= fields.0[..i].iter().any(|(other, _)| other.as_str() == name.as_str());
        let Some(member) = wants.members.iter().position(|m| *m == name.as_str()) else { continue };
        match serde_json::from_str(value.get()) {
            Ok(Value::String(text)) => opened.members.push((member, Some(text))),
            Ok(_) if value.get() == ERASED_VALUE => opened.members.push((member, None)),
            _ => opened.broken = true,
        }
    }
    Some(opened)
}

/// A column of texts, by dictionary or not.
enum Text<'a> {
    Plain(&'a StringArray),
    Coded(&'a [i32], &'a StringArray),
    None,
}

impl<'a> Text<'a> {
    fn of(column: Option<&'a ArrayRef>) -> Self {
        let Some(column) = column else { return Self::None };
        if let Some(plain) = column.as_string_opt::<i32>() {
            return Self::Plain(plain);
        }
        let coded = column.as_dictionary_opt::<Int32Type>();
        let values = coded.and_then(|c| Some((&c.keys().values()[..], c.values().as_string_opt::<i32>()?)));
        values.map_or(Self::None, |(keys, values)| Self::Coded(keys, values))
    }

    /// Empty where there is none: then nothing opens.
    fn at(&self, row: usize) -> &'a str {
        match self {
            Self::Plain(values) => values.value(row),
            Self::Coded(keys, values) => match usize::try_from(keys[row]) {
                Ok(key) if key < values.len() => values.value(key),
                _ => "",
            },
            Self::None => "",
        }
    }
}
