//! What people do, through whichever door: connect a workspace, sync its roster, schedule by hand.

use std::collections::BTreeMap;

use argon2::{Argon2, PasswordHasher as _};
use redialer_core::{
    Id, Phone, Timestamp,
    chance::Chance,
    decide::{self, Forced, Note, Refused, Request, is_schedulable},
    id,
    permission::Permission,
    phone,
    policy::{Policy, PromiseScope},
    tenant::Plan,
    time::{Zone, ZoneSource},
};
use redialer_providers::{Provider, ReadError};
use redialer_store::{
    AgentRow, CallbackRow, Desk, ManualPlan, NewTenant, NotWritten, Roster, Secrets, Store, StoreError,
    TenantKey, TenantRow, TenantStore, WorkspaceRow,
};

use super::account;
use crate::{app::App, clock::Clock};

/// What a new tenant is told once.
pub struct Created {
    /// Its id.
    pub tenant: Id<id::Tenant>,
    /// The admin API key.
    pub admin_key: String,
    /// The owner's e-mail address.
    pub owner_email: String,
    /// The owner's password.
    pub owner_password: String,
    /// The secret our signatures are made with.
    pub webhook_secret: String,
}

/// Makes a tenant with an owner and an admin key.
pub async fn create_tenant(
    store: &Store,
    clock: &Clock,
    chance: &Chance,
    name: &str,
    email: &str,
    plan: Plan,
) -> anyhow::Result<Created> {
    let (owner_password, hash) = password(chance).await?;
    let created = Created {
        tenant: Id::new(clock.now(), chance),
        admin_key: format!("rdl_live_{}", chance.token::<20>()),
        owner_email: email.to_lowercase(),
        owner_password,
        webhook_secret: format!("whsec_{}", chance.token::<20>()),
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
    store.create_tenant(&new, clock.now(), chance).await?;
    Ok(created)
}

/// A new password, and what is stored of it: Argon2id, off the threads that serve.
pub async fn password(chance: &Chance) -> anyhow::Result<(String, String)> {
    let (password, salt) = (chance.token::<15>(), chance.bytes::<16>());
    let given = password.clone();
    let hashing = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password_with_salt(given.as_bytes(), &salt).map(|hash| hash.to_string())
    });
    let hash = hashing.await?.map_err(|e| anyhow::anyhow!("the password could not be hashed: {e}"))?;
    Ok((password, hash))
}

/// Why the roster could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ReadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Pulls the roster of agents and the workspace's own numbers; changes nothing at the provider.
pub async fn sync(
    app: &App,
    store: &TenantStore,
    tenant: &TenantRow,
    workspace: &WorkspaceRow,
) -> Result<usize, SyncError> {
    let key = app.store.open_key(tenant.id).await?;
    let api_key = workspace.api_key(&key)?;
    let began = app.clock.now();
    let provider = app.provider(workspace, false)?;
    let agents = provider.agents(&api_key).await?;
    let missing = &workspace.missing_permissions;
    account::read_succeeded(app, workspace.id, missing, Permission::Agents).await;
    if workspace.account.is_none() {
        // Connected by a version that did not ask.
        match account::of_key(provider, &key, &api_key).await {
            Ok(account) => app.store.set_account(workspace.id, &account).await?,
            Err(error) => {
                tracing::warn!(workspace.id = %workspace.id, %error, "the provider's account of workspace {} could not be read", workspace.id);
            }
        }
    }
    let own = own_numbers(app, provider, workspace, (&key, &api_key)).await?;
    let roster: Vec<Roster<'_>> = agents
        .iter()
        .map(|a| Roster {
            provider_agent_id: &a.id,
            name: &a.name,
            channel: a.channel,
            timezone: a.timezone.as_deref(),
        })
        .collect();
    let max = app.store.limits_of(tenant.plan).agents;
    store
        .sync_agents(
            workspace.id,
            &roster,
            own.as_ref().map(|(indexes, countries)| (indexes.as_slice(), countries.as_slice())),
            max,
            (began, app.clock.now()),
            &app.chance,
        )
        .await?;
    tracing::info!(workspace.id = %workspace.id, n = agents.len(), "the roster of workspace {} was pulled: {} agents", workspace.id, agents.len());
    Ok(agents.len())
}

/// The keyed indexes of the workspace's own numbers, and their countries.
type OwnNumbers = (Vec<[u8; 16]>, Vec<String>);

