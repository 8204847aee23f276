//! The billing account: who pays, and what the plan allows.

/// A plan's limits. Prices, names and numbers are data; the rest of the code asks only this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// One workspace, one agent.
    Free,
    /// One workspace, five agents.
    Starter,
    /// Five workspaces of twenty-five agents.
    Pro,
    /// Ten workspaces of a hundred agents.
    Scale,
    /// No limits: the default for whoever runs their own.
    Unlimited,
}

impl Plan {
    /// Every plan, smallest first.
    pub const ALL: [Self; 5] = [Self::Free, Self::Starter, Self::Pro, Self::Scale, Self::Unlimited];

    /// The plan's name in the command line, the API and the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starter => "starter",
            Self::Pro => "pro",
            Self::Scale => "scale",
            Self::Unlimited => "unlimited",
        }
    }

    /// The plan of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.word() == word)
    }

    /// Workspaces the tenant may have.
    pub const fn max_workspaces(self) -> u32 {
        match self {
            Self::Free | Self::Starter => 1,
            Self::Pro => 5,
            Self::Scale => 10,
            Self::Unlimited => u32::MAX,
        }
    }

    /// Enabled agents a workspace may have.
    pub const fn max_agents(self) -> u32 {
        match self {
            Self::Free => 1,
            Self::Starter => 5,
            Self::Pro => 25,
            Self::Scale => 100,
            Self::Unlimited => u32::MAX,
        }
    }

    /// What `max_attempts` is until a workspace sets it.
    pub const fn default_attempts(self) -> u32 {
        match self {
            Self::Free | Self::Starter | Self::Unlimited => 3,
            Self::Pro => 5,
            Self::Scale => 10,
        }
    }

    /// The most that `max_attempts` may be set to.
    pub const fn max_attempts(self) -> u32 {
        match self {
            Self::Free | Self::Starter => 3,
            Self::Pro => 5,
            Self::Scale => 10,
            Self::Unlimited => 25,
        }
    }
}
