//! What a time is said of: judged by the signals around it, within its sentence.

use crate::{
    Role,
    cue::Cue,
    part::{Bound, Day},
    sentence::{Item, What},
    slot::Slot,
};

/// What a time is said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sense {
    /// The call to be made.
    Call,
    /// It may be: nothing says what of, and it replaces or answers something.
    Open,
    /// Not at this time.
    Refused,
    /// Something else, which "then" and "after that" may mean.
    Other,
    /// Something that is over, or no time at all.
    Nothing,
}

/// Judges the slot at `at` of a sentence's items.
pub(crate) fn sense(items: &[Item], at: usize, role: Role) -> Sense {
    let What::Slot(slot) = &items[at].what else { return Sense::Nothing };
    let rest = &items[at + 1..];
    let gap = |i: &Item, j: &Item| j.first.saturating_sub(i.end);
    // The agent's "booked on Tuesday" says nothing of the Wednesday that it offers instead.
    // Nor does "ten is cutting it close" say anything of the "nine fifty" behind it.
    let own = |(n, i): &(usize, &Item)| {
        i.cue() != Some(Cue::Refuse)
            || role == Role::User && n.checked_sub(1).is_none_or(|k| items[k].slot().is_none())
    };
    let before = head(items[..at].iter().enumerate().rev().filter(own).map(|(_, i)| i));
    // "One forty, before I leave at two": that is when they leave; "a quarter of an hour before I go" is its own.
    let from_that = slot.length.is_some()
        && matches!(rest.first().and_then(Item::cue), Some(Cue::BeforeThat | Cue::AfterThat));
    if from_that && !matches!(before, Some(Cue::Past | Cue::CallOther | Cue::Send)) {
        return Sense::Call;
    }
    if !from_that
        && matches!(before, Some(Cue::BeforeThat | Cue::AfterThat))
        && items[..at].iter().any(|i| i.slot().is_some_and(|s| s.clock.is_some()))
    {
        return Sense::Other;
    }
    // A "great" behind it ends what is said of it.
    let after = head(rest.iter().take_while(|i| !matches!(i.what, What::Cue(Cue::Yes))));
    let prefix = items[..at].last().filter(|i| gap(i, &items[at]) < 2).and_then(Item::cue);
    let suffix = rest.first().filter(|i| gap(&items[at], i) < 3).and_then(Item::cue);
    if slot.bound == Bound::Until && slot.until.is_none() {
        return Sense::Other;
    }
    // "The ones from the sixth."
    if slot.bound == Bound::From && !slot.is_exact() && matches!(slot.day, Some(Day::Nth(_) | Day::Date(..)))
    {
        return Sense::Nothing;
    }
    // "I've to move all this, give me forty."
    if slot.length.is_some_and(|l| l.given) && role == Role::User {
        return Sense::Call;
    }
    // "An hour before you close" has its own hour from that.
    if slot.length.is_some_and(|l| l.from_that != 0)
        && !matches!(before, Some(Cue::Past | Cue::CallOther | Cue::Send))
    {
        return Sense::Call;
    }
    match (prefix, suffix) {
        (Some(Cue::Not | Cue::Refuse), _) => return Sense::Refused,
        // "Is eight too late?" refuses nothing yet.
        (_, Some(Cue::Refuse)) if role == Role::User => return Sense::Refused,
        (Some(Cue::NoCall), _) if !bounds(slot) => return Sense::Refused,
        (_, Some(Cue::Works | Cue::Propose))
            if role == Role::User && !matches!(before, Some(Cue::Event | Cue::Have | Cue::Past)) =>
        {
            return Sense::Call;
        }
        (_, Some(Cue::Event | Cue::Hours | Cue::Visit | Cue::Past))
            if prefix != Some(Cue::Correct)
                && before.is_none_or(|c| matches!(c, Cue::Correct | Cue::Third)) =>
        {
            return Sense::Other;
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
            return Sense::Other;
        }
        // "Seven thirty make it."
        (_, Some(Cue::Correct))
            if role == Role::User && slot.is_exact() && rest.get(1).is_none_or(|i| i.slot().is_none()) =>
        {
            return Sense::Call;
        }
        // "Saturdays I've got my grandchildren."
        (_, Some(Cue::Have)) if role == Role::User && !slot.is_exact() && before.is_none() => {
            return Sense::Other;
        }
        (Some(Cue::IsNow), _)
            if role == Role::User && (slot.clock.is_some() || matches!(slot.day, Some(Day::Weekday(..)))) =>
        {
            return Sense::Nothing;
        }
        (_, Some(Cue::Measure)) => return Sense::Nothing,
        _ => {}
    }
    match before {
        Some(cue) => said_before(cue, slot, role),
        None => match after {
            Some(Cue::CallMe) if role == Role::Agent => Sense::Nothing,
            Some(Cue::CallMe | Cue::Callback | Cue::Talk | Cue::Works) => Sense::Call,
            Some(Cue::CallYou | Cue::ICall) if role == Role::Agent => Sense::Call,
            Some(Cue::ICall) => Sense::Nothing,
            Some(Cue::CallOther | Cue::Send) => Sense::Nothing,
            _ => Sense::Open,
        },
    }
}

/// What a signal before a slot makes of it.
fn said_before(cue: Cue, slot: &Slot, role: Role) -> Sense {
    match cue {
        Cue::Have if role == Role::Agent => Sense::Open,
        Cue::Have => Sense::Other,
        // The agent wants to be called.
        Cue::CallMe if role == Role::Agent => Sense::Nothing,
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
        | Cue::Choice(_) => Sense::Call,
        Cue::CallYou | Cue::ICall if role == Role::Agent => Sense::Call,
        Cue::CallYou => Sense::Open,
        Cue::NoCall if bounds(slot) => Sense::Call,
        Cue::NoCall => Sense::Refused,
        Cue::ICall | Cue::IDo | Cue::CallOther | Cue::Send | Cue::Measure | Cue::Past | Cue::Fallback => {
            Sense::Nothing
        }
        Cue::Event | Cue::Hours | Cue::Visit | Cue::Third | Cue::Refuse => Sense::Other,
        _ => Sense::Open,
    }
}

/// Whether it says before or after what, so that a "don't" turns it round.
fn bounds(slot: &Slot) -> bool {
    matches!(
        slot.bound,
        Bound::Before | Bound::After | Bound::NotBefore | Bound::NotAfter | Bound::Until | Bound::From
    )
}

/// The nearest signal that says what a sentence is about.
fn head<'i>(items: impl Iterator<Item = &'i Item>) -> Option<Cue> {
    items
        .filter_map(Item::cue)
        .find(|cue| !matches!(cue, Cue::Yes | Cue::No | Cue::Ask | Cue::IsNow | Cue::Unsure | Cue::Not))
}
