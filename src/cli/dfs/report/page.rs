//! The report's page: what was said beside what happened.

use std::fmt::Write as _;

use models_fantasy::backtest::Summary;
use models_fantasy::measure::Bin;
use models_fantasy::project::LEVELS;

use super::svg::{Plot, escaped};

/// What is told.
pub struct Page {
    pub model: String,
    /// Where the predictions come from.
    pub source: String,
    /// By group; seasons among them are four digits.
    pub groups: Vec<(String, Summary)>,
    pub bins: Vec<Bin>,
    /// Expected and actual place of every car.
    pub cars: Vec<(f64, f64)>,
    /// Part of the finishes at or below each of [`LEVELS`].
    pub below: [f64; LEVELS.len()],
    /// Whether recent finishes were compared too.
    pub recency: bool,
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td,th{padding:.2rem .6rem;text-align:right}\
td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f4f4f4}.plots{display:grid;grid-template-columns:1fr 1fr;gap:1rem}\
figure{margin:0}figcaption{font-size:.9rem;color:#555}svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#555}\
svg .x{text-anchor:middle}svg .y{text-anchor:end}.frame{fill:none;stroke:#bbb}.grid{stroke:#e5e5e5}.even{fill:none;stroke:#999;stroke-dasharray:4 3}\
.seen{fill:#1f5fa8;fill-opacity:.8}.car{fill:#1f5fa8;fill-opacity:.12}.mean{fill:none;stroke:#b3401f;stroke-width:2}\
.range{fill:#b3401f;fill-opacity:.12}.model{fill:#1f5fa8}.start{fill:#999}.recent{fill:#d59a2b}.ci{fill:none;stroke:#1f5fa8;stroke-width:2}\
@media(max-width:700px){.plots{grid-template-columns:1fr}}";

impl Page {
    pub fn html(&self) -> String {
        let mut html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style></head><body><h1>{0}</h1><p>{1}</p>",
            escaped(&format!("How good {} is", self.model)),
            escaped(&self.source)
        );
        html.push_str(&self.table());
        html.push_str("<div class=\"plots\">");
        let plots = [
            (
                self.reliability(),
                "Pairs of cars: the chance that was said to the better-rated one, and how often it was ahead.",
            ),
            (
                self.levels(),
                "Quantiles of the finish: the level that was said, and the part of the finishes below.",
            ),
            (
                self.cars(),
                "Every car: expected and actual place. The line is the mean, the band holds four of five.",
            ),
            (
                self.seasons(),
                if self.recency {
                    "Spearman's correlation with the finish by season, with a 90 % interval; grey is the grid's, yellow that of recent finishes."
                } else {
                    "Spearman's correlation with the finish by season, with a 90 % interval; grey is the grid's."
                },
            ),
        ];
        for (svg, caption) in plots {
            let _ = write!(html, "<figure>{svg}<figcaption>{}</figcaption></figure>", escaped(caption));
        }
        html.push_str("</div></body></html>\n");
        html
    }

    fn table(&self) -> String {
        let mut table = String::from(
            "<table><tr><th></th><th>races</th><th>rho</th><th>90 %</th><th>grid</th><th>recent</th><th>Brier</th><th>slope</th><th>50 %</th><th>80 %</th><th>CRPS</th></tr>",
        );
        for (group, s) in &self.groups {
            let recent = if self.recency { format!("{:.3}", s.rho_recency) } else { "–".into() };
            let slope = s.slope.map_or("–".to_owned(), |slope| format!("{slope:.2}"));
            let _ = write!(
                table,
                "<tr><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}–{:.3}</td><td>{:.3}</td><td>{recent}</td><td>{:.4}</td><td>{slope}</td><td>{:.1}</td><td>{:.1}</td><td>{:.2}</td></tr>",
                escaped(group),
                s.races,
                s.rho.value,
                s.rho.low,
                s.rho.high,
                s.rho_start,
                s.brier.value,
                s.within_50 * 100.0,
                s.within_80 * 100.0,
                s.crps
            );
        }
        table.push_str("</table>");
        table
    }

    fn reliability(&self) -> String {
        let mut plot = Plot::new([0.5, 1.0], [0.3, 1.0], ["said", "seen"], [5, 7]);
        plot.line(&[(0.5, 0.5), (1.0, 1.0)], "even");
        let most = self.bins.iter().map(|bin| bin.pairs).fold(1.0, f64::max);
        for bin in &self.bins {
            let title = format!("{:.0} pairs: said {:.3}, seen {:.3}", bin.pairs, bin.said, bin.seen);
            let seen = bin.seen.clamp(0.3, 1.0);
            plot.dot((bin.said, seen), 3.0 + 7.0 * (bin.pairs / most).sqrt(), "seen", &title);
        }
        plot.svg("Reliability of pairs")
    }

    fn levels(&self) -> String {
        let mut plot = Plot::new([0.0, 1.0], [0.0, 1.0], ["said", "seen"], [5, 5]);
        plot.line(&[(0.0, 0.0), (1.0, 1.0)], "even");
        for (level, below) in LEVELS.iter().zip(self.below) {
            plot.dot((*level, below), 5.0, "seen", &format!("{level}: {below:.3}"));
        }
        plot.svg("Levels of the quantiles")
    }

    fn cars(&self) -> String {
        let tens = self.cars.iter().map(|(said, was)| said.max(*was) / 10.0).fold(1.0, f64::max).ceil();
        let (most, tens) = (10.0 * tens, tens as usize);
        let mut plot = Plot::new([0.0, most], [0.0, most], ["expected place", "place"], [tens, tens]);
        // As many as a page can draw.
        let step = self.cars.len().div_ceil(2_500).max(1);
        for (said, was) in self.cars.iter().step_by(step) {
            plot.dot((*said, *was), 2.0, "car", "");
        }
        let (mut low, mut mean, mut high) = (Vec::new(), Vec::new(), Vec::new());
        let mut sorted = self.cars.clone();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        for part in sorted.chunks(sorted.len().div_ceil(15).max(1)) {
            let count = part.len() as f64;
            let at = part.iter().map(|(said, _)| said).sum::<f64>() / count;
            let mut was: Vec<f64> = part.iter().map(|(_, was)| *was).collect();
            was.sort_by(f64::total_cmp);
            low.push((at, was[was.len() / 10]));
            high.push((at, was[was.len() - 1 - was.len() / 10]));
            mean.push((at, was.iter().sum::<f64>() / count));
        }
        plot.band(&low, &high, "range");
        plot.line(&mean, "mean");
        plot.line(&[(1.0, 1.0), (most, most)], "even");
        plot.svg("Expected and actual place")
    }

    fn seasons(&self) -> String {
        let year = |group: &str| group.parse::<f64>().ok();
        let seasons: Vec<(f64, &Summary)> =
            self.groups.iter().filter_map(|(group, s)| Some((year(group)?, s))).collect();
        let first = seasons.iter().map(|(year, _)| *year).fold(f64::INFINITY, f64::min).min(9_999.0);
        let last = seasons.iter().map(|(year, _)| *year).fold(first, f64::max);
        let mut plot = Plot::new(
            [first - 1.0, last + 1.0],
            [-0.2, 1.0],
            ["season", "rho"],
            [(last - first) as usize + 2, 6],
        );
        for (year, s) in &seasons {
            let bound = |rho: f64| rho.clamp(-0.2, 1.0);
            plot.line(&[(*year, bound(s.rho.low)), (*year, bound(s.rho.high))], "ci");
            plot.dot((year + 0.15, bound(s.rho_start)), 4.0, "start", &format!("grid {:.3}", s.rho_start));
            if self.recency {
                plot.dot(
                    (year + 0.3, bound(s.rho_recency)),
                    4.0,
                    "recent",
                    &format!("recent {:.3}", s.rho_recency),
                );
            }
            plot.dot((*year, bound(s.rho.value)), 5.0, "model", &format!("{year}: {:.3}", s.rho.value));
        }
        if seasons.is_empty() {
            plot.text((first, 0.4), "x", "no season");
        }
        plot.svg("Correlation by season")
    }
}
