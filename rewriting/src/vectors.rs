//! Texts as vectors. A long text is embedded in passages; its vector is their
//! mean, each passage as a vector of length 1 and weighed by its words, brought
//! to length 1 again.

use axum::extract::State;
use commands::caller::{Caller, CommandAnswers, CommandHeaders, problem};
use commands::execute::{Refusal, execute, load, replay};
use commands::{NoFields, Outcome};
use daybook_http::{Id, Json, JsonBody, Kind, Path, Principal, Problem};
use domain::api_key::Role;
use domain::decide::Rejection;
use domain::embedding::{Command, Embedding, KIND, Recorded, Space};
use domain::ports::language::Trouble;
use domain::sample::SUBJECT_KIND;
use domain::target_url::UrlPolicy;
use domain::{StreamId, Subject, TenantId};
use models_stylometry::tokens::{count_words, pieces};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::routes::{Rewriting, readable, unread};
use crate::sending::{Errand, Sender, Unanswered};
use crate::texts::decided;

/// The rule by which a text becomes one vector.
pub const NORMALISATION: &str = "passages@1";
/// Words of a passage: within what every model takes.
const PASSAGE_WORDS: usize = 300;
/// Longest text that is embedded.
const MAX_BYTES: usize = 256 << 10;

/// The vectors of texts, in their order.
pub async fn embedded(sender: &Sender, errand: &Errand, texts: &[&str]) -> Result<Vec<Vec<f32>>, Unanswered> {
    let cut: Vec<Vec<&str>> = texts.iter().map(|text| pieces(text, PASSAGE_WORDS)).collect();
    let all: Vec<String> = cut.iter().flatten().map(|passage| (*passage).to_owned()).collect();
    let found = sender.embed(errand, &all).await?;
    let mut vectors = found.vectors.into_iter();
    let one = |passages: Vec<&str>| {
        let own: Vec<Vec<f32>> = vectors.by_ref().take(passages.len()).collect();
        let weights: Vec<usize> = passages.iter().map(|passage| count_words(passage).max(1)).collect();
        mean(&own, &weights)
    };
    let means: Option<Vec<Vec<f32>>> = cut.into_iter().map(one).collect();
    means.ok_or(Unanswered::Trouble(Trouble::Nonsense("its vectors cancel each other out")))
}

