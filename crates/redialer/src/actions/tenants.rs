//! Tenants: created from the command line, with an owner and an admin key.

use redialer_core::{Id, id, rng::Rng, tenant::Plan};
use redialer_store::{NewTenant, Store};

use crate::{actions::members::password, clock::Clock};

/// A new tenant's credentials, which are shown once.
pub struct Created {
    /// Its id.
    pub tenant: Id<id::Tenant>,
    /// The admin API key.
    pub admin_key: String,
    /// The owner's email address.
    pub owner_email: String,
    /// The owner's password.
    pub owner_password: String,
    /// The secret that signs outbound webhooks.
    pub webhook_secret: String,
}

/// Creates a tenant with an owner and an admin key.
pub async fn create(
    store: &Store,
    clock: &Clock,
    rng: &Rng,
    name: &str,
    email: &str,
    plan: Plan,
) -> anyhow::Result<Created> {
    let (owner_password, hash) = password(rng).await?;
    let created = Created {
        tenant: Id::new(clock.now(), rng),
        admin_key: format!("rdl_live_{}", rng.token::<20>()),
        owner_email: email.to_lowercase(),
        owner_password,
        webhook_secret: format!("whsec_{}", rng.token::<20>()),
    };
    let new = NewTenant {
        id: created.tenant,
        name,
        plan,
        owner_email: &created.owner_email,
        password_hash: &hash,
        admin_key: &created.admin_key,
        webhook_secret: &created.webhook_secret,
    };
    store.create_tenant(&new, clock.now(), rng).await?;
    Ok(created)
}
