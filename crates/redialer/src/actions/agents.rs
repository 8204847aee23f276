//! Agents: switches and overrides.

use redialer_core::{
    Timestamp,
    settings::{BadOverrides, Overrides},
};
use redialer_store::{AgentChange, AgentRow, StoreError};
use serde_json::Value;

use crate::actions::{Acting, MERGES, Refusal};

/// Changes to an agent; `None` leaves a field unchanged.
#[derive(Debug, Clone, Copy)]
pub struct AgentPatch<'a> {
    /// Whether the agent is enabled.
    pub enabled: Option<bool>,
    /// Whether the agent only observes.
    pub observe: Option<bool>,
    /// A merge patch for its overrides; `null` removes an override.
    pub overrides: Option<&'a Value>,
}

impl Acting<'_> {
    /// Changes an agent. With `if_unchanged`, fails if the agent has changed since that time; without it, merges the
    /// patch into concurrent changes.
    pub async fn change_agent(
        &self,
        row: AgentRow,
        patch: AgentPatch<'_>,
        if_unchanged: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let id = row.id;
        let mut changed = self.merge_agent(row, patch).await;
        for _ in 0..MERGES {
            if !matches!(changed, Err(Refusal::Store(StoreError::Changed))) || if_unchanged.is_some() {
                break;
            }
            changed = self.merge_agent(self.store.agent(id).await?, patch).await;
        }
        changed
    }

    /// Merges the patch into the agent as read and writes it; [`StoreError::Changed`] if the agent has changed since.
    async fn merge_agent(&self, row: AgentRow, patch: AgentPatch<'_>) -> Result<(), Refusal> {
        let overrides = match patch.overrides {
            None => None,
            Some(patch) => Some(self.overridden(&row, patch).await?),
        };
        let max = self.app.store.limits_of(self.tenant.plan).agents;
        let change = AgentChange {
            enabled: patch.enabled,
            observe: patch.observe,
            overrides: overrides.as_ref(),
            if_unchanged: Some(row.updated_at),
        };
        Ok(self.store.change_agent(&row, &change, max, self.app.clock.now()).await?)
    }

    /// Applies the patch to the agent's overrides and checks the result.
    async fn overridden(&self, row: &AgentRow, patch: &Value) -> Result<Overrides, Refusal> {
        let workspace = self.store.workspace(row.workspace).await?;
        let limits = self.app.store.limits_of(self.tenant.plan);
        let checked = || {
            let overrides = row.overrides.patched(patch)?;
            overrides.check(&workspace.settings, &workspace.retention, limits)?;
            Ok(overrides)
        };
        checked().map_err(|error| match error {
            BadOverrides::Plan(_) => Refusal::forbidden("plan_limit", error.to_string()),
            BadOverrides::NotYet(field) => Refusal::not_yet(format!("overrides.{field}")),
            BadOverrides::Settings(error) if error.field.is_empty() => {
                Refusal::invalid("overrides", error.problem)
            }
            BadOverrides::Settings(error) => {
                Refusal::invalid(format!("overrides.{}", error.field), error.problem)
            }
        })
    }
}
