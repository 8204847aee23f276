//! Days: "tomorrow", "Friday week", "the twenty third", "the first Monday of January", "early next week".

use jiff::civil::Weekday;

use super::numbers::{cardinal, ordinal};
use crate::{
    lang::{At, Named},
    part::{Base, Day, DayPart, Length, Part, Stretch, Unit, Which},
    words::Kind,
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    from_day(s).or_else(|| plain(s))
}

/// A day that is not counted from another one. Only such a day can be the base of `from_day`, so there is no recursion.
fn plain(s: At<'_>) -> Option<Named> {
    near(s)
        .or_else(|| counted(s))
        .or_else(|| week(s))
        .or_else(|| super::holiday::read(s))
        .or_else(|| nth_weekday(s))
        .or_else(|| date(s))
        .or_else(|| weekday_named(s))
        .or_else(|| nth(s))
}

const fn day(day: Day, len: usize) -> Named {
    Named::one(Part::Day(day), len)
}

/// Today, tomorrow, and days relative to them.
fn near(s: At<'_>) -> Option<Named> {
    const DAYS: &[(&[&str], Day)] = &[
        (&["the", "day", "after", "tomorrow"], Day::FromToday(2)),
        (&["day", "after", "tomorrow"], Day::FromToday(2)),
        (&["the", "day", "after", "tmrw"], Day::FromToday(2)),
        (&["day", "after", "tmrw"], Day::FromToday(2)),
        (&["overmorrow"], Day::FromToday(2)),
        (&["the", "day", "before"], Day::FromReference(-1)),
        (&["the", "day", "after"], Day::FromReference(1)),
        (&["the", "next", "day"], Day::FromReference(1)),
        (&["the", "following", "day"], Day::FromReference(1)),
        (&["the", "day", "prior"], Day::FromReference(-1)),
        (&["tomorrow", "week"], Day::WeeksFrom(1, Base::Tomorrow)),
        (&["today", "week"], Day::WeeksFrom(1, Base::Today)),
        (&["this", "day", "next", "week"], Day::WeeksFrom(1, Base::Today)),
        (&["this", "time", "next", "week"], Day::WeeksFrom(1, Base::Today)),
        (&["tomorrow"], Day::FromToday(1)),
        (&["tomorrow's"], Day::FromToday(1)),
        (&["tomorrow'd"], Day::FromToday(1)),
        (&["tomorrow'll"], Day::FromToday(1)),
        (&["tmrw"], Day::FromToday(1)),
        (&["tmr"], Day::FromToday(1)),
        (&["tomorow"], Day::FromToday(1)),
        (&["today"], Day::FromToday(0)),
        (&["today's"], Day::FromToday(0)),
    ];
    if s.word(0) == "tonight" || s.word(0) == "tonite" {
        return Some(Named::two(Part::Day(Day::FromToday(0)), Part::DayPart(DayPart::Night), 1));
    }
    s.lookup(DAYS).map(|(named, len)| day(named, len))
}

/// "Three days after Friday", "two weeks from January 15".
fn from_day(s: At<'_>) -> Option<Named> {
    let (n, len) = if matches!(s.word(0), "a" | "one") { (1, 1) } else { cardinal(s)? };
    let unit = match s.word(len) {
        "day" | "days" => Unit::Days,
        "week" | "weeks" => Unit::Weeks,
        "month" | "months" => Unit::Months,
        _ => return None,
    };
    let sign = match s.word(len + 1) {
        "from" | "after" => 1,
        "before" => -1,
        _ => return None,
    };
    let base = plain(s.on(len + 2)).filter(|named| matches!(named.parts, [Some(Part::Day(_)), None]))?;
    if sign == 1 && matches!(base.parts[0], Some(Part::Day(Day::FromToday(0)))) && unit != Unit::Months {
        return None;
    }
    let n = f64::from(n.min(1000));
    let length = Length { is_wait: true, from_day: sign, ..Length::new(n, n, unit) };
    Some(Named { parts: [Some(Part::Length(length)), base.parts[0].clone()], len: len + 2 + base.len })
}

