//! Decides whether a time that the person names is meant for the call.
//!
//! Invariant: an agreed time is replaced only by a time that refers to the call: one that was asked for, a proposal, a
//! correction, or a replacement after an objection.

use super::{
    judge::{Sense, sense},
    sentences::{Heard, Sentence},
    talk::{NamedTime, Talk},
};
use crate::{
    Role,
    cue::Cue,
    part::{self, Bound, Day},
    sentence::Item,
    slot::Slot,
};

impl Talk {
    /// Handles one time of a sentence; returns whether it is meant for the call.
    pub(super) fn slot(
        &mut self,
        heard: &Heard<'_>,
        sentence: &Sentence<'_>,
        at: usize,
        slot: &Slot,
    ) -> bool {
        // "We're in France from Saturday": the zone does not apply yet.
        let from_then_on = slot.bound == Bound::From && slot.day.is_some();
        if !slot.is_exact() && !from_then_on && matches!(slot.zone, Some(part::Place::Named(_))) {
            self.zone = slot.zone;
        }
        let slot = &Slot { zone: slot.zone.filter(|_| !from_then_on), ..slot.clone() };
        // "Push it half an hour" was handled by [`Talk::answer`].
        if slot.length.is_some() && sentence.has(Cue::Later) {
            return false;
        }
        let leads = at == 0 && sentence.items[at].first < heard.begins() + 2;
        let slot = &waited_for(slot, &sentence.items[..at]);
        let what = self.meaning(slot, sentence, at, leads);
        if what != Sense::Call && self.is_over(slot) {
            return false;
        }
        let business = [Cue::Hours, Cue::Visit, Cue::Past, Cue::CallOther, Cue::Send];
        if let Some(clock) = slot.clock.filter(|_| slot.bound != Bound::Until && what != Sense::Refused)
            && !sentence.has_any(&business)
        {
            self.clocks_named.push((clock, what != Sense::Other && !slot.is_loose()));
        }
        let requests_call =
            sentence.items[..at].iter().any(|i| matches!(i.cue(), Some(Cue::CallMe | Cue::Propose)));
        let elsewhere = only_a_week(slot) && !self.when && !requests_call;
        let explicit = sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk])
            || self.when
            || self.offered
            || (sentence.has(Cue::Correct) || sentence.is_question && sentence.has(Cue::Propose))
                && self.settled.is_some()
            || slot.length.is_some_and(|l| l.from_that != 0);
        let usable = match what {
            _ if self.declined && !explicit => false,
            _ if self.agreed && !self.reopens(sentence) && !self.completes(slot, sentence) => false,
            Sense::Call => !elsewhere && (explicit || !self.elsewhere),
            Sense::Open => !elsewhere && self.takes_open(slot, sentence, leads),
            _ => false,
        };
        if usable {
            let slot = self.moved(slot, &sentence.items[..at]);
            let slot = self.completed(pointed(turned(slot, sentence), sentence.items, at));
            self.take(NamedTime {
                slot,
                that: self.pointed_at(),
                place: heard.place(&sentence.items[at]),
                choice: false,
                in_question: false,
            });
        } else if what == Sense::Refused {
            self.refuse(slot);
        } else if what != Sense::Nothing && (slot.is_exact() || slot.day.is_some()) {
            self.remember(slot);
        }
        usable
    }

    /// Keeps the proposed hour if only the day is corrected: "Six forty tonight?" "Make it tomorrow night".
    fn moved(&self, slot: &Slot, before: &[Item]) -> Slot {
        let proposal =
            self.earlier_proposals.last().map(|time| &time.slot).filter(|proposal| proposal.clock.is_some());
        let other_day = slot.day.is_some() && !slot.is_exact();
        match proposal {
            Some(proposal)
                if other_day
                    && slot.of == proposal.of
                    && before.last().and_then(Item::cue) == Some(Cue::Correct) =>
            {
                Slot { day: slot.day, ..proposal.clone() }
            }
            _ => slot.clone(),
        }
    }

    /// Classifies what a time refers to, using the conversation so far.
    fn meaning(&self, slot: &Slot, sentence: &Sentence<'_>, at: usize, leads: bool) -> Sense {
        match sense(sentence.items, at, Role::User) {
            // "When?" "Quarter to twelve, I'll be in the cab."
            Sense::Other if leads && self.when && slot.bound != Bound::Until => Sense::Open,
            // "Sorry, the Saturday one" does not request a call.
            Sense::Call
                if !self.is_about_a_call()
                    && !self.when
                    && !sentence.has_any(&[
                        Cue::CallMe,
                        Cue::Callback,
                        Cue::Talk,
                        Cue::Works,
                        Cue::Propose,
                    ]) =>
            {
                Sense::Open
            }
            // "Call me when my shift ends, that's at six."
            Sense::Other if waits_for(&sentence.items[..at]) => Sense::Call,
            // "Five forty, I'm driving till five thirty": the drive has its own time.
            Sense::Other
                if leads
                    && self.is_about_a_call()
                    && !self.was_proposed(slot)
                    && has_its_own(&sentence.items[at + 1..]) =>
            {
                Sense::Open
            }
            // "Ten's the middle of my commute."
            Sense::Open if self.was_offered(slot) || self.was_proposed(slot) => {
                match cue_after(&sentence.items[at + 1..]) {
                    Some(Cue::Event | Cue::Refuse | Cue::Have | Cue::Visit) => Sense::Other,
                    Some(Cue::Yes | Cue::Works) if sentence.spare < 4 => Sense::Call,
                    None if sentence.spare < 2 && !self.is_settled(slot) => Sense::Call,
                    _ => Sense::Open,
                }
            }
            what => what,
        }
    }

    /// Whether a sentence may change the agreed time.
    pub(super) fn reopens(&self, sentence: &Sentence<'_>) -> bool {
        self.when
            || self.offered
            || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Propose, Cue::Later])
            || sentence.slots().any(|slot| slot.same_time)
    }

    /// Whether it only adds a missing day, part of the day or hour to the settled time.
    fn completes(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        self.settled.as_ref().is_some_and(|known| {
            let known = &known.slot;
            let day = !slot.is_exact() && slot.day.is_some() && known.day.is_none();
            let half = !slot.is_exact() && slot.day.is_none() && slot.of.is_some() && known.of.is_none();
            let hour = slot.clock.is_some()
                && !known.is_exact()
                && !self.other_question
                && slot.day.is_none_or(|day| known.day == Some(day));
            (day || half || hour) && sentence.spare < 2
        })
    }

    /// Whether a sentence names the settled hour with more than a yes: "seven thirty I'm at my mother's".
    pub(super) fn doubts_the_hour(&self, heard: &Heard<'_>) -> bool {
        heard.sentences().iter().any(|s| s.spare > 3 && s.slots().any(|slot| self.is_settled(slot)))
    }

    /// Whether a time without a cue belongs to another subject or was rejected before.
    fn is_another_matter(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        // "Wednesday's fine."
        let praised = self.ground.is_some()
            && sentence.items.iter().skip_while(|i| i.slot() != Some(slot)).nth(1).and_then(Item::cue)
                == Some(Cue::Yes);
        let answers = self.when || self.offered;
        let known = self.elsewhere || self.is_of_that(slot) && !sentence.has_any(&[Cue::Yes, Cue::Works]);
        if known && !answers && !praised {
            return true;
        }
        // A question by the person is about something else, unless it is only the time.
        if sentence.is_question
            && sentence.extra > 0
            && !self.is_about_a_call()
            && !answers
            && !sentence.has(Cue::Propose)
        {
            return true;
        }
        // "Yes, one second."
        let settled = self.settled.as_ref().is_some_and(|time| time.slot.is_exact());
        let beside = slot.is_loose()
            || settled && slot.day.is_none() && !self.is_settled(slot)
            || settled && !slot.is_exact() && !self.completes(slot, sentence);
        if self.accepted && beside && !sentence.has(Cue::Correct) {
            return true;
        }
        // "Tomorrow is a holiday, no."
        self.refused.iter().any(|time| {
            slot.day.is_none_or(|day| time.slot.day == Some(day))
                && slot.clock.is_none_or(|clock| {
                    time.slot.clock.is_some_and(|c| c.hour == clock.hour && c.minute == clock.minute)
                })
                && slot.length.is_none_or(|l| time.slot.length.is_some_and(|k| k.least == l.least))
        })
    }

    /// Whether a time without a cue is meant for the call.
    fn takes_open(&self, slot: &Slot, sentence: &Sentence<'_>, leads: bool) -> bool {
        if self.is_another_matter(slot, sentence) {
            return false;
        }
        let few = sentence.slots().count() <= 2;
        let settled = self.settled.as_ref().is_some_and(|time| time.slot.is_exact());
        let corrects = self.correcting
            || sentence.has_any(&[
                Cue::Correct,
                Cue::Propose,
                Cue::Works,
                Cue::CallMe,
                Cue::Callback,
                Cue::Talk,
            ]);
        // "We don't open till nine." "Half nine then."
        let instead = self.objects && !self.agreed && leads && sentence.spare == 0;
        // "Friday's fine."
        let praised = slot.day.is_some()
            && sentence.items.iter().skip_while(|i| i.slot() != Some(slot)).nth(1).and_then(Item::cue)
                == Some(Cue::Yes);
        let expected = self.when || self.offered || corrects || instead || praised && !self.agreed;
        let about = expected || !settled && (self.is_about_a_call() || self.ground.is_some());
        // "I'm ninety-four in August."
        if slot.day.is_some_and(Day::is_a_month) && !slot.is_exact() && !expected {
            return false;
        }
        let only_a_part = slot.day.is_none() && !slot.is_exact();
        if slot.is_loose() || only_a_part {
            return few && about && sentence.spare < if expected { 4 } else { 2 };
        }
        // A day alone does not replace a settled hour.
        if settled && !slot.is_exact() && !expected && !self.completes(slot, sentence) {
            return false;
        }
        // The less a time is expected, the fewer unexplained words its sentence may have.
        let most = if self.when && leads {
            usize::MAX
        } else if expected {
            6
        } else if self.settled.is_some() {
            2
        } else if about {
            4
        } else {
            2
        };
        few && sentence.spare < most && (!only_a_week(slot) || self.when)
    }

    /// Whether the hour is among the last alternatives.
    fn was_offered(&self, slot: &Slot) -> bool {
        self.offers.iter().any(|time| time.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// Whether the agent just proposed the hour.
    fn was_proposed(&self, slot: &Slot) -> bool {
        self.earlier_proposals
            .iter()
            .any(|time| time.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// Whether it has the settled clock time.
    pub(super) fn is_settled(&self, slot: &Slot) -> bool {
        let known = self.settled.as_ref().and_then(|time| time.slot.clock);
        slot.clock.zip(known).is_some_and(|(a, b)| a.agrees(b))
    }
}

/// "Call me when my shift ends at six" means after six.
fn waited_for(slot: &Slot, before: &[Item]) -> Slot {
    let bound = if slot.bound == Bound::At && waits_for(before) { Bound::After } else { slot.bound };
    Slot { bound, ..slot.clone() }
}

/// Whether a call is requested for the end of an event: "have her call when my shift ends".
fn waits_for(before: &[Item]) -> bool {
    let mut back = before.iter().rev().filter_map(Item::cue);
    let mut events = 0;
    let cue = loop {
        match back.next() {
            Some(Cue::Event) => events += 1,
            cue => break cue,
        }
    };
    events > 0
        && cue == Some(Cue::AsksWhen)
        && back.next().is_some_and(|cue| matches!(cue, Cue::CallMe | Cue::Callback))
}

/// The cue after a time that refers to it; a "no" is skipped.
fn cue_after(rest: &[Item]) -> Option<Cue> {
    let cues = || rest.iter().take_while(|i| i.slot().is_none()).filter_map(Item::cue);
    // "Half one, on my lunch, yeah."
    cues()
        .find(|cue| matches!(cue, Cue::Yes | Cue::Works))
        .or_else(|| cues().find(|cue| !matches!(cue, Cue::No | Cue::Not | Cue::AtThat)))
}

/// Whether the event after a time has a time of its own.
fn has_its_own(rest: &[Item]) -> bool {
    let mut rest = rest.iter().skip_while(|i| i.cue() == Some(Cue::Event)).peekable();
    rest.peek().is_some_and(|i| i.slot().is_some())
}

/// Counts a length from "that" if the next cue is "after that" or "before that": "half an hour after that".
fn pointed(mut slot: Slot, items: &[Item], at: usize) -> Slot {
    if let Some(length) = &mut slot.length
        && length.from_that == 0
        && !length.led
    {
        length.from_that = match items.get(at + 1).and_then(Item::cue) {
            Some(Cue::AfterThat) => 1,
            Some(Cue::BeforeThat) => -1,
            _ => 0,
        };
    }
    slot
}

/// Inverts the bound of a refused call: "don't call before ten" means after ten.
fn turned(mut slot: Slot, sentence: &Sentence<'_>) -> Slot {
    if sentence.has(Cue::NoCall) {
        slot.bound = match slot.bound {
            Bound::Before | Bound::Until => Bound::NotBefore,
            Bound::After | Bound::From => Bound::NotAfter,
            bound => bound,
        };
    }
    slot
}

/// "This week" mostly describes the person's plans, not when to call.
fn only_a_week(slot: &Slot) -> bool {
    matches!(slot.day, Some(Day::Week(_, 0))) && !slot.is_exact() && slot.of.is_none()
}
