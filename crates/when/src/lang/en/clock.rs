//! Clock times: "3 p m", "half past four", "ten oh five", "quarter to six", "noonish".

use super::{
    by_ear::{by_ear, misheard},
    numbers::{cardinal, minutes},
};
use crate::{
    lang::{At, Named},
    part::{Clock, Form, Half, Part},
    words::{Kind, Token},
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    let (clock, len) = named(s).or_else(|| relative_to_hour(s)).or_else(|| hour(s))?;
    let (clock, len) =
        if s.word(len) == "ish" { (Clock { about: true, ..clock }, len + 1) } else { (clock, len) };
    Some(Named::one(Part::Clock(clock), len))
}

/// Clock times that would otherwise be read as a length: "twenty minutes past three".
pub(super) fn by_distance(s: At<'_>) -> Option<Named> {
    let (clock, len) = relative_to_hour(s).or_else(|| military(s))?;
    let about = s.word(len) == "ish";
    Some(Named::one(Part::Clock(Clock { about, ..clock }), len + usize::from(about)))
}

/// "Half past" without an hour, relative to an hour mentioned before.
pub(super) fn past_the_hour(s: At<'_>) -> Option<Named> {
    let (minutes, len) = match s.word(0) {
        "half" => (30, 1),
        "quarter" => (15, 1),
        _ => cardinal(s).filter(|(n, _)| matches!(n, 5 | 10 | 20 | 25)).map(|(n, len)| (n as i8, len))?,
    };
    matches!(s.word(len), "past" | "past's").then(|| Named::one(Part::Past(minutes), len + 1))
}

/// "1400 hours".
fn military(s: At<'_>) -> Option<(Clock, usize)> {
    if let (Some((hour @ 13..=23, len)), true) = (cardinal(s), matches!(s.token(0)?.kind, Kind::Word(_))) {
        let (minute, taken) = minutes(s.on(len))?;
        let plain = matches!(s.word(len + taken), "hours" | "hrs");
        return plain.then(|| (Clock::full(hour as i8, minute as i8), len + taken + 1));
    }
    let Kind::Number(n, 4) = s.token(0)?.kind else { return None };
    let fits = n / 100 < 24 && n % 100 < 60 && matches!(s.word(1), "hours" | "hrs");
    fits.then(|| (Clock::full((n / 100) as i8, (n % 100) as i8), 2))
}

/// Noon and midnight.
fn named(s: At<'_>) -> Option<(Clock, usize)> {
    let skip = usize::from(s.word(0) == "twelve" || matches!(s.token(0)?.kind, Kind::Number(12, _)));
    let at = s.on(skip);
    let clock = match at.word(0) {
        "noon" | "midday" | "noontime" => Clock::NOON,
        "midnight" => Clock::MIDNIGHT,
        _ => return None,
    };
    // "Noon thirty".
    match minutes(at.on(1)) {
        Some((minute, len)) if skip == 0 && !counts(at.on(1 + len)) => {
            Some((Clock { minute: minute as i8, ..clock }, 1 + len))
        }
        _ => Some((clock, skip + 1)),
    }
}

