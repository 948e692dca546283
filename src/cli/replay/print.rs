//! What the verbs say.

use anyhow::Result;
use replays::Decided;
use replays::status::{GenerationStatusBody, ReplayStatus, VerifiedBody};
use serde_json::json;

use crate::cli::output::{Output, paint};

pub fn status(status: &ReplayStatus, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(status)?);
    }
    let name = paint(out, &status.projection);
    let next = status.defined_model.as_ref().map(|m| format!(", next build by {m}")).unwrap_or_default();
    out.line(&format!("{name}  log at {}{next}", status.head))?;
    for generation in &status.generations {
        line(generation, out)?;
    }
    for skip in &status.skipped {
        out.line(&format!("    position {} is left out: {}", skip.position, skip.reason))?;
    }
    Ok(())
}

fn line(g: &GenerationStatusBody, out: &mut Output) -> Result<()> {
    let mut text = format!("  #{:<4} {:<9} {:<18} at {:>12}", g.generation, g.status, g.model, g.position);
    match g.at {
        Some(at) => text.push_str(&format!("  the past up to {at}")),
        None if g.lag > 0 => text.push_str(&format!("  lag {}", g.lag)),
        None => {}
    }
    if g.status == "building" {
        let rate = g.rate.map(|r| format!("  {r:.0}/s")).unwrap_or_default();
        let left = g.eta_seconds.map(|s| format!("  {s:.0} s left")).unwrap_or_default();
        text.push_str(&format!("{rate}{left}"));
    }
    if g.dead_letters > 0 {
        text.push_str(&format!("  {} dead letters", g.dead_letters));
    }
    if let Some(c) = &g.compared {
        let verdict = if c.same { "same as" } else { "differs from" };
        text.push_str(&format!("  {verdict} #{} at {}", c.against, c.position));
    }
    if let Some(v) = &g.verified {
        let verdict = if v.same { "verified" } else { "NOT as built again" };
        text.push_str(&format!("  {verdict} at {}", v.position));
    }
    out.line(&text)?;
    for failing in &g.failing {
        out.line(&format!("    position {} ({}): {}", failing.position, failing.event_type, failing.error))?;
    }
    if let Some(error) = &g.error {
        out.line(&format!("    {error}"))?;
    }
    Ok(())
}

pub fn decided(decided: &Decided, what: &str, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(decided)?);
    }
    let number = decided.generation.map(|n| format!("#{n}")).unwrap_or_default();
    let already = if decided.changed { "" } else { " already" };
    out.line(&format!("{}{number} {what}{already}", decided.projection))
}

pub fn generation(projection: &str, g: &GenerationStatusBody, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&json!({"projection": projection, "generation": g}).to_string());
    }
    match &g.built {
        Some(b) => out.line(&format!(
            "{projection}#{} is {} at {}: {} rows of {} events in {:.1} s, checksum {}",
            g.generation, g.status, b.position, b.rows, b.events, b.seconds, b.checksum
        )),
        None => out.line(&format!("{projection}#{} is {} at {}", g.generation, g.status, g.position)),
    }
}

pub fn skipped(decided: &Decided, position: u64, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(decided)?);
    }
    out.line(&format!("{} leaves position {position} out from now on", decided.projection))
}

pub fn pruned(projection: &str, gone: &[u32], out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&json!({"projection": projection, "generations": gone}).to_string());
    }
    let names: Vec<String> = gone.iter().map(|n| format!("{projection}#{n}")).collect();
    out.line(&if names.is_empty() {
        format!("{projection} has nothing to prune")
    } else {
        format!("dropped {}", names.join(", "))
    })
}

pub fn verified(projection: &str, v: &VerifiedBody, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(v)?);
    }
    let verdict = if v.same { "the same" } else { "DIFFERENT" };
    out.line(&format!("{projection}#{} at {} is {verdict} when built again", v.generation, v.position))?;
    out.line(&format!("  stored  {}\n  rebuilt {}", v.checksum, v.rebuilt))
}

pub fn retried(projection: &str, number: u32, events: u64, out: &mut Output) -> Result<()> {
    if out.json {
        return out
            .line(&json!({"projection": projection, "generation": number, "events": events}).to_string());
    }
    out.line(&format!("{events} events of {projection}#{number} will be tried again"))
}
