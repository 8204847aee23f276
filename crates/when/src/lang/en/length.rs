//! Lengths of time: "in twenty minutes", "half an hour", "an hour and a half from now", "five or ten minutes".

use super::numbers::cardinal;
use crate::{
    lang::{At, Named},
    part::{Length, Part, Unit},
    words::{Kind, Token},
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    let (is_lead_wait, mut at) = lead(s);
    let mut about = false;
    while let Some(len) = softener(s.on(at)) {
        about = true;
        at += len;
    }
    at += usize::from(s.word(at) == "another" && unit(s.word(at + 1)).is_none());
    at += usize::from(s.word(at) == "the" && s.word(at + 1) == "next");
    at += usize::from(s.word(at) == "next");
    let (mut length, taken) =
        amount(s.on(at)).or_else(|| bare_minutes(s.on(at)).filter(|_| introduces_minutes(s, at)))?;
    // "A fifteen-minute chat" is a duration.
    let singular =
        matches!((s.word(at + taken - 1), length.unit), ("minute", Unit::Minutes) | ("hour", Unit::Hours));
    let is_measure = length.least > 1.0 && singular;
    at += taken;
    length.about |= about;
    let (from, taken) = trail(s.on(at));
    at += taken;
    if s.word(at) == "or" && s.word(at + 1) == "so" {
        length.about = true;
        at += 2;
    }
    // "Two hours ago" and "two hours long" are not waits.
    #[rustfmt::skip]
    let is_not_a_wait = matches!(
        s.word(at),
        "ago" | "behind" | "away" | "long" | "old" | "delay" | "late" | "early" | "each" | "notice" | "ahead"
        | "call" | "survey" | "meeting"
    );
    if is_not_a_wait {
        return Some(Named::nothing(at));
    }
    if is_measure && !is_lead_wait && from == Trail::None && is_noun(s.word(at)) {
        return Some(Named::nothing(at));
    }
    length.give_me = matches!(s.word(0), "give" | "gimme");
    length.is_wait = is_lead_wait || from != Trail::None;
    length.from_now = from == Trail::FromNow;
    length.from_reference = match from {
        Trail::AfterThat => 1,
        Trail::BeforeThat => -1,
        _ => 0,
    };
    Some(Named::one(Part::Length(length), at))
}

/// "Call me in" and "give me", after which a bare number counts minutes.
fn introduces_minutes(s: At<'_>, at: usize) -> bool {
    let back = matches!(s.back(1), "me" | "us" | "back" | "again" | "call" | "ring");
    s.word(0) == "in" && at == 1 && back || matches!(s.word(0), "give" | "gimme")
}

/// Whether a length before this word only measures it.
#[rustfmt::skip]
fn is_noun(word: &str) -> bool {
    !matches!(
        word,
        "" | "later" | "time" | "so" | "is" | "works" | "then" | "and" | "or" | "if" | "please" | "okay"
        | "ok" | "sir" | "madam" | "no" | "yeah" | "i" | "we" | "you" | "max" | "only"
    )
}

/// "Call me in forty five": a bare number of minutes, if no other word follows that it could count.
fn bare_minutes(s: At<'_>) -> Option<(Length, usize)> {
    let (n, len) = cardinal(s).filter(|(n, _)| *n % 5 == 0 && (5..=90).contains(n))?;
    let ends = s.token(len).is_none_or(Token::is_stop)
        || matches!(s.word(len), "and" | "or" | "then" | "okay" | "ok" | "if" | "cause" | "so" | "yeah");
    let minutes = f64::from(n);
    ends.then_some((Length::new(minutes, minutes, Unit::Minutes), len))
}

/// Words before a length: whether they make it a wait, and their number of tokens.
fn lead(s: At<'_>) -> (bool, usize) {
    const LEADS: &[&[&str]] = &[
        &["give", "me", "just"],
        &["give", "me"],
        &["give", "us"],
        &["gimme"],
        &["give", "it"],
        &["wait"],
        &["within", "the", "next"],
        &["within"],
        &["in"],
        &["after"],
        &["just"],
    ];
    let lead = s.match_len(LEADS);
    (lead.is_some() && s.word(0) != "just", lead.unwrap_or(0))
}

