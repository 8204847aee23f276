//! Changes that people and API clients make to callbacks: schedule, cancel, force, reschedule.
//!
//! Invariant: each is one transaction that also writes an audit event.

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    decide::{CallbackPlan, Person, RequestError},
    id,
    rng::Rng,
};
use serde_json::json;

use crate::{
    StoreError, TenantKey, TenantStore, at, bucket_of,
    callbacks::{
        columns::state_of,
        persons::{NewRow, PersonRef, lock_person, read_persons},
        rows::MANUAL,
        secrets::Secrets,
        transitions::{self, ManualChange},
    },
    db::{Row, Tx, args},
    log::audit::AuditEvent,
};

/// A callback that a person or an API client schedules.
pub struct NewManualCallback<'a> {
    /// Its id.
    pub id: Id<id::Callback>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// The agent that dials.
    pub agent: Id<id::Agent>,
    /// Voice or chat.
    pub channel: Channel,
    /// The keyed index of the number.
    pub phone_hash: [u8; 16],
    /// Its personal data.
    pub secrets: &'a Secrets,
    /// The agent within which the person may have one promise; `None` for the whole workspace.
    pub promise_scope: Option<Id<id::Agent>>,
    /// The unresolved callback in whose place it is forced.
    pub forces: Option<Id<id::Callback>>,
}

/// Why a callback was not scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWritten {
    /// The decision rejected it.
    Refused(RequestError),
    /// The unresolved callback was already forced; this is the callback that replaced it.
    ForcedBefore(Id<id::Callback>),
}

/// Why the state of a callback does not allow a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitionError {
    /// The request may be in flight, or the phone rings.
    Dialling,
    /// The state is final.
    Final,
}

/// Records the one callback that a person forced in place of an unresolved one; returns the earlier one, if there was
/// one.
async fn succeed(
    tx: &mut Tx,
    bucket: i64,
    unresolved: Id<id::Callback>,
    by: Id<id::Callback>,
) -> Result<Option<Id<id::Callback>>, StoreError> {
    const BEFORE: &str = "select superseded_by from callbacks where bucket = $1 and id = $2";
    if transitions::name_successor(tx, bucket, unresolved, by).await? {
        return Ok(None);
    }
    let row = tx.fetch_one(BEFORE, args![bucket, unresolved]).await?.ok_or(StoreError::NotFound)?;
    let before: Option<uuid::Uuid> = row.get("superseded_by")?;
    before.map(|id| Some(Id::from_uuid(id))).ok_or(StoreError::Changed)
}

impl TenantStore {
    /// Writes a callback that a person or an API client scheduled, and supersedes the person's waiting ones.
    pub async fn schedule(
        &self,
        manual: &NewManualCallback<'_>,
        decide: impl FnOnce(&Person) -> Result<(CallbackPlan, Vec<Id<id::Callback>>), RequestError> + Send,
        key: &TenantKey,
        now: Timestamp,
        rng: &Rng,
    ) -> Result<Result<(), NotWritten>, StoreError> {
        self.check_workspace(manual.workspace)?;
        let bucket = bucket_of(self.tenant);
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        let of =
            PersonRef { bucket, tenant: self.tenant, workspace: manual.workspace, ix: manual.phone_hash };
        lock_person(&mut tx, of).await?;
        let person = read_persons(&mut tx, [of]).await?.remove(&of.key()).unwrap_or_default();
        let (planned, replaced) = match decide(&person) {
            Ok(plan) => plan,
            Err(refused) => return Ok(Err(NotWritten::Refused(refused))),
        };
        if let Some(forced) = manual.forces
            && let Some(before) = succeed(&mut tx, bucket, forced, manual.id).await?
        {
            return Ok(Err(NotWritten::ForcedBefore(before)));
        }
        let ended: Vec<_> = replaced.iter().map(|id| (bucket, *id, Some(manual.id))).collect();
        transitions::supersede(&mut tx, &ended, now).await?;
        let row = NewRow {
            id: manual.id,
            bucket,
            tenant: self.tenant,
            workspace: manual.workspace,
            agent: manual.agent,
            channel: manual.channel,
            phone_hash: manual.phone_hash,
            planned: &planned,
            source: None,
            // A callback that replaces an unresolved one carries the call's metadata, which may contain numbers.
            kind: if manual.forces.is_some() { "forced" } else { MANUAL },
            forced: manual.forces.is_some(),
            test: self.test,
            sealed: manual.secrets.seal(manual.id, key, rng),
            promise_scope: manual.promise_scope,
            external_id_hash: manual.secrets.external_id.as_deref().map(|id| key.index_external(id)),
            now,
        };
        transitions::insert_all(&mut tx, &[row], now).await?;
        let act = AuditEvent::new("callback.create", Some(manual.workspace), manual.id).after(
            json!({"agent_id": manual.agent.to_string(), "scheduled_for": planned.scheduled_for.to_string()}),
        );
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Cancels a callback that is not being dialed (I7).
    pub async fn cancel(
        &self,
        id: Id<id::Callback>,
        now: Timestamp,
    ) -> Result<Result<(), TransitionError>, StoreError> {
        self.act(id, ManualChange::Cancel, "callback.cancel", now).await
    }

    /// Makes a waiting callback due now, at any hour.
    pub async fn force(
        &self,
        id: Id<id::Callback>,
        now: Timestamp,
    ) -> Result<Result<(), TransitionError>, StoreError> {
        self.act(id, ManualChange::Force, "callback.force", now).await
    }

    /// Moves a waiting callback to exactly that time.
    pub async fn reschedule(
        &self,
        id: Id<id::Callback>,
        to: Timestamp,
        if_unchanged: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Result<(), TransitionError>, StoreError> {
        self.act(id, ManualChange::Reschedule(to, if_unchanged), "callback.reschedule", now).await
    }

    /// Applies a manual change to one callback and writes an audit event.
    async fn act(
        &self,
        id: Id<id::Callback>,
        what: ManualChange,
        action: &'static str,
        now: Timestamp,
    ) -> Result<Result<(), TransitionError>, StoreError> {
        const STANDS: &str = "select workspace_id, state, scheduled_for from callbacks
             where bucket = $1 and tenant_id = $2 and id = $3 and is_test = $4";
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        let changed = {
            let stands = async |tx: &mut Tx| {
                let args = args![bucket_of(self.tenant), self.tenant, id, self.test];
                let row = tx.fetch_one(STANDS, args).await?;
                row.ok_or(StoreError::NotFound)
            };
            let before = stands(&mut tx).await?;
            self.check_workspace(Id::from_uuid(before.get("workspace_id")?))?;
            let of = (bucket_of(self.tenant), self.tenant);
            if !transitions::apply_manual(&mut tx, of, id, what, now).await? {
                // It may have changed since it was read.
                let state = state_of(&stands(&mut tx).await?)?;
                if state.is_waiting() {
                    return Err(StoreError::Changed);
                }
                return Ok(Err(if state.is_final() {
                    TransitionError::Final
                } else {
                    TransitionError::Dialling
                }));
            }
            (before, stands(&mut tx).await?)
        };
        let audited = |row: &Row| {
            Ok::<_, StoreError>(json!({
                "state": row.get::<String>("state")?,
                "scheduled_for": at(row.get("scheduled_for")?).to_string(),
            }))
        };
        let act = AuditEvent::new(action, Some(Id::from_uuid(changed.0.get("workspace_id")?)), id)
            .before(audited(&changed.0)?)
            .after(audited(&changed.1)?);
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }
}
