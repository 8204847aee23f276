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

    /// Two texts of each object in the list behind `key`, read in one pass: whatever else an object holds is
    /// skipped. As [`Object::objects`] and [`Object::text`] would tell, only sooner.
    pub(crate) fn role_and_content(&self, key: &str) -> Vec<(String, String)> {
        #[derive(Deserialize)]
        struct Turn<'a> {
            #[serde(borrow, default)]
            role: Option<&'a RawValue>,
            #[serde(borrow, default)]
            content: Option<&'a RawValue>,
        }
        let text = |raw: Option<&RawValue>| {
            let text: Option<String> = serde_json::from_str(raw?.get()).ok();
            text.filter(|s| !s.trim().is_empty())
        };
        let Some(raw) = self.0.get(key) else { return Vec::new() };
        match serde_json::from_str::<Vec<Turn<'_>>>(raw.get()) {
            Ok(turns) => turns.into_iter().filter_map(|t| Some((text(t.role)?, text(t.content)?))).collect(),
            // Members of other types, or keys that repeat: one by one, leniently.
            Err(_) => {
                let turns = self.objects(key);
                turns.iter().filter_map(|t| Some((t.text("role")?, t.text("content")?))).collect()
            }
        }
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
    fn turns_are_read_alike_in_one_pass_and_one_by_one() {
        let odd = r#"{"t":[{"role":"user","content":"a","words":[{"w":1}]},7,{"role":"user","role":"agent","content":"b"},{"role":1,"content":"c"}]}"#;
        let plain = r#"{"t":[{"role":"user","words":[[[]]],"content":"a"},{"role":"agent"},{"role":"agent","content":"b"}]}"#;
        for text in [odd, plain] {
            let object = Object::parse(text).expect("an object");
            let turns = object.role_and_content("t");
            assert_eq!(
                turns,
                [("user", "a"), ("agent", "b")].map(|(r, c)| (r.to_owned(), c.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn depth_cannot_exhaust_the_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Object::parse(&deep).is_some());
        assert!(Object::parse("[]").is_none() && is_json("[]") && !is_json("{"));
    }
}
