//! API keys: create and revoke.
//!
//! Invariants: a key can create only keys within its own scopes, workspace and expiry. A test key has no scope that
//! changes live data, so it cannot create keys.

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

/// An API key to create.
pub struct NewApiKey<'a> {
    /// Its name.
    pub name: &'a str,
    /// The workspace it is limited to; `None` for all of the tenant's workspaces.
    pub workspace: Option<Id<id::Workspace>>,
    /// Its scopes; `None` for the default ones.
    pub scopes: Option<Vec<Scope>>,
    /// When it expires; `None` for the expiry of the key that creates it.
    pub expires_at: Option<Timestamp>,
    /// Whether it is a test key, which can see and create only test callbacks.
    pub test: bool,
}

impl Acting<'_> {
    /// Creates a key. Returns its row and the secret, which is shown once.
    pub async fn create_key(&self, new: NewApiKey<'_>) -> Result<(KeyInfo, String), Refusal> {
        let now = self.app.clock.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::invalid("expires_at", "must be in the future"));
        }
        // Without `expires_at`, the new key gets the creating key's expiry.
        let expires_at = match (new.expires_at, self.principal.expires_at) {
            (Some(requested), Some(own)) if requested > own => {
                let why = format!("must not be later than {own}, when the creating key expires");
                return Err(Refusal::invalid("expires_at", why));
            }
            (requested, own) => requested.or(own),
        };
        match new.workspace {
            None => self.as_whole_tenant("create an admin key")?,
            Some(named) => match self.store.workspace(named).await {
                Err(StoreError::NotFound) => {
                    return Err(Refusal::invalid("workspace_id", "is not the id of a workspace"));
                }
                result => drop(result?),
            },
        }
        let kind = if new.test { "test" } else { "live" };
        let secret = format!("rdl_{kind}_{}", self.app.rng.token::<20>());
        let key = NewKey {
            id: Id::new(now, &self.app.rng),
            name: new.name,
            secret: &secret,
            workspace: new.workspace,
            scopes: self.checked_scopes(new.scopes.as_deref(), new.test)?,
            expires_at,
            test: new.test,
        };
        self.store.create_key(&key, now).await?;
        Ok((self.store.key(key.id).await?, secret))
    }

    fn checked_scopes(&self, scopes: Option<&[Scope]>, test: bool) -> Result<Scopes, Refusal> {
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
            let why = "An API key can grant only scopes that it has itself.";
            return Err(Refusal::forbidden("missing_scope", why));
        }
        Ok(scopes)
    }

    /// Revokes a key; the next request with it is rejected.
    pub async fn revoke_key(&self, id: Id<id::Key>) -> Result<(), Refusal> {
        let key = self.store.key(id).await?;
        if self.principal.who == Who::Key(id) {
            return Err(Refusal::conflict("own_key", "An API key cannot revoke itself. Use another key."));
        }
        Ok(self.store.revoke_key(&key, self.app.clock.now()).await?)
    }
}

/// Creates an admin key with every scope, for an operator of the machine. Returns its id and secret.
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
