//! `daybook style`: whose style texts have. In one shot, known texts and those
//! asked about become facts of a log in memory, through the same decisions as
//! elsewhere; or known texts are the samples of the configured log. Models are
//! fitted to what is folded from either.

mod kept;
mod print;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use commands::Services;
use domain::TenantId;
use domain::sample::Label;
use infra_log::MemoryLog;
use infra_runtime::{RandomIds, SystemClock};
use infra_texts::Labels;

pub use kept::Opened;

use super::exit;
use super::output::Output;
use styles::{Asked, Reference, grouped, indicated, page};

use crate::style::{Collected, Folder, Frequencies, Outcome, Submitter, collect, read_file};

#[derive(Args)]
pub struct Style {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Rank the known authors for each text
    Attribute(Attribute),
    /// Say of each text whether an author may have written it: same, different, can't say
    Verify(Verify),
    /// Compare texts with each other
    Compare(Compare),
    /// Group texts by style, with those that stand apart
    Cluster(Cluster),
    /// Where in a text whose known texts are nearest
    Rolling(Rolling),
    /// Indicators, never proof, that English texts were written by a machine
    Indicators(Texts),
    /// Write everything about one text as an HTML page (with --json: as an object)
    Report(Report),
    /// Which attributions of samples flip from one generation of fingerprints to another, and why
    Flips(kept::Flips),
}

#[derive(Args)]
struct Known {
    /// Folder or ZIP archive of known texts; or a CSV of published frequencies (author_work, word, word, …).
    /// Without it, the samples of the log
    #[arg(long, value_name = "DIR")]
    known: Option<PathBuf>,
    /// CSV with a header: path,author; more columns may follow
    #[arg(long, value_name = "FILE", requires = "known")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    kept: kept::Kept,
}

#[derive(Args)]
struct Attribute {
    #[command(flatten)]
    known: Known,
    /// Name the features that speak for the first against the second
    #[arg(long)]
    explain: bool,
    /// Texts, or ids of samples in the log; of a table of frequencies, the names of rows
    #[arg(required = true)]
    texts: Vec<PathBuf>,
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    known: Known,
    /// Only this author
    #[arg(long)]
    author: Option<String>,
    #[arg(required = true)]
    texts: Vec<PathBuf>,
}

#[derive(Args)]
struct Compare {
    /// Folder or ZIP archive of known texts, for what is usual and as imposters; --corpus names samples of the log
    #[arg(long, value_name = "DIR", requires = "labels")]
    known: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "known")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    kept: kept::Kept,
    #[arg(required = true, num_args = 2..)]
    texts: Vec<PathBuf>,
}

#[derive(Args)]
struct Texts {
    #[arg(required = true)]
    texts: Vec<PathBuf>,
}

#[derive(Args)]
struct Cluster {
    /// How many groups to make; without it, where the distance jumps most
    #[arg(long)]
    groups: Option<usize>,
    #[arg(required = true, num_args = 3..)]
    texts: Vec<PathBuf>,
}

#[derive(Args)]
struct Rolling {
    #[command(flatten)]
    known: Known,
    /// Words of a window
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    window: u32,
    /// Words from one window's start to the next
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    step: u32,
    text: PathBuf,
}

#[derive(Args)]
struct Report {
    #[command(flatten)]
    known: Known,
    /// Where the page goes; without it, to standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    text: PathBuf,
}

impl Style {
    /// Whether nothing of the configured log is asked for.
    pub fn in_memory(&self) -> bool {
        match &self.what {
            What::Attribute(args) => args.known.known.is_some(),
            What::Verify(args) => args.known.known.is_some(),
            What::Rolling(args) => args.known.known.is_some(),
            What::Report(args) => args.known.known.is_some(),
            What::Compare(args) => args.kept.corpus.is_none(),
            What::Cluster(_) | What::Indicators(_) => true,
            What::Flips(_) => false,
        }
    }
}

/// With what opens the configured log, unless everything is in memory.
pub async fn run(args: Style, log: Option<&kept::Opened>, out: &mut Output) -> Result<u8> {
    match args.what {
        What::Attribute(args) => {
            let judged = match args.known.frequencies()? {
                Some(table) => table.attribute(&names(&args.texts))?,
                None => {
                    let (reference, asked) = args.known.fold(log, &args.texts).await?;
                    reference.attribute(&asked, args.explain)?
                }
            };
            judged.iter().try_for_each(|j| print::judged(j, out))?;
        }
        What::Verify(args) => {
            let verified = match args.known.frequencies()? {
                Some(table) => table.verify(&names(&args.texts), args.author.as_deref())?,
                None => {
                    let (reference, asked) = args.known.fold(log, &args.texts).await?;
                    if let Some(author) = &args.author
                        && !reference.authors().contains_key(author.as_str())
                    {
                        eprintln!("daybook: no known text is by {author}");
                        return Ok(exit::NOT_FOUND);
                    }
                    reference.verify(&asked, args.author.as_deref())?
                }
            };
            verified.iter().try_for_each(|v| print::verified(v, out))?;
        }
        What::Compare(args) => {
            let (reference, asked) = match log {
                Some(log) => log.known(&args.kept, &args.texts).await?,
                None => fold(args.known.as_ref().zip(args.labels.as_ref()), &args.texts).await?,
            };
            reference.compare(&asked).iter().try_for_each(|c| print::compared(c, out))?;
        }
        What::Cluster(args) => {
            let (_, asked) = fold(None, &args.texts).await?;
            print::grouped(&grouped(&asked, args.groups), out)?;
        }
        What::Rolling(args) => {
            let (reference, asked) = args.known.fold(log, std::slice::from_ref(&args.text)).await?;
            print::rolled(&reference.rolling(&asked[0], args.window as usize, args.step as usize)?, out)?;
        }
        What::Indicators(args) => {
            let (_, asked) = fold(None, &args.texts).await?;
            asked.iter().try_for_each(|a| print::indicated(&indicated(a), out))?;
        }
        What::Report(args) => report(args, log, out).await?,
        What::Flips(args) => {
            let log = log.context("the log is not open")?;
            kept::flips(args, log, out).await?;
        }
    }
    Ok(exit::OK)
}

