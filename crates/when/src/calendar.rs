//! Resolves named days to dates.

use jiff::{
    ToSpan as _, Zoned,
    civil::{Date, Weekday},
};

use crate::part::{Base, Day, Holiday, Stretch, Which};

/// The first and the last acceptable day, and the default between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) first: Date,
    pub(crate) nominal: Date,
    pub(crate) last: Date,
}

impl Dates {
    pub(crate) const fn one(date: Date) -> Self {
        Self { first: date, nominal: date, last: date }
    }

    fn run(first: Date, days: i64) -> Option<Self> {
        Some(Self { first, nominal: first, last: add_days(first, days)? })
    }
}

fn add_days(date: Date, days: i64) -> Option<Date> {
    date.checked_add(days.days()).ok()
}

/// The dates of a day. `referenced_date` is the date mentioned before. With `literal`, "tomorrow" begins at midnight.
pub(crate) fn dates(day: Day, now: &Zoned, referenced_date: Option<Date>, literal: bool) -> Option<Dates> {
    let today = now.date();
    let one = |date: Option<Date>| date.map(Dates::one);
    match day {
        // Before 4 am, "tomorrow" mostly means the coming daytime, which is today's date.
        Day::FromToday(1) if now.hour() < 4 && !literal => {
            Some(Dates { first: today, nominal: today, last: add_days(today, 1)? })
        }
        Day::FromToday(n) => one(add_days(today, n.into())),
        Day::Weekday(weekday, which) => one(weekday_date(today, weekday, which)),
        Day::Date(year, month, day) => one(date_of(year, month, day, today)),
        Day::Nth(n) => {
            one(months(today, 12).find_map(|(y, m)| Date::new(y, m, n).ok().filter(|date| *date > today)))
        }
        Day::WeekdayNth(weekday, n) => one(weekday_nth(weekday, n, today)),
        Day::NthWeekday(n, weekday, month) => one(nth_weekday(n, weekday, month, today)),
        Day::WeeksFrom(n, base) => {
            let from = match base {
                Base::Today => today,
                Base::Tomorrow => add_days(today, 1)?,
                Base::Weekday(weekday) => weekday_date(today, weekday, Which::Coming)?,
            };
            one(add_days(from, 7 * i64::from(n)))
        }
        Day::FromReference(n) => {
            one(add_days(referenced_date.unwrap_or(today), n.into()).filter(|date| *date >= today))
        }
        Day::Week(stretch, n) => week(today, stretch, n),
        Day::Weekend(n) => {
            let ahead = match (today.weekday(), n) {
                (Weekday::Saturday, 0) => 0,
                (Weekday::Sunday, 0) => -1,
                (weekday, _) => i64::from(weekday.until(Weekday::Saturday)),
            };
            let saturday = add_days(today, ahead + 7 * i64::from(n))?;
            Dates::run(saturday, 1).map(|d| Dates { nominal: d.nominal.max(today), ..d })
        }
        Day::Month(n, end) => {
            let first = today.first_of_month().checked_add(i64::from(n).months()).ok()?;
            let last = first.last_of_month();
            let nominal = if end { add_days(last, -2)? } else { first };
            Some(Dates { first: first.max(today), nominal: nominal.max(today), last })
        }
        Day::MonthNamed(month, stretch) => month_named(month, stretch, today),
        Day::YearEnd => {
            let last = Date::new(today.year(), 12, 31).ok()?;
            Some(Dates {
                first: add_days(last, -10)?.max(today),
                nominal: add_days(last, -3)?.max(today),
                last,
            })
        }
        Day::Holiday(holiday) => {
            one((0..=1).find_map(|n| holiday_date(holiday, today.year() + n).filter(|date| *date >= today)))
        }
    }
}

/// A date of a month: the next one where no year is named. Months 13 and 14 are the next month and this one.
fn date_of(year: Option<i16>, month: i8, day: i8, today: Date) -> Option<Date> {
    let ahead = |date: &Date| *date >= today;
    match (year, month) {
        (Some(year), month) => Date::new(year, month, day).ok().filter(ahead),
        (None, 13) => {
            let next = today.first_of_month().checked_add(1.month()).ok()?;
            Date::new(next.year(), next.month(), day).ok()
        }
        (None, 14) => Date::new(today.year(), today.month(), day).ok().filter(ahead),
        (None, month) => {
            (0..=8).find_map(|n| Date::new(today.year().checked_add(n)?, month, day).ok().filter(ahead))
        }
    }
}

/// "Friday the thirteenth": the next date on which both hold.
fn weekday_nth(weekday: Weekday, n: i8, today: Date) -> Option<Date> {
    let fits = |date: &Date| date.weekday() == weekday && *date >= today;
    let date = months(today, 60).find_map(|(y, m)| Date::new(y, m, n).ok().filter(fits));
    // More than 300 days ahead is implausible: one of the two was transcribed wrong, so use the weekday.
    let near = date.filter(|date| date.duration_since(today).as_hours() < 24 * 300);
    near.or_else(|| weekday_date(today, weekday, Which::Coming))
}

