//! Samples of the configured log as known texts, and what two generations of
//! fingerprints make of them. Nothing is written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use daybook_http::Problem;
use domain::TenantId;
use domain::ports::log::{EventLog, ReadFilter};
use domain::ports::rows::{GenerationId, RowStore, Snapshot, Source};
use domain::sample::{self, ALL, Library, id_of};
use projections::style_fingerprints::NAME;
use read_api::routes::style::corpora::{Attribution, attributions_of};
use serde::Serialize;
use styles::{Asked, Reference};

use crate::cli::output::Output;
use crate::style::read_file;

const PAGE: usize = 500;

#[derive(Args)]
pub struct Kept {
    /// Samples of the log that belong to this corpus (`all`: every one)
    #[arg(long, value_name = "ID", conflicts_with = "known")]
    pub corpus: Option<String>,
    #[arg(long, default_value = "default")]
    tenant: String,
}

#[derive(Args)]
pub struct Flips {
    /// The generation to compare with the live one
    #[arg(long)]
    generation: u32,
    #[arg(long, value_name = "ID", default_value = ALL)]
    corpus: String,
    #[arg(long, default_value = "default")]
    tenant: String,
}

/// The configured stores.
pub struct Opened {
    /// With what is personal opened.
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
}

impl Opened {
    async fn library(&self, tenant: &TenantId) -> Result<Library> {
        let filter = ReadFilter {
            tenant: Some(tenant.clone()),
            kind: Some(sample::KIND.into()),
            ..ReadFilter::default()
        };
        let (mut library, mut after) = (Library::default(), 0);
        loop {
            let page = self.log.read(after, PAGE, &filter).await?;
            for event in &page.events {
                library.apply(event)?;
            }
            if page.through <= after {
                return Ok(library);
            }
            after = page.through;
        }
    }

    /// The known texts of the log, and those asked about: files, or samples by
    /// their ids.
    pub async fn known(&self, kept: &Kept, texts: &[PathBuf]) -> Result<(Reference, Vec<Asked>)> {
        let tenant = TenantId::new(&kept.tenant).context("--tenant")?;
        let mut library = self.library(&tenant).await?;
        let mut asked = Vec::with_capacity(texts.len());
        for path in texts {
            let name = path.display().to_string();
            let text = match library.get(&tenant, &name) {
                Some(entry) if entry.is_readable() => entry.text.clone(),
                Some(_) => bail!("sample {name} has no text any more"),
                None => read_file(path)?.0,
            };
            asked.push(Asked { name, text });
        }
        if let Some(corpus) = kept.corpus.as_deref().filter(|c| *c != ALL) {
            library.retain(|entry| entry.label.corpus.as_deref() == Some(corpus));
        }
        let left_out: Vec<String> = asked.iter().map(|a| id_of(&a.text)).collect();
        Ok((Reference::of(&library, &tenant, &left_out), asked))
    }

    async fn attributions(
        &self,
        source: &Source,
        tenant: &TenantId,
        corpus: &str,
    ) -> Result<(Snapshot, Vec<Attribution>)> {
        let told = |problem: Problem| anyhow!("{}", problem.detail());
        attributions_of(&*self.rows, source, tenant, corpus).await.map_err(told)
    }
}

/// A sample that stands nearest to another author than before.
#[derive(Debug, Serialize)]
struct Flip {
    sample: String,
    title: Option<String>,
    author: Option<String>,
    live: Attribution,
    built: Attribution,
}

#[derive(Debug, Serialize)]
struct Flipped {
    live: String,
    built: String,
    /// Samples that both place.
    samples: usize,
    /// Of those that are labelled, how many stand nearest to their author.
    right: [usize; 2],
    flips: Vec<Flip>,
}

pub async fn flips(args: Flips, opened: &Opened, out: &mut Output) -> Result<()> {
    let tenant = TenantId::new(&args.tenant).context("--tenant")?;
    let built = Source::Generation(GenerationId { projection: NAME.into(), number: args.generation });
    let (live, before) = opened.attributions(&Source::live(NAME), &tenant, &args.corpus).await?;
    let (built, after) = opened.attributions(&built, &tenant, &args.corpus).await?;
    let after: BTreeMap<String, Attribution> = after.into_iter().map(|a| (a.sample.clone(), a)).collect();
    let pairs: Vec<(Attribution, Attribution)> = before
        .into_iter()
        .filter_map(|a| Some((after.get(&a.sample)?.clone(), a)))
        .map(|(b, a)| (a, b))
        .collect();
    let right = |pick: fn(&(Attribution, Attribution)) -> &Attribution| {
        pairs.iter().map(pick).filter(|a| a.author.is_some() && a.author == a.nearest).count()
    };
    let model = |s: &Snapshot| format!("{} {}", s.model, s.model.parameters);
    let found = Flipped {
        live: model(&live),
        built: model(&built),
        samples: pairs.len(),
        right: [right(|p| &p.0), right(|p| &p.1)],
        flips: pairs.into_iter().filter(|(a, b)| a.nearest != b.nearest).map(flip).collect(),
    };
    print(&found, out)
}

fn flip((live, built): (Attribution, Attribution)) -> Flip {
    Flip { sample: live.sample.clone(), title: live.title.clone(), author: live.author.clone(), live, built }
}

fn print(found: &Flipped, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(found)?);
    }
    out.line(&format!("live:  {}\nbuilt: {}", found.live, found.built))?;
    let [before, after] = found.right;
    out.line(&format!("{} samples; nearest to their own author: {before}, built: {after}", found.samples))?;
    for flip in &found.flips {
        let title = flip.title.as_deref().unwrap_or(&flip.sample);
        let told = |a: &Attribution| {
            let who = a.nearest.as_deref().unwrap_or("nobody");
            let why = a.features.join(", ");
            format!("{who} (by {:.3}; {why})", a.margin.unwrap_or_default())
        };
        out.line(&format!("  {title}: {} → {}", told(&flip.live), told(&flip.built)))?;
    }
    Ok(())
}
