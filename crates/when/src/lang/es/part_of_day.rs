//! Parts of the day, and the vague words for soon and later.

use crate::{
    lang::{At, Named},
    part::{Day, DayPart, Part},
};

const WITH_TODAY: &[(&[&str], DayPart)] = &[
    (&["mas", "tarde", "hoy"], DayPart::LaterToday),
    (&["hoy", "mas", "tarde"], DayPart::LaterToday),
    (&["esta", "misma", "tarde"], DayPart::Tarde),
    (&["esta", "manana"], DayPart::Morning),
    (&["esta", "tarde"], DayPart::Tarde),
    (&["esta", "tardecita"], DayPart::Tarde),
    (&["esta", "noche"], DayPart::Night),
    (&["esta", "madrugada"], DayPart::SmallHours),
];
const PARTS: &[(&[&str], DayPart)] = &[
    (&["a", "primera", "hora", "de", "la", "tarde"], DayPart::EarlyAfternoon),
    (&["a", "primera", "hora", "de", "la", "manana"], DayPart::FirstThing),
    (&["a", "primera", "hora"], DayPart::FirstThing),
    (&["primera", "hora"], DayPart::FirstThing),
    (&["a", "ultima", "hora", "de", "la", "tarde"], DayPart::LateTarde),
    (&["ultima", "hora", "de", "la", "tarde"], DayPart::LateTarde),
    (&["a", "ultima", "hora", "de", "la", "manana"], DayPart::LateMorning),
    (&["a", "ultima", "hora"], DayPart::EndOfDay),
    (&["al", "final", "de", "la", "tarde"], DayPart::LateTarde),
    (&["al", "final", "del", "dia"], DayPart::EndOfDay),
    (&["al", "caer", "la", "tarde"], DayPart::LateTarde),
    (&["tarde", "noche"], DayPart::LateTarde),
    (&["despues", "de", "comer"], DayPart::AfterMeal),
    (&["despues", "de", "la", "comida"], DayPart::AfterMeal),
    (&["despues", "del", "almuerzo"], DayPart::AfterMeal),
    (&["despues", "de", "almorzar"], DayPart::AfterMeal),
    (&["antes", "de", "comer"], DayPart::BeforeLunch),
    (&["antes", "del", "almuerzo"], DayPart::BeforeLunch),
    (&["antes", "de", "almorzar"], DayPart::BeforeLunch),
    (&["despues", "de", "cenar"], DayPart::AfterDinner),
    (&["despues", "de", "la", "cena"], DayPart::AfterDinner),
    (&["a", "media", "manana"], DayPart::MidMorning),
    (&["media", "manana"], DayPart::MidMorning),
    (&["a", "media", "tarde"], DayPart::MidAfternoon),
    (&["media", "tarde"], DayPart::MidAfternoon),
    (&["al", "mediodia"], DayPart::SpanishMidday),
    (&["a", "mediodia"], DayPart::SpanishMidday),
    (&["al", "medio", "dia"], DayPart::SpanishMidday),
    (&["mediodia"], DayPart::SpanishMidday),
    (&["medio", "dia"], DayPart::SpanishMidday),
    (&["por", "la", "mananita"], DayPart::EarlyMorning),
    (&["temprano", "por", "la", "manana"], DayPart::EarlyMorning),
    (&["temprano", "en", "la", "manana"], DayPart::EarlyMorning),
    (&["de", "la", "manana"], DayPart::Morning),
    (&["por", "la", "manana"], DayPart::Morning),
    (&["en", "la", "manana"], DayPart::Morning),
    (&["a", "la", "manana"], DayPart::Morning),
    (&["la", "manana"], DayPart::Morning),
    (&["mananas"], DayPart::Morning),
    (&["de", "la", "tarde"], DayPart::Tarde),
    (&["por", "la", "tarde"], DayPart::Tarde),
    (&["en", "la", "tarde"], DayPart::Tarde),
    (&["a", "la", "tarde"], DayPart::Tarde),
    (&["por", "la", "tardecita"], DayPart::Tarde),
    (&["la", "tarde"], DayPart::Tarde),
    (&["de", "la", "noche"], DayPart::Night),
    (&["por", "la", "noche"], DayPart::Night),
    (&["en", "la", "noche"], DayPart::Night),
    (&["a", "la", "noche"], DayPart::Night),
    (&["la", "noche"], DayPart::Night),
    (&["de", "la", "madrugada"], DayPart::SmallHours),
    (&["de", "madrugada"], DayPart::SmallHours),
    (&["en", "un", "ratito"], DayPart::Soon),
    (&["en", "un", "rato"], DayPart::Soon),
    (&["dentro", "de", "un", "rato"], DayPart::Soon),
    (&["al", "rato"], DayPart::Soon),
    (&["en", "un", "momento"], DayPart::Soon),
    (&["en", "un", "momentito"], DayPart::Soon),
];

pub(super) fn read(s: At<'_>) -> Option<Named> {
    // "Buenas tardes" greets.
    if matches!(s.word(0), "buenos" | "buenas" | "buena" | "feliz" | "linda")
        && matches!(s.word(1), "dias" | "tardes" | "noches" | "tarde" | "noche")
    {
        return Some(Named::nothing(2));
    }
    if let Some((part, len)) = s.lookup(WITH_TODAY) {
        return Some(Named::two(Part::Day(Day::FromToday(0)), Part::DayPart(part), len));
    }
    s.lookup(PARTS).map(|(part, len)| Named::one(Part::DayPart(part), len))
}
