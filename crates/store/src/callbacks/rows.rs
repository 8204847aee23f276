//! Callbacks as rows, and how they are read.

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::{HeldFor, RedialReason, State},
    decide::Candidate,
    id,
    time::Zone,
};

use crate::{
    StoreError, TenantKey, TenantStore, at, bucket_of,
    callbacks::{
        columns::{held_for, reason_of, state_of, zone_of},
        secrets::Secrets,
    },
    db::{Row, args},
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

/// The `source_kind` of a callback that a person or an API client scheduled.
pub(crate) const MANUAL: &str = "manual";

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
}
