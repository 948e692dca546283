//! Many commands of one kind: streams that are new are appended together, the
//! others are decided on their history one by one.

use domain::decide::{Context, Decide, Decision, stream_of};
use domain::ports::log::{Append, AppendError, ExpectedVersion};

use crate::execute::{Call, Refusal, Services, build_append, execute, explain_check};
use crate::reply::StoredOutcome;

/// What became of one command that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Recorded, up to this position of the log.
    Recorded(u64),
    /// It was so already; the stream's newest event stands here.
    Unchanged(u64),
}

/// Executes a chunk of commands, each for the aggregate of its id, and answers
/// each. The call is that of all of them.
pub async fn execute_many<A>(
    services: &Services,
    call: &Call,
    commands: Vec<(String, A::Command)>,
) -> Vec<Result<Taken, Refusal>>
where
    A: Decide,
    A::Command: Clone,
{
    let mut appends = Vec::new();
    let mut planned = Vec::with_capacity(commands.len());
    for (id, command) in &commands {
        let plan = plan::<A>(services, call, id, command.clone());
        planned.push(plan.ok().map(|(decision, append)| {
            appends.push(append);
            decision
        }));
    }
    let mut outcomes = services.log.append(appends).await.into_iter();
    let mut answers = Vec::with_capacity(commands.len());
    for ((id, command), decision) in commands.into_iter().zip(planned) {
        let call = Call { id, idempotency: None, if_match: None, ..call.clone() };
        // What the first command of a stream could not be, its history may allow.
        let Some(decision) = decision else {
            answers.push(one::<A>(services, &call, command).await);
            continue;
        };
        answers.push(match outcomes.next() {
            Some(Ok(receipt)) if receipt.events.is_empty() => one::<A>(services, &call, command).await,
            Some(Ok(receipt)) => Ok(Taken::Recorded(receipt.position())),
            Some(Err(AppendError::Conflict { stream, .. })) if *stream.id == *call.id => {
                one::<A>(services, &call, command).await
            }
            Some(Err(error)) => refused::<A>(&call, error, &decision),
            None => Err(AppendError::Unavailable { reason: "too few answers".into(), unknown: true }.into()),
        });
    }
    answers
}

fn refused<A: Decide>(
    call: &Call,
    error: AppendError,
    decision: &Decision<A::Event>,
) -> Result<Taken, Refusal> {
    let stream = stream_of::<A>(&call.principal.tenant, &call.id)?;
    Err(explain_check(error, &stream, decision))
}

/// As the first command of its stream.
fn plan<A: Decide>(
    services: &Services,
    call: &Call,
    id: &str,
    command: A::Command,
) -> Result<(Decision<A::Event>, Append), Refusal> {
    let stream = stream_of::<A>(&call.principal.tenant, id)?;
    let context = Context { now: services.clock.now(), urls: call.urls.clone() };
    let decision = A::default().decide(command, &context)?;
    let version = decision.events.len() as u64;
    let stored = StoredOutcome { version, unchanged_at: None, warnings: vec![] };
    let append = build_append(services, call, &stream, ExpectedVersion::NoStream, &decision, &stored)?;
    Ok((decision, append))
}

async fn one<A>(services: &Services, call: &Call, command: A::Command) -> Result<Taken, Refusal>
where
    A: Decide,
    A::Command: Clone,
{
    let outcome = execute::<A>(services, call, command).await?;
    Ok(match outcome.events.is_empty() {
        true => Taken::Unchanged(outcome.position),
        false => Taken::Recorded(outcome.position),
    })
}
