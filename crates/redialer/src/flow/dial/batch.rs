//! The state that the dials of one workspace share, and the result of each claim: held, snoozed, closed, or an intent.
//!
//! Invariant: every claim is checked by the gates again; their records are stored with the intent or the closed callback.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use redialer_core::{
    Id, Phone, Secret, Timestamp,
    agent::OwnNumber,
    callback::{HeldFor, State},
    decide::{self, ActivityNotice, Attempt, Due, GateRecord, Verdict},
    order::CallOrder,
    permission::Permission,
    policy::Policy,
};
use redialer_providers::{ReadError, ReadFailure};
use redialer_store::{
    AgentContext, AgentRow, Claim, NewDispatch, Secrets, StoreError, TenantKey, WorkspaceContext,
};
use tokio::sync::OnceCell;

use crate::{
    app::App,
    flow::{account, dial::INTENT_SLACK},
};

/// The outcome of a callback that was missed and rescheduled.
const MISSED: &str = "missed";
/// The number that test callbacks are dialed from if none is given.
const TEST_FROM_NUMBER: &str = "+12025550100";

/// The state that the dials of one workspace share. Its opened key lives no longer than the batch.
pub(crate) struct WorkspaceDials<'a> {
    app: &'a App,
    context: Arc<WorkspaceContext>,
    pub(crate) key: TenantKey,
    pub(crate) api_key: Secret<String>,
    numbers: OnceCell<Vec<OwnNumber>>,
    lease_until_ms: i64,
}

impl<'a> WorkspaceDials<'a> {
    pub(crate) async fn open(
        app: &'a App,
        context: Arc<WorkspaceContext>,
        lease_until_ms: i64,
    ) -> Result<Self, StoreError> {
        let key = context.open_key(&app.store).await?;
        let api_key = context.workspace.api_key(&key)?;
        Ok(Self { app, context, key, api_key, numbers: OnceCell::new(), lease_until_ms })
    }

    /// Returns the intent of one claim, or `None` if the claim was held, snoozed, closed or released. A failure affects
    /// only this claim: it is released, and its callback is held after too many failures (I33). Other claims in the batch
    /// are not delayed.
    pub(crate) async fn prepare_claim(&self, claim: Claim) -> Option<(Claim, NewDispatch)> {
        let (id, row, fence) = (claim.id(), claim.due_row(), claim.fence());
        let failure = match AssertUnwindSafe(self.evaluate(claim)).catch_unwind().await {
            Ok(Ok(intended)) => return intended,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a panic".to_owned(),
        };
        tracing::error!(callback.id = %id, failure, "callback {id} could not be dialed because of an internal error; it is retried or held");
        metrics::counter!("redialer_dials_failed_total").increment(1);
        let now = self.app.clock.now();
        if let Err(error) = self.app.store.fail_claim(row, fence, in_one_minute(now), now).await {
            // The lease expires by itself.
            tracing::warn!(callback.id = %id, %error, "the claim on callback {id} could not be released; it expires with its lease");
        }
        None
    }

    async fn evaluate(&self, claim: Claim) -> Result<Option<(Claim, NewDispatch)>, StoreError> {
        let (app, now) = (self.app, self.app.clock.now());
        let AgentContext { agent, policy } = self.context.agent_context(&app.store, claim.agent()).await?;
        let secrets = claim.secrets(&self.key)?;
        let due = self.due(&claim, &secrets, &agent, &policy, now);
        let (attempt, gates) = (due.attempt(), decide::gates(&due, now));
        let verdict = decide::decision(&gates);
        let gates: Vec<GateRecord> = gates.into_iter().map(GateRecord::from).collect();
        match verdict {
            Verdict::Wait(until) => app.store.snooze(claim, until, None, now).await?,
            Verdict::Replan(until) => {
                tracing::warn!(callback.id = %claim.id(), "callback {} was missed and is rescheduled", claim.id());
                app.store.snooze(claim, until, Some(MISSED), now).await?;
            }
            Verdict::Hold(why) => app.store.hold(claim, why, now).await?,
            Verdict::Stop(State::Canceled) => {
                app.store.close_claim(claim, (State::Canceled, "observed"), &gates, now).await?;
            }
            Verdict::Stop(state) => {
                tracing::info!(callback.id = %claim.id(), state = state.as_str(), "callback {} was closed without a dial", claim.id());
                app.store.close_claim(claim, (state, state.as_str()), &gates, now).await?;
            }
            Verdict::Pass => {
                let late_by = now.duration_since(claim.scheduled_for()).as_secs_f64().max(0.0);
                metrics::histogram!("redialer_dial_lateness_seconds").record(late_by);
                let dial = Dial { attempt, gates, agent: &agent };
                return self.intend(claim, secrets, dial).await;
            }
        }
        Ok(None)
    }

