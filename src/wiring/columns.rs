//! The archive as columns for folds over whole histories.

use std::sync::Arc;

use async_trait::async_trait;
use background::Steps;
use domain::ports::archive::ArchiveError;
use domain::ports::log::EventLog;
use infra_archive::arrow_array::cast::AsArray;
use infra_archive::arrow_array::types::{Int32Type, TimestampMicrosecondType};
use infra_archive::arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use infra_archive::{ArchiveStore, Chunk, Chunks, Scan, SealedHistory, positions};
use privacy::{Keyring, OpenedLog};
use projections::bulk::{Batches, Columns, Extent, Room, Sealed, Texts, Wants};
use replays::history;

use super::opened;

/// Rows given away at once, about: those of a row group, which share
/// dictionaries.
const ROWS: usize = 131_072;
const OCCURRED: &str = "occurred_at";
const RECORDED: &str = "recorded_at";
const TENANT: &str = "tenant";

pub struct ArchiveColumns {
    pub archive: ArchiveStore,
    /// Whose history it has to be.
    pub log: Arc<dyn EventLog>,
    /// What personal data is opened with.
    pub keys: Arc<Keyring>,
}

#[async_trait]
impl Sealed for ArchiveColumns {
    async fn extent(&self, types: &[&str]) -> Result<Extent, ArchiveError> {
        let Some(manifest) = self.archive.manifest_of(&*self.log).await? else {
            return Ok(Extent::default());
        };
        let types: Vec<String> = types.iter().map(|t| (*t).to_owned()).collect();
        let events = manifest.of_types(&types).map(|segment| segment.events).sum();
        Ok(Extent { through: manifest.through, events })
    }

    async fn read(&self, wants: Wants, through: u64) -> Result<Box<dyn Batches>, ArchiveError> {
        self.read_by(ROWS, wants, through).await
    }

    fn events(&self) -> Arc<dyn EventLog> {
        let sealed = history::Sealed(Arc::new(SealedHistory::of(self.archive.clone(), self.log.clone())));
        Arc::new(OpenedLog::new(Arc::new(sealed), self.keys.clone(), true))
    }
}

impl ArchiveColumns {
    /// About so many rows at a time.
    pub async fn read_by(
        &self,
        rows: usize,
        wants: Wants,
        through: u64,
    ) -> Result<Box<dyn Batches>, ArchiveError> {
        let Some(manifest) = self.archive.manifest_of(&*self.log).await? else {
            return Err(ArchiveError::Missing { object: "the manifest".into() });
        };
        let members: Vec<String> = wants.members.iter().map(|m| format!("p_{m}")).collect();
        let mut names = vec![OCCURRED, RECORDED, TENANT];
        names.extend(members.iter().map(String::as_str));
        let keys = opened::concerns(&wants).then(|| self.keys.clone());
        if keys.is_some() {
            names.extend(opened::NAMES);
        }
        let scan = Scan::new(&[wants.event_type], &names).dictionaries().in_background();
        let chunks = self.archive.scan(&manifest, &scan);
        let room = Room::default();
        Ok(Box::new(Reader { rows, chunks, next: None, wants, members, keys, through, ended: false, room }))
    }
}

struct Reader {
    rows: usize,
    chunks: Chunks,
    /// Read, and left for the batch to come.
    next: Option<Chunk>,
    wants: Wants,
    members: Vec<String>,
    /// If any of the members may be sealed.
    keys: Option<Arc<Keyring>>,
    through: u64,
    ended: bool,
    /// What the batch before took.
    room: Room,
}

