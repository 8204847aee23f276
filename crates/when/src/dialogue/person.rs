//! Handles the person's turns: requests, answers, corrections, refusals, and other subjects.

use super::{
    sentences::{Heard, Sentence},
    talk::{NamedTime, Talk},
};
use crate::{
    Doubt, Role,
    cue::Cue,
    part::{Bound, Unit},
    sentence::{Item, What},
    slot::Slot,
};

impl Talk {
    pub(super) fn person(&mut self, heard: &Heard<'_>) {
        if heard.has(Cue::Greeting) {
            self.drop_all();
            return;
        }
        self.offered = self.needs_answer && !self.proposed.is_empty();
        self.accepted = false;
        self.correcting = false;
        self.wants_current_time = heard.has(Cue::AsksNow);
        self.refused.clear();
        self.clocks_named.clear();
        self.earlier_proposals.clone_from(&self.proposed);
        let objects = says_no(heard) && !self.other_question
            || [Cue::Correct, Cue::Refuse, Cue::NoCall].iter().any(|cue| heard.has(*cue))
            || self.doubts_the_hour(heard);
        self.objected = objects;
        self.agreed &= !objects;
        self.answer(heard);
        for sentence in heard.sentences() {
            self.sentence(heard, &sentence);
        }
        self.when = false;
        self.fallback = false;
    }

    fn sentence(&mut self, heard: &Heard<'_>, sentence: &Sentence<'_>) {
        self.turns_to(sentence, Role::User);
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
        self.of_another = called.map_or(self.of_another, |called| called == Cue::CallOther);
        if called == Some(Cue::CallOther) {
            self.drop_all();
            (self.when, self.offered) = (false, false);
            return;
        }
        let first = sentence.items.iter().find_map(Item::cue);
        self.correcting |= sentence.has(Cue::Correct) || first == Some(Cue::No);
        let mut named = self.times(heard, sentence);
        if named && !sentence.is_question {
            (self.offered, self.when) = (false, false);
        }
        // "Tomorrow at three, no wait, I have the dentist. Four."
        let last = sentence.items.iter().rfind(|i| i.slot().is_some() || i.cue() == Some(Cue::Correct));
        self.correcting |= last.is_some_and(|i| i.cue().is_some());
        if !named && self.points_back(heard, sentence) {
            named = true;
            (self.offered, self.when) = (false, false);
        }
        if sentence.has(Cue::Now) || self.settled.is_some() && has_minutes(sentence) {
            self.drop_all();
        } else if !named {
            self.without_a_time(sentence);
        }
    }

    /// Handles the times of a sentence; returns whether one is meant for the call.
    fn times(&mut self, heard: &Heard<'_>, sentence: &Sentence<'_>) -> bool {
        let mut named = false;
        let (mut fallback, mut either) = (self.fallback, false);
        for (at, item) in sentence.items.iter().enumerate() {
            match &item.what {
                What::Cue(Cue::Fallback) => {
                    fallback = true;
                    // "If I don't answer, so I'm asleep, but try at one."
                    self.fallback = !sentence.items[at..].iter().any(|i| i.slot().is_some());
                }
                What::Or => either = true,
                // "At four, no, half past."
                What::Cue(Cue::No) if named => self.correcting = true,
                What::Slot(slot) if slot.is_empty() => self.zone = slot.zone.or(self.zone),
                What::Slot(slot) if fallback => self.remember(slot),
                // "At four, I only get fifteen minutes."
                What::Slot(slot)
                    if named && lasts(slot) && self.has_an_hour() && !is_pointed(sentence, at) => {}
                What::Slot(slot) => {
                    let slot = &self.with_hour(slot);
                    let preferred = sentence.items[at + 1..].iter().any(|i| i.cue() == Some(Cue::Works));
                    if either && named && !preferred {
                        either = false;
                        self.set_beside(heard, item, slot);
                        continue;
                    }
                    if self.slot(heard, sentence, at, slot) {
                        // Another time in the same sentence needs a correction of its own.
                        (named, self.correcting) = (true, false);
                        if !sentence.is_question && slot.is_exact() {
                            (self.offered, self.when) = (false, false);
                        }
                    }
                }
                _ => {}
            }
        }
        named
    }

    /// Whether a clock time is settled.
    fn has_an_hour(&self) -> bool {
        self.settled.as_ref().is_some_and(|time| time.slot.clock.is_some())
    }

