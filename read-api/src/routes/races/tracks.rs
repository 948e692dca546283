//! Tracks, and how each races.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use daybook_http::{Id, Path, Problem};
use domain::ports::rows::Query as RowQuery;
use domain::racing::track::TrackKind;
use jiff::civil::Date;
use projections::dfs_projections::{BY_TRACK, Card, NAME, TRACKS, TrackRow};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{RaceListed, Tracks};
use crate::at_least::Answer;
use crate::routes::{GenerationParameter, ReadHeaders, Reader, parse, row_at, rows_at};
use crate::state::ReadState;

/// Races that are told of one track.
const MAX_RACES: usize = 200;

pub fn router() -> Router<ReadState> {
    Router::new().route("/v1/tracks", get(list)).route("/v1/tracks/{id}", get(one))
}

#[derive(OpenApi)]
#[openapi(paths(list, one))]
pub struct Doc;

#[derive(Debug, Serialize, ToSchema)]
struct Since {
    /// Since ever without.
    #[schema(value_type = Option<String>)]
    from: Option<Date>,
    #[schema(value_type = String)]
    kind: TrackKind,
}

#[derive(Debug, Serialize, ToSchema)]
struct Track {
    id: String,
    /// For `If-Match` of its commands.
    version: u64,
    name: String,
    /// How it races, oldest first.
    kinds: Vec<Since>,
}

impl From<TrackRow> for Track {
    fn from(row: TrackRow) -> Self {
        let kinds = row.track.kinds.into_iter().map(|(from, kind)| Since { from, kind });
        Self { id: row.id, version: row.version, name: row.track.name, kinds: kinds.collect() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct TrackList {
    /// In the order of their ids; at most 1,000.
    tracks: Vec<Track>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TrackBody {
    #[serde(flatten)]
    track: Track,
    /// Latest first; at most 200.
    races: Vec<RaceListed>,
}

/// The tenant's tracks.
#[utoipa::path(get, operation_id = "list_tracks", path = "/v1/tracks", tag = "Races", params(GenerationParameter, ReadHeaders), responses((status = 200, body = TrackList)))]
async fn list(State(state): State<ReadState>, reader: Reader) -> Result<Answer<TrackList>, Problem> {
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &[Tracks::query()]).await?;
    let tracks = Tracks::of(&snapshot, 0)?.0.into_values().map(Track::from).collect();
    Ok(Answer::new(&snapshot, TrackList { tracks }))
}

/// A track and its races.
#[utoipa::path(get, operation_id = "track", path = "/v1/tracks/{id}", tag = "Races", params(("id" = String, Path), GenerationParameter, ReadHeaders), responses((status = 200, body = TrackBody)))]
async fn one(
    State(state): State<ReadState>,
    Path(id): Path<Id>,
    reader: Reader,
) -> Result<Answer<TrackBody>, Problem> {
    let queries = [RowQuery::get(TRACKS, &id), RowQuery::top(BY_TRACK, &id, None, MAX_RACES)];
    let snapshot = state.read(NAME, &reader.tenant, &reader.at_least, &queries).await?;
    let row: TrackRow = row_at(&snapshot, 0)?.ok_or_else(Problem::not_found)?;
    let races = rows_at(&snapshot, 1).iter().map(|row| parse::<Card>(row).map(RaceListed::from));
    let races = races.collect::<Result<_, _>>()?;
    let version = row.version;
    Ok(Answer::new(&snapshot, TrackBody { track: row.into(), races }).version(version))
}
