//! What a talk has come to so far.

use jiff::civil::Date;

use super::{Place, Settled};
use crate::{
    Doubt,
    part::{self, Clock, Day},
    slot::Slot,
};

/// A time that was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) slot: Slot,
    /// What "that" was when it was said.
    pub(super) that: Option<Slot>,
    pub(super) place: Place,
    /// One of several that were offered beside each other.
    pub(super) choice: bool,
    /// The agent asked whether it would do.
    pub(super) asked: bool,
}

#[derive(Default)]
pub(super) struct Talk {
    /// Somebody asked for a call, or took one for granted.
    pub(super) wanted: bool,
    /// The time the two sides are left with.
    pub(super) settled: Option<Said>,
    /// Both sides have said so: another time needs to be said of the call.
    pub(super) agreed: bool,
    /// What the agent has said last and the person may still turn down.
    pub(super) proposed: Vec<Said>,
    /// The person has just asked how late it is.
    pub(super) asked_now: bool,
    /// It asked, rather than told.
    pub(super) asked: bool,
    /// What was last offered to choose from.
    pub(super) offers: Vec<Said>,
    /// What the last times were about, for a word that completes them.
    pub(super) ground: Option<Slot>,
    /// The last exact time that was mentioned, whatever it is of.
    pub(super) that: Option<Slot>,
    /// It has a business of its own.
    pub(super) that_is_other: bool,
    /// The agent wants to know when.
    pub(super) when: bool,
    /// It asked about something else as well.
    pub(super) asked_else: bool,
    /// It has promised a call at a time.
    pub(super) promised: bool,
    /// What the person has just turned down.
    pub(super) refused: Vec<Said>,
    /// The person is changing something.
    pub(super) correcting: bool,
    /// The person has just accepted what it proposed.
    pub(super) accepted: bool,
    /// Its last words proposed a time.
    pub(super) offered: bool,
    /// The agent has offered a call.
    pub(super) offered_call: bool,
    /// The clock times of the person's last turn, and whether they could only be meant for the call.
    pub(super) said: Vec<(Clock, bool)>,
    /// The agent has just given a reason against something.
    pub(super) objects: bool,
    /// The person has just objected to something.
    pub(super) objected: bool,
    /// The agent has said one of them again, and asked nothing.
    pub(super) echoed: bool,
    /// What the agent had proposed before the person spoke.
    pub(super) heard: Vec<Said>,
    /// The last clock time that was spoken of, whatever it is of.
    pub(super) hour: Option<Clock>,
    /// The talk has turned to another business: a visit, an order, opening hours.
    pub(super) elsewhere: bool,
    /// It asked what to do if the call fails.
    pub(super) fallback: bool,
    /// The person will call, or wants no call.
    pub(super) declined: bool,
    /// Somebody else is to be called.
    pub(super) of_another: bool,
    /// Where somebody said to be.
    pub(super) zone: Option<part::Place>,
    pub(super) doubts: Vec<Doubt>,
    /// The day of the call, where the person is.
    today: Date,
}

impl Talk {
    pub(super) fn new(today: Date) -> Self {
        Self { today, ..Self::default() }
    }

    /// What it comes to.
    pub(super) fn end(mut self) -> Option<Settled> {
        if self.promised && !self.proposed.is_empty() {
            self.wanted = true;
        }
        if !self.asked && self.wanted && !self.declined {
            // The last word was the agent's, and told rather than asked.
            if let Some(last) = self.proposed.pop() {
                self.settled = Some(last);
                self.doubts = vec![Doubt::Unconfirmed];
            }
        }
        if self.declined || !self.wanted {
            return None;
        }
        let mut said = self.settled?;
        if matches!(said.slot.zone, None | Some(part::Place::Mine)) {
            said.slot.zone = self.zone.or(said.slot.zone);
        }
        Some(Settled { slot: said.slot, that: said.that, place: said.place, doubts: self.doubts })
    }

    /// Settles on a time.
    pub(super) fn take(&mut self, said: Said) {
        self.wanted = true;
        self.declined = false;
        self.agreed = false;
        self.doubts.clear();
        self.ground = Some(said.slot.clone());
        if said.slot.is_exact() && said.slot.length.is_none() {
            self.that = Some(said.slot.clone());
            self.that_is_other = false;
        }
        self.settled = Some(said);
    }

