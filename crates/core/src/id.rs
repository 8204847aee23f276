//! Typed ids: `Id<Callback>` and `Id<Agent>` do not mix.
//!
//! Stored as a UUIDv7, which is time-ordered, so rows created together are stored together. Shown as a prefix and 26
//! letters of Crockford's base 32. An id is not a secret and grants nothing.

use std::{cmp::Ordering, fmt, hash, marker::PhantomData, str::FromStr};

use uuid::Uuid;

use crate::{Timestamp, rng::Rng};

/// A kind of entity that has ids.
pub trait Noun {
    /// The prefix of its ids, underscore included.
    const PREFIX: &'static str;
}

macro_rules! nouns {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Noun for $name { const PREFIX: &'static str = $prefix; }
    )*};
}

nouns! {
    /// A billing account.
    Tenant = "tn_",
    /// One provider account.
    Workspace = "ws_",
    /// One voice or chat agent.
    Agent = "ag_",
    /// One scheduled outbound dial.
    Callback = "cb_",
    /// All callbacks for one caller. Its id equals the id of its first callback, so it has the same prefix.
    Chain = "cb_",
    /// One verified webhook.
    InboundEvent = "dl_",
    /// One attempt at the provider.
    Dispatch = "dp_",
    /// An API key of redialer.
    Key = "key_",
    /// One audit event, by its number in the tenant's audit log.
    AuditEvent = "au_",
    /// A person who can sign in.
    Member = "mb_",
    /// One line of the activity feed about an exception to normal processing.
    Notice = "nt_",
    /// One number that must not be called.
    Suppression = "sp_",
}

/// The id of one `T`.
pub struct Id<T> {
    uuid: Uuid,
    noun: PhantomData<fn() -> T>,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LETTERS: usize = 26;

impl<T> Id<T> {
    /// A new id: a timestamp followed by 74 random bits.
    pub fn new(now: Timestamp, rng: &Rng) -> Self {
        Self::with_tail(now, &rng.bytes::<10>())
    }

    /// An id derived from another id, a mark and a time in milliseconds, so that inserting the same record twice gives
    /// one row.
    pub fn derived(of: Uuid, mark: impl IntoIterator<Item = u8>, now: Timestamp) -> Self {
        let mut tail = [0; 10];
        tail.copy_from_slice(&of.as_bytes()[6..]);
        for (byte, mark) in tail.iter_mut().zip(mark) {
            *byte ^= mark;
        }
        Self::with_tail(now, &tail)
    }

    fn with_tail(now: Timestamp, tail: &[u8; 10]) -> Self {
        let ms = now.as_millisecond().clamp(0, (1 << 48) - 1) as u64;
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(ms, tail).into_uuid())
    }

    /// Wraps a stored UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, noun: PhantomData }
    }

    /// The creation time in the id, to the millisecond. Meaningful only for ids from [`Self::new`] and
    /// [`Self::derived`]; the epoch if it is out of range.
    pub fn created_at(self) -> Timestamp {
        let ms = self.uuid.as_u128() >> 80;
        i64::try_from(ms).ok().and_then(crate::time::from_ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The UUID to store.
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl Id<Callback> {
    /// The chain that begins with this callback.
    pub const fn as_root(self) -> Id<Chain> {
        Id::from_uuid(self.uuid)
    }
}

impl<T: Noun> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.uuid.as_u128();
        let text: String =
            (0..LETTERS).rev().map(|i| ALPHABET[(n >> (5 * i)) as usize & 31] as char).collect();
        write!(f, "{}{text}", T::PREFIX)
    }
}

/// Text that is not an id of the expected kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an id of the form `{0}…`")]
pub struct BadId(pub &'static str);

impl<T: Noun> FromStr for Id<T> {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let letters = text.strip_prefix(T::PREFIX).filter(|l| l.len() == LETTERS).ok_or(BadId(T::PREFIX))?;
        let mut n: u128 = 0;
        for (i, letter) in letters.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|a| *a == letter).ok_or(BadId(T::PREFIX))?;
            // 26 letters hold 130 bits, so the upper two bits of the first letter must be zero.
            if i == 0 && digit > 7 {
                return Err(BadId(T::PREFIX));
            }
            n = n << 5 | digit as u128;
        }
        Ok(Self::from_uuid(Uuid::from_u128(n)))
    }
}

// Derives would require the same traits of `T`, which never exists as a value.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<T> hash::Hash for Id<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<T: Noun> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_being_shown_and_names_its_noun() {
        let id: Id<Callback> = Id::new(Timestamp::UNIX_EPOCH, &Rng::seeded([1; 32]));
        let shown = id.to_string();
        assert!(shown.starts_with("cb_") && shown.len() == 29);
        assert_eq!(shown.parse(), Ok(id));
        assert_eq!(shown.parse::<Id<Agent>>(), Err(BadId("ag_")));
    }

    #[test]
    fn ids_made_later_sort_later() {
        let rng = Rng::seeded([1; 32]);
        let at = |ms| Id::<Callback>::new(Timestamp::from_millisecond(ms).expect("in range"), &rng);
        assert_eq!(at(1_000).created_at().as_millisecond(), 1_000);
        assert!(at(1_000) < at(2_000));
        assert!(at(1_000).to_string() < at(2_000).to_string());
    }

    #[test]
    fn stray_text_is_no_id() {
        for text in ["", "cb_", "cb_zzzzzzzzzzzzzzzzzzzzzzzzzz", "cb_0000000000000000000000000u", "cb_é"] {
            assert!(text.parse::<Id<Callback>>().is_err(), "{text}");
        }
    }
}
