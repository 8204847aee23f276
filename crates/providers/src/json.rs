//! Lenient reading of untrusted JSON.
//!
//! Invariants: a field of the wrong type counts as absent, and so does a string with NUL, which Postgres cannot store;
//! of a repeated key the last one counts, as in the `JSON.parse` that most senders use; nothing recurses, so depth
//! cannot exhaust the stack. Memory is bounded by what the reader requests, never by how many members or elements the
//! text has: an object keeps the members that its reader names, a list is passed on element by element.

use std::{borrow::Cow, collections::VecDeque, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of an object that a reader uses.
pub(crate) type Names = &'static [&'static str];

/// An object: the members that its reader named, most of their values still unparsed.
#[derive(Default)]
pub(crate) struct Object<'a>(Vec<(&'static str, Node<'a>)>);

enum Node<'a> {
    Raw(&'a RawValue),
    /// Parsed in the same pass as the object around it.
    Object(Object<'a>),
}

/// Which members of an object are kept.
#[derive(Clone, Copy)]
struct Shape {
    names: Names,
    /// Members that are objects, parsed in the same pass, and which of their members are kept.
    inner: &'static [(&'static str, Names)],
}

impl Shape {
    const fn flat(names: Names) -> Self {
        Self { names, inner: &[] }
    }
}

/// Deserializes a key as the name that it equals, without copying.
struct Known(Names);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Known {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|name| *name == key))
    }
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        while let Some(known) = map.next_key_seed(Known(self.names))? {
            let Some(name) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let node = match self.inner.iter().find(|(inner, _)| *inner == name) {
                Some((_, names)) => Node::Object(map.next_value_seed(Self::flat(names))?),
                None => Node::Raw(map.next_value()?),
            };
            object.put(name, node);
        }
        Ok(object)
    }
}

impl<'a> Object<'a> {
    /// Parses the named members of an object; `None` for any other JSON.
    pub(crate) fn parse(text: &'a str, names: Names) -> Option<Self> {
        Self::read(text, Shape::flat(names))
    }

    /// Like [`Object::parse`], and parses the named members of the objects in `inner` in the same pass.
    pub(crate) fn nested(
        text: &'a str,
        names: Names,
        inner: &'static [(&'static str, Names)],
    ) -> Option<Self> {
        Self::read(text, Shape { names, inner }).or_else(|| Self::parse(text, names))
    }

    fn read(text: &'a str, shape: Shape) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = shape.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok().map(|()| object)
    }

    fn put(&mut self, name: &'static str, node: Node<'a>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = node,
            None => self.0.push((name, node)),
        }
    }

    fn node(&self, key: &str) -> Option<&Node<'a>> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// The value of `key` as a `T`; `None` if it is absent, null or of another type.
    pub(crate) fn get<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        serde_json::from_str::<Option<T>>(self.raw(key)?).ok().flatten()
    }

    /// The string at `key`, unless it is blank or contains NUL.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        text_of(self.raw(key)?).map(Cow::into_owned)
    }

    /// Like [`Object::text`], if it has at most `max_bytes` bytes.
    pub(crate) fn short_text(&self, key: &str, max_bytes: usize) -> Option<String> {
        text_of(self.raw(key)?).filter(|text| text.len() <= max_bytes).map(Cow::into_owned)
    }

    /// The named members of the object at `key`.
    pub(crate) fn object(&self, key: &str, names: Names) -> Option<Object<'a>> {
        Object::parse(self.raw(key)?, names)
    }

    /// Applies `read` to the named members of the object at `key`, whether or not they were parsed in the same pass.
    pub(crate) fn with_object<T>(
        &self,
        key: &str,
        names: Names,
        read: impl FnOnce(&Object<'a>) -> T,
    ) -> Option<T> {
        match self.node(key)? {
            Node::Object(object) => Some(read(object)),
            Node::Raw(raw) => Object::parse(raw.get(), names).map(|object| read(&object)),
        }
    }

    /// The raw JSON of `key`.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        match self.node(key)? {
            Node::Raw(raw) => Some(raw.get()),
            Node::Object(_) => None,
        }
    }
}

/// Parses a raw value as a string that is not blank and contains no NUL.
pub(crate) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let Text(text) = serde_json::from_str(raw).ok()?;
    Some(text).filter(|s| !s.trim().is_empty() && !s.contains('\0'))
}

/// Calls `each` with each member of an object in order, its value as raw text, until it returns `false`. Returns `None`
/// unless the text is a complete object.
pub(crate) fn each_member<'a>(text: &'a str, each: impl FnMut(&str, &'a str) -> bool) -> Option<()> {
    struct Members<F>(F);
    impl<'de, F: FnMut(&str, &'de str) -> bool> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            let mut wanted = true;
            // The rest is still parsed: a truncated object is invalid.
            while wanted {
                let Some(Text(key)) = map.next_key()? else { return Ok(()) };
                wanted = (self.0)(&key, map.next_value::<&RawValue>()?.get());
            }
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Members(each)).ok()
}

