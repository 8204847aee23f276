//! The workspace context: everything that decisions and dials need besides the callbacks themselves.

use std::{collections::BTreeSet, sync::Arc};

use redialer_core::{
    Id, id,
    policy::Policy,
    tenant::{Limits, Plan},
};

use crate::{
    AgentRow, Store, StoreError, TenantKey, WorkspaceRow,
    accounts::slugs::SlugTarget,
    crypto::tenant_keys::WrappedKey,
    db::{
        Row, args,
        ttl_cache::{Generation, TtlCache},
    },
};

/// Tables that the caches are read from.
pub(crate) const CACHED_TABLES: [&str; 5] =
    ["agents", "tenants", "webhook_slugs", "workspace_numbers", "workspaces"];

/// The caches of one store, for webhooks, decisions and dials.
pub(crate) struct Contexts {
    pub(crate) workspaces: TtlCache<Id<id::Workspace>, WorkspaceContext>,
    pub(crate) slugs: TtlCache<String, SlugTarget>,
}

impl Contexts {
    pub(crate) fn new(generation: &Generation) -> Self {
        Self { workspaces: TtlCache::new(generation), slugs: TtlCache::new(generation) }
    }
}

/// A workspace with its agents, at most one second old, or a few seconds while the database is slow. Keys are sealed as
/// on disk.
pub struct WorkspaceContext {
    /// The workspace.
    pub workspace: WorkspaceRow,
    /// The policy where no agent overrides it.
    pub policy: Arc<Policy>,
    agents: Vec<AgentContext>,
    /// The tenant's plan.
    pub plan: Plan,
    own_numbers: BTreeSet<[u8; 16]>,
    key: WrappedKey,
}

/// An agent with its policy.
#[derive(Clone)]
pub struct AgentContext {
    /// The agent.
    pub agent: Arc<AgentRow>,
    /// The policy in force for it.
    pub policy: Arc<Policy>,
}

impl AgentContext {
    /// Combines an agent with the settings of its workspace.
    pub fn new(agent: AgentRow, workspace: &WorkspaceRow) -> Self {
        let policy = agent.settings(&workspace.settings).policy(&workspace.number_countries);
        Self { agent: Arc::new(agent), policy: Arc::new(policy) }
    }
}

impl WorkspaceContext {
    /// The agent with this provider id.
    pub fn by_provider_id(&self, id: &str) -> Option<&AgentContext> {
        self.agents.iter().find(|agent_context| agent_context.agent.provider_agent_id == id)
    }

    /// Whether an agent's webhooks are accepted: it is enabled and among the oldest agents that the plan has room for.
    pub fn accepts_webhooks_of(&self, id: Id<id::Agent>, limits: &Limits) -> bool {
        self.active_agents(limits).any(|agent| agent.id == id)
    }

    /// The agents whose webhooks are accepted.
    pub fn active_agents(&self, limits: &Limits) -> impl Iterator<Item = &AgentRow> {
        let enabled =
            self.agents.iter().map(|agent_context| &*agent_context.agent).filter(|agent| agent.enabled);
        limits.heard(enabled)
    }

    /// The agent with this id; `None` if the provider no longer lists it.
    pub fn agent(&self, id: Id<id::Agent>) -> Option<&AgentContext> {
        self.agents.iter().find(|agent_context| agent_context.agent.id == id)
    }

    /// Same as [`WorkspaceContext::agent`], but reads an agent that the provider no longer lists from the database.
    pub async fn agent_context(&self, store: &Store, id: Id<id::Agent>) -> Result<AgentContext, StoreError> {
        match self.agent(id) {
            Some(agent_context) => Ok(agent_context.clone()),
            None => Ok(AgentContext::new(
                store.for_tenant(self.workspace.tenant).agent(id).await?,
                &self.workspace,
            )),
        }
    }

    /// The extraction that marks a callback request, in calls of that agent.
    pub fn callback_field(&self, agent: Id<id::Agent>) -> &str {
        &self.agent(agent).map_or(&self.policy, |agent_context| &agent_context.policy).callback_field
    }

    /// Whether a number is one of the workspace's own.
    pub fn is_own_number(&self, ix: &[u8; 16]) -> bool {
        self.own_numbers.contains(ix)
    }

    /// Opens the tenant's key; keep it only as long as the work needs it.
    pub async fn open_key(&self, store: &Store) -> Result<TenantKey, StoreError> {
        store.opened(&self.key).await
    }
}

impl Store {
    /// The context of a workspace, cached for one second of real time (`real_ms`) and read by one task at a time.
    pub async fn workspace_context(
        &self,
        tenant: Id<id::Tenant>,
        workspace: Id<id::Workspace>,
        real_ms: i64,
    ) -> Result<Arc<WorkspaceContext>, StoreError> {
        let read = async { Box::pin(self.read_workspace_context(tenant, workspace)).await.map(Some) };
        self.contexts.workspaces.get_or_read(&workspace, real_ms, read).await?.ok_or(StoreError::NotFound)
    }

    async fn read_workspace_context(
        &self,
        tenant: Id<id::Tenant>,
        workspace: Id<id::Workspace>,
    ) -> Result<WorkspaceContext, StoreError> {
        const KEY: &str = "select plan, key_version, wrapped_key, alternate_version, alternate_wrapped_key from tenants where id = $1";
        const NUMBERS: &str = "select phone_hash from workspace_numbers where workspace_id = $1";
        let of = self.for_tenant(tenant);
        let row = of.workspace(workspace).await?;
        let agents =
            of.roster(workspace).await?.into_iter().map(|agent| AgentContext::new(agent, &row)).collect();
        let key = self.db.read_one(KEY, args![tenant]).await?.ok_or(StoreError::NotFound)?;
        let ix = |row: &Row| row.phone_hash("phone_hash");
        let own_numbers =
            self.db.read(NUMBERS, args![workspace]).await?.iter().map(ix).collect::<Result<_, _>>()?;
        Ok(WorkspaceContext {
            policy: Arc::new(row.settings.policy(&row.number_countries)),
            workspace: row,
            plan: key.get::<String>("plan")?.parse().map_err(|_| StoreError::Corrupt("plan"))?,
            agents,
            own_numbers,
            key: WrappedKey::from_row(tenant, &key)?,
        })
    }
}