/// A number of weeks or weekdays: "a week from Tuesday", "two weeks from today", "three Fridays from now".
fn counted(s: At<'_>) -> Option<Named> {
    let (n, len) = match (s.word(0), s.word(1)) {
        ("a", "week") => (1, 1),
        ("a", "fortnight") => (2, 1),
        ("week", _) => (1, 0),
        _ => cardinal(s)?,
    };
    let n = i8::try_from(n).ok().filter(|n| *n < 60)?;
    let n = if s.word(len) == "fortnight" { 2 } else { n };
    if matches!(s.word(len), "week" | "weeks" | "fortnight") {
        let link = usize::from(matches!(s.word(len + 1), "from" | "on"));
        let at = s.on(len + 1 + link);
        let base = match at.word(0) {
            "today" => Some((Base::Today, 1)),
            "tomorrow" | "tmrw" => Some((Base::Tomorrow, 1)),
            "this" | "next" if link == 1 => weekday(at.word(1)).map(|w| (Base::Weekday(w), 2)),
            word => weekday(word).map(|w| (Base::Weekday(w), 1)),
        };
        if let Some((base, taken)) = base.filter(|_| len > 0 || link == 1) {
            return Some(day(Day::WeeksFrom(n, base), len + 1 + link + taken));
        }
    }
    if matches!(s.word(len), "day" | "days")
        && s.word(len + 1) == "from"
        && matches!(s.word(len + 2), "tomorrow" | "tmrw")
    {
        return Some(day(Day::FromToday(i32::from(n) + 1), len + 3));
    }
    let weekday = weekday(s.word(len)).filter(|_| len > 0 && n > 0)?;
    (s.word(len + 1) == "from" && s.word(len + 2) == "now")
        .then(|| day(Day::Weekday(weekday, Which::Nth(n)), len + 3))
}

/// Weeks, weekends and months.
fn week(s: At<'_>) -> Option<Named> {
    let stretches: &[(&[&str], Stretch)] = &[
        (&["the", "beginning", "of"], Stretch::Early),
        (&["the", "start", "of"], Stretch::Early),
        (&["beginning", "of"], Stretch::Early),
        (&["start", "of"], Stretch::Early),
        (&["the", "end", "of"], Stretch::Late),
        (&["end", "of"], Stretch::Late),
        (&["the", "middle", "of"], Stretch::Middle),
        (&["middle", "of"], Stretch::Middle),
        (&["early"], Stretch::Early),
        (&["mid"], Stretch::Middle),
        (&["late"], Stretch::Late),
        (&["later"], Stretch::Late),
    ];
    let (stretch, skip) = s.lookup(stretches).unwrap_or((Stretch::Whole, 0));
    let at = s.on(skip);
    let (named, len) = match (at.word(0), at.word(1), at.word(2), at.word(3)) {
        ("the", "week", "after", "next") => (Day::Week(stretch, 2), 4),
        ("week", "after", "next", _) => (Day::Week(stretch, 2), 3),
        ("the", "week", "after", _) | ("the", "following", "week", _) => (Day::Week(stretch, 1), 3),
        ("next" | "following", "week", ..) => {
            match weekday(at.word(2)).or_else(|| (at.word(2) == "on").then(|| weekday(at.word(3)))?) {
                Some(w) => (Day::Weekday(w, Which::Next), if at.word(2) == "on" { 4 } else { 3 }),
                None => (Day::Week(stretch, 1), 2),
            }
        }
        ("this", "week", ..) => match weekday(at.word(2)) {
            Some(w) => (Day::Weekday(w, Which::This), 3),
            None => (Day::Week(stretch, 0), 2),
        },
        ("the", "week", ..) if stretch != Stretch::Whole => (Day::Week(stretch, 0), 2),
        ("next", "weekend", ..) => (Day::Weekend(1), 2),
        ("the" | "this", "weekend", ..) => (Day::Weekend(0), 2),
        ("weekend", ..) => (Day::Weekend(0), 1),
        ("next", "month", ..) => (Day::Month(1, stretch == Stretch::Late), 2),
        ("the" | "this", "month", ..) if stretch == Stretch::Late => (Day::Month(0, true), 2),
        ("next" | "the" | "this" | "current", ..)
            if stretch == Stretch::Late && matches!(at.word(1), "year") =>
        {
            (Day::YearEnd, 2)
        }
        ("year", ..) if stretch == Stretch::Late => (Day::YearEnd, 1),
        ("month", ..) if stretch == Stretch::Late => (Day::Month(0, true), 1),
        ("eom", ..) => (Day::Month(0, true), 1),
        ("eoy", ..) => (Day::YearEnd, 1),
        ("the", "eom", ..) => (Day::Month(0, true), 2),
        ("the", "eoy", ..) => (Day::YearEnd, 2),
        (name, ..) => match month(name) {
            Some(m) if skip > 0 || is_month(s) => (Day::MonthNamed(m, stretch), 1),
            _ => return None,
        },
    };
    if matches!(named, Day::MonthNamed(..)) && date(at).is_some() {
        return None;
    }
    Some(day(named, skip + len))
}

