//! Callbacks as rows: reading, listing, and what people do to them.

use std::collections::BTreeMap;

use redialer_core::{
    Id, Timestamp,
    agent::{Channel, Version},
    callback::{RedialReason, State},
    chance::Chance,
    decide::{Person, Planned},
    id,
    time::{Zone, ZoneSource},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    StoreError, TenantKey, TenantStore, at,
    audit::Act,
    bucket_of,
    engine::{Args, Row, Tx, Value, args, row},
    persons::{NewRow, insert, lock_person, read_person, supersede},
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
    /// Where it stands.
    pub state: State,
    /// What it is held for.
    pub held_for: Option<String>,
    /// Why it exists.
    pub reason: RedialReason,
    /// The ordinal within its chain.
    pub attempt: i64,
    /// The chain's ceiling, as of this attempt.
    pub max_attempts: i64,
    /// Whether it is the chain's last.
    pub is_final: bool,
    /// Whether a person named its moment.
    pub forced: bool,
    /// The moment that was asked for.
    pub requested_for: Option<Timestamp>,
    /// When to dial.
    pub scheduled_for: Timestamp,
    /// The callee's clock.
    pub zone: Zone,
    /// The provider's id of the call that led to it.
    pub source_call_id: Option<String>,
    /// The provider's id of the call it became.
    pub provider_call_id: Option<String>,
    /// How that ended, in the provider's words.
    pub outcome: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Last changed.
    pub updated_at: Timestamp,
    /// Voice or chat.
    pub channel: Channel,
    /// The keyed index of the number.
    pub person_ix: [u8; 16],
    pub(crate) sealed: Vec<u8>,
}

/// What is personal about a callback: sealed as one value.
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
    /// The words the time rests on.
    pub evidence: Option<String>,
    /// What read them.
    pub rule: Option<String>,
    /// How sure it was, 0 to 1.
    pub confidence: Option<f64>,
    /// The first and the last moment that would have done as well, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(i64, i64)>,
    /// What was not certain about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.to.zeroize();
        self.from.zeroize();
        self.metadata.zeroize();
    }
}

pub(crate) const SEALED: &str = "callbacks.sealed";

impl Secrets {
    /// Sealed for that callback.
    pub fn seal(&self, id: Id<id::Callback>, key: &TenantKey, chance: &Chance) -> Vec<u8> {
        let plain = Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        key.seal(SEALED, id.uuid(), &plain, chance)
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
             outcome, created_at, updated_at, channel, person_ix, sealed from callbacks ",
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
            held_for: row.get("held_for")?,
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
            created_at: at(row.get("created_at")?),
            updated_at: at(row.get("updated_at")?),
            channel: Channel::from_word(&row.get::<String>("channel")?),
            person_ix: row
                .get::<Vec<u8>>("person_ix")?
                .try_into()
                .map_err(|_| StoreError::Corrupt("number index"))?,
            sealed: row.get("sealed")?,
        })
    }

    /// What is personal about it.
    pub fn secrets(&self, key: &TenantKey) -> Result<Secrets, StoreError> {
        Secrets::open(self.id, &self.sealed, key)
    }
}

pub(crate) fn state_of(row: &Row) -> Result<State, StoreError> {
    State::from_word(&row.get::<String>("state")?).ok_or(StoreError::Corrupt("state"))
}

pub(crate) fn reason_of(row: &Row) -> Result<RedialReason, StoreError> {
    RedialReason::from_word(&row.get::<String>("reason")?).ok_or(StoreError::Corrupt("reason"))
}

pub(crate) fn zone_of(row: &Row) -> Result<Zone, StoreError> {
    let source = ZoneSource::from_word(&row.get::<String>("timezone_source")?);
    Ok(Zone { name: row.get("timezone")?, source })
}

/// Which callbacks to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In that state.
    pub state: Option<State>,
    /// Of that agent.
    pub agent: Option<Id<id::Agent>>,
    /// Of that workspace.
    pub workspace: Option<Id<id::Workspace>>,
    /// For that reason.
    pub reason: Option<RedialReason>,
    /// Of that chain.
    pub chain: Option<Id<id::Chain>>,
    /// To that number.
    pub person_ix: Option<[u8; 16]>,
}

/// A callback that somebody schedules by hand.
pub struct ManualPlan<'a> {
    /// Its id.
    pub id: Id<id::Callback>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// The agent that dials.
    pub agent: Id<id::Agent>,
    /// Voice or chat.
    pub channel: Channel,
    /// The keyed index of the number.
    pub person_ix: [u8; 16],
    /// What is personal about it.
    pub secrets: &'a Secrets,
}

