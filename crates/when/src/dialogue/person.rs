//! What the person says: asks, answers, corrects, refuses, or speaks of something else.

use super::{
    judge::{Sense, sense},
    sentences::{Heard, Sentence},
    talk::{Said, Talk},
};
use crate::{
    Doubt, Role,
    cue::Cue,
    part::{self, Bound, Day, Length, Slot, Unit},
    sentence::{Item, What},
};

impl Talk {
    pub(super) fn person(&mut self, heard: &Heard<'_>) {
        if heard.has(Cue::Greeting) {
            self.drop_all();
            return;
        }
        self.offered = self.asked && !self.proposed.is_empty();
        self.accepted = false;
        self.correcting = false;
        self.refused.clear();
        self.said.clear();
        self.heard.clone_from(&self.proposed);
        let objects = heard.has(Cue::No) && !self.asked_else
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

    /// A word or two on what the agent has proposed.
    fn answer(&mut self, heard: &Heard<'_>) {
        if let Some(n) = heard.cues().find_map(|cue| if let Cue::Choice(n) = cue { Some(n) } else { None })
            && self.choose(n)
        {
            return;
        }
        if self.proposed.is_empty() {
            return;
        }
        if let Some(length) = later(&heard.items) {
            if let Some(mut said) = self.proposed.pop().or_else(|| self.settled.clone()) {
                said.slot = shifted(said.slot, length);
                self.take(said);
            }
            self.proposed.clear();
            return;
        }
        // Told to somebody who wants no call, or to a machine.
        if self.declined && !self.asked {
            self.proposed.clear();
            return;
        }
        let first = heard.cues().next();
        let times = heard.times();
        // A time before the "yeah" is what is said yes to.
        let begins = heard.items.iter().find(|i| i.cue().is_some() || i.slot().is_some()).and_then(Item::cue);
        // "Anything else?" "No."
        let no = first == Some(Cue::No) && (!self.asked_else || !self.wanted && !self.echoed)
            || self.declined && heard.has(Cue::No);
        let refuses = no
            || matches!(first, Some(Cue::Refuse | Cue::NoCall))
            || heard.has(Cue::Refuse)
            || heard.has(Cue::NoCall)
            || heard.has(Cue::Unsure) && !times;
        let accepts = matches!(begins, Some(Cue::Yes | Cue::Works))
            || (heard.has(Cue::Works) && !times)
            || heard.is_empty();
        // "Let me have a look. No, cancelled. So yes, go on then."
        let ends_with_yes = self.asked
            && heard
                .sentences()
                .last()
                .is_some_and(|s| s.has(Cue::Yes) && s.spare == 0 && s.slots().count() == 0);
        let accepts = accepts || ends_with_yes && !heard.has(Cue::Refuse);
        if refuses && !accepts {
            self.refused.clone_from(&self.proposed);
            self.offered_call &= !heard.has(Cue::NoCall) && (times || self.wanted || !no);
            if self.asked && !times && self.settled.is_none() && matches!(first, Some(Cue::NoCall)) {
                self.declined = true;
            }
        } else if (accepts
            || (!self.asked && (!times || self.echoed) && (self.is_about_a_call() || self.promised)))
            && let Some(said) = self.preferred()
        {
            self.accepted = accepts;
            self.take(said);
            if !self.objected && (!times || self.echoed || self.says_nothing_else(heard)) {
                self.agree();
            }
        }
        self.proposed.clear();
    }

    /// Whether all times that are named are the one that is settled.
    fn says_nothing_else(&self, heard: &Heard<'_>) -> bool {
        let mut slots = heard.items.iter().filter_map(Item::slot).filter(|slot| !slot.is_empty());
        slots.all(|slot| slot.day.is_none() && self.is_settled(slot))
    }

    /// Of what was proposed: the first of several to choose from, else the last, which says the most.
    fn preferred(&self) -> Option<Said> {
        let choice = self.proposed.iter().find(|said| said.choice);
        choice.or(self.proposed.last()).cloned()
    }

    /// "The second one."
    fn choose(&mut self, n: i8) -> bool {
        let from = if self.proposed.len() > 1 { &self.proposed } else { &self.offers };
        let at = if n < 0 { from.len().checked_sub(1) } else { usize::try_from(n - 1).ok() };
        let Some(chosen) = at.and_then(|at| from.get(at)).cloned() else { return false };
        self.take(chosen);
        self.proposed.clear();
        true
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
        if sentence.has(Cue::ICall) && !calls {
            // The person will see to it; the times are theirs.
            self.drop_all();
            return;
        }
        // "She wants to talk, but to my daughter: ring her at five."
        let of_whom = sentence
            .items
            .iter()
            .rfind(|i| matches!(i.cue(), Some(Cue::CallMe | Cue::Callback | Cue::CallOther)));
        if of_whom.is_some_and(|i| i.cue() == Some(Cue::CallOther)) {
            self.drop_all();
            return;
        }
        let first = sentence.items.iter().find_map(Item::cue);
        self.correcting |= sentence.has(Cue::Correct) || first == Some(Cue::No);
        let mut named = false;
        let (mut fallback, mut either) = (self.fallback, false);
        for (at, item) in sentence.items.iter().enumerate() {
            match &item.what {
                What::Cue(Cue::Fallback) => fallback = true,
                What::Or => either = true,
                // "At four, no, half past."
                What::Cue(Cue::No) if named => self.correcting = true,
                What::Slot(slot) if slot.is_empty() => self.zone = slot.zone.or(self.zone),
                What::Slot(slot) if fallback => self.remember(slot),
                What::Slot(slot) => {
                    let slot = &self.with_hour(slot);
                    let preferred = sentence.items[at + 1..].iter().any(|i| i.cue() == Some(Cue::Works));
                    if either && named && !preferred {
                        either = false;
                        self.set_beside(heard, item, slot);
                        continue;
                    }
                    if self.slot(heard, sentence, at, slot) {
                        // What else is said in the same breath needs a reason of its own.
                        (named, self.correcting) = (true, false);
                        if !sentence.asks {
                            (self.offered, self.when) = (false, false);
                        }
                    }
                }
                _ => {}
            }
        }
        // "Tomorrow at three, no wait, I have the dentist. Four."
        let last = sentence.items.iter().rfind(|i| i.slot().is_some() || i.cue() == Some(Cue::Correct));
        self.correcting |= last.is_some_and(|i| i.cue().is_some());
        named |= !named && self.points_back(heard, sentence);
        if sentence.has(Cue::Now) || self.settled.is_some() && has_minutes(sentence) {
            self.drop_all();
        } else if !named {
            self.without_a_time(sentence);
        }
    }

    /// "Thursday at nine or Friday at nine": the first stands until one is preferred.
    fn set_beside(&mut self, heard: &Heard<'_>, item: &Item, slot: &Slot) {
        self.offers = self.settled.iter().cloned().collect();
        let slot = self.completed(slot.clone());
        self.doubts = vec![Doubt::Alternatives];
        self.offers.push(Said { slot, that: None, place: heard.place(item), choice: true, asked: false });
    }

    /// One time of a sentence; whether it is meant for the call.
    fn slot(&mut self, heard: &Heard<'_>, sentence: &Sentence<'_>, at: usize, slot: &Slot) -> bool {
        if !slot.is_exact() && matches!(slot.zone, Some(part::Place::Named(_))) {
            self.zone = slot.zone;
        }
        // "Push it half an hour" has been dealt with.
        if slot.length.is_some() && sentence.has(Cue::Later) {
            return false;
        }
        let mut after = None;
        let leads = at == 0 && sentence.items[at].first < heard.begins() + 2;
        let what = match sense(sentence.items, at, Role::User) {
            // "When?" "Quarter to twelve, I'll be in the cab."
            Sense::Other if leads && self.when && slot.bound != Bound::Until => Sense::Open,
            // "Five forty, I'm driving till five thirty": that has its own.
            // "Sorry, the Saturday one" is no call yet.
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
            Sense::Other if waits_for(&sentence.items[..at]) => {
                after = Some(Slot { bound: Bound::After, ..slot.clone() });
                Sense::Call
            }
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
                match said_of(&sentence.items[at + 1..]) {
                    Some(Cue::Event | Cue::Refuse | Cue::Have | Cue::Visit) => Sense::Other,
                    Some(Cue::Yes | Cue::Works) if sentence.spare < 4 => Sense::Call,
                    None if sentence.spare < 2 && !self.is_settled(slot) => Sense::Call,
                    _ => Sense::Open,
                }
            }
            what => what,
        };
        let slot = after.as_ref().unwrap_or(slot);
        let business = [Cue::Hours, Cue::Visit, Cue::Past, Cue::CallOther, Cue::Send];
        if let Some(clock) = slot.clock.filter(|_| slot.bound != Bound::Until && what != Sense::Refused)
            && !sentence.has_any(&business)
        {
            self.said.push((clock, what != Sense::Other && !slot.is_loose()));
        }
        let asked = sentence.items[..at].iter().any(|i| matches!(i.cue(), Some(Cue::CallMe | Cue::Propose)));
        let elsewhere = only_a_week(slot) && !self.when && !asked;
        let explicit = sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk])
            || self.when
            || self.offered
            || sentence.has(Cue::Correct) && self.settled.is_some()
            || slot.length.is_some_and(|l| l.from_that != 0);
        let usable = match what {
            _ if self.declined && !explicit => false,
            _ if self.agreed && !self.reopens(sentence) && !self.completes(slot, sentence) => false,
            Sense::Call => !elsewhere && (explicit || !self.elsewhere),
            Sense::Open => !elsewhere && self.takes_open(slot, sentence, leads),
            _ => false,
        };
        if usable {
            let slot = self.completed(pointed(turned(slot.clone(), sentence), sentence.items, at));
            self.take(Said {
                slot,
                that: self.pointed_at(),
                place: heard.place(&sentence.items[at]),
                choice: false,
                asked: false,
            });
        } else if what == Sense::Refused {
            self.refuse(slot);
        } else if what != Sense::Nothing && (slot.is_exact() || slot.day.is_some()) {
            self.remember(slot);
        }
        usable
    }

    /// Whether a sentence may change what both sides have agreed on.
    fn reopens(&self, sentence: &Sentence<'_>) -> bool {
        self.when
            || self.offered
            || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Propose, Cue::Later])
            || sentence.slots().any(|slot| slot.same_time)
    }

    /// Whether it only adds the day or the half of it to the hour they agreed on.
    fn completes(&self, slot: &Slot, sentence: &Sentence<'_>) -> bool {
        self.settled.as_ref().is_some_and(|known| {
            let known = &known.slot;
            let day = !slot.is_exact() && slot.day.is_some() && known.day.is_none();
            let half = !slot.is_exact() && slot.day.is_none() && slot.of.is_some() && known.of.is_none();
            let hour = slot.clock.is_some()
                && !known.is_exact()
                && slot.day.is_none_or(|day| known.day == Some(day));
            (day || half || hour) && sentence.spare < 2
        })
    }

    /// "Seven thirty I'm at my mother's": the hour they agreed on, and more about it than a yes.
    fn doubts_the_hour(&self, heard: &Heard<'_>) -> bool {
        heard.sentences().iter().any(|s| s.spare > 3 && s.slots().any(|slot| self.is_settled(slot)))
    }

    /// Whether a time that nothing is said of belongs to another matter, or has been dealt with.
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
        // A question of the person's own is about something else, unless it is nothing but the time.
        if sentence.asks
            && sentence.extra > 0
            && !self.is_about_a_call()
            && !answers
            && !sentence.has(Cue::Propose)
        {
            return true;
        }
        // "Yes, one second."
        let settled = self.settled.as_ref().is_some_and(|said| said.slot.is_exact());
        let beside = slot.is_loose()
            || settled && slot.day.is_none() && !self.is_settled(slot)
            || settled && !slot.is_exact() && !self.completes(slot, sentence);
        if self.accepted && beside && !sentence.has(Cue::Correct) {
            return true;
        }
        // "Tomorrow is a holiday, no."
        self.refused.iter().any(|said| {
            slot.day.is_none_or(|day| said.slot.day == Some(day))
                && slot.clock.is_none_or(|clock| {
                    said.slot.clock.is_some_and(|c| c.hour == clock.hour && c.minute == clock.minute)
                })
        })
    }

    /// Whether a time that nothing is said of is meant for the call.
    fn takes_open(&self, slot: &Slot, sentence: &Sentence<'_>, leads: bool) -> bool {
        if self.is_another_matter(slot, sentence) {
            return false;
        }
        let few = sentence.slots().count() <= 2;
        let settled = self.settled.as_ref().is_some_and(|said| said.slot.is_exact());
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
        let only_a_part = slot.day.is_none() && !slot.is_exact();
        if slot.is_loose() || only_a_part {
            return few && about && sentence.spare < 4;
        }
        // A day alone does not unsettle an hour.
        if settled && !slot.is_exact() && !expected && !self.completes(slot, sentence) {
            return false;
        }
        // Once a time is settled, another needs a reason.
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

    /// "Call me after that", "call me then": the time is that of something else.
    fn points_back(&mut self, heard: &Heard<'_>, sentence: &Sentence<'_>) -> bool {
        if self.fallback || sentence.has(Cue::Fallback) {
            return false;
        }
        let Some(that) = self.pointed_at() else { return false };
        let calls =
            self.when || sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk, Cue::Works, Cue::Propose]);
        let exact =
            self.settled.as_ref().is_some_and(|said| said.slot.clock.is_some() || said.slot.length.is_some());
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
        self.take(Said { slot, that: Some(that), place: heard.place(item), choice: false, asked: false });
        true
    }

    /// Whether the agent has offered that hour, among others.
    fn was_offered(&self, slot: &Slot) -> bool {
        self.offers.iter().any(|said| said.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// Whether the agent has just proposed that hour.
    fn was_proposed(&self, slot: &Slot) -> bool {
        self.heard.iter().any(|said| said.slot.clock.zip(slot.clock).is_some_and(|(a, b)| a.agrees(b)))
    }

    /// Whether it is the clock time that is settled on.
    fn is_settled(&self, slot: &Slot) -> bool {
        let known = self.settled.as_ref().and_then(|said| said.slot.clock);
        slot.clock.zip(known).is_some_and(|(a, b)| a.agrees(b))
    }

    /// A sentence that names no time for the call may still end all talk of one.
    fn without_a_time(&mut self, sentence: &Sentence<'_>) {
        if sentence.has(Cue::CallOther) {
            self.drop_all();
        }
        let last = sentence
            .items
            .iter()
            .rfind(|i| i.slot().is_some_and(|s| !s.is_empty()) || i.cue() == Some(Cue::NoCall));
        // "Oh, you're a robot, never mind" takes nothing back.
        let aside =
            self.agreed && sentence.spare > 2 && !sentence.has_any(&[Cue::CallMe, Cue::Callback, Cue::Talk]);
        if last.is_some_and(|i| i.cue() == Some(Cue::NoCall)) && !aside {
            self.drop_all();
        }
    }

    /// Not then: what was settled on just that is settled no more.
    fn refuse(&mut self, slot: &Slot) {
        let clash = self.settled.as_ref().is_some_and(|said| {
            slot.day.is_none_or(|day| said.slot.day == Some(day))
                && slot.clock.is_none_or(|clock| said.slot.clock.is_some_and(|c| c.hour == clock.hour))
        });
        if clash {
            self.settled = None;
            self.agreed = false;
        }
    }
}

/// The time that "then", "after that" or "before that" is.
fn at_that(that: &Slot, bound: Bound) -> Slot {
    let mut slot = Slot { bound, ..that.clone() };
    match bound {
        Bound::At if that.until.is_some() => slot.bound = Bound::Between,
        Bound::At if that.clock.is_some_and(|c| c.about) => slot.bound = Bound::About,
        // After a meeting from three to four is after four.
        Bound::After => slot.clock = that.until.or(that.clock),
        _ => {}
    }
    if bound != Bound::At {
        slot.until = None;
    }
    slot
}

/// "Don't call before ten" wants a call after it.
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

/// Whether a call is asked for when something is over: "have her call when my shift ends".
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
        && cue == Some(Cue::Ask)
        && back.next().is_some_and(|cue| matches!(cue, Cue::CallMe | Cue::Callback))
}

