//! What valuations start from, read from the log and kept for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use commands::caller::problem;
use commands::execute::load;
use daybook_http::{Kind, Problem};
use domain::decide::{Decide, stream_of};
use domain::ports::log::ReadFilter;
use domain::valuation::market_name::MarketName;
use domain::valuation::market_snapshot::MarketSnapshot;
use domain::valuation::portfolio::{EVENT_TYPES, POSITION_TYPES, Portfolio};
use domain::valuation::run::Plan;
use domain::valuation::{position, position_snapshot::PositionSnapshot};
use domain::{TenantId, ids};
use models_pricing::market::Market;
use models_pricing::model::Model;
use models_pricing::position::Position;
use models_pricing::snapshot::Snapshot;
use serde_json::Value;

use crate::{Desk, on_a_thread};

const PAGE: usize = 5_000;
/// Markets and portfolios that are kept. A portfolio of 10,000 positions takes
/// about ten megabytes.
const KEPT: usize = 4;

type Kept<K, V> = Mutex<VecDeque<(K, Arc<V>)>>;

/// Of the newest runs.
#[derive(Default)]
pub struct Cache {
    /// By the hash of their content, and the model.
    markets: Kept<(String, String), Market>,
    portfolios: Kept<(TenantId, u64), Portfolio>,
}

fn known<K: PartialEq, V>(kept: &Kept<K, V>, of: impl Fn(&K) -> bool) -> Option<Arc<V>> {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().find(|(key, _)| of(key)).map(|(_, value)| value.clone())
}

fn keep<K: PartialEq, V>(kept: &Kept<K, V>, key: K, value: &Arc<V>) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if !kept.iter().any(|(other, _)| *other == key) {
        kept.push_back((key, value.clone()));
    }
    while kept.len() > KEPT {
        kept.pop_front();
    }
}

/// The state of an aggregate; not found if it has no history.
pub async fn state<A: Decide>(desk: &Desk, tenant: &TenantId, id: &str) -> Result<A, Problem> {
    let stream = stream_of::<A>(tenant, id).map_err(|_| Problem::not_found())?;
    let loaded = load::<A>(&desk.services, &stream).await.map_err(|e| problem(e, false))?;
    if loaded.version == 0 {
        return Err(Problem::not_found());
    }
    Ok(loaded.state)
}

impl Desk {
    /// The id of a snapshot that is named by its id or by what a client calls it.
    pub async fn snapshot_id(&self, tenant: &TenantId, named: &str) -> Result<Option<String>, Problem> {
        if ids::check_id(named).is_err() {
            return Ok(None);
        }
        let name = stream_of::<MarketName>(tenant, named).map_err(Problem::internal)?;
        let name = load::<MarketName>(&self.services, &name).await.map_err(|e| problem(e, false))?;
        if let Some(sha256) = name.state.sha256 {
            return Ok(Some(sha256));
        }
        let stream = stream_of::<MarketSnapshot>(tenant, named).map_err(Problem::internal)?;
        let newest = self.services.log.last(&stream).await?;
        Ok(newest.map(|_| named.to_owned()))
    }

    /// A snapshot's content, as it is recorded.
    pub async fn snapshot(&self, tenant: &TenantId, id: &str) -> Result<MarketSnapshot, Problem> {
        state::<MarketSnapshot>(self, tenant, id).await
    }

    /// What a snapshot makes by a model, built once.
    pub async fn market(&self, tenant: &TenantId, id: &str, model: &Model) -> Result<Arc<Market>, Problem> {
        // The content is named by its hash, so whose it is makes no difference;
        // that the tenant has it does.
        let snapshot = self.snapshot(tenant, id).await?;
        let key = (id.to_owned(), format!("{} {}", model.name(), model.parameters()));
        if let Some(market) = known(&self.inputs.markets, |other| *other == key) {
            return Ok(market);
        }
        let (content, by) = (snapshot.content.unwrap_or_default(), model.clone());
        let market =
            on_a_thread(move || market_by(content, &by)).await?.map_err(|e| Problem::field("", e))?;
        let market = Arc::new(market);
        keep(&self.inputs.markets, key, &market);
        Ok(market)
    }

