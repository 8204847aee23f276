//! Lengths of time: "en media hora", "dentro de dos horas", "hora y media", "un par de horas".

use super::numbers::cardinal;
use crate::{
    lang::{At, Named},
    part::{Length, Part, Unit},
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    const LEADS: &[&[&str]] = &[
        &["dentro", "de"],
        &["de", "aqui", "a"],
        &["de", "aca", "a"],
        &["en"],
        &["deme"],
        &["dame"],
        &["espereme"],
        &["a", "las"],
        &["despues", "de"],
        &["luego", "de"],
    ];
    let mut at = s.match_len(LEADS).filter(|_| s.word(0) != "a").unwrap_or(0);
    let has_lead = at > 0;
    let mut about = false;
    while matches!(
        s.word(at),
        "unos" | "unas" | "como" | "aproximadamente" | "mas" | "casi" | "otros" | "otras"
    ) {
        about |= !matches!(s.word(at), "otros" | "otras");
        at += 1;
        at += usize::from(s.word(at - 1) == "mas" && s.on(at).starts_with(&["o", "menos"])) * 2;
    }
    let (least, most, unit, vague, taken) = amount(s.on(at))?;
    at += taken;
    let trailed = match (s.word(at), s.word(at + 1)) {
        ("mas", "tarde") => 2,
        ("mas", "o") if s.word(at + 2) == "menos" => {
            about = true;
            3
        }
        ("despues", next) if !matches!(next, "de" | "del") => 1,
        _ => 0,
    };
    let that = (s.word(at) == "despues" && !matches!(s.word(at + 1), "de" | "del"))
        || (s.word(at) == "antes" && !matches!(s.word(at + 1), "de" | "del"));
    let before = s.word(at) == "antes";
    at += trailed + usize::from(before && that);
    if matches!(s.word(at), "de") && s.word(at + 1) == "retraso" || s.word(0) == "hace" || s.back(1) == "hace"
    {
        return Some(Named::nothing(at));
    }
    let length = Length {
        about,
        vague,
        is_wait: has_lead || trailed > 0 || that,
        from_reference: if that && !has_lead { if before { -1 } else { 1 } } else { 0 },
        ..Length::new(least, most, unit)
    };
    Some(Named::one(Part::Length(length), at))
}

fn amount(s: At<'_>) -> Option<(f64, f64, Unit, bool, usize)> {
    const PHRASES: &[(&[&str], f64)] = &[
        (&["hora", "y", "media"], 90.0),
        (&["una", "hora", "y", "media"], 90.0),
        (&["hora", "y", "cuarto"], 75.0),
        (&["una", "hora", "y", "cuarto"], 75.0),
        (&["media", "hora"], 30.0),
        (&["media", "horita"], 30.0),
        (&["tres", "cuartos", "de", "hora"], 45.0),
        (&["un", "cuarto", "de", "hora"], 15.0),
        (&["cuarto", "de", "hora"], 15.0),
        (&["una", "horita"], 60.0),
    ];
    if let Some((minutes, len)) = s.lookup(PHRASES) {
        return Some((minutes, minutes, Unit::Minutes, false, len));
    }
    let (least, mut most, vague, mut len) = if s.on(0).starts_with(&["un", "par", "de"]) {
        (2.0, 2.0, true, 3)
    } else if matches!(s.word(0), "algunos" | "algunas" | "unos" | "unas") && unit(s.word(1)).is_some() {
        (3.0, 3.0, true, 1)
    } else {
        let (n, len) = cardinal(s)?;
        let n = f64::from(n.min(10_000));
        (n, n, false, len)
    };
    // "Cinco o diez minutos".
    if matches!(s.word(len), "o" | "a")
        && let Some((m, taken)) = cardinal(s.on(len + 1)).filter(|(m, _)| f64::from(*m) > least)
        && unit(s.word(len + 1 + taken)).is_some()
    {
        most = f64::from(m);
        len += 1 + taken;
    }
    let unit = unit(s.word(len))?;
    len += 1;
    let (mut least, mut most) = (least, most);
    if s.on(len).starts_with(&["y", "media"]) || s.on(len).starts_with(&["y", "medio"]) {
        least += 0.5;
        most += 0.5;
        len += 2;
    } else if unit == Unit::Hours
        && s.word(len) == "y"
        && let Some((m, taken)) = cardinal(s.on(len + 1))
        && self::unit(s.word(len + 1 + taken)) == Some(Unit::Minutes)
    {
        least += f64::from(m) / 60.0;
        most += f64::from(m) / 60.0;
        len += 2 + taken;
    }
    Some((least, most, unit, vague, len))
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "segundo" | "segundos" | "segundito" => Unit::Seconds,
        "minuto" | "minutos" | "minutitos" | "min" => Unit::Minutes,
        "hora" | "horas" | "horitas" | "h" => Unit::Hours,
        "dia" | "dias" => Unit::Days,
        "semana" | "semanas" => Unit::Weeks,
        "mes" | "meses" => Unit::Months,
        _ => return None,
    })
}
