//! A workspace's desk: all that deciding and dialling for it need to know beside the callbacks themselves.

use std::{collections::BTreeSet, sync::Arc};

use redialer_core::{
    Id, id,
    policy::Policy,
    tenant::{Limits, Plan},
};

use crate::{
    AgentRow, Store, StoreError, TenantKey, WorkspaceRow,
    accounts::slugs::SlugOwner,
    crypto::tenant_keys::WrappedKey,
    db::{
        Row, args,
        ttl_cache::{Generation, TtlCache},
    },
};

/// Tables that the caches are read from.
pub(crate) const CACHED_TABLES: [&str; 5] = ["agents", "own_numbers", "slugs", "tenants", "workspaces"];

/// What webhooks, decisions and dials ask about workspaces: the caches of one store.
pub(crate) struct Contexts {
    pub(crate) workspaces: TtlCache<Id<id::Workspace>, WorkspaceContext>,
    pub(crate) slugs: TtlCache<String, SlugOwner>,
}

impl Contexts {
    pub(crate) fn new(generation: &Generation) -> Self {
        Self { workspaces: TtlCache::new(generation), slugs: TtlCache::new(generation) }
    }
}

/// A workspace with its agents, as they were at most a second ago, or a few while the database is slow; keys are
/// sealed as on disk.
pub struct WorkspaceContext {
    /// The workspace.
    pub workspace: WorkspaceRow,
    /// What its settings come to where no agent overrides them.
    pub policy: Arc<Policy>,
    agents: Vec<AgentContext>,
    /// The tenant's plan.
    pub plan: Plan,
    own_numbers: BTreeSet<[u8; 16]>,
    key: WrappedKey,
}

/// One agent at a desk.
#[derive(Clone)]
pub struct AgentContext {
    /// The agent.
    pub agent: Arc<AgentRow>,
    /// What its settings come to.
    pub policy: Arc<Policy>,
}

impl AgentContext {
    /// An agent under the settings of its workspace.
    pub fn new(agent: AgentRow, workspace: &WorkspaceRow) -> Self {
        let policy = agent.settings(&workspace.settings).policy(&workspace.number_countries);
        Self { agent: Arc::new(agent), policy: Arc::new(policy) }
    }
}

impl WorkspaceContext {
    /// The agent that the provider calls so.
    pub fn by_provider_id(&self, id: &str) -> Option<&AgentContext> {
        self.agents.iter().find(|agent_context| agent_context.agent.provider_agent_id == id)
    }

    /// Whether the webhooks of an agent count: it is enabled, and within the plan's number of agents, the oldest first.
    pub fn hears(&self, id: Id<id::Agent>, limits: &Limits) -> bool {
        self.heard(limits).any(|agent| agent.id == id)
    }

    /// The agents whose webhooks count.
    pub fn heard(&self, limits: &Limits) -> impl Iterator<Item = &AgentRow> {
        let enabled =
            self.agents.iter().map(|agent_context| &*agent_context.agent).filter(|agent| agent.enabled);
        limits.heard(enabled)
    }

    /// That agent; the provider may have lost it since.
    pub fn agent(&self, id: Id<id::Agent>) -> Option<&AgentContext> {
        self.agents.iter().find(|agent_context| agent_context.agent.id == id)
    }

    /// An agent, even one that the provider has lost and that is not at the desk.
    pub async fn agent_context(&self, store: &Store, id: Id<id::Agent>) -> Result<AgentContext, StoreError> {
        match self.agent(id) {
            Some(agent_context) => Ok(agent_context.clone()),
            None => Ok(AgentContext::new(
                store.for_tenant(self.workspace.tenant).agent(id).await?,
                &self.workspace,
            )),
        }
    }

    /// The extraction that says whether a callback was asked for, in calls of that agent.
    pub fn callback_field(&self, agent: Id<id::Agent>) -> &str {
        &self.agent(agent).map_or(&self.policy, |agent_context| &agent_context.policy).callback_field
    }

    /// Whether a number is one of the workspace's own.
    pub fn is_own_number(&self, ix: &[u8; 16]) -> bool {
        self.own_numbers.contains(ix)
    }

    /// Opens the tenant's key; it lives no longer than the work it is for.
    pub async fn open_key(&self, store: &Store) -> Result<TenantKey, StoreError> {
        store.opened(&self.key).await
    }
}

impl Store {
    /// The desk of a workspace, read once a second at most (`real_ms`), by one task at a time.
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
        const KEY: &str =
            "select plan, key_version, wrapped_key, other_version, other_wrapped from tenants where id = $1";
        const NUMBERS: &str = "select number_ix from own_numbers where workspace_id = $1";
        let of = self.for_tenant(tenant);
        let row = of.workspace(workspace).await?;
        let agents =
            of.roster(workspace).await?.into_iter().map(|agent| AgentContext::new(agent, &row)).collect();
        let key = self.db.read_one(KEY, args![tenant]).await?.ok_or(StoreError::NotFound)?;
        let ix = |row: &Row| row.number_ix("number_ix");
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
