//! An agent's overrides: a merge patch over its workspace's settings and retention.

use serde_json::{Value, json};

use super::{BadSettings, Nulls, Retention, WorkspaceSettings, check::bad, merge};
use crate::tenant::Limits;

/// An agent's overrides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides(Value);

/// Why overrides are rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOverrides {
    /// The plan does not include them.
    #[error("The plan does not include {0}.")]
    Plan(&'static str),
    /// The setting exists only for workspaces so far.
    #[error("`{0}` cannot be overridden yet.")]
    NotYet(&'static str),
    /// A setting is invalid.
    #[error(transparent)]
    Settings(#[from] BadSettings),
}

impl Overrides {
    /// Wraps a stored document.
    pub const fn stored(document: Value) -> Self {
        Self(document)
    }

    /// The document.
    pub const fn document(&self) -> &Value {
        &self.0
    }

    /// These overrides with a patch applied; a null removes an override.
    pub fn patched(&self, patch: &Value) -> Result<Self, BadOverrides> {
        if !patch.is_object() {
            bad("", "must be an object; set an override to null to remove it")?;
        }
        let mut document = self.0.clone();
        merge(&mut document, patch, Nulls::Remove);
        Ok(Self(document))
    }

    /// Validates the overrides together with the settings and the retention of their workspace, and against the plan.
    pub fn check(
        &self,
        settings: &WorkspaceSettings,
        retention: &Retention,
        limits: &Limits,
    ) -> Result<(), BadOverrides> {
        self.check_plan(limits)?;
        let (own_settings, own_retention) = self.parts();
        if own_settings.get("calls_per_second").is_some() {
            return Err(BadOverrides::NotYet("calls_per_second"));
        }
        settings.patched(&own_settings)?.check(limits)?;
        let retention = retention.patched(&own_retention).map_err(|error| BadSettings {
            field: if error.field.is_empty() {
                "retention".to_owned()
            } else {
                format!("retention.{}", error.field)
            },
            ..error
        })?;
        if retention.keeps_everything() { Ok(()) } else { Err(BadOverrides::NotYet("retention")) }
    }

    /// Whether these overrides are still valid with other settings of their workspace.
    pub fn check_against(&self, settings: &WorkspaceSettings) -> Result<(), BadSettings> {
        settings.patched(&self.parts().0).map(|_| ())
    }

    fn check_plan(&self, limits: &Limits) -> Result<(), BadOverrides> {
        let has_any = self.0.as_object().is_some_and(|own| !own.is_empty());
        let has_reserved = ["max_attempts", "retention"].iter().any(|name| self.0.get(name).is_some());
        if has_reserved && !limits.agent_attempts {
            return Err(BadOverrides::Plan("overrides of `max_attempts` and `retention`"));
        }
        if has_any && !limits.agent_overrides {
            return Err(BadOverrides::Plan("overrides of settings"));
        }
        Ok(())
    }

    /// The effective settings of an agent. Overrides were validated when they were set; if they no longer fit the
    /// workspace's current settings, only the workspace's settings apply.
    pub fn over_settings(&self, workspace: &WorkspaceSettings) -> WorkspaceSettings {
        workspace.patched(&self.parts().0).unwrap_or_else(|_| workspace.clone())
    }

    /// The effective retention of an agent, by the same rule.
    pub fn over_retention(&self, workspace: &Retention) -> Retention {
        workspace.patched(&self.parts().1).unwrap_or_else(|_| workspace.clone())
    }

    /// The settings and, separately, the retention, which is stored among them.
    fn parts(&self) -> (Value, Value) {
        let mut settings = self.0.clone();
        let retention = settings.as_object_mut().and_then(|own| own.remove("retention"));
        (settings, retention.unwrap_or_else(|| json!({})))
    }
}
