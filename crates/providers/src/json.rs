//! JSON of strangers, read leniently.
//!
//! Invariants: a field of the wrong type is an absent field; of a repeated key the last one counts, as in
//! the `JSON.parse` most senders use; nothing recurses, so depth cannot exhaust the stack.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One object, most of its values still unread.
#[derive(Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

enum Node<'a> {
    Raw(&'a RawValue),
    /// Read in the same pass as what it lies in.
    Object(Object<'a>),
}

/// Two members of an object; whatever else it holds is skipped.
#[derive(Deserialize)]
struct RawTurn<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

impl<'a> RawTurn<'a> {
    fn texts(&self) -> Option<(Cow<'a, str>, String)> {
        let text = |raw: Option<&'a RawValue>| {
            let Text(text) = serde_json::from_str(raw?.get()).ok()?;
            Some(text).filter(|s| !s.trim().is_empty())
        };
        Some((text(self.role)?, text(self.content)?.into_owned()))
    }
}

/// A text that is copied only where escapes make it another.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// How deep one pass goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// One object, its values unread.
    Flat,
    /// An event, and the call or chat in it.
    Event,
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::with_capacity(32);
        while let Some(Text(key)) = map.next_key()? {
            let node = match (self, &*key) {
                (Self::Event, "call" | "chat") => Node::Object(map.next_value_seed(Self::Flat)?),
                _ => Node::Raw(map.next_value()?),
            };
            members.push((key, node));
        }
        Ok(Object(members))
    }
}

impl<'a> Object<'a> {
    /// Reads an object; `None` for any other JSON.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        Self::to(Depth::Flat, text)
    }

    /// As [`Object::parse`], for an event: what lies in it is read in the same pass where it has the shape it
    /// should have. It tells the same either way.
    pub(crate) fn event(text: &'a str) -> Option<Self> {
        Self::to(Depth::Event, text).or_else(|| Self::parse(text))
    }

    fn to(depth: Depth, text: &'a str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = depth.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok().map(|()| object)
    }

    fn node(&self, key: &str) -> Option<&Node<'a>> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, node)| node)
    }

    /// The value of `key` where it is a `T`; absent, null and other types are `None`.
    pub(crate) fn get<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        serde_json::from_str::<Option<T>>(self.raw(key)?).ok().flatten()
    }

    /// The text of `key` where it is a string that is not blank.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get::<String>(key).filter(|s| !s.trim().is_empty())
    }

    /// The object behind `key`.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        Object::parse(self.raw(key)?)
    }

    /// What `read` makes of the object behind `key`, read already or not.
    pub(crate) fn with_object<T>(&self, key: &str, read: impl FnOnce(&Object<'a>) -> T) -> Option<T> {
        match self.node(key)? {
            Node::Object(object) => Some(read(object)),
            _ => self.object(key).map(|object| read(&object)),
        }
    }

    /// The objects of the list behind `key`; members of other types are passed over.
    pub(crate) fn objects(&self, key: &str) -> Vec<Object<'a>> {
        let list: Vec<&'a RawValue> = self.get(key).unwrap_or_default();
        list.into_iter().filter_map(|raw| Object::parse(raw.get())).collect()
    }

    /// Two texts of each object in the list behind `key`. As [`Object::objects`] and [`Object::text`] would tell,
    /// only sooner.
    pub(crate) fn role_and_content(&self, key: &str) -> Vec<(Cow<'a, str>, String)> {
        let Some(raw) = self.raw(key) else { return Vec::new() };
        match serde_json::from_str::<Vec<RawTurn<'_>>>(raw) {
            Ok(turns) => turns.iter().filter_map(RawTurn::texts).collect(),
            // Members of other types, or keys that repeat: one by one, leniently.
            Err(_) => {
                let turns = self.objects(key);
                turns.iter().filter_map(|t| Some((t.text("role")?.into(), t.text("content")?))).collect()
            }
        }
    }

    /// The raw text of `key`.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        match self.node(key)? {
            Node::Raw(raw) => Some(raw.get()),
            Node::Object(_) => None,
        }
    }

    /// Every member, values as raw text.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().filter_map(|(key, node)| match node {
            Node::Raw(raw) => Some((key.as_ref(), raw.get())),
            Node::Object(_) => None,
        })
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
                [("user", "a"), ("agent", "b")].map(|(r, c)| (r.into(), c.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn an_event_tells_the_same_however_deep_one_pass_goes() {
        for text in [
            r#"{"event":"e","call":{"call_id":"c","transcript_object":[{"role":"user","content":"hi","words":[1e999]}]}}"#,
            r#"{"event":"e","call":{"call_id":"c","transcript_object":[7]}}"#,
            r#"{"event":"e","call":{"call_id":"b"},"call":{"call_id":"c","transcript_object":null}}"#,
            r#"{"event":"e","call":1e999,"chat":null}"#,
            r#"{"event":"e","call":[{}]}"#,
        ] {
            let (deep, flat) =
                (Object::event(text).expect("an object"), Object::parse(text).expect("an object"));
            let told = |o: &Object<'_>| {
                let call = |c: &Object<'_>| {
                    (c.text("call_id"), format!("{:?}", c.role_and_content("transcript_object")))
                };
                (o.text("event"), o.with_object("call", call))
            };
            assert_eq!(told(&deep), told(&flat), "{text}");
        }
        assert!(Object::event(r#"{"event":"e"} x"#).is_none());
    }

    #[test]
    fn depth_cannot_exhaust_the_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Object::parse(&deep).is_some() && Object::event(&deep).is_some());
        let deeper =
            format!("{{\"call\":{{\"transcript_object\":[{{\"a\":{}}}]}}}}", &deep[5..deep.len() - 1]);
        let event = Object::event(&deeper).expect("an object");
        let turns = event.with_object("call", |call| call.role_and_content("transcript_object"));
        assert_eq!(turns, Some(Vec::new()), "what lies in a turn is passed over");
        assert!(Object::parse("[]").is_none() && is_json("[]") && !is_json("{"));
    }
}