fn softener(s: At<'_>) -> Option<usize> {
    const SOFT: &[&[&str]] = &[
        &["about"],
        &["around"],
        &["like"],
        &["maybe"],
        &["roughly"],
        &["approximately"],
        &["say"],
        &["probably"],
        &["perhaps"],
        &["more", "like"],
        &["at", "least"],
    ];
    if matches!(s.token(0).map(|t| &t.kind), Some(Kind::Sign('~'))) {
        return Some(1);
    }
    s.match_len(SOFT)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trail {
    None,
    FromNow,
    AfterThat,
    BeforeThat,
}

/// Words after a length that name what it is counted from.
fn trail(s: At<'_>) -> (Trail, usize) {
    const TRAILS: &[(&[&str], Trail)] = &[
        (&["from", "right", "now"], Trail::FromNow),
        (&["from", "now"], Trail::FromNow),
        (&["from", "today"], Trail::FromNow),
        (&["after", "that"], Trail::AfterThat),
        (&["after", "then"], Trail::AfterThat),
        (&["later", "than", "that"], Trail::AfterThat),
        (&["before", "that"], Trail::BeforeThat),
        (&["before", "then"], Trail::BeforeThat),
        (&["earlier", "than", "that"], Trail::BeforeThat),
        (&["from", "this", "second"], Trail::FromNow),
        (&["from", "this", "moment"], Trail::FromNow),
        (&["hence"], Trail::FromNow),
        (&["later"], Trail::FromNow),
        (&["time"], Trail::FromNow),
    ];
    s.lookup(TRAILS).unwrap_or((Trail::None, 0))
}

/// An amount and its unit.
fn amount(s: At<'_>) -> Option<(Length, usize)> {
    let length = |least, most, unit, vague| Length { vague, ..Length::new(least, most, unit) };
    if let Some((minutes, len)) = halves(s) {
        return Some((length(minutes, minutes, Unit::Minutes, false), len));
    }
    let (least, most, mut len, vague) = count(s)?;
    let (unit, factor) = unit(s.word(len))?;
    len += 1;
    let (mut least, mut most) = (least * factor, most * factor);
    // "An hour and a half", "an hour and twenty minutes", "an hour or two".
    if s.on(len).starts_with(&["and", "a", "half"]) {
        least += 0.5 * factor;
        most += 0.5 * factor;
        len += 3;
    } else if s.word(len) == "and" && s.on(len).starts_with(&["and", "a", "quarter"]) {
        least += 0.25 * factor;
        most += 0.25 * factor;
        len += 3;
    } else if let Some((minutes, taken)) = finer(s.on(len), unit) {
        let unit_minutes = if unit == Unit::Hours {
            60.0
        } else if unit == Unit::Days {
            24.0 * 60.0
        } else {
            1.0
        };
        return Some((
            length(least * unit_minutes + minutes, most * unit_minutes + minutes, Unit::Minutes, vague),
            len + taken,
        ));
    }
    if s.word(len) == "or"
        && let Some((n, taken)) = cardinal(s.on(len + 1)).filter(|(n, _)| f64::from(*n) > least)
        && !matches!(s.word(len + 1 + taken), "pm" | "am" | "o'clock")
    {
        let taken = len + 1 + taken;
        let taken = taken + usize::from(self::unit(s.word(taken)).is_some_and(|(u, _)| u == unit));
        most = f64::from(n) * factor;
        return Some((length(least, most, unit, false), taken));
    }
    Some((length(least, most, unit, vague), len))
}

/// A further amount in a smaller unit, converted to minutes: "and twenty minutes", "2hr 5min".
fn finer(s: At<'_>, than: Unit) -> Option<(f64, usize)> {
    let and = usize::from(s.word(0) == "and");
    let (n, taken) = cardinal(s.on(and))?;
    let len = and + taken + 1;
    // "An hour and ten".
    if and == 1 && than == Unit::Hours && n % 5 == 0 && n < 60 && unit(s.word(len - 1)).is_none() {
        return Some((f64::from(n), len - 1));
    }
    // "1h 30m".
    let short = than == Unit::Hours
        && s.word(len - 1) == "m"
        && s.token(0).is_some_and(|t| matches!(t.kind, Kind::Number(..)));
    let (unit, factor) = if short { (Unit::Minutes, 1.0) } else { unit(s.word(len - 1))? };
    let minutes = f64::from(n) * factor;
    let minutes = if unit == Unit::Seconds { minutes / 60.0 } else { minutes };
    match (than, unit) {
        (Unit::Hours, Unit::Minutes) | (Unit::Minutes, Unit::Seconds) => Some((minutes, len)),
        (Unit::Days, Unit::Hours) => {
            let (more, taken) = finer(s.on(len), Unit::Hours).unwrap_or((0.0, 0));
            Some((minutes * 60.0 + more, len + taken))
        }
        _ => None,
    }
}

/// "Half an hour", "three quarters of an hour", "a quarter of an hour".
fn halves(s: At<'_>) -> Option<(f64, usize)> {
    const HALVES: &[(&[&str], f64)] = &[
        (&["half", "an", "hour"], 30.0),
        (&["half", "a", "hour"], 30.0),
        (&["a", "half", "an", "hour"], 30.0),
        (&["a", "half", "hour"], 30.0),
        (&["half", "hour"], 30.0),
        (&["three", "quarters", "of", "an", "hour"], 45.0),
        (&["three", "quarter", "hours"], 45.0),
        (&["a", "quarter", "of", "an", "hour"], 15.0),
        (&["quarter", "of", "an", "hour"], 15.0),
        (&["a", "quarter", "hour"], 15.0),
        (&["quarter", "hour"], 15.0),
    ];
    s.lookup(HALVES)
}

/// A count: least, most, number of tokens, and whether it is vague ("a few").
fn count(s: At<'_>) -> Option<(f64, f64, usize, bool)> {
    const VAGUE: &[(&[&str], f64)] = &[
        (&["a", "couple", "more"], 2.0),
        (&["a", "couple", "of"], 2.0),
        (&["a", "couple"], 2.0),
        (&["couple", "of"], 2.0),
        (&["couple"], 2.0),
        (&["a", "few", "more"], 3.0),
        (&["a", "few"], 3.0),
        (&["few"], 3.0),
        (&["several"], 3.0),
    ];
    if let Some((n, len)) = s.lookup(VAGUE) {
        return Some((n, n, len, true));
    }
    if matches!(s.word(0), "a" | "one") && s.word(1) == "hundred" {
        let and = 2 + usize::from(s.word(2) == "and");
        let (more, len) = cardinal(s.on(and)).map_or((0, 2), |(n, len)| (n, and + len));
        return Some((100.0 + f64::from(more), 100.0 + f64::from(more), len, false));
    }
    // "It's an A day."
    if s.word(0) == "a" && s.back(1) == "an" {
        return None;
    }
    if matches!(s.word(0), "a" | "an" | "another") {
        return Some((1.0, 1.0, 1, false));
    }
    let decimal = match s.token(0).map(|t| &t.kind) {
        Some(Kind::Pair(integer, part, '.')) => Some(f64::from(*integer) + f64::from(*part) / 100.0),
        Some(Kind::Decimal(n)) => Some(*n),
        _ => None,
    };
    if let Some(n) = decimal {
        return Some((n, n, 1, false));
    }
    if let (Some(Kind::Number(a @ 1..=9, 1)), Some(Kind::Sign('/')), Some(Kind::Number(b @ 2..=9, 1))) =
        (s.token(0).map(|t| &t.kind), s.token(1).map(|t| &t.kind), s.token(2).map(|t| &t.kind))
    {
        let n = f64::from(*a) / f64::from(*b);
        if let Some(of) = s.on(3).match_len(&[&["of", "an"], &["an"]]).filter(|of| s.word(3 + of) == "hour") {
            return Some((n, n, 3 + of, false));
        }
        return matches!(unit(s.word(3)), Some((Unit::Hours, _))).then_some((n, n, 3, false));
    }
    let (n, len) = cardinal(s).or_else(|| counted_by_ear(s))?;
    let len = len + usize::from(s.word(len) == "more");
    let n = f64::from(n).min(100_000.0);
    if let Some(taken) =
        s.on(len).match_len(&[&["and", "a", "half"], &["and", "an", "half"], &["and", "half"]])
    {
        return Some((n + 0.5, n + 0.5, len + taken, false));
    }
    // "Five or ten", "ten to fifteen", "two, three".
    let link =
        matches!(s.word(len), "or" | "to") || matches!(s.token(len)?.kind, Kind::Sign('-') | Kind::Comma);
    if link
        && let Some((m, taken)) = cardinal(s.on(len + 1)).filter(|(m, _)| f64::from(*m) > n)
        && unit(s.word(len + 1 + taken)).is_some()
    {
        return Some((n, f64::from(m), len + 1 + taken, false));
    }
    if s.word(len) == "or" && s.word(len + 1) == "so" && unit(s.word(len + 2)).is_some() {
        return Some((n, n, len + 2, false));
    }
    Some((n, n, len, false))
}

/// "Too hours", "in for minutes".
fn counted_by_ear(s: At<'_>) -> Option<(u32, usize)> {
    if !matches!(s.word(1), "hours" | "minutes" | "days" | "weeks") {
        return None;
    }
    match s.word(0) {
        "to" | "too" => Some((2, 1)),
        "for" if matches!(s.back(1), "in" | "about" | "like") => Some((4, 1)),
        "ate" => Some((8, 1)),
        "tree" => Some((3, 1)),
        "tin" => Some((10, 1)),
        _ => None,
    }
}

fn unit(word: &str) -> Option<(Unit, f64)> {
    Some(match word {
        "second" | "seconds" | "sec" | "secs" => (Unit::Seconds, 1.0),
        "minute" | "minutes" | "min" | "mins" | "minutes'" | "minute's" => (Unit::Minutes, 1.0),
        "hour" | "hours" | "hr" | "hrs" | "h" | "hour's" | "hours'" => (Unit::Hours, 1.0),
        "day" | "days" | "d" | "day's" | "days'" => (Unit::Days, 1.0),
        "week" | "weeks" | "weeks'" | "week's" | "wk" | "w" => (Unit::Weeks, 1.0),
        "fortnight" | "fortnights" => (Unit::Weeks, 2.0),
        "month" | "months" | "mo" | "month's" | "months'" => (Unit::Months, 1.0),
        _ => return None,
    })
}
