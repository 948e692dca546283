//! One rewrite, from what was asked for to its outcome.

use std::sync::Arc;

use domain::ports::language::{Prompt, Trouble};
use domain::ports::rows::RowStore;
use domain::rewrite::{Candidate, Completed, Failed, Figures, MAX_TEXT_BYTES, Requested};
use domain::sample::{Entry, SUBJECT_KIND};
use domain::{Subject, TenantId};
use models_stylometry::MIN_WORDS;
use sha2::{Digest, Sha256};
use styles::differences;

use crate::choose::{LEAST_CONTENT, LEAST_COSINE, best, cleaned, figures, rejected};
use crate::instructions::{MOST, RULES, instructions};
use crate::measure::{CONTENT_WORDS, content_similarity, edits};
use crate::sending::{Errand, Sender, Unanswered};
use crate::texts::{ReadError, Target, sample, target};
use crate::vectors::{cosine, embedded};

pub const ACTOR: &str = "worker:rewriter";
/// How meaning is compared by a model's vectors.
pub const VECTORS: &str = "embedding_cosine@1";
/// Tokens of an answer beside those that a text of this length may need.
const SPARE_TOKENS: usize = 256;

/// Why there is no outcome yet.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the work ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

pub fn failed(code: &str, reason: impl Into<String>) -> Failed {
    Failed { code: code.to_owned(), reason: reason.into() }
}

/// What is known before a model is asked.
struct Ready {
    sample: Entry,
    target: Target,
    before: Figures,
    instructions: String,
}

async fn ready(
    sender: &Sender,
    rows: &dyn RowStore,
    tenant: &TenantId,
    asked: &Requested,
) -> Result<Result<Ready, Failed>, WorkError> {
    let found = sample(sender.services(), tenant, &asked.sample).await?;
    let Some(sample) = found.filter(|entry| entry.is_readable()) else {
        return Ok(Err(failed("no_text", "the sample has no text any more")));
    };
    if sample.text.len() > MAX_TEXT_BYTES {
        return Ok(Err(failed("too_long", "the sample is longer than what is rewritten")));
    }
    let Some(target) = target(rows, tenant, &asked.author_id).await? else {
        return Ok(Err(failed("no_fingerprint", "the target has no fingerprint")));
    };
    let controls = asked.controls.clone();
    let made = tokio::task::spawn_blocking(move || {
        let maker = &target.maker;
        let (estimate, sums) = (&target.author.estimate, &target.corpus.sums);
        let differs = differences(maker, &maker.row(&sample.text), estimate, sums, 4 * MOST);
        let named = maker.names().iter().position(|name| name == "sentence_length");
        let words = named.map_or(0.0, |at| estimate.mean[at] as f64 / maker.units()[at]);
        let instructions = instructions(&differs, words, &controls);
        let before = figures(maker, &target.author, &target.corpus, &sample.text);
        Ready { sample, target, before, instructions }
    });
    Ok(Ok(made.await?))
}

/// A model's answers that are texts, and why the others are none.
async fn written(
    sender: &Sender,
    errand: &Errand,
    ready: &Ready,
    asked: &Requested,
) -> Result<Vec<(u64, Result<String, String>)>, Failed> {
    let text = &ready.sample.text;
    let max_tokens = u32::try_from(text.len() / 2 + SPARE_TOKENS).unwrap_or(u32::MAX);
    let mut all: Vec<(u64, Result<String, String>)> = Vec::new();
    for number in 0..u64::from(asked.candidates) {
        let seed = asked.seed.wrapping_add(number);
        let prompt =
            Prompt { instructions: ready.instructions.clone(), text: text.clone(), seed, max_tokens };
        match sender.write(errand, &prompt).await {
            Ok(written) => {
                let new = cleaned(&written.text);
                let same = all.iter().any(|(_, known)| known.as_ref() == Ok(&new));
                let wrong = if same { Some("it is an earlier candidate") } else { rejected(text, &new) };
                all.push((seed, wrong.map_or(Ok(new), |why| Err(why.to_owned()))));
            }
            Err(Unanswered::Trouble(trouble @ (Trouble::Nonsense(_) | Trouble::TooLong(_)))) => {
                all.push((seed, Err(trouble.to_string())));
            }
            Err(error @ Unanswered::Subject) => return Err(failed(error.code(), error.to_string())),
            // With what there is, if there is something.
            Err(error) if all.iter().any(|(_, text)| text.is_ok()) => {
                all.push((seed, Err(error.to_string())));
                break;
            }
            Err(error) => return Err(failed(error.code(), error.to_string())),
        }
    }
    match all.iter().any(|(_, text)| text.is_ok()) {
        true => Ok(all),
        false => {
            let first = all.iter().find_map(|(_, text)| text.as_ref().err());
            let why = first.map(String::as_str).unwrap_or_default();
            Err(failed("nonsense", format!("no answer was a text to choose: {why}")))
        }
    }
}

