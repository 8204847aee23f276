//! Classifies what a time refers to, by the cues around it in its sentence.

use crate::{
    Role,
    cue::Cue,
    part::{Bound, Day},
    sentence::{Item, ItemKind},
    slot::Slot,
};

/// The referent of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Referent {
    /// The call to be made.
    Call,
    /// Perhaps the call: no cue decides, and the time may answer or replace another.
    Open,
    /// A time that is ruled out.
    Refused,
    /// Something else, which "then" and "after that" may refer to.
    Other,
    /// Something in the past, or not a time.
    Irrelevant,
}

/// Classifies the slot at index `at` of a sentence's items.
pub(crate) fn classify(items: &[Item], at: usize, role: Role) -> Referent {
    let ItemKind::Slot(slot) = &items[at].kind else { return Referent::Irrelevant };
    let rest = &items[at + 1..];
    let gap = |i: &Item, j: &Item| j.first.saturating_sub(i.end);
    // The agent's "booked on Tuesday" does not refer to the Wednesday that it offers instead,
    // nor does the refusal in "ten is cutting it close" refer to the "nine fifty" after it.
    let own = |(n, i): &(usize, &Item)| {
        i.cue() != Some(Cue::Refuse)
            || role == Role::User && n.checked_sub(1).is_none_or(|k| items[k].slot().is_none())
    };
    let before = nearest_cue(items[..at].iter().enumerate().rev().filter(own).map(|(_, i)| i));
    // In "one forty, before I leave at two", two is the time of leaving, but "a quarter of an hour before I go" is for the
    // call.
    let from_reference = slot.length.is_some()
        && matches!(rest.first().and_then(Item::cue), Some(Cue::BeforeThat | Cue::AfterThat));
    if from_reference && !matches!(before, Some(Cue::Past | Cue::CallOther | Cue::Send)) {
        return Referent::Call;
    }
    if !from_reference
        && matches!(before, Some(Cue::BeforeThat | Cue::AfterThat))
        && items[..at].iter().any(|i| i.slot().is_some_and(|s| s.clock.is_some()))
    {
        return Referent::Other;
    }
    // Cues after a "great" do not refer to the time.
    let after = nearest_cue(rest.iter().take_while(|i| !matches!(i.kind, ItemKind::Cue(Cue::Yes))));
    let prefix = items[..at].last().filter(|i| gap(i, &items[at]) < 2).and_then(Item::cue);
    let suffix = rest.first().filter(|i| gap(&items[at], i) < 3).and_then(Item::cue);
    if slot.bound == Bound::Until && slot.until.is_none() {
        return Referent::Other;
    }
    // "The ones from the sixth."
    if slot.bound == Bound::From && !slot.is_exact() && matches!(slot.day, Some(Day::Nth(_) | Day::Date(..)))
    {
        return Referent::Irrelevant;
    }
    // "I've to move all this, give me forty."
    if slot.length.is_some_and(|l| l.give_me) && role == Role::User {
        return Referent::Call;
    }
    // "An hour before you close" is relative to another time.
    if slot.length.is_some_and(|l| l.from_reference != 0)
        && !matches!(before, Some(Cue::Past | Cue::CallOther | Cue::Send))
    {
        return Referent::Call;
    }
    if let Some(referent) = classify_by_neighbors(slot, role, before, (prefix, suffix), rest) {
        return referent;
    }
    match before {
        Some(cue) => classify_after_cue(cue, slot, role),
        None => match after {
            Some(Cue::CallMe) if role == Role::Agent => Referent::Irrelevant,
            Some(Cue::CallMe | Cue::Callback | Cue::Talk | Cue::Works) => Referent::Call,
            Some(Cue::CallYou | Cue::ICall) if role == Role::Agent => Referent::Call,
            Some(Cue::ICall) => Referent::Irrelevant,
            Some(Cue::CallOther | Cue::Send) => Referent::Irrelevant,
            _ => Referent::Open,
        },
    }
}

