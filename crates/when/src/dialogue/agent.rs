//! Handles the agent's turns: proposals, repetitions, questions, and times of other subjects.

use super::{
    TextRange,
    judge::{Referent, classify},
    sentences::{ParsedTurn, Sentence},
    talk::{NamedTime, Talk},
};
use crate::{
    Role,
    cue::Cue,
    part::{Bound, Day, ZoneRef},
    sentence::{Item, ItemKind},
    slot::Slot,
};

/// The cues by which the agent refers to a call.
const CALLS: &[Cue] = &[Cue::CallYou, Cue::ICall, Cue::Callback, Cue::Talk];

/// The state of the agent's current turn.
#[derive(Default)]
struct AgentTurn {
    proposed: Vec<NamedTime>,
    /// The turn mentions a call.
    calls: bool,
    /// The turn repeated the settled time.
    confirmed: bool,
}

impl Talk {
    pub(super) fn handle_agent_turn(&mut self, parsed: &ParsedTurn<'_>) {
        if !self.needs_answer
            && self.is_about_a_call()
            && !self.declined
            && let Some(stated) = self.proposed.pop()
        {
            // A stated time that the person did not reject is settled.
            self.settled = Some(stated);
        }
        self.echoed = false;
        self.correcting = parsed.has(Cue::Correct);
        let mut turn = AgentTurn::default();
        let sentences = parsed.sentences();
        // The "okay" in "Okay. We've also got …" confirms the settled time.
        let opens_with_yes =
            sentences.first().is_some_and(|s| s.has(Cue::Yes) && s.unexplained == 0 && s.items.len() == 2);
        if opens_with_yes
            && sentences.len() > 1
            && self.settled.as_ref().is_some_and(|time| time.slot.is_exact())
        {
            self.agree();
        }
        for sentence in sentences {
            self.update_subject(&sentence, Role::Agent);
            turn.calls |= sentence.has_any(CALLS);
            for (at, item) in sentence.items.iter().enumerate() {
                if let Some(slot) = item.slot() {
                    let slot = with_swapped_zone(&self.with_hour(slot));
                    self.handle_agent_time(slot, &sentence, at, parsed.range_of(item), &mut turn);
                }
            }
        }
        // "The foreman at four, and you at five": the settled time stays.
        if turn.confirmed && !turn.proposed.iter().any(|p| p.is_alternative) {
            turn.proposed.retain(|p| p.in_question);
        }
        self.agent_objected =
            [Cue::Hours, Cue::Refuse, Cue::Correct, Cue::No].iter().any(|cue| parsed.has(*cue));
        self.finish_agent_turn(parsed, turn.proposed, turn.calls);
    }

    /// Handles one time that the agent names.
    fn handle_agent_time(
        &mut self,
        slot: Slot,
        sentence: &Sentence<'_>,
        at: usize,
        range: TextRange,
        turn: &mut AgentTurn,
    ) {
        let is_current_time = self.wants_current_time && !sentence.is_question && !sentence.has_any(CALLS);
        if slot.is_empty()
            || is_current_time
            || self.is_past_date(&slot)
            || self.is_aside(&slot, sentence, turn)
            || self.confirm_repeated_day_part(&slot, sentence)
        {
            return;
        }
        match classify(sentence.items, at, Role::Agent) {
            Referent::Call | Referent::Open if self.repeats_settled_length(&slot) => return,
            referent @ (Referent::Call | Referent::Open)
                if self.is_for_the_call(&slot, sentence, referent) => {}
            Referent::Refused => {
                // "She doesn't do nights."
                if let Some(time) = self.last_call_time.as_mut().filter(|time| time.day_part == slot.day_part)
                {
                    time.day_part = None;
                }
                return;
            }
            Referent::Irrelevant => return,
            _ => return self.set_other_time(&slot),
        }
        self.echoed |= self.echoes(&slot, sentence) && !sentence.is_question;
        let exact = slot.is_exact() && slot.length.is_none();
        let slot = self.completed(slot);
        // "Four Eastern, tomorrow the twenty third."
        let adds_date = turn.confirmed && !exact && slot.day.is_some() && !sentence.is_question;
        // "Wednesday he's got someone" is a reason against Wednesday.
        let busy =
            !exact && sentence.has_any(&[Cue::Third, Cue::Event, Cue::Have]) && !sentence.has(Cue::Works);
        let confirms = !busy && self.confirms(&slot, sentence);
        if confirms || adds_date {
            self.settled = self.settled.take().map(|time| NamedTime { slot: slot.clone(), ..time });
        }
        if confirms {
            self.last_call_time = Some(slot);
            turn.confirmed = true;
            if !sentence.is_question {
                self.agree();
            }
            return;
        }
        if adds_date {
            return;
        }
        self.last_call_time = Some(slot.clone());
        if exact {
            self.referenced_time = Some(slot.clone());
            self.reference_is_other = false;
        }
        let referenced_time = self.resolve_reference();
        turn.proposed.push(NamedTime {
            slot,
            referenced_time,
            range,
            is_alternative: sentence.has_or(),
            in_question: sentence.is_question,
        });
    }