#[async_trait]
impl Batches for Reader {
    async fn next(&mut self) -> Result<Option<Columns>, ArchiveError> {
        let mut gathered = Gathered::new(self.wants, &self.room);
        let mut batches = Vec::new();
        let mut steps = Steps::of_nanos(250_000);
        while !self.ended && gathered.columns.len() < self.rows {
            let chunk = match self.next.take() {
                Some(chunk) => Some(chunk),
                None => self.chunks.next().await?,
            };
            let Some(chunk) = chunk else {
                self.ended = true;
                break;
            };
            // The last row group of a segment has less than all rows and would
            // shift those after it: each would be in two batches. A small one does.
            if gathered.columns.len() >= self.rows / 2 && gathered.brings_dictionaries(&chunk, &self.members)
            {
                self.next = Some(chunk);
                break;
            }
            for part in &chunk.parts {
                steps.step();
                batches.push(gathered.add(&part.batch, &self.members, self.through)?);
            }
            self.ended = chunk.through >= self.through;
        }
        if let Some(keys) = &self.keys {
            opened::open(batches, keys, self.wants, &mut gathered.columns).await?;
        }
        self.room = gathered.columns.room();
        Ok((!gathered.columns.is_empty()).then_some(gathered.columns))
    }
}

/// Batches put together. A dictionary of the file that several of them share is
/// taken over once; where values are too many for one, the reader makes a small
/// one for each batch.
struct Gathered {
    columns: Columns,
    tenants: Dictionary,
    members: Vec<Dictionary>,
}

#[derive(Default)]
struct Dictionary {
    /// Its values; held, so that no other's take their place in memory.
    last: Option<StringArray>,
    /// The code of its first value.
    base: i32,
}

impl Gathered {
    fn new(wants: Wants, room: &Room) -> Self {
        let columns = Columns::with_room(wants, room);
        let members = wants.members.iter().map(|_| Dictionary::default()).collect();
        Self { columns, tenants: Dictionary::default(), members }
    }

    /// Whether it repeats many values that are there already, since it is of
    /// another row group.
    fn brings_dictionaries(&self, chunk: &Chunk, members: &[String]) -> bool {
        let other = |batch: &RecordBatch| {
            self.members.iter().zip(members).any(|(dictionary, name)| {
                let coded = batch.column_by_name(name).and_then(|c| c.as_dictionary_opt::<Int32Type>());
                let values = coded.and_then(|c| c.values().as_string_opt::<i32>());
                values.is_some_and(|values| values.len() > batch.num_rows() && !dictionary.is(values))
            })
        };
        chunk.parts.iter().any(|part| other(&part.batch))
    }

    /// Returns the rows that were taken over.
    fn add(
        &mut self,
        batch: &RecordBatch,
        members: &[String],
        through: u64,
    ) -> Result<RecordBatch, ArchiveError> {
        let rows = positions(batch).partition_point(|p| p.cast_unsigned() <= through);
        let batch = batch.slice(0, rows);
        self.columns.positions.extend(positions(&batch).iter().map(|p| p.cast_unsigned()));
        let instants = |name: &str| {
            let column = batch.column_by_name(name);
            column.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()).ok_or_else(|| unread(name))
        };
        let (occurred, recorded) = (instants(OCCURRED)?, instants(RECORDED)?);
        let at = |row| if occurred.is_valid(row) { occurred.value(row) } else { recorded.value(row) };
        self.columns.at.extend((0..rows).map(at));
        self.tenants.add(batch.column_by_name(TENANT), rows, &mut self.columns.tenants, TENANT)?;
        let texts = self.columns.members.iter_mut().zip(&mut self.members);
        for ((texts, dictionary), name) in texts.zip(members) {
            dictionary.add(batch.column_by_name(name), rows, texts, name)?;
        }
        Ok(batch)
    }
}

impl Dictionary {
    /// Whether these are its values: batches of a row group share their bytes,
    /// but each has an array of its own over them.
    fn is(&self, values: &StringArray) -> bool {
        let same = |last: &StringArray| {
            last.offsets().ptr_eq(values.offsets()) && last.values().ptr_eq(values.values())
        };
        self.last.as_ref().is_some_and(same)
    }