/// A string that is copied only if it contains escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Calls `each` with each element of a list in order, as raw text. Returns `None` unless the text is a complete list.
pub(crate) fn each_element<'a>(text: &'a str, each: impl FnMut(&'a str)) -> Option<()> {
    struct Elements<F>(F);
    impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(raw) = list.next_element::<&RawValue>()? {
                (self.0)(raw.get());
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_seq(Elements(each)).ok()
}

/// The last `most` elements of a list, as raw text and in order; empty for any other JSON.
pub(crate) fn last_elements(text: &str, most: usize) -> VecDeque<&str> {
    let mut last = VecDeque::new();
    let read = each_element(text, |raw| {
        if last.len() == most {
            last.pop_front();
        }
        last.push_back(raw);
    });
    if read.is_some() { last } else { VecDeque::new() }
}

/// Whether raw JSON contains an escaped NUL.
pub(crate) fn has_nul(raw: &str) -> bool {
    raw.match_indices("\\u0000").any(|(at, _)| {
        // An odd number of backslashes before the `u`, so that the last one is not itself escaped.
        raw[..at].bytes().rev().take_while(|b| *b == b'\\').count().is_multiple_of(2)
    })
}

/// Whether `text` is valid JSON.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_repeated_key_counts_and_wrong_types_are_absent() {
        let text = r#"{"a":1,"a":2,"b":"x","c":null,"\u0064":" ","e":"x\u0000y","z":[1e999]}"#;
        let object = Object::parse(text, &["a", "b", "c", "d", "e"]).expect("an object");
        assert_eq!(object.get::<u32>("a"), Some(2));
        assert_eq!(object.get::<u32>("b"), None);
        assert_eq!(object.get::<u32>("c"), None);
        assert_eq!(object.text("b").as_deref(), Some("x"));
        assert_eq!(object.raw("d"), Some("\" \""), "a key may be written with escapes");
        assert_eq!(object.text("d"), None);
        assert_eq!(object.text("e"), None, "a text with NUL is absent");
        assert_eq!(object.raw("z"), None, "what was not named is not kept");
    }

    #[test]
    fn a_nested_object_is_the_same_in_one_pass_and_in_two() {
        const INNER: Names = &["call_id", "transcript_object"];
        for text in [
            r#"{"event":"e","call":{"call_id":"c","transcript_object":[{"words":[1e999]}]}}"#,
            r#"{"event":"e","call":{"call_id":"b"},"call":{"call_id":"c","transcript_object":null}}"#,
            r#"{"event":"e","call":1e999,"chat":null}"#,
            r#"{"event":"e","call":[{}]}"#,
        ] {
            let names: Names = &["event", "call"];
            let nested = Object::nested(text, names, &[("call", INNER)]).expect("an object");
            let flat = Object::parse(text, names).expect("an object");
            let shown = |o: &Object<'_>| {
                let call =
                    |c: &Object<'_>| (c.text("call_id"), c.raw("transcript_object").map(str::to_owned));
                (o.text("event"), o.with_object("call", INNER, call))
            };
            assert_eq!(shown(&nested), shown(&flat), "{text}");
        }
        assert!(Object::nested(r#"{"event":"e"} x"#, &["event"], &[]).is_none());
    }

    #[test]
    fn members_and_elements_are_handed_on_in_order() {
        let mut seen = Vec::new();
        let complete = each_member(r#"{"a":1, "\u0062":[2] ,"c":{}}"#, |key, raw| {
            seen.push(format!("{key}={raw}"));
            key != "b"
        });
        assert_eq!((complete, seen), (Some(()), vec!["a=1".to_owned(), "b=[2]".to_owned()]));
        assert_eq!(each_member(r#"{"a":1,"b":2"#, |_, _| false), None, "it breaks off");
        assert_eq!(each_member("[]", |_, _| true), None);
        assert_eq!(last_elements("[1, {} ,[3]]", 2), ["{}", "[3]"]);
        assert!(last_elements("[1,2", 2).is_empty() && last_elements("{}", 2).is_empty());
    }

    #[test]
    fn an_escaped_backslash_before_u0000_is_no_nul() {
        assert!(has_nul(r#"{"a":"\u0000"}"#) && has_nul(r#""\\\u0000""#));
        assert!(!has_nul(r#""\\u0000""#) && !has_nul(r#""u0000""#));
    }

    #[test]
    fn depth_cannot_exhaust_the_stack() {
        let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
        let object = format!("{{\"a\":{deep}}}");
        assert!(Object::parse(&object, &["a"]).is_some() && Object::parse(&object, &["b"]).is_some());
        assert_eq!(each_member(&object, |_, _| true), Some(()));
        assert_eq!(last_elements(&format!("[{deep}]"), 1).len(), 1);
        assert!(Object::parse("[]", &[]).is_none() && is_json("[]") && !is_json("{"));
    }
}
