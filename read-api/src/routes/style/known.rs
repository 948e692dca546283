//! Texts of samples, read from the log where they stand.

use daybook_http::{Id, Kind, Problem};
use domain::ports::log::EventLog;
use domain::ports::rows::{Query as RowQuery, Snapshot};
use domain::sample::{self, Library};
use domain::{StreamId, TenantId};
use futures::{StreamExt, TryStreamExt};
use models_stylometry::boilerplate::unframed;
use models_stylometry::normalise::normalise;
use projections::style_fingerprints::rows::{Brief, SampleRow, State};
use projections::style_fingerprints::{ALL, BY_CORPUS, NAME, SAMPLES};
use serde::Deserialize;
use styles::{Asked, Reference};
use utoipa::ToSchema;

use super::{StyleState, Turn};
use crate::at_least::AtLeast;
use crate::routes::{Reader, parse, row_at};

/// Most known texts of one analysis.
const MOST_TEXTS: usize = 2_000;
/// Bytes of them.
const MOST_BYTES: u64 = 64 << 20;
/// Streams that are read at once.
const AT_ONCE: usize = 8;
/// Events of a stream that are read at once; a text has at most a few dozen.
const PAGE: usize = 100;
/// Most events of a sample's stream: it may be submitted and withdrawn again.
const MOST_EVENTS: u64 = 10_000;
/// A text that is asked about and no sample.
const MOST_ASKED_BYTES: usize = 1 << 20;

/// A sample by its id, or a text.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The id of a sample.
    #[schema(value_type = Option<String>)]
    sample: Option<Id>,
    /// A text of at most 1 MiB that is kept nowhere.
    text: Option<String>,
    /// What the answer calls it.
    name: Option<String>,
}

impl Text {
    pub fn of_sample(id: Id) -> Self {
        Self { sample: Some(id), text: None, name: None }
    }
}

/// The samples of a corpus that are there.
pub struct Chosen {
    pub snapshot: Snapshot,
    pub briefs: Vec<Brief>,
}

impl Chosen {
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.briefs.iter().map(|b| b.id.as_str())
    }
}

/// Lists a corpus; more than an analysis takes is refused.
pub async fn chosen(
    state: &StyleState,
    reader: &Reader,
    corpus: Option<&str>,
    most: usize,
) -> Result<Chosen, Problem> {
    let corpus = corpus.unwrap_or(ALL);
    let queries = [RowQuery::prefix(BY_CORPUS, &format!("{corpus}/"), most.min(MOST_TEXTS) + 1)];
    let mut snapshot = state.read.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let rows = std::mem::take(&mut snapshot.results).pop().unwrap_or_default();
    let briefs = rows.iter().map(parse).collect::<Result<Vec<Brief>, _>>()?;
    let bytes: u64 = briefs.iter().map(|b| b.bytes).sum();
    if briefs.len() > most.min(MOST_TEXTS) || bytes > MOST_BYTES {
        let detail = format!(
            "Corpus {corpus} has more than {} texts or {MOST_BYTES} bytes, which is more than one analysis takes; \
             name a smaller corpus.",
            most.min(MOST_TEXTS)
        );
        return Err(Problem::new(Kind::Conflict, detail));
    }
    Ok(Chosen { snapshot, briefs })
}

/// The samples of these ids with their texts.
pub async fn library<'a>(
    log: &dyn EventLog,
    tenant: &TenantId,
    ids: impl Iterator<Item = &'a str>,
) -> Result<Library, Problem> {
    let streams = ids.map(|id| StreamId::new(tenant, sample::KIND, id).map_err(Problem::internal));
    let streams = streams.collect::<Result<Vec<_>, _>>()?;
    let read = |stream: StreamId| async move {
        let mut events = Vec::new();
        loop {
            let page = log.read_stream(&stream, events.len() as u64 + 1, PAGE).await?;
            let last = page.len() < PAGE || events.len() as u64 >= MOST_EVENTS;
            events.extend(page);
            if last {
                return Ok::<_, Problem>(events);
            }
        }
    };
    let mut all = futures::stream::iter(streams.into_iter().map(read)).buffered(AT_ONCE);
    let mut library = Library::default();
    while let Some(events) = all.try_next().await? {
        for event in &events {
            library.apply(event).map_err(Problem::internal)?;
        }
    }
    Ok(library)
}

/// What was asked about, and the texts that it is compared with.
pub struct Question {
    pub snapshot: Snapshot,
    pub asked: Vec<Asked>,
    library: Library,
    tenant: TenantId,
    left_out: Vec<String>,
}

