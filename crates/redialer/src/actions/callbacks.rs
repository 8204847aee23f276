//! Manual callbacks: schedule, reschedule, force.

use std::collections::BTreeMap;

use redialer_core::{
    Id, Phone, Timestamp,
    callback::State,
    decide::{self, EventNote, Forced, Request, RequestError, is_schedulable},
    id,
    permission::Permission,
    phone,
    policy::{Policy, PromiseScope},
    time::{Zone, ZoneSource},
};
use redialer_store::{
    AgentRow, CallbackRow, NewManualCallback, NotWritten, Secrets, StoreError, TenantKey, TenantStore,
    TransitionError, WorkspaceContext, WorkspaceRow,
};

use crate::app::App;

/// A request to schedule a callback.
pub struct ManualRequest {
    /// The number to dial.
    pub to: Phone,
    /// The number to dial from; `None` for the agent's own.
    pub from: Option<Phone>,
    /// When to dial.
    pub when: When,
    /// Variables for the agent, in addition to redialer's own.
    pub variables: BTreeMap<String, String>,
    /// The API client's own id for the callback.
    pub external_id: Option<String>,
    /// The API client's own JSON object, as text; the provider gets it as metadata.
    pub metadata: Option<String>,
    /// Whether it may replace a callback that the callee requested.
    pub replaces: bool,
}

/// An instant, or a time in words.
pub enum When {
    /// The instant, and the callee's time zone if known.
    At(Timestamp, Option<String>),
    /// The words, and the callee's time zone if known.
    Words(String, Option<String>),
}

/// Why a callback was not scheduled.
#[derive(Debug, thiserror::Error)]
pub enum NotScheduled {
    /// The words contain no future time.
    #[error(
        "`text` contains no future time. Send words like \"tomorrow at 3 pm\" or \"in two hours\", or send `at`."
    )]
    NoTime,
    /// The time is in the past or too far ahead.
    #[error("The time must be between now and 400 days from now.")]
    OutOfRange,
    /// The number to dial from is not one of the workspace's own.
    #[error("`from_number` must be one of the workspace's own numbers.")]
    ForeignNumber,
    /// The workspace does not call that country.
    #[error("The number's country is not among `allowed_countries` of the workspace.")]
    Country,
    /// Refused for the reason in the note.
    #[error("{}", .0.description())]
    Note(EventNote),
    /// A callback that the callee requested is waiting.
    #[error(
        "A callback that the callee requested is still waiting: {0}. Send `replace` as true to replace it."
    )]
    PromisePending(Id<id::Callback>),
    /// The unresolved callback was already forced; the id is that of the resulting callback.
    #[error("The callback was already forced; the resulting callback is {0}.")]
    ForcedBefore(Id<id::Callback>),
    /// The number was called too often; the fuse has blown.
    #[error(
        "The number was called more often than the fuse allows. Check the callback's chain, then try again later."
    )]
    Fuse,
    /// The callback is being dialed or is finished.
    #[error("{}", not_now(*.0))]
    Now(TransitionError),
    /// A store error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const fn not_now(why: TransitionError) -> &'static str {
    match why {
        TransitionError::Dialling => "The callback is being dialed and cannot be changed.",
        TransitionError::Final => "The callback is finished and cannot be changed.",
    }
}

impl From<TransitionError> for NotScheduled {
    fn from(why: TransitionError) -> Self {
        Self::Now(why)
    }
}

impl From<NotWritten> for NotScheduled {
    fn from(why: NotWritten) -> Self {
        match why {
            NotWritten::Refused(RequestError::Note(note)) => Self::Note(note),
            NotWritten::Refused(RequestError::PromisePending(id)) => Self::PromisePending(id),
            NotWritten::ForcedBefore(id) => Self::ForcedBefore(id),
        }
    }
}

/// Schedules a manual callback.
pub async fn schedule(
    app: &App,
    store: &TenantStore,
    workspace: &WorkspaceRow,
    agent: &AgentRow,
    manual: ManualRequest,
) -> Result<Id<id::Callback>, NotScheduled> {
    let tenant = workspace.tenant;
    let context = app.store.workspace_context(tenant, workspace.id, app.clock.real_ms()).await?;
    let key = store.open_key().await?;
    let phone_hash = key.index(manual.to.e164());
    let policy = agent.settings(&workspace.settings).policy(&workspace.number_countries);
    let now = app.clock.now();
    let (at, zone) = moment(&manual, agent, &policy, now).ok_or(NotScheduled::NoTime)?;
    if !is_schedulable(at, now, app.clock.speed()) {
        return Err(NotScheduled::OutOfRange);
    }
    if !store.is_for_tests() {
        check_numbers(&manual, &context, &policy, &key)?;
    }
    let secrets = Secrets {
        to: manual.to.e164().to_owned(),
        from: manual.from.as_ref().map(|f| f.e164().to_owned()),
        variables: manual.variables,
        metadata: manual.metadata,
        external_id: manual.external_id,
        ..Secrets::default()
    };
    let id = Id::new(now, &app.rng);
    let plan = NewManualCallback {
        id,
        workspace: workspace.id,
        agent: agent.id,
        channel: agent.channel,
        phone_hash,
        secrets: &secrets,
        promise_scope: promise_scope(&policy, agent.id),
        forces: None,
    };
    let decide = |person: &decide::Person| {
        let (agent, replaces) = (agent.id, manual.replaces);
        decide::on_request(&Request { at, zone, person, agent, replaces, forces: None, policy: &policy }, now)
    };
    store.schedule(&plan, decide, &key, now, &app.rng).await??;
    tracing::info!(callback.id = %id, workspace.id = %workspace.id, scheduled_for = %at, "callback {id} was scheduled for {at} by request");
    Ok(id)
}