/// `None` where the passages point nowhere together.
fn mean(vectors: &[Vec<f32>], weights: &[usize]) -> Option<Vec<f32>> {
    let mut sum = vec![0.0; vectors.first()?.len()];
    for (vector, weight) in vectors.iter().zip(weights) {
        let length = length(vector);
        for (sum, value) in sum.iter_mut().zip(vector) {
            *sum += f64::from(*value) / length * *weight as f64;
        }
    }
    let whole = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    (whole > 1e-9).then(|| sum.iter().map(|x| (x / whole) as f32).collect())
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// −1 to 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let inner: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    let lengths = length(a) * length(b);
    if lengths > 0.0 { (inner / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Send a sample's text to the language model that makes vectors, and keep the
/// vector with all that it may be compared by. Recorded as
/// `language.text_sent` before it goes. Text of at most 256 KiB.
#[utoipa::path(
    post, path = "/v1/samples/{id}/embed", tag = "Language models", params(("id" = String, Path), CommandHeaders),
    request_body = NoFields, responses(CommandAnswers)
)]
pub async fn embed(
    State(state): State<Rewriting>,
    Path(Id(id)): Path<Id>,
    caller: Caller,
    body: JsonBody<NoFields>,
) -> Result<Outcome, Problem> {
    caller.principal.require(Role::Writer)?;
    let busy = |_| Problem::new(Kind::Overloaded, "Too many texts are being sent.").retry_after(5);
    let turn = state.sending.clone().try_acquire_owned().map_err(busy)?;
    // Once a text has left, what comes of it is recorded, whoever still waits.
    let work = async move {
        let done = embed_once(&state, id, caller, body.hash).await;
        drop(turn);
        done
    };
    tokio::spawn(work).await.map_err(Problem::internal)?
}

async fn embed_once(
    state: &Rewriting,
    id: String,
    caller: Caller,
    hash: [u8; 32],
) -> Result<Outcome, Problem> {
    let sender = state.sender(|model| model.embedder().is_some(), "that makes vectors")?;
    let (tenant, actor) = (caller.principal.tenant.clone(), caller.principal.actor());
    let call = caller.call(Role::Writer, &id, hash, UrlPolicy::default());
    let stream = StreamId::new(&tenant, KIND, &id).map_err(|e| unread(e.into()))?;
    let before = replay(&state.services, &call, &stream).await;
    if let Some(done) = before.map_err(|refusal| problem(refusal, call.names_version()))? {
        return Ok(done);
    }
    // Before the text: whoever is erased in between is not sent.
    let decided = decided(&state.services, &tenant, &id).await.map_err(unread)?;
    let sample = readable(state, &tenant, &id, MAX_BYTES).await?;
    let subject = Subject::new(SUBJECT_KIND, &sample.subject).map_err(|e| unread(e.into()))?;
    let errand = Errand {
        tenant,
        whose: (subject, decided),
        asked_by: actor.to_string(),
        actor,
        purpose: "embedding",
        sample: id.clone(),
    };
    let model = sender.model().embedder().unwrap_or_default().to_owned();
    let digest = sender.model().digest(&model).await.map_err(|e| Unanswered::from(e).problem())?;
    let vector = embedded(sender, &errand, &[&sample.text]).await.map_err(Unanswered::problem)?;
    let vector = vector.into_iter().next().unwrap_or_default();
    let space = Space {
        provider: sender.model().provider().to_owned(),
        model,
        digest,
        // Providers' vectors are bounded.
        dimension: u32::try_from(vector.len()).unwrap_or(u32::MAX),
        normalisation: NORMALISATION.to_owned(),
    };
    // Numbers always serialise.
    let numbers = serde_json::to_string(&vector).unwrap_or_default();
    let bytes = sample.text.len() as u64;
    let record = Recorded { subject: sample.subject, space, bytes, vector: numbers.into() };
    let done = execute::<Embedding>(&state.services, &call, Command::Record(record, decided)).await;
    done.map_err(|refusal| match refusal {
        Refusal::Rejected(Rejection::Field { field, .. }) if field == "/subject" => {
            Unanswered::Subject.problem()
        }
        refusal => problem(refusal, call.names_version()),
    })
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Embeddings {
    /// What vectors there are of the sample, the newest first. The numbers
    /// themselves are not given out.
    embeddings: Vec<Space>,
}

/// Which vectors a sample has.
#[utoipa::path(get, path = "/v1/samples/{id}/embeddings", tag = "Language models", params(("id" = String, Path)), responses((status = 200, body = Embeddings)))]
pub async fn embeddings(
    State(state): State<Rewriting>,
    principal: Principal,
    Path(Id(id)): Path<Id>,
) -> Result<Json<Embeddings>, Problem> {
    principal.require(Role::Reader)?;
    readable(&state, &principal.tenant, &id, usize::MAX).await?;
    let kept = kept(&state, &principal.tenant, &id).await?;
    let spaces = kept.vectors.into_iter().filter(|v| v.vector.clear().is_some()).map(|v| v.space);
    Ok(Json(Embeddings { embeddings: spaces.rev().collect() }))
}

async fn kept(state: &Rewriting, tenant: &TenantId, id: &str) -> Result<Embedding, Problem> {
    let stream = StreamId::new(tenant, KIND, id).map_err(|e| unread(e.into()))?;
    let loaded = load::<Embedding>(&state.services, &stream).await;
    Ok(loaded.map_err(|refusal| problem(refusal, false))?.state)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The ids of two samples.
    samples: Vec<String>,
    /// Only vectors of this model; the newest of each sample unless told.
    model: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Similarity {
    samples: Vec<String>,
    /// Cosine, −1 to 1: nearness in meaning, not in style.
    similarity: f64,
    /// What both vectors are of.
    space: Space,
}

/// How near two samples are in meaning, by vectors that are kept: nothing is
/// sent. Vectors that differ in provider, model, digest, dimension or
/// normalisation are not compared: 409 names what differs.
#[utoipa::path(post, path = "/v1/similarity", tag = "Language models", request_body = Pair, responses((status = 200, body = Similarity)))]
pub async fn similarity(
    State(state): State<Rewriting>,
    principal: Principal,
    body: JsonBody<Pair>,
) -> Result<Json<Similarity>, Problem> {
    principal.require(Role::Reader)?;
    let Pair { samples, model } = body.value;
    let [first, second] = samples.as_slice() else {
        return Err(Problem::field("/samples", "must be two samples"));
    };
    let mut found = Vec::new();
    for (at, id) in [first, second].into_iter().enumerate() {
        domain::ids::check_id(id).map_err(|e| Problem::field(format!("/samples/{at}"), e))?;
        let absent = |_| Problem::field(format!("/samples/{at}"), "is no sample with a text");
        readable(&state, &principal.tenant, id, usize::MAX).await.map_err(absent)?;
        let kept = kept(&state, &principal.tenant, id).await?;
        let wanted = |v: &&Recorded| model.as_ref().is_none_or(|model| v.space.model == *model);
        let newest =
            kept.vectors.iter().rev().find(wanted).and_then(|v| Some((v.space.clone(), v.numbers()?)));
        found.push(newest.ok_or_else(|| {
            let detail = format!("Sample {id} has no such vector; POST /v1/samples/{id}/embed makes one.");
            Problem::new(Kind::Conflict, detail)
        })?);
    }
    let ((space, a), (other, b)) = (&found[0], &found[1]);
    if let Some((field, one, another)) = space.difference(other) {
        let detail = format!("The vectors cannot be compared: they differ in {field}, {one} and {another}.");
        return Err(Problem::new(Kind::Conflict, detail).with("differs", field));
    }
    Ok(Json(Similarity { similarity: cosine(a, b), space: space.clone(), samples }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_weighs_passages_by_their_words() {
        let passages = [vec![2.0, 0.0], vec![0.0, 8.0]];
        let found = mean(&passages, &[3, 4]).unwrap();
        assert!((found[0] - 0.6).abs() < 1e-6 && (found[1] - 0.8).abs() < 1e-6, "{found:?}");
        assert_eq!(mean(&[vec![1.0], vec![-1.0]], &[1, 1]), None);
        assert_eq!(mean(&[], &[]), None);
    }

    #[test]
    fn a_cosine_is_bounded() {
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), 0.0);
        assert!((cosine(&[1.0, 1.0], &[2.0, 2.0]) - 1.0).abs() < 1e-12);
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
    }
}
