//! Files as samples: read, normalised, submitted through the same decision as
//! everywhere, and folded from the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use commands::Services;
use commands::execute::{Call, Refusal, execute};
use daybook_http::Principal;
use domain::TenantId;
use domain::api_key::Role;
use domain::ports::log::ReadFilter;
use domain::sample::{self, Command, Label, Library, Sample, Submit, id_of};
use domain::target_url::UrlPolicy;
use infra_texts::Labels;
use models_stylometry::boilerplate::unframed;
use models_stylometry::normalise::normalise;

const PAGE: usize = 500;
/// Most files that a folder may hold.
const MOST_FILES: usize = 100_000;

/// Files of a folder or of a ZIP archive, by their paths in it.
pub struct Folder {
    pub names: Vec<String>,
    source: Source,
}

enum Source {
    Disk(PathBuf),
    Archive(Vec<Vec<u8>>),
}

impl Folder {
    /// Lists what may hold a text.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let mut names = Vec::new();
            list(path, "", &mut names)?;
            names.sort();
            return Ok(Self { names, source: Source::Disk(path.to_owned()) });
        }
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let entries = infra_texts::entries(&bytes).with_context(|| path.display().to_string())?;
        let (names, contents) =
            entries.into_iter().filter(|(name, _)| infra_texts::is_text_name(name)).unzip();
        Ok(Self { names, source: Source::Archive(contents) })
    }

    /// The text of a file, normalised, and what it was taken from.
    pub fn read(&self, at: usize) -> Result<(String, &'static str)> {
        match &self.source {
            Source::Disk(root) => read_file(&root.join(&self.names[at])),
            Source::Archive(contents) => extracted(&self.names[at], &contents[at]),
        }
    }
}

fn list(root: &Path, below: &str, names: &mut Vec<String>) -> Result<()> {
    let folder = root.join(below);
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(root, &path, names)?;
        } else if infra_texts::is_text_name(&path) {
            names.push(path);
        }
        if names.len() > MOST_FILES {
            bail!("{} holds more than {MOST_FILES} files", root.display());
        }
    }
    Ok(())
}

/// The text of a file, normalised, and what it was taken from.
pub fn read_file(path: &Path) -> Result<(String, &'static str)> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).with_context(|| name.clone())?.len();
    if size > infra_texts::MAX_FILE_BYTES as u64 {
        bail!("{name}: it is {size} bytes long, of at most {}", infra_texts::MAX_FILE_BYTES);
    }
    let bytes = std::fs::read(path).with_context(|| name.clone())?;
    extracted(&name, &bytes)
}

fn extracted(name: &str, bytes: &[u8]) -> Result<(String, &'static str)> {
    let found = infra_texts::extract_with(name, bytes, &super::pdf::text).with_context(|| name.to_owned())?;
    Ok((normalise(unframed(&found.text)), found.format))
}

/// What became of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Submitted,
    /// The same text was there already, with the same label.
    Known,
    Refused(String),
}

/// Writes samples.
pub struct Submitter {
    pub services: Services,
    pub tenant: TenantId,
    pub actor: Arc<str>,
}

impl Submitter {
    /// Submits a normalised text under its hash.
    pub async fn submit(
        &self,
        title: &str,
        label: Label,
        (text, format): (String, &'static str),
    ) -> Result<(String, Outcome)> {
        let id = id_of(&text);
        let call = Call {
            principal: Principal::new(self.tenant.clone(), "cli", &[Role::Writer]),
            actor: self.actor.clone(),
            role: Role::Writer,
            id: id.clone(),
            if_match: None,
            idempotency: None,
            correlation_id: None,
            urls: UrlPolicy::default(),
        };
        let submit = Submit {
            title: Some(title.to_owned()),
            label,
            format: format.to_owned(),
            normalisation: models_stylometry::NORMALISATION.to_owned(),
            text,
        };
        let outcome = match execute::<Sample>(&self.services, &call, Command::Submit(submit)).await {
            Ok(done) if done.events.is_empty() => Outcome::Known,
            Ok(_) => Outcome::Submitted,
            Err(Refusal::Rejected(rejection)) => Outcome::Refused(rejection.to_string()),
            Err(other) => return Err(other.into()),
        };
        Ok((id, outcome))
    }

    /// All samples of the log.
    pub async fn library(&self) -> Result<Library> {
        let filter = ReadFilter { kind: Some(sample::KIND.into()), ..ReadFilter::default() };
        let (mut library, mut after) = (Library::default(), 0);
        loop {
            let page = self.services.log.read(after, PAGE, &filter).await?;
            for event in &page.events {
                library.apply(event)?;
            }
            if page.through <= after {
                return Ok(library);
            }
            after = page.through;
        }
    }
}

/// What came of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    pub submitted: usize,
    /// Texts that were there already.
    pub known: usize,
    pub refused: Vec<String>,
    /// Labels of files that are not there.
    pub missing: Vec<String>,
    /// Files without a label.
    pub unlabelled: Vec<String>,
    /// Labels without an author.
    pub unknown_author: usize,
}

/// What a line of a file of labels says.
pub fn label_of(line: &infra_texts::Label) -> Result<Label, String> {
    let written_at = line.written_at.as_ref().map(|date| date.parse()).transpose();
    let written_at = written_at.map_err(|e: jiff::Error| format!("line {}: written_at: {e}", line.line))?;
    Ok(Label {
        author: Some(line.author.clone()).filter(|t| !t.is_empty() && t != "unknown"),
        written_at,
        genre: line.genre.clone(),
        language: line.language.clone(),
        licence: line.licence.clone(),
        corpus: line.corpus.clone(),
    })
}

/// Submits the labelled files of a folder.
pub async fn collect(
    submitter: &Submitter,
    folder: &Folder,
    labels: &Labels,
    mut tell: impl FnMut(usize, usize),
) -> Result<Collected> {
    let (found, missing) = labels.of(&folder.names);
    let mut labelled = vec![false; folder.names.len()];
    let mut done =
        Collected { missing: missing.iter().map(ToString::to_string).collect(), ..Collected::default() };
    for (number, (at, line)) in found.iter().enumerate() {
        tell(number, found.len());
        labelled[*at] = true;
        let name = &folder.names[*at];
        let label = label_of(line).map_err(anyhow::Error::msg)?;
        done.unknown_author += usize::from(label.author.is_none());
        let text = match folder.read(*at) {
            Ok(text) => text,
            Err(error) => {
                done.refused.push(format!("line {}: {error:#}", line.line));
                continue;
            }
        };
        let title = line.title.as_deref().unwrap_or(name);
        match submitter.submit(title, label, text).await?.1 {
            Outcome::Submitted => done.submitted += 1,
            Outcome::Known => done.known += 1,
            Outcome::Refused(reason) => done.refused.push(format!("line {}: {name}: {reason}", line.line)),
        }
    }
    let unlabelled = folder.names.iter().zip(&labelled).filter(|(_, labelled)| !**labelled);
    done.unlabelled = unlabelled.map(|(name, _)| name.clone()).collect();
    Ok(done)
}