/// "In May", "by March": whether the word before shows that it is a month and not the verb.
#[rustfmt::skip]
fn is_month(s: At<'_>) -> bool {
    matches!(
        s.back(1),
        "in" | "of" | "after" | "before" | "by" | "until" | "till" | "early" | "late" | "mid" | "from"
        | "during" | "since"
    )
}

/// A weekday and which one of that name, with the day of the month if it is named too.
fn weekday_named(s: At<'_>) -> Option<Named> {
    let (which, skip) = match (s.word(0), s.word(1)) {
        ("this", "coming" | "upcoming") | ("the", "coming" | "upcoming") => (Which::Coming, 2),
        ("this", _) => (Which::This, 1),
        ("next" | "following", _) => (Which::Next, 1),
        ("the", "next" | "following") => (Which::Next, 2),
        ("coming" | "upcoming", _) => (Which::Coming, 1),
        _ => (Which::Coming, 0),
    };
    let name = weekday(s.word(skip))?;
    let len = skip + 1;
    // "The sun", "we sat", "sat down": not weekdays.
    if matches!(s.word(skip), "sat" | "sun" | "wed" | "mon")
        && (matches!(s.back(1), "the" | "i" | "we" | "got" | "he" | "she")
            || matches!(s.word(skip + 1), "down" | "there" | "here" | "around"))
    {
        return None;
    }
    let at = s.on(len);
    let behind: &[(&[&str], Which)] = &[
        (&["after", "next"], Which::AfterNext),
        (&["the", "one", "after", "next"], Which::AfterNext),
        (&["the", "one", "after", "that"], Which::AfterNext),
        (&["the", "one", "after"], Which::AfterNext),
        (&["but", "the", "one", "after"], Which::AfterNext),
        (&["of", "next", "week"], Which::Next),
        (&["of", "the", "following", "week"], Which::Next),
        (&["next", "week"], Which::Next),
        (&["of", "this", "week"], Which::This),
        (&["this", "week"], Which::This),
        (&["in", "two", "weeks"], Which::Later(1)),
        (&["two", "weeks", "from", "now"], Which::Later(1)),
        (&["fortnight"], Which::Later(2)),
        (&["week"], Which::Later(1)),
    ];
    if let Some((which, taken)) = at.lookup(behind) {
        return Some(day(Day::Weekday(name, which), len + taken));
    }
    // "Wednesday the ninth", "Monday, the 28th"; "Friday the 3rd of July" and "Friday, July 3rd" are dates.
    let comma = usize::from(matches!(at.token(0).map(|t| &t.kind), Some(Kind::Comma)));
    if let Some(date) = date(at.on(comma)) {
        return Some(Named { len: len + comma + date.len, ..date });
    }
    let the = usize::from(at.word(comma) == "the");
    if let Some((n, taken)) = ordinal(at.on(comma + the)).filter(|(n, _)| (1..=31).contains(n)) {
        let full = len + comma + the + taken;
        if (comma == 0 || the == 1) && !matches!(s.word(full), "one" | "option" | "thing") {
            return Some(day(Day::WeekdayNth(name, n as i8), full));
        }
    }
    if let Some(Kind::Number(n @ 13..=31, 2)) = at.token(0).map(|t| &t.kind)
        && !super::clock::counts(at.on(1))
        && !matches!(at.word(1), "pm" | "am" | "o'clock" | "hundred")
    {
        return Some(day(Day::WeekdayNth(name, *n as i8), len + 1));
    }
    Some(day(Day::Weekday(name, which), len))
}