    /// The facts about a claimed callback that the gates check.
    fn due<'d>(
        &self,
        claim: &'d Claim,
        secrets: &'d Secrets,
        agent: &AgentRow,
        policy: &'d Policy,
        now: Timestamp,
    ) -> Due<'d> {
        let app = self.app;
        let overdue = app.dial_rate.late_by(claim.id(), claim.scheduled_for(), now, app.clock.steady());
        Due {
            late_by: overdue - app.key_outages.within(claim.scheduled_for(), now),
            overdue,
            attempts_used: claim.attempts_used(),
            suppressed: claim.suppressed(),
            ..Due::new(&claim.candidate(&secrets.to), agent.dialing(), policy)
        }
    }

    /// Builds the intent of a claim that may be dialed now.
    async fn intend(
        &self,
        claim: Claim,
        mut secrets: Secrets,
        dial: Dial<'_>,
    ) -> Result<Option<(Claim, NewDispatch)>, StoreError> {
        let (app, now) = (self.app, self.app.clock.now());
        let from = match self.number_of(dial.agent, &secrets, claim.test()).await {
            Ok(Some(from)) => from,
            Ok(None) => {
                app.store.hold(claim, HeldFor::FromNumber, now).await?;
                return Ok(None);
            }
            Err(NumberError::Store(error)) => return Err(error),
            Err(NumberError::Provider(error)) => {
                tracing::warn!(callback.id = %claim.id(), %error, "callback {} is retried later: the number to dial from could not be read from the provider", claim.id());
                account::read_failed(app, claim.workspace(), &error).await;
                app.store
                    .release(claim, in_one_minute(now), Some(ActivityNotice::FromNumberUnavailable), now)
                    .await?;
                return Ok(None);
            }
        };
        // Stored, so that the API shows the number that the callback is dialed from.
        let stores_number = secrets.from.is_none();
        secrets.from.get_or_insert_with(|| from.number.e164().to_owned());
        // The number to dial from is known only now, and `to` may have become one of the account's own numbers.
        let is_own = |phone: &Phone| self.context.is_own_number(&self.key.index(phone.e164()));
        let may_dial = |to: &Phone| claim.test() || decide::may_be_dialed(to, Some(&from.number), is_own);
        let Some(to) = Phone::parse(&secrets.to).ok().filter(may_dial) else {
            app.store.close_claim(claim, (State::Failed, "bad_number"), &dial.gates, now).await?;
            return Ok(None);
        };
        let mut new = dial.intent(self, &claim, &secrets, (from, to))?;
        new.secrets = stores_number.then(|| secrets.seal(claim.id(), &self.key, &app.rng));
        // From here on the lease of the intent applies, not that of the claim.
        if app.clock.real_ms() >= self.lease_until_ms {
            app.store.release(claim, now, None, now).await?;
            return Ok(None);
        }
        Ok(Some((claim, new)))
    }

    /// The number to dial from: that of the original call, or else the agent's own number at the provider.
    async fn number_of(
        &self,
        agent: &AgentRow,
        secrets: &Secrets,
        test: bool,
    ) -> Result<Option<FromNumber>, NumberError> {
        let known = secrets.from.as_deref().and_then(|n| Phone::parse(n).ok());
        let from = match known {
            Some(from) => Some(from),
            None if test => Phone::parse(TEST_FROM_NUMBER).ok(),
            None => self.number_at_provider(agent).await?,
        };
        let Some(number) = from else { return Ok(None) };
        let provider = self.app.provider(&self.context.workspace, test)?;
        if !provider.capabilities().dials_by_number_id {
            return Ok(Some(FromNumber { number, id: None }));
        }
        // A number that the account does not own cannot be dialed from.
        let own = self.numbers().await?.iter().find(|own| own.number == number.e164());
        Ok(own.and_then(|own| own.id.clone()).map(|id| FromNumber { number, id: Some(id) }))
    }

    /// The agent's own number at the provider, or else the number of its last recorded call.
    async fn number_at_provider(&self, agent: &AgentRow) -> Result<Option<Phone>, NumberError> {
        let (app, workspace) = (self.app, &self.context.workspace);
        if let Some(own) = decide::number_of_agent(self.numbers().await?, &agent.provider_agent_id) {
            let missing = &workspace.missing_permissions;
            account::read_succeeded(app, workspace.id, missing, Permission::Numbers).await;
            return Ok(Phone::parse(&own.number).ok());
        }
        let known = app.store.for_tenant(workspace.tenant).last_number_of(agent.id, &self.key).await?;
        Ok(known.and_then(|number| Phone::parse(&number).ok()))
    }

    /// The account's own numbers, read once.
    async fn numbers(&self) -> Result<&[OwnNumber], NumberError> {
        let (app, workspace) = (self.app, &self.context.workspace);
        let read = || async {
            match app.provider(workspace, false)?.numbers(&self.api_key).await {
                // The key lacks permission to read the account's numbers; numbers from earlier calls are used instead.
                Err(error) if matches!(error.failure, ReadFailure::Forbidden { .. }) => {
                    account::read_failed(app, workspace.id, &error).await;
                    Ok(Vec::new())
                }
                read => Ok::<_, NumberError>(read?),
            }
        };
        Ok(self.numbers.get_or_try_init(read).await?)
    }
}

