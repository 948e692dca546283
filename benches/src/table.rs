//! How results are printed.

/// One line of a result. `peer` is what we are measured against.
pub struct Line {
    pub bench: &'static str,
    pub case: String,
    pub ours: f64,
    pub peer: &'static str,
    /// NaN if there is no peer.
    pub peer_value: f64,
    pub unit: &'static str,
    pub runs: usize,
}

impl Line {
    fn ratio(&self) -> f64 {
        self.ours / self.peer_value
    }
}

pub fn print(lines: &[Line], json: bool) {
    if json {
        for line in lines {
            let object = serde_json::json!({
                "bench": line.bench,
                "case": line.case,
                "ours": line.ours,
                "peer": line.peer,
                "peer_value": line.peer_value,
                "ratio": line.ratio(),
                "unit": line.unit,
                "runs": line.runs,
            });
            println!("{object}");
        }
        return;
    }
    println!("{:<60} {:>10} {:>10} {:>6}  unit, peer", "case", "ours", "peer", "ratio");
    for line in lines {
        let (peer, ratio) = if line.peer_value.is_nan() {
            ("-".to_owned(), "-".to_owned())
        } else {
            (format!("{:.1}", line.peer_value), format!("{:.2}", line.ratio()))
        };
        println!("{:<60} {:>10.1} {peer:>10} {ratio:>6}  {}, {}", line.case, line.ours, line.unit, line.peer);
    }
}

/// The middle of the values; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