/// A clock time named by its distance from an hour: "quarter to four", "twenty past two", "half nine".
fn relative_to_hour(s: At<'_>) -> Option<(Clock, usize)> {
    let skip = usize::from(s.word(0) == "a");
    let at = s.on(skip);
    let (distance, mut len) = match at.word(0) {
        "half" => (30, 1),
        "quarter" => (15, 1),
        _ => {
            let (n, len) = cardinal(at)?;
            let (n, len) = if matches!(at.word(len), "minutes" | "minute" | "min" | "mins") {
                (n, len + 1)
            } else {
                (n, len)
            };
            // "Nine to five" is a range, "ten to six" rarely.
            let plain = n % 5 == 0 || len > 1;
            if !(1..=59).contains(&n) || !plain {
                return None;
            }
            (n as i8, len)
        }
    };
    len += skip;
    let sign = match s.word(len) {
        "past" | "passed" | "after" => 1,
        "two" | "too" if s.word(skip) == "quarter" && cardinal(s.on(len + 1)).is_some() => -1,
        "to" | "of" | "before" | "till" | "til" if distance != 30 || s.word(skip) != "half" => -1,
        _ if s.word(skip) == "half" => {
            // British: half nine is half past nine.
            let (hour, taken) = hour(s.on(len)).or_else(|| by_ear(s.on(len)))?;
            let plain = hour.minute == 0 && hour.hour <= 12 && !counts(s.on(len + taken));
            let clock = Clock { minute: 30, form: Form::Plain, ..hour };
            return plain.then_some((clock, len + taken));
        }
        _ => return None,
    };
    if s.word(len) == "of" && s.word(len + 1) == "an" {
        return None;
    }
    if sign < 0 && matches!(s.back(1), "from" | "between") {
        return None;
    }
    let at = s.on(len + 1);
    let (clock, taken) = named(at).or_else(|| hour(at)).or_else(|| by_ear(at))?;
    if clock.minute != 0 || counts(s.on(len + 1 + taken)) {
        return None;
    }
    let minute = distance * sign;
    let (hour, minute) =
        if minute < 0 { ((clock.hour + 23) % 24, 60 + minute) } else { (clock.hour, minute) };
    // "Quarter to one" is 12:45, not 0:45.
    let hour = if hour == 0 && clock.half != Some(Half::Full) { 12 } else { hour };
    // "A quarter to twelve pm" is before noon.
    let half = match (clock.half, clock.hour, sign) {
        (Some(Half::Pm), 12, -1) => Some(Half::Am),
        (Some(Half::Am), 12, -1) => Some(Half::Pm),
        (half, ..) => half,
    };
    Some((Clock { hour, minute, half, form: Form::Plain, ..clock }, len + 1 + taken))
}

/// "3", "three thirty", "10:45", "330 pm", with or without the half of the day.
fn hour(s: At<'_>) -> Option<(Clock, usize)> {
    let token = s.token(0)?;
    let (hour, minute, mut len, mut form) = match token.kind {
        Kind::Pair(h, m, c) => (h, m, 1, if c == '.' { Form::Introduced } else { Form::Plain }),
        Kind::Number(n, 3 | 4) if n / 100 <= 24 && n % 100 < 60 => (n / 100, n % 100, 1, Form::Bare),
        Kind::Number(n, 1 | 2) => with_minutes(s, n, 1),
        Kind::Word(_) => {
            let (n, len) = cardinal(s).or_else(|| misheard(s))?;
            with_minutes(s, n, len)
        }
        _ => return None,
    };
    if hour > 24 || minute > 59 {
        return None;
    }
    if matches!(s.word(len), "o'clock" | "oclock") {
        (form, len) = (Form::Plain, len + 1);
    } else if s.on(len).starts_with(&["o", "clock"]) {
        (form, len) = (Form::Plain, len + 2);
    } else if s.word(len) == "sharp" {
        (form, len) = (Form::Plain, len + 1);
    } else if s.on(len).match_len(&[&["on", "the", "dot"], &["on", "the", "nose"]]).is_some() {
        (form, len) = (Form::Plain, len + 3);
    } else if s.word(len) == "hundred" && hour > 0 && minute == 0 {
        let hours = usize::from(s.word(len + 1) == "hours");
        let clock =
            Clock { half: (hour > 12 || hours > 0).then_some(Half::Full), ..Clock::full(hour as i8 % 24, 0) };
        let priced = matches!(
            s.word(len + 1),
            "dollar" | "dollars" | "bucks" | "pounds" | "euro" | "quid" | "and" | "mil" | "foot"
        );
        return (hours > 0 || hour > 12 && !priced).then_some((clock, len + 1 + hours));
    }
    let (half, taken) = half(s, len);
    len += taken;
    if half.is_some() {
        form = Form::Plain;
    } else if counts(s.on(len)) || is_pronoun(s) || is_reference(s) || is_code(s, minute) {
        return None;
    }
    let has_half = half.is_some();
    let padded = matches!(token.kind, Kind::Pair(..)) && token.end - token.start == 5 && hour < 10;
    let half = if !has_half && (hour > 12 || hour == 0 || padded) { Some(Half::Full) } else { half };
    let introduced = is_introduced(s);
    if !has_half && (is_counted(s, len, form) || !is_expected(s, len, hour, form, introduced)) {
        return None;
    }
    if form == Form::Bare && introduced {
        form = Form::Introduced;
    }
    Some((Clock { hour: (hour % 24) as i8, minute: minute as i8, half, form, about: false }, len))
}

