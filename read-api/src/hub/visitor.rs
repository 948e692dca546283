//! Visitors without their addresses: a hash of address and user agent, keyed
//! with a salt that is random for each UTC day and overwritten on the next, so
//! that nobody, not even we, can tell afterwards who it was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

const SALT_BYTES: usize = 32;
const DAY_MICROS: i64 = 86_400_000_000;

pub struct Visitors {
    /// `None`: the salt is kept in memory only.
    path: Option<PathBuf>,
    today: RwLock<Arc<Day>>,
    changing: Mutex<()>,
}

struct Day {
    /// Days since 1970 in UTC.
    number: i64,
    keyed: Hmac<Sha256>,
}

impl Visitors {
    /// Takes the day's salt from the file if it holds one, else a new one.
    pub fn open(path: &Path, now: Timestamp) -> io::Result<Self> {
        let number = day_of(now);
        let salt = match read_salt(path)? {
            Some((day, salt)) if day == number => salt,
            _ => renew(path, number)?,
        };
        Ok(Self::starting(Some(path.to_owned()), number, &salt))
    }

    /// Without a file; a restart counts visitors anew.
    pub fn in_memory(now: Timestamp) -> Self {
        Self::starting(None, day_of(now), &rand::random())
    }

    fn starting(path: Option<PathBuf>, number: i64, salt: &[u8; SALT_BYTES]) -> Self {
        let today = RwLock::new(Arc::new(Day { number, keyed: keyed(salt) }));
        Self { path, today, changing: Mutex::new(()) }
    }

    /// 32 hex digits.
    pub fn hash(&self, address: IpAddr, user_agent: &str, now: Timestamp) -> String {
        let mut mac = self.day(day_of(now)).keyed.clone();
        match address.to_canonical() {
            IpAddr::V4(v4) => mac.update(&v4.octets()),
            IpAddr::V6(v6) => mac.update(&v6.octets()),
        }
        mac.update(&[0]);
        mac.update(user_agent.as_bytes());
        let mut digits = [0; 32];
        // 16 bytes are 32 digits, which are UTF-8.
        let _ = hex::encode_to_slice(&mac.finalize().into_bytes()[..16], &mut digits);
        std::str::from_utf8(&digits).unwrap_or_default().to_owned()
    }

    fn day(&self, number: i64) -> Arc<Day> {
        let known = self.today.read().unwrap_or_else(PoisonError::into_inner).clone();
        // A clock that went back a little stays on the newer day.
        if known.number >= number { known } else { self.begin(number) }
    }

    fn begin(&self, number: i64) -> Arc<Day> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.today.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.number >= number {
            return known;
        }
        let renewed = self.path.as_deref().map(|path| renew(path, number));
        let salt = match renewed {
            Some(Ok(salt)) => salt,
            Some(Err(error)) => {
                tracing::warn!(%error, "hub: the visitor salt cannot be stored; it is kept in memory");
                rand::random()
            }
            None => rand::random(),
        };
        let day = Arc::new(Day { number, keyed: keyed(&salt) });
        *self.today.write().unwrap_or_else(PoisonError::into_inner) = day.clone();
        day
    }
}

fn day_of(now: Timestamp) -> i64 {
    now.as_microsecond().div_euclid(DAY_MICROS)
}

fn keyed(salt: &[u8; SALT_BYTES]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(salt).expect("a key of 32 bytes")
}

/// The file holds the day's number and the salt in hex.
fn read_salt(path: &Path) -> io::Result<Option<(i64, [u8; SALT_BYTES])>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(256).read_to_string(&mut text)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut words = text.split_whitespace();
    let day = words.next().and_then(|w| w.parse().ok());
    let mut salt = [0; SALT_BYTES];
    let whole = words.next().is_some_and(|w| hex::decode_to_slice(w, &mut salt).is_ok());
    Ok(day.filter(|_| whole).map(|day| (day, salt)))
}

/// Writes a new salt over the old one, in place.
fn renew(path: &Path, number: i64) -> io::Result<[u8; SALT_BYTES]> {
    let salt: [u8; SALT_BYTES] = rand::random();
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.rewind()?;
    let text = format!("{number} {}\n", hex::encode(salt));
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_all()?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_salt_lasts_for_its_day_and_is_gone_after_it() {
        let folder = std::env::temp_dir().join(format!("daybook-salt-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("salt");
        let monday: Timestamp = "2026-05-04T23:59:59.999999Z".parse().unwrap();
        let tuesday: Timestamp = "2026-05-05T00:00:00Z".parse().unwrap();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();

        let visitors = Visitors::open(&path, monday).unwrap();
        let first = visitors.hash(address, "agent", monday);
        assert_eq!(first.len(), 32);
        assert_eq!(visitors.hash(mapped, "agent", monday), first);
        assert_ne!(visitors.hash(address, "other", monday), first);
        let old = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let again = Visitors::open(&path, monday).unwrap();
        assert_eq!(again.hash(address, "agent", monday), first);
        assert_ne!(again.hash(address, "agent", tuesday), first);
        assert_ne!(std::fs::read_to_string(&path).unwrap(), old);
        let next_day = Visitors::open(&path, tuesday).unwrap();
        assert_eq!(next_day.hash(address, "agent", tuesday), again.hash(address, "agent", tuesday));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
