//! Holidays by name.

use crate::{
    lang::{At, Named},
    part::{Day, Holiday, Part},
};

pub(super) fn read(s: At<'_>) -> Option<Named> {
    const HOLIDAYS: &[(&[&str], Holiday)] = &[
        (&["christmas", "eve"], Holiday::ChristmasEve),
        (&["christmas", "day"], Holiday::Christmas),
        (&["christmas"], Holiday::Christmas),
        (&["xmas"], Holiday::Christmas),
        (&["new", "year's", "eve"], Holiday::NewYearsEve),
        (&["new", "years", "eve"], Holiday::NewYearsEve),
        (&["new", "year's", "day"], Holiday::NewYear),
        (&["new", "years", "day"], Holiday::NewYear),
        (&["new", "year's"], Holiday::NewYear),
        (&["thanksgiving", "day"], Holiday::Thanksgiving),
        (&["thanksgiving"], Holiday::Thanksgiving),
        (&["labor", "day"], Holiday::LaborDay),
        (&["labour", "day"], Holiday::LaborDay),
        (&["memorial", "day"], Holiday::MemorialDay),
        (&["independence", "day"], Holiday::IndependenceDay),
        (&["the", "fourth", "of", "july"], Holiday::IndependenceDay),
        (&["halloween"], Holiday::Halloween),
        (&["valentine's", "day"], Holiday::Valentines),
        (&["valentines", "day"], Holiday::Valentines),
        (&["valentine's"], Holiday::Valentines),
        (&["veterans", "day"], Holiday::VeteransDay),
        (&["good", "friday"], Holiday::GoodFriday),
        (&["easter", "sunday"], Holiday::Easter),
        (&["easter"], Holiday::Easter),
        (&["boxing", "day"], Holiday::BoxingDay),
        (&["mother's", "day"], Holiday::MothersDay),
        (&["mothers", "day"], Holiday::MothersDay),
        (&["father's", "day"], Holiday::FathersDay),
        (&["fathers", "day"], Holiday::FathersDay),
        (&["martin", "luther", "king", "day"], Holiday::MartinLutherKing),
        (&["mlk", "day"], Holiday::MartinLutherKing),
        (&["presidents", "day"], Holiday::PresidentsDay),
        (&["st", "patrick's", "day"], Holiday::StPatricks),
    ];
    let (named, len) = s.lookup(HOLIDAYS)?;
    // "Just now can be Christmas", "if it's Christmas, it's Christmas".
    let as_an_example = s.back(1) == "be" && matches!(s.back(2), "can" | "could" | "might" | "may")
        || s.back(1) == "it's" && (s.back(2) == "if" || s.back(3) == s.word(len - 1));
    if matches!(s.back(1), "merry" | "happy") || as_an_example {
        return Some(Named::nothing(len));
    }
    Some(Named::one(Part::Day(Day::Holiday(named)), len))
}
