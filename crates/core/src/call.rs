//! Facts about a call, parsed from a provider's payload.
//!
//! Every field that a provider may omit is optional. Numbers are still text here: a later step decides whether a number
//! may be dialed, and a number that may not be dialed gives a note, not an error.
//! Deliberately absent: the conversation. It is most of a payload and few decisions need it, so it is read on demand.

use std::{collections::BTreeMap, fmt};

pub use redialer_when::{Role, Turn};

use crate::{
    Timestamp,
    agent::{Channel, Version},
    outcome::Outcome,
};

/// The phase of a call that an event reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPhase {
    /// The two sides are connected.
    Started,
    /// The call has ended.
    Ended,
    /// The call was analyzed; the analysis contains any request for a callback.
    Analyzed,
    /// Any event that requires no action.
    Other,
}

/// The direction of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The person called the agent.
    Inbound,
    /// The agent called the person.
    Outbound,
}

/// One event's view of one call.
#[derive(Clone)]
pub struct CallFacts {
    /// The provider's id of the call or chat.
    pub call_id: String,
    /// The phase that the event reports.
    pub moment: CallPhase,
    /// Phone call or chat.
    pub channel: Channel,
    /// Who called whom; `None` for chats and web calls.
    pub direction: Option<Direction>,
    /// The person's number as the provider gave it.
    pub person_number: Option<String>,
    /// The agent's number as the provider gave it.
    pub agent_number: Option<String>,
    /// The provider's id of the agent in the call.
    pub agent: Option<String>,
    /// The version of that agent to dial with.
    pub version: Version,
    /// When the two sides were connected.
    pub started_at: Option<Timestamp>,
    /// When the call ended (chats: when the person last wrote). Delays and relative times count from here.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub outcome: Option<Outcome>,
    /// The analysis detected a machine.
    pub in_voicemail: bool,
    /// The person's request, according to the analysis.
    pub request: CallbackRequest,
    /// The dynamic variables that the call was started with.
    pub variables: BTreeMap<String, String>,
    /// The metadata that the call was started with: a JSON object as text.
    pub metadata: Option<String>,
    /// The ids that redialer put into that metadata, if it placed the call.
    pub tags: Option<Tags>,
}

/// The person's request, according to the analysis.
#[derive(Clone, Default)]
pub struct CallbackRequest {
    /// Whether a callback was requested: `answer` is [`CallbackAnswer::Yes`].
    pub callback: bool,
    /// The value of the extraction that `callback_field` names.
    pub answer: CallbackAnswer,
    /// The requested time: ISO 8601 or words.
    pub time: Option<String>,
    /// The requested number.
    pub number: Option<String>,
    /// The names of the custom extractions in the payload, sorted: at most 20, of at most 60 characters each.
    pub extractions: Vec<String>,
}

/// The value of the extraction that `callback_field` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallbackAnswer {
    /// A callback was requested.
    Yes,
    /// No callback was requested.
    No,
    /// No extraction has that name, or its value is null or blank.
    #[default]
    Absent,
    /// The value is neither yes nor no.
    Unreadable,
}

/// The ids in the call's metadata: unverified until the store finds the dispatch in the same workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// `redialer_dispatch`.
    pub dispatch: String,
    /// `redialer_id`: the callback.
    pub callback: Option<String>,
}

impl CallFacts {
    /// A call without any further facts.
    pub fn new(call_id: String, moment: CallPhase, channel: Channel) -> Self {
        Self {
            call_id,
            moment,
            channel,
            direction: None,
            person_number: None,
            agent_number: None,
            agent: None,
            version: Version::LatestPublished,
            started_at: None,
            ended_at: None,
            outcome: None,
            in_voicemail: false,
            request: CallbackRequest::default(),
            variables: BTreeMap::new(),
            metadata: None,
            tags: None,
        }
    }

    /// Whether the person called the agent.
    pub fn is_inbound(&self) -> bool {
        self.direction == Some(Direction::Inbound)
    }

    /// Whether the agent called the person by phone. Only such calls are retried for their outcome.
    pub fn is_outbound_call(&self) -> bool {
        self.channel == Channel::Voice && self.direction == Some(Direction::Outbound)
    }
}

impl fmt::Debug for CallFacts {
    /// Shows only fields that may appear in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFacts")
            .field("call_id", &self.call_id)
            .field("moment", &self.moment)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_phone_call_to_the_person_counts_as_outbound() {
        let call = |channel, direction| {
            let facts = CallFacts { direction, ..CallFacts::new("c1".to_owned(), CallPhase::Ended, channel) };
            (facts.is_inbound(), facts.is_outbound_call())
        };
        assert_eq!(call(Channel::Voice, Some(Direction::Inbound)), (true, false));
        assert_eq!(call(Channel::Voice, Some(Direction::Outbound)), (false, true));
        assert_eq!(call(Channel::Chat, Some(Direction::Outbound)), (false, false));
        assert_eq!(call(Channel::Voice, None), (false, false));
    }

    #[test]
    fn a_log_shows_no_number() {
        let facts = CallFacts::new("c1".to_owned(), CallPhase::Ended, Channel::Voice);
        let facts = CallFacts { agent_number: Some("+12025550123".to_owned()), ..facts };
        let shown = format!("{facts:?}");
        assert!(shown.contains("c1") && !shown.contains("2025550123"), "{shown}");
    }
}
