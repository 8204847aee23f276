//! The state of a conversation after the turns read so far.

use jiff::civil::Date;

use super::{Settled, TextRange};
use crate::{
    Doubt,
    part::{self, Clock, Day},
    slot::Slot,
};

/// A time that one side named.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedTime {
    pub(super) slot: Slot,
    /// The time that "that" referred to at that point.
    pub(super) referenced_time: Option<Slot>,
    pub(super) range: TextRange,
    /// Whether it is one of several alternatives.
    pub(super) is_alternative: bool,
    /// Whether the agent named it in a question.
    pub(super) in_question: bool,
}

/// The state of a conversation.
#[derive(Default)]
pub(super) struct Talk {
    /// A call was requested or taken for granted.
    pub(super) wanted: bool,
    /// The time settled on so far.
    pub(super) settled: Option<NamedTime>,
    /// Both sides confirmed `settled`; another time counts only if it clearly refers to the call.
    pub(super) agreed: bool,
    /// The times in the agent's last proposal, which the person may still reject.
    pub(super) proposed: Vec<NamedTime>,
    /// The person just asked for the current time.
    pub(super) wants_current_time: bool,
    /// The agent's last proposal was a question or a choice, not a statement.
    pub(super) needs_answer: bool,
    /// The last alternatives that were offered.
    pub(super) last_alternatives: Vec<NamedTime>,
    /// The last time that was meant for the call; partial times are completed from it.
    pub(super) last_call_time: Option<Slot>,
    /// The last time mentioned for any purpose; "that" and "then" refer to it.
    pub(super) referenced_time: Option<Slot>,
    /// `referenced_time` is the time of something other than the call.
    pub(super) reference_is_other: bool,
    /// The agent expects the person to name a time.
    pub(super) awaits_time: bool,
    /// The agent asked a question that proposed no time.
    pub(super) other_question: bool,
    /// The agent promised a call at a time.
    pub(super) promised: bool,
    /// The proposals that the person just rejected.
    pub(super) refused: Vec<NamedTime>,
    /// The current turn corrects an earlier time.
    pub(super) correcting: bool,
    /// The person just accepted the agent's proposal.
    pub(super) accepted: bool,
    /// The agent's last turn proposed a time as a question.
    pub(super) proposal_was_question: bool,
    /// The agent has offered a call.
    pub(super) offered_call: bool,
    /// The clock times of the person's last turn, and whether each is explicit and not about something else.
    pub(super) clocks_named: Vec<(Clock, bool)>,
    /// The agent's last turn contains an objection.
    pub(super) agent_objected: bool,
    /// The person's last turn contains an objection.
    pub(super) person_objected: bool,
    /// The agent repeated one of `clocks_named` without asking.
    pub(super) echoed: bool,
    /// The agent's proposals before the person's current turn.
    pub(super) earlier_proposals: Vec<NamedTime>,
    /// The last clock time mentioned, for any purpose.
    pub(super) last_clock: Option<Clock>,
    /// The conversation has moved to another subject: a visit, an order, opening hours.
    pub(super) is_off_topic: bool,
    /// The next time named is for the case that the call fails.
    pub(super) fallback: bool,
    /// The person will call or wants no call.
    pub(super) declined: bool,
    /// Another person is to be called.
    pub(super) is_for_other_person: bool,
    /// A zone that was named without a clock time; the default zone of the settled time.
    pub(super) zone: Option<part::ZoneRef>,
    pub(super) doubts: Vec<Doubt>,
    /// The date of the call in the person's zone.
    today: Date,
}

impl Talk {
    pub(super) fn new(today: Date) -> Self {
        Self { today, ..Self::default() }
    }

    /// The outcome of the conversation.
    pub(super) fn outcome(mut self) -> Option<Settled> {
        if self.promised && !self.proposed.is_empty() {
            self.wanted = true;
        }
        if !self.needs_answer && self.wanted && !self.declined {
            // The agent's last turn stated a time and the person did not answer.
            if let Some(last) = self.proposed.pop() {
                self.settled = Some(last);
                self.doubts = vec![Doubt::Unconfirmed];
            }
        }
        if self.declined || !self.wanted {
            return None;
        }
        let mut time = self.settled?;
        if matches!(time.slot.zone, None | Some(part::ZoneRef::Caller)) {
            time.slot.zone = self.zone.or(time.slot.zone);
        }
        Some(Settled {
            slot: time.slot,
            referenced_time: time.referenced_time,
            range: time.range,
            doubts: self.doubts,
        })
    }

    /// Settles on a time.
    pub(super) fn settle_on(&mut self, time: NamedTime) {
        self.wanted = true;
        self.declined = false;
        self.agreed = false;
        self.doubts.clear();
        self.last_call_time = Some(time.slot.clone());
        if time.slot.is_exact() && time.slot.length.is_none() {
            self.referenced_time = Some(time.slot.clone());
            self.reference_is_other = false;
        }
        self.settled = Some(time);
    }

