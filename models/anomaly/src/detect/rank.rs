//! How rare a quantity is in the history of its own series.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

const BLOCK: usize = 24;
const BLOCKS: usize = 200;
const WARM: usize = 150;
/// How much a record may count for exceeding the record before it, in
/// natural logarithms.
const BEYOND: f64 = 1.5;

/// The rank of a quantity among the largest values of past blocks of 24
/// points, the last 200 of them. Blocks, because one unusual stretch is one
/// event however many points it has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TailRank {
    blocks: VecDeque<f64>,
    largest: f64,
    in_block: usize,
    seen: usize,
}

impl TailRank {
    /// 0 for the most ordinary, about 1 for the largest in a full history,
    /// more if it exceeds that. Quantities are not negative.
    pub fn push(&mut self, quantity: f64) -> f64 {
        let score = if self.seen >= WARM && self.blocks.len() > 3 { self.rank(quantity) } else { 0.0 };
        self.seen += 1;
        self.largest = self.largest.max(quantity);
        self.in_block += 1;
        if self.in_block == BLOCK {
            if self.blocks.len() == BLOCKS {
                self.blocks.pop_front();
            }
            self.blocks.push_back(self.largest);
            self.largest = 0.0;
            self.in_block = 0;
        }
        score
    }

    fn rank(&self, quantity: f64) -> f64 {
        let all = || self.blocks.iter().copied().chain([self.largest]);
        let above = all().filter(|b| *b >= quantity).count();
        let mut score = ((self.blocks.len() + 1) as f64 / (above + 1) as f64).ln().max(0.0);
        let record = all().fold(0.0, f64::max);
        if above == 0 && record > 0.0 {
            score += (quantity / record).ln().min(BEYOND);
        }
        score / (BLOCKS as f64).ln()
    }
}
