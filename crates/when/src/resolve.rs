//! Resolves a slot to a moment.
//!
//! Invariants: `jiff` does all civil arithmetic; a wall time that a clock change skips moves forward, one that occurs
//! twice is the first, and minutes and hours are elapsed time. No moment is before the call's end.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _, Zoned,
    civil::{Date, Time},
    tz::TimeZone,
};

use crate::{
    Doubt,
    calendar::{self, Dates},
    hours::{Hours, Span},
    part::{Bound, Clock, Day, DayPart, Half, Length, Unit, ZoneRef},
    slot::Slot,
};

/// The context in which a slot is resolved.
pub(crate) struct View<'a> {
    /// The call's end, in the caller's zone.
    pub(crate) end: &'a Zoned,
    pub(crate) agent_zone: Option<&'a TimeZone>,
    pub(crate) hours: &'a Hours,
    /// The time that "that" and "then" refer to.
    pub(crate) referenced_time: Option<&'a Slot>,
    /// Whether the text is only a time; "tomorrow" is then the next date even in the small hours.
    pub(crate) literal: bool,
}

/// A moment and the acceptable range around it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
    pub(crate) zone: TimeZone,
    pub(crate) rule: &'static str,
    pub(crate) doubts: Vec<Doubt>,
}

/// Resolves a slot; `None` if it names no moment or one in the past.
pub(crate) fn moment(slot: &Slot, view: &View<'_>) -> Option<Moment> {
    let zone = match slot.zone {
        Some(ZoneRef::Named(name)) => TimeZone::get(name).ok()?,
        Some(ZoneRef::Agent) => view.agent_zone?.clone(),
        _ => view.end.time_zone().clone(),
    };
    let now = view.end.timestamp().to_zoned(zone);
    let mut resolver = Resolver { slot, view, now, doubts: Vec::new() };
    let resolved = resolver.resolve()?;
    let at = resolved.at.max(resolver.now.timestamp());
    // `latest` of an exact time is the end of its minute, so a time within the current minute is not yet past.
    if resolved.latest < resolver.now.timestamp() {
        return None;
    }
    Some(Moment {
        at,
        earliest: resolved.earliest.min(at),
        latest: resolved.latest.max(at),
        zone: resolver.now.time_zone().clone(),
        rule: resolved.rule,
        doubts: resolver.doubts,
    })
}

struct Resolved {
    at: Timestamp,
    earliest: Timestamp,
    latest: Timestamp,
    rule: &'static str,
}

struct Resolver<'a> {
    slot: &'a Slot,
    view: &'a View<'a>,
    /// The call's end, in the slot's zone.
    now: Zoned,
    doubts: Vec<Doubt>,
}

/// From the start of a minute to its last second.
const MINUTE: SignedDuration = SignedDuration::from_secs(59);