    /// Positions and instruments as of a position of the log.
    pub async fn portfolio(&self, tenant: &TenantId, at: u64) -> Result<Arc<Portfolio>, Problem> {
        let key = (tenant.clone(), at);
        if let Some(portfolio) = known(&self.inputs.portfolios, |other| *other == key) {
            return Ok(portfolio);
        }
        let portfolio = Arc::new(self.folded(tenant, at, &POSITION_TYPES).await?);
        keep(&self.inputs.portfolios, key, &portfolio);
        Ok(portfolio)
    }

    /// With all snapshots and fixings, too.
    pub async fn everything(&self, tenant: &TenantId, at: u64) -> Result<Portfolio, Problem> {
        self.folded(tenant, at, &EVENT_TYPES).await
    }

    async fn folded(&self, tenant: &TenantId, at: u64, types: &[&str]) -> Result<Portfolio, Problem> {
        let filter = ReadFilter { tenant: Some(tenant.clone()), ..ReadFilter::types(types.iter().copied()) };
        let (mut portfolio, mut after) = (Portfolio::default(), 0);
        while after < at {
            let page = self.services.log.read(after, PAGE, &filter).await?;
            for event in page.events.iter().filter(|event| event.position <= at) {
                portfolio.apply(event).map_err(Problem::internal)?;
            }
            if page.through <= after {
                break;
            }
            after = page.through;
        }
        Ok(portfolio)
    }

    /// A pin of positions.
    pub async fn pin(&self, tenant: &TenantId, id: &str) -> Result<PositionSnapshot, Problem> {
        state::<PositionSnapshot>(self, tenant, id).await
    }
}

/// The market that a snapshot's content makes; everything wrong with it is said.
pub fn market_of(content: Value) -> Result<Market, String> {
    market_by(content, &Model::default())
}

/// The same by a model.
pub fn market_by(content: Value, model: &Model) -> Result<Market, String> {
    let snapshot: Snapshot = serde_json::from_value(content).map_err(|e| e.to_string())?;
    Market::by(&snapshot, model).map_err(|e| e.to_string())
}

/// The model that a run is pinned to.
pub fn model_of(plan: &Plan) -> Result<Model, Problem> {
    Model::read(&plan.model, &plan.parameters).map_err(|e| {
        let detail = format!("The run needs code for {}: {}", plan.model, e.reason);
        Problem::new(Kind::Unavailable, detail)
    })
}

/// The portfolio's open positions as the model reads them, in the order of their
/// ids.
pub fn positions(portfolio: &Portfolio, books: &[String]) -> Vec<Position> {
    portfolio
        .held(books)
        .map(|held| Position {
            position_id: held.id.to_owned(),
            book: held.position.book.clone(),
            product_type: held.holding.product_type.clone(),
            quantity: held.holding.quantity,
            instrument_id: held.holding.instrument_id.clone(),
            instrument_version: held.holding.instrument_version,
            terms: held.terms.cloned().unwrap_or(Value::Null),
            tags: held.position.tags.clone(),
        })
        .collect()
}

/// The command that opens a position.
pub fn open(row: Position) -> position::Command {
    position::Command::Open(position::Open {
        book: row.book.clone(),
        tags: row.tags.clone(),
        holding: holding(row),
    })
}

/// What a position holds.
pub fn holding(row: Position) -> position::Holding {
    let named = row.terms.is_null();
    position::Holding {
        product_type: row.product_type,
        quantity: row.quantity,
        instrument_version: row.instrument_version.filter(|_| named),
        instrument_id: row.instrument_id,
        terms: (!named).then_some(row.terms),
    }
}