/// The state does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    /// The request may be on its way, or the phone rings.
    Dialling,
    /// It has ended.
    Final,
}

impl TenantStore {
    /// One callback.
    pub async fn callback(&self, id: Id<id::Callback>) -> Result<CallbackRow, StoreError> {
        const SQL: &str = columns!("where bucket = $1 and tenant_id = $2 and id = $3 and test = $4");
        let args = args![bucket_of(self.tenant), self.tenant, id, self.test];
        let row = self.db().read_one(SQL, args).await?;
        CallbackRow::from_row(&row.ok_or(StoreError::NotFound)?)
    }

    /// Dials that a chain has spent; none where there is no such chain.
    pub async fn spent(&self, chain: Id<id::Chain>) -> Result<u32, StoreError> {
        const SQL: &str = "select spent from chains where bucket = $1 and tenant_id = $2 and id = $3";
        let row = self.db().read_one(SQL, args![bucket_of(self.tenant), self.tenant, chain]).await?;
        let spent: Option<i64> = row.map(|row| row.get("spent")).transpose()?;
        Ok(spent.map_or(0, |n| u32::try_from(n).unwrap_or(0)))
    }

    /// A page of callbacks, newest first.
    pub async fn callbacks(
        &self,
        filter: &Filter,
        before: (Timestamp, Id<id::Callback>),
        limit: i64,
    ) -> Result<Vec<CallbackRow>, StoreError> {
        // `cast` tells Postgres the type of a parameter that is only compared with null.
        macro_rules! page {
            ($of:literal) => {
                columns!(
                    $of,
                    " and tenant_id = $2 and (created_at, id) < ($3, $4)
                       and (cast($6 as text) is null or state = $6) and ($7 is null or agent_id = $7)
                       and ($8 is null or workspace_id = $8) and (cast($9 as text) is null or reason = $9)
                       and ($10 is null or person_ix = $10) and test = $11
                       and workspace_id not in (select id from workspaces where tenant_id = $2 and deleted_at is not null)
                     order by created_at desc, id desc limit $5"
                )
            };
        }
        const SQL: &str = page!("where bucket = $1");
        const OF_STATE: &str = page!("where bucket = $1 and state = $6");
        const OF_PERSON: &str = page!("where bucket = $1 and person_ix = $10");
        // `+` keeps SQLite from reading all of the tenant's in the order of the page.
        const OF_CHAIN: &str =
            page!("where +bucket = $1 and (id = $12 or (chain_id = $12 and chain_id <> id))");
        let (state, reason) = (filter.state.map(State::word), filter.reason.map(RedialReason::word));
        let mut values = row![
            bucket_of(self.tenant),
            self.tenant,
            before.0,
            before.1,
            limit,
            state,
            filter.agent,
            filter.workspace,
            reason,
            filter.person_ix.map(|ix| ix.to_vec()),
            self.test
        ];
        values.extend(filter.chain.map(Value::from));
        // The most selective one first.
        let sql = match filter {
            Filter { chain: Some(_), .. } => OF_CHAIN,
            Filter { person_ix: Some(_), .. } => OF_PERSON,
            Filter { state: Some(_), .. } => OF_STATE,
            _ => SQL,
        };
        self.db().read(sql, values.into()).await?.iter().map(CallbackRow::from_row).collect()
    }

    /// What a decision about a person rests on.
    pub async fn person(
        &self,
        workspace: Id<id::Workspace>,
        person_ix: [u8; 16],
    ) -> Result<Person, StoreError> {
        let mut tx = self.db().begin().await?;
        let bucket = bucket_of(self.tenant);
        read_person(&mut tx, bucket, self.tenant, workspace, &person_ix).await
    }

