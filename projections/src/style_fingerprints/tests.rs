use domain::decide::{Context, Decide};
use domain::envelope::Metadata;
use domain::personal::PersonalText;
use domain::sample::{Command, Event, Label, Sample, Submit, id_of};
use domain::target_url::UrlPolicy;
use domain::{StreamId, TenantId, registry};
use proptest::prelude::*;
use uuid::Uuid;

use super::rows::*;
use super::*;
use crate::testing::{MemoryRows, Tables, fold};

/// A history of samples, decided as everywhere.
#[derive(Default)]
struct History {
    events: Vec<RecordedEvent>,
    streams: std::collections::BTreeMap<String, (Sample, u64)>,
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn label(author: Option<&str>, year: i16) -> Label {
    let written_at = (year > 0).then(|| jiff::civil::date(year, 3, 1));
    Label { author: author.map(Into::into), written_at, ..Label::default() }
}

/// Words that a seed draws from an author's own.
fn text(author: u64, seed: u64, words: usize) -> String {
    let mut draws = models_stylometry::random::Draws::new(seed);
    let common = ["the", "of", "and", "to", "a", "in", "that", "it", "was", "but", "upon", "while"];
    let mut out = String::new();
    for i in 0..words {
        let at = draws.below(12 + author as usize).min(11);
        out.push_str(if i % 3 == 0 { ["river", "stone", "paper"][draws.below(3)] } else { common[at] });
        out.push_str(if i % 13 == 12 { ". " } else { " " });
    }
    out
}

impl History {
    fn submit(&mut self, label: Label, text: &str) -> String {
        let id = id_of(text);
        let submit = Submit {
            title: Some("A title".into()),
            label,
            format: "text".into(),
            normalisation: "n".into(),
            text: text.into(),
        };
        self.say(&id, Command::Submit(submit));
        id
    }

    fn say(&mut self, id: &str, command: Command) {
        let context = Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        let (sample, version) = self.streams.entry(id.to_owned()).or_default();
        for event in sample.decide(command, &context).unwrap().events {
            sample.evolve(event.clone());
            *version += 1;
            self.events.push(recorded(self.events.len() as u64 + 1, id, *version, &event));
        }
    }

