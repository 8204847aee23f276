//! JSON of strangers, read leniently.
//!
//! Invariants: a field of the wrong type is an absent field; of a repeated key the last one counts, as in
//! the `JSON.parse` most senders use; nothing recurses, so depth cannot exhaust the stack.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

/// One object, its values still unread.
#[derive(Default)]
pub(crate) struct Object<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads an object; `None` for any other JSON.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Keyed<'a>(#[serde(borrow)] HashMap<Text<'a>, &'a RawValue>);
        #[derive(Deserialize, PartialEq, Eq, Hash)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let Keyed(map) = serde_json::from_str(text).ok()?;
        Some(Self(map.into_iter().map(|(Text(key), value)| (key, value)).collect()))
    }

    /// The value of `key` where it is a `T`; absent, null and other types are `None`.
    pub(crate) fn get<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        serde_json::from_str::<Option<T>>(self.0.get(key)?.get()).ok().flatten()
    }

    /// The text of `key` where it is a string that is not blank.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get::<String>(key).filter(|s| !s.trim().is_empty())
    }

    /// The object behind `key`.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        Object::parse(self.0.get(key)?.get())
    }

    /// The objects of the list behind `key`; members of other types are passed over.
    pub(crate) fn objects(&self, key: &str) -> Vec<Object<'a>> {
        let list: Vec<&'a RawValue> = self.get(key).unwrap_or_default();
        list.into_iter().filter_map(|raw| Object::parse(raw.get())).collect()
    }

    /// The raw text of `key`.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|raw| raw.get())
    }

    /// Every member, values as raw text.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(key, raw)| (key.as_ref(), raw.get()))
    }
}

/// Whether `text` is JSON at all.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_repeated_key_counts_and_wrong_types_are_absent() {
        let object = Object::parse(r#"{"a":1,"a":2,"b":"x","c":null,"\u0064":" "}"#).expect("an object");
        assert_eq!(object.get::<u32>("a"), Some(2));
        assert_eq!(object.get::<u32>("b"), None);
        assert_eq!(object.get::<u32>("c"), None);
        assert_eq!(object.text("b").as_deref(), Some("x"));
        assert_eq!(object.text("d"), None);
    }

    #[test]
    fn depth_cannot_exhaust_the_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Object::parse(&deep).is_some());
        assert!(Object::parse("[]").is_none() && is_json("[]") && !is_json("{"));
    }
}
