//! Spanish: parts of a time, and cues. Words arrive without accents: "mañana" is "manana".

mod clock;
mod cues;
mod day;
mod length;
mod numbers;
mod part_of_day;

use super::{At, Language, Named};
use crate::{
    cue::Cue,
    part::{Bound, Part, ZoneRef},
    words::Kind,
};

pub(crate) struct Spanish;

impl Language for Spanish {
    fn spelling(&self, _: At<'_>) -> Option<&'static str> {
        None
    }

    fn part(&self, s: At<'_>) -> Option<Named> {
        if let Some(len) = numbers::number_row(s) {
            return Some(Named::nothing(len));
        }
        bound(s)
            .or_else(|| part_of_day::read(s))
            .or_else(|| day::read(s))
            .or_else(|| length::read(s))
            .or_else(|| clock::read(s))
            .or_else(|| zone(s))
            .or_else(|| same_time(s))
    }

    fn is_past(&self, s: At<'_>) -> bool {
        const DAYS: [&str; 8] =
            ["lunes", "martes", "miercoles", "jueves", "viernes", "sabado", "domingo", "semana"];
        match s.word(0) {
            "ayer" | "anoche" | "anteayer" | "antier" => true,
            "hace" => s.word(1) != "falta",
            // "El lunes pasado" is past, "pasado mañana" is not.
            "pasado" | "pasada" => DAYS.contains(&s.back(1)),
            _ => false,
        }
    }

    fn cue(&self, s: At<'_>) -> Option<(Cue, usize)> {
        cues::read(s)
    }

    #[rustfmt::skip]
    fn is_glue(&self, s: At<'_>) -> bool {
        matches!(s.token(0).map(|t| &t.kind), Some(Kind::Comma))
            || matches!(
                s.word(0),
                "a" | "al" | "el" | "la" | "las" | "los" | "en" | "de" | "del" | "por" | "para" | "como"
                | "pues" | "este" | "eso" | "y" | "mas" | "o" | "favor" | "tipo" | "dia" | "hora" | "horas"
                | "que" | "entonces" | "mejor" | "mismo"
            )
    }

    fn is_break(&self, s: At<'_>) -> bool {
        // "Por favor, que hoy no puedo."
        let gives_a_reason = s.word(0) == "que"
            && (matches!(s.back(1), "favor" | "gracias")
                || matches!(s.token_back(1).map(|t| &t.kind), Some(Kind::Comma)));
        gives_a_reason
            || matches!(s.word(0), "pero" | "porque" | "aunque" | "sino")
            || s.starts_with(&["asi", "que"])
            || s.starts_with(&["ya", "que"])
    }

    #[rustfmt::skip]
    fn is_polite(&self, s: At<'_>) -> bool {
        matches!(
            s.word(0),
            "gracias" | "por" | "favor" | "usted" | "me" | "le" | "te" | "yo" | "es" | "hola" | "senor"
            | "senora" | "adios" | "con" | "su" | "mi" | "lo" | "se" | "ya" | "solo" | "ahora" | "joven"
            | "si" | "eh" | "pues" | "o" | "sea" | "les" | "nos" | "ahi"
        )
    }

    fn is_or(&self, s: At<'_>) -> bool {
        matches!(s.word(0), "o" | "u") && s.word(1) != "sea"
    }

    fn is_to(&self, s: At<'_>) -> bool {
        matches!(s.word(0), "a" | "y" | "hasta")
            || matches!(s.token(0).map(|t| &t.kind), Some(Kind::Sign('-') | Kind::Dash))
    }
}

fn same_time(s: At<'_>) -> Option<Named> {
    const PHRASES: &[&[&str]] = &[
        &["a", "la", "misma", "hora"],
        &["la", "misma", "hora"],
        &["misma", "hora"],
        &["a", "esta", "hora"],
        &["a", "esta", "misma", "hora"],
        &["sobre", "esta", "hora"],
    ];
    s.match_len(PHRASES).map(|len| Named::one(Part::SameTime, len))
}

fn bound(s: At<'_>) -> Option<Named> {
    const BOUNDS: &[(&[&str], Bound)] = &[
        (&["no", "antes", "de"], Bound::NotBefore),
        (&["no", "mas", "tarde", "de"], Bound::Before),
        (&["mas", "tarde", "de"], Bound::After),
        (&["o", "mas", "tarde"], Bound::From),
        (&["en", "adelante"], Bound::From),
        (&["comenzando"], Bound::From),
        (&["como", "muy", "tarde"], Bound::Before),
        (&["a", "mas", "tardar"], Bound::Before),
        (&["tan", "tarde", "como"], Bound::Before),
        (&["despues", "de"], Bound::After),
        (&["despues", "del"], Bound::After),
        (&["luego", "de"], Bound::After),
        (&["pasadas"], Bound::After),
        (&["pasada"], Bound::After),
        (&["a", "partir", "de"], Bound::From),
        (&["a", "partir", "del"], Bound::From),
        (&["desde"], Bound::From),
        (&["antes", "de"], Bound::Before),
        (&["antes", "del"], Bound::Before),
        (&["entre"], Bound::Between),
        (&["hasta"], Bound::Until),
        (&["a", "eso", "de"], Bound::About),
        (&["alrededor", "de"], Bound::About),
        (&["cerca", "de"], Bound::About),
        (&["mas", "o", "menos"], Bound::About),
        (&["sobre"], Bound::About),
        (&["hacia"], Bound::About),
        (&["como", "a"], Bound::About),
        (&["tipo"], Bound::About),
        (&["aproximadamente"], Bound::About),
    ];
    if part_of_day::read(s).is_some() {
        return None;
    }
    s.lookup(BOUNDS).map(|(bound, len)| Named::one(Part::Bound(bound), len))
}

fn zone(s: At<'_>) -> Option<Named> {
    const ZONES: &[(&[&str], ZoneRef)] = &[
        (&["hora", "del", "este"], ZoneRef::Named("America/New_York")),
        (&["hora", "del", "centro"], ZoneRef::Named("America/Chicago")),
        (&["hora", "de", "la", "montana"], ZoneRef::Named("America/Denver")),
        (&["hora", "del", "pacifico"], ZoneRef::Named("America/Los_Angeles")),
        (&["hora", "de", "nueva", "york"], ZoneRef::Named("America/New_York")),
        (&["hora", "de", "madrid"], ZoneRef::Named("Europe/Madrid")),
        (&["hora", "peninsular"], ZoneRef::Named("Europe/Madrid")),
        (&["hora", "espanola"], ZoneRef::Named("Europe/Madrid")),
        (&["hora", "de", "espana"], ZoneRef::Named("Europe/Madrid")),
        (&["hora", "canaria"], ZoneRef::Named("Atlantic/Canary")),
        (&["hora", "de", "canarias"], ZoneRef::Named("Atlantic/Canary")),
        (&["hora", "de", "mexico"], ZoneRef::Named("America/Mexico_City")),
        (&["hora", "de", "colombia"], ZoneRef::Named("America/Bogota")),
        (&["hora", "de", "bogota"], ZoneRef::Named("America/Bogota")),
        (&["hora", "de", "argentina"], ZoneRef::Named("America/Argentina/Buenos_Aires")),
        (&["hora", "de", "buenos", "aires"], ZoneRef::Named("America/Argentina/Buenos_Aires")),
        (&["hora", "de", "chile"], ZoneRef::Named("America/Santiago")),
        (&["hora", "de", "miami"], ZoneRef::Named("America/New_York")),
        (&["hora", "mia"], ZoneRef::Caller),
        (&["mi", "hora"], ZoneRef::Caller),
        (&["su", "hora"], ZoneRef::Agent),
        (&["hora", "suya"], ZoneRef::Agent),
        (&["tu", "hora"], ZoneRef::Agent),
    ];
    s.lookup(ZONES).map(|(zone, len)| Named::one(Part::Zone(zone), len))
}