    /// The other side has said so too.
    pub(super) fn agree(&mut self) {
        self.agreed = self.settled.as_ref().is_some_and(|Said { slot, .. }| {
            slot.clock.is_some() || slot.of.is_some() || slot.length.is_some_and(|l| l.from_that == 0)
        });
    }

    /// Nothing is settled any more.
    pub(super) fn drop_all(&mut self) {
        self.settled = None;
        self.agreed = false;
        self.offered_call = false;
        self.proposed.clear();
        self.declined = true;
    }

    /// "May second or May ninth?": a date of a few months ago is no call's.
    pub(super) fn is_over(&self, slot: &Slot) -> bool {
        let Some(Day::Date(None, month, day)) = slot.day else { return false };
        Date::new(self.today.year(), month, day)
            .is_ok_and(|date| date < self.today && self.today.duration_since(date).as_hours() < 150 * 24)
    }

    /// Remembers a time that is of something else.
    pub(super) fn remember(&mut self, slot: &Slot) {
        let mut slot = slot.clone();
        // "Half past five we shut, Saturdays it's one."
        let known = self.that.as_ref().is_some_and(|that| that.clock.is_some()) && self.that_is_other;
        if known && !slot.is_exact() {
            return;
        }
        // "I'm flying tomorrow, my flight is at three thirty."
        if slot.day.is_none()
            && let Some(known) = self.that.as_ref().filter(|known| !known.is_exact() && self.that_is_other)
        {
            slot.day = self.ground.as_ref().and_then(|ground| ground.day).or(known.day);
        }
        self.that = Some(slot);
        self.that_is_other = true;
    }

    /// Whether the talk is about a call.
    pub(super) const fn is_about_a_call(&self) -> bool {
        self.wanted || self.offered_call
    }

    /// What is said, with the hour that "half past" is of; that of a clock time is the next one's.
    pub(super) fn with_hour(&mut self, slot: &Slot) -> Slot {
        if let Some(length) = self.ground.as_ref().and_then(|ground| ground.length?.counted(slot)) {
            return Slot { length: Some(length), ..Slot::default() };
        }
        let slot = slot.clone().of_hour(self.hour);
        self.hour = slot.clock.or(self.hour);
        slot
    }

    /// What "that" is, on the day the talk is about.
    pub(super) fn pointed_at(&self) -> Option<Slot> {
        let mut that = self.that.clone()?;
        if let Some(ground) = self.ground.as_ref().filter(|_| that.day.is_none()) {
            that.day = ground.day;
            if that.clock.is_some_and(|c| c.half.is_none() && ground.of.is_some_and(|of| of.may_hold(c))) {
                that.of = that.of.or(ground.of);
            }
        }
        Some(that)
    }

    /// Whether a time is one that was said of another business.
    pub(super) fn is_of_that(&self, slot: &Slot) -> bool {
        self.that_is_other
            && self
                .that
                .as_ref()
                .is_some_and(|that| slot.clock.zip(that.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// As [`Talk::is_of_that`], and not settled on since.
    pub(super) fn is_only_of_that(&self, slot: &Slot) -> bool {
        let settled = self.settled.as_ref().and_then(|said| said.slot.clock);
        self.is_of_that(slot) && settled.is_none_or(|s| slot.clock.is_none_or(|c| !s.agrees(c)))
    }

    /// A time in view of what was said before.
    pub(super) fn completed(&self, slot: Slot) -> Slot {
        let Some(ground) = &self.ground else { return slot };
        let mut slot = slot;
        // "Saturday at three", of a today that is one; or of the "tomorrow" of somebody who has not slept yet.
        if let (Some(Day::Weekday(weekday, part::Which::Coming)), Some(Day::In(0 | 1))) =
            (slot.day, ground.day)
            && self.today.weekday() == weekday
        {
            slot.day = Some(Day::In(0));
        }
        // "Saturday, same time": of the hour they had.
        if let Some(known) = self.settled.as_ref().map(|said| &said.slot).filter(|s| s.clock.is_some())
            && slot.same_time
        {
            slot = Slot { clock: known.clock, of: known.of, same_time: false, ..slot };
        }
        // One of several times that were named before.
        let named = self.offers.iter().find(|offer| {
            slot.day.is_none() && offer.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b))
        });
        slot.after(named.map_or(ground, |offer| &offer.slot))
    }
}
