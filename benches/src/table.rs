//! How results are printed.

/// One line of a result. `peer` is what we are measured against.
pub struct Line {
    pub bench: &'static str,
    pub case: String,
    pub ours: f64,
    pub peer: &'static str,
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
    println!("{:<44} {:>12} {:>12} {:>7}  {}", "case", "ours", "peer", "ratio", "unit, peer");
    for line in lines {
        println!(
            "{:<44} {:>12.1} {:>12.1} {:>7.2}  {}, {}",
            line.case,
            line.ours,
            line.peer_value,
            line.ratio(),
            line.unit,
            line.peer
        );
    }
}

/// The middle of the values; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
