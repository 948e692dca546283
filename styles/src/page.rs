//! The report of one text as an HTML page with pictures in SVG. Nothing is
//! loaded from elsewhere; every text is escaped.

use std::fmt::Write as _;

use models_stylometry::explain::{Explanation, Heat};
use models_stylometry::features::Features;

use crate::more::Grouped;
use crate::shapes::{Matrix, Report, VerifiedCandidate};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}\
    table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}.heat span{border-radius:3px}.w{color:#8a4b00}\
    h1{overflow-wrap:anywhere}";

/// Sentences of the heat map: more make a page that no browser likes.
const MOST_SENTENCES: usize = 5_000;

pub fn page(report: &Report) -> String {
    let mut html = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Style of {0}</title><style>{STYLE}</style>\
        <h1>Style of {0}</h1><p>{1} words. {2}, {3}.</p>",
        escaped(&report.text),
        report.words,
        report.attribution.model,
        report.verification.model
    );
    warnings(&mut html, report);
    candidates(&mut html, report);
    verification(&mut html, &report.verification.candidates);
    if let Some(explanation) = &report.attribution.explanation {
        why(&mut html, explanation);
        heat(&mut html, explanation, &report.content);
    }
    html.push_str(
        "<h2>Distances</h2><p>Cosine Delta between the authors and the text; darker is nearer.</p>",
    );
    matrix(&mut html, &report.matrix);
    html.push_str("<h2>Figures</h2>");
    radar(&mut html, &report.features);
    figures(&mut html, &report.features);
    html.push_str("</html>\n");
    html
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

fn warnings(html: &mut String, report: &Report) {
    let mut all: Vec<_> = report.attribution.warnings.iter().chain(&report.verification.warnings).collect();
    all.sort();
    all.dedup();
    if all.is_empty() {
        return;
    }
    html.push_str("<ul class=\"w\">");
    for warning in all {
        let _ = write!(html, "<li>{}</li>", escaped(&warning.message));
    }
    html.push_str("</ul>");
}

fn candidates(html: &mut String, report: &Report) {
    let found = &report.attribution;
    let said = match (found.verdict, &found.author) {
        ("attributed", Some(author)) => format!("Nearest to the known texts of {}.", escaped(author)),
        ("unsure", _) => "No author is likelier than all others together.".to_owned(),
        _ => "Too short for a verdict.".to_owned(),
    };
    let _ = write!(
        html,
        "<h2>Nearest authors</h2><p>{said}</p><table><tr><th>Author<th>Distance<th>Probability<th>Burrows<th>Cosine\
        <th>Eder<th>Argamon<th>Min-max</tr>"
    );
    for c in &found.candidates {
        let d = &c.deltas;
        let _ = write!(
            html,
            "<tr><td>{}<td class=n>{:.3}<td class=n>{:.3}<td class=n>{:.3}<td class=n>{:.3}<td class=n>{:.1}\
            <td class=n>{:.4}<td class=n>{:.3}</tr>",
            escaped(&c.author),
            c.distance,
            c.probability,
            d.burrows,
            d.cosine,
            d.eder,
            d.argamon,
            d.min_max
        );
    }
    html.push_str("</table><p>Probabilities are among these authors, if it is one of them.</p>");
}

fn verification(html: &mut String, candidates: &[VerifiedCandidate]) {
    html.push_str(
        "<h2>Could it be theirs?</h2><p>Share of rounds in which the author's texts were nearer than all imposters.</p>\
        <table><tr><th>Author<th><th>Score<th>Probability<th>Verdict</tr>",
    );
    for c in candidates {
        let f = &c.figures;
        let verdict = match f.verdict {
            Some(models_stylometry::verify::Verdict::Same) => "same",
            Some(models_stylometry::verify::Verdict::Different) => "different",
            Some(models_stylometry::verify::Verdict::CantSay) => "can't say",
            None => "none: too short",
        };
        let probability = f.probability.map_or("not calibrated".to_owned(), |p| format!("{p:.3}"));
        let _ = write!(
            html,
            "<tr><td>{}<td><svg width=120 height=12><rect width=120 height=12 fill=#eee /><rect width={:.0} height=12 \
            fill=#3a6ea5 /></svg><td class=n>{:.2}<td class=n>{probability}<td>{verdict}</tr>",
            escaped(&c.author),
            120.0 * f.score,
            f.score
        );
    }
    html.push_str("</table>");
}

fn why(html: &mut String, explanation: &Explanation) {
    let (first, second) = (escaped(&explanation.first), escaped(&explanation.second));
    let _ = write!(
        html,
        "<h2>Why {first} and not {second}</h2><table><tr><th>Feature<th>Part<th>Text ‰<th>{first} ‰<th>{second} ‰</tr>"
    );
    for part in explanation.for_first.iter().take(12).chain(explanation.for_second.iter().take(12)) {
        let _ = write!(
            html,
            "<tr><td>{}<td class=n>{:+.4}<td class=n>{:.2}<td class=n>{:.2}<td class=n>{:.2}</tr>",
            escaped(&part.feature),
            part.contribution,
            part.text,
            part.first,
            part.second
        );
    }
    html.push_str("</table>");
}

fn heat(html: &mut String, explanation: &Explanation, content: &str) {
    let (first, second) = (escaped(&explanation.first), escaped(&explanation.second));
    let _ =
        write!(html, "<h2>Sentences</h2><p>Blue speaks for {first}, orange for {second}.</p><p class=heat>");
    let per_word = |h: &Heat| h.contribution / h.words.max(1) as f64;
    let most = full_colour(explanation.sentences.iter().map(|h| per_word(h).abs()).collect());
    for sentence in explanation.sentences.iter().take(MOST_SENTENCES) {
        let strength = (per_word(sentence) / most).clamp(-1.0, 1.0);
        let colour = if strength >= 0.0 { "58,110,165" } else { "214,120,30" };
        let _ = write!(
            html,
            "<span style=\"background:rgba({colour},{:.2})\" title=\"{:+.5}\">{}</span> ",
            strength.abs() * 0.7,
            sentence.contribution,
            escaped(sentence.span.of(content))
        );
    }
    html.push_str("</p>");
    if explanation.sentences.len() > MOST_SENTENCES {
        let _ =
            write!(html, "<p>The first {MOST_SENTENCES} sentences of {}.</p>", explanation.sentences.len());
    }
}

/// What one sentence in twenty reaches: a short one with a rare word may stand
/// for a hundred times as much, and would leave all others white.
fn full_colour(mut sizes: Vec<f64>) -> f64 {
    sizes.sort_unstable_by(f64::total_cmp);
    let at = (sizes.len() * 19).div_ceil(20).saturating_sub(1);
    sizes.get(at).copied().unwrap_or_default().max(1e-12)
}

/// Names of a matrix that are shown.
const MOST_NAMES: usize = 40;

fn matrix(html: &mut String, matrix: &Matrix) {
    let last = matrix.names.len() - 1;
    let mut shown: Vec<usize> = (0..last).collect();
    shown.sort_by(|a, b| matrix.distances[last][*a].total_cmp(&matrix.distances[last][*b]));
    shown.truncate(MOST_NAMES);
    shown.push(last);
    let (cell, left) = (24, 180);
    let size = left + cell * shown.len();
    let _ = write!(html, "<svg width={size} height={} font-size=11>", cell * shown.len() + 8);
    for (y, i) in shown.iter().enumerate() {
        let name: String = matrix.names[*i].chars().take(28).collect();
        let _ = write!(
            html,
            "<text x={} y={} text-anchor=end>{}</text>",
            left - 6,
            y * cell + 16,
            escaped(&name)
        );
        for (x, j) in shown.iter().enumerate() {
            let distance = matrix.distances[*i][*j];
            let shade = (1.0 - distance / 2.0).clamp(0.0, 1.0);
            let _ = write!(
                html,
                "<rect x={} y={} width={cell} height={cell} fill=\"rgba(58,110,165,{shade:.2})\"><title>{} – {}: \
                {distance:.3}</title></rect>",
                left + x * cell,
                y * cell,
                escaped(&matrix.names[*i]),
                escaped(&matrix.names[*j])
            );
        }
    }
    html.push_str("</svg>");
}

/// Each axis from 0 to a value that few texts exceed.
fn radar(html: &mut String, f: &Features) {
    let axes = [
        ("sentence length", f.sentence_length / 50.0),
        ("unevenness", f.burstiness / 1.2),
        ("word length", f.word_length / 6.0),
        ("variety (MTLD)", f.mtld / 200.0),
        ("commas", f.commas / 0.15),
        ("semicolons", f.semicolons / 0.03),
        ("questions, exclamations", f.exclamations / 0.04),
        ("function words", f.function_words / 0.65),
        ("contractions", f.contractions / 0.06),
        ("first person", f.first_person / 0.1),
    ];
    let point = |i: usize, r: f64| {
        let angle = std::f64::consts::TAU * i as f64 / axes.len() as f64;
        (260.0 + 140.0 * r * angle.sin(), 180.0 - 140.0 * r * angle.cos())
    };
    html.push_str("<svg width=520 height=370 font-size=11>");
    for ring in [0.25, 0.5, 0.75, 1.0] {
        let points: Vec<String> =
            (0..axes.len()).map(|i| point(i, ring)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(html, "<polygon points=\"{}\" fill=none stroke=#ddd />", points.join(" "));
    }
    let points: Vec<String> = axes
        .iter()
        .enumerate()
        .map(|(i, (_, value))| point(i, value.clamp(0.0, 1.0)))
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let _ = write!(
        html,
        "<polygon points=\"{}\" fill=\"rgba(58,110,165,.35)\" stroke=#3a6ea5 />",
        points.join(" ")
    );
    for (i, (name, _)) in axes.iter().enumerate() {
        let (x, y) = point(i, 1.12);
        let anchor = if x > 265.0 {
            "start"
        } else if x < 255.0 {
            "end"
        } else {
            "middle"
        };
        let _ = write!(html, "<text x={x:.1} y={y:.1} text-anchor={anchor}>{name}</text>");
    }
    html.push_str("</svg>");
}

fn figures(html: &mut String, features: &Features) {
    html.push_str("<p>They say what the text is like, not who wrote it.</p><table>");
    if let Ok(serde_json::Value::Object(all)) = serde_json::to_value(features) {
        for (name, value) in all {
            let value = value.as_f64().unwrap_or_default();
            let shown = if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.4}") };
            let _ = write!(html, "<tr><td>{}<td class=n>{shown}</tr>", name.replace('_', " "));
        }
    }
    html.push_str("</table>");
}

/// Texts of a matrix that a page shows.
const MOST_GROUPED: usize = 120;

/// A corpus as a page: who stands where, the matrix in the order of the
/// dendrogram.
pub fn grouped_page(title: &str, found: &Grouped) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Style of {0}</title><style>{STYLE}</style>\
        <h1>Style of {0}</h1><p>{1} texts. Cosine Delta over their 500 most frequent words; darker is nearer.</p>",
        escaped(title),
        found.texts.len()
    );
    let order: Vec<usize> = found.order.iter().take(MOST_GROUPED).copied().collect();
    if order.len() < found.order.len() {
        let _ = write!(html, "<p class=w>The first {MOST_GROUPED} in order are shown.</p>");
    }
    grid(&mut html, found, &order);
    html.push_str("<h2>Texts</h2><table><tr><th>Group<th>Text<th>Words<th>Apart</tr>");
    for at in &order {
        let t = &found.texts[*at];
        let far = if t.apart > 3.5 { " class=w" } else { "" };
        let _ = write!(
            html,
            "<tr{far}><td class=n>{}<td>{}<td class=n>{}<td class=n>{:.1}</tr>",
            t.group,
            escaped(&t.text),
            t.words,
            t.apart
        );
    }
    html.push_str("</table><p>Above 3.5 a text stands apart from the others.</p></html>\n");
    html
}

