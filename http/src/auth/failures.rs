//! Counts failed authentications, in bounded memory.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

const SLOTS: usize = 4_096;
const WINDOW_SECONDS: i64 = 60;

/// How often addresses failed in the running minute. Addresses share slots by
/// a random hash: there may be any number of them.
pub struct Failures {
    limit: u32,
    hasher: RandomState,
    slots: Vec<Mutex<Slot>>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    window: i64,
    count: u32,
}

impl Failures {
    /// Refuses an address after `limit` failures in a minute.
    pub fn new(limit: u32) -> Self {
        let slots = (0..SLOTS).map(|_| Mutex::default()).collect();
        Self { limit, hasher: RandomState::new(), slots }
    }

    pub fn record(&self, address: IpAddr, now: Timestamp) {
        self.with_slot(address, now, |slot| slot.count = slot.count.saturating_add(1));
    }

    /// Seconds until this address may try again, if it may not now.
    pub fn refused_for(&self, address: IpAddr, now: Timestamp) -> Option<u32> {
        let count = self.with_slot(address, now, |slot| slot.count);
        let left = WINDOW_SECONDS - now.as_second().rem_euclid(WINDOW_SECONDS);
        (count >= self.limit).then(|| u32::try_from(left).unwrap_or(1))
    }

    fn with_slot<T>(&self, address: IpAddr, now: Timestamp, work: impl FnOnce(&mut Slot) -> T) -> T {
        let index = self.hasher.hash_one(network(address)) as usize % SLOTS;
        // A slot is plain numbers: a panic cannot leave it half written.
        let mut slot = self.slots[index].lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.as_second().div_euclid(WINDOW_SECONDS);
        if slot.window != window {
            *slot = Slot { window, count: 0 };
        }
        work(&mut slot)
    }
}

/// IPv6 hosts commonly own a /64 and can use every address in it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}