/// "The first Monday of January", "last Friday of the month".
fn nth_weekday(s: At<'_>) -> Option<Named> {
    let the = usize::from(s.word(0) == "the");
    let (n, taken) = match s.word(the) {
        "last" => (-1, 1),
        _ => ordinal(s.on(the)).filter(|(n, _)| (1..=5).contains(n)).map(|(n, len)| (n as i8, len))?,
    };
    let name = weekday(s.word(the + taken))?;
    let len = the + taken + 1;
    let at = s.on(len);
    let (month, more) = match (at.word(0), at.word(1), at.word(2)) {
        ("of" | "in", "next", "month") => (Some(13), 3),
        ("of" | "in", "the", "month") => (None, 3),
        ("of" | "in", name, _) => (Some(month(name)?), 2),
        _ => return None,
    };
    let year = matches!(s.token(len + more).map(|t| &t.kind), Some(Kind::Number(2000..=2199, 4)));
    Some(day(Day::NthWeekday(n, name, month), len + more + usize::from(year)))
}

/// A month and a day.
fn date(s: At<'_>) -> Option<Named> {
    if let Kind::Date(y, m, d) = s.token(0)?.kind {
        return Some(day(Day::Date(Some(y), m, d), 1));
    }
    if let (Some(Kind::Number(m @ 1..=12, _)), Some(Kind::Sign('/')), Some(Kind::Number(d @ 1..=31, _))) =
        (s.token(0).map(|t| &t.kind), s.token(1).map(|t| &t.kind), s.token(2).map(|t| &t.kind))
        // "1/2 an hour".
        && s.on(3).match_len(&[&["an", "hour"], &["of", "an", "hour"], &["hour"]]).is_none()
    {
        return Some(day(Day::Date(None, *m as i8, *d as i8), 3));
    }
    let (m, d, mut len) = month_first(s).or_else(|| day_first(s))?;
    let comma = usize::from(matches!(s.token(len).map(|t| &t.kind), Some(Kind::Comma)));
    let comma = comma + usize::from(matches!(s.word(len + comma), "in" | "of"));
    let year = match s.token(len + comma).map(|t| &t.kind) {
        Some(Kind::Number(y @ 1900..=2199, 4)) => Some((*y as i16, comma + 1)),
        _ => spoken_year(s.on(len + comma)).map(|(y, taken)| (y, taken + comma)),
    };
    len += year.map_or(0, |(_, taken)| taken);
    Some(day(Day::Date(year.map(|(y, _)| y), m, d), len))
}

/// "Nineteen seventy two", "twenty twenty six", "two thousand nineteen".
fn spoken_year(s: At<'_>) -> Option<(i16, usize)> {
    if s.word(0) == "two" && s.word(1) == "thousand" {
        let and = usize::from(s.word(2) == "and");
        return Some(cardinal(s.on(2 + and)).map_or((2000, 2), |(n, len)| (2000 + n as i16, 2 + and + len)));
    }
    let century = match s.word(0) {
        "nineteen" => 1900,
        "twenty" => 2000,
        _ => return None,
    };
    let (n, len) = cardinal(s.on(1)).filter(|(n, _)| (10..100).contains(n))?;
    Some((century + n as i16, 1 + len))
}

/// "July third", "March 3rd", "May twenty one".
fn month_first(s: At<'_>) -> Option<(i8, i8, usize)> {
    let m = month(s.word(0))?;
    // "Oct. 2".
    let dot =
        usize::from(matches!(s.token(1).map(|t| &t.kind), Some(Kind::Stop('.') | Kind::Sign('-' | '/'))));
    let the = dot + usize::from(s.word(1 + dot) == "the");
    let (d, len) = ordinal(s.on(1 + the)).or_else(|| cardinal(s.on(1 + the)))?;
    // "May 5 pm" contains no day, nor does "march 14:30".
    let fits = (1..=31).contains(&d) && !matches!(s.word(1 + the + len), "pm" | "am" | "o'clock");
    // "May I", "may two of us": a month only before an ordinal, digits or a number above twelve.
    let sure = s.word(0) != "may" && s.word(0) != "march"
        || ordinal(s.on(1 + the)).is_some()
        || matches!(s.token(1 + the)?.kind, Kind::Number(..))
        || d > 12;
    (fits && sure).then_some((m, d as i8, 1 + the + len))
}

