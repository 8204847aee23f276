//! Tenants and what belongs to them: members, API keys, workspaces, agents, webhook slugs, the do-not-call list.

pub(crate) mod agents;
pub(crate) mod api_keys;
pub(crate) mod deletion;
pub(crate) mod key_hash;
pub(crate) mod members;
pub(crate) mod slugs;
pub(crate) mod suppressions;
pub(crate) mod tenants;
pub(crate) mod workspace_context;
pub(crate) mod workspace_jobs;
pub(crate) mod workspaces;
