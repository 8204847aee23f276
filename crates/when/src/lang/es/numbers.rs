//! Numbers, in words and digits.

use crate::{lang::At, words::Kind};

#[rustfmt::skip]
const SMALL: [&str; 30] = [
    "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce",
    "trece", "catorce", "quince", "dieciseis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno",
    "veintidos", "veintitres", "veinticuatro", "veinticinco", "veintiseis", "veintisiete", "veintiocho",
    "veintinueve",
];

fn small(word: &str) -> Option<u32> {
    match word {
        "un" | "una" => Some(1),
        "veintiun" | "veintiuna" => Some(21),
        _ => SMALL.iter().position(|w| *w == word).map(|n| n as u32),
    }
}

fn tens(word: &str) -> Option<u32> {
    Some(match word {
        "treinta" => 30,
        "cuarenta" => 40,
        "cincuenta" => 50,
        "sesenta" => 60,
        "setenta" => 70,
        "ochenta" => 80,
        "noventa" => 90,
        _ => return None,
    })
}

/// A number and how many tokens it takes: "7", "siete", "treinta y cinco".
pub(super) fn cardinal(s: At<'_>) -> Option<(u32, usize)> {
    if let Kind::Number(n, _) = s.token(0)?.kind {
        return Some((n, 1));
    }
    if let Some(tens) = tens(s.word(0)) {
        return Some(match small(s.word(2)) {
            Some(ones @ 1..=9) if s.word(1) == "y" => (tens + ones, 3),
            _ => (tens, 1),
        });
    }
    // Some write one number as three words: "veinte y cinco", "diez y seis". "Diez y cinco" is an hour with its minutes.
    let ones = small(s.word(2)).filter(|_| s.word(1) == "y");
    match (s.word(0), ones) {
        ("veinte", Some(ones @ 1..=9)) => Some((20 + ones, 3)),
        ("diez", Some(ones @ 6..=9)) => Some((10 + ones, 3)),
        (word, _) => small(word).map(|n| (n, 1)),
    }
}

/// Four or more numbers in a row, which are not a time. Returns their number of tokens.
pub(super) fn number_row(s: At<'_>) -> Option<usize> {
    let (mut at, mut numbers) = (0, 0);
    while let Some((_, len)) = cardinal(s.on(at)) {
        at += len;
        numbers += 1;
        at += usize::from(
            matches!(s.token(at).map(|t| &t.kind), Some(Kind::Comma)) && cardinal(s.on(at + 1)).is_some(),
        );
    }
    (numbers > 3).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::tokens;

    #[test]
    fn some_numbers_are_written_as_three_words() {
        for (text, want) in [
            ("veinte y tres", (23, 3)),
            ("veinte y diez", (20, 1)),
            ("diez y seis", (16, 3)),
            ("diez y cinco", (10, 1)),
            ("setenta y dos", (72, 3)),
            ("ochenta", (80, 1)),
        ] {
            assert_eq!(cardinal(At::new(&tokens(text), 0)), Some(want), "{text}");
        }
    }
}
