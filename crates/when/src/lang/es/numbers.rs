//! Numbers, in words and figures.

use crate::{lang::At, words::Kind};

const SMALL: [&str; 30] = [
    "cero",
    "uno",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciseis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno",
    "veintidos",
    "veintitres",
    "veinticuatro",
    "veinticinco",
    "veintiseis",
    "veintisiete",
    "veintiocho",
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
    // Three words as some write them: "veinte y cinco", "diez y seis".
    if matches!(s.word(0), "veinte" | "diez") && s.word(1) == "y" {
        let tens = if s.word(0) == "veinte" { 20 } else { 10 };
        if let Some(ones) = small(s.word(2))
            .filter(|n| (6 - (tens / 10) * 5 + 4..=9).contains(n) || tens == 20 && (1..=9).contains(n))
        {
            return Some((tens + ones, 3));
        }
    }
    small(s.word(0)).map(|n| (n, 1))
}

/// Four and more numbers in a row are no time.
pub(super) fn figure(s: At<'_>) -> Option<usize> {
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
