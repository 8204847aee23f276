//! Parses the notations in which people, carriers and SIP trunks write a phone number.
//!
//! Accepts a `sip:`, `sips:` or `tel:` URI, with or without a display name and angle brackets, or a plain number with
//! typographic marks. Returns digits only; the parent module decides whether they may be dialed.
//!
//! Deliberately absent: letters. `+1 800 FLOWERS` and `x12` are refused, so that words in a transcript never become a
//! number.

use super::{BadPhone, withheld};

/// The digits of a written number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The digits in order. They begin with a country code if `international` is set; otherwise they may.
    pub(super) digits: String,
    /// Whether the digits began with `+` or with the international prefix `00`.
    pub(super) international: bool,
}

/// Extracts the digits of a number from `text`.
pub(super) fn read(text: &str) -> Result<Written, BadPhone> {
    let address = Address::parse(text);
    if withheld::is_word(address.user) {
        return Err(BadPhone::Withheld);
    }
    let number = compact(address.user).ok_or(BadPhone::NotE164)?;
    if let Some(digits) = number.strip_prefix('+') {
        return Written::new(digits, true);
    }
    if let Some(context) = address.context {
        // RFC 3966: a local number and the global prefix to which it belongs.
        let context = compact(context).ok_or(BadPhone::NotE164)?;
        let prefix = context.strip_prefix('+').filter(|p| !p.is_empty()).ok_or(BadPhone::NotE164)?;
        return Written::new(&format!("{prefix}{number}"), true);
    }
    match number.strip_prefix("00") {
        Some(digits) => Written::new(digits, true),
        None => Written::new(&number, false),
    }
}

impl Written {
    fn new(digits: &str, international: bool) -> Result<Self, BadPhone> {
        let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if digits.is_empty() || !is_number {
            return Err(BadPhone::NotE164);
        }
        Ok(Self { digits: digits.to_owned(), international })
    }
}

/// The user part of an address, and the global prefix of a local number.
struct Address<'a> {
    user: &'a str,
    context: Option<&'a str>,
}

impl<'a> Address<'a> {
    /// Reduces a URI to its user part; a plain number is its own user part.
    fn parse(text: &'a str) -> Self {
        let text = text.trim();
        let bracketed = text
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map_or(text, |(inside, _)| inside);
        let bare = ["sip:", "sips:", "tel:"]
            .iter()
            .find_map(|scheme| strip_prefix_ignoring_case(bracketed.trim(), scheme))
            .unwrap_or(bracketed);
        let before_host = bare.split(['@', '?']).next().unwrap_or(bare);
        let mut parts = before_host.split(';');
        let user = parts.next().unwrap_or(before_host).trim();
        // Other parameters (`ext`, `isub`, `npdi`) do not change which line the number reaches.
        let context = parts.find_map(|part| strip_prefix_ignoring_case(part.trim(), "phone-context="));
        Self { user, context }
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// ASCII digits with at most one leading `+`; `None` if other characters remain after separators are removed.
fn compact(text: &str) -> Option<String> {
    // A plus sign in a SIP URI may be escaped.
    let unescaped = strip_prefix_ignoring_case(text, "%2B").map(|rest| format!("+{rest}"));
    let mut number = String::with_capacity(16);
    for c in unescaped.as_deref().unwrap_or(text).chars().filter(|c| !is_separator(*c)) {
        match c {
            '0'..='9' => number.push(c),
            '０'..='９' => number.push(char::from_digit(c as u32 - '０' as u32, 10)?),
            '+' | '＋' | '﹢' if number.is_empty() => number.push('+'),
            _ => return None,
        }
    }
    (number.len() <= MOST_DIGITS).then_some(number)
}

/// Longer texts are not numbers: `+`, `00` or a trunk `0`, and the 15 digits of E.164.
const MOST_DIGITS: usize = 20;

/// Separators between the digits of a number, and invisible marks around it.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '-' | '.' | '(' | ')' | '[' | ']' | '/' | '·' | '•'
            // Hyphens, dashes and the minus sign, also in their small and full-width forms.
            | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}'
            // Full-width parentheses, full stop and solidus; the fraction and division slashes.
            | '\u{FF08}' | '\u{FF09}' | '\u{FF0E}' | '\u{FF0F}' | '\u{2044}' | '\u{2215}'
            // Soft hyphen, zero-width characters, word joiner, byte order mark.
            | '\u{00AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}'
            // Bidirectional marks, embeddings and isolates: contact lists put them around numbers.
            | '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        let got = read(text).map(|w| format!("{}{}", if w.international { "+" } else { "" }, w.digits));
        assert_eq!(got.as_deref(), Ok(want), "{text:?}");
    }

    #[test]
    fn uris_are_cut_down_to_the_number() {
        for text in [
            "sip:+14155550120@sip.example.net",
            "SIPS:+14155550120@sip.example.net:5061;transport=tls",
            "<sip:+14155550120@pstn.example.com;user=phone>",
            "\"Front desk\" <sip:+14155550120@example.com>;tag=9x",
            "sip:%2B14155550120@example.com",
            "+14155550120@sip.example.com",
            "tel:+1-415-555-0120",
            "tel:+14155550120;ext=12",
            "+14155550120;ext=12",
            "sip:+14155550120;npdi;rn=+14155550000@example.com",
            "tel:555-0120;phone-context=+1-415",
            "sip:5550120;phone-context=+1415@example.com",
            "0014155550120",
            "sip:0014155550120@example.com",
        ] {
            check(text, "+14155550120");
        }
        check("sip:13125550188@pstn.example.com", "13125550188");
        check("tel:13125550188", "13125550188");
    }

    #[test]
    fn typographic_marks_are_dropped() {
        for text in [
            " +1 (415) 555-0120 ",
            "\u{202A}+14155550120\u{202C}",
            "\u{2066}+14155550120\u{2069}",
            "\u{200E}+1\u{00A0}415\u{2007}555\u{202F}0120\u{200F}",
            "+1\u{2011}415\u{2011}5550120",
            "+1\u{2010}415\u{2012}555\u{2013}01\u{2014}20",
            "+1\u{2212}415\u{FE63}555\u{FF0D}0120",
            "＋14155550120",
            "＋１４１５５５５０１２０",
            "+1/415/555/0120",
            "\u{FEFF}+1.415.555.0120",
            "+\u{200B}1415\u{200D}5550120",
        ] {
            check(text, "+14155550120");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "+",
            "00",
            "+0014155550120",
            "+04155550120",
            "1+4155550120",
            "++14155550120",
            "+1415555012x",
            "+1 415 555 0120 x12",
            "five five five",
            "sip:alice@example.com",
            "tel:5550120;phone-context=example.com",
            "tel:5550120;phone-context=+",
            "+९१४१५५५५०१२०",
            "<>",
            "sip:",
            "@",
        ] {
            assert_eq!(read(text), Err(BadPhone::NotE164), "{text:?}");
        }
    }
}
