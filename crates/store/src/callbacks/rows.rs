//! Callbacks as rows: reading them, and the changes that people make to them.

use std::collections::BTreeMap;

use redialer_core::{
    Id, Timestamp,
    agent::{Channel, Version},
    callback::{HeldFor, RedialReason, State},
    decide::{CallbackPlan, Candidate, Person, RequestError},
    id,
    rng::Rng,
    time::Zone,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    StoreError, TenantKey, TenantStore, at, bucket_of,
    callbacks::{
        columns::{held_for, reason_of, state_of, zone_of},
        persons::{NewRow, PersonRef, lock_person, read_persons},
        transitions::{self, ManualChange},
    },
    db::{Row, Tx, args},
    log::audit::AuditEvent,
};

/// A callback.
#[derive(Clone)]
pub struct CallbackRow {
    /// Its id.
    pub id: Id<id::Callback>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// The agent that dials.
    pub agent: Id<id::Agent>,
    /// Its chain.
    pub chain: Id<id::Chain>,
    /// The callback it follows.
    pub parent: Option<Id<id::Callback>>,
    /// Its state.
    pub state: State,
    /// Why it is held.
    pub held_for: Option<HeldFor>,
    /// The reason for the dial.
    pub reason: RedialReason,
    /// The ordinal within its chain.
    pub attempt: i64,
    /// The chain's limit of attempts, as of this attempt.
    pub max_attempts: i64,
    /// Whether it is the chain's last attempt.
    pub is_final: bool,
    /// Whether a person set its time.
    pub forced: bool,
    /// The requested time.
    pub requested_for: Option<Timestamp>,
    /// When to dial.
    pub scheduled_for: Timestamp,
    /// The callee's time zone.
    pub zone: Zone,
    /// The provider's id of the call that led to it.
    pub source_call_id: Option<String>,
    /// The provider's id of the call it became.
    pub provider_call_id: Option<String>,
    /// How that call ended, in the provider's words.
    pub outcome: Option<String>,
    /// The provider's message about a dial that it refused.
    pub outcome_message: Option<String>,
    /// The callback that replaced it; for an unresolved one, the callback that a person forced in its place.
    pub superseded_by: Option<Id<id::Callback>>,
    /// When the provider placed the call.
    pub dialed_at: Option<Timestamp>,
    /// Whether a person or an API client scheduled it.
    pub is_manual: bool,
    /// Whether it is dialed at the simulator.
    pub test: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Voice or chat.
    pub channel: Channel,
    /// The keyed index of the number.
    pub phone_hash: [u8; 16],
    pub(crate) sealed: Vec<u8>,
}

impl CallbackRow {
    /// The fields that its gates check; `to` is its number.
    pub fn candidate<'a>(&'a self, to: &'a str) -> Candidate<'a> {
        Candidate {
            reason: self.reason,
            requested_for: self.requested_for,
            scheduled_for: self.scheduled_for,
            forced: self.forced,
            test: self.test,
            to,
            zone: &self.zone,
        }
    }
}

/// A callback's personal data, sealed as one value.
#[derive(Clone, Serialize, Deserialize, Default)]
pub struct Secrets {
    /// The number to dial, E.164.
    pub to: String,
    /// The number to dial from, E.164.
    pub from: Option<String>,
    /// The original call's dynamic variables.
    pub variables: BTreeMap<String, String>,
    /// The original call's metadata, a JSON object as text.
    pub metadata: Option<String>,
    /// The agent's version: `tag:…`, `number:…`, or absent for the published one.
    pub version: Option<String>,
    /// The words from which the time was derived.
    pub evidence: Option<String>,
    /// The rule that derived it.
    pub rule: Option<String>,
    /// The confidence in it, 0 to 1.
    pub confidence: Option<f64>,
    /// The earliest and the latest time that would also satisfy the request, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(i64, i64)>,
    /// The doubts about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// The external id that the API client assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

pub(crate) const SEALED: &str = "callbacks.sealed";

impl Secrets {
    /// Seals it for that callback.
    pub fn seal(&self, id: Id<id::Callback>, key: &TenantKey, rng: &Rng) -> Vec<u8> {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        key.seal(SEALED, id.uuid(), &plain, rng)
    }

    pub(crate) fn open(id: Id<id::Callback>, sealed: &[u8], key: &TenantKey) -> Result<Self, StoreError> {
        serde_json::from_slice(&key.open(SEALED, id.uuid(), sealed)?)
            .map_err(|_| StoreError::Corrupt("callback"))
    }

    /// The version as text.
    pub fn version_text(version: &Version) -> Option<String> {
        match version {
            Version::Tag(tag) => Some(format!("tag:{tag}")),
            Version::Number(n) => Some(format!("number:{n}")),
            Version::LatestPublished => None,
        }
    }

