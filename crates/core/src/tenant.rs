//! The billing account and the limits of its plan.
use std::str::FromStr;

use crate::UnknownName;

/// A plan by its name; its limits are data ([`Plans`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// One workspace, one agent.
    Free,
    /// One workspace, five agents.
    Starter,
    /// Five workspaces with twenty-five agents each.
    Pro,
    /// Ten workspaces with a hundred agents each.
    Scale,
    /// No limits: the default for self-hosted installations.
    Unlimited,
}

impl Plan {
    /// Every plan, smallest first.
    pub const ALL: [Self; 5] = [Self::Free, Self::Starter, Self::Pro, Self::Scale, Self::Unlimited];

    /// The plan's name in the command line, the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starter => "starter",
            Self::Pro => "pro",
            Self::Scale => "scale",
            Self::Unlimited => "unlimited",
        }
    }

    /// The default limits: the published figures, and our own where none are published.
    pub const fn limits(self) -> Limits {
        let (workspaces, agents, max_attempts, calls_a_month) = match self {
            Self::Free => (1, 1, 3, Some(100)),
            Self::Starter => (1, 5, 3, Some(1_000)),
            Self::Pro => (5, 25, 5, Some(10_000)),
            Self::Scale => (10, 100, 10, Some(100_000)),
            Self::Unlimited => (u32::MAX, u32::MAX, 25, None),
        };
        let default_attempts = match self {
            Self::Unlimited => 3,
            _ => max_attempts,
        };
        Limits {
            workspaces,
            agents,
            default_attempts,
            max_attempts,
            agent_attempts: !matches!(self, Self::Free | Self::Starter),
            agent_overrides: !matches!(self, Self::Free),
            rest_api: !matches!(self, Self::Free),
            calls_a_month,
        }
    }
}

impl FromStr for Plan {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|p| p.as_str() == name).ok_or(UnknownName)
    }
}

/// The limits of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Workspaces of a tenant.
    pub workspaces: u32,
    /// Enabled agents of a workspace.
    pub agents: u32,
    /// The value of `max_attempts` until a workspace sets it.
    pub default_attempts: u32,
    /// The upper limit of `max_attempts`.
    pub max_attempts: u32,
    /// Whether an agent may have its own `max_attempts` and retention.
    pub agent_attempts: bool,
    /// Whether an agent may have its own settings.
    pub agent_overrides: bool,
    /// Whether the REST API is included.
    pub rest_api: bool,
    /// Calls placed per calendar month, UTC; `None` without a limit.
    pub calls_a_month: Option<u64>,
}

impl Limits {
    /// The enabled agents, oldest first, whose webhooks are processed. After a downgrade a workspace may have more
    /// enabled agents than the plan allows.
    pub fn heard<A>(&self, enabled: impl Iterator<Item = A>) -> impl Iterator<Item = A> {
        enabled.take(usize::try_from(self.agents).unwrap_or(usize::MAX))
    }
}

/// The limits of every plan; self-hosted installations can change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plans([Limits; Plan::ALL.len()]);

impl Default for Plans {
    fn default() -> Self {
        Self(Plan::ALL.map(Plan::limits))
    }
}

impl Plans {
    /// The limits of that plan.
    pub const fn limits(&self, plan: Plan) -> &Limits {
        &self.0[plan as usize]
    }

    /// The limits of that plan, mutable.
    pub const fn of_mut(&mut self, plan: Plan) -> &mut Limits {
        &mut self.0[plan as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_found_by_its_word() {
        let words = ["free", "starter", "pro", "scale", "unlimited"];
        assert_eq!(words.map(str::parse), Plan::ALL.map(Ok));
        assert_eq!(Plan::ALL.map(Plan::as_str), words);
        assert!("gold".parse::<Plan>().is_err());
    }

    #[test]
    fn what_a_plan_includes_grows_with_it() {
        let includes = |plan: Plan| {
            let limits = plan.limits();
            (limits.rest_api, limits.agent_overrides, limits.agent_attempts)
        };
        let (none, some, all) = ((false, false, false), (true, true, false), (true, true, true));
        assert_eq!(Plan::ALL.map(includes), [none, some, all, all, all]);
    }

    #[test]
    fn as_many_agents_are_heard_as_the_plan_has_room_for() {
        let heard = |plan: Plan| plan.limits().heard(1..=26).last();
        assert_eq!(
            [Plan::Free, Plan::Starter, Plan::Pro, Plan::Unlimited].map(heard),
            [Some(1), Some(5), Some(25), Some(26)]
        );
    }
}
