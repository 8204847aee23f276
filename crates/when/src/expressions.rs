//! The times that a sentence names, as moments.
//!
//! `jiff` does all civil arithmetic: a wall time that a clock change skips moves forward, one that happens
//! twice is the first, and "in two hours" is elapsed time.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _, Zoned,
    civil::{Date, Weekday},
};

use crate::tokens::{Kind, Token};

/// One time found in a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) at: Timestamp,
    pub(crate) confidence: f64,
    pub(crate) rule: &'static str,
    /// First and one past the last token.
    pub(crate) span: (usize, usize),
    /// The day that was named, for a later sentence that names only an hour.
    pub(crate) day: Option<Date>,
}

/// Every time named in `sentence`, in order. `bare` reads "two hours" and "9" without "in" and "at"; `known_day`
/// is the day the talk is about already.
pub(crate) fn find(sentence: &[Token], end: &Zoned, bare: bool, known_day: Option<Date>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut i = 0;
    while i < sentence.len() {
        match offset(sentence, i, end, bare) {
            Some(f) => {
                i = f.span.1;
                found.push(f);
            }
            None => i += 1,
        }
    }
    if found.is_empty() { calendar(sentence, end, bare, known_day).into_iter().collect() } else { found }
}

fn word(s: &[Token], i: usize) -> &str {
    s.get(i).map_or("", Token::word)
}

/// "in twenty minutes", "an hour and a half from now", "half an hour".
fn offset(s: &[Token], at: usize, end: &Zoned, bare: bool) -> Option<Found> {
    let mut i = at;
    let led = matches!(word(s, i), "in" | "within" | "after" | "give");
    if led {
        i += 1;
        while matches!(
            word(s, i),
            "about"
                | "like"
                | "maybe"
                | "around"
                | "roughly"
                | "another"
                | "say"
                | "me"
                | "just"
                | "approximately"
        ) {
            i += 1;
        }
    }
    let (length, len) = length(s, i)?;
    let mut stop = i + len;
    let trailed = match (word(s, stop), word(s, stop + 1)) {
        ("from", "now") => 2,
        ("later", _) => 1,
        _ => 0,
    };
    if !led && trailed == 0 && !bare {
        return None;
    }
    stop += trailed;
    let moment = end.timestamp().checked_add(length).ok()?;
    Some(Found { at: moment, confidence: 0.95, rule: "offset", span: (at, stop), day: None })
}

/// A length of time and the tokens it takes: "two hours", "an hour and a half", "half an hour", "90 minutes".
fn length(s: &[Token], at: usize) -> Option<(SignedDuration, usize)> {
    let count = match (word(s, at), word(s, at + 1), word(s, at + 2)) {
        ("half", "an" | "a", "hour") => return Some((SignedDuration::from_mins(30), 3)),
        ("a", "half", "hour") | ("half", "hour", _) => {
            return Some((SignedDuration::from_mins(30), if word(s, at) == "a" { 3 } else { 2 }));
        }
        ("a", "couple", "of") => (2.0, 3),
        ("a", "couple", _) => (2.0, 2),
        ("a", "few", _) => (3.0, 2),
        ("a" | "an", ..) => (1.0, 1),
        _ => (f64::from(s.get(at)?.number()?), 1),
    };
    let (mut n, mut len) = count;
    let and_a_half = |i: usize| word(s, i) == "and" && word(s, i + 1) == "a" && word(s, i + 2) == "half";
    if and_a_half(at + len) {
        n += 0.5;
        len += 3;
    }
    let unit_mins = match word(s, at + len) {
        "minute" | "minutes" | "min" | "mins" => 1.0,
        "hour" | "hours" | "hr" | "hrs" => 60.0,
        "day" | "days" => 24.0 * 60.0,
        "week" | "weeks" => 7.0 * 24.0 * 60.0,
        _ => return None,
    };
    len += 1;
    if and_a_half(at + len) {
        n += 0.5;
        len += 3;
    }
    if n > 10_000.0 {
        return None;
    }
    Some((SignedDuration::from_secs((n * unit_mins * 60.0) as i64), len))
}

