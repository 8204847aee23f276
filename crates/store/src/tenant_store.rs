//! The store as one tenant sees it, or one of its workspaces.

use std::sync::Arc;

use redialer_core::{Id, id};

use crate::{
    Actor, Store, StoreError, TenantKey,
    db::{Lane, tenant_conn::TenantConn},
};

/// The store as one tenant sees it, or one of its workspaces: the rows of others do not exist.
#[derive(Clone)]
pub struct TenantStore {
    pub(crate) store: Store,
    pub(crate) tenant: Id<id::Tenant>,
    /// The only workspace whose rows there are; `None` for all of the tenant's.
    pub(crate) workspace: Option<Id<id::Workspace>>,
    pub(crate) actor: Arc<Actor>,
    pub(crate) test: bool,
    /// Whose rows there are on Postgres: the tenant's, but in a test that tries another's.
    pub(crate) rows: Id<id::Tenant>,
    /// Whose connections it reads with.
    pub(crate) lane: Lane,
}

impl TenantStore {
    /// The same, for test callbacks: live ones do not exist there, nor test ones elsewhere.
    #[must_use]
    pub const fn for_tests(mut self, test: bool) -> Self {
        self.test = test;
        self
    }

    /// The same, with another tenant's rows under it: for the test that nothing is found then.
    #[must_use]
    pub const fn on_rows_of(mut self, other: Id<id::Tenant>) -> Self {
        self.rows = other;
        self
    }

    /// The same, with the rows of one workspace alone, where one is given.
    #[must_use]
    pub const fn within(mut self, workspace: Option<Id<id::Workspace>>) -> Self {
        self.workspace = workspace;
        self
    }

    /// Whether the rows of that workspace are among those it sees.
    pub(crate) fn sees(&self, workspace: Id<id::Workspace>) -> Result<(), StoreError> {
        match self.workspace {
            Some(own) if own != workspace => Err(StoreError::NotFound),
            _ => Ok(()),
        }
    }

    /// Whether it sees what belongs to the tenant as a whole.
    pub(crate) const fn sees_whole_tenant(&self) -> Result<(), StoreError> {
        match self.workspace {
            Some(_) => Err(StoreError::NotFound),
            None => Ok(()),
        }
    }

    /// The same for what may be of one workspace or of the whole tenant.
    pub(crate) fn sees_of(&self, workspace: Option<Id<id::Workspace>>) -> Result<(), StoreError> {
        workspace.map_or_else(|| self.sees_whole_tenant(), |workspace| self.sees(workspace))
    }

    /// The workspace whose rows are asked for: the one that is named, if its rows are among those it sees, else its own.
    pub(crate) fn narrowed(
        &self,
        named: Option<Id<id::Workspace>>,
    ) -> Result<Option<Id<id::Workspace>>, StoreError> {
        named.map_or(Ok(()), |named| self.sees(named))?;
        Ok(named.or(self.workspace))
    }

    /// The database as this tenant sees it.
    pub(crate) const fn db(&self) -> TenantConn<'_> {
        TenantConn::new(&self.store.db, self.rows, self.lane)
    }

    /// Whether it is for test callbacks.
    pub const fn is_for_tests(&self) -> bool {
        self.test
    }

    /// The tenant's key, as this store finds persons with it.
    pub async fn open_key(&self) -> Result<TenantKey, StoreError> {
        Ok(self.tenant_key().await?.for_tests(self.test))
    }

    /// The tenant's key, for what test and live callbacks share.
    pub async fn tenant_key(&self) -> Result<TenantKey, StoreError> {
        self.store.open_key_on(self.lane, self.tenant).await
    }

    /// The same, for somebody in whose name acts are written down. It reads with connections apart from those of
    /// webhooks and dials, which people's lists must not hold up.
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = Arc::new(actor);
        self.lane = Lane::Api;
        self
    }
}

impl Store {
    /// The store as `tenant` sees it; what is done through it is done by the program itself.
    pub fn for_tenant(&self, tenant: Id<id::Tenant>) -> TenantStore {
        TenantStore {
            store: self.clone(),
            tenant,
            workspace: None,
            actor: Arc::new(Actor::program()),
            test: false,
            rows: tenant,
            lane: Lane::Hot,
        }
    }
}