/// The workspace's own numbers, as far as its key may read them now.
async fn own_numbers(
    app: &App,
    provider: &dyn Provider,
    workspace: &WorkspaceRow,
    (key, api_key): (&TenantKey, &str),
) -> Result<Option<OwnNumbers>, ReadError> {
    let numbers = match provider.numbers(api_key).await {
        Ok(numbers) => numbers,
        Err(error) if error.is_of_account() => return Err(error),
        Err(error) => {
            account::read_failed(app, workspace.id, &error).await;
            tracing::warn!(workspace.id = %workspace.id, %error, "the workspace's own numbers could not be read");
            return Ok(None);
        }
    };
    let missing = &workspace.missing_permissions;
    account::read_succeeded(app, workspace.id, missing, Permission::Numbers).await;
    let numbers: Vec<Phone> = numbers.iter().filter_map(|n| Phone::parse(&n.number).ok()).collect();
    let mut countries: Vec<String> =
        numbers.iter().filter_map(|n| phone::country_of(n)).map(str::to_owned).collect();
    countries.sort();
    countries.dedup();
    Ok(Some((numbers.iter().map(|n| key.index(n.e164())).collect(), countries)))
}

/// A request to schedule a callback.
pub struct ByHand {
    /// The number to dial.
    pub to: Phone,
    /// The number to dial from; else the agent's own.
    pub from: Option<Phone>,
    /// When.
    pub when: When,
    /// What the agent is told beside our own variables.
    pub variables: BTreeMap<String, String>,
    /// An id of the program's own.
    pub external_id: Option<String>,
    /// A JSON object of the program's own, as text; the provider gets it as metadata.
    pub metadata: Option<String>,
    /// Whether it may replace what the callee asked for.
    pub replaces: bool,
}

/// A moment, or words for one.
pub enum When {
    /// That instant.
    At(Timestamp),
    /// Words, on a clock in that zone.
    Words(String, Option<String>),
}

/// Why a callback was not scheduled.
#[derive(Debug, thiserror::Error)]
pub enum NotScheduled {
    /// The words name no time to come.
    #[error(
        "The text names no time to come. Send words like \"tomorrow at 3 pm\" or \"in two hours\", or send `at`."
    )]
    NoTime,
    /// The moment is over, or too far ahead.
    #[error("The moment must lie between now and 400 days from now.")]
    OutOfRange,
    /// The number to dial from is none of the workspace's own.
    #[error("The number to dial from is none of the workspace's own numbers.")]
    ForeignNumber,
    /// The workspace does not call that country.
    #[error("The number's country is not among `allowed_countries` of the workspace.")]
    Country,
    /// Something forbids it.
    #[error("{}", .0.sentence())]
    Note(Note),
    /// A callback that the callee requested is waiting.
    #[error("A callback that the callee asked for waits: {0}. Send `replace` as true to replace it.")]
    PromisePending(Id<id::Callback>),
    /// The unresolved callback was forced before.
    #[error("The callback was forced before; {0} came of it.")]
    ForcedBefore(Id<id::Callback>),
    /// The number was called too often.
    #[error(
        "The number was called so often that something must be wrong. Look at its chain before you call again."
    )]
    Fuse,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotWritten> for NotScheduled {
    fn from(why: NotWritten) -> Self {
        match why {
            NotWritten::Refused(Refused::Note(note)) => Self::Note(note),
            NotWritten::Refused(Refused::PromisePending(id)) => Self::PromisePending(id),
            NotWritten::ForcedBefore(id) => Self::ForcedBefore(id),
        }
    }
}

