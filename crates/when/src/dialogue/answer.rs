//! Handles the person's answer to a proposal: yes, no, the second one, an hour later.

use super::{
    sentences::ParsedTurn,
    talk::{NamedTime, Talk},
};
use crate::{
    cue::Cue,
    part::{Length, Unit},
    sentence::Item,
    slot::Slot,
};

impl Talk {
    /// Applies the person's turn to the agent's proposals.
    pub(super) fn apply_answer(&mut self, parsed: &ParsedTurn<'_>) {
        if let Some(n) = parsed.cues().find_map(|cue| if let Cue::Choice(n) = cue { Some(n) } else { None })
            && self.settle_on_choice(n)
        {
            return;
        }
        if self.proposed.is_empty() {
            return;
        }
        if let Some(length) = requested_shift(&parsed.items) {
            if let Some(mut time) = self.proposed.pop().or_else(|| self.settled.clone()) {
                time.slot = shifted(time.slot, length);
                self.settle_on(time);
            }
            self.proposed.clear();
            return;
        }
        // After the person declined or a machine answered, a statement by the agent does not count.
        if self.declined && !self.needs_answer {
            self.proposed.clear();
            return;
        }
        let first = parsed.cues().next();
        let names_a_time = parsed.names_a_time();
        // After a time of the person's own, the "yeah" confirms that time and not the proposal.
        let named = |i: &Item| i.cue().is_some() || i.slot().is_some_and(|slot| !slot.is_empty());
        let opening_cue = parsed.items.iter().find(|i| named(i)).and_then(Item::cue);
        // A "no" to "Anything else?" does not refuse the proposal.
        let no = first == Some(Cue::No) && (!self.other_question || !self.wanted && !self.echoed)
            || self.declined && parsed.has(Cue::No);
        let refuses = no
            || matches!(first, Some(Cue::Refuse | Cue::NoCall))
            || parsed.has(Cue::Refuse)
            || parsed.has(Cue::NoCall)
            || parsed.has(Cue::Unsure) && !names_a_time;
        let accepts = matches!(opening_cue, Some(Cue::Yes | Cue::Works))
            || (parsed.has(Cue::Works) && !names_a_time)
            || parsed.is_empty();
        // "Let me have a look. No, canceled. So yes, go on then."
        let ends_with_yes = self.needs_answer
            && parsed
                .sentences()
                .last()
                .is_some_and(|s| s.has(Cue::Yes) && s.unexplained == 0 && s.slots().count() == 0);
        let accepts = accepts || ends_with_yes && !parsed.has(Cue::Refuse);
        if refuses && !accepts {
            self.refused.clone_from(&self.proposed);
            self.offered_call &= !parsed.has(Cue::NoCall) && (names_a_time || self.wanted || !no);
            if self.needs_answer
                && !names_a_time
                && self.settled.is_none()
                && matches!(first, Some(Cue::NoCall))
            {
                self.declined = true;
            }
        } else if (accepts
            || (!self.needs_answer
                && (!names_a_time || self.echoed)
                && (self.is_about_a_call() || self.promised)))
            && let Some(time) = self.preferred()
        {
            self.accepted = accepts;
            self.settle_on(time);
            if !self.person_objected && (!names_a_time || self.echoed || self.names_only_settled_time(parsed))
            {
                self.agree();
            }
        }
        self.proposed.clear();
    }

    /// Whether the turn names no time except the settled one.
    fn names_only_settled_time(&self, parsed: &ParsedTurn<'_>) -> bool {
        let mut slots = parsed.items.iter().filter_map(Item::slot).filter(|slot| !slot.is_empty());
        slots.all(|slot| slot.day.is_none() && self.has_settled_clock(slot))
    }

    /// The preferred proposal: the first of several alternatives, else the last one, which is the most complete.
    fn preferred(&self) -> Option<NamedTime> {
        let choice = self.proposed.iter().find(|time| time.is_alternative);
        choice.or(self.proposed.last()).cloned()
    }

    /// Settles on the chosen alternative ("the second one"); returns whether it exists.
    fn settle_on_choice(&mut self, n: i8) -> bool {
        let from = if self.proposed.len() > 1 { &self.proposed } else { &self.last_alternatives };
        let at = if n < 0 { from.len().checked_sub(1) } else { usize::try_from(n - 1).ok() };
        let Some(chosen) = at.and_then(|at| from.get(at)).cloned() else { return false };
        self.settle_on(chosen);
        self.proposed.clear();
        true
    }
}

/// The length of the shift in "push it an hour".
fn requested_shift(items: &[Item]) -> Option<Length> {
    let at = items.iter().position(|i| i.cue() == Some(Cue::Later))?;
    items[at..].iter().find_map(|i| i.slot().and_then(|slot| slot.length))
}

/// Moves the clock time of a slot later.
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
