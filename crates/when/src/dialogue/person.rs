//! Handles the person's turns: requests, answers, corrections, refusals, and other subjects.

use super::{
    sentences::{ParsedTurn, Sentence},
    talk::{NamedTime, Talk},
};
use crate::{
    Doubt, Role,
    cue::Cue,
    part::{Bound, Unit},
    sentence::{Item, ItemKind},
    slot::Slot,
};

impl Talk {
    pub(super) fn handle_person_turn(&mut self, parsed: &ParsedTurn<'_>) {
        if parsed.has(Cue::Greeting) {
            self.drop_all();
            return;
        }
        self.proposal_was_question = self.needs_answer && !self.proposed.is_empty();
        self.accepted = false;
        self.correcting = false;
        self.wants_current_time = parsed.has(Cue::AsksNow);
        self.refused.clear();
        self.clocks_named.clear();
        self.earlier_proposals.clone_from(&self.proposed);
        let has_objection = says_no(parsed) && !self.other_question
            || [Cue::Correct, Cue::Refuse, Cue::NoCall].iter().any(|cue| parsed.has(*cue))
            || self.questions_settled_hour(parsed);
        self.person_objected = has_objection;
        self.agreed &= !has_objection;
        self.apply_answer(parsed);
        for sentence in parsed.sentences() {
            self.handle_sentence(parsed, &sentence);
        }
        self.awaits_time = false;
        self.fallback = false;
    }

    fn handle_sentence(&mut self, parsed: &ParsedTurn<'_>, sentence: &Sentence<'_>) {
        self.update_subject(sentence, Role::User);
        let calls = sentence.has_any(&[Cue::CallMe, Cue::Callback]);
        if (calls || sentence.has(Cue::Talk) && !self.declined)
            && !sentence.has(Cue::NoCall)
            && !sentence.has(Cue::CallOther)
        {
            self.wanted = true;
            self.declined = false;
        }
        if sentence.has_any(&[Cue::ICall, Cue::IDo]) && !calls {
            // The person will make contact; the times are not for a callback.
            self.drop_all();
            return;
        }
        // "She wants to talk, but to my daughter: ring her at five."
        let mut called = sentence.items.iter().filter_map(Item::cue);
        let called = called.rfind(|cue| matches!(cue, Cue::CallMe | Cue::Callback | Cue::CallOther));
        self.is_for_other_person = called.map_or(self.is_for_other_person, |called| called == Cue::CallOther);
        if called == Some(Cue::CallOther) {
            self.drop_all();
            (self.awaits_time, self.proposal_was_question) = (false, false);
            return;
        }
        let first = sentence.items.iter().find_map(Item::cue);
        self.correcting |= sentence.has(Cue::Correct) || first == Some(Cue::No);
        let mut named = self.handle_times(parsed, sentence);
        if named && !sentence.is_question {
            (self.proposal_was_question, self.awaits_time) = (false, false);
        }
        // "Tomorrow at three, no wait, I have the dentist. Four."
        let last = sentence.items.iter().rfind(|i| i.slot().is_some() || i.cue() == Some(Cue::Correct));
        self.correcting |= last.is_some_and(|i| i.cue().is_some());
        if !named && self.settle_on_reference(parsed, sentence) {
            named = true;
            (self.proposal_was_question, self.awaits_time) = (false, false);
        }
        if sentence.has(Cue::Now) || self.settled.is_some() && can_talk_now(sentence) {
            self.drop_all();
        } else if !named {
            self.handle_sentence_without_time(sentence);
        }
    }

