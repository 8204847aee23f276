//! The number to dial and the number to dial from.
//!
//! Invariant (T22): a number comes from the original call, from a chat's metadata, or, only if the workspace allows it,
//! from the conversation. No other part of a payload leads to a dial.

use super::{AfterCall, EventNote, requested_time::is_request};
use crate::{
    Phone,
    agent::{Channel, OwnNumber},
    call::{CallFacts, CallPhase},
    outcome::OutcomeClass,
    policy::Policy,
};

/// The two numbers of a redial, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Recipient {
    /// The person's number.
    pub person: Option<Phone>,
    /// The number to dial from; if `None`, the agent's own number is looked up before dialing.
    pub from: Option<Phone>,
    /// Why there is no number, or why a requested number is not used.
    pub note: Option<EventNote>,
}

/// Reads both numbers from a call. The redial of an inbound call reverses its direction; the redial of an outbound call
/// repeats it. The workspace's own numbers are never recipients.
pub fn recipient_of(facts: &CallFacts, policy: &Policy, is_own: impl Fn(&Phone) -> bool) -> Recipient {
    let from = facts.agent_number.as_deref().and_then(|n| Phone::parse(n).ok());
    let spoken = facts.request.number.as_deref().filter(|n| !n.trim().is_empty());
    if let (Some(spoken), true) = (spoken, may_follow_spoken(facts, policy))
        && let Ok(phone) = Phone::parse(spoken)
    {
        return checked(phone, from, None, is_own);
    }
    // A spoken number that equals the call's own number does not ask for another one.
    let called = facts.person_number.as_deref().map(Phone::parse);
    let note = match (spoken.map(Phone::parse), &called) {
        (Some(Ok(spoken)), Some(Ok(called))) if spoken == *called => None,
        (Some(_), _) => Some(EventNote::SpokenNumber),
        (None, _) => None,
    };
    match called {
        Some(Ok(phone)) => checked(phone, from, note, is_own),
        Some(Err(why)) if why.is_costly() => {
            Recipient { person: None, from, note: Some(EventNote::PremiumNumber) }
        }
        Some(Err(_)) => Recipient { person: None, from, note: Some(EventNote::BadNumber) },
        None if facts.channel == Channel::Voice && facts.direction.is_none() => {
            Recipient { person: None, from, note: Some(EventNote::WebCall) }
        }
        None => Recipient { person: None, from, note: note.or(Some(EventNote::NoNumber)) },
    }
}

/// Whether a spoken number may be dialed: only after a person's request, and only if the workspace allows it. Retries
/// and opt-outs always concern the number of the call.
fn may_follow_spoken(facts: &CallFacts, policy: &Policy) -> bool {
    let class = facts.outcome.as_ref().map(|outcome| outcome.class);
    let by_person = match facts.is_outbound_call() {
        true => {
            !facts.in_voicemail
                && matches!(class, Some(OutcomeClass::Conversation | OutcomeClass::CallbackRequested))
        }
        false => class != Some(OutcomeClass::OptOut),
    };
    policy.spoken_numbers && facts.moment == CallPhase::Analyzed && is_request(facts, policy) && by_person
}

/// Whether `person` may be dialed from `from`: never from itself, and never if it is one of the workspace's own
/// numbers.
pub fn may_be_dialed(person: &Phone, from: Option<&Phone>, is_own: impl Fn(&Phone) -> bool) -> bool {
    from != Some(person) && !is_own(person)
}

/// Why there is no number to dial, if the call would otherwise have led to a callback.
pub fn why_no_recipient(facts: &CallFacts, recipient: &Recipient, after: &AfterCall) -> Option<EventNote> {
    let is_wanted = facts.request.callback || facts.is_outbound_call();
    recipient.note.filter(|_| is_wanted && (after.settled || after.analyzed))
}

/// The number from which an agent dials: its outbound number in the account, else one that it answers.
pub fn number_of_agent<'n>(numbers: &'n [OwnNumber], agent: &str) -> Option<&'n OwnNumber> {
    let is_named = |agents: &[String]| agents.iter().any(|id| id == agent);
    let outbound = numbers.iter().find(|number| is_named(&number.outbound_agents));
    outbound.or_else(|| numbers.iter().find(|number| is_named(&number.inbound_agents)))
}

