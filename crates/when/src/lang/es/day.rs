//! Days: "pasado mañana", "el lunes que viene", "el veintitrés de julio", "de hoy en ocho".

use jiff::civil::Weekday;

use super::{clock::counts, numbers::cardinal};
use crate::{
    lang::{At, Named},
    part::{Base, Day, Holiday, Length, Part, Stretch, Unit, Which},
    words::Kind,
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    from_day(s).or_else(|| plain(s))
}

/// A day that is not counted from another one. Only such a day can be the base of `from_day`, so there is no recursion.
fn plain(s: At<'_>) -> Option<Named> {
    near(s)
        .or_else(|| week(s))
        .or_else(|| nth_weekday(s))
        .or_else(|| weekday_named(s))
        .or_else(|| date(s))
        .or_else(|| nth(s))
        .or_else(|| holiday(s))
}

const fn day(day: Day, len: usize) -> Named {
    Named::one(Part::Day(day), len)
}

fn near(s: At<'_>) -> Option<Named> {
    const DAYS: &[(&[&str], Day)] = &[
        (&["de", "hoy", "en", "ocho", "dias"], Day::WeeksFrom(1, Base::Today)),
        (&["de", "hoy", "en", "ocho"], Day::WeeksFrom(1, Base::Today)),
        (&["hoy", "en", "ocho"], Day::WeeksFrom(1, Base::Today)),
        (&["de", "hoy", "en", "quince"], Day::WeeksFrom(2, Base::Today)),
        (&["de", "hoy", "en", "una", "semana"], Day::WeeksFrom(1, Base::Today)),
        (&["de", "manana", "en", "ocho", "dias"], Day::WeeksFrom(1, Base::Tomorrow)),
        (&["de", "manana", "en", "ocho"], Day::WeeksFrom(1, Base::Tomorrow)),
        (&["manana", "en", "ocho"], Day::WeeksFrom(1, Base::Tomorrow)),
        (&["pasado", "manana"], Day::FromToday(2)),
        (&["el", "dia", "siguiente"], Day::FromReference(1)),
        (&["al", "dia", "siguiente"], Day::FromReference(1)),
        (&["el", "dia", "antes"], Day::FromReference(-1)),
        (&["el", "dia", "anterior"], Day::FromReference(-1)),
        (&["un", "dia", "antes"], Day::FromReference(-1)),
        (&["manana", "mismo"], Day::FromToday(1)),
        (&["manana"], Day::FromToday(1)),
        (&["hoy", "mismo"], Day::FromToday(0)),
        (&["hoy", "dia"], Day::FromToday(0)),
        (&["en", "el", "dia"], Day::FromToday(0)),
        (&["hoy"], Day::FromToday(0)),
    ];
    s.lookup(DAYS).map(|(named, len)| day(named, len))
}

/// "Dos días después del lunes", "tres semanas a partir de mañana".
fn from_day(s: At<'_>) -> Option<Named> {
    let lead = s.match_len(&[&["dentro", "de"], &["en"]]).unwrap_or(0);
    let (n, len) = cardinal(s.on(lead))?;
    let len = lead + len;
    let unit = match s.word(len) {
        "dia" | "dias" => Unit::Days,
        "semana" | "semanas" => Unit::Weeks,
        "mes" | "meses" => Unit::Months,
        _ => return None,
    };
    let links: &[(&[&str], i8)] = &[
        (&["despues", "de"], 1),
        (&["despues", "del"], 1),
        (&["a", "partir", "de"], 1),
        (&["a", "partir", "del"], 1),
        (&["antes", "de"], -1),
        (&["antes", "del"], -1),
    ];
    let at = s.on(len + 1);
    let (sign, taken) = at.lookup(links)?;
    let base = plain(at.on(taken)).filter(|named| matches!(named.parts, [Some(Part::Day(_)), None]))?;
    let n = f64::from(n.min(1000));
    let length = Length { is_wait: true, from_day: sign, ..Length::new(n, n, unit) };
    Some(Named {
        parts: [Some(Part::Length(length)), base.parts[0].clone()],
        len: len + 1 + taken + base.len,
    })
}

/// "El primer lunes de mayo", "el último viernes del mes".
fn nth_weekday(s: At<'_>) -> Option<Named> {
    let el = usize::from(s.word(0) == "el");
    let n = match s.word(el) {
        "primer" => 1,
        "segundo" => 2,
        "tercer" => 3,
        "cuarto" => 4,
        "ultimo" => -1,
        _ => return None,
    };
    let name = weekday(s.word(el + 1))?;
    let at = s.on(el + 2);
    let (m, len) = match (at.word(0), at.word(1), at.word(2)) {
        ("del", "mes", "que") => (Some(13), 4),
        ("del" | "de", "proximo", "mes") => (Some(13), 3),
        ("del", "mes", _) => (None, 2),
        ("de", name, _) => (Some(month(name)?), 2),
        _ => return None,
    };
    Some(day(Day::NthWeekday(n, name, m), el + 2 + len))
}