    /// "Thursday at nine or Friday at nine": the first stays settled until one is preferred.
    fn set_beside(&mut self, heard: &Heard<'_>, item: &Item, slot: &Slot) {
        self.offers = self.settled.iter().cloned().collect();
        let slot = self.completed(slot.clone());
        self.doubts = vec![Doubt::Alternatives];
        self.offers.push(NamedTime {
            slot,
            that: None,
            place: heard.place(item),
            choice: true,
            in_question: false,
        });
    }

    /// Settles on the time of something else: "call me after that", "call me then".
    fn points_back(&mut self, heard: &Heard<'_>, sentence: &Sentence<'_>) -> bool {
        if self.fallback || sentence.has(Cue::Fallback) {
            return false;
        }
        let Some(that) = self.pointed_at() else { return false };
        let calls =
            self.when || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk, Cue::Works, Cue::Propose]);
        let exact =
            self.settled.as_ref().is_some_and(|time| time.slot.clock.is_some() || time.slot.length.is_some());
        let of_call = self.when
            || self.correcting
            || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Propose, Cue::Correct]);
        if exact && !of_call {
            return false;
        }
        if !self.wanted && !calls || self.agreed && !self.reopens(sentence) {
            return false;
        }
        let pointer = sentence.items.iter().find_map(|item| match item.cue()? {
            Cue::AfterThat => Some((item, Bound::After)),
            Cue::BeforeThat => Some((item, Bound::Before)),
            Cue::AtThat if calls && self.that_is_other => Some((item, Bound::At)),
            _ => None,
        });
        let Some((item, bound)) = pointer else { return false };
        // "I'm no good after that."
        let before = sentence.items.iter().rev().skip_while(|i| *i != item).nth(1).and_then(Item::cue);
        if matches!(before, Some(Cue::Refuse | Cue::NoCall | Cue::Not)) {
            return false;
        }
        let slot = at_that(&that, bound);
        let kept = self.that.clone();
        self.take(NamedTime {
            slot,
            that: Some(that),
            place: heard.place(item),
            choice: false,
            in_question: false,
        });
        // "Before five, half an hour before": still relative to five.
        self.that = kept;
        true
    }

    /// Handles a sentence that names no time for the call, but may cancel it.
    fn without_a_time(&mut self, sentence: &Sentence<'_>) {
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
        let of_call = sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk]);
        // "That's it. And what does it cost? Never mind, tell me then."
        let accepted = self.accepted && !sentence.has_any(&[Cue::No, Cue::Correct]);
        let aside = !of_call && (self.agreed && sentence.extra > 3 || accepted);
        if last.is_some_and(|(_, i)| i.cue() == Some(Cue::NoCall)) && !aside {
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
fn at_that(that: &Slot, bound: Bound) -> Slot {
    let mut slot = Slot { bound, ..that.clone() };
    match bound {
        Bound::At if that.until.is_some() => slot.bound = Bound::Between,
        Bound::At if that.clock.is_some_and(|c| c.about) => slot.bound = Bound::About,
        // "After that", of a meeting from three to four, is after four.
        Bound::After => slot.clock = that.until.or(that.clock),
        _ => {}
    }
    if bound != Bound::At {
        slot.until = None;
    }
    slot
}

/// "A quarter of an hour before I go."
fn is_pointed(sentence: &Sentence<'_>, at: usize) -> bool {
    let next = sentence.items.get(at + 1).and_then(Item::cue);
    matches!(next, Some(Cue::BeforeThat | Cue::AfterThat))
}

/// Whether it is only a duration.
fn lasts(slot: &Slot) -> bool {
    slot.length.is_some_and(|l| !l.led && !l.about && l.from_that == 0 && l.from_day == 0)
        && slot.bound == Bound::At
        && slot.day.is_none()
}

/// "Actually, I've got ten minutes": the conversation continues now.
fn has_minutes(sentence: &Sentence<'_>) -> bool {
    sentence.has(Cue::Correct)
        && sentence.items.windows(2).any(|pair| {
            let minutes = |slot: &Slot| slot.length.is_some_and(|l| !l.led && l.unit == Unit::Minutes);
            pair[0].cue() == Some(Cue::Have) && pair[1].slot().is_some_and(minutes)
        })
}

/// Whether a sentence has a "no" other than a tag at its end ("the counter is open, no?").
fn says_no(heard: &Heard<'_>) -> bool {
    heard.sentences().iter().any(|sentence| {
        let items = sentence.items.iter().filter(|i| !matches!(i.what, What::Stop(_) | What::Break));
        let no = items.clone().position(|i| i.cue() == Some(Cue::No));
        no.is_some_and(|n| n == 0 || n + 1 < items.count())
    })
}