    /// Handles the times of a sentence; returns whether one is meant for the call.
    fn handle_times(&mut self, parsed: &ParsedTurn<'_>, sentence: &Sentence<'_>) -> bool {
        let mut named = false;
        let (mut fallback, mut either) = (self.fallback, false);
        for (at, item) in sentence.items.iter().enumerate() {
            match &item.kind {
                ItemKind::Cue(Cue::Fallback) => {
                    fallback = true;
                    // "If I don't answer, so I'm asleep, but try at one."
                    self.fallback = !sentence.items[at..].iter().any(|i| i.slot().is_some());
                }
                ItemKind::Or => either = true,
                // "At four, no, half past."
                ItemKind::Cue(Cue::No) if named => self.correcting = true,
                ItemKind::Slot(slot) if slot.is_empty() => self.zone = slot.zone.or(self.zone),
                ItemKind::Slot(slot) if fallback => self.set_other_time(slot),
                // "At four, I only get fifteen minutes."
                ItemKind::Slot(slot)
                    if named
                        && is_duration(slot)
                        && self.has_settled_hour()
                        && !counts_from_next_cue(sentence, at) => {}
                ItemKind::Slot(slot) => {
                    let slot = &self.with_hour(slot);
                    let preferred = sentence.items[at + 1..].iter().any(|i| i.cue() == Some(Cue::Works));
                    if either && named && !preferred {
                        either = false;
                        self.add_alternative(parsed, item, slot);
                        continue;
                    }
                    if self.handle_person_time(parsed, sentence, at, slot) {
                        // Another time in the same sentence needs a correction of its own.
                        (named, self.correcting) = (true, false);
                        if !sentence.is_question && slot.is_exact() {
                            (self.proposal_was_question, self.awaits_time) = (false, false);
                        }
                    }
                }
                _ => {}
            }
        }
        named
    }

    /// Whether a clock time is settled.
    fn has_settled_hour(&self) -> bool {
        self.settled.as_ref().is_some_and(|time| time.slot.clock.is_some())
    }

    /// Adds an alternative to the settled time, which stays settled until one is preferred: "Thursday at nine or Friday at
    /// nine".
    fn add_alternative(&mut self, parsed: &ParsedTurn<'_>, item: &Item, slot: &Slot) {
        self.last_alternatives = self.settled.iter().cloned().collect();
        let slot = self.completed(slot.clone());
        self.doubts = vec![Doubt::Alternatives];
        self.last_alternatives.push(NamedTime {
            slot,
            referenced_time: None,
            range: parsed.range_of(item),
            is_alternative: true,
            in_question: false,
        });
    }

    /// Settles on the time of something else: "call me after that", "call me then".
    fn settle_on_reference(&mut self, parsed: &ParsedTurn<'_>, sentence: &Sentence<'_>) -> bool {
        if self.fallback || sentence.has(Cue::Fallback) {
            return false;
        }
        let Some(reference) = self.resolve_reference() else { return false };
        let calls = self.awaits_time
            || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk, Cue::Works, Cue::Propose]);
        let is_exact =
            self.settled.as_ref().is_some_and(|time| time.slot.clock.is_some() || time.slot.length.is_some());
        let is_about_the_call = self.awaits_time
            || self.correcting
            || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Propose, Cue::Correct]);
        if is_exact && !is_about_the_call {
            return false;
        }
        if !self.wanted && !calls || self.agreed && !self.reopens(sentence) {
            return false;
        }
        let reference_cue = sentence.items.iter().find_map(|item| match item.cue()? {
            Cue::AfterThat => Some((item, Bound::After)),
            Cue::BeforeThat => Some((item, Bound::Before)),
            Cue::AtThat if calls && self.reference_is_other => Some((item, Bound::At)),
            _ => None,
        });
        let Some((item, bound)) = reference_cue else { return false };
        // "I'm no good after that."
        let before = sentence.items.iter().rev().skip_while(|i| *i != item).nth(1).and_then(Item::cue);
        if matches!(before, Some(Cue::Refuse | Cue::NoCall | Cue::Not)) {
            return false;
        }
        let slot = relative_to(&reference, bound);
        let earlier_reference = self.referenced_time.clone();
        self.settle_on(NamedTime {
            slot,
            referenced_time: Some(reference),
            range: parsed.range_of(item),
            is_alternative: false,
            in_question: false,
        });
        // "Before five, half an hour before": still relative to five.
        self.referenced_time = earlier_reference;
        true
    }

    /// Handles a sentence that names no time for the call, but may cancel it.
    fn handle_sentence_without_time(&mut self, sentence: &Sentence<'_>) {
        if sentence.has(Cue::CallOther) {
            self.drop_all();
        }
        let last = sentence.items.iter().enumerate().rfind(|(n, i)| {
            // "And don't call before that."
            let only_then = sentence
                .items
                .get(n + 1)
                .and_then(Item::cue)
                .is_some_and(|cue| matches!(cue, Cue::BeforeThat | Cue::AfterThat | Cue::AtThat));
            i.slot().is_some_and(|s| !s.is_empty()) || i.cue() == Some(Cue::NoCall) && !only_then
        });
        // "Oh, you're a robot, never mind" does not cancel the call.
        let requests_call = sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk]);
        // "That's it. And what does it cost? Never mind, tell me then."
        let accepted = self.accepted && !sentence.has_any(&[Cue::No, Cue::Correct]);
        let is_aside = !requests_call && (self.agreed && sentence.unexplained_with_polite > 3 || accepted);
        if last.is_some_and(|(_, i)| i.cue() == Some(Cue::NoCall)) && !is_aside {
            self.drop_all();
        }
    }

    /// Drops the settled time if it is the refused one.
    pub(super) fn refuse(&mut self, slot: &Slot) {
        let clash = self.settled.as_ref().is_some_and(|time| {
            slot.day.is_none_or(|day| time.slot.day == Some(day))
                && slot.clock.is_none_or(|clock| time.slot.clock.is_some_and(|c| c.hour == clock.hour))
        });
        if clash {
            self.settled = None;
            self.agreed = false;
        }
    }
}

