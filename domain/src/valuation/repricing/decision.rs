//! What may be asked of generations, and what is refused.

use super::{Chosen, Compared, Event, FIRST, Repricing, Shown, is_repriced_id, repriced_id};
use crate::decide::Rejection;
use crate::ids::MAX_ID_BYTES;
use crate::ports::rows::ModelId;
use crate::valuation::check_name;

/// Generations that are not given up.
pub const MAX_GENERATIONS: usize = 100;
/// Runs of one generation.
pub const MAX_RUNS: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The model's parameters are whole, and every run is sealed.
    Request {
        model: ModelId,
        runs: Vec<Chosen>,
    },
    Abort {
        generation: u32,
    },
    Compare(Compared),
    /// With what is sealed of the generation's runs: all of them.
    Promote {
        generation: u32,
        sealed: Vec<Chosen>,
    },
    RollBack,
}

/// At most one event; none if it is so already.
pub(super) fn decide(state: &Repricing, command: Command) -> Result<Option<Event>, Rejection> {
    match command {
        Command::Request { model, runs } => request(state, model, runs),
        Command::Abort { generation } => abort(state, generation),
        Command::Compare(compared) => {
            let known = present(state, compared.generation)?;
            Ok((known.compared.as_ref() != Some(&compared)).then_some(Event::Compared(compared)))
        }
        Command::Promote { generation, sealed } => promote(state, generation, &sealed),
        Command::RollBack => match state.promoted.last() {
            Some(from) => {
                let known = state.generations.get(from);
                let runs = known.map(|known| known.runs.iter().map(|c| c.run_id.clone()).collect());
                Ok(Some(Event::RolledBack { from: *from, runs: runs.unwrap_or_default() }))
            }
            None => Err(Rejection::State("nothing is promoted".into())),
        },
    }
}

fn request(state: &Repricing, model: ModelId, mut runs: Vec<Chosen>) -> Result<Option<Event>, Rejection> {
    runs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    runs.dedup();
    if runs.is_empty() || runs.len() > MAX_RUNS {
        return Err(Rejection::field("/runs", format!("must be 1 to {MAX_RUNS}")));
    }
    let generation = state.generations.keys().next_back().copied().unwrap_or(FIRST) + 1;
    for chosen in &runs {
        check_name("/runs", &chosen.run_id)?;
        if is_repriced_id(&chosen.run_id) {
            let reason = format!("{} is a re-pricing itself; name the run before @", chosen.run_id);
            return Err(Rejection::field("/runs", reason));
        }
        if repriced_id(&chosen.run_id, generation).len() > MAX_ID_BYTES {
            return Err(Rejection::field("/runs", format!("{} is too long an id", chosen.run_id)));
        }
    }
    let open = state.generations.iter().filter(|(n, known)| !known.aborted && !state.promoted.contains(n));
    if open.count() >= MAX_GENERATIONS {
        let reason = format!("there are {MAX_GENERATIONS} generations already; abort some of them");
        return Err(Rejection::State(reason));
    }
    Ok(Some(Event::Requested { generation, model, runs }))
}

/// There, and not given up.
fn present(state: &Repricing, generation: u32) -> Result<&super::Generation, Rejection> {
    match state.generations.get(&generation) {
        None => Err(Rejection::NotFound),
        Some(known) if known.aborted => Err(Rejection::State(format!("generation {generation} is aborted"))),
        Some(known) => Ok(known),
    }
}

fn abort(state: &Repricing, generation: u32) -> Result<Option<Event>, Rejection> {
    let known = state.generations.get(&generation).ok_or(Rejection::NotFound)?;
    if known.aborted {
        return Ok(None);
    }
    match state.promoted.contains(&generation) {
        true => Err(Rejection::State(format!("generation {generation} is promoted; roll it back first"))),
        false => Ok(Some(Event::Aborted { generation })),
    }
}

fn promote(state: &Repricing, generation: u32, sealed: &[Chosen]) -> Result<Option<Event>, Rejection> {
    let known = present(state, generation)?;
    if state.promoted.last() == Some(&generation) {
        return Ok(None);
    }
    let shown = known.runs.iter().map(|chosen| {
        let run_id = chosen.run_id.clone();
        let priced = repriced_id(&run_id, generation);
        let of = sealed.iter().find(|sealed| sealed.run_id == priced);
        let of = of.ok_or_else(|| Rejection::State(format!("{priced} is not completed")))?;
        Ok(Shown { previous: state.in_force(&run_id), run_id, sha256: of.sha256.clone() })
    });
    Ok(Some(Event::Promoted { generation, runs: shown.collect::<Result<_, Rejection>>()? }))
}
