//! The combined parts of one time, and how a time completes an earlier one.

use crate::part::{Bound, Clock, Day, DayPart, Form, Length, Unit, ZoneRef};

/// The combined parts of one time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Slot {
    pub(crate) day: Option<Day>,
    pub(crate) clock: Option<Clock>,
    /// The end of a range.
    pub(crate) until: Option<Clock>,
    pub(crate) day_part: Option<DayPart>,
    pub(crate) length: Option<Length>,
    pub(crate) zone: Option<ZoneRef>,
    pub(crate) bound: Bound,
    pub(crate) same_time: bool,
    /// Minutes past an hour that was mentioned before.
    pub(crate) past: Option<i8>,
}

impl Slot {
    /// Whether it names no time; a zone alone names none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.day.is_none()
            && self.clock.is_none()
            && self.day_part.is_none()
            && self.length.is_none()
            && self.past.is_none()
            && !self.same_time
    }

    /// Takes the hour from `earlier` if the slot has only minutes.
    pub(crate) fn with_hour_of(mut self, earlier: Option<Clock>) -> Self {
        if let (Some(minute), None) = (self.past.take(), self.clock) {
            self.clock = earlier.map(|clock| Clock { minute, form: Form::Plain, about: false, ..clock });
        }
        self
    }

    /// Whether it has only a bare number or an unmarked length, which may mean something else.
    pub(crate) fn is_loose(&self) -> bool {
        self.day.is_none()
            && self.day_part.is_none()
            && self.zone.is_none()
            && !self.same_time
            && self.length.is_none_or(|l| !l.is_wait)
            && self.clock.is_none_or(|c| c.form == Form::Bare)
    }

    /// Whether it names a moment of the day, not only a day or a part of the day.
    pub(crate) const fn is_exact(&self) -> bool {
        self.clock.is_some() || self.length.is_some() || self.same_time
    }

    /// Combines both slots; `None` if they conflict.
    pub(crate) fn combined_with(&self, other: &Self) -> Option<Self> {
        let hour = |s: &Self| s.clock.is_some() || s.same_time;
        let conflicts = self.day.is_some() && other.day.is_some_and(|day| self.day != Some(day))
            || hour(self) && hour(other)
            || [self, other].iter().any(|s| s.length.is_some_and(|l| !l.is_wait && l.from_reference == 0))
            || self.length.is_some() && (other.length.is_some() || hour(other))
            || other.length.is_some() && hour(self)
            || self.day_part.is_some() && other.day_part.is_some_and(|part| self.day_part != Some(part));
        (!conflicts).then(|| Self {
            day: self.day.or(other.day),
            clock: self.clock.or(other.clock),
            until: self.until.or(other.until),
            day_part: self.day_part.or(other.day_part),
            length: self.length.or(other.length),
            zone: self.zone.or(other.zone),
            bound: if self.bound == Bound::At { other.bound } else { self.bound },
            same_time: self.same_time || other.same_time,
            past: self.past.or(other.past),
        })
    }

    /// The time meant when this follows `old` and its part of the day only makes `old` more exact.
    fn refined(&self, old: &Self) -> Option<Self> {
        // "Tonight, or in the morning?" means tomorrow morning.
        let evening = matches!(old.day_part, Some(DayPart::Evening | DayPart::Night));
        if self.day_part == Some(DayPart::Morning)
            && self.day.is_none()
            && old.day == Some(Day::FromToday(0))
            && evening
        {
            return Some(Self { day: Some(Day::FromToday(1)), zone: self.zone.or(old.zone), ..self.clone() });
        }
        // "Evening" decides which eight was meant.
        if let (Some(part), Some(clock)) = (self.day_part, old.clock)
            && self.clock.is_none()
            && self.length.is_none()
            && clock.half.is_none()
            && self.day.is_none_or(|day| old.day.is_none_or(|known| known == day))
            && old.day_part.is_none_or(|known| known == part)
            && part.may_contain(clock)
        {
            return Some(Self {
                day_part: Some(part),
                day: self.day.or(old.day),
                zone: self.zone.or(old.zone),
                ..old.clone()
            });
        }
        // "Eight p m?" "P m, yeah."
        if let (Some(part), Some(clock)) = (self.day_part, old.clock)
            && self.clock.is_none()
            && self.length.is_none()
            && self.day.is_none()
            && clock.half.is_some()
            && part.contains(clock)
        {
            return Some(old.clone());
        }
        None
    }

    /// The time meant when this follows `old`: the parts that it names replace those of `old`, the rest is kept.
    pub(crate) fn completed_from(self, old: &Self) -> Self {
        if self.length.is_some_and(|l| matches!(l.unit, Unit::Seconds | Unit::Minutes | Unit::Hours)) {
            return Self { zone: self.zone.or(old.zone), ..self };
        }
        if let Some(refined) = self.refined(old) {
            return refined;
        }
        // Another day drops "tonight".
        let drops_tonight = old.day == Some(Day::FromToday(0))
            && old.day_part == Some(DayPart::Night)
            && self.day.is_some_and(|d| d != Day::FromToday(0));
        let old = &Self { day_part: old.day_part.filter(|_| !drops_tonight), ..old.clone() };
        let names_hour =
            self.clock.is_some() || self.day_part.is_some() || self.same_time || self.length.is_some();
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
        // Drop the old part of the day if the zone changes to the other side's or the day changes to today.
        let drops_day_part = self.zone == Some(ZoneRef::Agent) && self.zone != old.zone
            || self.day == Some(Day::FromToday(0)) && !same_day;
        let old = &Self { day_part: old.day_part.filter(|_| !drops_day_part), ..old.clone() };
        Self {
            day: if keeps_day { old.day } else { self.day },
            // The old part of the day decides the half of the day of a new clock time.
            day_part: self.day_part.or(match self.clock {
                Some(clock) if same_day => {
                    old.day_part.filter(|part| clock.half.is_some() || part.may_contain(clock))
                }
                None if !names_hour => old.day_part,
                _ => None,
            }),
            clock: if names_hour { self.clock.map(|clock| clock.with_half_of(old.clock)) } else { old.clock },
            until: if names_hour { self.until } else { old.until },
            // "A week from Friday." "Nine thirty."
            length: if keeps_day && self.length.is_none() && old.length.is_some_and(|l| l.from_day != 0) {
                old.length
            // "An hour before you close." "Today?"
            } else if names_hour || !keeps_day && old.length.is_none_or(|l| l.from_reference == 0) {
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

impl Length {
    /// "In ten minutes?" "Make it twenty": a bare number counts the same unit.
    pub(crate) fn with_bare_count(self, slot: &Slot) -> Option<Self> {
        let clock = slot.clock.filter(|c| c.form == Form::Bare && c.minute == 0 && slot.is_loose())?;
        let n = clock.hour;
        let fits = match self.unit {
            Unit::Minutes => n >= 5 && n % 5 == 0,
            Unit::Hours => (1..5).contains(&n),
            _ => false,
        };
        let counts_from_now = self.is_wait && self.from_day == 0 && self.from_reference == 0;
        let n = f64::from(n);
        (fits && counts_from_now).then_some(Self { least: n, most: n, about: false, vague: false, ..self })
    }
}