/// The time that "then", "after that" or "before that" means.
fn relative_to(reference: &Slot, bound: Bound) -> Slot {
    let mut slot = Slot { bound, ..reference.clone() };
    match bound {
        Bound::At if reference.until.is_some() => slot.bound = Bound::Between,
        Bound::At if reference.clock.is_some_and(|c| c.about) => slot.bound = Bound::About,
        // "After that", of a meeting from three to four, is after four.
        Bound::After => slot.clock = reference.until.or(reference.clock),
        _ => {}
    }
    if bound != Bound::At {
        slot.until = None;
    }
    slot
}

/// Whether a length counts from the next cue: "a quarter of an hour before I go".
fn counts_from_next_cue(sentence: &Sentence<'_>, at: usize) -> bool {
    let next = sentence.items.get(at + 1).and_then(Item::cue);
    matches!(next, Some(Cue::BeforeThat | Cue::AfterThat))
}

/// Whether the slot is only a duration.
fn is_duration(slot: &Slot) -> bool {
    slot.length.is_some_and(|l| !l.is_wait && !l.about && l.from_reference == 0 && l.from_day == 0)
        && slot.bound == Bound::At
        && slot.day.is_none()
}

/// Whether the person continues the conversation now: "actually, I've got ten minutes".
fn can_talk_now(sentence: &Sentence<'_>) -> bool {
    sentence.has(Cue::Correct)
        && sentence.items.windows(2).any(|pair| {
            let minutes = |slot: &Slot| slot.length.is_some_and(|l| !l.is_wait && l.unit == Unit::Minutes);
            pair[0].cue() == Some(Cue::Have) && pair[1].slot().is_some_and(minutes)
        })
}

/// Whether a sentence has a "no" other than a tag at its end ("the counter is open, no?").
fn says_no(parsed: &ParsedTurn<'_>) -> bool {
    parsed.sentences().iter().any(|sentence| {
        let items = sentence.items.iter().filter(|i| !matches!(i.kind, ItemKind::Stop(_) | ItemKind::Break));
        let no = items.clone().position(|i| i.cue() == Some(Cue::No));
        no.is_some_and(|n| n == 0 || n + 1 < items.count())
    })
}