/// What is said of a time behind it, but for a "no".
fn said_of(rest: &[Item]) -> Option<Cue> {
    let cues = || rest.iter().take_while(|i| i.slot().is_none()).filter_map(Item::cue);
    // "Half one, on my lunch, yeah."
    cues()
        .find(|cue| matches!(cue, Cue::Yes | Cue::Works))
        .or_else(|| cues().find(|cue| !matches!(cue, Cue::No | Cue::Not | Cue::AtThat)))
}

/// Whether what is said of an event behind a time has a time of its own.
fn has_its_own(rest: &[Item]) -> bool {
    let mut rest = rest.iter().skip_while(|i| i.cue() == Some(Cue::Event)).peekable();
    rest.peek().is_some_and(|i| i.slot().is_some())
}

/// "Half an hour after that".
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

/// "Actually, I've got ten minutes": the call is had right now.
fn has_minutes(sentence: &Sentence<'_>) -> bool {
    sentence.has(Cue::Correct)
        && sentence.items.windows(2).any(|pair| {
            let minutes = |slot: &Slot| slot.length.is_some_and(|l| !l.led && l.unit == Unit::Minutes);
            pair[0].cue() == Some(Cue::Have) && pair[1].slot().is_some_and(minutes)
        })
}

/// "This week" is mostly where somebody is, not when to call.
fn only_a_week(slot: &Slot) -> bool {
    matches!(slot.day, Some(Day::Week(_, 0))) && !slot.is_exact() && slot.of.is_none()
}

/// "Push it an hour": by how much.
fn later(items: &[Item]) -> Option<Length> {
    let at = items.iter().position(|i| i.cue() == Some(Cue::Later))?;
    items[at..].iter().find_map(|i| i.slot().and_then(|slot| slot.length))
}

/// A clock time moved on.
fn shifted(mut slot: Slot, length: Length) -> Slot {
    let minutes = match length.unit {
        Unit::Minutes => length.least,
        Unit::Hours => length.least * 60.0,
        _ => return slot,
    } as i32;
    if let Some(clock) = &mut slot.clock {
        let all = i32::from(clock.hour) * 60 + i32::from(clock.minute) + minutes;
        clock.hour = (all / 60 % 24) as i8;
        clock.minute = (all % 60) as i8;
    }
    slot
}
