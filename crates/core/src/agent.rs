//! One voice or chat agent.

/// The channel of an agent; a redial uses the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Phone calls.
    Voice,
    /// Text messages.
    Chat,
}

impl Channel {
    /// The name in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Chat => "chat",
        }
    }

    /// The channel of that name; any other name than `chat` is voice.
    pub fn from_stored(name: &str) -> Self {
        if name == Self::Chat.as_str() { Self::Chat } else { Self::Voice }
    }
}

/// The version of an agent that dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// An environment tag, such as `prod`.
    Tag(String),
    /// A version number.
    Number(i64),
    /// The latest published version: never a draft, which a provider's default may pick.
    LatestPublished,
}

/// Whether the agent that should dial is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStatus {
    /// In the roster and enabled.
    Ready,
    /// In the roster and disabled.
    Disabled,
    /// Not in the roster.
    Missing,
}

/// One of the workspace's own numbers at the provider, and the agents that use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNumber {
    /// The provider's id of the number, if the provider's requests need it.
    pub id: Option<String>,
    /// E.164, as the provider writes it.
    pub number: String,
    /// The provider's ids of the agents that answer this number.
    pub inbound_agents: Vec<String>,
    /// The provider's ids of the agents that dial from this number.
    pub outbound_agents: Vec<String>,
}

/// Whether the provider's list of agents is plausible. An empty list is more likely a provider bug than an empty
/// account, so known agents are kept.
pub const fn is_believable_roster(agents: usize) -> bool {
    agents > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_found_by_its_name() {
        assert_eq!([Channel::Voice, Channel::Chat].map(Channel::as_str), ["voice", "chat"]);
        assert_eq!(
            ["chat", "voice", "fax"].map(Channel::from_stored),
            [Channel::Chat, Channel::Voice, Channel::Voice]
        );
    }

    #[test]
    fn an_empty_roster_is_not_believed() {
        assert_eq!([0, 1, 2].map(is_believable_roster), [false, true, true]);
    }
}
