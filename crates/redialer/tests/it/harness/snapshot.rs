//! Text for snapshots.

use std::collections::HashMap;

use regex::{Captures, Regex};
use serde_json::Value;

/// Formats a value for a snapshot, [`with_placeholders`].
pub(crate) fn snapshot(value: &Value) -> String {
    with_placeholders(&serde_json::to_string_pretty(value).expect("JSON"))
}

/// Replaces what differs between runs: times become `<time>`, the first callback id becomes `<cb 1>`. Equal ids become
/// the same placeholder.
pub(crate) fn with_placeholders(text: &str) -> String {
    let volatile = Regex::new(r"\b([a-z]+)_[0-9a-z]{26,27}\b|\d{4}-\d\d-\d\dT[\d:.]+Z").expect("a pattern");
    let (mut seen, mut counts) = (HashMap::<String, String>::new(), HashMap::<String, usize>::new());
    let replaced = volatile.replace_all(text, |found: &Captures<'_>| {
        let Some(kind) = found.get(1).map(|kind| kind.as_str().to_owned()) else {
            return "<time>".to_owned();
        };
        let next = || {
            let n = counts.entry(kind.clone()).or_default();
            *n += 1;
            format!("<{kind} {n}>")
        };
        seen.entry(found[0].to_owned()).or_insert_with(next).clone()
    });
    replaced.into_owned()
}
