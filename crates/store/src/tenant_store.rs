//! The store, scoped to one tenant or to one of its workspaces.

use std::sync::Arc;

use redialer_core::{Id, id};

use crate::{
    Actor, Store, StoreError, TenantKey,
    db::{ReaderPool, tenant_conn::TenantConn},
};

/// The store, scoped to one tenant or to one of its workspaces. Rows outside the scope are not found.
#[derive(Clone)]
pub struct TenantStore {
    pub(crate) store: Store,
    pub(crate) tenant: Id<id::Tenant>,
    /// Limits the rows to one workspace; `None` for all of the tenant's.
    pub(crate) workspace: Option<Id<id::Workspace>>,
    pub(crate) actor: Arc<Actor>,
    pub(crate) test: bool,
    /// Tenant set for row-level security on Postgres; tests override it to prove isolation.
    pub(crate) rows: Id<id::Tenant>,
    /// The connections that its reads use.
    pub(crate) reader_pool: ReaderPool,
}

impl TenantStore {
    /// Limits the store to test callbacks (`true`) or to live ones (`false`).
    #[must_use]
    pub const fn for_tests(mut self, test: bool) -> Self {
        self.test = test;
        self
    }

    /// Sets another tenant for row-level security, for the test that no row is found then.
    #[must_use]
    pub const fn on_rows_of(mut self, other: Id<id::Tenant>) -> Self {
        self.rows = other;
        self
    }

    /// Limits the store to one workspace, if one is given.
    #[must_use]
    pub const fn within(mut self, workspace: Option<Id<id::Workspace>>) -> Self {
        self.workspace = workspace;
        self
    }

    /// Checks that a workspace is in scope.
    pub(crate) fn check_workspace(&self, workspace: Id<id::Workspace>) -> Result<(), StoreError> {
        match self.workspace {
            Some(own) if own != workspace => Err(StoreError::NotFound),
            _ => Ok(()),
        }
    }

    /// Checks that the scope is the whole tenant.
    pub(crate) const fn check_whole_tenant(&self) -> Result<(), StoreError> {
        match self.workspace {
            Some(_) => Err(StoreError::NotFound),
            None => Ok(()),
        }
    }

    /// Checks the scope for a row that belongs to one workspace or, with `None`, to the whole tenant.
    pub(crate) fn check_filter(&self, workspace: Option<Id<id::Workspace>>) -> Result<(), StoreError> {
        workspace.map_or_else(|| self.check_whole_tenant(), |workspace| self.check_workspace(workspace))
    }

    /// The workspace to filter by: `named` if it is in scope, else the store's own.
    pub(crate) fn narrowed(
        &self,
        named: Option<Id<id::Workspace>>,
    ) -> Result<Option<Id<id::Workspace>>, StoreError> {
        named.map_or(Ok(()), |named| self.check_workspace(named))?;
        Ok(named.or(self.workspace))
    }

    /// The database, scoped to the tenant.
    pub(crate) const fn db(&self) -> TenantConn<'_> {
        TenantConn::new(&self.store.db, self.rows, self.reader_pool)
    }

    /// Whether the store is limited to test callbacks.
    pub const fn is_for_tests(&self) -> bool {
        self.test
    }

    /// Opens the tenant's key, with the number index of this store's test or live callbacks.
    pub async fn open_key(&self) -> Result<TenantKey, StoreError> {
        Ok(self.tenant_key().await?.for_tests(self.test))
    }

    /// Opens the tenant's key, for data that test and live callbacks share.
    pub async fn tenant_key(&self) -> Result<TenantKey, StoreError> {
        self.store.open_key_on(self.reader_pool, self.tenant).await
    }

    /// Sets the actor that audit events name. Reads then use separate connections, so that lists cannot delay webhooks
    /// and dials.
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = Arc::new(actor);
        self.reader_pool = ReaderPool::Api;
        self
    }
}

impl Store {
    /// The store scoped to `tenant`. Its changes are audited as the program's own.
    pub fn for_tenant(&self, tenant: Id<id::Tenant>) -> TenantStore {
        TenantStore {
            store: self.clone(),
            tenant,
            workspace: None,
            actor: Arc::new(Actor::program()),
            test: false,
            rows: tenant,
            reader_pool: ReaderPool::Hot,
        }
    }
}