fn week(s: At<'_>) -> Option<Named> {
    const STRETCHES: &[(&[&str], Stretch)] = &[
        (&["a", "principios", "de"], Stretch::Early),
        (&["principios", "de"], Stretch::Early),
        (&["a", "mediados", "de"], Stretch::Middle),
        (&["mediados", "de"], Stretch::Middle),
        (&["a", "finales", "de"], Stretch::Late),
        (&["a", "fines", "de"], Stretch::Late),
        (&["finales", "de"], Stretch::Late),
        (&["fines", "de"], Stretch::Late),
    ];
    let (stretch, skip) = s.lookup(STRETCHES).unwrap_or((Stretch::Whole, 0));
    let is_late = stretch == Stretch::Late;
    let at = s.on(skip);
    let phrases: &[(&[&str], Day)] = &[
        (&["la", "semana", "que", "viene"], Day::Week(stretch, 1)),
        (&["la", "semana", "que", "entra"], Day::Week(stretch, 1)),
        (&["la", "proxima", "semana"], Day::Week(stretch, 1)),
        (&["la", "semana", "proxima"], Day::Week(stretch, 1)),
        (&["la", "otra", "semana"], Day::Week(stretch, 1)),
        (&["la", "semana", "siguiente"], Day::Week(stretch, 1)),
        (&["la", "siguiente", "semana"], Day::Week(stretch, 1)),
        (&["proxima", "semana"], Day::Week(stretch, 1)),
        (&["semana", "que", "viene"], Day::Week(stretch, 1)),
        (&["esta", "semana"], Day::Week(stretch, 0)),
        (&["el", "proximo", "fin", "de", "semana"], Day::Weekend(0)),
        (&["el", "fin", "de", "semana", "que", "viene"], Day::Weekend(0)),
        (&["este", "fin", "de", "semana"], Day::Weekend(0)),
        (&["el", "fin", "de", "semana"], Day::Weekend(0)),
        (&["el", "finde"], Day::Weekend(0)),
        (&["el", "mes", "que", "viene"], Day::Month(1, is_late)),
        (&["el", "proximo", "mes"], Day::Month(1, is_late)),
        (&["fin", "de", "mes"], Day::Month(0, true)),
        (&["final", "de", "mes"], Day::Month(0, true)),
    ];
    if let Some((named, len)) = at.lookup(phrases) {
        return Some(day(named, skip + len));
    }
    let mes = (is_late && at.word(0) == "mes").then(|| day(Day::Month(0, true), skip + 1));
    mes.or_else(|| {
        let m = month(at.word(0)).filter(|_| {
            skip > 0 || matches!(s.back(1), "en" | "para" | "hasta" | "desde" | "de" | "antes" | "despues")
        })?;
        (date(at).is_none()).then(|| day(Day::MonthNamed(m, stretch), skip + 1))
    })
}

fn weekday_named(s: At<'_>) -> Option<Named> {
    let mut skip = usize::from(matches!(s.word(0), "el" | "este" | "los"));
    skip += usize::from(s.word(skip) == "dia");
    let before = matches!(s.word(skip), "proximo" | "siguiente");
    skip += usize::from(before);
    let other = s.word(skip) == "otro";
    skip += usize::from(other);
    let name = weekday(s.word(skip))?;
    let len = skip + 1;
    let at = s.on(len);
    let behind: &[(&[&str], Which)] = &[
        (&["de", "la", "semana", "que", "viene"], Which::Next),
        (&["de", "la", "proxima", "semana"], Which::Next),
        (&["de", "la", "semana", "proxima"], Which::Next),
        (&["de", "la", "otra", "semana"], Which::Next),
        (&["de", "la", "semana", "siguiente"], Which::Next),
        (&["de", "la", "siguiente", "semana"], Which::Next),
        (&["de", "esta", "semana"], Which::This),
        (&["que", "viene", "no", "el", "otro"], Which::AfterNext),
        (&["que", "viene"], Which::Coming),
        (&["que", "entra"], Which::Coming),
        (&["proximo"], Which::Coming),
        (&["siguiente"], Which::Coming),
        (&["en", "ocho", "dias"], Which::Later(1)),
        (&["en", "ocho"], Which::Later(1)),
        (&["en", "quince"], Which::Later(2)),
    ];
    if let Some((which, taken)) = at.lookup(behind) {
        return Some(day(Day::Weekday(name, which), len + taken));
    }
    let comma = usize::from(matches!(at.token(0).map(|t| &t.kind), Some(Kind::Comma)));
    if let Some(date) = date(at.on(comma)) {
        return Some(Named { len: len + comma + date.len, ..date });
    }
    // "El miércoles nueve", "el martes día 15".
    let dia = usize::from(at.word(0) == "dia");
    if let Some((n @ 1..=31, taken)) = cardinal(at.on(dia))
        && !counts(at.on(dia + taken))
        && !matches!(at.word(dia + taken), "y" | "menos" | "am" | "pm" | "en")
        && !at.on(dia + taken).starts_with(&["de", "la"])
    {
        return Some(day(Day::WeekdayNth(name, n as i8), len + dia + taken));
    }
    Some(day(Day::Weekday(name, if other { Which::AfterNext } else { Which::Coming }), len))
}

