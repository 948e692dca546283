//! The state of an aggregate, for those kinds of streams that have one.

use domain::RecordedEvent;
use domain::anomaly_window::Review;
use domain::api_key::ApiKey;
use domain::band::Band;
use domain::decide::Decide;
use domain::live_event::LiveEvent;
use domain::model_choice::ModelChoice;
use domain::registry::{DecodeError, decode};
use domain::replay::Replay;
use domain::rule::Rule;
use domain::signal_schema::SignalSchema;
use domain::tenant::Tenant;
use domain::valuation::fixings::Fixings;
use domain::valuation::instrument::Instrument;
use domain::valuation::market_name::MarketName;
use domain::valuation::market_snapshot::MarketSnapshot;
use domain::valuation::position::Position;
use domain::valuation::position_snapshot::PositionSnapshot;
use domain::valuation::repricing::Repricing;
use domain::valuation::run::Run;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

trait Fold: Send {
    fn apply(&mut self, event: &RecordedEvent) -> Result<(), DecodeError>;
    fn raw(&self) -> serde_json::Result<Box<RawValue>>;
    fn value(&self) -> serde_json::Result<Value>;
}

struct Of<A>(A);

impl<A: Decide + Serialize> Fold for Of<A> {
    fn apply(&mut self, event: &RecordedEvent) -> Result<(), DecodeError> {
        self.0.evolve(decode(event)?);
        Ok(())
    }

    fn raw(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(&self.0)
    }

    fn value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(&self.0)
    }
}

fn of<A: Decide + Serialize>() -> Box<dyn Fold> {
    Box::new(Of(A::default()))
}

/// Goes along a stream from its beginning.
pub struct State {
    fold: Box<dyn Fold>,
    /// Why nothing can be said any more.
    lost: Option<String>,
}

impl State {
    /// `None` for kinds that have no aggregate.
    pub fn of_kind(kind: &str) -> Option<Self> {
        let fold = match kind {
            <LiveEvent as Decide>::KIND => of::<LiveEvent>(),
            <Band as Decide>::KIND => of::<Band>(),
            <Tenant as Decide>::KIND => of::<Tenant>(),
            <ApiKey as Decide>::KIND => of::<ApiKey>(),
            <Rule as Decide>::KIND => of::<Rule>(),
            <Review as Decide>::KIND => of::<Review>(),
            <SignalSchema as Decide>::KIND => of::<SignalSchema>(),
            <ModelChoice as Decide>::KIND => of::<ModelChoice>(),
            <Replay as Decide>::KIND => of::<Replay>(),
            <Instrument as Decide>::KIND => of::<Instrument>(),
            <Position as Decide>::KIND => of::<Position>(),
            <MarketSnapshot as Decide>::KIND => of::<MarketSnapshot>(),
            <Fixings as Decide>::KIND => of::<Fixings>(),
            <MarketName as Decide>::KIND => of::<MarketName>(),
            <PositionSnapshot as Decide>::KIND => of::<PositionSnapshot>(),
            <Run as Decide>::KIND => of::<Run>(),
            <Repricing as Decide>::KIND => of::<Repricing>(),
            _ => return None,
        };
        Some(Self { fold, lost: None })
    }

    pub fn apply(&mut self, event: &RecordedEvent) {
        if self.lost.is_none()
            && let Err(error) = self.fold.apply(event)
        {
            self.lost = Some(format!("version {} does not fold: {error}", event.version));
        }
    }

    /// As it is now, or why that cannot be told.
    pub fn raw(&self) -> Result<Box<RawValue>, String> {
        self.told(self.fold.raw())
    }

    pub fn value(&self) -> Result<Value, String> {
        self.told(self.fold.value())
    }

    fn told<T>(&self, state: serde_json::Result<T>) -> Result<T, String> {
        match &self.lost {
            Some(reason) => Err(reason.clone()),
            None => state.map_err(|e| e.to_string()),
        }
    }
}
