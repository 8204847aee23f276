//! What people name when they name a time: days, clock times, parts of the day, lengths, zones, bounds.
//!
//! Invariant: nothing here belongs to a language or to a calendar's moment. A part is what was said; what it comes to
//! is for [`crate::resolve`].

use jiff::civil::Weekday;

/// Something that says when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Day(Day),
    Clock(Clock),
    Of(DayPart),
    /// So long from the call's end, or from something that was named.
    Length(Length),
    Zone(Place),
    Bound(Bound),
    /// "(at the) same time".
    SameTime,
    /// "Half past", of the hour that was last spoken of.
    Past(i8),
}

/// A day, or a few of which any will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    /// So many days from today.
    In(i32),
    Weekday(Weekday, Which),
    /// A month and a day; the year where it was said.
    Date(Option<i16>, i8, i8),
    /// The Nth, in this month or the next that has one.
    Nth(i8),
    /// A weekday that is also the Nth.
    WeekdayNth(Weekday, i8),
    /// The first, second … or last (-1) such weekday of a month; of this or the next one (`None`: the coming; 13: next).
    NthWeekday(i8, Weekday, Option<i8>),
    /// So many weeks from a day.
    WeeksFrom(i8, Base),
    /// So many days before (negative) or after the day that was spoken of.
    FromThat(i8),
    Week(Stretch, i8),
    Weekend(i8),
    /// So many months on, any day of it; its end.
    Month(i8, bool),
    /// A month by its name, any day of it.
    MonthNamed(i8, Stretch),
    /// The end of the year.
    YearEnd,
    Holiday(Holiday),
}

impl Day {
    /// Whether it is a month, any day of it.
    pub(crate) const fn is_a_month(self) -> bool {
        matches!(self, Self::Month(..) | Self::MonthNamed(..) | Self::YearEnd)
    }
}

/// Where weeks are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Today,
    Tomorrow,
    Weekday(Weekday),
}

/// Which of the weekdays of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The first after today.
    Coming,
    /// "This Friday".
    This,
    /// That of the next calendar week, Monday first.
    Next,
    /// The one after the coming one.
    AfterNext,
    /// Some weeks after the first from today on.
    Later(i8),
    /// The Nth of that name from now on.
    Nth(i8),
}

/// Which part of a week.
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
    pub(crate) half: Option<Half>,
    /// How sure it is that it was a clock time at all.
    pub(crate) form: Form,
    /// "-ish", "around".
    pub(crate) about: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Am,
    Pm,
    /// Said on a clock of twenty-four hours, or as noon or midnight: as it stands.
    Full,
}

/// What a clock time was said with, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// With am, pm, "o'clock", minutes, "half past".
    Plain,
    /// Behind "at" and the like.
    Led,
    /// A number that may be anything.
    Bare,
}

impl Clock {
    pub(crate) const NOON: Self = Self::full(12, 0);
    pub(crate) const MIDNIGHT: Self = Self::full(0, 0);

    /// So long before or after it, on the same day.
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

    /// Whether both may be the same time, whichever half of the day they are in.
    pub(crate) const fn agrees(self, other: Self) -> bool {
        self.hour % 12 == other.hour % 12 && self.minute == other.minute
    }

    /// Said again without its half of the day, it is in the same.
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
    /// "P m", alone.
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
    /// Spanish meals and hours are not English ones.
    AfterMeal,
    LateTarde,
    Tarde,
    SpanishMidday,
}

impl DayPart {
    /// Whether a clock time whose half of the day is known lies in it.
    pub(crate) const fn holds(self, clock: Clock) -> bool {
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

    /// Whether this is a part of the other.
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

    /// Whether a clock time without its half of the day may lie in it.
    pub(crate) const fn may_hold(self, clock: Clock) -> bool {
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
    /// The least, and the most, of the unit.
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) unit: Unit,
    /// "About", "like", "a couple".
    pub(crate) about: bool,
    /// "A couple of", "a few": as many as people mean by it.
    pub(crate) vague: bool,
    /// Whether it was said as something to wait for ("in", "from now"), and not only as how long a thing takes.
    pub(crate) led: bool,
    /// "Give me": it is for the call, whatever stands before it.
    pub(crate) given: bool,
    /// "From now", "hence".
    pub(crate) from_now: bool,
    /// "Two days after Friday": counted from the day beside it, or back from it if negative.
    pub(crate) from_day: i8,
    /// "After that": counted from what was spoken of, and before it if negative.
    pub(crate) from_that: i8,
}

impl Length {
    /// So much of a unit, and nothing more said of it.
    pub(crate) const fn new(least: f64, most: f64, unit: Unit) -> Self {
        Self {
            least,
            most,
            unit,
            about: false,
            vague: false,
            led: false,
            given: false,
            from_now: false,
            from_day: 0,
            from_that: 0,
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
    /// Whether it is counted by the calendar, and not by the clock.
    pub(crate) const fn is_days(self) -> bool {
        matches!(self, Self::Days | Self::Weeks | Self::Months)
    }
}

/// Whose clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// An IANA name.
    Named(&'static str),
    /// The caller's own.
    Mine,
    /// The agent's.
    Yours,
}

/// How a clock time bounds the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bound {
    /// That minute.
    #[default]
    At,
    About,
    /// "After X": within two hours of it.
    After,
    /// "Any time after X".
    From,
    /// "Before X".
    Before,
    /// "Not before X" is a kind of after; "don't call after X" one of before.
    NotBefore,
    NotAfter,
    Between,
    /// "Until X": of what somebody does until then.
    Until,
}
