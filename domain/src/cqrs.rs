//! `cqrs_es::Aggregate` on top of [`Decide`], for that crate's given/when/then
//! test language. Daybook itself calls `decide` directly.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};

use crate::decide::{Context, Decide, Rejection};
use crate::racing::{driver, lineups, live, race, scoring, track};
use crate::registry;
use crate::valuation::{
    fixings, instrument, market_name, market_snapshot, position, position_snapshot, repricing, run,
};
use crate::{
    anomaly_window, api_key, band, delivery, embedding, endpoint, language_use, live_event, model_choice,
    replay, rewrite, rule, sample, signal_schema, subject, tenant,
};

async fn run<A>(
    aggregate: &mut A,
    command: <A as Decide>::Command,
    context: &Context,
    sink: &EventSink<A>,
) -> Result<(), Rejection>
where
    A: Decide + Aggregate<Event = <A as Decide>::Event>,
{
    for event in aggregate.decide(command, context)?.events {
        sink.write(event, aggregate).await;
    }
    Ok(())
}

fn registered<E: serde::Serialize>(event: &E) -> (String, String) {
    match registry::encode(event) {
        Ok((known, _)) => (known.name.to_owned(), known.schema.to_string()),
        Err(e) => (e.to_string(), "0".into()),
    }
}

macro_rules! cqrs_aggregate {
    ($aggregate:ty, $event:ty, $command:ty, $kind:expr) => {
        impl DomainEvent for $event {
            fn event_type(&self) -> String {
                registered(self).0
            }
            fn event_version(&self) -> String {
                registered(self).1
            }
        }

        impl Aggregate for $aggregate {
            const TYPE: &'static str = $kind;
            type Command = $command;
            type Event = $event;
            type Error = Rejection;
            type Services = Context;

            async fn handle(
                &mut self,
                command: $command,
                context: &Context,
                sink: &EventSink<Self>,
            ) -> Result<(), Rejection> {
                run(self, command, context, sink).await
            }

            fn apply(&mut self, event: $event) {
                self.evolve(event);
            }
        }
    };
}

cqrs_aggregate!(live_event::LiveEvent, live_event::Event, live_event::Command, live_event::KIND);
cqrs_aggregate!(band::Band, band::Event, band::Command, band::KIND);
cqrs_aggregate!(tenant::Tenant, tenant::Event, tenant::Configure, tenant::KIND);
cqrs_aggregate!(api_key::ApiKey, api_key::Event, api_key::Command, api_key::KIND);
cqrs_aggregate!(model_choice::ModelChoice, model_choice::Event, model_choice::Define, model_choice::KIND);
cqrs_aggregate!(replay::Replay, replay::Event, replay::Command, replay::KIND);
cqrs_aggregate!(rule::Rule, rule::Event, rule::Command, rule::KIND);
cqrs_aggregate!(
    signal_schema::SignalSchema,
    signal_schema::Event,
    signal_schema::Command,
    signal_schema::KIND
);
cqrs_aggregate!(
    anomaly_window::Review,
    anomaly_window::Event,
    anomaly_window::Command,
    anomaly_window::REVIEW_KIND
);
cqrs_aggregate!(delivery::Delivery, delivery::Event, delivery::Command, delivery::KIND);
cqrs_aggregate!(endpoint::WebhookEndpoint, endpoint::Event, endpoint::Command, endpoint::KIND);
cqrs_aggregate!(sample::Sample, sample::Event, sample::Command, sample::KIND);
cqrs_aggregate!(embedding::Embedding, embedding::Event, embedding::Command, embedding::KIND);
cqrs_aggregate!(language_use::LanguageUse, language_use::Event, language_use::Command, language_use::KIND);
cqrs_aggregate!(rewrite::Rewrite, rewrite::Event, rewrite::Command, rewrite::KIND);
cqrs_aggregate!(subject::Record, subject::Event, subject::Command, subject::KIND);
cqrs_aggregate!(race::Race, race::Event, race::Command, race::KIND);
cqrs_aggregate!(lineups::Lineups, lineups::Event, lineups::Command, lineups::KIND);
cqrs_aggregate!(live::LiveRace, live::Event, live::Command, live::KIND);
cqrs_aggregate!(driver::Driver, driver::Event, driver::Command, driver::KIND);
cqrs_aggregate!(track::Track, track::Event, track::Command, track::KIND);
cqrs_aggregate!(scoring::Scoring, scoring::Event, scoring::Command, scoring::KIND);
cqrs_aggregate!(instrument::Instrument, instrument::Event, instrument::Command, instrument::KIND);
cqrs_aggregate!(position::Position, position::Event, position::Command, position::KIND);
cqrs_aggregate!(
    market_snapshot::MarketSnapshot,
    market_snapshot::Event,
    market_snapshot::Record,
    market_snapshot::KIND
);
cqrs_aggregate!(fixings::Fixings, fixings::Event, fixings::Publish, fixings::KIND);
cqrs_aggregate!(market_name::MarketName, market_name::Event, market_name::Give, market_name::KIND);
cqrs_aggregate!(
    position_snapshot::PositionSnapshot,
    position_snapshot::Event,
    position_snapshot::Take,
    position_snapshot::KIND
);
cqrs_aggregate!(run::Run, run::Event, run::Command, run::KIND);
cqrs_aggregate!(repricing::Repricing, repricing::Event, repricing::Command, repricing::KIND);
