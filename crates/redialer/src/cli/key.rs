//! `redialer key create`: a new admin API key for a tenant whose key was lost.

use anyhow::Context as _;
use clap::Subcommand;
use redialer_core::{Id, access::Scopes, id};
use redialer_store::{Actor, NewKey};
use serde_json::json;

use super::{database, say, tenant};
use crate::{
    clock::{self, Clock},
    config::Config,
};

#[derive(Subcommand)]
pub(super) enum Key {
    /// Create an admin API key, with every scope; its secret is printed once. Works beside a running `serve`
    Create {
        /// The tenant's id, as `tn_…`; `redialer tenant list` shows it
        #[arg(long)]
        tenant: Id<id::Tenant>,
        /// Print one line of JSON: {"id","secret"}
        #[arg(long)]
        json: bool,
    },
}

impl Key {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self::Create { tenant: id, json } = self;
        let store = database::open(config).await?;
        let clock = Clock::follow_stored(&store).await?;
        let chance = clock::chance()?;
        let owner = store.tenant(id).await.with_context(|| {
            format!("--tenant: there is no tenant {id}; `redialer tenant list` shows all")
        })?;
        let secret = format!("rdl_live_{}", chance.token::<20>());
        let new = NewKey {
            id: Id::new(clock.now(), &chance),
            name: "admin",
            secret: &secret,
            workspace: None,
            scopes: Scopes::EVERY,
            expires_at: None,
            test: false,
        };
        store.of(owner.id).by(Actor::command()).create_key(&new, clock.now()).await?;
        store.close().await;
        if json {
            say(&json!({"id": new.id.to_string(), "secret": secret}).to_string());
        } else {
            say(&format!(
                "Admin API key {} of {} {}. Its secret is shown once:",
                new.id, owner.id, owner.name
            ));
            say(&format!("  {secret}"));
        }
        tenant::warn_without_api(config, owner.plan)
    }
}
