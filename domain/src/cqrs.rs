//! `cqrs_es::Aggregate` on top of [`Decide`], for that crate's given/when/then
//! test language. Daybook itself calls `decide` directly.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};

use crate::decide::{Context, Decide, Rejection};
use crate::registry;
use crate::{api_key, band, live_event, model_choice, replay, subject, tenant};

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
cqrs_aggregate!(subject::Record, subject::Event, subject::Command, subject::KIND);
