//! Decides whether a time that the person names is meant for the call.
//!
//! Invariant: an agreed time is replaced only by a time that refers to the call: one that was asked for, a proposal, a
//! correction, or a replacement after an objection.

use super::{
    judge::{Referent, classify},
    sentences::{ParsedTurn, Sentence},
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
    pub(super) fn handle_person_time(
        &mut self,
        parsed: &ParsedTurn<'_>,
        sentence: &Sentence<'_>,
        at: usize,
        slot: &Slot,
    ) -> bool {
        // "We're in France from Saturday": the zone does not apply yet.
        let from_then_on = slot.bound == Bound::From && slot.day.is_some();
        if !slot.is_exact() && !from_then_on && matches!(slot.zone, Some(part::ZoneRef::Named(_))) {
            self.zone = slot.zone;
        }
        let slot = &Slot { zone: slot.zone.filter(|_| !from_then_on), ..slot.clone() };
        // "Push it half an hour" was handled by [`Talk::apply_answer`].
        if slot.length.is_some() && sentence.has(Cue::Later) {
            return false;
        }
        let opens_turn = at == 0 && sentence.items[at].first < parsed.first_content_token() + 2;
        let slot = &bound_after_event(slot, &sentence.items[..at]);
        let referent = self.classify_in_context(slot, sentence, at, opens_turn);
        if referent != Referent::Call && self.is_past_date(slot) {
            return false;
        }
        let business = [Cue::Hours, Cue::Visit, Cue::Past, Cue::CallOther, Cue::Send];
        if let Some(clock) =
            slot.clock.filter(|_| slot.bound != Bound::Until && referent != Referent::Refused)
            && !sentence.has_any(&business)
        {
            self.clocks_named.push((clock, referent != Referent::Other && !slot.is_loose()));
        }
        let requests_call =
            sentence.items[..at].iter().any(|i| matches!(i.cue(), Some(Cue::CallMe | Cue::Propose)));
        let is_only_plan = is_only_a_week(slot) && !self.awaits_time && !requests_call;
        let explicit = sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk])
            || self.awaits_time
            || self.proposal_was_question
            || (sentence.has(Cue::Correct) || sentence.is_question && sentence.has(Cue::Propose))
                && self.settled.is_some()
            || slot.length.is_some_and(|l| l.from_reference != 0);
        let usable = match referent {
            _ if self.declined && !explicit => false,
            _ if self.agreed && !self.reopens(sentence) && !self.completes(slot, sentence) => false,
            Referent::Call => !is_only_plan && (explicit || !self.is_off_topic),
            Referent::Open => !is_only_plan && self.accepts_open_time(slot, sentence, opens_turn),
            _ => false,
        };
        if usable {
            let slot = self.with_proposed_hour(slot, &sentence.items[..at]);
            let slot = self.completed(counted_from_reference(
                with_inverted_bound(slot, sentence),
                sentence.items,
                at,
            ));
            self.settle_on(NamedTime {
                slot,
                referenced_time: self.resolve_reference(),
                range: parsed.range_of(&sentence.items[at]),
                is_alternative: false,
                in_question: false,
            });
        } else if referent == Referent::Refused {
            self.refuse(slot);
        } else if referent != Referent::Irrelevant && (slot.is_exact() || slot.day.is_some()) {
            self.set_other_time(slot);
        }
        usable
    }

    /// Keeps the proposed hour if only the day is corrected: "Six forty tonight?" "Make it tomorrow night".
    fn with_proposed_hour(&self, slot: &Slot, before: &[Item]) -> Slot {
        let proposal =
            self.earlier_proposals.last().map(|time| &time.slot).filter(|proposal| proposal.clock.is_some());
        let other_day = slot.day.is_some() && !slot.is_exact();
        match proposal {
            Some(proposal)
                if other_day
                    && slot.day_part == proposal.day_part
                    && before.last().and_then(Item::cue) == Some(Cue::Correct) =>
            {
                Slot { day: slot.day, ..proposal.clone() }
            }
            _ => slot.clone(),
        }
    }

    /// Classifies what a time refers to, using the conversation so far.
    fn classify_in_context(
        &self,
        slot: &Slot,
        sentence: &Sentence<'_>,
        at: usize,
        opens_turn: bool,
    ) -> Referent {
        match classify(sentence.items, at, Role::User) {
            // "When?" "Quarter to twelve, I'll be in the cab."
            Referent::Other if opens_turn && self.awaits_time && slot.bound != Bound::Until => Referent::Open,
            // "Sorry, the Saturday one" does not request a call.
            Referent::Call
                if !self.is_about_a_call()
                    && !self.awaits_time
                    && !sentence.has_any(&[
                        Cue::CallMe,
                        Cue::Callback,
                        Cue::Talk,
                        Cue::Works,
                        Cue::Propose,
                    ]) =>
            {
                Referent::Open
            }
            // "Call me when my shift ends, that's at six."
            Referent::Other if is_requested_after_event(&sentence.items[..at]) => Referent::Call,
            // "Five forty, I'm driving till five thirty": the drive has its own time.
            Referent::Other
                if opens_turn
                    && self.is_about_a_call()
                    && !self.was_proposed(slot)
                    && event_has_own_time(&sentence.items[at + 1..]) =>
            {
                Referent::Open
            }
            // "Ten's the middle of my commute."
            Referent::Open if self.was_offered(slot) || self.was_proposed(slot) => {
                match cue_after(&sentence.items[at + 1..]) {
                    Some(Cue::Event | Cue::Refuse | Cue::Have | Cue::Visit) => Referent::Other,
                    Some(Cue::Yes | Cue::Works) if sentence.unexplained < 4 => Referent::Call,
                    None if sentence.unexplained < 2 && !self.has_settled_clock(slot) => Referent::Call,
                    _ => Referent::Open,
                }
            }
            referent => referent,
        }
    }

    /// Whether a sentence may change the agreed time.
    pub(super) fn reopens(&self, sentence: &Sentence<'_>) -> bool {
        self.awaits_time
            || self.proposal_was_question
            || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Propose, Cue::Later])
            || sentence.slots().any(|slot| slot.same_time)
    }

    /// Whether the time only adds a missing day, part of the day or hour to the settled time.
    fn completes(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        self.settled.as_ref().is_some_and(|known| {
            let known = &known.slot;
            let day = !slot.is_exact() && slot.day.is_some() && known.day.is_none();
            let half =
                !slot.is_exact() && slot.day.is_none() && slot.day_part.is_some() && known.day_part.is_none();
            let hour = slot.clock.is_some()
                && !known.is_exact()
                && !self.other_question
                && slot.day.is_none_or(|day| known.day == Some(day));
            (day || half || hour) && sentence.unexplained < 2
        })
    }

    /// Whether a sentence names the settled hour and more than a yes: "seven thirty I'm at my mother's".
    pub(super) fn questions_settled_hour(&self, parsed: &ParsedTurn<'_>) -> bool {
        parsed
            .sentences()
            .iter()
            .any(|s| s.unexplained > 3 && s.slots().any(|slot| self.has_settled_clock(slot)))
    }

    /// Whether a time without a cue belongs to another subject or was refused before.
    fn is_other_subject_or_refused(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        // "Wednesday's fine."
        let is_praised = self.last_call_time.is_some()
            && sentence.items.iter().skip_while(|i| i.slot() != Some(slot)).nth(1).and_then(Item::cue)
                == Some(Cue::Yes);
        let answers = self.awaits_time || self.proposal_was_question;
        let known =
            self.is_off_topic || self.is_other_time(slot) && !sentence.has_any(&[Cue::Yes, Cue::Works]);
        if known && !answers && !is_praised {
            return true;
        }
        // A question by the person is about something else, unless it is only the time.
        if sentence.is_question
            && sentence.unexplained_with_polite > 0
            && !self.is_about_a_call()
            && !answers
            && !sentence.has(Cue::Propose)
        {
            return true;
        }
        // "Yes, one second."
        let settled = self.settled.as_ref().is_some_and(|time| time.slot.is_exact());
        let is_aside = slot.is_loose()
            || settled && slot.day.is_none() && !self.has_settled_clock(slot)
            || settled && !slot.is_exact() && !self.completes(slot, sentence);
        if self.accepted && is_aside && !sentence.has(Cue::Correct) {
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
    fn accepts_open_time(&self, slot: &Slot, sentence: &Sentence<'_>, opens_turn: bool) -> bool {
        if self.is_other_subject_or_refused(slot, sentence) {
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
        let instead = self.agent_objected && !self.agreed && opens_turn && sentence.unexplained == 0;
        // "Friday's fine."
        let is_praised = slot.day.is_some()
            && sentence.items.iter().skip_while(|i| i.slot() != Some(slot)).nth(1).and_then(Item::cue)
                == Some(Cue::Yes);
        let expected = self.awaits_time
            || self.proposal_was_question
            || corrects
            || instead
            || is_praised && !self.agreed;
        let about = expected || !settled && (self.is_about_a_call() || self.last_call_time.is_some());
        // "I'm ninety-four in August."
        if slot.day.is_some_and(Day::is_a_month) && !slot.is_exact() && !expected {
            return false;
        }
        let only_a_part = slot.day.is_none() && !slot.is_exact();
        if slot.is_loose() || only_a_part {
            return few && about && sentence.unexplained < if expected { 4 } else { 2 };
        }
        // A day alone does not replace a settled hour.
        if settled && !slot.is_exact() && !expected && !self.completes(slot, sentence) {
            return false;
        }
        // The less a time is expected, the fewer unexplained words its sentence may have.
        let most = if self.awaits_time && opens_turn {
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
        few && sentence.unexplained < most && (!is_only_a_week(slot) || self.awaits_time)
    }

    /// Whether the hour is among the last alternatives.
    fn was_offered(&self, slot: &Slot) -> bool {
        self.last_alternatives
            .iter()
            .any(|time| time.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// Whether the agent just proposed the hour.
    fn was_proposed(&self, slot: &Slot) -> bool {
        self.earlier_proposals
            .iter()
            .any(|time| time.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// Whether the slot has the settled clock time.
    pub(super) fn has_settled_clock(&self, slot: &Slot) -> bool {
        let known = self.settled.as_ref().and_then(|time| time.slot.clock);
        slot.clock.zip(known).is_some_and(|(a, b)| a.agrees(b))
    }
}

/// Bounds a time that ends the awaited event: "call me when my shift ends at six" means after six.
fn bound_after_event(slot: &Slot, before: &[Item]) -> Slot {
    let bound =
        if slot.bound == Bound::At && is_requested_after_event(before) { Bound::After } else { slot.bound };
    Slot { bound, ..slot.clone() }
}

/// Whether a call is requested for the end of an event: "have her call when my shift ends".
fn is_requested_after_event(before: &[Item]) -> bool {
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
fn event_has_own_time(rest: &[Item]) -> bool {
    let mut rest = rest.iter().skip_while(|i| i.cue() == Some(Cue::Event)).peekable();
    rest.peek().is_some_and(|i| i.slot().is_some())
}

/// Counts a length from "that" if the next cue is "after that" or "before that": "half an hour after that".
fn counted_from_reference(mut slot: Slot, items: &[Item], at: usize) -> Slot {
    if let Some(length) = &mut slot.length
        && length.from_reference == 0
        && !length.is_wait
    {
        length.from_reference = match items.get(at + 1).and_then(Item::cue) {
            Some(Cue::AfterThat) => 1,
            Some(Cue::BeforeThat) => -1,
            _ => 0,
        };
    }
    slot
}

/// Inverts the bound of a refused call: "don't call before ten" means after ten.
fn with_inverted_bound(mut slot: Slot, sentence: &Sentence<'_>) -> Slot {
    if sentence.has(Cue::NoCall) {
        slot.bound = match slot.bound {
            Bound::Before | Bound::Until => Bound::NotBefore,
            Bound::After | Bound::From => Bound::NotAfter,
            bound => bound,
        };
    }
    slot
}

/// Whether the slot is only a week: "this week" mostly describes the person's plans, not when to call.
fn is_only_a_week(slot: &Slot) -> bool {
    matches!(slot.day, Some(Day::Week(_, 0))) && !slot.is_exact() && slot.day_part.is_none()
}