/// "The second Monday of March". Month 13 is the next month; without a month, the next month that has such a day.
fn nth_weekday(n: i8, weekday: Weekday, month: Option<i8>, today: Date) -> Option<Date> {
    let at = |y: i16, m: i8| Date::new(y, m, 1).ok()?.nth_weekday_of_month(n, weekday).ok();
    months(today, 26)
        .filter(|(_, m)| match month {
            Some(13) => *m == today.month() % 12 + 1,
            Some(month) => *m == month,
            None => true,
        })
        .find_map(|(y, m)| at(y, m).filter(|date| *date > today))
}

/// A named month, or its beginning, middle or end.
fn month_named(month: i8, stretch: Stretch, today: Date) -> Option<Dates> {
    let (y, m) = months(today, 13).find(|(_, m)| *m == month)?;
    let end = Date::new(y, m, 1).ok()?.last_of_month();
    let (from, to) = match stretch {
        Stretch::Whole => (1, end.day()),
        Stretch::Early => (1, 10),
        Stretch::Middle => (11, 20),
        Stretch::Late => (21, end.day()),
    };
    let (first, last) = (Date::new(y, m, from).ok()?.max(today), Date::new(y, m, to).ok()?);
    Some(Dates { first, nominal: first, last: last.max(first) })
}

/// The years and months of `n` months, starting with the current one.
fn months(today: Date, n: i16) -> impl Iterator<Item = (i16, i8)> {
    let from = today.year() * 12 + i16::from(today.month()) - 1;
    (from..from + n).map(|m| (m / 12, (m % 12 + 1) as i8))
}

fn weekday_date(today: Date, weekday: Weekday, which: Which) -> Option<Date> {
    let ahead = i64::from(today.weekday().until(weekday));
    let coming = if ahead == 0 { 7 } else { ahead };
    let days = match which {
        Which::Coming | Which::This => coming,
        Which::Next => {
            7 - i64::from(today.weekday().to_monday_zero_offset())
                + i64::from(weekday.to_monday_zero_offset())
        }
        Which::AfterNext => coming + 7,
        Which::Nth(n) => coming + 7 * (i64::from(n) - 1),
        Which::Later(n) => ahead + 7 * i64::from(n),
    };
    add_days(today, days)
}

/// A calendar week, Monday to Friday, or a stretch of it; the current week starts tomorrow at the earliest.
fn week(today: Date, stretch: Stretch, n: i8) -> Option<Dates> {
    let monday = add_days(today, 7 * i64::from(n) - i64::from(today.weekday().to_monday_zero_offset()))?;
    let (from, to) = match stretch {
        Stretch::Whole => (0, 4),
        Stretch::Early => (0, 2),
        Stretch::Middle => (1, 3),
        Stretch::Late => (3, 4),
    };
    let (first, last) = (add_days(monday, from)?, add_days(monday, to)?);
    // The days of the current week up to today are excluded.
    let first = if n == 0 { first.max(add_days(today, 1)?) } else { first };
    let last = last.max(first);
    let nominal = if stretch == Stretch::Late { last } else { first };
    Some(Dates { first, nominal, last })
}

fn holiday_date(holiday: Holiday, year: i16) -> Option<Date> {
    let day = |m, d| Date::new(year, m, d).ok();
    let nth = |m, n, weekday| Date::new(year, m, 1).ok()?.nth_weekday_of_month(n, weekday).ok();
    match holiday {
        Holiday::Christmas => day(12, 25),
        Holiday::ChristmasEve => day(12, 24),
        Holiday::NewYear => day(1, 1),
        Holiday::NewYearsEve => day(12, 31),
        Holiday::Thanksgiving => nth(11, 4, Weekday::Thursday),
        Holiday::LaborDay => nth(9, 1, Weekday::Monday),
        Holiday::MemorialDay => nth(5, -1, Weekday::Monday),
        Holiday::IndependenceDay => day(7, 4),
        Holiday::Halloween => day(10, 31),
        Holiday::Valentines => day(2, 14),
        Holiday::VeteransDay => day(11, 11),
        Holiday::Easter => easter(year),
        Holiday::GoodFriday => add_days(easter(year)?, -2),
        Holiday::BoxingDay => day(12, 26),
        Holiday::MothersDay => nth(5, 2, Weekday::Sunday),
        Holiday::FathersDay => nth(6, 3, Weekday::Sunday),
        Holiday::Epiphany => day(1, 6),
        Holiday::MartinLutherKing => nth(1, 3, Weekday::Monday),
        Holiday::PresidentsDay => nth(2, 3, Weekday::Monday),
        Holiday::StPatricks => day(3, 17),
    }
}

/// The Gregorian Easter Sunday (the anonymous algorithm of 1876, as in Meeus, "Astronomical Algorithms", ch. 8).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e, f) = (b / 4, b % 4, (b + 8) / 25);
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    Date::new(year, (n / 31) as i8, (n % 31 + 1) as i8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_matches_the_almanacs() {
        for (year, m, d) in [(2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2027, 3, 28), (2038, 4, 25)] {
            assert_eq!(easter(year), Date::new(year, m, d).ok());
        }
    }
}
