//! The provider's own error message in a refusal, safe to show and to log.
//!
//! Invariant: the result contains neither the API key nor a telephone number.

use crate::json::Object;

const MAX_CHARS: usize = 300;
/// How much of a message is searched for text to mask.
const MAX_READ_CHARS: usize = 2_000;
/// The fewest digits that may be a telephone number.
const MIN_DIGITS: usize = 6;
const MIN_KEY_BYTES: usize = 8;
/// The provider's id prefixes; ids are kept although they contain digits.
const ID_PREFIXES: [&str; 3] = ["agent_", "call_", "chat_"];

/// The error message in the body of an answer; empty if it has none.
pub(super) fn description(body: Option<&str>, key: &str) -> String {
    let object = body.and_then(|body| Object::parse(body, &["message", "error_message"]));
    let message = object.and_then(|o| o.text("message").or_else(|| o.text("error_message")));
    masked(&message.unwrap_or_default(), key).chars().take(MAX_CHARS).collect()
}

/// Masks the key, text that looks like a key, and runs of digits that may be a telephone number.
fn masked(text: &str, key: &str) -> String {
    // A key of a few letters is not a secret, and may be a word of the message.
    let text = if key.len() < MIN_KEY_BYTES { text.to_owned() } else { text.replace(key, "key_") };
    let end = text.char_indices().nth(MAX_READ_CHARS).map_or(text.len(), |(at, _)| at);
    let mut shown = String::with_capacity(end);
    let mut rest = &text[..end];
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let taken = if word.starts_with("key_") {
            shown.push_str("key_…");
            word.len()
        } else if ID_PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
            shown.push_str(word);
            word.len()
        } else if first == '+' || first == '(' || first.is_ascii_digit() {
            let run = number_run(rest);
            let digits = run.bytes().filter(u8::is_ascii_digit).count();
            let mask = |c: char| if c.is_ascii_digit() && digits >= MIN_DIGITS { 'x' } else { c };
            shown.extend(run.chars().map(mask));
            run.len()
        } else {
            // Up to the next digit, so that a number after letters is found as well.
            let letters = word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len());
            let len = letters.max(first.len_utf8());
            shown.push_str(&rest[..len]);
            len
        };
        rest = &rest[taken..];
    }
    shown
}

/// Digits and the separators of a telephone number; ends after a digit.
fn number_run(text: &str) -> &str {
    let is_part =
        |c: char| c.is_ascii_digit() || matches!(c, '+' | '(' | ')' | '-' | '.' | '/' | ' ' | '\u{a0}');
    let run = &text[..text.find(|c| !is_part(c)).unwrap_or(text.len())];
    match run.rfind(|c: char| c.is_ascii_digit()) {
        Some(last) => &run[..=last],
        None => &text[..text.chars().next().map_or(0, char::len_utf8)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef-secret";

    #[test]
    fn numbers_and_keys_are_masked_and_the_rest_is_kept() {
        let check = |text: &str, want: &str| assert_eq!(masked(text, KEY), want);
        check("API key is missing or invalid.", "API key is missing or invalid.");
        check("Cannot call +14155550117 now.", "Cannot call +xxxxxxxxxxx now.");
        check("to (415) 555-0117: busy", "to (xxx) xxx-xxxx: busy");
        check("number:14155550117,tel14155550117", "number:xxxxxxxxxxx,telxxxxxxxxxxx");
        check("é415 555 0117é", "éxxx xxx xxxxé");
        check("HTTP 422, try again in 30 s (at most 5)", "HTTP 422, try again in 30 s (at most 5)");
        check("agent_1ffdb9717444d0e77346838911 is gone", "agent_1ffdb9717444d0e77346838911 is gone");
        check("key key_0b1c2d3e4f and key_", "key key_… and key_…");
        check(&format!("the key {KEY} is wrong"), "the key key_… is wrong");
        check("a ( b + c", "a ( b + c");
    }

    #[test]
    fn the_sentence_is_found_and_cut() {
        let of = |body: &str| description(Some(body), KEY);
        assert_eq!(of(r#"{"status":"error","message":"Forbidden"}"#), "Forbidden");
        assert_eq!(of(r#"{"error_message":"No.","message":7}"#), "No.");
        assert_eq!(of("<html>Bad Gateway</html>"), "");
        assert_eq!(of(r#"{"message":"a\u0000b"}"#), "");
        assert_eq!(description(None, KEY), "");
        assert_eq!(of(&format!(r#"{{"message":"{}"}}"#, "é".repeat(900))).chars().count(), MAX_CHARS);
    }
}
