//! Decides which of the mentioned times the two sides settle on, if any.
//!
//! The same for all languages. A fold over the turns tracks the settled time, the proposals and the subject ([`talk`]);
//! each time is first classified by the cues around it ([`judge`]).
//!
//! Invariants: the time of something else (opening hours, a shift, a delivery) never becomes the answer; at most
//! "after that" refers to it. A time counts only if a call was requested, offered or taken for granted.

mod agent;
mod answer;
mod claim;
mod judge;
mod person;
mod sentences;
mod talk;

use jiff::civil::Date;

use self::{
    judge::{Sense, sense},
    sentences::Heard,
    talk::{NamedTime, Talk},
};
use crate::{Doubt, Role, Turn, lang::Language, part::Bound, sentence::What, slot::Slot};

/// The time that the two sides settled on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) slot: Slot,
    /// The time that "that" and "then" referred to.
    pub(crate) that: Option<Slot>,
    pub(crate) place: Place,
    pub(crate) doubts: Vec<Doubt>,
}

/// The position of words: a turn and a byte range in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) turn: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The outcome of a conversation; `None` if no call at a time was requested.
pub(crate) fn settle(turns: &[Turn], language: &dyn Language, today: Date) -> Option<Settled> {
    let mut talk = Talk::new(today);
    for (n, turn) in turns.iter().enumerate() {
        let heard = Heard::new(&turn.content, n, language);
        match turn.role {
            Role::User => talk.person(&heard),
            Role::Agent => talk.agent(&heard),
        }
    }
    talk.end()
}

/// How well a text that is only a time fits a language.
pub(crate) struct Fit {
    /// The number of words that the language does not explain.
    pub(crate) unexplained: usize,
    /// Whether the text names a past time.
    pub(crate) is_past: bool,
}

/// Computes how well a text that is only a time fits a language.
pub(crate) fn fit(turns: &[Turn], language: &dyn Language) -> Fit {
    let heard = turns.iter().enumerate().map(|(n, turn)| Heard::new(&turn.content, n, language));
    heard.fold(Fit { unexplained: 0, is_past: false }, |fit, heard| Fit {
        unexplained: fit.unexplained + heard.unexplained(),
        is_past: fit.is_past || heard.is_past(),
    })
}

/// Reads a text that is only a time and joins the slots that fit together. `None` for a past time.
pub(crate) fn expression(turns: &[Turn], language: &dyn Language) -> Option<Settled> {
    let mut best: Option<(u8, NamedTime)> = None;
    for (n, turn) in turns.iter().enumerate() {
        let heard = Heard::new(&turn.content, n, language);
        if heard.is_past() {
            return None;
        }
        for sentence in heard.sentences() {
            for (at, item) in sentence.items.iter().enumerate() {
                let What::Slot(slot) = &item.what else { continue };
                let rank = match sense(sentence.items, at, Role::User) {
                    _ if slot.is_loose() => 0,
                    Sense::Refused => 0,
                    Sense::Call => 3,
                    Sense::Open if slot.bound == Bound::NotBefore && !slot.is_exact() => 1,
                    Sense::Open => 2,
                    _ => 1,
                };
                let place = heard.place(item);
                match &mut best {
                    Some((_, time)) if time.slot.with(slot).is_some() => {
                        time.slot = time.slot.with(slot).unwrap_or_default();
                        time.place.end = place.end;
                    }
                    Some((known, _)) if *known >= rank => {}
                    _ => {
                        let that = best.take().map(|(_, time)| time.slot);
                        best = Some((
                            rank,
                            NamedTime { slot: slot.clone(), that, place, choice: false, in_question: false },
                        ));
                    }
                }
            }
        }
    }
    let (_, time) = best.filter(|(_, time)| !time.slot.is_empty())?;
    Some(Settled { slot: time.slot, that: time.that, place: time.place, doubts: Vec::new() })
}