    /// The same history once the author's texts cannot be read any more.
    fn without(&self, author: &str) -> Vec<RecordedEvent> {
        let subject = domain::sample::subject_of(author);
        let erased = |event: &RecordedEvent| {
            let mut change: Event = registry::decode(event).unwrap();
            match &mut change {
                Event::Submitted(new) if new.subject == subject => new.title = Some(PersonalText::Erased),
                Event::PartRecorded(part) if part.subject == subject => part.text = PersonalText::Erased,
                _ => {}
            }
            recorded(event.position, &event.stream.id, event.version, &change)
        };
        self.events.iter().map(erased).collect()
    }
}

fn recorded(position: u64, id: &str, version: u64, event: &Event) -> RecordedEvent {
    let new = registry::new_event(event, Uuid::from_u128(u128::from(position))).unwrap();
    RecordedEvent {
        position,
        stream: StreamId::new(&tenant(), sample::KIND, id).unwrap(),
        version,
        event_id: new.event_id,
        event_type: new.event_type,
        schema: new.schema,
        occurred_at: None,
        recorded_at: jiff::Timestamp::UNIX_EPOCH,
        metadata: Metadata {
            actor: "t".into(),
            command_id: Uuid::nil(),
            correlation_id: "c".into(),
            causation_id: None,
        },
        payload: new.payload,
        leaf: [0; 32],
    }
}

fn folded(events: &[RecordedEvent]) -> MemoryRows {
    fold(&StyleFingerprints::default(), events, 3).unwrap()
}

fn author(rows: &MemoryRows, id: &str) -> AuthorRow {
    rows.get(AUTHORS, &tenant(), id).unwrap()
}

#[test]
fn samples_make_an_author_and_a_corpus() {
    let mut history = History::default();
    let mut novel = label(Some("ann"), 2001);
    novel.corpus = Some("novels".into());
    let first = history.submit(novel, &text(1, 1, 600));
    history.submit(label(Some("ann"), 2003), &text(1, 2, 400));
    history.submit(label(None, 0), &text(2, 3, 300));
    let short = history.submit(label(Some("ann"), 2003), "Too short a text to count.");
    let rows = folded(&history.events);

    let sample: SampleRow = rows.get(SAMPLES, &tenant(), &first).unwrap();
    assert_eq!((sample.state, sample.words, sample.version), (State::Recorded, 600, 2));
    assert_eq!(sample.vector.len(), StyleFingerprints::default().maker().width());
    assert_eq!(sample.flags, ["short"]);
    let ann = author(&rows, "ann");
    assert_eq!((ann.samples, ann.passed_over, ann.words), (3, 1, 1_006));
    assert_eq!(ann.years.into_iter().collect::<Vec<_>>(), [(2001, 1), (2003, 1)]);
    assert_eq!(ann.estimate.mean.len(), sample.vector.len());
    assert!(ann.estimate.half.is_some() && ann.estimate.effective < 2_000);
    let all: CorpusRow = rows.get(CORPORA, &tenant(), ALL).unwrap();
    let novels: CorpusRow = rows.get(CORPORA, &tenant(), "novels").unwrap();
    assert_eq!((all.samples, all.sums.samples, novels.samples), (4, 3, 1));
    let of = |table: &str| {
        rows.table::<Brief>(table, &tenant()).into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(of(BY_AUTHOR).len(), 3);
    assert!(of(BY_AUTHOR).contains(&format!("ann/{short}")));
    assert_eq!(of(BY_CORPUS).len(), 5);
    assert!(rows.table::<PartRow>(PARTS, &tenant()).is_empty());
}

#[test]
fn newer_texts_count_more() {
    let mut history = History::default();
    let (old, new) = (text(0, 1, 500), text(30, 2, 500));
    history.submit(label(Some("ann"), 1990), &old);
    history.submit(label(Some("ann"), 2020), &new);
    let rows = folded(&history.events);
    let maker = Fingerprinter::new(Parameters::default());
    let mean = author(&rows, "ann").estimate.mean;
    // 30 years are six half-lives: 1 part of 65.
    let near = |mean: &[i64], row: &[i64]| mean.iter().zip(row).all(|(m, r)| (m - r).abs() <= 20_000);
    assert!(near(&mean, &maker.row(&new)) && !near(&mean, &maker.row(&old)));
    let flat = Parameters { half_life_years: 0, ..Parameters::default() };
    let rows = fold(&StyleFingerprints::new(flat), &history.events, 1).unwrap();
    let middle: Vec<i64> = maker
        .row(&old)
        .iter()
        .zip(maker.row(&new))
        .map(|(a, b)| ((a + b) as f64 / 2.0).round() as i64)
        .collect();
    assert_eq!(author(&rows, "ann").estimate.mean, middle);
}

#[test]
fn a_label_moves_a_sample_and_withdrawing_takes_it_out() {
    let mut history = History::default();
    history.submit(label(Some("ann"), 2001), &text(1, 1, 200));
    let before = folded(&history.events).all();
    let id = history.submit(label(Some("bob"), 2001), &text(2, 2, 200));
    history.say(&id, Command::Label(label(Some("ann"), 0)));
    let rows = folded(&history.events);
    assert_eq!((author(&rows, "ann").samples, author(&rows, "ann").undated), (2, 1));
    assert_eq!(rows.get::<AuthorRow>(AUTHORS, &tenant(), "bob"), None);
    history.say(&id, Command::Withdraw { reason: "by mistake".into() });
    let mut after = folded(&history.events).all();
    let own = |key: &(String, RowKey)| key.0 == SAMPLES && *key.1.key == *id;
    let row: SampleRow = serde_json::from_str(&after.iter().find(|(k, _)| own(k)).unwrap().1.1).unwrap();
    assert_eq!((row.state, row.vector.len()), (State::Withdrawn, 0));
    after.retain(|key, _| !own(key));
    assert_eq!(after, before);
    history.submit(label(Some("bob"), 2001), &text(2, 2, 200));
    assert_eq!(author(&folded(&history.events), "bob").samples, 1);
}

/// Rows of a table as they are stored, without those of some samples.
fn stored(rows: &MemoryRows, table: &str, without: &[String]) -> Tables {
    let mut all = rows.all();
    let mine = |key: &str| without.iter().any(|id| key.ends_with(id.as_str()));
    all.retain(|(name, row), _| name == table && !mine(&row.key));
    all
}

#[test]
fn an_erased_author_is_gone_and_the_others_are_the_same_to_the_byte() {
    let mut history = History::default();
    let mut gone = Vec::new();
    for i in 0..6 {
        history.submit(label(Some("ann"), 2000 + i), &text(1, i as u64, 300));
        gone.push(history.submit(label(Some("bob"), 2000 + i), &text(2, 50 + i as u64, 300)));
        history.submit(label(Some("cy"), 2000 + i), &text(3, 90 + i as u64, 300));
    }
    let before = folded(&history.events);
    let after = folded(&history.without("bob"));
    assert_eq!(after.get::<AuthorRow>(AUTHORS, &tenant(), "bob"), None);
    let row: SampleRow = after.get(SAMPLES, &tenant(), &gone[0]).unwrap();
    let stub = SampleRow { id: gone[0].clone(), version: 2, state: State::Erased, ..SampleRow::default() };
    assert_eq!(row, stub);
    for table in [SAMPLES, BY_AUTHOR, BY_CORPUS, YEARS, AUTHORS] {
        let mut before = stored(&before, table, &gone);
        before.retain(|(_, row), _| !row.key.starts_with("bob"));
        let mut after = stored(&after, table, &gone);
        after.retain(|(_, row), _| !row.key.starts_with("bob"));
        assert!(!before.is_empty());
        assert_eq!(before, after, "{table}");
    }
    // As if bob had never been there.
    let mut alone = History::default();
    for i in 0..6 {
        alone.submit(label(Some("ann"), 2000 + i), &text(1, i as u64, 300));
        alone.submit(label(Some("cy"), 2000 + i), &text(3, 90 + i as u64, 300));
    }
    let alone = folded(&alone.events);
    for table in [YEARS, AUTHORS, CORPORA] {
        assert_eq!(stored(&after, table, &[]), stored(&alone, table, &[]), "{table}");
    }
}

#[test]
fn a_text_in_parts_counts_once_it_is_whole() {
    let mut history = History::default();
    let long = text(1, 1, 150_000);
    let id = history.submit(label(Some("ann"), 2001), &long);
    assert!(history.events.len() > 2);
    let (last, first) = history.events.split_last().unwrap();
    let rows = folded(first);
    let row: SampleRow = rows.get(SAMPLES, &tenant(), &id).unwrap();
    assert_eq!(row.state, State::Pending);
    assert_eq!(rows.get::<AuthorRow>(AUTHORS, &tenant(), "ann"), None);
    assert!(!rows.table::<PartRow>(PARTS, &tenant()).is_empty());
    let mut all = first.to_vec();
    all.push(last.clone());
    let rows = folded(&all);
    let row: SampleRow = rows.get(SAMPLES, &tenant(), &id).unwrap();
    assert_eq!(row.vector, Fingerprinter::new(Parameters::default()).row(&long));
    assert!(rows.table::<PartRow>(PARTS, &tenant()).is_empty());
    let rows = folded(&history.without("ann"));
    assert!(rows.all().keys().all(|(table, _)| table == SAMPLES));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn neither_batches_nor_the_order_of_samples_matter(
        steps in proptest::collection::vec((0u64..12, 0usize..3, 0i16..3, 0usize..6), 1..40),
        batch in 1usize..9,
    ) {
        let mut history = History::default();
        for (seed, who, year, what) in &steps {
            let whose = label(["ann", "bob", "cy"].get(*who).copied(), if *year == 0 { 0 } else { 2000 + year });
            let body = text(*seed % 3, *seed, 40 + 10 * *seed as usize);
            let id = id_of(&body);
            let there = history.streams.get(&id).map(|(sample, _)| sample.withdrawn);
            match (what, there) {
                (_, None) | (_, Some(true)) => drop(history.submit(whose, &body)),
                (0, _) => history.say(&id, Command::Withdraw { reason: "r".into() }),
                _ => history.say(&id, Command::Label(whose)),
            }
        }
        let whole = fold(&StyleFingerprints::default(), &history.events, 1_000).unwrap().all();
        prop_assert_eq!(&fold(&StyleFingerprints::default(), &history.events, batch).unwrap().all(), &whole);
        // Only the samples that are there now, submitted as they are labelled, in another order.
        let mut now = History::default();
        for (_, (sample, _)) in history.streams.iter().rev().filter(|(_, (s, _))| !s.withdrawn) {
            let text = steps.iter().map(|(s, ..)| text(s % 3, *s, 40 + 10 * *s as usize));
            let text = text.into_iter().find(|t| id_of(t) == sample.submitted.as_ref().unwrap().sha256).unwrap();
            now.submit(sample.label.clone(), &text);
        }
        let again = fold(&StyleFingerprints::default(), &now.events, batch).unwrap().all();
        let aggregates = |rows: &Tables| {
            let mut rows = rows.clone();
            rows.retain(|(table, _), _| table != SAMPLES);
            rows
        };
        prop_assert_eq!(aggregates(&whole), aggregates(&again));
    }
}