/// "The third of July", "14 Nov", "the fifteenth day of May".
fn day_first(s: At<'_>) -> Option<(i8, i8, usize)> {
    let the = usize::from(s.word(0) == "the");
    let (d, taken) = ordinal(s.on(the)).or_else(|| match s.token(the)?.kind {
        Kind::Number(n, 1 | 2) => Some((n, 1)),
        _ => None,
    })?;
    let mut len = the + taken;
    if matches!(s.token(len).map(|t| &t.kind), Some(Kind::Stop('.') | Kind::Sign('-' | '/')))
        && month(s.word(len + 1)).is_some()
    {
        len += 1;
    }
    if s.word(len) == "day" {
        len += 1;
    }
    let of = usize::from(s.word(len) == "of");
    let m = match (s.word(len + of), s.word(len + of + 1)) {
        ("next", "month") => (13, 2),
        ("the", "next") if s.word(len + of + 2) == "month" => (13, 3),
        ("this", "month") => (14, 2),
        ("the", "month") => (14, 2),
        ("the", "current") if s.word(len + of + 2) == "month" => (14, 3),
        (name, _) => (month(name)?, 1),
    };
    // A number alone before "of" counts something.
    let sure = of == 0 || the == 1 || !matches!(s.token(0)?.kind, Kind::Number(..)) || m.0 < 13;
    (sure && (1..=31).contains(&d)).then_some((m.0, d as i8, len + of + m.1))
}

/// "The twenty third", "on the 5th".
fn nth(s: At<'_>) -> Option<Named> {
    let the = usize::from(s.word(0) == "the");
    // "On the 15", "8 pm on 15".
    if let Some(Kind::Number(n @ 1..=31, 1 | 2)) = s.token(the).map(|t| &t.kind)
        && s.back(1) == "on"
        && (the == 1 || *n > 12)
        && !super::clock::counts(s.on(the + 1))
    {
        return Some(day(Day::Nth(*n as i8), the + 1));
    }
    let (n, len) = ordinal(s.on(the)).filter(|(n, _)| (1..=31).contains(n))?;
    let full = the + len;
    let figure = matches!(s.token(the)?.kind, Kind::Ordinal(_));
    // "The first one", "first thing", "the second option", "for the third time".
    #[rustfmt::skip]
    let other = matches!(
        s.word(full),
        "one" | "ones" | "option" | "thing" | "time" | "choice" | "floor" | "half" | "slot" | "of" | "grade"
        | "street" | "avenue" | "person" | "name" | "offer" | "call" | "appointment" | "week" | "party"
        | "payment" | "attempt" | "try"
    );
    let small = n < 4 && !figure && the == 0;
    (!other && !small && (the == 1 || figure || s.back(1) == "on" || n > 4))
        .then(|| day(Day::Nth(n as i8), full))
}

pub(super) fn weekday(word: &str) -> Option<Weekday> {
    let name = ["'s", "'d", "'ll"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
    let name = name.strip_suffix('s').filter(|w| w.ends_with("day")).unwrap_or(name);
    Some(match name {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" | "tues" => Weekday::Tuesday,
        "wednesday" | "wed" | "weds" => Weekday::Wednesday,
        "thursday" | "thu" | "thur" | "thurs" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ => return None,
    })
}

fn month(word: &str) -> Option<i8> {
    Some(match word {
        "january" | "jan" => 1,
        "february" | "feb" => 2,
        "march" | "mar" => 3,
        "april" | "apr" => 4,
        "may" => 5,
        "june" | "jun" => 6,
        "july" | "jul" => 7,
        "august" | "aug" => 8,
        "september" | "sep" | "sept" => 9,
        "october" | "oct" => 10,
        "november" | "nov" => 11,
        "december" | "dec" => 12,
        _ => return None,
    })
}
