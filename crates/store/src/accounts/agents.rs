//! A workspace's agents and its own numbers.

use redialer_core::{
    Id, Timestamp,
    agent::{Channel, is_believable_roster},
    decide::DialingAgent,
    id,
    rng::Rng,
    settings::{Overrides, Retention, WorkspaceSettings},
};
use serde_json::{Value, json};

use crate::{
    StoreError, TenantStore,
    accounts::workspaces::changed_fields,
    at, bucket_of,
    callbacks::transitions,
    db::{Row, Tx, args},
    log::audit::AuditEvent,
};

/// An agent.
#[derive(Debug, Clone)]
pub struct AgentRow {
    /// Its id.
    pub id: Id<id::Agent>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// The provider's id of the agent.
    pub provider_agent_id: String,
    /// Its name at the provider.
    pub name: String,
    /// Voice or chat.
    pub channel: Channel,
    /// Its time zone at the provider.
    pub timezone: Option<String>,
    /// Whether its webhooks are accepted and its callbacks are dialed.
    pub enabled: bool,
    /// Whether decisions are only recorded and shown, and nothing is dialed.
    pub observe: bool,
    /// The URL that its events are forwarded to.
    pub downstream_url: Option<String>,
    /// Its own settings, which override the workspace's.
    pub overrides: Overrides,
    /// The secret part of its webhook URL.
    pub slug: String,
    /// When the first valid signature arrived.
    pub verified_at: Option<Timestamp>,
    /// When the provider stopped listing it.
    pub gone_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed, by a user or by the provider's list of agents.
    pub updated_at: Timestamp,
}

/// The changes of a PATCH; `None` leaves a field unchanged.
#[derive(Debug, Clone, Copy, Default)]
pub struct AgentChange<'a> {
    /// Whether it is enabled.
    pub enabled: Option<bool>,
    /// Whether it only observes.
    pub observe: Option<bool>,
    /// Its own settings.
    pub overrides: Option<&'a Overrides>,
    /// Apply only if `updated_at` has this value.
    pub if_unchanged: Option<Timestamp>,
}

impl AgentRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: Id::from_uuid(row.get("id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            provider_agent_id: row.get("provider_agent_id")?,
            name: row.get("name")?,
            channel: Channel::from_stored(&row.get::<String>("channel")?),
            timezone: row.get("timezone")?,
            enabled: row.get("enabled")?,
            observe: row.get("observe")?,
            downstream_url: row.get("downstream_url")?,
            overrides: serde_json::from_str(&row.get::<String>("overrides")?)
                .map(Overrides::stored)
                .map_err(|_| StoreError::Corrupt("overrides document"))?,
            slug: row.get("slug")?,
            verified_at: row.get::<Option<i64>>("verified_at")?.map(at),
            gone_at: row.get::<Option<i64>>("gone_at")?.map(at),
            created_at: at(row.get("created_at")?),
            updated_at: at(row.get("updated_at")?),
        })
    }

    /// The settings in force for this agent.
    pub fn settings(&self, workspace: &WorkspaceSettings) -> WorkspaceSettings {
        self.overrides.over_settings(workspace)
    }

    /// The fields that the gates of a callback check.
    pub const fn dialing(&self) -> DialingAgent {
        DialingAgent { enabled: self.enabled, observes: self.observe }
    }

    /// How long its payloads are kept.
    pub fn retention(&self, workspace: &Retention) -> Retention {
        self.overrides.over_retention(workspace)
    }
}

/// One agent in the provider's list.
pub struct RosterEntry<'a> {
    /// The provider's id.
    pub provider_agent_id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Voice or chat.
    pub channel: Channel,
    /// Its time zone.
    pub timezone: Option<&'a str>,
}

macro_rules! columns {
    ($tail:literal) => {
        concat!(
            "select id, workspace_id, provider_agent_id, name, channel, timezone, enabled, observe, downstream_url, overrides,
             slug, verified_at, gone_at, created_at, updated_at from agents ",
            $tail
        )
    };
}

const COUNT_ENABLED: &str =
    "select count(*) as n from agents where workspace_id = $1 and enabled and gone_at is null";
/// Updates the workspace's row, which serializes concurrent counts of its agents on Postgres.
const LOCK: &str = "update workspaces set name = name where id = $1";

async fn enabled_agents(tx: &mut Tx, workspace: Id<id::Workspace>) -> Result<i64, StoreError> {
    tx.execute(LOCK, args![workspace]).await?;
    tx.fetch_one(COUNT_ENABLED, args![workspace]).await?.ok_or(StoreError::Corrupt("count"))?.get("n")
}

