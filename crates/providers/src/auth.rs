//! How a workspace's webhooks are authenticated. The provider defines the document; the store keeps it sealed.
//!
//! Invariant: a replaced key is valid until its `until_ms`, and never after.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The keys that may sign webhooks, newest first.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookAuth {
    /// The keys.
    pub keys: Vec<WebhookKey>,
}

/// A key that may sign webhooks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookKey {
    /// The key.
    pub key: String,
    /// When a replaced key expires, in milliseconds since 1970; `None` for the current key.
    pub until_ms: Option<i64>,
}

/// A stored document; earlier versions stored the bare list of keys.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Auth(WebhookAuth),
    Keys(Vec<WebhookKey>),
}

impl WebhookAuth {
    /// A document with one key.
    pub fn of_key(key: &str) -> Self {
        Self { keys: vec![WebhookKey { key: key.to_owned(), until_ms: None }] }
    }

    /// Reads a stored document.
    pub fn from_stored(document: &[u8]) -> Option<Self> {
        match serde_json::from_slice(document).ok()? {
            Stored::Auth(auth) => Some(auth),
            Stored::Keys(keys) => Some(Self { keys }),
        }
    }

    /// The document to store.
    pub fn to_stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Keeps only the keys that are valid at `now`.
    #[must_use]
    pub fn valid_at(mut self, now: Timestamp) -> Self {
        self.keys.retain(|key| key.until_ms.is_none_or(|until| until > now.as_millisecond()));
        self
    }

    /// Puts `new` first; the keys that are valid now stay valid until `until`, at the latest.
    pub fn replace(&mut self, new: &str, now: Timestamp, until: Timestamp) {
        let mut keys = std::mem::take(self).valid_at(now).keys;
        keys.retain(|known| known.key != new);
        for old in &mut keys {
            old.until_ms = Some(old.until_ms.unwrap_or(until.as_millisecond()));
        }
        keys.insert(0, WebhookKey { key: new.to_owned(), until_ms: None });
        self.keys = keys;
    }

    /// The bytes of each key.
    pub fn key_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|key| key.key.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("a time")
    }

    fn keys(auth: &WebhookAuth) -> Vec<(&str, Option<i64>)> {
        auth.keys.iter().map(|key| (key.key.as_str(), key.until_ms)).collect()
    }

    #[test]
    fn a_replaced_key_counts_until_its_time_and_never_again() {
        let mut auth = WebhookAuth::of_key("first");
        auth.replace("second", at(10), at(100));
        assert_eq!(keys(&auth), [("second", None), ("first", Some(100))]);
        auth.replace("third", at(50), at(150));
        assert_eq!(keys(&auth), [("third", None), ("second", Some(150)), ("first", Some(100))]);
        assert_eq!(keys(&auth.clone().valid_at(at(99))).len(), 3);
        assert_eq!(keys(&auth.clone().valid_at(at(100))), [("third", None), ("second", Some(150))]);
        auth.replace("second", at(120), at(220));
        assert_eq!(keys(&auth), [("second", None), ("third", Some(220))], "it is the newest again");
    }

    #[test]
    fn a_stored_document_may_be_the_bare_list_of_earlier_versions() {
        let auth = WebhookAuth::of_key("key");
        assert_eq!(WebhookAuth::from_stored(&auth.to_stored()).map(|a| a.keys.len()), Some(1));
        let bare = br#"[{"key":"key","until_ms":null},{"key":"old","until_ms":7}]"#;
        let read = WebhookAuth::from_stored(bare).expect("read");
        assert_eq!(keys(&read), [("key", None), ("old", Some(7))]);
        assert!(WebhookAuth::from_stored(b"7").is_none());
    }
}
