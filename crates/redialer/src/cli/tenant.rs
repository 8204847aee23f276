//! `redialer tenant create`: a tenant, its owner's login, its admin API key.

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use redialer_core::{Id, id, tenant::Plan};
use serde_json::json;

use super::{open, say};
use crate::{
    clock::{self, Clock},
    config::Config,
    flow::manage,
};

#[derive(Subcommand)]
pub(super) enum Tenant {
    /// Make a tenant; its secrets are printed once. Works beside a running `serve`
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
        /// Its owner's e-mail address
        #[arg(long)]
        owner: String,
        /// Its plan
        #[arg(long, value_enum)]
        plan: PlanName,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a tenant on another plan. Works beside a running `serve`
    ChangePlan {
        /// Its id, as `tn_…`
        #[arg(long)]
        tenant: Id<id::Tenant>,
        /// The plan
        #[arg(long, value_enum)]
        plan: PlanName,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum PlanName {
    Free,
    Starter,
    Pro,
    Scale,
    Unlimited,
}

impl PlanName {
    const fn plan(self) -> Plan {
        match self {
            Self::Free => Plan::Free,
            Self::Starter => Plan::Starter,
            Self::Pro => Plan::Pro,
            Self::Scale => Plan::Scale,
            Self::Unlimited => Plan::Unlimited,
        }
    }
}

impl Tenant {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let (name, owner, plan, json) = match self {
            Self::Create { name, owner, plan, json } => (name, owner, plan, json),
            Self::ChangePlan { tenant, plan } => return change_plan(config, tenant, plan.plan()).await,
        };
        anyhow::ensure!(!name.trim().is_empty(), "--name: must not be empty");
        anyhow::ensure!(
            owner.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
            "--owner: `{owner}` is not an e-mail address"
        );
        let store = open(config).await?;
        let clock = Clock::start(config.clock_speed);
        clock.join(&store).await?;
        let chance = clock::chance()?;
        let made =
            manage::create_tenant(&store, &clock, &chance, name.trim(), owner.trim(), plan.plan()).await?;
        store.close().await;
        let tenant_id = made.tenant.to_string();
        if json {
            let line = json!({
                "tenant_id": tenant_id, "admin_key": made.admin_key, "owner_email": made.owner_email,
                "owner_password": made.owner_password, "webhook_secret": made.webhook_secret,
            });
            say(&line.to_string());
        } else {
            say(&format!("Tenant {tenant_id}. These are shown once:"));
            say(&format!("  admin API key   {}", made.admin_key));
            say(&format!("  owner           {}", made.owner_email));
            say(&format!("  password        {}", made.owner_password));
            say(&format!("  webhook secret  {}", made.webhook_secret));
        }
        Ok(())
    }
}

async fn change_plan(config: &Config, id: Id<id::Tenant>, plan: Plan) -> anyhow::Result<()> {
    let store = open(config).await?;
    let clock = Clock::start(config.clock_speed);
    clock.join(&store).await?;
    let tenant = store.tenant(id).await.context("--tenant")?;
    store.change_plan(&tenant, plan, clock.now()).await?;
    store.close().await;
    say(&format!("{} {} is on the plan `{}`.", tenant.id, tenant.name, plan.word()));
    Ok(())
}
