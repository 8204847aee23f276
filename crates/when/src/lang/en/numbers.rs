//! Numbers, in words and digits.

use crate::{lang::At, words::Kind};

#[rustfmt::skip]
const SMALL: [&str; 20] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
#[rustfmt::skip]
const ORDINALS: [&str; 20] = [
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth",
];

/// A single number word below twenty.
fn small(word: &str) -> Option<u32> {
    let word = word.strip_suffix("'s").unwrap_or(word);
    SMALL.iter().position(|w| *w == word).map(|n| n as u32)
}

fn tens(word: &str) -> Option<u32> {
    let word = word.strip_suffix("'s").unwrap_or(word);
    let word = if word == "fourty" { "forty" } else { word };
    TENS.iter().position(|w| *w == word).map(|n| 20 + 10 * n as u32)
}

/// A number and how many tokens it takes: "7", "seven", "forty five".
pub(super) fn cardinal(s: At<'_>) -> Option<(u32, usize)> {
    if let Kind::Number(n, _) = s.token(0)?.kind {
        return Some((n, 1));
    }
    if let Some(tens) = tens(s.word(0)) {
        return Some(match small(s.word(1)) {
            Some(ones @ 1..=9) => (tens + ones, 2),
            _ => (tens, 1),
        });
    }
    small(s.word(0)).map(|n| (n, 1))
}

/// "23rd", "twenty third", "first".
pub(super) fn ordinal(s: At<'_>) -> Option<(u32, usize)> {
    if let Kind::Ordinal(n) = s.token(0)?.kind {
        return Some((n, 1));
    }
    let word = s.word(0);
    if let Some(tens) = tens(word) {
        let ones = ORDINALS[1..10].iter().position(|w| *w == s.word(1))?;
        return Some((tens + ones as u32 + 1, 2));
    }
    match word {
        "twentieth" => Some((20, 1)),
        "thirtieth" => Some((30, 1)),
        _ => ORDINALS.iter().position(|w| *w == word).map(|n| (n as u32, 1)),
    }
}

/// Minutes after an hour: "thirty", "oh five", "45".
pub(super) fn minutes(s: At<'_>) -> Option<(u32, usize)> {
    if matches!(s.word(0), "oh" | "o" | "ou" | "zero")
        && let Some((n @ 0..=9, len)) = cardinal(s.on(1))
    {
        return Some((n, len + 1));
    }
    match s.token(0)?.kind {
        Kind::Number(n, 2) if n < 60 => Some((n, 1)),
        Kind::Number(..) => None,
        _ => cardinal(s).filter(|(n, _)| (10..60).contains(n)),
    }
}

/// Whether a comma or hyphen continues a row of numbers.
fn joins(s: At<'_>) -> bool {
    matches!(s.token(0).map(|t| &t.kind), Some(Kind::Comma | Kind::Sign('-')))
        && (cardinal(s.on(1)).is_some() || matches!(s.word(1), "double" | "triple" | "oh"))
}

/// A row of numbers that are read out one after the other: a telephone or card number, a reference. Returns its number
/// of tokens.
pub(super) fn number_row(s: At<'_>) -> Option<usize> {
    let mut at = usize::from(matches!(s.word(0), "double" | "triple"));
    let mut numbers = at;
    loop {
        let rest = s.on(at);
        if let Some((_, len)) = cardinal(rest) {
            // A clock time at the end of a row ("five thirty p m") is consumed too, because its meaning is unclear.
            at += len;
            numbers += 1;
        } else if numbers > 0
            && (joins(rest) || matches!(rest.word(0), "oh" | "o" | "double" | "triple" | "dash"))
        {
            at += 1;
        } else {
            break;
        }
    }
    if is_a_list(s, at) {
        return None;
    }
    // "One five", "four one five": digits, one by one.
    let ends = !matches!(s.word(at), "o'clock" | "oclock" | "o" | "pm" | "am" | "p" | "a");
    let digits = (0..at).all(|n| cardinal(s.on(n)).is_some_and(|(digit, len)| digit < 10 && len == 1));
    if matches!(numbers, 2 | 3) && at == numbers && digits && ends {
        return Some(at);
    }
    let dashed = (0..at).any(|n| matches!(s.token(n).map(|t| &t.kind), Some(Kind::Sign('-'))));
    (numbers > 3 || numbers == 3 && dashed).then_some(at)
}

/// "Nine ten, eleven fifty": a list of clock times.
fn is_a_list(s: At<'_>, len: usize) -> bool {
    let (mut at, mut times) = (0, 0);
    while at < len {
        let Some((1..=12, hour)) = cardinal(s.on(at)) else { return false };
        let Some((_, minute)) = minutes(s.on(at + hour)) else { return false };
        at += hour + minute;
        times += 1;
        if at < len && !matches!(s.token(at).map(|t| &t.kind), Some(Kind::Comma)) {
            return false;
        }
        at += 1;
    }
    times > 1
}