    /// Writes a callback that somebody scheduled by hand, superseding what waits for that person.
    pub async fn schedule(
        &self,
        manual: &ManualPlan<'_>,
        decide: impl FnOnce(&Person) -> Result<(Planned, Vec<Id<id::Callback>>), redialer_core::decide::Note>
        + Send,
        key: &TenantKey,
        now: Timestamp,
        chance: &Chance,
    ) -> Result<Result<(), redialer_core::decide::Note>, StoreError> {
        let bucket = bucket_of(self.tenant);
        let pen = self.pen().await?;
        let mut tx = self.db().begin().await?;
        lock_person(&mut tx, bucket, self.tenant, manual.workspace, &manual.person_ix).await?;
        let person = read_person(&mut tx, bucket, self.tenant, manual.workspace, &manual.person_ix).await?;
        let (planned, replaced) = match decide(&person) {
            Ok(plan) => plan,
            Err(note) => return Ok(Err(note)),
        };
        supersede(&mut tx, bucket, &replaced, now).await?;
        let row = NewRow {
            id: manual.id,
            bucket,
            tenant: self.tenant,
            workspace: manual.workspace,
            agent: manual.agent,
            channel: manual.channel,
            person_ix: manual.person_ix,
            planned: &planned,
            source: None,
            kind: "manual",
            test: self.test,
            sealed: manual.secrets.seal(manual.id, key, chance),
            now,
        };
        insert(&mut tx, &row).await?;
        let act = Act {
            action: "callback.create",
            workspace: Some(manual.workspace),
            target: &manual.id.to_string(),
            before: None,
            after: Some(
                json!({"agent_id": manual.agent.to_string(), "scheduled_for": planned.scheduled_for.to_string()}),
            ),
        };
        pen.write(&mut tx, act, now).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Cancels a callback that is not being dialled (I7).
    pub async fn cancel(
        &self,
        id: Id<id::Callback>,
        now: Timestamp,
    ) -> Result<Result<(), NotNow>, StoreError> {
        const SQL: &str =
            "update callbacks set state = 'cancelled', held_for = null, fence = fence + 1, updated_at = $4
             where bucket = $1 and tenant_id = $2 and id = $3
               and (state in ('scheduled', 'held') or (state = 'dispatching' and dispatch_id is null))";
        self.act(SQL, args![bucket_of(self.tenant), self.tenant, id, now], "callback.cancel", id, now).await
    }

    /// Makes a waiting callback due now, whatever the hour.
    pub async fn force(
        &self,
        id: Id<id::Callback>,
        now: Timestamp,
    ) -> Result<Result<(), NotNow>, StoreError> {
        const SQL: &str =
            "update callbacks set state = 'scheduled', held_for = null, forced = true, failures = 0, due_at = $4,
                 scheduled_for = $4, updated_at = $4
             where bucket = $1 and tenant_id = $2 and id = $3 and state in ('scheduled', 'held')";
        self.act(SQL, args![bucket_of(self.tenant), self.tenant, id, now], "callback.force", id, now).await
    }

    /// Moves a waiting callback to that instant, unshifted.
    pub async fn reschedule(
        &self,
        id: Id<id::Callback>,
        to: Timestamp,
        if_unchanged: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Result<(), NotNow>, StoreError> {
        const SQL: &str =
            "update callbacks set state = 'scheduled', held_for = null, forced = true, failures = 0, due_at = $4,
                 scheduled_for = $4, requested_for = $4,
                 updated_at = case when updated_at < $5 then $5 else updated_at + 1 end
             where bucket = $1 and tenant_id = $2 and id = $3 and state in ('scheduled', 'held')
               and (cast($6 as bigint) is null or updated_at = $6)";
        let args = args![bucket_of(self.tenant), self.tenant, id, to, now, if_unchanged];
        self.act(SQL, args, "callback.reschedule", id, now).await
    }

    /// Changes one callback by somebody's will, and writes that down.
    async fn act(
        &self,
        sql: &'static str,
        args: Args,
        action: &'static str,
        id: Id<id::Callback>,
        now: Timestamp,
    ) -> Result<Result<(), NotNow>, StoreError> {
        const STANDS: &str = "select workspace_id, state, scheduled_for from callbacks
             where bucket = $1 and tenant_id = $2 and id = $3 and test = $4";
        let pen = self.pen().await?;
        let mut tx = self.db().begin().await?;
        let changed = {
            let stands = async |tx: &mut Tx| {
                let args = args![bucket_of(self.tenant), self.tenant, id, self.test];
                let row = tx.fetch_one(STANDS, args).await?;
                row.ok_or(StoreError::NotFound)
            };
            let before = stands(&mut tx).await?;
            if tx.execute(sql, args).await? == 0 {
                let state = state_of(&before)?;
                if matches!(state, State::Scheduled | State::Held) {
                    return Err(StoreError::Changed);
                }
                return Ok(Err(if state.is_final() { NotNow::Final } else { NotNow::Dialling }));
            }
            (before, stands(&mut tx).await?)
        };
        let told = |row: &Row| {
            Ok::<_, StoreError>(json!({
                "state": row.get::<String>("state")?,
                "scheduled_for": at(row.get("scheduled_for")?).to_string(),
            }))
        };
        let act = Act {
            action,
            workspace: Some(Id::from_uuid(changed.0.get("workspace_id")?)),
            target: &id.to_string(),
            before: Some(told(&changed.0)?),
            after: Some(told(&changed.1)?),
        };
        pen.write(&mut tx, act, now).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }
}
