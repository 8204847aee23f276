//! `redialer tenant`: creates and lists tenants, and changes their plans.

use anyhow::Context as _;
use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use redialer_core::{Id, id, tenant::Plan};
use serde_json::json;

use crate::{
    actions::tenants::{self, Created},
    cli::{database, note, say},
    clock::{self, Clock},
    config::{BadConfig, Config},
};

#[derive(Subcommand)]
pub(crate) enum Tenant {
    /// Create a tenant, which owns workspaces, API keys and settings, and print its secrets once. Can run while a server is running
    Create {
        /// The tenant's name
        #[arg(long)]
        name: String,
        /// The owner's email address
        #[arg(long)]
        owner: String,
        /// The tenant's plan, which limits what it may use; self-hosted installations need only the default
        #[arg(long, value_parser = plans(), default_value = Plan::Unlimited.as_str())]
        plan: Plan,
        /// Print the result as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tenants, oldest first
    List {
        /// Print one line of JSON for each tenant: {"id","name","plan","created_at"}
        #[arg(long)]
        json: bool,
    },
    /// Change a tenant's plan. Can run while a server is running
    ChangePlan {
        /// The tenant's id (`tn_…`); `redialer tenant list` shows it
        #[arg(long)]
        tenant: Id<id::Tenant>,
        /// The new plan
        #[arg(long, value_parser = plans())]
        plan: Plan,
    },
}

/// Parses the name of a plan.
fn plans() -> impl TypedValueParser<Value = Plan> {
    PossibleValuesParser::new(Plan::ALL.map(Plan::as_str))
        .try_map(|word| word.parse::<Plan>().map_err(|_| "unknown plan"))
}

impl Tenant {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Create { name, owner, plan, json } => {
                let created = create(config, name.trim(), owner.trim(), plan).await?;
                show(&created, json);
                warn_without_api(config, plan)
            }
            Self::List { json } => list(config, json).await,
            Self::ChangePlan { tenant, plan } => change_plan(config, tenant, plan).await,
        }
    }
}

async fn create(config: &Config, name: &str, owner: &str, plan: Plan) -> anyhow::Result<Created> {
    if name.is_empty() {
        return Err(BadConfig::new("--name", "must not be empty").into());
    }
    if !owner.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()) {
        return Err(BadConfig::new("--owner", format!("`{owner}` is not an email address")).into());
    }
    let store = database::find(config).await?.create().await?;
    let clock = Clock::follow_stored(&store).await?;
    let created = tenants::create(&store, &clock, &clock::rng()?, name, owner, plan).await?;
    store.close().await;
    Ok(created)
}

fn show(created: &Created, json: bool) {
    let tenant_id = created.tenant.to_string();
    if json {
        let line = json!({
            "tenant_id": tenant_id, "admin_key": created.admin_key, "owner_email": created.owner_email,
            "owner_password": created.owner_password, "webhook_secret": created.webhook_secret,
        });
        say(&line.to_string());
        return;
    }
    say(&format!(
        "Created tenant {tenant_id} with owner {}. Its secrets are shown only once:",
        created.owner_email
    ));
    say(&format!("  admin API key   {}", created.admin_key));
    say(&format!("  password        {}   (not used yet: for a future dashboard)", created.owner_password));
    say(&format!(
        "  webhook secret  {}   (not used yet: for future outbound webhooks)",
        created.webhook_secret
    ));
    say("If you lose the admin API key, `redialer key create` creates another.");
}

/// Prints a warning if the plan does not include the REST API, which would reject the key that was just printed.
pub(crate) fn warn_without_api(config: &Config, plan: Plan) -> anyhow::Result<()> {
    if !config.plans()?.limits(plan).rest_api {
        note(&format!(
            "The plan `{}` does not include the REST API, so every request with this key returns 403. `redialer tenant change-plan` changes the plan.",
            plan.as_str()
        ));
    }
    Ok(())
}

async fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let store = database::open(config).await?;
    for tenant in store.tenants().await? {
        let (id, plan, created_at) =
            (tenant.id.to_string(), tenant.plan.as_str(), tenant.created_at.to_string());
        say(&match json {
            true => {
                json!({"id": id, "name": tenant.name, "plan": plan, "created_at": created_at}).to_string()
            }
            false => format!("{id}  {plan:<9}  {created_at}  {}", tenant.name),
        });
    }
    store.close().await;
    Ok(())
}

async fn change_plan(config: &Config, id: Id<id::Tenant>, plan: Plan) -> anyhow::Result<()> {
    let store = database::open(config).await?;
    let clock = Clock::follow_stored(&store).await?;
    let tenant = store
        .tenant(id)
        .await
        .with_context(|| format!("--tenant: there is no tenant {id}; `redialer tenant list` shows all"))?;
    store.change_plan(&tenant, plan, clock.now()).await?;
    store.close().await;
    say(&format!("Tenant {} {} is now on the plan `{}`.", tenant.id, tenant.name, plan.as_str()));
    warn_without_api(config, plan)
}
