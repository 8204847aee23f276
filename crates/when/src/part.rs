//! The parts of a spoken time: days, clock times, parts of the day, lengths, zones, bounds.
//!
//! Invariant: a part holds the meaning of the words, independent of the language and of the date. [`crate::resolve`]
//! turns parts into a moment.

use jiff::civil::Weekday;

/// One part of a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Day(Day),
    Clock(Clock),
    DayPart(DayPart),
    /// A length, counted from the call's end or from another time.
    Length(Length),
    Zone(ZoneRef),
    Bound(Bound),
    /// "(at the) same time".
    SameTime,
    /// "Half past" without an hour: minutes past the hour mentioned last.
    Past(i8),
}

/// A day, or a range of acceptable days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    /// Days from today.
    FromToday(i32),
    Weekday(Weekday, Which),
    /// The year if it is named, the month (13: next month, 14: this month) and the day.
    Date(Option<i16>, i8, i8),
    /// The next Nth of a month after today.
    Nth(i8),
    /// A weekday that is the Nth of its month.
    WeekdayNth(Weekday, i8),
    /// The first, second … or last (-1) such weekday of a month (13: next month; `None`: the next such day after today).
    NthWeekday(i8, Weekday, Option<i8>),
    /// Weeks from a day.
    WeeksFrom(i8, Base),
    /// Days after (negative: before) the day mentioned earlier.
    FromReference(i8),
    /// A stretch of a week, and the number of weeks from the current one.
    Week(Stretch, i8),
    /// The number of weekends after the current or coming one.
    Weekend(i8),
    /// Months from this one, any day of the month; `true`: its end.
    Month(i8, bool),
    /// A named month or a stretch of it, any day.
    MonthNamed(i8, Stretch),
    /// The end of the year.
    YearEnd,
    Holiday(Holiday),
}

impl Day {
    /// Whether it names a month or the end of the year rather than a day.
    pub(crate) const fn is_a_month(self) -> bool {
        matches!(self, Self::Month(..) | Self::MonthNamed(..) | Self::YearEnd)
    }
}

/// The day from which weeks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Today,
    Tomorrow,
    Weekday(Weekday),
}

/// Which weekday of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The first after today.
    Coming,
    /// "This Friday".
    This,
    /// The one in the next calendar week; weeks begin on Monday.
    Next,
    /// The one after the coming one.
    AfterNext,
    /// Weeks after its next occurrence, which can be today.
    Later(i8),
    /// The Nth one after today.
    Nth(i8),
}

/// Which part of a week or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stretch {
    Whole,
    Early,
    Middle,
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holiday {
    Christmas,
    ChristmasEve,
    NewYear,
    NewYearsEve,
    Thanksgiving,
    LaborDay,
    MemorialDay,
    IndependenceDay,
    Halloween,
    Valentines,
    VeteransDay,
    Easter,
    GoodFriday,
    BoxingDay,
    MothersDay,
    FathersDay,
    Epiphany,
    MartinLutherKing,
    PresidentsDay,
    StPatricks,
}

/// A clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) hour: i8,
    pub(crate) minute: i8,
    /// The half of the day; `None` if the words leave it open.
    pub(crate) half: Option<Half>,
    /// How strongly the words indicate a clock time.
    pub(crate) form: Form,
    /// "-ish", "around".
    pub(crate) about: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Am,
    Pm,
    /// A 24-hour time, noon or midnight: the hour is final.
    Full,
}

/// How strongly the words indicate a clock time, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// With am, pm, "o'clock", "half past", or written as "10:45".
    Plain,
    /// After "at" and similar words, or with spoken minutes ("three thirty").
    Introduced,
    /// A bare number, which may mean something else.
    Bare,
}

impl Clock {
    pub(crate) const NOON: Self = Self::full(12, 0);
    pub(crate) const MIDNIGHT: Self = Self::full(0, 0);

    /// The time `length` before or after this one; `None` if it is on another day or the length is not minutes or hours.
    pub(crate) fn moved(self, length: Length, bound: Bound) -> Option<Self> {
        let minutes = match length.unit {
            Unit::Minutes => length.least,
            Unit::Hours => length.least * 60.0,
            _ => return None,
        } as i32;
        let sign = match bound {
            Bound::Before => -1,
            Bound::After => 1,
            _ => return None,
        };
        let day = i32::from(self.hour) * 60 + i32::from(self.minute) + sign * minutes;
        // "One hour before one" is noon, not midnight.
        let noon = self.half.is_none() && (1..720).contains(&(i32::from(self.hour) * 60)) && day < 60;
        let day = if noon { day + 720 } else { day };
        (0..1440).contains(&day).then_some(Self {
            hour: (day / 60) as i8,
            minute: (day % 60) as i8,
            about: false,
            ..self
        })
    }

    /// Whether both can be the same time, ignoring the half of the day.
    pub(crate) const fn agrees(self, other: Self) -> bool {
        self.hour % 12 == other.hour % 12 && self.minute == other.minute
    }