impl Resolver<'_> {
    fn resolve(&mut self) -> Option<Resolved> {
        if let Some(length) = self.slot.length {
            match length.unit {
                Unit::Seconds | Unit::Minutes | Unit::Hours => return self.resolve_elapsed(length),
                _ if length.from_reference != 0 => return self.resolve_elapsed(length),
                Unit::Days | Unit::Weeks | Unit::Months if self.slot.day.is_none() => {
                    return self.resolve_days(length);
                }
                _ => {}
            }
        }
        if self.slot.day_part == Some(DayPart::Soon) && self.slot.clock.is_none() {
            let at = |minutes| self.add_minutes(self.now.timestamp(), minutes);
            return Some(Resolved { at: at(30.0)?, earliest: at(10.0)?, latest: at(120.0)?, rule: "soon" });
        }
        let dates = match self.slot.day {
            Some(day) => Some(self.offset_from_day(calendar::dates(
                day,
                &self.now,
                self.referenced_date(),
                self.view.literal,
            )?)?),
            None => None,
        };
        if self.slot.same_time {
            return self.resolve_same_time(dates);
        }
        match self.slot.clock {
            Some(clock) => self.resolve_clock(clock, dates),
            None => self.resolve_day_part(dates),
        }
    }

    /// Moves a day by the length that is counted from it, if the slot has one.
    fn offset_from_day(&self, dates: Dates) -> Option<Dates> {
        let Some(length) = self.slot.length.filter(|l| l.from_day != 0) else { return Some(dates) };
        let n = length.least.round() as i64 * i64::from(length.from_day);
        let span = match length.unit {
            Unit::Weeks => n.weeks(),
            Unit::Months => n.months(),
            _ => n.days(),
        };
        Some(Dates::one(dates.nominal.checked_add(span).ok()?))
    }

    /// The date that "that" refers to.
    fn referenced_date(&self) -> Option<Date> {
        let that = self.view.referenced_time?;
        let view = View { referenced_time: None, ..*self.view };
        Some(moment(that, &view)?.at.to_zoned(self.now.time_zone().clone()).date())
    }

    fn wall_time(&self, date: Date, minutes: i32) -> Option<Timestamp> {
        let date = date.checked_add(i64::from(minutes.div_euclid(1440)).days()).ok()?;
        let minutes = minutes.rem_euclid(1440);
        let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).ok()?;
        Some(date.to_datetime(time).to_zoned(self.now.time_zone().clone()).ok()?.timestamp())
    }

    fn add_minutes(&self, from: Timestamp, minutes: f64) -> Option<Timestamp> {
        from.checked_add(SignedDuration::from_secs((minutes * 60.0) as i64)).ok()
    }

    /// A length as elapsed time, from the call's end or from the time that "that" refers to.
    fn resolve_elapsed(&mut self, length: Length) -> Option<Resolved> {
        let unit = match length.unit {
            Unit::Seconds => 1.0 / 60.0,
            Unit::Minutes => 1.0,
            Unit::Hours => 60.0,
            Unit::Days => 24.0 * 60.0,
            Unit::Weeks => 7.0 * 24.0 * 60.0,
            Unit::Months => 30.0 * 24.0 * 60.0,
        };
        let (least, most) = (length.least * unit, length.most * unit);
        let from = if length.from_reference == 0 {
            self.now.timestamp()
        } else {
            let view = View { referenced_time: None, ..*self.view };
            match self.view.referenced_time {
                Some(that) => moment(that, &view)?.at,
                // Without a conversation, "after that" can mean from now.
                None if self.view.literal => self.now.timestamp(),
                None => return None,
            }
        };
        let sign = if length.from_reference < 0 { -1.0 } else { 1.0 };
        let around = |a: f64, b: f64| Some((self.add_minutes(from, a)?, self.add_minutes(from, b)?));
        let (earliest, latest) = match (length.vague, length.about) {
            _ if length.from_reference != 0 => around(least * sign, least * sign)?,
            (true, _) => around(least * 0.75, least * 1.5)?,
            (_, true) => around(least - 3.0, most + 10.0)?,
            _ if most > least => around(least - 3.0, most + 3.0)?,
            _ if least > 60.0 => around(least - 3.0, least + 3.0)?,
            _ => around(least - 2.0, least + 2.0)?,
        };
        Some(Resolved { at: self.add_minutes(from, least * sign)?, earliest, latest, rule: "offset" })
    }

    /// Days, weeks and months from today, at the named hour or within the default hours.
    fn resolve_days(&mut self, length: Length) -> Option<Resolved> {
        if length.least.fract() != 0.0 {
            return self.resolve_elapsed(length);
        }
        let n = length.least.round() as i64;
        let today = self.now.date();
        let date = match length.unit {
            Unit::Days => today.checked_add(n.min(100_000).days()).ok()?,
            Unit::Weeks => today.checked_add(n.min(10_000).weeks()).ok()?,
            _ => today.checked_add(n.min(1_000).months()).ok()?,
        };
        let mut dates = Dates::one(date);
        // "A week from now" keeps the current hour if that is within the day's hours.
        let now = i32::from(self.now.hour()) * 60 + i32::from(self.now.minute());
        let fits = self.view.literal || (self.view.hours.day.from..self.view.hours.day.to).contains(&now);
        if length.from_now && fits && self.slot.clock.is_none() && self.slot.day_part.is_none() {
            let at = self.wall_time(date, now)?;
            let span = self.view.hours.day;
            return Some(Resolved {
                at,
                earliest: self.wall_time(date, span.from.min(now))?,
                latest: self.wall_time(date, span.to.max(now))?,
                rule: "day",
            });
        }
        if length.vague && length.least > 2.0 && length.unit == Unit::Days {
            dates = Dates {
                first: date.checked_add((-1).days()).ok()?,
                last: date.checked_add(2.days()).ok()?,
                ..dates
            };
        }
        match self.slot.clock {
            Some(clock) => self.resolve_clock(clock, Some(dates)),
            None => self.resolve_day_part(Some(dates)),
        }
    }

    /// "Same time": the hour mentioned last, or else the hour at which the call ended.
    fn resolve_same_time(&mut self, dates: Option<Dates>) -> Option<Resolved> {
        let date = dates.map_or_else(|| self.now.date().checked_add(1.day()).ok(), |d| Some(d.nominal))?;
        let minutes = match self.view.referenced_time.and_then(|that| that.clock) {
            Some(clock) => self.minutes_of(clock, self.view.referenced_time.and_then(|t| t.day_part), false),
            None => i32::from(self.now.hour()) * 60 + i32::from(self.now.minute()),
        };
        Some(Resolved {
            at: self.wall_time(date, minutes)?,
            earliest: self.wall_time(date, minutes - 10)?,
            latest: self.wall_time(date, minutes + 10)?,
            rule: "same_time",
        })
    }

    /// Resolves a day or a part of the day without a clock time.
    fn resolve_day_part(&mut self, dates: Option<Dates>) -> Option<Resolved> {
        let part = self.slot.day_part;
        let mut span = part.map_or(self.view.hours.day, |part| self.view.hours.span(part));
        let now = i32::from(self.now.hour()) * 60 + i32::from(self.now.minute());
        let today = self.now.date();
        if part == Some(DayPart::LaterToday) {
            let from = now + 60;
            span = Span { from, to: span.to.max(from), nominal: (now + 120).min(span.to.max(from)) };
        }
        let is_today = dates.is_none_or(|d| d.nominal == today);
        let rule = if part.is_some() { "part_of_day" } else { "day" };
        let (mut date, mut last) = dates.map_or((today, today), |d| (d.nominal, d.last));
        if is_today && span.to <= now {
            if dates.is_some_and(|d| d.last == today) {
                // "This morning" in the afternoon is past; "today" after the day's hours means as soon as possible.
                let over =
                    part.is_some_and(|p| !matches!(p, DayPart::Night | DayPart::Evening | DayPart::EndOfDay));
                if over {
                    return None;
                }
                return Some(Resolved {
                    at: self.add_minutes(self.now.timestamp(), 30.0)?,
                    earliest: self.now.timestamp(),
                    latest: self.wall_time(today, 1439)?,
                    rule,
                });
            }
            date = today.checked_add(1.day()).ok()?;
            last = last.max(date);
        } else if is_today && span.nominal <= now {
            // The middle of the remaining span.
            let nominal = now + ((span.to - now) / 2).max(1);
            span = Span { from: now, nominal, ..span };
        }
        if self.slot.bound == Bound::After && part.is_none() {
            // "After Tuesday" begins on Wednesday.
            date = last.checked_add(1.day()).ok()?;
            last = date;
        }
        if self.slot.bound == Bound::Before && part.is_none() && dates.is_some() {
            return self.resolve_before_day(date, rule);
        }
        self.add_doubt_if(part.is_none(), Doubt::NoHour);
        let first = dates.map_or(date, |d| d.first).max(today).min(date);
        Some(Resolved {
            at: self.wall_time(date, span.nominal)?,
            earliest: self.wall_time(first, span.from)?,
            latest: self.wall_time(last, span.to)?,
            rule,
        })
    }

    /// "Before" a day: on the previous day, or in 30 minutes if that is past.
    fn resolve_before_day(&mut self, date: Date, rule: &'static str) -> Option<Resolved> {
        let hours = self.view.hours.day;
        let yesterday = date.checked_add((-1).days()).ok()?;
        let now = self.now.timestamp();
        let at = self.wall_time(yesterday, hours.nominal)?;
        let latest = self.wall_time(yesterday, hours.to)?;
        let at = if at > now { at } else { self.add_minutes(now, 30.0)? };
        Some(Resolved { at, earliest: now, latest: latest.max(at), rule })
    }

    /// Resolves a clock time with its bound.
    fn resolve_clock(&mut self, clock: Clock, dates: Option<Dates>) -> Option<Resolved> {
        let today = self.now.date();
        let (date, minutes) = self.date_and_minutes(clock, dates)?;
        let at = self.wall_time(date, minutes)?;
        let rule = if dates.is_some() { "day_time" } else { "clock" };
        let resolved = |at, earliest, latest| Some(Resolved { at, earliest, latest, rule });
        let bound = if clock.about && self.slot.bound == Bound::At { Bound::About } else { self.slot.bound };
        match bound {
            Bound::About => {
                resolved(at, self.wall_time(date, minutes - 15)?, self.wall_time(date, minutes + 30)?)
            }
            Bound::After | Bound::NotBefore => resolved(at, at, self.wall_time(date, minutes + 120)?),
            Bound::From => resolved(at, at, self.wall_time(date, (minutes + 240).min(21 * 60).max(minutes))?),
            Bound::Before | Bound::NotAfter | Bound::Until => {
                let now = self.now.timestamp();
                let (at, earliest) =
                    if date == today || at <= self.wall_time(today, 31 * 60)? && date <= today {
                        let left = at.duration_since(now).as_secs().max(0);
                        (now.checked_add(SignedDuration::from_secs((left / 2).min(3600))).ok()?, now)
                    } else {
                        let first = 7 * 60;
                        let nominal = (minutes - 60).clamp(first.min(minutes), 9 * 60);
                        let nominal = if minutes > 13 * 60 { (minutes - 60).max(first) } else { nominal };
                        (self.wall_time(date, nominal)?, self.wall_time(date, first.min(minutes))?)
                    };
                resolved(at, earliest, self.wall_time(date, minutes)?)
            }
            Bound::Between => {
                let until = self.slot.until.map_or(minutes + 60, |until| self.range_end(until, minutes));
                resolved(at, at, self.wall_time(date, until)?)
            }
            Bound::At => resolved(at, at, at.checked_add(MINUTE).ok()?),
        }
    }

    /// The end of a range, in minutes since midnight of the day on which it starts.
    fn range_end(&mut self, until: Clock, start: i32) -> i32 {
        let mut end = self.minutes_of(until, self.slot.day_part, false);
        while end <= start {
            end += if until.half.is_none() { 720 } else { 1440 };
        }
        end
    }

    /// The date of a clock time, and its minutes since midnight.
    fn date_and_minutes(&mut self, clock: Clock, dates: Option<Dates>) -> Option<(Date, i32)> {
        let today = self.now.date();
        let now = i32::from(self.now.hour()) * 60 + i32::from(self.now.minute());
        let tonight =
            self.slot.day_part == Some(DayPart::SmallHours) && self.slot.day == Some(Day::FromToday(0));
        let dates = if tonight { None } else { dates };
        let is_today = dates.is_none_or(|d| d.nominal == today);
        let clock = self.with_half_of_range_end(clock);
        let mut minutes = self.minutes_of(clock, self.slot.day_part, is_today);
        let midnight = minutes < 60 && !matches!(clock.half, None | Some(Half::Am))
            || (minutes == 0 && clock.half == Some(Half::Am));
        match dates {
            Some(d) => {
                // "Midnight" is the end of the named day, but the start of a date.
                let begins = matches!(self.slot.day, Some(Day::Date(..)));
                if midnight && !begins {
                    minutes += 1440;
                }
                if d.nominal == today
                    && minutes <= now
                    && clock.half.is_none()
                    && minutes + 720 < 1440
                    && self.slot.day_part.is_none()
                {
                    minutes += 720;
                }
                Some((d.nominal, minutes))
            }
            None if minutes <= now => {
                // The other half of the day, if the words leave it open and it is still ahead.
                let other = minutes + 720;
                if clock.half.is_none() && self.slot.day_part.is_none() && other > now && other < 1440 {
                    return Some((today, other));
                }
                // A lower bound that passed less than an hour ago means now.
                if matches!(self.slot.bound, Bound::After | Bound::From | Bound::NotBefore)
                    && now - minutes < 60
                {
                    return Some((today, now));
                }
                Some((today.checked_add(1.day()).ok()?, minutes))
            }
            None => Some((today, minutes)),
        }
    }

    /// "Eight to eleven pm" begins in the evening, "eleven to one pm" in the morning.
    fn with_half_of_range_end(&self, clock: Clock) -> Clock {
        let Some(until) = self.slot.until.filter(|_| clock.half.is_none() && self.slot.day_part.is_none())
        else {
            return clock;
        };
        match until.half {
            Some(half @ (Half::Am | Half::Pm)) => {
                let wraps = clock.hour % 12 > until.hour % 12;
                let half = match (half, wraps) {
                    (Half::Pm, true) => Half::Am,
                    (Half::Am, true) => Half::Pm,
                    (half, _) => half,
                };
                Clock { half: Some(half), ..clock }
            }
            _ => clock,
        }
    }

    /// Minutes since midnight. Chooses the half of the day, with a doubt, if the words leave it open.
    fn minutes_of(&mut self, clock: Clock, part: Option<DayPart>, is_today: bool) -> i32 {
        let (hour, minute) = (i32::from(clock.hour), i32::from(clock.minute));
        let now = i32::from(self.now.hour()) * 60 + i32::from(self.now.minute());
        let twelve = hour % 12;
        let hour = match (clock.half, part.map(side)) {
            (Some(Half::Full), _) => hour,
            (Some(_), _) if hour > 12 => hour,
            (Some(Half::Am), _) | (None, Some(Side::Morning)) => twelve,
            (None, Some(Side::Noon)) if hour >= 8 => hour,
            // Twelve at night is midnight.
            (None, Some(Side::Evening)) if hour == 12 => 0,
            (Some(Half::Pm), _) | (None, Some(Side::Noon | Side::Afternoon | Side::Evening)) => twelve + 12,
            (None, None) => {
                self.add_doubt_if(true, Doubt::HalfOfDay);
                match hour {
                    1..=6 => hour + 12,
                    7..=11 if is_today && hour * 60 + minute <= now => hour + 12,
                    _ => hour,
                }
            }
        };
        hour * 60 + minute
    }

    fn add_doubt_if(&mut self, condition: bool, doubt: Doubt) {
        if condition && !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

enum Side {
    Morning,
    Noon,
    Afternoon,
    Evening,
}

/// The side of the day that a part belongs to.
const fn side(part: DayPart) -> Side {
    match part {
        DayPart::FirstThing
        | DayPart::EarlyMorning
        | DayPart::Morning
        | DayPart::MidMorning
        | DayPart::LateMorning
        | DayPart::Am
        | DayPart::SmallHours => Side::Morning,
        DayPart::BeforeLunch | DayPart::Lunch | DayPart::SpanishMidday | DayPart::AfterLunch => Side::Noon,
        DayPart::EarlyAfternoon
        | DayPart::Afternoon
        | DayPart::MidAfternoon
        | DayPart::LateAfternoon
        | DayPart::EndOfDay
        | DayPart::Pm
        | DayPart::AfterMeal
        | DayPart::LateTarde
        | DayPart::Tarde
        | DayPart::LaterToday
        | DayPart::Soon => Side::Afternoon,
        DayPart::EarlyEvening
        | DayPart::Evening
        | DayPart::LateEvening
        | DayPart::AfterDinner
        | DayPart::Night => Side::Evening,
    }
}