/// Whether "at" or a similar word comes before.
#[rustfmt::skip]
fn is_introduced(s: At<'_>) -> bool {
    matches!(
        s.back(1),
        "at" | "around" | "about" | "by" | "after" | "before" | "till" | "until" | "til" | "past"
        | "approximately" | "roughly"
    ) || matches!(s.token_back(1).map(|t| &t.kind), Some(Kind::Sign('@')))
}

/// Whether the word before can precede an hour; in "the upper left one" it cannot.
fn may_begin(s: At<'_>) -> bool {
    #[rustfmt::skip]
    let word = matches!(
        s.back(1),
        "" | "no" | "half" | "quarter" | "after" | "before" | "of" | "till" | "nope" | "yeah" | "yes" | "yep"
        | "say" | "maybe" | "like" | "or" | "and" | "to" | "tomorrow" | "today" | "tonight" | "then" | "for"
        | "it" | "do" | "okay" | "ok" | "sure" | "actually" | "wait" | "sorry" | "mean" | "so" | "well"
        | "make" | "from" | "between" | "past" | "til" | "but" | "just" | "right" | "how" | "be" | "probably"
        | "think" | "guess"
    );
    word || is_introduced(s) || super::day::weekday(s.back(1)).is_some()
}

/// Whether a bare number counts the word after it ("ten milligrams") or is a pronoun ("the upper left one").
fn is_counted(s: At<'_>, len: usize, form: Form) -> bool {
    let next = s.word(len);
    let plural = next.len() > 3 && next.ends_with('s') && !next.contains('\'');
    let verb = matches!(
        next,
        "works" | "thanks" | "suits" | "sounds" | "this" | "does" | "unless" | "always" | "perhaps" | "yours"
    );
    let counted = plural && !verb && super::day::weekday(next).is_none();
    form == Form::Bare && (counted || s.word(0) == "one" && !may_begin(s))
}

/// Whether a number is where a time is expected; digits and large numbers mostly mean something else.
fn is_expected(s: At<'_>, len: usize, hour: u32, form: Form, introduced: bool) -> bool {
    let Some(token) = s.token(0) else { return false };
    let starts = s.token_back(1).is_none_or(Token::is_stop);
    match token.kind {
        _ if introduced => true,
        // "Twenty two fifty" is money.
        Kind::Word(_) => {
            let apart = s.token_back(1).is_some_and(|t| t.kind == Kind::Comma)
                || matches!(s.back(1), "yes" | "yeah" | "okay" | "tomorrow" | "today" | "tonight")
                || s.back(1) == "it" && s.back(2) == "make";
            hour <= 12 || form == Form::Plain || starts || apart && form == Form::Introduced
        }
        // A year.
        Kind::Number(1900..=2099, 4) => false,
        Kind::Number(_, 3 | 4) => {
            let alone = starts && s.token(len).is_none_or(Token::is_stop);
            alone || matches!(s.back(1), "today" | "tomorrow" | "tonight" | "day" | "for" | "to")
        }
        _ => true,
    }
}

fn with_minutes(s: At<'_>, hour: u32, len: usize) -> (u32, u32, usize, Form) {
    match minutes(s.on(len)) {
        // "Two thirty minutes" contains no clock time; "six forty three minutes" may.
        Some((minute, taken))
            if (1..=24).contains(&hour) && (minute > 9 || taken > 1) && !counts(s.on(len + taken)) =>
        {
            (hour, minute, len + taken, Form::Introduced)
        }
        // "Four eighty" is a price, "two one five" a number.
        None if cardinal(s.on(len)).is_some_and(|(n, _)| n > 59) => (99, 0, len, Form::Bare),
        _ => (hour, 0, len, Form::Bare),
    }
}

