//! Whose phone would ring: the number to dial and the number to dial from.
//!
//! Invariant (T22): a number comes from the original call, from a chat's metadata, or, only with the
//! workspace's leave, from what was spoken. Nothing else in a payload leads to a dial.

use super::Note;
use crate::{
    Phone,
    agent::Channel,
    call::{CallFacts, Direction},
    phone::BadPhone,
    policy::Policy,
};

/// The two ends of a redial, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Whom {
    /// The person's number.
    pub person: Option<Phone>,
    /// The number to dial from; the agent's own is looked up when dialling if this is empty.
    pub from: Option<Phone>,
    /// Why there is none, or not the one that was asked for.
    pub note: Option<Note>,
}

/// Reads both ends off a call: after an inbound call the two swap, after an outbound one they stay.
pub fn whom(facts: &CallFacts, policy: &Policy) -> Whom {
    let from = facts.agent_number.as_deref().and_then(|n| Phone::parse(n).ok());
    let spoken = facts.asked.number.as_deref().filter(|n| !n.trim().is_empty());
    if let (Some(spoken), true) = (spoken, policy.spoken_numbers)
        && let Ok(phone) = Phone::parse(spoken)
    {
        return checked(phone, from, None);
    }
    // A spoken number that says the same as the call's own is no request for another.
    let called = facts.person_number.as_deref().map(Phone::parse);
    let note = match (spoken.map(Phone::parse), &called) {
        (Some(Ok(spoken)), Some(Ok(called))) if spoken == *called => None,
        (Some(_), _) => Some(Note::SpokenNumber),
        (None, _) => None,
    };
    match called {
        Some(Ok(phone)) => checked(phone, from, note),
        Some(Err(BadPhone::Premium)) => Whom { person: None, from, note: Some(Note::PremiumNumber) },
        Some(Err(BadPhone::NotE164)) => Whom { person: None, from, note: Some(Note::BadNumber) },
        None if facts.channel == Channel::Voice && facts.direction.is_none() => {
            Whom { person: None, from, note: Some(Note::WebCall) }
        }
        None => Whom { person: None, from, note: note.or(Some(Note::NoNumber)) },
    }
}

fn checked(person: Phone, from: Option<Phone>, note: Option<Note>) -> Whom {
    if from.as_ref() == Some(&person) {
        return Whom { person: None, from, note: Some(Note::OwnNumber) };
    }
    Whom { person: Some(person), from, note }
}

impl CallFacts {
    /// Whether the person called us.
    pub fn is_inbound(&self) -> bool {
        self.direction == Some(Direction::Inbound)
    }

    /// Whether the agent called the person by phone: only such calls are retried for their reason.
    pub fn is_outbound_call(&self) -> bool {
        self.channel == Channel::Voice && self.direction == Some(Direction::Outbound)
    }
}