/// How near each text is to the first in meaning, and by what.
async fn meanings(
    sender: &Sender,
    errand: &Errand,
    original: &str,
    texts: &[&str],
    warnings: &mut Vec<String>,
) -> (Vec<f64>, &'static str) {
    if sender.model().embedder().is_some() {
        let all: Vec<&str> = std::iter::once(original).chain(texts.iter().copied()).collect();
        let errand = Errand { purpose: "embedding", ..errand.clone() };
        match embedded(sender, &errand, &all).await {
            Ok(vectors) => {
                let near = vectors[1..].iter().map(|vector| cosine(&vectors[0], vector).max(0.0));
                return (near.collect(), VECTORS);
            }
            Err(error) => warnings.push(format!("no_vectors: {}", error.code())),
        }
    }
    (texts.iter().map(|text| content_similarity(original, text)).collect(), CONTENT_WORDS)
}

/// Asks the model and chooses.
pub async fn rewritten(
    sender: &Sender,
    rows: &Arc<dyn RowStore>,
    tenant: &TenantId,
    (asked, decided): (&Requested, u64),
) -> Result<Result<Completed, Failed>, WorkError> {
    let ready = match ready(sender, &**rows, tenant, asked).await? {
        Ok(ready) => ready,
        Err(failed) => return Ok(Err(failed)),
    };
    let errand = Errand {
        tenant: tenant.clone(),
        actor: ACTOR.into(),
        asked_by: asked.asked_by.clone(),
        purpose: "rewrite",
        sample: asked.sample.clone(),
        whose: (Subject::new(SUBJECT_KIND, &ready.sample.subject).map_err(ReadError::from)?, decided),
    };
    let model = sender.model().writer().unwrap_or_default().to_owned();
    let digest = match sender.model().digest(&model).await {
        Ok(digest) => digest,
        Err(trouble) => return Ok(Err(failed(trouble.code(), trouble.to_string()))),
    };
    let answers = match written(sender, &errand, &ready, asked).await {
        Ok(answers) => answers,
        Err(failed) => return Ok(Err(failed)),
    };
    let mut warnings = Vec::new();
    let texts: Vec<&str> = answers.iter().filter_map(|(_, text)| text.as_deref().ok()).collect();
    let original = ready.sample.text.clone();
    let (near, meaning) = meanings(sender, &errand, &original, &texts, &mut warnings).await;
    let chosen =
        tokio::task::spawn_blocking(move || chosen(ready, answers, near, (meaning, warnings))).await?;
    let provider = sender.model().provider().to_owned();
    Ok(chosen.map(|completed| Completed { provider, model, digest, ..completed }))
}

/// All but whose model it was.
fn chosen(
    ready: Ready,
    answers: Vec<(u64, Result<String, String>)>,
    near: Vec<f64>,
    (meaning, mut warnings): (&str, Vec<String>),
) -> Result<Completed, Failed> {
    let Ready { sample, target, before, instructions } = ready;
    let mut near = near.into_iter();
    let measured = |(seed, text): &(u64, Result<String, String>)| match text {
        Ok(text) => Candidate {
            seed: *seed,
            rejected: None,
            figures: Some(figures(&target.maker, &target.author, &target.corpus, text)),
            similarity: near.next(),
            edits: Some(edits(&sample.text, text)),
        },
        Err(why) => Candidate {
            seed: *seed,
            rejected: Some(why.clone()),
            figures: None,
            similarity: None,
            edits: None,
        },
    };
    let candidates: Vec<Candidate> = answers.iter().map(measured).collect();
    let least = if meaning == VECTORS { LEAST_COSINE } else { LEAST_CONTENT };
    let best = best(&candidates, least);
    let Some((at, same)) = best else { return Err(failed("nonsense", "no candidate could be measured")) };
    let text = answers.into_iter().nth(at).and_then(|(_, text)| text.ok());
    let (Some(text), Some(after)) = (text, &candidates[at].figures) else {
        return Err(failed("nonsense", "no candidate could be measured"));
    };
    if !same {
        warnings.push("meaning_unsure: no candidate is surely of the same meaning".to_owned());
    }
    if after.distance >= before.distance {
        warnings.push("not_nearer: the text does not stand nearer to the target than before".to_owned());
    }
    if before.words < MIN_WORDS as u64 {
        warnings.push(format!("too_short: under {MIN_WORDS} words distances are chance as much as style"));
    }
    warnings.extend(target.author.flags.iter().map(|flag| format!("target: {flag}")));
    Ok(Completed {
        subject: sample.subject,
        text: text.into(),
        // At most five.
        chosen: u32::try_from(at).unwrap_or(u32::MAX),
        candidates,
        before,
        meaning: meaning.to_owned(),
        rules: RULES.to_owned(),
        instructions_sha256: hex::encode(Sha256::digest(instructions.as_bytes())),
        fingerprint: target.model,
        provider: String::new(),
        model: String::new(),
        digest: None,
        warnings,
    })
}