/// am or pm, and the tokens it takes.
pub(super) fn half(s: At<'_>, len: usize) -> (Option<Half>, usize) {
    let at = s.on(len);
    match (at.word(0), at.word(1)) {
        ("in", "the") if at.word(2) == "am" => (Some(Half::Am), 3),
        ("in", "the") if at.word(2) == "pm" => (Some(Half::Pm), 3),
        ("am" | "ampm", _) => (Some(Half::Am), 1),
        ("pm", _) => (Some(Half::Pm), 1),
        ("a", "m") => (Some(Half::Am), 2),
        ("p", "m") => (Some(Half::Pm), 2),
        // "9a." and "3p" touch their number.
        ("a", next) if touches(s, len) && next != "m" => (Some(Half::Am), 1),
        ("p", next) if touches(s, len) && next != "m" => (Some(Half::Pm), 1),
        _ => (None, 0),
    }
}

fn touches(s: At<'_>, len: usize) -> bool {
    len > 0 && s.token(len - 1).zip(s.token(len)).is_some_and(|(a, b)| a.end == b.start)
}

/// Whether the next words are what the number counts.
pub(super) fn counts(s: At<'_>) -> bool {
    if s.word(0) == "of" && matches!(s.word(1), "us" | "them" | "you" | "these" | "those") {
        return true;
    }
    if s.starts_with(&["an", "hour"])
        || s.starts_with(&["per", "hour"])
        || s.starts_with(&["a", "month"])
        || s.starts_with(&["a", "seat"])
    {
        return true;
    }
    matches!(
        s.word(0),
        "minutes" | "minute" | "mins" | "min" | "hours" | "hour" | "hrs" | "hr" | "days" | "day" | "weeks" | "week" | "months"
            | "month" | "years" | "year" | "seconds" | "second" | "secs" | "dollar" | "quid" | "euro" | "dollars" | "bucks" | "cents" | "percent" | "people" | "kids"
            | "times" | "thousand" | "hundred" | "million" | "miles" | "pounds" | "euros" | "guests" | "feet" | "degrees"
            | "rooms" | "bedroom" | "bedrooms" | "or" if !matches!(s.word(0), "or") || s.word(1) == "so"
    ) || matches!(s.token(0).map(|t| &t.kind), Some(Kind::Sign('%' | '/')))
}

/// "This one", "one of them", "no one".
fn is_pronoun(s: At<'_>) -> bool {
    // "Your two missing skeins", "all four of us".
    if matches!(s.back(1), "your" | "my" | "our" | "his" | "their" | "these" | "those" | "all" | "only") {
        return s.word(1) != "o'clock";
    }
    let plain = matches!(s.word(0), "one" | "won" | "second");
    // "The Saturday one", "the four o'clock one".
    if plain && matches!(s.back(2), "the" | "that") && super::day::weekday(s.back(1)).is_some()
        || plain && matches!(s.back(1), "clock" | "o'clock")
    {
        return true;
    }
    #[rustfmt::skip]
    let points = matches!(
        s.back(1),
        "this" | "either" | "same" | "that" | "the" | "which" | "no" | "another" | "any" | "every"
        | "other" | "last" | "next" | "only" | "new" | "good" | "better" | "each" | "first" | "big"
        | "right" | "wrong"
    ) || matches!(
        s.word(1),
        "of" | "more" | "thing" | "moment" | "who" | "that" | "where" | "question" | "time" | "way" | "sec"
    );
    plain && points
}

/// "The nine oh seven", "in two oh nine": an area code, a room.
fn is_code(s: At<'_>, minute: u32) -> bool {
    minute < 10
        && matches!(s.word(1), "oh" | "o" | "zero")
        && matches!(
            s.back(1),
            "the" | "in" | "our" | "my" | "unit" | "apartment" | "room" | "ending" | "ends"
        )
}

/// Whether the number identifies something: an order, a room.
fn is_reference(s: At<'_>) -> bool {
    matches!(
        s.back(1),
        "order" | "number" | "account" | "code" | "zip" | "extension" | "ext" | "apartment" | "apt" | "unit" | "room" | "suite"
            | "route" | "interstate" | "highway" | "gate" | "flight" | "option" | "page" | "step" | "floor" | "channel" | "version"
            | "chapter" | "line" | "level" | "phase" | "is" if s.back(1) != "is" || matches!(s.back(2), "son" | "daughter" | "he" | "she" | "number" | "age" | "mom" | "dad")
    )
}