    /// Takes the half of the day from `old` if both are the same time and this one has none.
    pub(crate) const fn with_half_of(self, old: Option<Self>) -> Self {
        match old {
            Some(old)
                if self.half.is_none() && old.hour % 12 == self.hour % 12 && old.minute == self.minute =>
            {
                Self { half: old.half, hour: old.hour, ..self }
            }
            _ => self,
        }
    }

    pub(crate) const fn full(hour: i8, minute: i8) -> Self {
        Self { hour, minute, half: Some(Half::Full), form: Form::Plain, about: false }
    }
}

/// A part of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DayPart {
    FirstThing,
    EarlyMorning,
    Morning,
    MidMorning,
    LateMorning,
    BeforeLunch,
    Lunch,
    AfterLunch,
    EarlyAfternoon,
    Afternoon,
    MidAfternoon,
    LateAfternoon,
    EndOfDay,
    /// "A m" without a clock time; `Pm` likewise.
    Am,
    Pm,
    EarlyEvening,
    Evening,
    LateEvening,
    AfterDinner,
    Night,
    /// After midnight.
    SmallHours,
    LaterToday,
    /// "In a bit".
    Soon,
    /// Spanish parts of the day, whose hours differ from the English ones.
    AfterMeal,
    LateTarde,
    Tarde,
    SpanishMidday,
}

impl DayPart {
    /// Whether a clock time with a known half of the day is within this part.
    pub(crate) const fn contains(self, clock: Clock) -> bool {
        let late = match clock.half {
            Some(Half::Am) => false,
            Some(Half::Pm) => true,
            _ => clock.hour >= 12,
        };
        match self {
            Self::Am | Self::Morning => !late,
            Self::Pm | Self::Afternoon | Self::Evening | Self::Night => late,
            _ => false,
        }
    }

    /// Whether this is a finer part of `other`.
    pub(crate) const fn is_within(self, other: Self) -> bool {
        match other {
            Self::Night | Self::Evening => {
                matches!(self, Self::AfterDinner | Self::EarlyEvening | Self::LateEvening)
            }
            Self::Morning => matches!(
                self,
                Self::FirstThing
                    | Self::EarlyMorning
                    | Self::MidMorning
                    | Self::LateMorning
                    | Self::BeforeLunch
            ),
            Self::Afternoon => matches!(
                self,
                Self::AfterLunch | Self::EarlyAfternoon | Self::MidAfternoon | Self::LateAfternoon
            ),
            _ => false,
        }
    }

    /// Whether a clock time without a half of the day can be within this part.
    pub(crate) const fn may_contain(self, clock: Clock) -> bool {
        let hour = clock.hour % 12;
        match self {
            Self::Afternoon | Self::EarlyAfternoon | Self::LateAfternoon | Self::MidAfternoon => hour <= 7,
            Self::Evening | Self::EarlyEvening | Self::LateEvening | Self::Night => hour >= 4,
            Self::Morning | Self::EarlyMorning | Self::LateMorning | Self::MidMorning => hour >= 4,
            Self::Tarde | Self::Am | Self::Pm => true,
            _ => false,
        }
    }
}

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Length {
    /// The smallest and the largest number of units.
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) unit: Unit,
    /// "About", "like", "a couple".
    pub(crate) about: bool,
    /// "A couple of", "a few": an inexact number.
    pub(crate) vague: bool,
    /// Whether the words mark it as a wait ("in", "from now") rather than a duration.
    pub(crate) is_wait: bool,
    /// "Give me": it refers to the call, regardless of the words before it.
    pub(crate) give_me: bool,
    /// "From now", "hence".
    pub(crate) from_now: bool,
    /// "Two days after Friday": 1 counts forward from the slot's day, -1 backward; 0 otherwise.
    pub(crate) from_day: i8,
    /// "After that": 1 counts forward from the time mentioned before, -1 backward; 0 otherwise.
    pub(crate) from_reference: i8,
}

impl Length {
    /// A length with no flag set.
    pub(crate) const fn new(least: f64, most: f64, unit: Unit) -> Self {
        Self {
            least,
            most,
            unit,
            about: false,
            vague: false,
            is_wait: false,
            give_me: false,
            from_now: false,
            from_day: 0,
            from_reference: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    Weeks,
    Months,
}

impl Unit {
    /// Whether it counts calendar days rather than elapsed time.
    pub(crate) const fn is_days(self) -> bool {
        matches!(self, Self::Days | Self::Weeks | Self::Months)
    }
}

/// The zone that the words refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ZoneRef {
    /// An IANA name.
    Named(&'static str),
    /// The caller's own.
    Caller,
    /// The agent's.
    Agent,
}

/// How a clock time bounds the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bound {
    /// Exactly that minute.
    #[default]
    At,
    About,
    /// "After X": within two hours after it.
    After,
    /// "Any time after X".
    From,
    /// "Before X".
    Before,
    /// "Not before X", which resolves like `After`; "don't call after X" (`NotAfter`) resolves like `Before`.
    NotBefore,
    NotAfter,
    Between,
    /// "Until X": the end of something else, such as a shift.
    Until,
}
