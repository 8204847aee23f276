//! The placeholders that carriers send for withheld numbers.

/// Words that replace a number, also when spelled on a telephone keypad: `+266696687` is ANONYMOUS. Sources: Twilio,
/// "Why am I getting calls from these strange numbers?" (support article 223179988) for ANONYMOUS, RESTRICTED, BLOCKED,
/// UNKNOWN and UNAVAILABLE; RFC 3323 for `sip:anonymous@anonymous.invalid`; the others are texts that SIP trunks send
/// as the display name.
const WORDS: &[&str] = &[
    "ANONYMOUS",
    "RESTRICTED",
    "BLOCKED",
    "UNKNOWN",
    "UNAVAILABLE",
    "PRIVATE",
    "WITHHELD",
    "PRIVATENUMBER",
    "UNKNOWNCALLER",
    "NOCALLERID",
    "NULL",
];

/// `+464`, "no caller ID" in Twilio's list; its digits spell no word.
const NO_CALLER_ID: &str = "464";

/// Words whose keypad digits may be a real number: NOCALLERID is 66 2 255 3743, a number in Bangkok.
const NEVER_SPELLED: &[&str] = &["PRIVATENUMBER", "UNKNOWNCALLER", "NOCALLERID", "NULL"];

/// Whether `text` is a word for a withheld number.
pub(super) fn is_word(text: &str) -> bool {
    let letters: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_' | '.'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    WORDS.contains(&letters.as_str())
}

/// Whether the digits after the plus sign spell a word for a withheld number.
pub(super) fn is_spelled(digits: &str) -> bool {
    let spelled = WORDS.iter().filter(|word| !NEVER_SPELLED.contains(word));
    digits == NO_CALLER_ID || spelled.into_iter().any(|word| spells(digits, word))
}

fn spells(digits: &str, word: &str) -> bool {
    digits.len() == word.len() && digits.bytes().zip(word.bytes()).all(|(d, letter)| d == key(letter))
}

/// The keypad digit of a capital letter (ITU-T E.161).
const fn key(letter: u8) -> u8 {
    match letter {
        b'A'..=b'C' => b'2',
        b'D'..=b'F' => b'3',
        b'G'..=b'I' => b'4',
        b'J'..=b'L' => b'5',
        b'M'..=b'O' => b'6',
        b'P'..=b'S' => b'7',
        b'T'..=b'V' => b'8',
        _ => b'9',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_their_digits_are_known() {
        for word in ["anonymous", "Restricted", "UNAVAILABLE", "No Caller ID", "private number", "unknown"] {
            assert!(is_word(word), "{word}");
        }
        for digits in
            ["266696687", "7378742833", "2562533", "8656696", "86282452253", "464", "7748283", "94844353"]
        {
            assert!(is_spelled(digits), "{digits}");
        }
        assert!(!is_word("alice") && !is_word(""));
        // Real numbers in Bangkok and Austin.
        assert!(!is_spelled("6622553743") && !is_spelled("17378742833"));
    }
}
