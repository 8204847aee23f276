//! Webhook slugs: the secret part of an agent's webhook URL, and who it belongs to.
//!
//! Invariants (T3): a slug has 160 random bits; an agent has one that is current, and old ones for a day after it was
//! rotated, or until the provider is seen on the current one. A slug grants nothing by itself: the signature decides.

use std::{ops::Deref, sync::Arc};

use redialer_core::{
    Id, Timestamp,
    chance::Chance,
    id,
    time::{minutes, plus},
    workspace::{ProviderKind, SLUG_GRACE_MINUTES},
};

use crate::{
    AgentRow, Store, StoreError, TenantKey, TenantStore, WebhookKey, audit::Act, engine::args,
    tenant_keys::WrappedKey, workspaces::open_webhook_keys,
};

/// Who a webhook slug belongs to, as it is on disk.
pub struct SlugRow {
    /// The agent.
    pub agent: Id<id::Agent>,
    /// Whether it is switched on (and so within the plan).
    pub enabled: bool,
    /// Whether a good signature has come before.
    pub verified: bool,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// Whose scheme the signature follows.
    pub provider: ProviderKind,
    /// The tenant's bucket.
    pub bucket: i64,
    valid_until: Option<i64>,
    key: WrappedKey,
    webhook_keys: Vec<u8>,
}

/// Who a webhook slug belongs to, and the opened key to check its signature with.
pub struct SlugOwner {
    /// The tenant's opened key.
    pub key: TenantKey,
    row: Arc<SlugRow>,
}

impl Deref for SlugOwner {
    type Target = SlugRow;

    fn deref(&self) -> &SlugRow {
        &self.row
    }
}

impl SlugOwner {
    /// The tenant's bucket, the agent, its workspace, and the opened key.
    pub fn into_parts(self) -> (i64, Id<id::Agent>, Id<id::Workspace>, TenantKey) {
        (self.row.bucket, self.row.agent, self.row.workspace, self.key)
    }

    /// The provider keys that count at `now`, newest first.
    pub fn webhook_keys(&self, now: Timestamp) -> Result<Vec<WebhookKey>, StoreError> {
        let mut keys = open_webhook_keys(&self.key, self.workspace, &self.row.webhook_keys)?;
        keys.retain(|k| k.until_ms.is_none_or(|until| until > now.as_millisecond()));
        Ok(keys)
    }
}

impl TenantStore {
    /// Gives an agent a new slug. The old one counts for a day more, or, if that is wanted, until the provider is seen
    /// on the new one.
    pub async fn rotate_slug(
        &self,
        agent: &AgentRow,
        until_seen: bool,
        now: Timestamp,
        chance: &Chance,
    ) -> Result<String, StoreError> {
        const OLD: &str = "update slugs set valid_until = $2, until_seen = $3
             where agent_id = $1 and (valid_until is null or valid_until > $2)";
        const NEW: &str = "insert into slugs (slug, agent_id) values ($1, $2)";
        const AGENT: &str = "update agents set slug = $3, verified_at = null,
                 updated_at = case when updated_at < $4 then $4 else updated_at + 1 end
             where tenant_id = $1 and id = $2 and slug = $5";
        let slug = chance.token::<20>();
        let until = plus(now, minutes(SLUG_GRACE_MINUTES));
        let pen = self.pen().await?;
        let mut tx = self.db().begin().await?;
        if tx.execute(AGENT, args![self.tenant, agent.id, &slug, now, &agent.slug]).await? == 0 {
            return Err(StoreError::Changed);
        }
        tx.execute(OLD, args![agent.id, until, until_seen]).await?;
        tx.execute(NEW, args![&slug, agent.id]).await?;
        let act = Act {
            action: "agent.rotate_webhook_url",
            workspace: Some(agent.workspace),
            target: &agent.id.to_string(),
            before: None,
            after: Some(serde_json::json!({"old_until": until.to_string(), "until_seen": until_seen})),
        };
        pen.write(&mut tx, act, now).await?;
        tx.commit().await?;
        self.store.forget();
        Ok(slug)
    }
}

impl Store {
    /// Who a slug belongs to; `None` for slugs that are unknown, past their time, or of a deleted workspace.
    ///
    /// Read from the database once a second at most (`real_ms`), by one task at a time; what another replica changed counts after that.
    /// What is remembered is as sealed as it is on disk.
    pub async fn slug_owner(
        &self,
        slug: &str,
        now: Timestamp,
        real_ms: i64,
    ) -> Result<Option<SlugOwner>, StoreError> {
        let read = async { Box::pin(self.slug_row(slug)).await };
        let Some(row) = self.slugs.get_or_read(&slug.to_owned(), real_ms, read).await? else {
            return Ok(None);
        };
        if row.valid_until.is_some_and(|until| until <= now.as_millisecond()) {
            return Ok(None);
        }
        Ok(Some(SlugOwner { key: self.opened(&row.key).await?, row }))
    }

    async fn slug_row(&self, slug: &str) -> Result<Option<SlugRow>, StoreError> {
        const SQL: &str =
            "select a.id as agent_id, a.enabled, a.verified_at, a.slug as current, a.workspace_id, a.tenant_id, a.bucket, s.valid_until,
                 w.provider, w.webhook_keys, t.key_version, t.wrapped_key, t.other_version, t.other_wrapped
             from slugs s join agents a on a.id = s.agent_id join workspaces w on w.id = a.workspace_id
                 join tenants t on t.id = a.tenant_id
             where s.slug = $1 and w.deleted_at is null";
        let Some(row) = self.db.read_one(SQL, args![slug]).await? else { return Ok(None) };
        Ok(Some(SlugRow {
            agent: Id::from_uuid(row.get("agent_id")?),
            enabled: row.get("enabled")?,
            // An old one proves nothing about the new one.
            verified: row.get::<Option<i64>>("verified_at")?.is_some()
                || row.get::<String>("current")? != slug,
            workspace: Id::from_uuid(row.get("workspace_id")?),
            provider: ProviderKind::from_word(&row.get::<String>("provider")?)
                .ok_or(StoreError::Corrupt("provider"))?,
            bucket: row.get("bucket")?,
            valid_until: row.get("valid_until")?,
            key: WrappedKey::from_row(Id::from_uuid(row.get("tenant_id")?), &row)?,
            webhook_keys: row.get("webhook_keys")?,
        }))
    }

    /// Remembers that the provider's signature was seen on this agent's URL.
    pub async fn verify_agent(&self, agent: Id<id::Agent>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "update agents set verified_at = $2 where id = $1 and verified_at is null";
        const END: &str =
            "update slugs set valid_until = $2 where agent_id = $1 and until_seen and valid_until > $2";
        let mut tx = self.db.begin().await?;
        tx.execute(SQL, args![agent, now]).await?;
        tx.execute(END, args![agent, now]).await?;
        tx.commit().await?;
        self.forget();
        Ok(())
    }
}