fn checked(
    person: Phone,
    from: Option<Phone>,
    note: Option<EventNote>,
    is_own: impl Fn(&Phone) -> bool,
) -> Recipient {
    if !may_be_dialed(&person, from.as_ref(), is_own) {
        return Recipient { person: None, from, note: Some(EventNote::OwnNumber) };
    }
    Recipient { person: Some(person), from, note }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::{CallbackRequest, Direction},
        outcome::Outcome,
    };

    const CALLED: &str = "+14155550117";
    const OTHER: &str = "+14155550118";
    const OURS: &str = "+12025550100";
    const ALSO_OURS: &str = "+12025550101";

    fn facts(called: Option<&str>, spoken: Option<&str>) -> CallFacts {
        CallFacts {
            direction: Some(Direction::Inbound),
            person_number: called.map(str::to_owned),
            agent_number: Some(OURS.to_owned()),
            request: CallbackRequest {
                callback: true,
                number: spoken.map(str::to_owned),
                ..CallbackRequest::default()
            },
            ..CallFacts::new("c".to_owned(), CallPhase::Analyzed, Channel::Voice)
        }
    }

    fn check(
        called: Option<&str>,
        spoken: Option<&str>,
        leave: bool,
        person: Option<&str>,
        note: Option<EventNote>,
    ) {
        let facts = facts(called, spoken);
        let policy = Policy { spoken_numbers: leave, ..Policy::default() };
        let recipient = recipient_of(&facts, &policy, |phone| phone.e164() == ALSO_OURS);
        assert_eq!(
            (recipient.person.as_ref().map(Phone::e164), recipient.note),
            (person, note),
            "{called:?} {spoken:?} {leave}"
        );
        assert_eq!(recipient.from.as_ref().map(Phone::e164), Some(OURS));
    }

    #[test]
    fn only_the_calls_own_number_is_dialled_unless_the_workspace_allows_spoken_ones() {
        check(Some(CALLED), None, false, Some(CALLED), None);
        check(Some(CALLED), Some(OTHER), false, Some(CALLED), Some(EventNote::SpokenNumber));
        check(Some(CALLED), Some(OTHER), true, Some(OTHER), None);
        check(Some(CALLED), Some("+1 415 555 0117"), false, Some(CALLED), None);
        check(Some("anonymous"), Some(OTHER), true, Some(OTHER), None);
        check(Some(CALLED), Some("five five five"), true, Some(CALLED), Some(EventNote::SpokenNumber));
        check(None, Some(OTHER), false, None, Some(EventNote::SpokenNumber));
    }

    #[test]
    fn a_number_that_must_not_be_dialed_is_noted() {
        check(None, None, false, None, Some(EventNote::NoNumber));
        check(Some("anonymous"), None, false, None, Some(EventNote::BadNumber));
        check(Some("+19005550117"), None, false, None, Some(EventNote::PremiumNumber));
        check(Some(OURS), None, false, None, Some(EventNote::OwnNumber));
        check(Some(CALLED), Some(OURS), true, None, Some(EventNote::OwnNumber));
        check(Some(ALSO_OURS), None, false, None, Some(EventNote::OwnNumber));
    }

    #[test]
    fn a_web_call_differs_from_a_call_or_chat_without_a_number() {
        let note = |channel, direction| {
            let facts = CallFacts { channel, direction, ..facts(None, None) };
            recipient_of(&facts, &Policy::default(), |_| false).note
        };
        assert_eq!(note(Channel::Voice, None), Some(EventNote::WebCall));
        assert_eq!(note(Channel::Voice, Some(Direction::Inbound)), Some(EventNote::NoNumber));
        assert_eq!(note(Channel::Chat, None), Some(EventNote::NoNumber));
    }

    #[test]
    fn a_missing_number_is_noted_only_if_a_callback_would_have_followed() {
        let has_note = |callback, direction, settled, analyzed| {
            let request = CallbackRequest { callback, ..CallbackRequest::default() };
            let facts = CallFacts { request, direction: Some(direction), ..facts(None, None) };
            let recipient = Recipient { person: None, from: None, note: Some(EventNote::NoNumber) };
            why_no_recipient(&facts, &recipient, &AfterCall { settled, analyzed, ..AfterCall::default() })
                .is_some()
        };
        let (inbound, outbound) = (Direction::Inbound, Direction::Outbound);
        assert!(has_note(true, inbound, false, true) && has_note(true, inbound, true, false));
        assert!(has_note(false, outbound, true, false) && has_note(false, outbound, false, true));
        assert!(!has_note(false, inbound, true, true), "nothing was wanted");
        assert!(!has_note(true, outbound, false, false), "nothing was decided");
    }

    #[test]
    fn a_spoken_number_counts_of_a_persons_request_alone() {
        let check = |want: &str, change: &dyn Fn(&mut CallFacts)| {
            let mut facts = CallFacts {
                outcome: Some(Outcome { reason: String::new(), class: OutcomeClass::Conversation }),
                ..facts(Some(CALLED), Some(OTHER))
            };
            change(&mut facts);
            let policy = Policy { spoken_numbers: true, ..Policy::default() };
            assert_eq!(recipient_of(&facts, &policy, |_| false).person.as_ref().map(Phone::e164), Some(want));
        };
        let ends = |facts: &mut CallFacts, class| {
            facts.direction = Some(Direction::Outbound);
            facts.outcome = Some(Outcome { reason: String::new(), class });
        };
        check(OTHER, &|_| {});
        check(OTHER, &|f| ends(f, OutcomeClass::Conversation));
        check(OTHER, &|f| ends(f, OutcomeClass::CallbackRequested));
        // An opt-out, an inconclusive outcome, a voicemail, an event before the analysis, no request.
        check(CALLED, &|f| ends(f, OutcomeClass::OptOut));
        check(CALLED, &|f| f.outcome = Some(Outcome { reason: String::new(), class: OutcomeClass::OptOut }));
        check(CALLED, &|f| ends(f, OutcomeClass::Unknown));
        check(CALLED, &|f| {
            ends(f, OutcomeClass::Conversation);
            f.in_voicemail = true;
        });
        check(CALLED, &|f| f.moment = CallPhase::Ended);
        check(CALLED, &|f| f.request.callback = false);
    }

    #[test]
    fn an_agent_dials_from_its_outbound_number_else_from_one_it_answers() {
        let number = |number: &str, inbound: &[&str], outbound: &[&str]| OwnNumber {
            id: None,
            number: number.to_owned(),
            inbound_agents: inbound.iter().map(|id| (*id).to_owned()).collect(),
            outbound_agents: outbound.iter().map(|id| (*id).to_owned()).collect(),
        };
        let numbers = [number("1", &["a", "b"], &[]), number("2", &[], &["a"]), number("3", &["b"], &["a"])];
        let of = |agent| number_of_agent(&numbers, agent).map(|number| number.number.as_str());
        assert_eq!([of("a"), of("b"), of("c")], [Some("2"), Some("1"), None]);
    }
}
