//! Whose phone would ring: the number to dial and the number to dial from.
//!
//! Invariant (T22): a number comes from the original call, from a chat's metadata, or, only with the
//! workspace's leave, from what was spoken. Nothing else in a payload leads to a dial.

use super::Note;
use crate::{
    Phone,
    agent::Channel,
    call::{CallFacts, Direction},
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
        Some(Err(why)) if why.is_costly() => Whom { person: None, from, note: Some(Note::PremiumNumber) },
        Some(Err(_)) => Whom { person: None, from, note: Some(Note::BadNumber) },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::Version,
        call::{Asked, Moment},
    };

    const CALLED: &str = "+14155550117";
    const OTHER: &str = "+14155550118";
    const OURS: &str = "+12025550100";

    fn check(
        called: Option<&str>,
        spoken: Option<&str>,
        leave: bool,
        person: Option<&str>,
        note: Option<Note>,
    ) {
        let facts = CallFacts {
            call_id: "c".to_owned(),
            moment: Moment::Analyzed,
            channel: Channel::Voice,
            direction: Some(Direction::Inbound),
            person_number: called.map(str::to_owned),
            agent_number: Some(OURS.to_owned()),
            agent: None,
            version: Version::LatestPublished,
            started_at: None,
            ended_at: None,
            outcome: None,
            in_voicemail: false,
            asked: Asked { callback: true, number: spoken.map(str::to_owned), ..Asked::default() },
            variables: [].into(),
            metadata: None,
            tags: None,
        };
        let whom = whom(&facts, &Policy { spoken_numbers: leave, ..Policy::default() });
        assert_eq!(
            (whom.person.as_ref().map(Phone::e164), whom.note),
            (person, note),
            "{called:?} {spoken:?} {leave}"
        );
        assert_eq!(whom.from.as_ref().map(Phone::e164), Some(OURS));
    }

    #[test]
    fn only_the_calls_own_number_is_dialled_unless_the_workspace_allows_spoken_ones() {
        check(Some(CALLED), None, false, Some(CALLED), None);
        check(Some(CALLED), Some(OTHER), false, Some(CALLED), Some(Note::SpokenNumber));
        check(Some(CALLED), Some(OTHER), true, Some(OTHER), None);
        check(Some(CALLED), Some("+1 415 555 0117"), false, Some(CALLED), None);
        check(Some("anonymous"), Some(OTHER), true, Some(OTHER), None);
        check(Some(CALLED), Some("five five five"), true, Some(CALLED), Some(Note::SpokenNumber));
        check(None, Some(OTHER), false, None, Some(Note::SpokenNumber));
    }

    #[test]
    fn what_must_not_be_dialled_is_said() {
        check(None, None, false, None, Some(Note::NoNumber));
        check(Some("anonymous"), None, false, None, Some(Note::BadNumber));
        check(Some("+19005550117"), None, false, None, Some(Note::PremiumNumber));
        check(Some(OURS), None, false, None, Some(Note::OwnNumber));
        check(Some(CALLED), Some(OURS), true, None, Some(Note::OwnNumber));
    }
}