/// Classifies a slot by the cues right before and right after it; `None` if they decide nothing.
fn classify_by_neighbors(
    slot: &Slot,
    role: Role,
    before: Option<Cue>,
    (prefix, suffix): (Option<Cue>, Option<Cue>),
    rest: &[Item],
) -> Option<Referent> {
    match (prefix, suffix) {
        (Some(Cue::Not | Cue::Refuse), _) => return Some(Referent::Refused),
        // The agent's "Is eight too late?" does not refuse.
        (_, Some(Cue::Refuse)) if role == Role::User => return Some(Referent::Refused),
        (Some(Cue::NoCall), _) if !has_invertible_bound(slot) => return Some(Referent::Refused),
        (_, Some(Cue::Works | Cue::Propose))
            if role == Role::User && !matches!(before, Some(Cue::Event | Cue::Have | Cue::Past)) =>
        {
            return Some(Referent::Call);
        }
        (_, Some(Cue::Event | Cue::Hours | Cue::Visit | Cue::Past))
            if prefix != Some(Cue::Correct)
                && before.is_none_or(|c| matches!(c, Cue::Correct | Cue::Third)) =>
        {
            return Some(Referent::Other);
        }
        // "Tomorrow he's in college."
        (_, Some(Cue::Third))
            if role == Role::User
                && slot.clock.is_none()
                && before.is_none()
                && !rest
                    .iter()
                    .any(|i| matches!(i.cue(), Some(Cue::CallMe | Cue::Callback | Cue::CallYou))) =>
        {
            return Some(Referent::Other);
        }
        // "Seven thirty make it."
        (_, Some(Cue::Correct))
            if role == Role::User && slot.is_exact() && rest.get(1).is_none_or(|i| i.slot().is_none()) =>
        {
            return Some(Referent::Call);
        }
        // "Saturdays I've got my grandchildren."
        (_, Some(Cue::Have)) if role == Role::User && !slot.is_exact() && before.is_none() => {
            return Some(Referent::Other);
        }
        (Some(Cue::IsNow), _)
            if role == Role::User && (slot.clock.is_some() || matches!(slot.day, Some(Day::Weekday(..)))) =>
        {
            return Some(Referent::Irrelevant);
        }
        (_, Some(Cue::Measure)) => return Some(Referent::Irrelevant),
        _ => {}
    }
    None
}

/// Classifies a slot by the cue before it.
fn classify_after_cue(cue: Cue, slot: &Slot, role: Role) -> Referent {
    match cue {
        Cue::Have if role == Role::Agent => Referent::Open,
        Cue::Have => Referent::Other,
        // The agent wants to be called.
        Cue::CallMe if role == Role::Agent => Referent::Irrelevant,
        Cue::CallMe
        | Cue::Callback
        | Cue::Talk
        | Cue::Works
        | Cue::Propose
        | Cue::Correct
        | Cue::AfterThat
        | Cue::BeforeThat
        | Cue::AtThat
        | Cue::Later
        | Cue::Choice(_) => Referent::Call,
        Cue::CallYou | Cue::ICall if role == Role::Agent => Referent::Call,
        Cue::CallYou => Referent::Open,
        Cue::NoCall if has_invertible_bound(slot) => Referent::Call,
        Cue::NoCall => Referent::Refused,
        Cue::ICall | Cue::IDo | Cue::CallOther | Cue::Send | Cue::Measure | Cue::Past | Cue::Fallback => {
            Referent::Irrelevant
        }
        Cue::Event | Cue::Hours | Cue::Visit | Cue::Third | Cue::Refuse => Referent::Other,
        _ => Referent::Open,
    }
}

/// Whether the slot has a bound that a "don't" inverts.
fn has_invertible_bound(slot: &Slot) -> bool {
    matches!(
        slot.bound,
        Bound::Before | Bound::After | Bound::NotBefore | Bound::NotAfter | Bound::Until | Bound::From
    )
}

/// The nearest cue that decides what a time refers to.
fn nearest_cue<'i>(items: impl Iterator<Item = &'i Item>) -> Option<Cue> {
    items
        .filter_map(Item::cue)
        .find(|cue| !matches!(cue, Cue::Yes | Cue::No | Cue::AsksWhen | Cue::IsNow | Cue::Unsure | Cue::Not))
}
