//! Bytes that follow each other, on their way into a file.
//!
//! Invariant: what is held is one piece without a gap; what has been handed on, or could not be, is not held any more.

/// The most that is held. SQLite's layer for Unix takes what is 128 KB or more for a full disk.
const ROOM: usize = 64 << 10;

/// One piece of a file, not yet written.
#[derive(Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    at: i64,
}

impl Pending {
    /// Holds these too, if they come right behind what is held and there is room.
    pub(crate) fn take(&mut self, at: i64, bytes: &[u8]) -> bool {
        let held = self.bytes.len();
        let follows =
            held == 0 || i64::try_from(held).is_ok_and(|held| self.at.checked_add(held) == Some(at));
        if !follows || held + bytes.len() > ROOM {
            return false;
        }
        if held == 0 {
            self.at = at;
        }
        self.bytes.extend_from_slice(bytes);
        true
    }

    /// Hands all of it to `write`, if there is any. Whatever comes of it, nothing is held afterwards: SQLite was told
    /// that these bytes are written, and takes back the transaction they belong to once it is told otherwise.
    pub(crate) fn hand_on(&mut self, write: impl FnOnce(i64, &[u8]) -> i32) -> i32 {
        let outcome =
            if self.bytes.is_empty() { rusqlite::ffi::SQLITE_OK } else { write(self.at, &self.bytes) };
        self.bytes.clear();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_on(pending: &mut Pending) -> Option<(i64, Vec<u8>)> {
        let mut told = None;
        pending.hand_on(|at, bytes| {
            told = Some((at, bytes.to_vec()));
            7
        });
        told
    }

    #[test]
    fn what_follows_is_held_and_what_does_not_is_refused() {
        let mut pending = Pending::default();
        assert!(pending.take(32, b"ab") && pending.take(34, b"c"));
        assert!(!pending.take(34, b"d") && !pending.take(36, b"d") && !pending.take(0, b"d"));
        assert_eq!(handed_on(&mut pending), Some((32, b"abc".to_vec())));
        assert_eq!(handed_on(&mut pending), None);
        assert!(pending.take(0, b"e"));
    }

    #[test]
    fn there_is_an_end_to_what_is_held() {
        let mut pending = Pending::default();
        assert!(pending.take(0, &vec![0; ROOM - 1]));
        assert!(!pending.take(ROOM as i64 - 1, b"ab") && pending.take(ROOM as i64 - 1, b"a"));
        handed_on(&mut pending);
        assert!(!pending.take(0, &vec![0; ROOM + 1]), "more than there is room for is written at once");
    }
}