async fn report(args: Report, log: Option<&kept::Opened>, out: &mut Output) -> Result<()> {
    let (reference, asked) = args.known.fold(log, std::slice::from_ref(&args.text)).await?;
    let report = reference.report(&asked[0])?;
    let written = if out.json { serde_json::to_string(&report)? } else { page(&report) };
    match &args.out {
        Some(path) => {
            std::fs::write(path, written + "\n").with_context(|| path.display().to_string())?;
            eprintln!("daybook: the report is in {}", path.display());
            Ok(())
        }
        None => out.line(&written),
    }
}

impl Known {
    /// The known texts, of files or of the log, and those asked about.
    async fn fold(&self, log: Option<&kept::Opened>, texts: &[PathBuf]) -> Result<(Reference, Vec<Asked>)> {
        match (&self.known, log) {
            (Some(known), _) => {
                let labels = self.labels.as_ref();
                let labels = labels.context("--labels FILE.csv says who wrote the known texts")?;
                fold(Some((known, labels)), texts).await
            }
            (None, Some(log)) => log.known(&self.kept, texts).await,
            (None, None) => bail!("--known DIR or a log has the known texts"),
        }
    }

    fn frequencies(&self) -> Result<Option<Frequencies>> {
        let table = self.known.as_ref().filter(|k| k.is_file() && k.extension().is_some_and(|e| e == "csv"));
        table.map(|table| Frequencies::read(table)).transpose()
    }
}

fn names(texts: &[PathBuf]) -> Vec<String> {
    texts.iter().map(|t| t.display().to_string()).collect()
}

/// Submits the known texts and those asked about, and folds them again.
async fn fold(known: Option<(&PathBuf, &PathBuf)>, texts: &[PathBuf]) -> Result<(Reference, Vec<Asked>)> {
    let clock = Arc::new(SystemClock);
    let log = Arc::new(MemoryLog::new(clock.clone()));
    let services = Services { log, clock, ids: Arc::new(RandomIds), bulk: Default::default() };
    let tenant = TenantId::new("default")?;
    let submitter = Submitter { services, tenant: tenant.clone(), actor: super::actor() };
    if let Some((folder, labels)) = known {
        let labels = read_labels(labels)?;
        let folder = Folder::open(folder)?;
        let collected = collect(&submitter, &folder, &labels, |_, _| {}).await?;
        tell(&collected);
        if collected.submitted == 0 {
            bail!("there is no known text: no label fits a readable file");
        }
    }
    let mut ids = Vec::new();
    for path in texts {
        let (text, format) = read_file(path)?;
        let name = path.display().to_string();
        let (id, outcome) = submitter.submit(&name, Label::default(), (text, format)).await?;
        if let Outcome::Refused(reason) = &outcome
            && submitter.library().await?.get(&tenant, &id).is_none()
        {
            bail!("{name}: {reason}");
        }
        if outcome != Outcome::Submitted {
            eprintln!("daybook: {name} is one of the texts before it; as a known text it is left out");
        }
        ids.push((name, id));
    }
    let library = submitter.library().await?;
    let left_out: Vec<String> = ids.iter().map(|(_, id)| id.clone()).collect();
    let asked = |(name, id): (String, String)| {
        let entry = library.get(&tenant, &id).with_context(|| format!("{name} was not recorded"))?;
        Ok(Asked { name, text: entry.text.clone() })
    };
    let asked = ids.into_iter().map(asked).collect::<Result<Vec<_>>>()?;
    Ok((Reference::of(&library, &tenant, &left_out), asked))
}

/// Labels of a file; what does not hold is named with its line.
pub fn read_labels(path: &PathBuf) -> Result<Labels> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Labels::parse(&text).with_context(|| path.display().to_string())
}

const SHOWN: usize = 10;

/// What was not taken, for people.
pub fn tell(collected: &Collected) {
    let told = |what: &str, lines: &[String]| {
        for line in lines.iter().take(SHOWN) {
            eprintln!("daybook: {what}{line}");
        }
        if lines.len() > SHOWN {
            eprintln!("daybook: … and {} more", lines.len() - SHOWN);
        }
    };
    told("", &collected.missing);
    told("", &collected.refused);
    if !collected.unlabelled.is_empty() {
        let names = collected.unlabelled.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        eprintln!(
            "daybook: {} files have no label and are left out ({names}, …)",
            collected.unlabelled.len()
        );
    }
    if collected.known > 0 {
        eprintln!("daybook: {} texts were there already", collected.known);
    }
}
