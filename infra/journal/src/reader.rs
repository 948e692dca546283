//! Reads durable entries in order, over segments, gaps and damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use domain::ports::journal::Batch;

use crate::directory::{quarantine, segment_path, without_reserve};
use crate::frame::{self, Decoded, MAX_FRAME};
use crate::index::{Index, Segment};

/// Read at a time; at least two of the longest frames.
const CHUNK: usize = 1 << 20;
/// A batch ends once its payloads are this large together.
const BATCH_BYTES: usize = 4 << 20;

const _: () = assert!(CHUNK >= 2 * MAX_FRAME);

pub struct Reader {
    index: Arc<Index>,
    /// Where the last batch ended, so that the next one goes on there.
    place: Mutex<Option<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    segment: u64,
    byte: u64,
    /// Every entry before `byte` is below this offset.
    next: u64,
}

/// A batch on its way.
struct Filling {
    batch: Batch,
    limit: usize,
    bytes: usize,
}

impl Filling {
    fn full(&self) -> bool {
        self.batch.entries.len() >= self.limit || self.bytes >= BATCH_BYTES
    }
}

impl Reader {
    pub fn new(index: Arc<Index>) -> Self {
        Self { index, place: Mutex::new(None) }
    }

    pub fn read(&self, from: u64, limit: usize) -> io::Result<Batch> {
        let mut place = self.place.lock().unwrap_or_else(|e| e.into_inner());
        let view = self.index.view();
        let batch = Batch { entries: Vec::new(), next: from };
        if from >= view.durable {
            return Ok(batch);
        }
        let mut filling = Filling { batch, limit: limit.max(1), bytes: 0 };
        let start = view.segments.partition_point(|s| s.first <= from).saturating_sub(1);
        for segment in &view.segments[start..] {
            let byte = match *place {
                Some(known) if known.segment == segment.first && known.next <= from => known.byte,
                _ => 0,
            };
            let byte = self.read_segment(*segment, byte, &mut filling)?;
            *place = Some(Place { segment: segment.first, byte, next: filling.batch.next });
            if filling.full() {
                return Ok(filling.batch);
            }
        }
        filling.batch.next = view.durable;
        Ok(filling.batch)
    }

    /// Takes entries from `byte` on; answers where it stopped.
    fn read_segment(&self, segment: Segment, mut byte: u64, filling: &mut Filling) -> io::Result<u64> {
        let file = File::open(segment_path(self.index.directory(), segment.first))?;
        let mut chunk = Vec::new();
        while byte < segment.length && !filling.full() {
            let want = usize::try_from(segment.length - byte).unwrap_or(CHUNK).min(CHUNK);
            chunk.resize(want, 0);
            file.read_exact_at(&mut chunk, byte)?;
            let used = take_frames(&chunk, filling);
            byte += used as u64;
            if used == 0 {
                byte = self.step_over(&file, segment, byte, filling.batch.next)?;
            }
        }
        Ok(byte)
    }

    /// Looks for the next whole frame behind a damaged stretch and says loudly
    /// what happened. The whole segment is kept in quarantine.
    fn step_over(&self, file: &File, segment: Segment, byte: u64, next: u64) -> io::Result<u64> {
        let mut bytes = vec![0; usize::try_from(segment.length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        // The index fits: it is below the length just read.
        let at = byte as usize;
        if without_reserve(&bytes[at..]).is_empty() {
            return Ok(segment.length);
        }
        let resumed = frame::find_next(&bytes, at + 1, next).unwrap_or(bytes.len());
        let name = format!("{:020}.taps", segment.first);
        metrics::counter!("daybook_journal_damaged_bytes_total").increment((resumed - at) as u64);
        tracing::error!(
            segment = name,
            at,
            bytes = resumed - at,
            first_offset = next,
            alert = true,
            "journal: a damaged stretch is left out; the segment is kept in quarantine"
        );
        if let Err(error) = quarantine(self.index.directory(), &name, &bytes) {
            tracing::error!(%error, segment = name, "journal: the damaged segment could not be kept");
        }
        Ok(resumed as u64)
    }
}

/// Takes whole frames from the front of `chunk`; answers how many bytes. 0
/// means that the first frame is damaged, because a chunk that is not the
/// segment's end holds at least one.
fn take_frames(chunk: &[u8], filling: &mut Filling) -> usize {
    let mut at = 0;
    while !filling.full() {
        let Decoded::Frame { offset, entry, size } = frame::decode(&chunk[at..]) else { break };
        at += size;
        if offset >= filling.batch.next {
            filling.bytes += entry.payload.len();
            filling.batch.entries.push((offset, entry));
            filling.batch.next = offset + 1;
        }
    }
    at
}
