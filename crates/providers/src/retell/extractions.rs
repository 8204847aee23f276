//! Custom extractions of the analysis: whether, when and at which number a callback was requested.
//!
//! Invariants: names are compared ignoring case, surrounding whitespace, and whether a dot, an underscore or a blank
//! separates their words; of one spelling the last value counts. Memory does not grow with the number of extractions.

use std::{borrow::Cow, collections::BTreeSet};

use redialer_core::call::{CallbackAnswer, CallbackRequest};

use crate::json::{each_member, text_of};

const TIME: &str = "redialer.io_callback_time";
const NUMBER: &str = "redialer.io_callback_number";

/// Maximum number of spellings of one name that are kept per payload.
const MAX_SPELLINGS: usize = 16;
const MAX_SPELLING_BYTES: usize = 200;
/// Maximum number of extraction names that are kept for display.
const MAX_NAMES: usize = 20;
const MAX_NAME_CHARS: usize = 60;
/// A time is a few words; parsing a whole conversation in its place would only cost time.
const MAX_TIME_BYTES: usize = 2_000;
const MAX_NUMBER_BYTES: usize = 200;

/// Reads `custom_analysis_data`, a raw JSON object; `callback_field` names the extraction that requests a callback.
pub(super) fn callback_request(data: Option<&str>, callback_field: &str) -> CallbackRequest {
    let (mut callback, mut time, mut number) =
        (Spellings::default(), Spellings::default(), Spellings::default());
    let mut names = BTreeSet::new();
    let read = data.and_then(|data| {
        each_member(data, |name, raw| {
            for (wanted, spellings) in
                [(callback_field, &mut callback), (TIME, &mut time), (NUMBER, &mut number)]
            {
                if alike(name, wanted) {
                    spellings.put(name, raw);
                }
            }
            if names.len() < MAX_NAMES && !name.contains('\0') {
                names.insert(name.chars().take(MAX_NAME_CHARS).collect::<String>());
            }
            true
        })
    });
    if read.is_none() {
        return CallbackRequest::default();
    }
    let answer = callback.answer();
    CallbackRequest {
        callback: answer == CallbackAnswer::Yes,
        answer,
        time: time.text(TIME, MAX_TIME_BYTES),
        number: number.text(NUMBER, MAX_NUMBER_BYTES),
        extractions: names.into_iter().collect(),
    }
}

/// Whether two names are equal, ignoring case, surrounding whitespace and the kind of separator.
fn alike(name: &str, wanted: &str) -> bool {
    fn folded(name: &str) -> impl Iterator<Item = char> {
        let lower = name.trim().chars().flat_map(char::to_lowercase);
        lower.map(|c| if matches!(c, '.' | '_') || c.is_whitespace() { '_' } else { c })
    }
    folded(name).eq(folded(wanted))
}

/// The values of one name in one payload, by spelling.
#[derive(Default)]
struct Spellings<'a>(Vec<(String, &'a str)>);

impl<'a> Spellings<'a> {
    fn put(&mut self, spelling: &str, raw: &'a str) {
        if let Some((_, value)) = self.0.iter_mut().find(|(known, _)| known == spelling) {
            *value = raw;
        } else if self.0.len() < MAX_SPELLINGS && spelling.len() <= MAX_SPELLING_BYTES {
            self.0.push((spelling.to_owned(), raw));
        }
    }

    /// A yes under any spelling is a yes; an unreadable value outranks a no.
    fn answer(&self) -> CallbackAnswer {
        let answers: Vec<_> = self.0.iter().map(|(_, raw)| answer_of(raw)).collect();
        [CallbackAnswer::Yes, CallbackAnswer::Unreadable, CallbackAnswer::No]
            .into_iter()
            .find(|answer| answers.contains(answer))
            .unwrap_or_default()
    }

    /// The text under the exact name, else under another spelling of it; truncated to `max_bytes`.
    fn text(&self, name: &str, max_bytes: usize) -> Option<String> {
        let text = |(_, raw): &(String, &'a str)| words_or_number(raw);
        let own = self.0.iter().find(|(spelling, _)| spelling == name).and_then(text);
        let text = own.or_else(|| self.0.iter().find_map(text))?;
        Some(text[..text.floor_char_boundary(max_bytes)].to_owned())
    }
}

/// A string, or a number as written.
fn words_or_number(raw: &str) -> Option<Cow<'_, str>> {
    if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Some(Cow::Borrowed(raw));
    }
    text_of(raw)
}

