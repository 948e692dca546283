//! What `daybook style` prints: one JSON object a line, or tables.

use anyhow::Result;
use models_stylometry::verify::Verdict;

use crate::cli::output::{Output, paint};
use styles::{Compared, Grouped, Indicated, Judged, Rolled, Verified, named};

fn heading(out: &mut Output, text: &str, words: usize) -> Result<()> {
    let words = if words > 0 { format!(" ({words} words)") } else { String::new() };
    let line = format!("{}{words}", paint(out, text));
    out.line(&line)
}

pub fn judged(judged: &Judged, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(judged)?);
    }
    heading(out, &judged.text, judged.words)?;
    match (judged.verdict, &judged.author) {
        ("attributed", Some(author)) => {
            out.line(&format!("  nearest to {author}, by {:.3}", judged.margin))?
        }
        ("unsure", _) => out.line("  unsure: no author is likelier than all others together")?,
        _ => out.line("  no verdict: too short")?,
    }
    out.line("  author                     distance  probability   Burrows    cosine      Eder   Argamon   min-max")?;
    for c in &judged.candidates {
        let d = &c.deltas;
        out.line(&format!(
            "  {:<26} {:>8.4}  {:>11.4}  {:>8.4}  {:>8.4}  {:>8.2}  {:>8.5}  {:>8.4}",
            c.author, c.distance, c.probability, d.burrows, d.cosine, d.eder, d.argamon, d.min_max
        ))?;
    }
    if let Some(v) = &judged.verification {
        let verdict = spoken(Some(v.verdict));
        let probability = v.probability.map_or(String::new(), |p| format!(", probability {p:.3}"));
        out.line(&format!(
            "  against imposters, {}: {verdict} (score {:.2}{probability})",
            v.author, v.score
        ))?;
    }
    if let Some(why) = &judged.explanation {
        out.line(&format!("  for {}: {}", why.first, named(&why.for_first)))?;
        out.line(&format!("  for {}: {}", why.second, named(&why.for_second)))?;
    }
    warn(&judged.warnings, out)
}

fn spoken(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Same) => "same",
        Some(Verdict::Different) => "different",
        Some(Verdict::CantSay) => "can't say",
        None => "no verdict",
    }
}

fn warn(warnings: &[models_stylometry::warnings::Warning], out: &mut Output) -> Result<()> {
    warnings.iter().try_for_each(|w| out.line(&format!("  warning: {}", w.message)))
}

pub fn verified(verified: &Verified, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(verified)?);
    }
    heading(out, &verified.text, verified.words)?;
    out.line("  author                     verdict      distance  probability  advantage (90 % of rounds)")?;
    for c in &verified.candidates {
        let f = &c.figures;
        let probability = f.probability.map_or("-".to_owned(), |p| format!("{p:.4}"));
        out.line(&format!(
            "  {:<26} {:<11} {:>9.4}  {:>11}  {:+.4} ({:+.4} … {:+.4})",
            c.author,
            spoken(f.verdict),
            c.distance,
            probability,
            f.advantage,
            f.advantage_interval[0],
            f.advantage_interval[1]
        ))?;
    }
    for of in &verified.registers {
        out.line(&format!(
            "  control: the author's own text of genre {} ({} words), by {} of other genres: {} (score {:.2})",
            of.genre,
            of.words,
            of.known,
            spoken(of.figures.verdict),
            of.figures.score
        ))?;
    }
    warn(&verified.warnings, out)
}

pub fn compared(compared: &Compared, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(compared)?);
    }
    let line = format!("{} – {}", paint(out, &compared.first), paint(out, &compared.second));
    out.line(&line)?;
    if let Some(d) = &compared.deltas {
        out.line(&format!(
            "  Burrows {:.4}  cosine {:.4}  Eder {:.2}  Argamon {:.5}  min-max {:.4}, over the known texts' words",
            d.burrows, d.cosine, d.eder, d.argamon, d.min_max
        ))?;
    }
    out.line(&format!(
        "  min-max {:.4}  Jensen–Shannon {:.4} bits, over both texts' words",
        compared.min_max, compared.jensen_shannon
    ))?;
    if let Some(same) = &compared.same_author {
        let (verdict, score) = (spoken(same.figures.verdict), same.figures.score);
        let probability = same.figures.probability.map_or(String::new(), |p| format!(", probability {p:.3}"));
        out.line(&format!("  one author, against imposters: {verdict} (score {score:.2}{probability})"))?;
    }
    let words: Vec<String> = compared.words.iter().take(8).map(|w| w.word.clone()).collect();
    out.line(&format!("  words that differ most: {}", words.join("  ")))?;
    warn(&compared.warnings, out)
}

pub fn grouped(found: &Grouped, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(found)?);
    }
    out.line("  group  apart    words  text")?;
    for at in &found.order {
        let t = &found.texts[*at];
        out.line(&format!("  {:>5}  {:>5.1}  {:>7}  {}", t.group, t.apart, t.words, t.text))?;
    }
    warn(&found.warnings, out)
}

pub fn rolled(found: &Rolled, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(found)?);
    }
    heading(out, &found.text, 0)?;
    out.line("  from byte    nearest                    distance   unlike the rest")?;
    for w in &found.windows {
        let apart = if w.apart > 3.5 { "  yes" } else { "" };
        let (author, distance) = (&found.authors[w.nearest], w.distances[w.nearest]);
        out.line(&format!(
            "  {:>9}    {author:<26} {distance:>8.4}   {:>6.1}{apart}",
            w.span.start, w.apart
        ))?;
    }
    warn(&found.warnings, out)
}

pub fn indicated(found: &Indicated, out: &mut Output) -> Result<()> {
    if out.json {
        return out.line(&serde_json::to_string(found)?);
    }
    heading(out, &found.text, found.words)?;
    match (found.found.probability, found.found.interval) {
        (Some(p), Some([low, high])) => {
            out.line(&format!("  indicators of machine-written text: {p:.2} (95 %: {low:.2} … {high:.2})"))?;
        }
        _ => out.line("  indicators of machine-written text: nothing can be said")?,
    }
    for i in found.found.indicators.iter().take(6) {
        out.line(&format!(
            "  {:<18} {:>9.4}  {:+.1} deviations  {:+.2}",
            i.name, i.value, i.z, i.contribution
        ))?;
    }
    warn(&found.found.warnings, out)
}
