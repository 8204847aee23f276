//! What people do, through whichever door: connect a workspace, sync its roster, schedule by hand.

use argon2::{Argon2, PasswordHasher as _};
use redialer_core::{
    Id, Phone, Timestamp,
    chance::Chance,
    decide::{self, Follow, Note, Request},
    id, phone,
    policy::Policy,
    tenant::Plan,
    time::{Zone, ZoneSource},
};
use redialer_providers::retell::api::{ReadError, RosterAgent};
use redialer_store::{
    AgentRow, CallbackRow, DueRow, ManualPlan, NewTenant, Roster, Secrets, Store, StoreError, TenantRow,
    TenantStore, WorkspaceRow, bucket_of,
};

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
    let mut agents: Vec<RosterAgent> = app.retell.agents(&api_key).await?;
    for agent in &mut agents {
        // Only its time zone is wanted: what cannot be told now stays as it was known.
        agent.timezone = match app.retell.agent_timezone(&api_key, agent).await {
            Ok(timezone) => timezone,
            Err(error @ (ReadError::KeyRefused { .. } | ReadError::Payment { .. })) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(%error, "an agent's time zone could not be read");
                None
            }
        };
    }
    let own: Option<Vec<[u8; 16]>> = match app.retell.numbers(&api_key).await {
        Ok(numbers) => {
            let numbers = numbers.iter().filter_map(|n| Phone::parse(&n.number).ok());
            Some(numbers.map(|p| key.index(p.e164())).collect())
        }
        Err(error) => {
            tracing::warn!(%error, "the workspace's own numbers could not be read");
            None
        }
    };
    let roster: Vec<Roster<'_>> = agents
        .iter()
        .map(|a| Roster {
            provider_agent_id: &a.id,
            name: &a.name,
            channel: a.channel,
            timezone: a.timezone.as_deref(),
        })
        .collect();
    let max = app.plans.of(tenant.plan).agents;
    store
        .sync_agents(workspace.id, &roster, own.as_deref(), max, (began, app.clock.now()), &app.chance)
        .await?;
    Ok(agents.len())
}

/// A callback that somebody asks for.
pub struct ByHand {
    /// The number to dial.
    pub to: Phone,
    /// The number to dial from; else the agent's own.
    pub from: Option<Phone>,
    /// When.
    pub when: When,
    /// What the agent is told beside our own variables.
    pub variables: std::collections::BTreeMap<String, String>,
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
    /// The words name no time.
    #[error("no time was understood; try \"tomorrow at 3 pm\" or \"in two hours\", or give `at`")]
    NoTime,
    /// Something forbids it.
    #[error("{}", .0.sentence())]
    Note(Note),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    if by_hand.from.as_ref() == Some(&by_hand.to) || desk.is_own_number(&person_ix) {
        return Err(NotScheduled::Note(Note::OwnNumber));
    }
    let policy = agent.settings(&workspace.defaults).policy();
    let now = app.clock.now();
    let (at, zone) = moment(&by_hand, agent, &policy, now).ok_or(NotScheduled::NoTime)?;
    let mut secrets = Secrets::default();
    secrets.to.push_str(by_hand.to.e164());
    secrets.from = by_hand.from.as_ref().map(|f| f.e164().to_owned());
    secrets.variables.clone_from(&by_hand.variables);
    let id = Id::new(now, &app.chance);
    let plan = ManualPlan {
        id,
        workspace: workspace.id,
        agent: agent.id,
        channel: agent.channel,
        person_ix,
        secrets: &secrets,
    };
    let decide = |person: &decide::Person| {
        let (follow, replaced) =
            decide::on_request(&Request { at, zone, person, forces: None, policy: &policy }, now)?;
        let (Follow::New(planned) | Follow::Move(_, planned)) = follow;
        Ok((planned, replaced))
    };
    store.schedule(&plan, decide, &key, now, &app.chance).await?.map_err(NotScheduled::Note)?;
    app.due_added(DueRow {
        bucket: bucket_of(tenant),
        id,
        tenant,
        workspace: workspace.id,
        channel: agent.channel,
        due_at: at,
        failures: 0,
        test: store.is_for_tests(),
    });
    Ok(id)
}

/// Dials an unresolved callback anew: a person has decided. It stays as it ended; the new one follows it.
pub async fn force_anew(
    app: &App,
    store: &TenantStore,
    row: &CallbackRow,
) -> Result<Id<id::Callback>, NotScheduled> {
    let key = store.open_key().await?;
    let workspace = store.workspace(row.workspace).await?;
    let policy = store.agent(row.agent).await?.settings(&workspace.defaults).policy();
    let spent = store.spent(row.chain).await?;
    let now = app.clock.now();
    let (id, secrets) = (Id::new(now, &app.chance), row.secrets(&key)?);
    let plan = ManualPlan {
        id,
        workspace: row.workspace,
        agent: row.agent,
        channel: row.channel,
        person_ix: row.person_ix,
        secrets: &secrets,
    };
    let decide = |person: &decide::Person| {
        let forces = Some((row.id, row.chain, spent));
        let request = Request { at: now, zone: row.zone.clone(), person, forces, policy: &policy };
        let (follow, replaced) = decide::on_request(&request, now)?;
        let (Follow::New(planned) | Follow::Move(_, planned)) = follow;
        Ok((planned, replaced))
    };
    store.schedule(&plan, decide, &key, now, &app.chance).await?.map_err(NotScheduled::Note)?;
    app.due_changed();
    Ok(id)
}

fn moment(by_hand: &ByHand, agent: &AgentRow, policy: &Policy, now: Timestamp) -> Option<(Timestamp, Zone)> {
    let zones = phone::zones_of(by_hand.to.e164());
    let of_number = || Zone::of_callee(zones, agent.timezone.as_deref(), &policy.timezone);
    match &by_hand.when {
        When::At(at) => Some((*at, of_number())),
        When::Words(words, zone) => {
            let zone = match zone {
                Some(name) => Zone { name: name.clone(), source: ZoneSource::Request },
                None => of_number(),
            };
            let turn = redialer_when::Turn { role: redialer_when::Role::User, content: words.clone() };
            let call = redialer_when::Call {
                turns: &[turn],
                end: now,
                zone: &zone.name,
                agent_zone: None,
                only_the_time: true,
                lang: policy.language.unwrap_or_default(),
                hours: Some(&policy.hours),
            };
            Some((redialer_when::read(&call).at?, zone))
        }
    }
}
