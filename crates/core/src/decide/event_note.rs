//! Notes on an event that explain why nothing, or something unexpected, followed from it.
use std::str::FromStr;

use crate::UnknownName;

/// One note on an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventNote {
    /// The body is JSON, but not an event that redialer can parse.
    Unreadable,
    /// A web call: there is no number to dial.
    WebCall,
    /// The event has no number for the person.
    NoNumber,
    /// The person's number may not be dialed.
    BadNumber,
    /// The person's number costs extra to call.
    PremiumNumber,
    /// The person's number is one of the workspace's own numbers.
    OwnNumber,
    /// A number was only spoken, and the workspace does not dial such numbers.
    SpokenNumber,
    /// The agent of the call is not in the roster.
    AgentMissing,
    /// The agent of the call is disabled.
    AgentDisabled,
    /// The number is on the do-not-call list.
    DoNotCall,
    /// The person has since made a newer request.
    NewerRequest,
    /// Another callback to this person is pending.
    PromisePending,
    /// The person reached an agent after the failed call.
    ReachedSince,
    /// The chain has no attempt left.
    NoAttemptLeft,
    /// Retries for this trigger are disabled.
    TriggerOff,
    /// The same reason twice in a row, of a kind that is not retried a second time.
    NotTwice,
    /// The provider gave a reason unknown to this version.
    UnknownReason,
    /// The requested time was not understood with enough confidence.
    UnclearTime,
    /// The metadata names a dispatch that does not belong to this workspace.
    ForeignDispatch,
    /// The provider reported the number as a dead end, or refused its carrier.
    Unreachable,
    /// Processing the event kept failing, so it was set aside.
    SetAside,
    /// The dial ended unresolved before this event arrived.
    Unresolved,
    /// The analysis has no readable answer to whether a callback was requested.
    NoRequest,
    /// The analysis contains a request, but no person was reached.
    NoPerson,
    /// The callback was moved out of quiet time.
    MovedByQuietHours,
    /// The person's number is in a country that the workspace does not call.
    Country,
    /// The agent only observes.
    Observed,
}

impl EventNote {
    /// Every note.
    pub const ALL: [Self; 27] = [
        Self::Unreadable,
        Self::WebCall,
        Self::NoNumber,
        Self::BadNumber,
        Self::PremiumNumber,
        Self::OwnNumber,
        Self::SpokenNumber,
        Self::AgentMissing,
        Self::AgentDisabled,
        Self::DoNotCall,
        Self::NewerRequest,
        Self::PromisePending,
        Self::ReachedSince,
        Self::NoAttemptLeft,
        Self::TriggerOff,
        Self::NotTwice,
        Self::UnknownReason,
        Self::UnclearTime,
        Self::ForeignDispatch,
        Self::Unreachable,
        Self::SetAside,
        Self::Unresolved,
        Self::NoRequest,
        Self::NoPerson,
        Self::MovedByQuietHours,
        Self::Country,
        Self::Observed,
    ];

    /// The stable code of the note.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::WebCall => "web_call",
            Self::NoNumber => "no_number",
            Self::BadNumber => "bad_number",
            Self::PremiumNumber => "premium_number",
            Self::OwnNumber => "own_number",
            Self::SpokenNumber => "spoken_number",
            Self::AgentMissing => "agent_missing",
            Self::AgentDisabled => "agent_disabled",
            Self::DoNotCall => "do_not_call",
            Self::NewerRequest => "newer_request",
            Self::PromisePending => "promise_pending",
            Self::ReachedSince => "reached_since",
            Self::NoAttemptLeft => "no_attempt_left",
            Self::TriggerOff => "trigger_off",
            Self::NotTwice => "not_twice",
            Self::UnknownReason => "unknown_reason",
            Self::UnclearTime => "unclear_time",
            Self::ForeignDispatch => "foreign_dispatch",
            Self::Unreachable => "unreachable",
            Self::SetAside => "set_aside",
            Self::Unresolved => "unresolved",
            Self::NoRequest => "no_request",
            Self::NoPerson => "no_person",
            Self::MovedByQuietHours => "moved_by_quiet_hours",
            Self::Country => "country",
            Self::Observed => "observed",
        }
    }

    /// The note as a sentence that names the fix, where there is one.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Unreadable => "The body is JSON but not an event of this provider, so it was ignored.",
            Self::WebCall => "A web call has no phone number, so it is never dialed.",
            Self::NoNumber => {
                "The event has no number of the person. For chats, put `redialer_user_number` into the metadata."
            }
            Self::BadNumber => "The person's number in the event is not a phone number that can be dialed.",
            Self::PremiumNumber => "The person's number is premium-rate and is never dialed.",
            Self::OwnNumber => "The person's number is one of this workspace's own numbers.",
            Self::SpokenNumber => {
                "The number was only spoken. Set `spoken_numbers` in the workspace's defaults to dial spoken numbers."
            }
            Self::AgentMissing => "The agent is not in the roster. Sync the workspace.",
            Self::AgentDisabled => "The agent is disabled. Enable it to dial its callbacks.",
            Self::DoNotCall => "The number is on the do-not-call list.",
            Self::NewerRequest => "The person has made a newer request since, which stays in force.",
            Self::PromisePending => "Another callback to this person is pending, so no retry was added.",
            Self::ReachedSince => "The person reached us after that call, so no retry was added.",
            Self::NoAttemptLeft => "The chain has no attempt left.",
            Self::TriggerOff => "Retries of this kind are disabled in the settings.",
            Self::NotTwice => "The same outcome occurred twice in a row, so no retry was added.",
            Self::UnknownReason => {
                "The provider reported an outcome reason that this version does not know, so the chain ended."
            }
            Self::UnclearTime => {
                "The requested time was not understood, so the setting `unclear_time` was applied."
            }
            Self::ForeignDispatch => "The metadata names a dispatch of another workspace, so it was ignored.",
            Self::Unreachable => "The number cannot be reached this way, so no retry was added.",
            Self::SetAside => {
                "The event could not be processed in five tries and was quarantined; other events are not affected."
            }
            Self::Unresolved => {
                "The dial had ended unresolved before this event arrived, so no retry was added. Force the callback to dial again."
            }
            Self::NoRequest => {
                "The analysis has no readable answer to whether a callback was requested. Add the Boolean that `callback_field` names to the agent's post-call analysis."
            }
            Self::NoPerson => {
                "The analysis reports a request for a callback, but no person was reached in this call, so the request does not count."
            }
            Self::MovedByQuietHours => {
                "The callback would have been due in quiet hours, so it was moved to their end."
            }
            Self::Country => {
                "The number's country is not in `allowed_countries`, so the callback is held until a person reschedules or forces it."
            }
            Self::Observed => {
                "The agent only observes: the callback is recorded and shown, but will not be dialed. Set `observe` to false to have callbacks dialed."
            }
        }
    }
}

impl FromStr for EventNote {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|n| n.as_str() == name).ok_or(UnknownName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_is_found_by_its_code_and_is_a_sentence() {
        for note in EventNote::ALL {
            assert_eq!(note.as_str().parse(), Ok(note));
            assert!(note.description().ends_with('.'), "{note:?}");
        }
    }
}