/// The agent with which a number may have at most one waiting callback; `None` for the whole workspace.
fn promise_scope(policy: &Policy, agent: Id<id::Agent>) -> Option<Id<id::Agent>> {
    (policy.one_promise_per == PromiseScope::Agent).then_some(agent)
}

/// Checks that `to` may be dialed, that `from` belongs to the workspace, and that the country is allowed.
fn check_numbers(
    manual: &ManualRequest,
    context: &WorkspaceContext,
    policy: &Policy,
    key: &TenantKey,
) -> Result<(), NotScheduled> {
    let is_own = |number: &Phone| context.is_own_number(&key.index(number.e164()));
    if !decide::may_be_dialed(&manual.to, manual.from.as_ref(), is_own) {
        return Err(NotScheduled::Note(EventNote::OwnNumber));
    }
    let missing = &context.workspace.missing_permissions;
    let knows_numbers = !missing.iter().any(|p| p == Permission::Numbers.as_str());
    if knows_numbers && manual.from.as_ref().is_some_and(|from| !is_own(from)) {
        return Err(NotScheduled::ForeignNumber);
    }
    if !policy.calls_country_of(manual.to.e164()) {
        return Err(NotScheduled::Country);
    }
    Ok(())
}

/// Returns a callback whose workspace is not deleted.
pub async fn seen(store: &TenantStore, id: Id<id::Callback>) -> Result<CallbackRow, StoreError> {
    let row = store.callback(id).await?;
    store.workspace(row.workspace).await?;
    Ok(row)
}

/// Moves a waiting callback to `to`. With `if_unchanged`, fails if the callback has changed since that time.
pub async fn reschedule(
    app: &App,
    store: &TenantStore,
    id: Id<id::Callback>,
    (to, if_unchanged): (Timestamp, Option<Timestamp>),
) -> Result<(), NotScheduled> {
    let now = app.clock.now();
    if !is_schedulable(to, now, app.clock.speed()) {
        return Err(NotScheduled::OutOfRange);
    }
    Ok(store.reschedule(id, to, if_unchanged, now).await??)
}

/// Makes a callback due now, outside calling hours too. A callback that ended unresolved is dialed again as a new
/// callback. Returns the id of the callback that will be dialed.
pub async fn force(
    app: &App,
    store: &TenantStore,
    row: &CallbackRow,
) -> Result<Id<id::Callback>, NotScheduled> {
    if row.state == State::Failed && matches!(row.outcome.as_deref(), Some("unresolved" | "outcome_unknown"))
    {
        return redial_unresolved(app, store, row).await;
    }
    let now = app.clock.now();
    if row.state.is_waiting() && store.is_fuse_blown(row.phone_hash, app.config.fuse(), now).await? {
        return Err(NotScheduled::Fuse);
    }
    store.force(row.id, now).await??;
    Ok(row.id)
}

/// Dials an unresolved callback again, once, because a person requested it. It keeps its state; a new callback follows it.
pub async fn redial_unresolved(
    app: &App,
    store: &TenantStore,
    row: &CallbackRow,
) -> Result<Id<id::Callback>, NotScheduled> {
    let key = store.open_key().await?;
    let workspace = store.workspace(row.workspace).await?;
    let agent = store.agent(row.agent).await?;
    let policy = agent.settings(&workspace.settings).policy(&workspace.number_countries);
    let attempts_used = store.attempts_used(row.chain).await?;
    let now = app.clock.now();
    if store.is_fuse_blown(row.phone_hash, app.config.fuse(), now).await? {
        return Err(NotScheduled::Fuse);
    }
    let (id, secrets) = (Id::new(now, &app.rng), row.secrets(&key)?);
    let plan = NewManualCallback {
        id,
        workspace: row.workspace,
        agent: row.agent,
        channel: row.channel,
        phone_hash: row.phone_hash,
        secrets: &secrets,
        promise_scope: promise_scope(&policy, row.agent),
        forces: Some(row.id),
    };
    let decide = |person: &decide::Person| {
        let forces = Some(Forced { id: row.id, chain: row.chain, attempts_used, reason: row.reason });
        let (zone, agent) = (row.zone.clone(), row.agent);
        let request = Request { at: now, zone, person, agent, replaces: true, forces, policy: &policy };
        decide::on_request(&request, now)
    };
    store.schedule(&plan, decide, &key, now, &app.rng).await??;
    Ok(id)
}

fn moment(
    manual: &ManualRequest,
    agent: &AgentRow,
    policy: &Policy,
    now: Timestamp,
) -> Option<(Timestamp, Zone)> {
    let zones = phone::zones_of(manual.to.e164());
    let (When::At(_, zone) | When::Words(_, zone)) = &manual.when;
    let zone = match zone {
        Some(name) => Zone { name: name.clone(), source: ZoneSource::Request, is_sure: true },
        None => Zone::of_callee(zones, agent.timezone.as_deref(), &policy.timezone),
    };
    let at = match &manual.when {
        When::At(at, _) => *at,
        When::Words(words, _) => decide::time_in_words(words, &zone, policy, now)?,
    };
    Some((at, zone))
}
