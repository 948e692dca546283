//! The best lineups of a slate, exactly; portfolios whose exposures hold over
//! all lineups together; contests against a drawn field.
//!
//! A slate of a race is small: 40 drivers have 3.8 million lineups of six. The
//! search visits what can still be among the best and nothing else, so its
//! answer is exact for every objective that adds up over drivers. What doesn't
//! add up (a quantile of the lineup, a place in a contest) is computed on drawn
//! races for thousands of the best by mean and by upside, and the best of those
//! are told: see [`contest`].

mod branch;
pub mod clash;
pub mod contest;
pub mod limits;
pub mod payout;
pub mod portfolio;
mod program;
pub mod search;

pub use clash::Clash;
pub use limits::{Exposure, Group, Limits};
pub use payout::Contest;
pub use portfolio::{Portfolio, portfolio};
pub use search::{Lineup, best};

/// Most drivers of a slate; sets of them are bits of a word.
pub const MOST: usize = 64;

/// A driver who can be picked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Player {
    /// [`crate::name::key`] of the driver.
    pub driver: String,
    /// Dollars.
    pub salary: u32,
    /// The team, where known.
    pub team: Option<String>,
    /// Make of the car.
    pub make: Option<String>,
}

/// Who can be picked, and by what frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Slate {
    /// At most [`MOST`].
    pub players: Vec<Player>,
    /// Drivers in a lineup.
    pub roster: usize,
    /// Most that a lineup may cost.
    pub cap: u32,
}

/// A slate or its limits that cannot be meant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// More drivers than a word has bits.
    #[error("a slate has at most {MOST} drivers, this one {0}")]
    TooMany(usize),
    /// A driver stands twice.
    #[error("{0} stands twice")]
    Twice(String),
    /// Below $1,000: most likely thousands, or missing. Above $100,000: cents.
    #[error("a salary of ${salary} for {driver} cannot be meant")]
    Salary {
        /// Whose.
        driver: String,
        /// Dollars.
        salary: u32,
    },
    /// A limit names somebody who is not there.
    #[error("{0} is not in the slate")]
    Unknown(String),
    /// A limit is no number that it could be.
    #[error("{0}")]
    Limit(String),
    /// The limits contradict one another.
    #[error(transparent)]
    Clash(#[from] Clash),
}

impl Slate {
    /// Checks names and salaries.
    pub fn check(&self) -> Result<(), Wrong> {
        if self.players.len() > MOST {
            return Err(Wrong::TooMany(self.players.len()));
        }
        for (i, player) in self.players.iter().enumerate() {
            if self.players[..i].iter().any(|p| p.driver == player.driver) {
                return Err(Wrong::Twice(player.driver.clone()));
            }
            if !(1_000..=100_000).contains(&player.salary) {
                return Err(Wrong::Salary { driver: player.driver.clone(), salary: player.salary });
            }
        }
        Ok(())
    }

    /// The place of a driver in the slate.
    pub fn find(&self, driver: &str) -> Result<usize, Wrong> {
        let found = self.players.iter().position(|p| p.driver == driver);
        found.ok_or_else(|| Wrong::Unknown(driver.to_owned()))
    }
}