/// "El veintitrés de julio", "23 de julio de 2027", "primero de octubre", "15/3".
fn date(s: At<'_>) -> Option<Named> {
    if let Kind::Date(y, m, d) = s.token(0)?.kind {
        return Some(day(Day::Date(Some(y), m, d), 1));
    }
    if let (Some(Kind::Number(d @ 1..=31, _)), Some(Kind::Sign('/')), Some(Kind::Number(m @ 1..=12, _))) =
        (s.token(0).map(|t| &t.kind), s.token(1).map(|t| &t.kind), s.token(2).map(|t| &t.kind))
    {
        return Some(day(Day::Date(None, *m as i8, *d as i8), 3));
    }
    // "El 17 del 11".
    if let (true, Some((d @ 1..=31, taken))) = (s.word(0) == "el", cardinal(s.on(1)))
        && s.word(1 + taken) == "del"
        && let Some((m @ 1..=12, more)) = cardinal(s.on(2 + taken))
    {
        return Some(day(Day::Date(None, m as i8, d as i8), 2 + taken + more));
    }
    let mut len = usize::from(s.word(0) == "el");
    // "Abril 5", "mayo veintiuno".
    if let (Some(m), Some((d @ 1..=31, taken))) = (month(s.word(len)), cardinal(s.on(len + 1)))
        && !counts(s.on(len + 1 + taken))
    {
        return Some(day(Day::Date(None, m, d as i8), len + 1 + taken));
    }
    len += usize::from(s.word(len) == "dia");
    let (d, taken) = ordinal(s.on(len))?;
    len += taken;
    let de =
        usize::from(s.word(len) == "de" || matches!(s.token(len).map(|t| &t.kind), Some(Kind::Sign('-'))));
    let (m, taken) = match s.word(len + de) {
        "este" if s.word(len + de + 1) == "mes" => (14, 2),
        name => (month(name)?, 1),
    };
    len += de + taken;
    let of = usize::from(matches!(s.word(len), "de" | "del"));
    let year = match s.token(len + of).map(|t| &t.kind) {
        Some(Kind::Number(y @ 2000..=2199, 4)) => Some(*y as i16),
        _ => None,
    };
    len += if year.is_some() { of + 1 } else { 0 };
    (1..=31).contains(&d).then(|| day(Day::Date(year, m, d as i8), len))
}

fn ordinal(s: At<'_>) -> Option<(u32, usize)> {
    if matches!(s.word(0), "primero" | "primer" | "primeros") {
        return Some((1, 1));
    }
    if let Kind::Ordinal(n) = s.token(0)?.kind {
        return Some((n, 1));
    }
    cardinal(s)
}

/// "El veintitrés", "el día 15".
fn nth(s: At<'_>) -> Option<Named> {
    if !matches!(s.word(0), "el" | "del") {
        return None;
    }
    let dia = usize::from(s.word(1) == "dia");
    let (n, taken) = ordinal(s.on(1 + dia)).filter(|(n, _)| (1..=31).contains(n))?;
    let len = 1 + dia + taken;
    let other = counts(s.on(len)) || matches!(s.word(1 + dia), "un" | "una" | "uno") || s.word(len) == "por";
    (!other).then(|| day(Day::Nth(n as i8), len))
}

fn holiday(s: At<'_>) -> Option<Named> {
    const HOLIDAYS: &[(&[&str], Holiday)] = &[
        (&["nochebuena"], Holiday::ChristmasEve),
        (&["noche", "buena"], Holiday::ChristmasEve),
        (&["nochevieja"], Holiday::NewYearsEve),
        (&["navidad"], Holiday::Christmas),
        (&["ano", "nuevo"], Holiday::NewYear),
        (&["dia", "de", "reyes"], Holiday::Epiphany),
        (&["reyes"], Holiday::Epiphany),
        (&["domingo", "de", "pascua"], Holiday::Easter),
        (&["viernes", "santo"], Holiday::GoodFriday),
    ];
    s.lookup(HOLIDAYS).map(|(named, len)| day(Day::Holiday(named), len))
}

pub(super) fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "lunes" => Weekday::Monday,
        "martes" => Weekday::Tuesday,
        "miercoles" => Weekday::Wednesday,
        "jueves" => Weekday::Thursday,
        "viernes" => Weekday::Friday,
        "sabado" => Weekday::Saturday,
        "domingo" => Weekday::Sunday,
        _ => return None,
    })
}

fn month(word: &str) -> Option<i8> {
    Some(match word {
        "enero" | "ene" => 1,
        "febrero" | "feb" => 2,
        "marzo" | "mar" => 3,
        "abril" | "abr" => 4,
        "mayo" => 5,
        "junio" | "jun" => 6,
        "julio" | "jul" => 7,
        "agosto" | "ago" => 8,
        "septiembre" | "sept" | "sep" | "setiembre" => 9,
        "octubre" | "oct" => 10,
        "noviembre" | "nov" => 11,
        "diciembre" | "dic" => 12,
        _ => return None,
    })
}