    /// The agent's version.
    pub fn version(&self) -> Version {
        match self.version.as_deref().and_then(|v| v.split_once(':')) {
            Some(("tag", tag)) => Version::Tag(tag.to_owned()),
            Some(("number", n)) => n.parse().map_or(Version::LatestPublished, Version::Number),
            _ => Version::LatestPublished,
        }
    }
}

macro_rules! columns {
    ($($tail:literal),+) => {
        concat!(
            "select id, workspace_id, agent_id, chain_id, parent_id, state, held_for, reason, attempt, max_attempts,
             is_final, forced, requested_for, scheduled_for, timezone, timezone_source, source_call_id, provider_call_id,
             outcome, outcome_message, superseded_by, dialed_at, source_kind, is_test, created_at, updated_at, channel,
             phone_hash, sealed from callbacks ",
            $($tail),+
        )
    };
}

pub(crate) use columns;

impl CallbackRow {
    pub(crate) fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: Id::from_uuid(row.get("id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            chain: Id::from_uuid(row.get("chain_id")?),
            parent: row.get::<Option<uuid::Uuid>>("parent_id")?.map(Id::from_uuid),
            state: state_of(row)?,
            held_for: held_for(row)?,
            reason: reason_of(row)?,
            attempt: row.get("attempt")?,
            max_attempts: row.get("max_attempts")?,
            is_final: row.get("is_final")?,
            forced: row.get("forced")?,
            requested_for: row.get::<Option<i64>>("requested_for")?.map(at),
            scheduled_for: at(row.get("scheduled_for")?),
            zone: zone_of(row)?,
            source_call_id: row.get("source_call_id")?,
            provider_call_id: row.get("provider_call_id")?,
            outcome: row.get("outcome")?,
            outcome_message: row.get("outcome_message")?,
            superseded_by: row.get::<Option<uuid::Uuid>>("superseded_by")?.map(Id::from_uuid),
            dialed_at: row.get::<Option<i64>>("dialed_at")?.map(at),
            is_manual: row.get::<String>("source_kind")? == MANUAL,
            test: row.get("is_test")?,
            created_at: at(row.get("created_at")?),
            updated_at: at(row.get("updated_at")?),
            channel: Channel::from_stored(&row.get::<String>("channel")?),
            phone_hash: row.phone_hash("phone_hash")?,
            sealed: row.get("sealed")?,
        })
    }

    /// Opens its personal data.
    pub fn secrets(&self, key: &TenantKey) -> Result<Secrets, StoreError> {
        Secrets::open(self.id, &self.sealed, key)
    }
}

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

/// The `source_kind` of a callback that a person or an API client scheduled.
const MANUAL: &str = "manual";

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
    /// One callback.
    pub async fn callback(&self, id: Id<id::Callback>) -> Result<CallbackRow, StoreError> {
        const SQL: &str = columns!("where bucket = $1 and tenant_id = $2 and id = $3 and is_test = $4");
        let args = args![bucket_of(self.tenant), self.tenant, id, self.test];
        let row = self.db().read_one(SQL, args).await?;
        let callback = CallbackRow::from_row(&row.ok_or(StoreError::NotFound)?)?;
        self.check_workspace(callback.workspace)?;
        Ok(callback)
    }

    /// The number of dials that a chain has spent; 0 if there is no such chain.
    pub async fn attempts_used(&self, chain: Id<id::Chain>) -> Result<u32, StoreError> {
        const SQL: &str = "select attempts_used from chains where bucket = $1 and tenant_id = $2 and id = $3";
        let row = self.db().read_one(SQL, args![bucket_of(self.tenant), self.tenant, chain]).await?;
        let attempts_used: Option<i64> = row.map(|row| row.get("attempts_used")).transpose()?;
        Ok(attempts_used.map_or(0, |n| u32::try_from(n).unwrap_or(0)))
    }

    /// The number that an agent last dialed from, among its newest callbacks.
    pub async fn last_number_of(
        &self,
        agent: Id<id::Agent>,
        key: &TenantKey,
    ) -> Result<Option<String>, StoreError> {
        const SQL: &str = columns!(
            "where bucket = $1 and tenant_id = $2 and agent_id = $3 and is_test = $4 order by created_at desc, id desc limit 20"
        );
        let rows = self.db().read(SQL, args![bucket_of(self.tenant), self.tenant, agent, self.test]).await?;
        for row in &rows {
            let row = CallbackRow::from_row(row)?;
            if let Some(from) = row.secrets(key).ok().and_then(|secrets| secrets.from) {
                return Ok(Some(from));
            }
        }
        Ok(None)
    }

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