    /// Whether a time is incidental: the weekday of a date just named, or a price after the repeated hour.
    fn is_aside(&self, slot: &Slot, sentence: &Sentence<'_>, turn: &AgentTurn) -> bool {
        let has_date = |time: &NamedTime| {
            matches!(time.slot.day, Some(Day::Date(..) | Day::Nth(_) | Day::WeekdayNth(..)))
        };
        // "The sixth is good, that's a Wednesday."
        let is_weekday_of_date = matches!(slot.day, Some(Day::Weekday(..)))
            && !slot.is_exact()
            && !sentence.is_question
            && (turn.proposed.last().is_some_and(has_date)
                || self.settled.as_ref().is_some_and(|time| time.slot.is_exact() && has_date(time)));
        // "Twelve forty-five. And it's eleven thirty, exact change."
        let is_after_echo =
            self.echoed && !sentence.is_question && !sentence.has_any(CALLS) && !self.echoes(slot, sentence);
        // "Speak in a minute" is a farewell.
        let is_farewell = slot.length.is_some()
            && !sentence.is_question
            && self.settled.is_some()
            && matches!(sentence.items.first().and_then(Item::cue), Some(Cue::Talk | Cue::CallMe));
        is_after_echo || is_weekday_of_date || is_farewell
    }

    /// Whether a time that no cue assigns to something else is meant for the call.
    fn is_for_the_call(&self, slot: &Slot, sentence: &Sentence<'_>, referent: Referent) -> bool {
        let again = slot.clock.is_some()
            && (slot.day.is_some() || slot.zone.is_some())
            && self.confirms(&self.completed(slot.clone()), sentence);
        again || self.echoes(slot, sentence) || self.may_mean_a_call(slot, sentence, referent)
    }

    /// Updates the state at the end of the agent's turn.
    fn finish_agent_turn(&mut self, parsed: &ParsedTurn<'_>, proposed: Vec<NamedTime>, calls: bool) {
        let is_question = parsed.is_question();
        let proposes_in_question = proposed.iter().any(|p| p.in_question);
        let offers_call = parsed.has(Cue::CallYou) || parsed.has(Cue::ICall);
        let is_for_other = parsed.has(Cue::CallOther) || parsed.has(Cue::Third) && !calls;
        let open = self.settled.is_none() && proposed.is_empty();
        let asks_when = parsed.sentences().iter().any(|s| {
            s.has(Cue::AsksWhen)
                && (self.wanted && (!self.agreed || s.unexplained < 2 && !s.has(Cue::Event))
                    || s.has_any(CALLS)
                    || s.has_any(&[Cue::CallMe, Cue::Works, Cue::Propose]))
        });
        self.awaits_time = (asks_when || is_question && calls && open || offers_call && open)
            && !is_for_other
            && !self.is_for_other_person;
        if parsed.has(Cue::NoCall) && !is_question && proposed.is_empty() {
            self.drop_all();
        }
        self.is_off_topic &= !self.awaits_time && !self.echoed;
        let objections = [Cue::Refuse, Cue::Hours, Cue::No, Cue::Not, Cue::Correct, Cue::Propose];
        // "Okay, I'll book it."
        let accepts = parsed.cues().next() == Some(Cue::Yes) && !parsed.has_slot();
        let exact =
            self.settled.as_ref().is_some_and(|time| time.slot.is_exact() || time.slot.day_part.is_some());
        if accepts && exact && !self.awaits_time && !objections.iter().any(|cue| parsed.has(*cue)) {
            self.agree();
        }
        self.fallback = is_question && parsed.has(Cue::Fallback);
        self.other_question = is_question && !proposes_in_question;
        // "Is there a better time?" "Shall I follow up?"
        let asks_for_call_time = is_question
            && [Cue::Works, Cue::CallMe].iter().any(|cue| parsed.has(*cue))
            && !parsed.has(Cue::Visit);
        self.offered_call |=
            (offers_call || asks_for_call_time || parsed.has(Cue::Callback) || parsed.has(Cue::CallMe))
                && !parsed.has(Cue::NoCall)
                && !is_for_other;
        self.promised = !is_question && parsed.has(Cue::ICall) && !proposed.is_empty() && !self.declined;
        if !proposed.is_empty() {
            self.needs_answer = proposes_in_question || proposed.iter().any(|p| p.is_alternative);
            if proposed.len() > 1 {
                self.last_alternatives = proposed.clone();
            }
            self.proposed = proposed;
        } else if is_question {
            self.proposed.clear();
        }
    }

