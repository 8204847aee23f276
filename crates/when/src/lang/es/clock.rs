//! Clock times: "a las tres y media", "cinco menos cuarto", "cuarto para las ocho", "las quince treinta".

use super::numbers::cardinal;
use crate::{
    lang::{At, Named},
    part::{Clock, Form, Half, Part},
    words::Kind,
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    let (clock, len) = named(s).or_else(|| before(s)).or_else(|| hour(s))?;
    Some(Named::one(Part::Clock(clock), len))
}

fn named(s: At<'_>) -> Option<(Clock, usize)> {
    let article = usize::from(matches!(s.word(0), "a" | "la"));
    match s.word(article) {
        "medianoche" => Some((Clock::MIDNIGHT, article + 1)),
        "media" if s.word(article + 1) == "noche" => Some((Clock::MIDNIGHT, article + 2)),
        _ => None,
    }
}

/// The Latin American way: "cuarto para las ocho", "diez para las cinco".
fn before(s: At<'_>) -> Option<(Clock, usize)> {
    let (minutes, len) = if s.word(0) == "un" && s.word(1) == "cuarto" {
        (15, 2)
    } else if s.word(0) == "cuarto" {
        (15, 1)
    } else {
        cardinal(s)?
    };
    let len = len + usize::from(matches!(s.word(len), "minutos"));
    if !matches!(s.word(len), "para")
        || !matches!(s.word(len + 1), "las" | "la")
        || !(1..=30).contains(&minutes)
    {
        return None;
    }
    let (clock, taken) = hour(s.on(len + 1))?;
    (clock.minute == 0).then(|| (earlier(clock, minutes as i8), len + 1 + taken))
}

fn earlier(clock: Clock, minutes: i8) -> Clock {
    let hour = if clock.hour == 1 && clock.half != Some(Half::Full) { 12 } else { (clock.hour + 23) % 24 };
    Clock { hour, minute: 60 - minutes, form: Form::Plain, ..clock }
}

fn hour(s: At<'_>) -> Option<(Clock, usize)> {
    let lead = match (s.word(0), s.word(1)) {
        ("a", "las" | "la") => 2,
        ("las" | "la", _) => 1,
        _ => 0,
    };
    let at = s.on(lead);
    let (hour, mut minute, mut len, mut form) = hour_and_digit_minutes(at, lead > 0)?;
    if hour > 24 || minute > 59 || (lead > 0 && s.word(lead - 1) == "la" && hour != 1 && hour != 13) {
        return None;
    }
    let mut back = 0;
    if minute == 0 && !matches!(at.token(0)?.kind, Kind::Pair(..)) {
        let next = at.on(len);
        let (m, taken, sign) = minutes(next).unwrap_or((0, 0, 1));
        // "A las tres y dos minutos" is a time; "las dos y tres personas" is not.
        if taken > 0 && m <= 59 && !(counts(next.on(taken)) && next.word(taken) != "minutos") {
            len += taken + usize::from(next.word(taken) == "minutos");
            form = Form::Plain;
            if sign > 0 { minute = m } else { back = m as i8 }
        }
    }
    if at.on(len).starts_with(&["en", "punto"]) {
        (form, len) = (Form::Plain, len + 2);
    }
    if matches!(at.word(len), "horas" | "hrs" | "hs") && (lead > 0 || hour > 12) {
        (form, len) = (Form::Plain, len + 1);
    }
    let half = half(at.on(len));
    if let Some((_, taken)) = half {
        (form, len) = (Form::Plain, len + taken);
    } else if counts(at.on(len)) || form == Form::Bare && lead == 0 && is_plural(at.word(len)) {
        return None;
    }
    let half = half.map(|(half, _)| half);
    let hour = (hour % 24) as i8;
    if back == 0
        && minute == 0
        && let Some((named, taken)) = quarter_less(at.on(len))
    {
        let clock = Clock { hour, minute: 0, half: half.or(named), form: Form::Plain, about: false };
        return Some((earlier(clock, 15), lead + len + taken));
    }
    let noon = at.on(len).match_len(&[&["del", "mediodia"], &["del", "medio", "dia"]]);
    let full = hour > 12 || hour == 0 || noon.is_some() && hour == 12;
    let half = half.or(full.then_some(Half::Full)).or(noon.map(|_| Half::Pm));
    if lead > 0 && form == Form::Bare {
        form = Form::Introduced;
    }
    let clock = Clock { hour, minute: minute as i8, half, form, about: false };
    let clock = if back > 0 { earlier(clock, back) } else { clock };
    Some((clock, lead + len + noon.unwrap_or(0)))
}

