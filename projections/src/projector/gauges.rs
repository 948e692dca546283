//! Position, lag, rate and time to go of a projector, as metrics and on the
//! board.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::board::Progress;

const EVERY: Duration = Duration::from_secs(1);

pub struct Gauges {
    projection: &'static str,
    generation: String,
    progress: Arc<Progress>,
    last: Instant,
    last_position: u64,
    rate: f64,
}

impl Gauges {
    pub fn new(projection: &'static str, generation: u32, progress: Arc<Progress>, position: u64) -> Self {
        let generation = generation.to_string();
        Self { projection, generation, progress, last: Instant::now(), last_position: position, rate: 0.0 }
    }

    /// Whether it is time to measure again.
    pub fn due(&self) -> bool {
        self.last.elapsed() >= EVERY
    }

    pub fn measure(&mut self, position: u64, head: u64) {
        let elapsed = self.last.elapsed().as_secs_f64().max(0.001);
        let moved = position.saturating_sub(self.last_position) as f64 / elapsed;
        // Half the weight on the last second.
        self.rate = if self.rate == 0.0 { moved } else { (self.rate + moved) / 2.0 };
        self.last = Instant::now();
        self.last_position = position;
        let rate = self.rate;
        self.progress.set(|a| {
            a.rate = rate;
            a.error = None;
        });
        let lag = head.saturating_sub(position) as f64;
        let gauge = |name: &'static str| metrics::gauge!(name, "projection" => self.projection, "generation" => self.generation.clone());
        gauge("daybook_projection_position").set(position as f64);
        gauge("daybook_projection_lag").set(lag);
        gauge("daybook_projection_rate").set(rate);
        let eta = if lag == 0.0 { 0.0 } else { lag / rate.max(0.001) };
        gauge("daybook_projection_eta_seconds").set(eta);
    }

    pub fn batch(&self, events: usize, parked: usize) {
        metrics::counter!("daybook_projection_events_total", "projection" => self.projection)
            .increment(events as u64);
        if parked > 0 {
            metrics::counter!("daybook_projection_parked_total", "projection" => self.projection)
                .increment(parked as u64);
        }
    }
}