    fn add(
        &mut self,
        column: Option<&ArrayRef>,
        rows: usize,
        texts: &mut Texts,
        name: &str,
    ) -> Result<(), ArchiveError> {
        // A segment from before the member was there has no such column.
        let Some(column) = column else {
            texts.codes.extend(std::iter::repeat_n(-1, rows));
            return Ok(());
        };
        let coded = column.as_dictionary_opt::<Int32Type>().ok_or_else(|| unread(name))?;
        let values = coded.values().as_string_opt::<i32>().ok_or_else(|| unread(name))?;
        if !self.is(values) {
            self.base = i32::try_from(texts.len()).map_err(|_| unread(name))?;
            add_all(values, texts).ok_or_else(|| unread(name))?;
            self.last = Some(values.clone());
        }
        let keys = coded.keys();
        if keys.null_count() == 0 {
            texts.codes.extend(keys.values()[..rows].iter().map(|key| key + self.base));
            return Ok(());
        }
        let code = |row| if keys.is_valid(row) { keys.value(row) + self.base } else { -1 };
        texts.codes.extend((0..rows).map(code));
        Ok(())
    }
}

/// At once, since they stand one after the other there, too.
fn add_all(values: &StringArray, texts: &mut Texts) -> Option<()> {
    let offsets = values.value_offsets();
    let (first, last) = (usize::try_from(*offsets.first()?).ok()?, usize::try_from(*offsets.last()?).ok()?);
    let bytes = std::str::from_utf8(values.value_data().get(first..last)?).ok()?;
    // Offsets of an array never go back.
    texts.extend(bytes, offsets[1..].iter().map(|end| *end as usize - first));
    Some(())
}

fn unread(column: &str) -> ArchiveError {
    ArchiveError::Damaged { object: format!("column {column}"), reason: "it is not as it was sealed".into() }
}

#[cfg(test)]
mod tests {
    use infra_archive::Part;
    use infra_archive::arrow_array::{DictionaryArray, Int32Array, Int64Array, TimestampMicrosecondArray};

    use super::*;

    const WANTS: Wants = Wants { event_type: domain::tap::TAPPED, members: &["band_id"] };

    fn values(prefix: &str, count: u32) -> StringArray {
        (0..count).map(|n| Some(format!("{prefix}{n}"))).collect()
    }

    fn coded(values: &StringArray, codes: &[i32]) -> ArrayRef {
        // An array of its own over the same bytes, as batches have it.
        let values = Arc::new(values.clone());
        Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(codes.to_vec()), values))
    }

    fn batch(first: i64, bands: &StringArray, codes: &[i32]) -> RecordBatch {
        let positions = first..first + codes.len() as i64;
        let at = Arc::new(TimestampMicrosecondArray::from_iter_values(positions.clone()));
        let columns: [(&str, ArrayRef); 5] = [
            ("position", Arc::new(Int64Array::from_iter_values(positions))),
            (OCCURRED, at.clone()),
            (RECORDED, at),
            (TENANT, coded(&values("acme", 1), &vec![0; codes.len()])),
            ("p_band_id", coded(bands, codes)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn chunk(batch: RecordBatch) -> Chunk {
        Chunk { after: 0, through: 9, parts: vec![Part { event_type: WANTS.event_type.into(), batch }] }
    }

    #[test]
    fn values_of_a_row_group_are_taken_over_once() {
        let (one, other, few) = (values("a", 10), values("b", 10), values("c", 1));
        let members = ["p_band_id".to_owned()];
        let mut gathered = Gathered::new(WANTS, &Room::default());
        gathered.add(&batch(1, &one, &[9, 0]), &members, u64::MAX).unwrap();
        assert!(!gathered.brings_dictionaries(&chunk(batch(3, &one, &[9, 1])), &members));
        gathered.add(&batch(3, &one, &[9, 1]), &members, u64::MAX).unwrap();
        assert_eq!(gathered.columns.members[0].len(), 10);
        assert!(gathered.brings_dictionaries(&chunk(batch(5, &other, &[0, 2])), &members));
        assert!(!gathered.brings_dictionaries(&chunk(batch(5, &few, &[0, 0])), &members));
        gathered.add(&batch(5, &other, &[0, 2]), &members, u64::MAX).unwrap();
        let bands: Vec<&str> = gathered.columns.members[0].values().collect();
        let codes = &gathered.columns.members[0].codes;
        let read: Vec<&str> = codes.iter().map(|code| bands[*code as usize]).collect();
        assert_eq!(read, ["a9", "a0", "a9", "a1", "b0", "b2"]);
        assert_eq!(bands.len(), 20);
    }
}