    /// Updates the subject of the conversation, which decides about times without a cue.
    pub(super) fn update_subject(&mut self, sentence: &Sentence<'_>, role: Role) {
        if sentence.has_any(CALLS) || sentence.has(Cue::CallMe) {
            self.is_off_topic = false;
        } else if sentence.has_any(&[Cue::CallOther, Cue::Send])
            || sentence.has_any(&[Cue::Visit, Cue::Hours]) && !self.looks_for_a_time(role)
        {
            self.is_off_topic = true;
        }
    }

    /// Whether both sides are looking for a time, so that opening hours do not change the subject.
    fn looks_for_a_time(&self, role: Role) -> bool {
        match role {
            Role::User => self.settled.is_none() && self.last_call_time.is_some(),
            Role::Agent => {
                let open = self.wanted && self.settled.is_none();
                !self.agreed && (self.last_call_time.is_some() || self.offered_call || open)
            }
        }
    }

    /// Whether the agent repeats the settled time and asks nothing about it.
    fn confirms(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        let Some(known) =
            self.settled.as_ref().map(|time| &time.slot).filter(|_| self.wanted && !self.declined)
        else {
            return false;
        };
        let same_clock = match (slot.clock, known.clock) {
            (Some(a), Some(b)) => a.agrees(b),
            _ => false,
        };
        let adds = slot.clock.and_then(|c| c.half) != known.clock.and_then(|c| c.half)
            || slot.day_part != known.day_part;
        let is_other_zone = slot.zone.zip(known.zone).is_some_and(|(a, b)| a != b);
        let same_day = slot.day == known.day || known.day.is_none() && !sentence.is_question;
        same_clock && !is_other_zone && same_day && !sentence.has_or() && !(sentence.is_question && adds)
    }

    /// Whether the sentence repeats a time that the person just named, and little else.
    fn echoes(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        let unanswered = !self.earlier_proposals.is_empty() && !self.accepted;
        let open = !self.agreed
            && (self.person_objected
                || unanswered
                || self.settled.as_ref().is_none_or(|time| !time.slot.is_exact()));
        let repeats = slot.clock.is_some_and(|clock| {
            self.clocks_named.iter().any(|(named, sure)| named.agrees(clock) && (open || *sure))
        });
        let theirs = slot.zone == Some(ZoneRef::Agent)
            && self.settled.is_some()
            && !self.is_in_that_zone(ZoneRef::Agent);
        let most = if slot.day.is_some() { 4 } else { 2 };
        repeats
            && self.is_about_a_call()
            && !self.declined
            && !theirs
            && sentence.unexplained < most
            && !sentence.has_any(&[Cue::Hours, Cue::Visit, Cue::Past, Cue::Event, Cue::Send, Cue::Have])
    }

    /// Whether the settled time is in that zone.
    fn is_in_that_zone(&self, zone: ZoneRef) -> bool {
        self.settled.as_ref().is_some_and(|time| time.slot.zone == Some(zone))
    }

    /// Whether the agent repeats the settled part of the day, perhaps with its day ("after lunch today, sure"); if so, the
    /// time is confirmed.
    fn confirm_repeated_day_part(&mut self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        let Some(known) = self.settled.as_mut().filter(|_| !self.declined) else { return false };
        let again = slot.day_part.is_some()
            && slot.day_part == known.slot.day_part
            && !slot.is_exact()
            && !known.slot.is_exact()
            && !sentence.is_question
            && !sentence.has_any(&[Cue::Not, Cue::No, Cue::Refuse])
            && (known.slot.day.is_none() || slot.day.is_none_or(|day| known.slot.day == Some(day)));
        if again {
            known.slot.day = known.slot.day.or(slot.day);
            self.agree();
        }
        again
    }