    /// Marks the settled time as confirmed by both sides, if it names more than a day.
    pub(super) fn agree(&mut self) {
        self.agreed = self.settled.as_ref().is_some_and(|NamedTime { slot, .. }| {
            slot.clock.is_some()
                || slot.day_part.is_some()
                || slot.length.is_some_and(|l| l.from_reference == 0)
        });
    }

    /// Drops the settled and proposed times and marks the call as declined.
    pub(super) fn drop_all(&mut self) {
        self.settled = None;
        self.agreed = false;
        self.offered_call = false;
        self.proposed.clear();
        self.declined = true;
    }

    /// Whether the date passed within the last 150 days, so it cannot be for the call: "May second or May ninth?".
    pub(super) fn is_past_date(&self, slot: &Slot) -> bool {
        let Some(Day::Date(None, month, day)) = slot.day else { return false };
        Date::new(self.today.year(), month, day)
            .is_ok_and(|date| date < self.today && self.today.duration_since(date).as_hours() < 150 * 24)
    }

    /// Stores the time of something other than the call, for "that" and "then".
    pub(super) fn set_other_time(&mut self, slot: &Slot) {
        let mut slot = slot.clone();
        // "Half past five we shut, Saturdays it's one."
        let knows_clock = self.reference_is_other
            && self.referenced_time.as_ref().is_some_and(|reference| reference.clock.is_some());
        if knows_clock && !slot.is_exact() {
            return;
        }
        // "I'm flying tomorrow, my flight is at three thirty."
        if slot.day.is_none()
            && let Some(known) =
                self.referenced_time.as_ref().filter(|known| !known.is_exact() && self.reference_is_other)
        {
            slot.day = self.last_call_time.as_ref().and_then(|call_time| call_time.day).or(known.day);
        }
        self.referenced_time = Some(slot);
        self.reference_is_other = true;
    }

    /// Whether the conversation is about a call.
    pub(super) const fn is_about_a_call(&self) -> bool {
        self.wanted || self.offered_call
    }

    /// Completes a bare number or "half past" from the times before, and stores the hour for the next "half past".
    pub(super) fn with_hour(&mut self, slot: &Slot) -> Slot {
        if let Some(length) =
            self.last_call_time.as_ref().and_then(|call_time| call_time.length?.with_bare_count(slot))
        {
            return Slot { length: Some(length), ..Slot::default() };
        }
        let slot = slot.clone().with_hour_of(self.last_clock);
        self.last_clock = slot.clock.or(self.last_clock);
        slot
    }

    /// The time that "that" refers to, on the day of the last call time.
    pub(super) fn resolve_reference(&self) -> Option<Slot> {
        let mut reference = self.referenced_time.clone()?;
        if let Some(call_time) = self.last_call_time.as_ref().filter(|_| reference.day.is_none()) {
            reference.day = call_time.day;
            if reference.clock.is_some_and(|c| {
                c.half.is_none() && call_time.day_part.is_some_and(|part| part.may_contain(c))
            }) {
                reference.day_part = reference.day_part.or(call_time.day_part);
            }
        }
        Some(reference)
    }

    /// Whether a clock time is the one mentioned for something other than the call.
    pub(super) fn is_other_time(&self, slot: &Slot) -> bool {
        self.reference_is_other
            && self
                .referenced_time
                .as_ref()
                .is_some_and(|reference| slot.clock.zip(reference.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// Like [`Talk::is_other_time`], but `false` for the settled clock time.
    pub(super) fn is_unsettled_other_time(&self, slot: &Slot) -> bool {
        let settled = self.settled.as_ref().and_then(|time| time.slot.clock);
        self.is_other_time(slot) && settled.is_none_or(|s| slot.clock.is_none_or(|c| !s.agrees(c)))
    }

    /// Completes a partial time from the times mentioned before.
    pub(super) fn completed(&self, slot: Slot) -> Slot {
        let Some(call_time) = &self.last_call_time else { return slot };
        let mut slot = slot;
        // "Saturday at three" after "today" on a Saturday, or after "tomorrow" in the small hours of one, is today.
        if let (Some(Day::Weekday(weekday, part::Which::Coming)), Some(Day::FromToday(0 | 1))) =
            (slot.day, call_time.day)
            && self.today.weekday() == weekday
        {
            slot.day = Some(Day::FromToday(0));
        }
        // "Saturday, same time" keeps the settled hour.
        if let Some(known) = self.settled.as_ref().map(|time| &time.slot).filter(|s| s.clock.is_some())
            && slot.same_time
        {
            slot = Slot { clock: known.clock, day_part: known.day_part, same_time: false, ..slot };
        }
        // A clock time among the last offers is completed from that offer.
        let named = self.last_alternatives.iter().find(|offer| {
            slot.day.is_none() && offer.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b))
        });
        slot.completed_from(named.map_or(call_time, |offer| &offer.slot))
    }
}