#[derive(Default)]
struct Pieces {
    day: Option<(Date, &'static str)>,
    /// Hour, minute, and the half of the day where it was said.
    clock: Option<(u32, u32, Option<bool>)>,
    part: Option<(i8, i8)>,
    first: Option<usize>,
    last: usize,
}

/// A day, a clock time, a part of the day, or what the sentence has of them.
fn calendar(s: &[Token], end: &Zoned, bare: bool, known_day: Option<Date>) -> Option<Found> {
    let mut p = Pieces::default();
    let mut i = 0;
    while i < s.len() {
        let took = day(s, i, end, &mut p)
            .or_else(|| part_of_day(s, i, &mut p))
            .or_else(|| clock(s, i, bare, &mut p))
            .unwrap_or(0);
        if took > 0 {
            p.first.get_or_insert(i);
            p.last = i + took;
        }
        i += took.max(1);
    }
    let span = (p.first?, p.last);
    p.day = p.day.or(known_day.map(|date| (date, "day")));
    let today = end.date();
    let moment =
        |date: Date, hour: i8, minute: i8| date.at(hour, minute, 0, 0).to_zoned(end.time_zone().clone()).ok();
    if let Some((hour, minute, half)) = p.clock {
        let date = p.day.map(|d| d.0);
        let evening = p.part.is_some_and(|(h, _)| h >= 12);
        let hour =
            hour_of_day(hour, half.or(p.part.map(|_| evening)), date.unwrap_or(today) == today, minute, end)?;
        let first = moment(date.unwrap_or(today), hour, minute as i8)?;
        // A bare clock time that is past means tomorrow's.
        let at = if p.day.is_none() && first <= *end {
            moment(today.checked_add(1.day()).ok()?, hour, minute as i8)?
        } else {
            first
        };
        let rule = if p.day.is_some() { "day_time" } else { "clock" };
        return Some(Found {
            at: at.timestamp(),
            confidence: if p.day.is_some() { 0.95 } else { 0.85 },
            rule,
            span,
            day: date,
        });
    }
    let (hour, minute) = p.part.unwrap_or((10, 0));
    let date = p.day.map(|d| d.0);
    let first = moment(date.unwrap_or(today), hour, minute)?;
    let at = if date.is_none() && first <= *end {
        moment(today.checked_add(1.day()).ok()?, hour, minute)?
    } else {
        first
    };
    Some(Found {
        at: at.timestamp(),
        confidence: 0.7,
        rule: p.day.map_or("part_of_day", |d| d.1),
        span,
        day: date,
    })
}

fn day(s: &[Token], i: usize, end: &Zoned, p: &mut Pieces) -> Option<usize> {
    let plus = |n: i64| end.date().checked_add(n.days()).ok();
    let (date, took) = match (word(s, i), word(s, i + 1), word(s, i + 2)) {
        ("day", "after", "tomorrow") => (plus(2)?, 3),
        ("tomorrow", ..) => (plus(1)?, 1),
        ("today", ..) => (plus(0)?, 1),
        ("tonight", ..) => {
            p.part.get_or_insert((19, 0));
            (plus(0)?, 1)
        }
        ("next", name, _) => {
            let weekday = weekday(name)?;
            // The named day of the next calendar week, Monday first.
            let monday = plus(7 - i64::from(end.weekday().to_monday_zero_offset()))?;
            (monday.checked_add(i64::from(weekday.to_monday_zero_offset()).days()).ok()?, 2)
        }
        (name, ..) => {
            let ahead = i64::from(end.weekday().until(weekday(name)?));
            (plus(if ahead == 0 { 7 } else { ahead })?, 1)
        }
    };
    p.day = Some((date, "day"));
    Some(took)
}

fn weekday(word: &str) -> Option<Weekday> {
    let name = word.strip_suffix('s').filter(|w| w.ends_with("day")).unwrap_or(word);
    Some(match name {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" | "tues" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" | "thurs" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ => return None,
    })
}

/// Nominal hours of vague words.
fn part_of_day(s: &[Token], i: usize, p: &mut Pieces) -> Option<usize> {
    let (part, took) = match (word(s, i), word(s, i + 1)) {
        ("first", "thing") => ((9, 0), 2),
        ("after", "lunch") => ((13, 30), 2),
        ("after", "dinner") => ((19, 0), 2),
        // "Good morning" greets; "morning" alone names a time.
        ("good", "morning" | "afternoon" | "evening") => return Some(0),
        ("morning", _) if i > 0 && word(s, i - 1) == "good" => return Some(0),
        ("afternoon" | "evening", _) if i > 0 && word(s, i - 1) == "good" => return Some(0),
        ("morning", _) => ((9, 0), 1),
        ("afternoon", _) => ((14, 0), 1),
        ("evening" | "night", _) => ((18, 0), 1),
        _ => return None,
    };
    p.part = Some(part);
    Some(took)
}

fn clock(s: &[Token], i: usize, bare: bool, p: &mut Pieces) -> Option<usize> {
    match word(s, i) {
        "noon" | "midday" => {
            p.clock = Some((12, 0, Some(true)));
            return Some(1);
        }
        "midnight" => {
            p.clock = Some((0, 0, Some(false)));
            return Some(1);
        }
        _ => {}
    }
    let (hour, minute, mut took) = match s.get(i)?.kind {
        Kind::Clock(h, m) => (h, m, 1),
        Kind::Number(h @ 1..=12) => match s.get(i + 1).and_then(Token::number) {
            Some(m @ 10..=59) => (h, m, 2),
            _ => (h, 0, 1),
        },
        _ => return None,
    };
    let half = match word(s, i + took) {
        "am" => Some(false),
        "pm" => Some(true),
        _ => None,
    };
    took += usize::from(half.is_some());
    let led = i > 0
        && matches!(
            word(s, i - 1),
            "at" | "around" | "about" | "by" | "after" | "before" | "like" | "maybe" | "say" | "until"
        );
    let beside_a_day = p.day.is_some() && p.last == i;
    let written = matches!(s[i].kind, Kind::Clock(..));
    if hour > 23 || minute > 59 || !(half.is_some() || led || beside_a_day || written || bare) {
        return None;
    }
    // A number that counts something is no hour.
    if matches!(
        word(s, i + took),
        "minutes" | "minute" | "hours" | "hour" | "days" | "dollars" | "percent" | "people" | "years"
    ) {
        return None;
    }
    p.clock = Some((hour, minute, half));
    Some(took)
}

/// Which of the two hours of that name: 1–6 pm; 7–11 am, or pm when that is already past today.
fn hour_of_day(hour: u32, pm: Option<bool>, today: bool, minute: u32, end: &Zoned) -> Option<i8> {
    let hour = match (hour, pm) {
        (12, Some(false)) => 0,
        (1..=11, Some(true)) => hour + 12,
        (1..=6, None) => hour + 12,
        (7..=11, None) => {
            let past = today && (hour as i8, minute as i8) <= (end.hour(), end.minute());
            if past { hour + 12 } else { hour }
        }
        _ => hour,
    };
    i8::try_from(hour).ok().filter(|h| *h < 24)
}