fn answer_of(raw: &str) -> CallbackAnswer {
    let is = |words: &[&str], text: &str| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    match raw.as_bytes().first() {
        Some(b't') => CallbackAnswer::Yes,
        Some(b'f') => CallbackAnswer::No,
        Some(b'n') => CallbackAnswer::Absent,
        Some(b'"') => match text_of(raw) {
            None => CallbackAnswer::Absent,
            Some(text) if is(&["true", "yes", "y", "1"], &text) => CallbackAnswer::Yes,
            Some(text) if is(&["false", "no", "n", "0"], &text) => CallbackAnswer::No,
            Some(_) => CallbackAnswer::Unreadable,
        },
        Some(b'-' | b'0'..=b'9') => match raw.parse::<f64>() {
            Ok(1.0) => CallbackAnswer::Yes,
            Ok(0.0) => CallbackAnswer::No,
            _ => CallbackAnswer::Unreadable,
        },
        _ => CallbackAnswer::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use CallbackAnswer::{Absent, No, Unreadable, Yes};

    use super::*;

    const FIELD: &str = "redialer.io_callback";

    #[test]
    fn the_boolean_counts_under_every_spelling_of_its_name() {
        for name in [
            "redialer.io_callback",
            "redialer_io_callback",
            "redialer io callback",
            "redialer.io_callback ",
            " redialer io_callback",
            "Redialer.IO_Callback",
            "REDIALER_IO_CALLBACK",
            "redialer\u{a0}io\u{a0}callback",
        ] {
            let request = callback_request(Some(&format!("{{\"{name}\":true}}")), FIELD);
            assert_eq!((request.callback, request.answer), (true, Yes), "{name}");
        }
        for name in ["callback", "redialer.io_callbacks", "redialer.io", "redialerio_callback", ""] {
            let request = callback_request(Some(&format!("{{\"{name}\":true}}")), FIELD);
            assert_eq!((request.callback, request.answer), (false, Absent), "{name}");
            assert_eq!(request.extractions, [name], "a near miss can be named");
        }
    }

    #[test]
    fn values_are_a_yes_a_no_absent_or_unreadable() {
        for (values, want) in [
            (&["true", "\"true\"", "\"TRUE\"", "\" Yes \"", "\"y\"", "1", "1.0", "\"1\""][..], Yes),
            (&["false", "\"False\"", "\"no\"", "\"N\"", "0", "-0", "\"0\""][..], No),
            (&["null", "\"\"", "\" \"", "\"\\u0000\""][..], Absent),
            (&["\"maybe\"", "2", "-1", "1e999", "{}", "[true]", "\"yes please\""][..], Unreadable),
        ] {
            for value in values {
                let request = callback_request(Some(&format!("{{\"{FIELD}\":{value}}}")), FIELD);
                assert_eq!((request.answer, request.callback), (want, want == Yes), "{value}");
            }
        }
        assert_eq!(callback_request(None, FIELD).answer, Absent);
        assert_eq!(callback_request(Some("[1]"), FIELD).answer, Absent);
    }

    #[test]
    fn of_one_spelling_the_last_counts_and_of_two_spellings_the_yes() {
        let check = |data: &str, want| assert_eq!(callback_request(Some(data), FIELD).answer, want, "{data}");
        check(r#"{"redialer.io_callback":true,"redialer.io_callback":false}"#, No);
        check(r#"{"redialer.io_callback":false,"redialer_io_callback":"yes"}"#, Yes);
        check(r#"{"redialer.io_callback":false,"redialer_io_callback":"maybe"}"#, Unreadable);
        check(r#"{"redialer.io_callback":null,"redialer_io_callback":"no"}"#, No);
    }

    #[test]
    fn time_and_number_are_texts_under_the_same_rules() {
        let read = |data: &str| {
            let request = callback_request(Some(data), FIELD);
            (request.time, request.number)
        };
        let some = |text: &str| Some(text.to_owned());
        let both = (some("tomorrow at 3"), some("+13125550142"));
        assert_eq!(
            read(
                r#"{"Redialer IO_callback time":"tomorrow at 3","redialer_io_callback_number ":"+13125550142"}"#
            ),
            both
        );
        let own = r#"{"redialer_io_callback_time":"noon","redialer.io_callback_time":"tomorrow at 3","redialer.io_callback_number":"+13125550142"}"#;
        assert_eq!(read(own), both, "the name itself comes first");
        assert_eq!(read(r#"{"redialer.io_callback_time":1796072400}"#), (some("1796072400"), None));
        assert_eq!(
            read(r#"{"redialer.io_callback_time":{},"redialer.io_callback_number":true}"#),
            (None, None)
        );
        let long = format!(r#"{{"redialer.io_callback_time":"{}"}}"#, "ñ".repeat(3_000));
        assert_eq!(read(&long).0.map(|t| t.len()), Some(MAX_TIME_BYTES));
    }

    #[test]
    fn the_first_twenty_names_are_kept_sorted_and_cut() {
        let members: Vec<_> = (0..30).rev().map(|n| format!("\"{n:02}{}\":1", "é".repeat(80))).collect();
        let request = callback_request(Some(&format!("{{\"\\u0000\":1,{}}}", members.join(","))), FIELD);
        assert_eq!(request.extractions.len(), MAX_NAMES);
        assert!(request.extractions.is_sorted());
        assert!(request.extractions[0].starts_with("10") && request.extractions[0].chars().count() == 60);
    }
}