fn grid(html: &mut String, found: &Grouped, order: &[usize]) {
    let (cell, left) = (14, 220);
    let size = left + cell * order.len();
    let _ = write!(html, "<svg width={size} height={} font-size=10>", cell * order.len() + 8);
    for (y, i) in order.iter().enumerate() {
        let name: String = found.texts[*i].text.chars().take(34).collect();
        let _ = write!(
            html,
            "<text x={} y={} text-anchor=end>{}</text>",
            left - 6,
            y * cell + 11,
            escaped(&name)
        );
        for (x, j) in order.iter().enumerate() {
            let distance = found.distances[*i][*j];
            let shade = (1.0 - distance / 2.0).clamp(0.0, 1.0);
            let _ = write!(
                html,
                "<rect x={} y={} width={cell} height={cell} fill=\"rgba(58,110,165,{shade:.2})\"><title>{} – {}: \
                {distance:.3}</title></rect>",
                left + x * cell,
                y * cell,
                escaped(&found.texts[*i].text),
                escaped(&found.texts[*j].text)
            );
        }
    }
    html.push_str("</svg>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loud_sentence_leaves_colour_to_the_others() {
        let mut sizes: Vec<f64> = (1..=99).map(f64::from).collect();
        sizes.push(9_000.0);
        assert_eq!(full_colour(sizes), 95.0);
        assert_eq!(full_colour(vec![2.0, 5.0]), 5.0);
        assert!(full_colour(vec![]) > 0.0);
    }
}