/// Schedules a callback by hand.
pub async fn schedule(
    app: &App,
    store: &TenantStore,
    workspace: &WorkspaceRow,
    agent: &AgentRow,
    by_hand: ByHand,
) -> Result<Id<id::Callback>, NotScheduled> {
    let tenant = workspace.tenant;
    let desk = app.store.desk(tenant, workspace.id, app.clock.real_ms()).await?;
    let key = store.open_key().await?;
    let person_ix = key.index(by_hand.to.e164());
    let policy = agent.settings(&workspace.settings).policy(&workspace.number_countries);
    let now = app.clock.now();
    let (at, zone) = moment(&by_hand, agent, &policy, now).ok_or(NotScheduled::NoTime)?;
    if !is_schedulable(at, now, app.clock.speed()) {
        return Err(NotScheduled::OutOfRange);
    }
    if !store.is_for_tests() {
        check_numbers(&by_hand, &desk, &policy, &key)?;
    }
    let secrets = Secrets {
        to: by_hand.to.e164().to_owned(),
        from: by_hand.from.as_ref().map(|f| f.e164().to_owned()),
        variables: by_hand.variables,
        metadata: by_hand.metadata,
        external_id: by_hand.external_id,
        ..Secrets::default()
    };
    let id = Id::new(now, &app.chance);
    let plan = ManualPlan {
        id,
        workspace: workspace.id,
        agent: agent.id,
        channel: agent.channel,
        person_ix,
        secrets: &secrets,
        promise_scope: promise_scope(&policy, agent.id),
        forces: None,
    };
    let decide = |person: &decide::Person| {
        let (agent, replaces) = (agent.id, by_hand.replaces);
        decide::on_request(&Request { at, zone, person, agent, replaces, forces: None, policy: &policy }, now)
    };
    store.schedule(&plan, decide, &key, now, &app.chance).await??;
    tracing::info!(callback.id = %id, workspace.id = %workspace.id, scheduled_for = %at, "callback {id} was scheduled for {at} by request");
    Ok(id)
}

/// The agent with which a callback is the one promise; `None` in the whole workspace.
fn promise_scope(policy: &Policy, agent: Id<id::Agent>) -> Option<Id<id::Agent>> {
    (policy.one_promise_per == PromiseScope::Agent).then_some(agent)
}

/// Whether the numbers are ones that may be dialed, and dialed from.
fn check_numbers(
    by_hand: &ByHand,
    desk: &Desk,
    policy: &Policy,
    key: &TenantKey,
) -> Result<(), NotScheduled> {
    let is_own = |number: &Phone| desk.is_own_number(&key.index(number.e164()));
    if !decide::may_be_dialed(&by_hand.to, by_hand.from.as_ref(), is_own) {
        return Err(NotScheduled::Note(Note::OwnNumber));
    }
    let missing = &desk.workspace.missing_permissions;
    let knows_numbers = !missing.iter().any(|p| p == Permission::Numbers.as_str());
    if knows_numbers && by_hand.from.as_ref().is_some_and(|from| !is_own(from)) {
        return Err(NotScheduled::ForeignNumber);
    }
    if !policy.calls_country_of(by_hand.to.e164()) {
        return Err(NotScheduled::Country);
    }
    Ok(())
}

/// Dials an unresolved callback again, once, by a person's decision. It keeps its state; a new callback follows it.
pub async fn force_anew(
    app: &App,
    store: &TenantStore,
    row: &CallbackRow,
) -> Result<Id<id::Callback>, NotScheduled> {
    let key = store.open_key().await?;
    let workspace = store.workspace(row.workspace).await?;
    let agent = store.agent(row.agent).await?;
    let policy = agent.settings(&workspace.settings).policy(&workspace.number_countries);
    let spent = store.spent(row.chain).await?;
    let now = app.clock.now();
    if store.is_fuse_blown(row.person_ix, app.config.fuse(), now).await? {
        return Err(NotScheduled::Fuse);
    }
    let (id, secrets) = (Id::new(now, &app.chance), row.secrets(&key)?);
    let plan = ManualPlan {
        id,
        workspace: row.workspace,
        agent: row.agent,
        channel: row.channel,
        person_ix: row.person_ix,
        secrets: &secrets,
        promise_scope: promise_scope(&policy, row.agent),
        forces: Some(row.id),
    };
    let decide = |person: &decide::Person| {
        let forces = Some(Forced { id: row.id, chain: row.chain, spent, reason: row.reason });
        let (zone, agent) = (row.zone.clone(), row.agent);
        let request = Request { at: now, zone, person, agent, replaces: true, forces, policy: &policy };
        decide::on_request(&request, now)
    };
    store.schedule(&plan, decide, &key, now, &app.chance).await??;
    Ok(id)
}

fn moment(by_hand: &ByHand, agent: &AgentRow, policy: &Policy, now: Timestamp) -> Option<(Timestamp, Zone)> {
    let zones = phone::zones_of(by_hand.to.e164());
    let of_number = || Zone::of_callee(zones, agent.timezone.as_deref(), &policy.timezone);
    match &by_hand.when {
        When::At(at) => Some((*at, of_number())),
        When::Words(words, zone) => {
            let zone = match zone {
                Some(name) => Zone { name: name.clone(), source: ZoneSource::Request, is_sure: true },
                None => of_number(),
            };
            Some((decide::time_in_words(words, &zone, policy, now)?, zone))
        }
    }
}
