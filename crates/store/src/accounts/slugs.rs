//! Webhook slugs: the secret part of an agent's webhook URL, and the agent that it belongs to.
//!
//! Invariants (T3): a slug has 160 random bits. An agent has one current slug; a rotated slug stays valid for a day, or
//! until the provider is seen on the current one. A slug grants nothing by itself: the signature decides.

use redialer_core::{
    Id, Timestamp, id,
    rng::Rng,
    time::{minutes, plus},
    timing::SLUG_GRACE_MINUTES,
};

use crate::{AgentRow, Store, StoreError, TenantStore, at, db::args, log::audit::AuditEvent};

/// The agent that a webhook slug belongs to.
#[derive(Debug, Clone, Copy)]
pub struct SlugTarget {
    /// The tenant.
    pub tenant: Id<id::Tenant>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// The agent.
    pub agent: Id<id::Agent>,
    /// When an old slug expires; `None` for a current one.
    pub valid_until: Option<Timestamp>,
}

impl TenantStore {
    /// Gives an agent a new slug. The old one stays valid for a day or, with `until_new_seen`, at most until the provider
    /// is seen on the new one.
    pub async fn rotate_slug(
        &self,
        agent: &AgentRow,
        until_new_seen: bool,
        now: Timestamp,
        rng: &Rng,
    ) -> Result<String, StoreError> {
        const OLD: &str = "update webhook_slugs set valid_until = $2, valid_until_new_seen = $3
             where agent_id = $1 and (valid_until is null or valid_until > $2)";
        const NEW: &str = "insert into webhook_slugs (slug, agent_id) values ($1, $2)";
        const AGENT: &str = "update agents set slug = $3, verified_at = null,
                 updated_at = case when updated_at < $4 then $4 else updated_at + 1 end
             where tenant_id = $1 and id = $2 and slug = $5";
        self.check_workspace(agent.workspace)?;
        let slug = rng.token::<20>();
        let until = plus(now, minutes(SLUG_GRACE_MINUTES));
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        if tx.execute(AGENT, args![self.tenant, agent.id, &slug, now, &agent.slug]).await? == 0 {
            return Err(StoreError::Changed);
        }
        tx.execute(OLD, args![agent.id, until, until_new_seen]).await?;
        tx.execute(NEW, args![&slug, agent.id]).await?;
        let act = AuditEvent::new("agent.rotate_webhook_url", Some(agent.workspace), agent.id)
            .after(serde_json::json!({"old_until": until.to_string(), "until_seen": until_new_seen}));
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await?;
        Ok(slug)
    }
}

impl Store {
    /// The agent that a slug belongs to; `None` if the slug is unknown or expired, or its workspace is deleted. Cached
    /// for one second of real time (`real_ms`).
    pub async fn slug_target(
        &self,
        slug: &str,
        now: Timestamp,
        real_ms: i64,
    ) -> Result<Option<SlugTarget>, StoreError> {
        let read = self.read_slug_target(slug);
        let target = self.contexts.slugs.get_or_read(&slug.to_owned(), real_ms, read).await?;
        Ok(target.map(|target| *target).filter(|target| target.valid_until.is_none_or(|until| until > now)))
    }

    async fn read_slug_target(&self, slug: &str) -> Result<Option<SlugTarget>, StoreError> {
        const SQL: &str = "select a.tenant_id, a.workspace_id, a.id as agent_id, s.valid_until
             from webhook_slugs s join agents a on a.id = s.agent_id join workspaces w on w.id = a.workspace_id
             where s.slug = $1 and w.deleted_at is null";
        let Some(row) = self.db.read_one(SQL, args![slug]).await? else { return Ok(None) };
        Ok(Some(SlugTarget {
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            valid_until: row.get::<Option<i64>>("valid_until")?.map(at),
        }))
    }

    /// Records that a valid signature arrived at this agent's URL, and expires old slugs that were kept until then.
    pub async fn verify_agent(&self, agent: Id<id::Agent>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "update agents set verified_at = $2 where id = $1 and verified_at is null";
        const END: &str = "update webhook_slugs set valid_until = $2 where agent_id = $1 and valid_until_new_seen and valid_until > $2";
        let mut tx = self.db.begin().await?;
        tx.execute(SQL, args![agent, now]).await?;
        tx.execute(END, args![agent, now]).await?;
        tx.commit().await
    }
}
