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
    const fn with_half_of(self, old: Option<Self>) -> Self {
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
    const fn holds(self, clock: Clock) -> bool {
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
    /// "In ten minutes?" "Make it twenty": a number alone, of the same unit.
    pub(crate) fn counted(self, slot: &Slot) -> Option<Self> {
        let clock = slot.clock.filter(|c| c.form == Form::Bare && c.minute == 0 && slot.is_loose())?;
        let n = clock.hour;
        let fits = match self.unit {
            Unit::Minutes => n >= 5 && n % 5 == 0,
            Unit::Hours => (1..5).contains(&n),
            _ => false,
        };
        let is_wait = self.led && self.from_day == 0 && self.from_that == 0;
        let n = f64::from(n);
        (fits && is_wait).then_some(Self { least: n, most: n, about: false, vague: false, ..self })
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

/// What was said about one time, put together.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Slot {
    pub(crate) day: Option<Day>,
    pub(crate) clock: Option<Clock>,
    /// The end of a range.
    pub(crate) until: Option<Clock>,
    pub(crate) of: Option<DayPart>,
    pub(crate) length: Option<Length>,
    pub(crate) zone: Option<Place>,
    pub(crate) bound: Bound,
    pub(crate) same_time: bool,
    /// Minutes past an hour that was spoken of before.
    pub(crate) past: Option<i8>,
}

impl Slot {
    /// Whether it says nothing about when (a zone alone does not).
    pub(crate) const fn is_empty(&self) -> bool {
        self.day.is_none()
            && self.clock.is_none()
            && self.of.is_none()
            && self.length.is_none()
            && self.past.is_none()
            && !self.same_time
    }

    /// With the hour of a clock time, where only the minutes were said.
    pub(crate) fn of_hour(mut self, hour: Option<Clock>) -> Self {
        if let (Some(minute), None) = (self.past.take(), self.clock) {
            self.clock = hour.map(|clock| Clock { minute, form: Form::Plain, about: false, ..clock });
        }
        self
    }

    /// Whether all it has is a number that may be anything.
    pub(crate) fn is_loose(&self) -> bool {
        self.day.is_none()
            && self.of.is_none()
            && self.zone.is_none()
            && !self.same_time
            && self.length.is_none_or(|l| !l.led)
            && self.clock.is_none_or(|c| c.form == Form::Bare)
    }

    /// Whether it names a moment of the day, not only a day or a part of one.
    pub(crate) const fn is_exact(&self) -> bool {
        self.clock.is_some() || self.length.is_some() || self.same_time
    }

    /// Both together, if neither says what the other says.
    pub(crate) fn with(&self, other: &Self) -> Option<Self> {
        let hour = |s: &Self| s.clock.is_some() || s.same_time;
        let clash = self.day.is_some() && other.day.is_some_and(|day| self.day != Some(day))
            || hour(self) && hour(other)
            || [self, other].iter().any(|s| s.length.is_some_and(|l| !l.led && l.from_that == 0))
            || self.length.is_some() && (other.length.is_some() || hour(other))
            || other.length.is_some() && hour(self)
            || self.of.is_some() && other.of.is_some_and(|of| self.of != Some(of));
        (!clash).then(|| Self {
            day: self.day.or(other.day),
            clock: self.clock.or(other.clock),
            until: self.until.or(other.until),
            of: self.of.or(other.of),
            length: self.length.or(other.length),
            zone: self.zone.or(other.zone),
            bound: if self.bound == Bound::At { other.bound } else { self.bound },
            same_time: self.same_time || other.same_time,
            past: self.past.or(other.past),
        })
    }

    /// What is meant when this is said after `old`: it replaces what it names and keeps the rest.
    pub(crate) fn after(self, old: &Self) -> Self {
        if self.length.is_some_and(|l| matches!(l.unit, Unit::Seconds | Unit::Minutes | Unit::Hours)) {
            return Self { zone: self.zone.or(old.zone), ..self };
        }
        // "Tonight, or in the morning?" is the next one's.
        let evening = matches!(old.of, Some(DayPart::Evening | DayPart::Night));
        if self.of == Some(DayPart::Morning) && self.day.is_none() && old.day == Some(Day::In(0)) && evening {
            return Self { day: Some(Day::In(1)), zone: self.zone.or(old.zone), ..self };
        }
        // "Evening" tells which eight was meant.
        if let (Some(of), Some(clock)) = (self.of, old.clock)
            && self.clock.is_none()
            && self.length.is_none()
            && clock.half.is_none()
            && self.day.is_none_or(|day| old.day.is_none_or(|known| known == day))
            && old.of.is_none_or(|known| known == of)
            && of.may_hold(clock)
        {
            return Self {
                of: Some(of),
                day: self.day.or(old.day),
                zone: self.zone.or(old.zone),
                ..old.clone()
            };
        }
        // "Eight p m?" "P m, yeah."
        if let (Some(of), Some(clock)) = (self.of, old.clock)
            && self.clock.is_none()
            && self.length.is_none()
            && self.day.is_none()
            && clock.half.is_some()
            && of.holds(clock)
        {
            return old.clone();
        }
        // "Tonight" is over once another day is named.
        let tonight = old.day == Some(Day::In(0))
            && old.of == Some(DayPart::Night)
            && self.day.is_some_and(|d| d != Day::In(0));
        let old = &Self { of: old.of.filter(|_| !tonight), ..old.clone() };
        let names_hour = self.clock.is_some() || self.of.is_some() || self.same_time || self.length.is_some();
        // "The twenty third." "Of June?" "Yes, June."
        let named = match (self.day, old.day) {
            (Some(Day::MonthNamed(m, _)), Some(Day::Nth(n) | Day::Date(_, _, n))) => {
                Some(Day::Date(None, m, n))
            }
            _ => None,
        };
        if named.is_some() {
            return Self { day: named, ..old.clone() };
        }
        let keeps_day = self.day.is_none();
        let same_day = keeps_day || self.day == old.day;
        // "Eight in the night" here is no night over there; and "today" is no longer in the morning.
        let moved = self.zone == Some(Place::Yours) && self.zone != old.zone
            || self.day == Some(Day::In(0)) && !same_day;
        let old = &Self { of: old.of.filter(|_| !moved), ..old.clone() };
        Self {
            day: if keeps_day { old.day } else { self.day },
            // An old part of the day tells which of the two hours a new clock time is.
            of: self.of.or(match self.clock {
                Some(clock) if same_day => old.of.filter(|of| clock.half.is_some() || of.may_hold(clock)),
                None if !names_hour => old.of,
                _ => None,
            }),
            clock: if names_hour { self.clock.map(|clock| clock.with_half_of(old.clock)) } else { old.clock },
            until: if names_hour { self.until } else { old.until },
            // "A week from Friday." "Nine thirty."
            length: if keeps_day && self.length.is_none() && old.length.is_some_and(|l| l.from_day != 0) {
                old.length
            // "An hour before you close." "Today?"
            } else if names_hour || !keeps_day && old.length.is_none_or(|l| l.from_that == 0) {
                self.length
            } else {
                old.length
            },
            bound: if names_hour { self.bound } else { old.bound },
            same_time: if names_hour { self.same_time } else { old.same_time },
            past: None,
            zone: self.zone.or(old.zone),
        }
    }
}