impl Question {
    /// The texts asked about, and the corpus without them.
    pub async fn new(
        state: &StyleState,
        reader: &Reader,
        texts: Vec<(&'static str, usize, Text)>,
        corpus: Option<&str>,
    ) -> Result<(Self, Turn), Problem> {
        let chosen = chosen(state, reader, corpus, MOST_TEXTS).await?;
        let turn = state.turn().await?;
        let after = AtLeast::after(&chosen.snapshot);
        let mut ids: Vec<String> = Vec::new();
        for (list, at, text) in &texts {
            let Some(Id(id)) = &text.sample else { continue };
            let read = state.read.read(NAME, &reader.tenant, &after, &[RowQuery::get(SAMPLES, id)]).await?;
            let row: Option<SampleRow> = row_at(&read, 0)?;
            if !row.is_some_and(|row| row.state == State::Recorded) {
                return Err(Problem::field(format!("/{list}/{at}/sample"), "is no sample with a text"));
            }
            ids.push(id.clone());
        }
        let all = chosen.ids().chain(ids.iter().map(String::as_str));
        let mut all: Vec<&str> = all.collect();
        all.sort_unstable();
        all.dedup();
        let library = library(&*state.read.log, &reader.tenant, all.into_iter()).await?;
        let (mut asked, mut left_out) = (Vec::new(), Vec::new());
        for (list, at, text) in texts {
            let one = one(&library, &reader.tenant, &format!("/{list}/{at}"), text)?;
            left_out.push(sample::id_of(&one.text));
            asked.push(one);
        }
        let (snapshot, tenant) = (chosen.snapshot, reader.tenant.clone());
        Ok((Self { snapshot, asked, library, tenant, left_out }, turn))
    }

    /// The known texts. Looks at all of them: not for a thread that serves.
    pub fn reference(&self) -> Reference {
        Reference::of(&self.library, &self.tenant, &self.left_out)
    }
}

/// One text that is asked about.
pub async fn text_of(
    log: &dyn EventLog,
    tenant: &TenantId,
    pointer: &str,
    text: Text,
) -> Result<Asked, Problem> {
    let id = text.sample.as_ref().map(|Id(id)| id.as_str());
    let library = library(log, tenant, id.into_iter()).await?;
    one(&library, tenant, pointer, text)
}

fn one(library: &Library, tenant: &TenantId, at: &str, text: Text) -> Result<Asked, Problem> {
    let pointer = |member: &str| format!("{at}{member}");
    match text {
        Text { sample: Some(Id(id)), text: None, name } => {
            let entry = library.get(tenant, &id).filter(|e| e.is_readable());
            let entry =
                entry.ok_or_else(|| Problem::field(pointer("/sample"), "is no sample with a text"))?;
            let name = name.or_else(|| entry.title.clone()).unwrap_or(id);
            Ok(Asked { name, text: entry.text.clone() })
        }
        Text { sample: None, text: Some(text), name } => {
            if text.len() > MOST_ASKED_BYTES {
                let reason = format!("is longer than {MOST_ASKED_BYTES} bytes; submit it as a sample");
                return Err(Problem::field(pointer("/text"), reason));
            }
            let text = normalise(unframed(&text));
            if text.is_empty() {
                return Err(Problem::field(pointer("/text"), "holds no text"));
            }
            Ok(Asked { name: name.unwrap_or_else(|| pointer("")), text })
        }
        _ => Err(Problem::field(pointer(""), "must have either sample or text")),
    }
}

/// The samples of a corpus as texts, in the order of the list.
pub async fn texts(
    state: &StyleState,
    reader: &Reader,
    corpus: &str,
    most: usize,
) -> Result<(Snapshot, Vec<Asked>, Turn), Problem> {
    let chosen = chosen(state, reader, Some(corpus), most).await?;
    let turn = state.turn().await?;
    let library = library(&*state.read.log, &reader.tenant, chosen.ids()).await?;
    let asked = |brief: &Brief| {
        let entry = library.get(&reader.tenant, &brief.id).filter(|e| e.is_readable())?;
        let title = brief.title.clone().unwrap_or_else(|| brief.id.clone());
        let name = match &brief.author {
            Some(author) => format!("{author}: {title}"),
            None => title,
        };
        Some(Asked { name, text: entry.text.clone() })
    };
    let asked = chosen.briefs.iter().filter_map(asked).collect();
    Ok((chosen.snapshot, asked, turn))
}
