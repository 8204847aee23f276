//! The hours that vague words stand for, unless a workspace overrides them.

use crate::part::DayPart;

/// A range of acceptable minutes of the day and the default within it. Minutes since midnight; a last minute beyond 1440
/// is on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first acceptable minute.
    pub from: i32,
    /// The last acceptable minute.
    pub to: i32,
    /// The default minute.
    pub nominal: i32,
}

const fn span(from: i32, to: i32, nominal: i32) -> Span {
    Span { from, to, nominal }
}

const fn at(hour: i32, minute: i32) -> i32 {
    hour * 60 + minute
}

/// The hours that vague words stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// A day without a time.
    pub day: Span,
    /// "In the morning".
    pub morning: Span,
    /// "At lunch".
    pub lunch: Span,
    /// "After lunch".
    pub after_lunch: Span,
    /// "In the afternoon".
    pub afternoon: Span,
    /// "End of day".
    pub end_of_day: Span,
    /// "In the evening".
    pub evening: Span,
    /// "Tonight".
    pub night: Span,
    /// "After dinner".
    pub after_dinner: Span,
}

impl Default for Hours {
    fn default() -> Self {
        Self {
            day: span(at(8, 0), at(21, 0), at(10, 0)),
            morning: span(at(8, 0), at(12, 0), at(9, 0)),
            lunch: span(at(11, 30), at(13, 30), at(12, 0)),
            after_lunch: span(at(12, 30), at(15, 0), at(13, 30)),
            afternoon: span(at(12, 0), at(17, 0), at(14, 0)),
            end_of_day: span(at(16, 0), at(18, 0), at(17, 0)),
            evening: span(at(17, 0), at(21, 0), at(18, 0)),
            night: span(at(18, 0), at(22, 0), at(19, 0)),
            after_dinner: span(at(18, 30), at(21, 30), at(19, 0)),
        }
    }
}

impl Hours {
    /// The hours of a part of the day. Parts without a field of their own have fixed hours.
    pub(crate) const fn span(&self, part: DayPart) -> Span {
        match part {
            DayPart::FirstThing => span(at(7, 0), at(10, 0), at(9, 0)),
            DayPart::EarlyMorning => span(at(6, 0), at(9, 0), at(8, 0)),
            DayPart::Morning => self.morning,
            DayPart::MidMorning => span(at(9, 0), at(11, 30), at(10, 0)),
            DayPart::LateMorning => span(at(10, 0), at(12, 0), at(11, 0)),
            DayPart::BeforeLunch => span(at(10, 0), at(12, 0), at(11, 0)),
            DayPart::Lunch => self.lunch,
            DayPart::AfterLunch => self.after_lunch,
            DayPart::EarlyAfternoon => span(at(12, 0), at(14, 30), at(13, 0)),
            DayPart::Afternoon => self.afternoon,
            DayPart::MidAfternoon => span(at(14, 0), at(16, 0), at(15, 0)),
            DayPart::LateAfternoon => span(at(15, 0), at(18, 0), at(16, 0)),
            DayPart::EndOfDay => self.end_of_day,
            DayPart::Am => self.morning,
            DayPart::Pm => span(at(12, 0), at(21, 0), at(14, 0)),
            DayPart::EarlyEvening => span(at(17, 0), at(19, 0), at(18, 0)),
            DayPart::Evening => self.evening,
            DayPart::LateEvening => span(at(19, 0), at(22, 0), at(20, 0)),
            DayPart::AfterDinner => self.after_dinner,
            DayPart::Night => self.night,
            DayPart::SmallHours => span(at(0, 0), at(5, 0), at(2, 0)),
            DayPart::LaterToday => span(at(8, 0), at(21, 30), at(17, 0)),
            DayPart::Soon => span(0, 0, 0),
            DayPart::AfterMeal => span(at(14, 0), at(17, 0), at(15, 0)),
            DayPart::LateTarde => span(at(17, 0), at(21, 0), at(19, 0)),
            DayPart::Tarde => span(at(12, 0), at(20, 0), at(16, 0)),
            DayPart::SpanishMidday => span(at(11, 45), at(14, 0), at(12, 0)),
        }
    }
}