/// The number to dial from.
struct FromNumber {
    number: Phone,
    /// The provider's id of the number, if the provider dials by number id.
    id: Option<String>,
}

/// Why the number to dial from could not be determined.
#[derive(Debug, thiserror::Error)]
enum NumberError {
    #[error(transparent)]
    Provider(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn in_one_minute(now: Timestamp) -> Timestamp {
    redialer_core::time::plus(now, redialer_core::time::minutes(1))
}

/// One attempt to dial.
struct Dial<'a> {
    attempt: Attempt,
    gates: Vec<GateRecord>,
    agent: &'a AgentRow,
}

impl Dial<'_> {
    /// Builds the dispatch: the exact bytes of the request, its lease and its limits.
    fn intent(
        self,
        workspace_dials: &WorkspaceDials<'_>,
        claim: &Claim,
        secrets: &Secrets,
        (from, to): (FromNumber, Phone),
    ) -> Result<NewDispatch, StoreError> {
        let app = workspace_dials.app;
        let provider = app.provider(&workspace_dials.context.workspace, claim.test())?;
        let dispatch = Id::new(app.clock.now(), &app.rng);
        let order = CallOrder {
            channel: claim.channel(),
            from: from.number,
            from_id: from.id,
            to,
            agent: self.agent.provider_agent_id.clone(),
            version: secrets.version(),
            variables: secrets.variables.clone(),
            metadata: secrets.metadata.clone(),
            reason: claim.reason(),
            attempt: self.attempt.number,
            is_final: self.attempt.is_final,
            callback: claim.id(),
            chain: claim.chain(),
            dispatch,
        };
        let lease = app.config.place_deadline() + INTENT_SLACK;
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 2);
        Ok(NewDispatch {
            id: dispatch,
            attempt: self.attempt,
            gates: self.gates,
            body: provider.order(&order),
            lease_until_ms: app.clock.real_ms() + lease_ms,
            calls_a_month: app.store.limits_of(workspace_dials.context.plan).calls_a_month,
            fuse: app.config.fuse(),
            account: workspace_dials.context.workspace.account.clone(),
            secrets: None,
        })
    }
}
