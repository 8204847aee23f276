//! API keys: who else may ask, and for what.
//!
//! Invariants: a key gives away no more than it has: no scope, no workspace, no longer time. A test key has no scope with
//! which something live could be changed, so it can make no key at all.

use redialer_core::{
    Id, Timestamp,
    access::{Scope, Scopes, Who},
    id,
    rng::Rng,
};
use redialer_store::{KeyInfo, NewKey, StoreError, TenantStore};

use crate::{
    actions::{Acting, Refusal},
    clock::Clock,
};

/// A key to be.
pub struct NewApiKey<'a> {
    /// Its name.
    pub name: &'a str,
    /// The workspace that it opens; `None` for all of the tenant's.
    pub workspace: Option<Id<id::Workspace>>,
    /// What it may do; `None` for what is usual.
    pub scopes: Option<Vec<Scope>>,
    /// Until when it counts; `None` for as long as the key that makes it.
    pub expires_at: Option<Timestamp>,
    /// Whether it sees and makes test callbacks, and nothing else.
    pub test: bool,
}

impl Acting<'_> {
    /// Makes a key; its row, and the secret that is shown once.
    pub async fn create_key(&self, new: NewApiKey<'_>) -> Result<(KeyInfo, String), Refusal> {
        let now = self.app.clock.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::invalid("expires_at", "must be in the future"));
        }
        // Who asks for no end gets the asking key's own.
        let expires_at = match (new.expires_at, self.principal.expires_at) {
            (Some(asked), Some(own)) if asked > own => {
                let why = format!("must not be after {own}, the asking key's own");
                return Err(Refusal::invalid("expires_at", why));
            }
            (asked, own) => asked.or(own),
        };
        match new.workspace {
            None => self.as_whole_tenant("make another")?,
            Some(named) => match self.store.workspace(named).await {
                Err(StoreError::NotFound) => {
                    return Err(Refusal::invalid("workspace_id", "is not the id of a workspace"));
                }
                found => drop(found?),
            },
        }
        let kind = if new.test { "test" } else { "live" };
        let secret = format!("rdl_{kind}_{}", self.app.rng.token::<20>());
        let key = NewKey {
            id: Id::new(now, &self.app.rng),
            name: new.name,
            secret: &secret,
            workspace: new.workspace,
            scopes: self.given(new.scopes.as_deref(), new.test)?,
            expires_at,
            test: new.test,
        };
        self.store.create_key(&key, now).await?;
        Ok((self.store.key(key.id).await?, secret))
    }

    fn given(&self, scopes: Option<&[Scope]>, test: bool) -> Result<Scopes, Refusal> {
        let own = self.principal.scopes;
        let most = if test { Scopes::of_tests() } else { Scopes::EVERY };
        let Some(scopes) = scopes else { return Ok(Scopes::usual().within(own).within(most)) };
        if let Some(n) = scopes.iter().position(|scope| !most.has(*scope)) {
            let why = "is not allowed in a test key, because it changes live data";
            return Err(Refusal::invalid(format!("scopes[{n}]"), why));
        }
        if scopes.is_empty() {
            return Err(Refusal::invalid("scopes", "must name at least one scope"));
        }
        let scopes = Scopes::new(scopes);
        if !own.covers(scopes) {
            let why = "A key can give away only scopes that it has itself.";
            return Err(Refusal::forbidden("missing_scope", why));
        }
        Ok(scopes)
    }

    /// Revokes a key: from the next request on it opens nothing.
    pub async fn revoke_key(&self, id: Id<id::Key>) -> Result<(), Refusal> {
        let key = self.store.key(id).await?;
        if self.principal.who == Who::Key(id) {
            return Err(Refusal::conflict("own_key", "A key cannot revoke itself: use another one."));
        }
        Ok(self.store.revoke_key(&key, self.app.clock.now()).await?)
    }
}

/// Makes an admin key with every scope, for whoever has the machine; its id and its secret.
pub async fn create_admin_key(
    store: &TenantStore,
    clock: &Clock,
    rng: &Rng,
) -> Result<(Id<id::Key>, String), StoreError> {
    let secret = format!("rdl_live_{}", rng.token::<20>());
    let new = NewKey {
        id: Id::new(clock.now(), rng),
        name: "admin",
        secret: &secret,
        workspace: None,
        scopes: Scopes::EVERY,
        expires_at: None,
        test: false,
    };
    store.create_key(&new, clock.now()).await?;
    Ok((new.id, secret))
}
