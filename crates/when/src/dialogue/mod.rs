//! Decides which of the mentioned times the two sides settle on, if any.
//!
//! The same for all languages. A fold over the turns tracks the settled time, the proposals and the subject ([`talk`]);
//! each time is first classified by the cues around it ([`judge`]).
//!
//! Invariants: the time of something else (opening hours, a shift, a delivery) never becomes the answer; only
//! "after that" and similar words can refer to it. A time counts only if a call was requested, offered or taken for granted.

mod agent;
mod answer;
mod judge;
mod person;
mod person_time;
mod sentences;
mod talk;

use jiff::civil::Date;

use self::{
    judge::{Referent, classify},
    sentences::ParsedTurn,
    talk::{NamedTime, Talk},
};
use crate::{Doubt, Role, Turn, lang::Language, part::Bound, sentence::ItemKind, slot::Slot};

/// The time that the two sides settled on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) slot: Slot,
    /// The time that "that" and "then" referred to.
    pub(crate) referenced_time: Option<Slot>,
    pub(crate) range: TextRange,
    pub(crate) doubts: Vec<Doubt>,
}

/// A byte range in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TextRange {
    pub(crate) turn: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The outcome of a conversation; `None` if no call at a time was requested.
pub(crate) fn settle(turns: &[Turn], language: &dyn Language, today: Date) -> Option<Settled> {
    let mut talk = Talk::new(today);
    for (n, turn) in turns.iter().enumerate() {
        let parsed = ParsedTurn::new(&turn.content, n, language);
        match turn.role {
            Role::User => talk.handle_person_turn(&parsed),
            Role::Agent => talk.handle_agent_turn(&parsed),
        }
    }
    talk.outcome()
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
    let parsed = turns.iter().enumerate().map(|(n, turn)| ParsedTurn::new(&turn.content, n, language));
    parsed.fold(Fit { unexplained: 0, is_past: false }, |fit, parsed| Fit {
        unexplained: fit.unexplained + parsed.unexplained_with_polite(),
        is_past: fit.is_past || parsed.is_past(),
    })
}

/// Reads a text that is only a time and joins the slots that fit together. `None` for a past time.
pub(crate) fn expression(turns: &[Turn], language: &dyn Language) -> Option<Settled> {
    let mut best: Option<(u8, NamedTime)> = None;
    for (n, turn) in turns.iter().enumerate() {
        let parsed = ParsedTurn::new(&turn.content, n, language);
        if parsed.is_past() {
            return None;
        }
        for sentence in parsed.sentences() {
            for (at, item) in sentence.items.iter().enumerate() {
                let ItemKind::Slot(slot) = &item.kind else { continue };
                let rank = match classify(sentence.items, at, Role::User) {
                    _ if slot.is_loose() => 0,
                    Referent::Refused => 0,
                    Referent::Call => 3,
                    Referent::Open if slot.bound == Bound::NotBefore && !slot.is_exact() => 1,
                    Referent::Open => 2,
                    _ => 1,
                };
                let range = parsed.range_of(item);
                match &mut best {
                    Some((_, time)) if time.slot.combined_with(slot).is_some() => {
                        time.slot = time.slot.combined_with(slot).unwrap_or_default();
                        time.range.end = range.end;
                    }
                    Some((known, _)) if *known >= rank => {}
                    _ => {
                        let referenced_time = best.take().map(|(_, time)| time.slot);
                        best = Some((
                            rank,
                            NamedTime {
                                slot: slot.clone(),
                                referenced_time,
                                range,
                                is_alternative: false,
                                in_question: false,
                            },
                        ));
                    }
                }
            }
        }
    }
    let (_, time) = best.filter(|(_, time)| !time.slot.is_empty())?;
    Some(Settled {
        slot: time.slot,
        referenced_time: time.referenced_time,
        range: time.range,
        doubts: Vec::new(),
    })
}
