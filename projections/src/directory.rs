//! What the directories share: the version of an aggregate, which its commands
//! take in `If-Match`.

use domain::RecordedEvent;

use crate::projection::ApplyError;

/// A row is one aggregate's; its events come one after the other.
pub fn advance(version: &mut u64, event: &RecordedEvent) -> Result<(), ApplyError> {
    if event.version != *version + 1 {
        let reason = format!("{} is at version {version}, the event is {}", event.stream, event.version);
        return Err(ApplyError::Event(reason));
    }
    *version = event.version;
    Ok(())
}