    /// Whether the agent repeats the settled length after "that": "half an hour after that".
    fn repeats_settled_length(&self, slot: &Slot) -> bool {
        let known = self.settled.as_ref().and_then(|time| time.slot.length);
        slot.length.is_some_and(|l| {
            l.from_reference != 0
                && known.is_some_and(|k| k.from_reference == l.from_reference && k.least == l.least)
        })
    }

    /// Whether the agent's time is for a call: the sentence mentions one, or the conversation is about one.
    fn may_mean_a_call(&self, slot: &Slot, sentence: &Sentence<'_>, referent: Referent) -> bool {
        if sentence.has_any(CALLS)
            && (!slot.is_loose() || referent == Referent::Call || sentence.unexplained < 3)
        {
            return true;
        }
        // "Open twenty-four hours", "it takes ten minutes".
        if slot.length.is_some_and(|l| !l.is_wait && l.from_reference == 0) && !sentence.is_question {
            return false;
        }
        // After the person declined, a time counts only in a question.
        if self.declined && !sentence.is_question {
            return false;
        }
        let proposes_anew = sentence.is_question
            && sentence.has(Cue::Propose)
            && !sentence.has_any(&[Cue::Visit, Cue::Hours]);
        let theirs =
            slot.clock.is_some_and(|clock| self.clocks_named.iter().any(|(named, _)| named.agrees(clock)));
        if self.is_off_topic && !proposes_anew && !(theirs && is_only_a_complete_time(slot, sentence)) {
            return false;
        }
        let about = self.is_about_a_call() || self.settled.is_some() || self.last_call_time.is_some();
        // An agreed time is repeated as a question, or corrected.
        let repeats_question = sentence.is_question && slot.clock.is_some() && sentence.unexplained == 0;
        let corrects = sentence.has(Cue::Correct) || self.correcting && slot.clock.is_some();
        if self.agreed
            && !corrects
            && !proposes_anew
            && !repeats_question
            && !is_only_a_complete_time(slot, sentence)
        {
            return false;
        }
        // Once a time is settled, a part of the day alone does not refer to the call.
        let only_a_part = slot.day.is_none() && !slot.is_exact() && !sentence.is_question;
        if only_a_part && self.settled.is_some() {
            return false;
        }
        // Once a time is settled, the time of another subject does not replace it.
        if self.settled.is_some()
            && (slot.zone == Some(ZoneRef::Agent) && !self.is_in_that_zone(ZoneRef::Agent)
                || slot.bound == Bound::At && self.is_unsettled_other_time(slot))
        {
            return false;
        }
        if slot.is_loose() {
            let known = self.settled.as_ref().and_then(|time| time.slot.clock);
            let same = slot.clock.zip(known).is_some_and(|(a, b)| a.agrees(b));
            // "Eleven?" adds the hour to a settled day.
            let fills = sentence.is_question
                && sentence.unexplained == 0
                && slot.clock.is_some()
                && self.settled.as_ref().is_some_and(|time| !time.slot.is_exact());
            let open = self.settled.is_none() || referent == Referent::Call || fills;
            return about && (same || open) && sentence.unexplained < 3;
        }
        let open = self.settled.as_ref().is_none_or(|time| !time.slot.is_exact());
        let most = match (sentence.is_question, open) {
            (true, true) => 5,
            (false, true) => 4,
            (_, false) => 3,
        };
        (about || sentence.is_question) && (referent == Referent::Call || sentence.unexplained < most)
    }
}

/// Whether a sentence is one complete time and nothing else: "Monday the sixteenth at ten fifteen in the morning".
fn is_only_a_complete_time(slot: &Slot, sentence: &Sentence<'_>) -> bool {
    let plain = |item: &Item| {
        matches!(item.kind, ItemKind::Slot(_) | ItemKind::Stop(_) | ItemKind::Cue(Cue::Yes | Cue::AtThat))
    };
    slot.day.is_some()
        && (slot.clock.is_some() || slot.day_part.is_some())
        && sentence.unexplained_with_polite == 0
        && !sentence.is_question
        && sentence.slots().count() == 1
        && sentence.items.iter().all(plain)
}

/// Swaps the caller's and the agent's zone: the agent's "your time" is in the person's zone.
fn with_swapped_zone(slot: &Slot) -> Slot {
    let zone = slot.zone.map(|zone| match zone {
        ZoneRef::Caller => ZoneRef::Agent,
        ZoneRef::Agent => ZoneRef::Caller,
        named @ ZoneRef::Named(_) => named,
    });
    Slot { zone, ..slot.clone() }
}
