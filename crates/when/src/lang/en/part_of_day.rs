//! Parts of the day, and the vague words for soon and later.

use crate::{
    lang::{At, Named},
    part::{Day, DayPart, Part},
    words::{Kind, Token},
};

const TODAY: Part = Part::Day(Day::FromToday(0));

const WITH_TODAY: &[(&[&str], DayPart)] = &[
    (&["later", "this", "morning"], DayPart::Morning),
    (&["later", "this", "afternoon"], DayPart::Afternoon),
    (&["later", "this", "evening"], DayPart::Evening),
    (&["later", "on", "today"], DayPart::LaterToday),
    (&["later", "today"], DayPart::LaterToday),
    (&["later", "in", "the", "day"], DayPart::LaterToday),
    (&["later", "tonight"], DayPart::Night),
    (&["early", "this", "morning"], DayPart::EarlyMorning),
    (&["early", "this", "afternoon"], DayPart::EarlyAfternoon),
    (&["early", "this", "evening"], DayPart::EarlyEvening),
    (&["late", "this", "morning"], DayPart::LateMorning),
    (&["late", "this", "afternoon"], DayPart::LateAfternoon),
    (&["late", "this", "evening"], DayPart::LateEvening),
    (&["this", "arvo"], DayPart::Afternoon),
    (&["this", "morning"], DayPart::Morning),
    (&["this", "afternoon"], DayPart::Afternoon),
    (&["this", "evening"], DayPart::Evening),
    (&["this", "night"], DayPart::Night),
];

const PARTS: &[(&[&str], DayPart)] = &[
    (&["first", "thing", "in", "the", "morning"], DayPart::FirstThing),
    (&["bright", "and", "early"], DayPart::EarlyMorning),
    (&["first", "thing"], DayPart::FirstThing),
    (&["early", "in", "the", "morning"], DayPart::EarlyMorning),
    (&["in", "the", "early", "morning"], DayPart::EarlyMorning),
    (&["early", "hours", "of", "the", "morning"], DayPart::SmallHours),
    (&["early", "morning"], DayPart::EarlyMorning),
    (&["mid", "morning"], DayPart::MidMorning),
    (&["midmorning"], DayPart::MidMorning),
    (&["middle", "of", "the", "morning"], DayPart::MidMorning),
    (&["late", "in", "the", "morning"], DayPart::LateMorning),
    (&["later", "in", "the", "morning"], DayPart::LateMorning),
    (&["late", "morning"], DayPart::LateMorning),
    (&["just", "before", "lunch"], DayPart::BeforeLunch),
    (&["before", "lunch"], DayPart::BeforeLunch),
    (&["before", "noon"], DayPart::Morning),
    (&["after", "lunch"], DayPart::AfterLunch),
    (&["after", "my", "lunch"], DayPart::AfterLunch),
    (&["at", "lunchtime"], DayPart::Lunch),
    (&["lunchtime"], DayPart::Lunch),
    (&["lunch", "time"], DayPart::Lunch),
    (&["around", "lunch"], DayPart::Lunch),
    (&["at", "lunch"], DayPart::Lunch),
    (&["over", "lunch"], DayPart::Lunch),
    (&["during", "lunch"], DayPart::Lunch),
    (&["early", "in", "the", "afternoon"], DayPart::EarlyAfternoon),
    (&["early", "afternoon"], DayPart::EarlyAfternoon),
    (&["mid", "afternoon"], DayPart::MidAfternoon),
    (&["late", "in", "the", "afternoon"], DayPart::LateAfternoon),
    (&["later", "in", "the", "afternoon"], DayPart::LateAfternoon),
    (&["late", "afternoon"], DayPart::LateAfternoon),
    (&["end", "of", "the", "day"], DayPart::EndOfDay),
    (&["end", "of", "business", "day"], DayPart::EndOfDay),
    (&["end", "of", "business"], DayPart::EndOfDay),
    (&["end", "of", "day"], DayPart::EndOfDay),
    (&["close", "of", "business"], DayPart::EndOfDay),
    (&["eod"], DayPart::EndOfDay),
    (&["after", "work"], DayPart::Evening),
    (&["early", "in", "the", "evening"], DayPart::EarlyEvening),
    (&["early", "evening"], DayPart::EarlyEvening),
    (&["late", "in", "the", "evening"], DayPart::LateEvening),
    (&["late", "evening"], DayPart::LateEvening),
    (&["after", "dinner"], DayPart::AfterDinner),
    (&["after", "supper"], DayPart::AfterDinner),
    (&["after", "tea"], DayPart::AfterDinner),
    (&["dinner", "time"], DayPart::Evening),
    (&["dinnertime"], DayPart::Evening),
    (&["after", "breakfast"], DayPart::Morning),
    (&["middle", "of", "the", "night"], DayPart::SmallHours),
    (&["in", "the", "morning"], DayPart::Morning),
    (&["in", "the", "afternoon"], DayPart::Afternoon),
    (&["in", "the", "evening"], DayPart::Evening),
    (&["at", "night"], DayPart::Night),
    (&["of", "an", "evening"], DayPart::Evening),
    (&["in", "a", "little", "while"], DayPart::Soon),
    (&["in", "a", "little", "bit"], DayPart::Soon),
    (&["in", "a", "while"], DayPart::Soon),
    (&["in", "a", "bit"], DayPart::Soon),
    (&["in", "a", "moment"], DayPart::Soon),
    (&["a", "bit", "later"], DayPart::Soon),
    (&["a", "little", "later"], DayPart::Soon),
    (&["morning'd"], DayPart::Morning),
    (&["afternoon'd"], DayPart::Afternoon),
    (&["evening'd"], DayPart::Evening),
    (&["arvo's"], DayPart::Afternoon),
    (&["arvo'd"], DayPart::Afternoon),
    (&["morning's"], DayPart::Morning),
    (&["afternoon's"], DayPart::Afternoon),
    (&["evening's"], DayPart::Evening),
    (&["arvo"], DayPart::Afternoon),
    (&["mornings"], DayPart::Morning),
    (&["afternoons"], DayPart::Afternoon),
    (&["evenings"], DayPart::Evening),
    (&["nights"], DayPart::Night),
    (&["morning"], DayPart::Morning),
    (&["afternoon"], DayPart::Afternoon),
    (&["evening"], DayPart::Evening),
    (&["night"], DayPart::Night),
];

