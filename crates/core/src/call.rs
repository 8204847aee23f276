//! What a provider told us about a call: read from its payload, in our words.
//!
//! Every field a provider may leave out is optional. Numbers are still text here: whether one may be dialled
//! is decided later, and a number that may not is a note, not an error.
//! Absent on purpose: the conversation. It is most of a payload, and few decisions look at it: those ask for it.

use std::{collections::BTreeMap, fmt};

pub use redialer_when::{Role, Turn};

use crate::{
    Timestamp,
    agent::{Channel, Version},
    outcome::Outcome,
};

/// Which moment of a call an event speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPhase {
    /// The two sides are connected.
    Started,
    /// It is over.
    Ended,
    /// It was analysed; what the person asked for is known.
    Analyzed,
    /// Anything from which nothing follows.
    Other,
}

/// Who called whom.
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
    /// Which moment the event speaks of.
    pub moment: CallPhase,
    /// Phone call or chat.
    pub channel: Channel,
    /// Who called whom; `None` for chats and web calls.
    pub direction: Option<Direction>,
    /// The person's number as the provider gave it.
    pub person_number: Option<String>,
    /// The agent's number as the provider gave it.
    pub agent_number: Option<String>,
    /// The provider's id of the agent that spoke.
    pub agent: Option<String>,
    /// The version of that agent to dial with.
    pub version: Version,
    /// When the two sides were connected.
    pub started_at: Option<Timestamp>,
    /// When it was over (chats: when the person last wrote). Delays and "in two hours" count from here.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub outcome: Option<Outcome>,
    /// The analysis found a machine.
    pub in_voicemail: bool,
    /// What the analysis says the person asked for.
    pub asked: Asked,
    /// The dynamic variables the call was made with.
    pub variables: BTreeMap<String, String>,
    /// The metadata the call was made with: a JSON object as text.
    pub metadata: Option<String>,
    /// The ids we put into that metadata, when this is a dial of ours.
    pub tags: Option<Tags>,
}

/// What the analysis says the person asked for.
#[derive(Clone, Default)]
pub struct Asked {
    /// To be called back: `answer` is [`CallbackAnswer::Yes`].
    pub callback: bool,
    /// How the extraction that asks for a callback was answered.
    pub answer: CallbackAnswer,
    /// When: ISO 8601 or words.
    pub time: Option<String>,
    /// At which number.
    pub number: Option<String>,
    /// The names of the custom extractions that came, sorted: at most 20, of at most 60 characters each.
    pub extractions: Vec<String>,
}

/// How the extraction that asks for a callback was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallbackAnswer {
    /// A callback is wanted.
    Yes,
    /// A plain no.
    No,
    /// No extraction has that name, or its value is null or blank.
    #[default]
    Absent,
    /// The value is neither a yes nor a no.
    Unreadable,
}

/// What our metadata says: unproven until the store finds the dispatch in the same workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// `redialer_dispatch`.
    pub dispatch: String,
    /// `redialer_id`: the callback.
    pub callback: Option<String>,
}

impl CallFacts {
    /// A call of which nothing else is known.
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
            asked: Asked::default(),
            variables: BTreeMap::new(),
            metadata: None,
            tags: None,
        }
    }

    /// Whether the person called us.
    pub fn is_inbound(&self) -> bool {
        self.direction == Some(Direction::Inbound)
    }

    /// Whether the agent called the person by phone: only such calls are retried for their reason.
    pub fn is_outbound_call(&self) -> bool {
        self.channel == Channel::Voice && self.direction == Some(Direction::Outbound)
    }
}

impl fmt::Debug for CallFacts {
    /// Only what may stand in a log.
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
