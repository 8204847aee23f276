//! English: parts of a time, and cues.

mod busy;
mod by_ear;
mod calls;
mod clock;
mod cues;
mod day;
mod holiday;
mod length;
mod numbers;
mod part_of_day;
mod phrases;
mod places;
mod spelling;
mod zone;

use super::{At, Language, Named};
use crate::{
    cue::Cue,
    part::{Bound, Part},
    words::Kind,
};

pub(crate) struct English;

/// Words that "last" puts in the past.
#[rustfmt::skip]
const LAST: [&str; 14] = [
    "night", "evening", "week", "month", "year", "weekend", "monday", "tuesday", "wednesday", "thursday",
    "friday", "saturday", "sunday", "time",
];

impl Language for English {
    fn spelling(&self, s: At<'_>) -> Option<&'static str> {
        spelling::usual(s)
    }

    fn part(&self, s: At<'_>) -> Option<Named> {
        part(s)
    }

    fn is_past(&self, s: At<'_>) -> bool {
        match s.word(0) {
            "yesterday" => true,
            // "Two days ago"; at the start of a turn, "Ago" can be a name.
            "ago" => s.at > 0,
            // "The last Thursday of May" can be in the future.
            "last" => LAST.contains(&s.word(1)) && s.word(2) != "of",
            _ => false,
        }
    }

    fn cue(&self, s: At<'_>) -> Option<(Cue, usize)> {
        cues::read(s)
    }

    #[rustfmt::skip]
    fn is_glue(&self, s: At<'_>) -> bool {
        matches!(s.token(0).map(|t| &t.kind), Some(Kind::Comma | Kind::Sign('@' | '<' | '>' | '=')))
            || matches!(
                s.word(0),
                "at" | "on" | "in" | "for" | "of" | "the" | "a" | "maybe" | "like" | "say" | "please" | "so"
                | "and" | "that's" | "around" | "sometime" | "some" | "any" | "anytime" | "time" | "probably"
                | "uh" | "then" | "or" | "even" | "just" | "more" | "right" | "exactly" | "onwards" | "on's"
                | "during" | "well" | "perhaps" | "but" | "it's" | "that"
            )
    }

    fn is_break(&self, s: At<'_>) -> bool {
        // "After nine but before eleven" is one clause.
        let bounds = s.word(0) == "but" && matches!(s.word(1), "before" | "by" | "no");
        !bounds && matches!(s.word(0), "but" | "because" | "cause" | "cos" | "cuz" | "except" | "although")
            || s.word(0) == "so"
                && s.token(1).is_some_and(|t| !t.is_stop())
                && !matches!(s.back(1), "or" | "think" | "not" | "do" | "hope" | "guess" | "ever")
    }

    #[rustfmt::skip]
    fn is_polite(&self, s: At<'_>) -> bool {
        matches!(
            s.word(0),
            "please" | "thanks" | "thank" | "you" | "bye" | "hi" | "hello" | "hey" | "i" | "me" | "my" | "is"
            | "be" | "to" | "it" | "with" | "your" | "we" | "do" | "can" | "could" | "will" | "as" | "if"
            | "there" | "here" | "well" | "um" | "oh" | "love" | "mate" | "sir" | "ma'am" | "man" | "i'd"
            | "i'll" | "you'd" | "one" | "this" | "these" | "today" | "only" | "um-hm" | "dear" | "honey"
        )
    }

    fn is_or(&self, s: At<'_>) -> bool {
        s.word(0) == "or"
    }

    fn is_to(&self, s: At<'_>) -> bool {
        matches!(s.word(0), "to" | "and" | "through" | "thru" | "till" | "until" | "til")
            || matches!(s.token(0).map(|t| &t.kind), Some(Kind::Sign('-') | Kind::Dash))
    }
}

fn part(s: At<'_>) -> Option<Named> {
    if let Some(len) = numbers::number_row(s) {
        return Some(Named::nothing(len));
    }
    if let Some(len) = amount(s).filter(|len| *len > 2) {
        return Some(Named::nothing(len));
    }
    if let Some(len) = year(s).or_else(|| fraction(s)) {
        return Some(Named::nothing(len));
    }
    if is_wished(s)
        && let Some(wished) = day::read(s).or_else(|| part_of_day::read(s))
    {
        return Some(Named::nothing(wished.len));
    }
    bound(s)
        .or_else(|| day::read(s))
        .or_else(|| part_of_day::read(s))
        .or_else(|| clock::by_distance(s))
        .or_else(|| clock::past_the_hour(s))
        .or_else(|| length::read(s))
        .or_else(|| zone::read(s))
        .or_else(|| clock::read(s))
        .or_else(|| same_time(s))
        .or_else(|| too_large(s))
}

/// "Twenty seventeen", "nineteen eighty one".
fn year(s: At<'_>) -> Option<usize> {
    let years = match s.word(0) {
        "twenty" => 10..=29,
        "nineteen" => 40..=99,
        _ => return None,
    };
    let (n, len) = numbers::cardinal(s.on(1))?;
    let timed = matches!(s.back(1), "at" | "by" | "around" | "about" | "till" | "until" | "after" | "before")
        || matches!(s.word(1 + len), "hours" | "hrs" | "pm" | "am" | "p" | "a" | "minutes" | "past" | "to");
    (years.contains(&n) && !timed).then_some(1 + len)
}

/// "Four point one", "four and a quarter".
fn fraction(s: At<'_>) -> Option<usize> {
    let (_, len) = numbers::cardinal(s)?;
    let rest = s.on(len);
    if rest.word(0) == "point" && numbers::cardinal(rest.on(1)).is_some() {
        return Some(len + 2);
    }
    rest.match_len(&[
        &["and", "a", "quarter"],
        &["and", "three", "quarters"],
        &["and", "a", "half", "percent"],
    ])
    .map(|more| len + more)
}

/// "Have a good Christmas", "enjoy your evening".
fn is_wished(s: At<'_>) -> bool {
    match s.back(1) {
        "good" | "nice" | "great" | "lovely" | "wonderful" | "blessed" | "safe" => {
            matches!(s.back(2), "a" | "have" | "your")
        }
        "merry" | "happy" => true,
        "your" => matches!(s.back(2), "enjoy" | "with"),
        _ => false,
    }
}

/// "Seventy five" is not an hour, and neither is its "five".
fn too_large(s: At<'_>) -> Option<Named> {
    if let Some(len) = amount(s) {
        return Some(Named::nothing(len));
    }
    numbers::cardinal(s).filter(|(n, len)| *n > 24 && *len > 1).map(|(_, len)| Named::nothing(len))
}

/// "Four five hundred", "three thousand two hundred".
fn amount(s: At<'_>) -> Option<usize> {
    let (_, mut len) = numbers::cardinal(s)?;
    if let Some((_, more)) = numbers::cardinal(s.on(len)) {
        len += more;
    }
    if !matches!(s.word(len), "hundred" | "thousand" | "million") {
        return None;
    }
    len += 1;
    // "Three hundred and ten", "two thousand four hundred".
    let and = usize::from(s.word(len) == "and");
    let more = numbers::cardinal(s.on(len + and)).filter(|_| s.word(len - 1) != "hundred" || and == 1);
    if let Some((_, taken)) = more {
        len += and + taken;
        len += usize::from(s.word(len) == "hundred");
    }
    Some(len)
}

fn same_time(s: At<'_>) -> Option<Named> {
    const PHRASES: &[&[&str]] = &[
        &["at", "the", "same", "time"],
        &["the", "same", "time"],
        &["same", "time"],
        &["around", "this", "time"],
        &["about", "this", "time"],
        &["same", "as", "today"],
        &["same", "hour"],
    ];
    if s.starts_with(&["this", "time"])
        && (s.word(2) == "tomorrow" || s.word(2) == "next" || day::weekday(s.word(2)).is_some())
    {
        return Some(Named::one(Part::SameTime, 2));
    }
    s.match_len(PHRASES).map(|len| Named::one(Part::SameTime, len))
}

/// The bound before a time. Words between the bound and the time are handled where parts are joined.
fn bound(s: At<'_>) -> Option<Named> {
    const BOUNDS: &[(&[&str], Bound)] = &[
        (&["no", "later", "than"], Bound::Before),
        (&["not", "later", "than"], Bound::Before),
        (&["no", "earlier", "than"], Bound::NotBefore),
        (&["not", "earlier", "than"], Bound::NotBefore),
        (&["not", "any", "earlier", "than"], Bound::NotBefore),
        (&["any", "time", "after"], Bound::From),
        (&["anytime", "after"], Bound::From),
        (&["some", "time", "after"], Bound::After),
        (&["sometime", "after"], Bound::After),
        (&["any", "time", "past"], Bound::From),
        (&["anytime", "past"], Bound::From),
        (&["any", "time", "from"], Bound::From),
        (&["anytime", "from"], Bound::From),
        (&["any", "time", "before"], Bound::Before),
        (&["anytime", "before"], Bound::Before),
        (&["some", "time", "before"], Bound::Before),
        (&["sometime", "before"], Bound::Before),
        (&["prior", "to"], Bound::Before),
        (&["as", "late", "as"], Bound::Before),
        (&["or", "later"], Bound::From),
        (&["or", "after"], Bound::From),
        (&["onwards"], Bound::From),
        (&["onward"], Bound::From),
        (&["later", "than"], Bound::After),
        (&["earlier", "than"], Bound::Before),
        (&["not", "before"], Bound::NotBefore),
        (&["not", "until"], Bound::NotBefore),
        (&["not", "till"], Bound::NotBefore),
        (&["not", "after"], Bound::NotAfter),
        (&["any", "time", "between"], Bound::Between),
        (&["anytime", "between"], Bound::Between),
        (&["some", "time", "between"], Bound::Between),
        (&["sometime", "between"], Bound::Between),
        (&["between"], Bound::Between),
        (&["close", "to"], Bound::About),
        (&["right", "around"], Bound::About),
        (&["right", "about"], Bound::About),
        (&["some", "time", "around"], Bound::About),
        (&["sometime", "around"], Bound::About),
        (&["somewhere", "around"], Bound::About),
        (&["at", "around"], Bound::About),
        (&["at", "about"], Bound::About),
        (&["at", "like"], Bound::About),
        (&["around"], Bound::About),
        (&["about"], Bound::About),
        (&["roughly"], Bound::About),
        (&["approximately"], Bound::About),
        (&["after"], Bound::After),
        (&["past"], Bound::After),
        (&["from"], Bound::From),
        (&["starting"], Bound::From),
        (&["before"], Bound::Before),
        (&["by"], Bound::Before),
        (&["through"], Bound::Until),
        (&["thru"], Bound::Until),
        (&["until"], Bound::Until),
        (&["till"], Bound::Until),
        (&["til"], Bound::Until),
    ];
    // "After lunch" is a part of the day, "the day after tomorrow" a day.
    if part_of_day::read(s).is_some() || s.back(1) == "day" {
        return None;
    }
    // "After an hour" is an hour from now.
    if s.word(0) == "after" && length::read(s).is_some() {
        return None;
    }
    let (bound, len) = s.lookup(BOUNDS)?;
    // "I'm away through Friday", but "talk me through it" and "Monday through Friday".
    let is_preposition = matches!(s.word(0), "through" | "thru")
        && (day::read(s.on(1)).is_none() || day::weekday(s.back(1)).is_some());
    if is_preposition {
        return None;
    }
    Some(Named::one(Part::Bound(bound), len))
}