pub(super) fn read(s: At<'_>) -> Option<Named> {
    // "P m" alone decides which eight was meant; "am" alone is mostly a verb.
    if s.word(0) == "pm" || s.starts_with(&["p", "m"]) {
        return Some(Named::one(Part::DayPart(DayPart::Pm), if s.word(0) == "pm" { 1 } else { 2 }));
    }
    let ends = |t: Option<&Token>| t.is_none_or(|t| t.is_stop() || t.kind == Kind::Comma);
    if s.word(0) == "am" && ends(s.token_back(1)) && ends(s.token(1)) {
        return Some(Named::one(Part::DayPart(DayPart::Am), 1));
    }
    if greets(s) {
        return Some(Named::nothing(2));
    }
    // "Last night" and "a good night" are not times to call.
    if matches!(s.word(0), "night" | "morning" | "afternoon" | "evening")
        && matches!(s.back(1), "last" | "good" | "every" | "all" | "each" | "yesterday")
    {
        return Some(Named::nothing(1));
    }
    let beside_a_day =
        |word: &str| super::day::weekday(word).is_some() || matches!(word, "tomorrow" | "today");
    if s.word(0) == "lunch" && (beside_a_day(s.back(1)) || s.back(1) == "at" || beside_a_day(s.word(1))) {
        return Some(Named::one(Part::DayPart(DayPart::Lunch), 1));
    }
    if let Some((part, len)) = s.lookup(WITH_TODAY) {
        return Some(Named::two(TODAY, Part::DayPart(part), len));
    }
    s.lookup(PARTS).map(|(part, len)| Named::one(Part::DayPart(part), len))
}

/// "Good morning", "have a good evening".
fn greets(s: At<'_>) -> bool {
    matches!(s.word(0), "good" | "lovely" | "great" | "nice" | "wonderful")
        && matches!(s.word(1), "morning" | "afternoon" | "evening" | "night" | "day" | "weekend" | "week")
        && (s.word(0) != "good" || s.word(1) != "day" || s.back(1) != "a")
        && !matches!(s.back(1), "is" | "be" | "works")
}
