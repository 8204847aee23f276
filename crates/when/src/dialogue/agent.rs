//! Handles the agent's turns: proposals, repetitions, questions, and times of other subjects.

use super::{
    judge::{Sense, sense},
    sentences::{Heard, Sentence},
    talk::{NamedTime, Talk},
};
use crate::{
    Role,
    cue::Cue,
    part::{Bound, Day, Place},
    sentence::{Item, What},
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
    pub(super) fn agent(&mut self, heard: &Heard<'_>) {
        if !self.needs_answer
            && self.is_about_a_call()
            && !self.declined
            && let Some(stated) = self.proposed.pop()
        {
            // A stated time that the person did not reject is settled.
            self.settled = Some(stated);
        }
        self.echoed = false;
        self.correcting = heard.has(Cue::Correct);
        let mut turn = AgentTurn::default();
        let sentences = heard.sentences();
        // "Okay. We've also got …"
        let begins = sentences.first().is_some_and(|s| s.has(Cue::Yes) && s.spare == 0 && s.items.len() == 2);
        if begins && sentences.len() > 1 && self.settled.as_ref().is_some_and(|time| time.slot.is_exact()) {
            self.agree();
        }
        for sentence in sentences {
            self.turns_to(&sentence, Role::Agent);
            turn.calls |= sentence.has_any(CALLS);
            for (at, item) in sentence.items.iter().enumerate() {
                if let Some(slot) = item.slot() {
                    let slot = spoken_by_agent(&self.with_hour(slot));
                    self.says(slot, &sentence, at, heard.place(item), &mut turn);
                }
            }
        }
        // "The foreman at four, and you at five": the settled time stays.
        if turn.confirmed && !turn.proposed.iter().any(|p| p.choice) {
            turn.proposed.retain(|p| p.in_question);
        }
        self.objects = [Cue::Hours, Cue::Refuse, Cue::Correct, Cue::No].iter().any(|cue| heard.has(*cue));
        self.concludes(heard, turn.proposed, turn.calls);
    }

    /// Handles one time that the agent names.
    fn says(
        &mut self,
        slot: Slot,
        sentence: &Sentence<'_>,
        at: usize,
        place: super::Place,
        turn: &mut AgentTurn,
    ) {
        let now = self.wants_current_time && !sentence.is_question && !sentence.has_any(CALLS);
        if slot.is_empty()
            || now
            || self.is_over(&slot)
            || self.is_aside(&slot, sentence, turn)
            || self.says_the_part_again(&slot, sentence)
        {
            return;
        }
        match sense(sentence.items, at, Role::Agent) {
            Sense::Call | Sense::Open if self.repeats(&slot) => return,
            sense @ (Sense::Call | Sense::Open) if self.is_for_the_call(&slot, sentence, sense) => {}
            Sense::Refused => {
                // "She doesn't do nights."
                if let Some(ground) = self.ground.as_mut().filter(|ground| ground.of == slot.of) {
                    ground.of = None;
                }
                return;
            }
            Sense::Nothing => return,
            _ => return self.remember(&slot),
        }
        self.echoed |= self.echoes(&slot, sentence) && !sentence.is_question;
        let exact = slot.is_exact() && slot.length.is_none();
        let slot = self.completed(slot);
        // "Four Eastern, tomorrow the twenty third."
        let dates = turn.confirmed && !exact && slot.day.is_some() && !sentence.is_question;
        // "Wednesday he's got someone" is a reason against Wednesday.
        let busy =
            !exact && sentence.has_any(&[Cue::Third, Cue::Event, Cue::Have]) && !sentence.has(Cue::Works);
        let confirms = !busy && self.confirms(&slot, sentence);
        if confirms || dates {
            self.settled = self.settled.take().map(|time| NamedTime { slot: slot.clone(), ..time });
        }
        if confirms {
            self.ground = Some(slot);
            turn.confirmed = true;
            if !sentence.is_question {
                self.agree();
            }
            return;
        }
        if dates {
            return;
        }
        self.ground = Some(slot.clone());
        if exact {
            self.that = Some(slot.clone());
            self.that_is_other = false;
        }
        let that = self.pointed_at();
        turn.proposed.push(NamedTime {
            slot,
            that,
            place,
            choice: sentence.has_or(),
            in_question: sentence.is_question,
        });
    }

    /// Whether a time is incidental: the weekday of a date just named, or a price after the repeated hour.
    fn is_aside(&self, slot: &Slot, sentence: &Sentence<'_>, turn: &AgentTurn) -> bool {
        let dated = |time: &NamedTime| {
            matches!(time.slot.day, Some(Day::Date(..) | Day::Nth(_) | Day::WeekdayNth(..)))
        };
        // "The sixth is good, that's a Wednesday."
        let named_before = matches!(slot.day, Some(Day::Weekday(..)))
            && !slot.is_exact()
            && !sentence.is_question
            && (turn.proposed.last().is_some_and(dated)
                || self.settled.as_ref().is_some_and(|time| time.slot.is_exact() && dated(time)));
        // "Twelve forty-five. And it's eleven thirty, exact change."
        let beside =
            self.echoed && !sentence.is_question && !sentence.has_any(CALLS) && !self.echoes(slot, sentence);
        // "Speak in a minute" is a farewell.
        let farewell = slot.length.is_some()
            && !sentence.is_question
            && self.settled.is_some()
            && matches!(sentence.items.first().and_then(Item::cue), Some(Cue::Talk | Cue::CallMe));
        beside || named_before || farewell
    }

    /// Whether a time that no cue assigns to something else is meant for the call.
    fn is_for_the_call(&self, slot: &Slot, sentence: &Sentence<'_>, sense: Sense) -> bool {
        let again = slot.clock.is_some()
            && (slot.day.is_some() || slot.zone.is_some())
            && self.confirms(&self.completed(slot.clone()), sentence);
        again || self.echoes(slot, sentence) || self.may_mean_a_call(slot, sentence, sense)
    }

    /// Updates the state at the end of the agent's turn.
    fn concludes(&mut self, heard: &Heard<'_>, proposed: Vec<NamedTime>, calls: bool) {
        let is_question = heard.is_question();
        let proposes_in_question = proposed.iter().any(|p| p.in_question);
        let offers = heard.has(Cue::CallYou) || heard.has(Cue::ICall);
        let of_somebody = heard.has(Cue::CallOther) || heard.has(Cue::Third) && !calls;
        let open = self.settled.is_none() && proposed.is_empty();
        let wants_to_know = heard.sentences().iter().any(|s| {
            s.has(Cue::AsksWhen)
                && (self.wanted && (!self.agreed || s.spare < 2 && !s.has(Cue::Event))
                    || s.has_any(CALLS)
                    || s.has_any(&[Cue::CallMe, Cue::Works, Cue::Propose]))
        });
        self.when = (wants_to_know || is_question && calls && open || offers && open)
            && !of_somebody
            && !self.of_another;
        if heard.has(Cue::NoCall) && !is_question && proposed.is_empty() {
            self.drop_all();
        }
        self.elsewhere &= !self.when && !self.echoed;
        let objects = [Cue::Refuse, Cue::Hours, Cue::No, Cue::Not, Cue::Correct, Cue::Propose];
        // "Okay, I'll book it."
        let takes_it = heard.cues().next() == Some(Cue::Yes) && !heard.names_a_time();
        let exact = self.settled.as_ref().is_some_and(|time| time.slot.is_exact() || time.slot.of.is_some());
        if takes_it && exact && !self.when && !objects.iter().any(|cue| heard.has(*cue)) {
            self.agree();
        }
        self.fallback = is_question && heard.has(Cue::Fallback);
        self.other_question = is_question && !proposes_in_question;
        // "Is there a better time?" "Shall I follow up?"
        let fits = is_question
            && [Cue::Works, Cue::CallMe].iter().any(|cue| heard.has(*cue))
            && !heard.has(Cue::Visit);
        self.offered_call |= (offers || fits || heard.has(Cue::Callback) || heard.has(Cue::CallMe))
            && !heard.has(Cue::NoCall)
            && !of_somebody;
        self.promised = !is_question && heard.has(Cue::ICall) && !proposed.is_empty() && !self.declined;
        if !proposed.is_empty() {
            self.needs_answer = proposes_in_question || proposed.iter().any(|p| p.choice);
            if proposed.len() > 1 {
                self.offers = proposed.clone();
            }
            self.proposed = proposed;
        } else if is_question {
            self.proposed.clear();
        }
    }

    /// Updates the subject of the conversation, which decides about times without a cue.
    pub(super) fn turns_to(&mut self, sentence: &Sentence<'_>, role: Role) {
        if sentence.has_any(CALLS) || sentence.has(Cue::CallMe) {
            self.elsewhere = false;
        } else if sentence.has_any(&[Cue::CallOther, Cue::Send])
            || sentence.has_any(&[Cue::Visit, Cue::Hours]) && !self.looks_for_a_time(role)
        {
            self.elsewhere = true;
        }
    }

    /// Whether both sides are looking for a time, so that opening hours do not change the subject.
    fn looks_for_a_time(&self, role: Role) -> bool {
        match role {
            Role::User => self.settled.is_none() && self.ground.is_some(),
            Role::Agent => {
                let open = self.wanted && self.settled.is_none();
                !self.agreed && (self.ground.is_some() || self.offered_call || open)
            }
        }
    }

    /// Whether it repeats the settled time and asks nothing about it.
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
        let adds = slot.clock.and_then(|c| c.half) != known.clock.and_then(|c| c.half) || slot.of != known.of;
        let elsewhere = slot.zone.zip(known.zone).is_some_and(|(a, b)| a != b);
        let same_day = slot.day == known.day || known.day.is_none() && !sentence.is_question;
        same_clock && !elsewhere && same_day && !sentence.has_or() && !(sentence.is_question && adds)
    }

    /// Whether the sentence repeats a time that the person just named, and little else.
    fn echoes(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        let unanswered = !self.earlier_proposals.is_empty() && !self.accepted;
        let open = !self.agreed
            && (self.objected
                || unanswered
                || self.settled.as_ref().is_none_or(|time| !time.slot.is_exact()));
        let repeats = slot.clock.is_some_and(|clock| {
            self.clocks_named.iter().any(|(named, sure)| named.agrees(clock) && (open || *sure))
        });
        let theirs =
            slot.zone == Some(Place::Agent) && self.settled.is_some() && !self.is_in_that_zone(Place::Agent);
        let most = if slot.day.is_some() { 4 } else { 2 };
        repeats
            && self.is_about_a_call()
            && !self.declined
            && !theirs
            && sentence.spare < most
            && !sentence.has_any(&[Cue::Hours, Cue::Visit, Cue::Past, Cue::Event, Cue::Send, Cue::Have])
    }

    /// Whether the settled time is in that zone.
    fn is_in_that_zone(&self, zone: Place) -> bool {
        self.settled.as_ref().is_some_and(|time| time.slot.zone == Some(zone))
    }

    /// Whether it repeats the settled part of the day, perhaps with its day: "after lunch today, sure".
    fn says_the_part_again(&mut self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        let Some(known) = self.settled.as_mut().filter(|_| !self.declined) else { return false };
        let again = slot.of.is_some()
            && slot.of == known.slot.of
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

    /// Whether it repeats the settled length after "that": "half an hour after that".
    fn repeats(&self, slot: &Slot) -> bool {
        let known = self.settled.as_ref().and_then(|time| time.slot.length);
        slot.length.is_some_and(|l| {
            l.from_that != 0 && known.is_some_and(|k| k.from_that == l.from_that && k.least == l.least)
        })
    }

    /// Whether the agent's time is for a call: the sentence mentions one, or the conversation is about one.
    fn may_mean_a_call(&self, slot: &Slot, sentence: &Sentence<'_>, sense: Sense) -> bool {
        if sentence.has_any(CALLS) && (!slot.is_loose() || sense == Sense::Call || sentence.spare < 3) {
            return true;
        }
        // "Open twenty-four hours", "it takes ten minutes".
        if slot.length.is_some_and(|l| !l.led && l.from_that == 0) && !sentence.is_question {
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
        if self.elsewhere && !proposes_anew && !(theirs && reads_back(slot, sentence)) {
            return false;
        }
        let about = self.is_about_a_call() || self.settled.is_some() || self.ground.is_some();
        // An agreed time is repeated as a question, or corrected.
        let repeats_question = sentence.is_question && slot.clock.is_some() && sentence.spare == 0;
        let corrects = sentence.has(Cue::Correct) || self.correcting && slot.clock.is_some();
        if self.agreed && !corrects && !proposes_anew && !repeats_question && !reads_back(slot, sentence) {
            return false;
        }
        // Once a time is settled, a part of the day alone does not refer to the call.
        let only_a_part = slot.day.is_none() && !slot.is_exact() && !sentence.is_question;
        if only_a_part && self.settled.is_some() {
            return false;
        }
        // Once a time is settled, the time of another subject does not replace it.
        if self.settled.is_some()
            && (slot.zone == Some(Place::Agent) && !self.is_in_that_zone(Place::Agent)
                || slot.bound == Bound::At && self.is_only_of_that(slot))
        {
            return false;
        }
        if slot.is_loose() {
            let known = self.settled.as_ref().and_then(|time| time.slot.clock);
            let same = slot.clock.zip(known).is_some_and(|(a, b)| a.agrees(b));
            // "Eleven?" adds the hour to a settled day.
            let fills = sentence.is_question
                && sentence.spare == 0
                && slot.clock.is_some()
                && self.settled.as_ref().is_some_and(|time| !time.slot.is_exact());
            let open = self.settled.is_none() || sense == Sense::Call || fills;
            return about && (same || open) && sentence.spare < 3;
        }
        let open = self.settled.as_ref().is_none_or(|time| !time.slot.is_exact());
        let most = match (sentence.is_question, open) {
            (true, true) => 5,
            (false, true) => 4,
            (_, false) => 3,
        };
        (about || sentence.is_question) && (sense == Sense::Call || sentence.spare < most)
    }
}

/// Whether a sentence is one complete time and nothing else: "Monday the sixteenth at ten fifteen in the morning".
fn reads_back(slot: &Slot, sentence: &Sentence<'_>) -> bool {
    let plain =
        |item: &Item| matches!(item.what, What::Slot(_) | What::Stop(_) | What::Cue(Cue::Yes | Cue::AtThat));
    slot.day.is_some()
        && (slot.clock.is_some() || slot.of.is_some())
        && sentence.extra == 0
        && !sentence.is_question
        && sentence.slots().count() == 1
        && sentence.items.iter().all(plain)
}

/// Swaps the zones: "your time" is the person's zone when the agent says it.
fn spoken_by_agent(slot: &Slot) -> Slot {
    let zone = slot.zone.map(|zone| match zone {
        Place::Caller => Place::Agent,
        Place::Agent => Place::Caller,
        named @ Place::Named(_) => named,
    });
    Slot { zone, ..slot.clone() }
}
