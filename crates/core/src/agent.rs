//! One voice or chat agent.

/// How an agent talks; a redial goes out the same way.
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

    /// The channel of that name; anything but `chat` is voice.
    pub fn from_stored(name: &str) -> Self {
        if name == Self::Chat.as_str() { Self::Chat } else { Self::Voice }
    }
}

/// Which version of an agent dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// An environment tag, as `prod`.
    Tag(String),
    /// A version number.
    Number(i64),
    /// Whatever is published: never the draft that a provider's default may pick.
    LatestPublished,
}

/// Whether the agent that should dial can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStatus {
    /// In the roster and switched on.
    Ready,
    /// In the roster, switched off.
    Disabled,
    /// Not in the roster.
    Missing,
}

/// A number of the workspace's own at the provider, and which agents use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNumber {
    /// The provider's id of it, where orders name it so.
    pub id: Option<String>,
    /// E.164, as the provider writes it.
    pub number: String,
    /// The provider's ids of the agents that answer on it.
    pub inbound_agents: Vec<String>,
    /// The provider's ids of the agents that dial from it.
    pub outbound_agents: Vec<String>,
}

/// Whether the provider's list of agents can be believed. An empty one is more likely a provider's bug than an empty
/// account; agents that are known stay.
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