impl TenantStore {
    /// Applies the provider's list of agents, requested at `began`. New agents start enabled while the limit has room;
    /// agents missing from the list are marked as gone. Own numbers (their keyed indexes and their countries) that
    /// could not be read stay unchanged.
    pub async fn sync_agents(
        &self,
        workspace: Id<id::Workspace>,
        roster: &[RosterEntry<'_>],
        own_numbers: Option<(&[[u8; 16]], &[String])>,
        max_enabled: u32,
        (began, now): (Timestamp, Timestamp),
        rng: &Rng,
    ) -> Result<(), StoreError> {
        // Agents added after the request to the provider cannot be in its response.
        const LISTED: &str = "select id, provider_agent_id from agents
             where workspace_id = $1 and gone_at is null and created_at < $2";
        const GONE: &str = "update agents set gone_at = $2, updated_at = $2 where id = $1";
        const COUNTRIES: &str = "update workspaces set number_countries = $2 where id = $1";
        const FORGET: &str = "delete from workspace_numbers where workspace_id = $1";
        const NUMBER: &str =
            "insert into workspace_numbers (workspace_id, phone_hash) values ($1, $2) on conflict do nothing";
        self.check_workspace(workspace)?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        let (mut added, mut gone) = (Vec::new(), 0);
        let mut room = i64::from(max_enabled) - enabled_agents(&mut tx, workspace).await?;
        for agent in roster {
            added.extend(self.take_in(&mut tx, workspace, agent, &mut room, (now, rng)).await?);
        }
        for row in tx.fetch(LISTED, args![workspace, began]).await? {
            let known: String = row.get("provider_agent_id")?;
            if is_believable_roster(roster.len())
                && !roster.iter().any(|agent| agent.provider_agent_id == known)
            {
                let id: Id<id::Agent> = Id::from_uuid(row.get("id")?);
                gone += tx.execute(GONE, args![id, now]).await?;
            }
        }
        if !added.is_empty() || gone > 0 {
            let act = AuditEvent::new("workspace.sync", Some(workspace), workspace)
                .after(json!({"added": added, "gone": gone}));
            audit_writer.write(&mut tx, act, now).await?;
        }
        if let Some((own_numbers, countries)) = own_numbers {
            tx.execute(COUNTRIES, args![workspace, countries.join(",")]).await?;
            tx.execute(FORGET, args![workspace]).await?;
            for number in own_numbers {
                tx.execute(NUMBER, args![workspace, *number]).await?;
            }
        }
        tx.commit().await
    }

    /// Inserts or updates one listed agent; returns the id of a new one.
    async fn take_in(
        &self,
        tx: &mut Tx,
        workspace: Id<id::Workspace>,
        agent: &RosterEntry<'_>,
        room: &mut i64,
        (now, rng): (Timestamp, &Rng),
    ) -> Result<Option<String>, StoreError> {
        // `updated_at` changes only if another column does, so that ETags stay valid.
        const KNOWN: &str =
            "update agents set name = $3, channel = $4, timezone = coalesce($5, timezone), gone_at = null,
                 updated_at = case when name <> $3 or channel <> $4 or gone_at is not null
                     or coalesce($5, timezone, '') <> coalesce(timezone, '') then $6 else updated_at end
             where workspace_id = $1 and provider_agent_id = $2";
        const NEW: &str = "insert into agents
                 (id, bucket, tenant_id, workspace_id, provider_agent_id, name, channel, timezone, enabled, overrides, slug, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{}', $10, $11, $11)";
        const SLUG: &str = "insert into webhook_slugs (slug, agent_id) values ($1, $2)";
        let (theirs, channel) = (agent.provider_agent_id, agent.channel.as_str());
        if tx.execute(KNOWN, args![workspace, theirs, agent.name, channel, agent.timezone, now]).await? == 1 {
            return Ok(None);
        }
        let (id, slug): (Id<id::Agent>, _) = (Id::new(now, rng), rng.token::<20>());
        let enabled = *room > 0;
        *room -= i64::from(enabled);
        let bucket = bucket_of(self.tenant);
        let (name, zone) = (agent.name, agent.timezone);
        let values =
            args![id, bucket, self.tenant, workspace, theirs, name, channel, zone, enabled, &slug, now];
        tx.execute(NEW, values).await?;
        tx.execute(SLUG, args![slug, id]).await?;
        Ok(Some(id.to_string()))
    }

    /// One agent.
    pub async fn agent(&self, id: Id<id::Agent>) -> Result<AgentRow, StoreError> {
        const SQL: &str = columns!(
            "where tenant_id = $1 and id = $2
               and workspace_id in (select id from workspaces where tenant_id = $1 and deleted_at is null)"
        );
        let row = self.db().read_one(SQL, args![self.tenant, id]).await?.ok_or(StoreError::NotFound)?;
        let agent = AgentRow::from_row(&row)?;
        self.check_workspace(agent.workspace)?;
        Ok(agent)
    }

    /// The agents with this provider id, in every workspace in scope.
    pub async fn agents_called(&self, provider_agent_id: &str) -> Result<Vec<Id<id::Agent>>, StoreError> {
        const SQL: &str = "select id from agents where tenant_id = $1 and provider_agent_id = $2
               and ($3 is null or workspace_id = $3)
             order by created_at, id limit 20";
        let rows = self.db().read(SQL, args![self.tenant, provider_agent_id, self.narrowed(None)?]).await?;
        rows.iter().map(|row| Ok(Id::from_uuid(row.get("id")?))).collect()
    }

    /// A page of agents, newest first, of one workspace or of all.
    pub async fn agents(
        &self,
        workspace: Option<Id<id::Workspace>>,
        before: (Timestamp, Id<id::Agent>),
        limit: i64,
    ) -> Result<Vec<AgentRow>, StoreError> {
        const SQL: &str = columns!(
            "where tenant_id = $1 and (created_at, id) < ($2, $3) and ($5 is null or workspace_id = $5)
               and workspace_id in (select id from workspaces where tenant_id = $1 and deleted_at is null)
             order by created_at desc, id desc limit $4"
        );
        let of = args![self.tenant, before.0, before.1, limit, self.narrowed(workspace)?];
        let rows = self.db().read(SQL, of).await?;
        rows.iter().map(AgentRow::from_row).collect()
    }

    /// Applies a change. Disabling an agent holds its callbacks in the same transaction (I7); enabling it releases
    /// them.
    pub async fn change_agent(
        &self,
        agent: &AgentRow,
        change: &AgentChange<'_>,
        max_enabled: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update agents set enabled = coalesce($3, enabled), overrides = $4,
                 observe = coalesce($7, observe), updated_at = case when updated_at < $5 then $5 else updated_at + 1 end
             where tenant_id = $1 and id = $2 and (cast($6 as bigint) is null or updated_at = $6)";
        self.check_workspace(agent.workspace)?;
        let AgentChange { enabled, observe, overrides, if_unchanged } = *change;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        if enabled == Some(true)
            && !agent.enabled
            && enabled_agents(&mut tx, agent.workspace).await? >= i64::from(max_enabled)
        {
            return Err(StoreError::PlanLimit);
        }
        let overrides = overrides.unwrap_or(&agent.overrides).document();
        let document = |enabled: bool, observe: bool, overrides: &Value| json!({"enabled": enabled, "observe": observe, "overrides": overrides});
        let (before, after) = changed_fields(
            document(agent.enabled, agent.observe, agent.overrides.document()),
            document(enabled.unwrap_or(agent.enabled), observe.unwrap_or(agent.observe), overrides),
        );
        let overrides = overrides.to_string();
        let changed = tx
            .execute(SQL, args![self.tenant, agent.id, enabled, overrides, now, if_unchanged, observe])
            .await?;
        if changed == 0 {
            // The caller has read the row, so its `updated_at` has changed since.
            return Err(StoreError::Changed);
        }
        if let Some(enabled) = enabled {
            let of = (agent.workspace, agent.id);
            transitions::switch_agent(&mut tx, bucket_of(self.tenant), of, enabled, now).await?;
        }
        let act =
            AuditEvent::new("agent.change", Some(agent.workspace), agent.id).before(before).after(after);
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// The agent with this provider id, unless it is gone.
    pub async fn agent_by_provider_id(
        &self,
        workspace: Id<id::Workspace>,
        provider_agent_id: &str,
    ) -> Result<Option<AgentRow>, StoreError> {
        const SQL: &str = columns!(
            "where tenant_id = $1 and workspace_id = $2 and provider_agent_id = $3 and gone_at is null"
        );
        self.check_workspace(workspace)?;
        let row = self.db().read_one(SQL, args![self.tenant, workspace, provider_agent_id]).await?;
        row.as_ref().map(AgentRow::from_row).transpose()
    }

    /// Every agent of a workspace that is not gone, oldest first.
    pub async fn roster(&self, workspace: Id<id::Workspace>) -> Result<Vec<AgentRow>, StoreError> {
        const SQL: &str = columns!(
            "where tenant_id = $1 and workspace_id = $2 and gone_at is null order by created_at, id"
        );
        self.check_workspace(workspace)?;
        let rows = self.db().read(SQL, args![self.tenant, workspace]).await?;
        rows.iter().map(AgentRow::from_row).collect()
    }
}
