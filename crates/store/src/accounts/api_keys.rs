//! API keys of redialer. Only their SHA-256 is stored: they are 160 random bits, so no slow hash is needed.
//!
//! Invariant: a key that is revoked or expired, or whose tenant's own key is destroyed, is rejected from the next
//! request on; keys are read from the database for each request.
//! Absent on purpose: any way to see a key's secret again.

use redialer_core::{
    Id, Timestamp,
    access::Scopes,
    id,
    time::{minutes, plus},
};
use serde_json::json;

use crate::{
    Store, StoreError, TenantRow, TenantStore,
    accounts::key_hash::{hash_key, prefix_of},
    at,
    db::{ReaderPool, Row, args},
    log::audit::AuditEvent,
};

/// An API key, with its tenant and its permissions.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// Its id.
    pub id: Id<id::Key>,
    /// The tenant it belongs to.
    pub tenant: TenantRow,
    /// The one workspace it is limited to; `None` for an admin key.
    pub workspace: Option<Id<id::Workspace>>,
    /// Its scopes.
    pub scopes: Scopes,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Whether it is limited to test callbacks.
    pub test: bool,
}

/// An API key to create.
pub struct NewKey<'a> {
    /// Its id.
    pub id: Id<id::Key>,
    /// Its name.
    pub name: &'a str,
    /// The secret in plain text; only its hash is stored.
    pub secret: &'a str,
    /// The one workspace it is limited to; `None` for an admin key.
    pub workspace: Option<Id<id::Workspace>>,
    /// Its scopes.
    pub scopes: Scopes,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Whether it is limited to test callbacks.
    pub test: bool,
}

/// An API key as it is listed.
#[derive(Debug, Clone)]
pub struct KeyInfo {
    /// Its id.
    pub id: Id<id::Key>,
    /// Its name.
    pub name: String,
    /// The first characters of its secret.
    pub prefix: String,
    /// The one workspace it is limited to; `None` for an admin key.
    pub workspace: Option<Id<id::Workspace>>,
    /// Its scopes.
    pub scopes: Scopes,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Whether it is limited to test callbacks.
    pub test: bool,
}

impl KeyInfo {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let time = |column: &str| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(at));
        Ok(Self {
            id: Id::from_uuid(row.get("id")?),
            name: row.get("name")?,
            prefix: row.get("prefix")?,
            workspace: row.get::<Option<uuid::Uuid>>("workspace_id")?.map(Id::from_uuid),
            scopes: Scopes::from_text(&row.get::<String>("scopes")?),
            created_at: at(row.get("created_at")?),
            last_used_at: time("last_used_at")?,
            expires_at: time("expires_at")?,
            revoked_at: time("revoked_at")?,
            test: row.get("is_test")?,
        })
    }
}

/// The minimum interval between two updates of `last_used_at`.
const USED_EVERY_MINUTES: i64 = 1;

impl Store {
    /// The owner of a key; `None` if the key is unknown, revoked or expired, if its tenant's key is destroyed, or if
    /// its workspace is deleted.
    pub async fn key_owner(&self, key: &str, now: Timestamp) -> Result<Option<KeyRow>, StoreError> {
        const SQL: &str =
            "select k.id, k.tenant_id, k.workspace_id, k.scopes, k.last_used_at, k.expires_at, k.is_test, t.name, t.plan, t.created_at
             from api_keys k join tenants t on t.id = k.tenant_id
             where k.hash = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > $2)
               and length(t.wrapped_key) > 0
               and (k.workspace_id is null
                   or exists (select 1 from workspaces w where w.id = k.workspace_id and w.deleted_at is null))";
        const USED: &str = "update api_keys set last_used_at = $2 where hash = $1";
        let hash = hash_key(key);
        let rows = self.db.read_on(ReaderPool::Api, SQL, args![hash, now]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let used = row.get::<Option<i64>>("last_used_at")?.map(at);
        if used.is_none_or(|used| plus(used, minutes(USED_EVERY_MINUTES)) <= now)
            && let Err(error) = self.db.write(USED, args![hash, now]).await
        {
            // A full disk must not block clients that only read.
            tracing::debug!(%error, "the last use of an API key could not be recorded");
        }
        Ok(Some(KeyRow {
            id: Id::from_uuid(row.get("id")?),
            tenant: TenantRow::from_row(Id::from_uuid(row.get("tenant_id")?), row)?,
            workspace: row.get::<Option<uuid::Uuid>>("workspace_id")?.map(Id::from_uuid),
            scopes: Scopes::from_text(&row.get::<String>("scopes")?),
            expires_at: row.get::<Option<i64>>("expires_at")?.map(at),
            test: row.get("is_test")?,
        }))
    }
}

macro_rules! columns {
    ($tail:literal) => {
        concat!(
            "select id, name, prefix, workspace_id, scopes, created_at, last_used_at, expires_at, revoked_at, is_test from api_keys ",
            $tail
        )
    };
}

impl TenantStore {
    /// Creates a key.
    pub async fn create_key(&self, new: &NewKey<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "insert into api_keys (hash, id, tenant_id, workspace_id, name, prefix, scopes, created_at, expires_at, is_test)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        self.check_filter(new.workspace)?;
        let (audit_writer, scopes) = (self.audit_writer().await?, new.scopes.text());
        let values = args![
            hash_key(new.secret),
            new.id,
            self.tenant,
            new.workspace,
            new.name,
            prefix_of(new.secret),
            &scopes,
            now,
            new.expires_at,
            new.test
        ];
        let act = AuditEvent::new("api_key.create", new.workspace, new.id).after(
                json!({"name": new.name, "scopes": scopes, "test": new.test, "expires_at": new.expires_at.map(|t| t.to_string())}),
            );
        let mut tx = self.db().begin().await?;
        tx.execute(SQL, values).await?;
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// One key.
    pub async fn key(&self, id: Id<id::Key>) -> Result<KeyInfo, StoreError> {
        const SQL: &str = columns!("where tenant_id = $1 and id = $2");
        let row = self.db().read_one(SQL, args![self.tenant, id]).await?.ok_or(StoreError::NotFound)?;
        let key = KeyInfo::from_row(&row)?;
        self.check_filter(key.workspace)?;
        Ok(key)
    }

    /// A page of keys, newest first: those of one workspace, or all including the admin keys.
    pub async fn keys(
        &self,
        workspace: Option<Id<id::Workspace>>,
        before: (Timestamp, Id<id::Key>),
        limit: i64,
    ) -> Result<Vec<KeyInfo>, StoreError> {
        const SQL: &str = columns!(
            "where tenant_id = $1 and (created_at, id) < ($2, $3) and ($5 is null or workspace_id = $5)
             order by created_at desc, id desc limit $4"
        );
        let args = args![self.tenant, before.0, before.1, limit, self.narrowed(workspace)?];
        self.db().read(SQL, args).await?.iter().map(KeyInfo::from_row).collect()
    }

    /// Revokes a key: every replica rejects it from now on.
    pub async fn revoke_key(&self, key: &KeyInfo, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "update api_keys set revoked_at = $3 where tenant_id = $1 and id = $2 and revoked_at is null";
        self.check_filter(key.workspace)?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        if tx.execute(SQL, args![self.tenant, key.id, now]).await? == 0 {
            return Ok(());
        }
        let act = AuditEvent::new("api_key.revoke", key.workspace, key.id)
            .before(json!({"name": key.name, "scopes": key.scopes.text()}));
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }
}
