//! `redialer key create`: a new admin API key for a tenant whose key was lost.

use anyhow::Context as _;
use clap::Subcommand;
use redialer_core::{Id, id};
use redialer_store::Actor;
use serde_json::json;

use crate::{
    actions::api_keys,
    cli::{database, say},
    clock::{self, Clock},
    config::Config,
};

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Create an admin API key with every scope, and print its secret once. Can run while a server is running
    Create {
        /// The tenant's id (`tn_…`); `redialer tenant list` shows it
        #[arg(long)]
        tenant: Id<id::Tenant>,
        /// Print the result as one line of JSON: {"id","secret"}
        #[arg(long)]
        json: bool,
    },
}

impl Key {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self::Create { tenant, json } = self;
        let store = database::open(config).await?;
        let clock = Clock::follow_stored(&store).await?;
        let rng = clock::rng()?;
        let owner = store.tenant(tenant).await.with_context(|| {
            format!("--tenant: there is no tenant {tenant}; `redialer tenant list` shows all")
        })?;
        let tenant_store = store.for_tenant(owner.id).by(Actor::command());
        let (id, secret) = api_keys::create_admin_key(&tenant_store, &clock, &rng).await?;
        store.close().await;
        if json {
            say(&json!({"id": id.to_string(), "secret": secret}).to_string());
        } else {
            say(&format!(
                "Created admin API key {} of tenant {} {}. Its secret is shown only once:",
                id, owner.id, owner.name
            ));
            say(&format!("  {secret}"));
        }
        crate::cli::tenant::warn_without_api(config, owner.plan)
    }
}