/// The hour, with minutes that are written in digits: "las 15:30", "a las 330", "tres".
fn hour_and_digit_minutes(at: At<'_>, introduced: bool) -> Option<(u32, u32, usize, Form)> {
    match at.token(0)?.kind {
        Kind::Pair(h, m, _) => Some((h, m, 1, Form::Plain)),
        Kind::Number(n, 3 | 4) if introduced && n / 100 < 24 && n % 100 < 60 => {
            Some((n / 100, n % 100, 1, Form::Plain))
        }
        Kind::Number(n, 1 | 2) => Some((n, 0, 1, Form::Bare)),
        Kind::Word(_) => {
            // "Una" and "un" without "la" before or minutes after are articles.
            let timed = matches!(at.word(1), "y" | "menos")
                && (matches!(at.word(2), "media" | "cuarto") || cardinal(at.on(2)).is_some());
            if !introduced && matches!(at.word(0), "un" | "una" | "uno") && !timed {
                return None;
            }
            let (n, len) = cardinal_hour(at)?;
            Some((n, 0, len, Form::Bare))
        }
        _ => None,
    }
}

/// The minutes after an hour, their number of tokens, and their sign (-1 subtracts): "y media", "menos diez", "quince".
fn minutes(next: At<'_>) -> Option<(u32, usize, i8)> {
    let below = |most: u32| {
        let (n, taken) = cardinal(next.on(1)).filter(|(n, _)| *n < most)?;
        Some((n, taken + 1, 1))
    };
    let zero = matches!(next.token(0).map(|t| &t.kind), Some(Kind::Number(0, 1)));
    match (next.word(0), next.word(1)) {
        ("y", "media") => Some((30, 2, 1)),
        ("y", "cuarto") => Some((15, 2, 1)),
        ("y", "pico") => Some((0, 2, 1)),
        ("menos", "cuarto") => Some((15, 2, -1)),
        ("menos", _) => cardinal(next.on(1)).map(|(n, taken)| (n, taken + 1, -1)),
        ("y" | "con", _) => below(60),
        ("media", _) => Some((30, 1, 1)),
        // "Seis cero dos".
        ("cero", _) => below(10),
        _ if zero => below(10),
        _ => {
            let (n, taken) = cardinal(next)?;
            // "Seis dos de la tarde".
            let of_a_part = (1..5).contains(&n) && next.on(taken).starts_with(&["de", "la"]);
            (of_a_part || (5..60).contains(&n) && !counts(next.on(taken))).then_some((n, taken, 1))
        }
    }
}

/// am or pm, and the tokens it takes.
fn half(at: At<'_>) -> Option<(Half, usize)> {
    match (at.word(0), at.word(1)) {
        ("am", _) => Some((Half::Am, 1)),
        ("pm", _) => Some((Half::Pm, 1)),
        ("a", "m") => Some((Half::Am, 2)),
        ("p", "m") => Some((Half::Pm, 2)),
        _ => None,
    }
}

/// "A las 8 pm menos cuarto", "a las 8 de la noche menos cuarto": the named half of the day, and the number of tokens.
fn quarter_less(at: At<'_>) -> Option<(Option<Half>, usize)> {
    let part = at.match_len(&[&["de", "la", "noche"], &["de", "la", "tarde"], &["de", "la", "manana"]]);
    let len = part.unwrap_or(0);
    let named = part.map(|_| if at.word(2) == "manana" { Half::Am } else { Half::Pm });
    at.on(len).starts_with(&["menos", "cuarto"]).then_some((named, len + 2))
}

/// "Tres cuartos": a plural after a number is what it counts.
fn is_plural(word: &str) -> bool {
    word.len() > 4
        && word.ends_with('s')
        && super::day::weekday(word).is_none()
        && !matches!(word, "menos" | "gracias" | "entonces" | "despues" | "antes")
}

/// An hour: a number up to 24, so never "treinta y cinco".
fn cardinal_hour(s: At<'_>) -> Option<(u32, usize)> {
    cardinal(s).filter(|(n, _)| *n <= 24)
}

/// Whether the next words are what a number counts.
pub(super) fn counts(s: At<'_>) -> bool {
    matches!(
        s.word(0),
        "minutos" | "minuto" | "horas" | "hora" | "dias" | "dia" | "semanas" | "semana" | "meses" | "mes" | "anos" | "ano" | "euros" | "pesos" | "dolares"
            | "personas" | "veces" | "por" | "mil" | "ninos" | "hijos" | "segundos" | "metros" | "kilos" | "opciones" | "llamadas" if s.word(0) != "por" || s.word(1) == "ciento"
    ) || matches!(s.token(0).map(|t| &t.kind), Some(Kind::Sign('%' | '/')))
}
