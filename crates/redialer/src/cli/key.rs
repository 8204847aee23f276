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
            say(&format!("Admin API key {} of {} {}. Its secret is shown once:", id, owner.id, owner.name));
            say(&format!("  {secret}"));
        }
        crate::cli::tenant::warn_without_api(config, owner.plan)
    }
}
