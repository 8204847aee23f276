//! Changes to the plans in the settings file: `[plans.free]`, `agents = 2`.

use std::collections::BTreeMap;

use redialer_core::tenant::{Limits, Plan, Plans};
use serde::{Deserialize, Serialize};

/// The limits of a plan that differ from the published ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanPatch {
    /// Workspaces per tenant.
    workspaces: Option<u32>,
    /// Enabled agents per workspace.
    agents: Option<u32>,
    /// `max_attempts` of a workspace that does not set it.
    default_attempts: Option<u32>,
    /// The highest value that `max_attempts` may have.
    max_attempts: Option<u32>,
    /// Whether an agent may have its own `max_attempts`.
    agent_attempts: Option<bool>,
    /// Whether an agent may have its own settings.
    agent_overrides: Option<bool>,
    /// Whether the REST API may be used.
    rest_api: Option<bool>,
    /// Calls per calendar month; 0 for no limit.
    calls_a_month: Option<u64>,
}

impl PlanPatch {
    fn over(&self, limits: &mut Limits) {
        let published = *limits;
        *limits = Limits {
            workspaces: self.workspaces.unwrap_or(published.workspaces),
            agents: self.agents.unwrap_or(published.agents),
            default_attempts: self.default_attempts.unwrap_or(published.default_attempts),
            max_attempts: self.max_attempts.unwrap_or(published.max_attempts),
            agent_attempts: self.agent_attempts.unwrap_or(published.agent_attempts),
            agent_overrides: self.agent_overrides.unwrap_or(published.agent_overrides),
            rest_api: self.rest_api.unwrap_or(published.rest_api),
            calls_a_month: match self.calls_a_month {
                None => published.calls_a_month,
                Some(n) => Some(n).filter(|n| *n > 0),
            },
        };
    }
}

/// The plans in force. The error names the setting and the problem.
pub fn in_force(patches: &BTreeMap<String, PlanPatch>) -> Result<Plans, (String, String)> {
    let mut plans = Plans::default();
    for (name, patch) in patches {
        let Ok(plan) = name.parse::<Plan>() else {
            let known: Vec<_> = Plan::ALL.iter().map(|p| p.as_str()).collect();
            return Err((
                format!("plans.{name}"),
                format!("is not a plan; the valid plans are {}", known.join(", ")),
            ));
        };
        let limits = plans.of_mut(plan);
        patch.over(limits);
        if limits.max_attempts == 0 || !(1..=limits.max_attempts).contains(&limits.default_attempts) {
            return Err((
                format!("plans.{name}.default_attempts"),
                format!("must be from 1 to max_attempts ({})", limits.max_attempts),
            ));
        }
    }
    Ok(plans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_figures_stand_until_a_file_changes_them() {
        let plans = in_force(&BTreeMap::new()).expect("good");
        assert_eq!((plans.limits(Plan::Pro).workspaces, plans.limits(Plan::Starter).agents), (5, 5));
        assert!(!plans.limits(Plan::Free).rest_api && plans.limits(Plan::Starter).rest_api);
        let patch = PlanPatch { agents: Some(2), calls_a_month: Some(0), ..PlanPatch::default() };
        let plans = in_force(&BTreeMap::from([("free".to_owned(), patch)])).expect("good");
        assert_eq!((plans.limits(Plan::Free).agents, plans.limits(Plan::Free).calls_a_month), (2, None));
        assert_eq!(plans.limits(Plan::Free).workspaces, 1);
        let none = BTreeMap::from([("gold".to_owned(), PlanPatch::default())]);
        assert_eq!(in_force(&none).expect_err("no such plan").0, "plans.gold");
    }
}
