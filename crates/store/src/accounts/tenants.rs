//! Tenants, their first member, and their keys.

use std::sync::Arc;

use redialer_core::{Id, Timestamp, id, rng::Rng, tenant::Plan};

use serde_json::json;

use crate::{
    Actor, Store, StoreError,
    accounts::key_hash::{hash_key, prefix_of},
    at, bucket_of,
    crypto::tenant_keys::WrappedKey,
    db::{Row, args},
    log::audit::{AuditEvent, AuditWriter},
};

pub(crate) const WEBHOOK_SECRET: &str = "tenants.webhook_secret";

/// A tenant to create.
pub struct NewTenant<'a> {
    /// Its id.
    pub id: Id<id::Tenant>,
    /// Its name.
    pub name: &'a str,
    /// Its plan.
    pub plan: Plan,
    /// Its owner's email address.
    pub owner_email: &'a str,
    /// The Argon2id hash of the owner's password.
    pub password_hash: &'a str,
    /// The admin API key in plain text; only its hash is stored.
    pub admin_key: &'a str,
    /// The secret for our own signatures.
    pub webhook_secret: &'a str,
}

/// A tenant.
#[derive(Debug, Clone)]
pub struct TenantRow {
    /// Its id.
    pub id: Id<id::Tenant>,
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// When it was created.
    pub created_at: Timestamp,
}

impl TenantRow {
    pub(crate) fn from_row(id: Id<id::Tenant>, row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id,
            name: row.get("name")?,
            plan: row.get::<String>("plan")?.parse().map_err(|_| StoreError::Corrupt("plan"))?,
            created_at: at(row.get("created_at")?),
        })
    }
}

impl Store {
    /// Creates a tenant, its owner and its admin key, all or nothing.
    pub async fn create_tenant(
        &self,
        new: &NewTenant<'_>,
        now: Timestamp,
        rng: &Rng,
    ) -> Result<(), StoreError> {
        const TENANT: &str = "insert into tenants (id, bucket, name, plan, key_version, wrapped_key, webhook_secret, created_at)
             values ($1, $2, $3, $4, 1, $5, $6, $7)";
        const MEMBER: &str = "insert into members (id, tenant_id, email, password_hash, role, created_at)
             values ($1, $2, $3, $4, 'owner', $5)";
        const KEY: &str =
            "insert into api_keys (hash, id, tenant_id, workspace_id, name, prefix, scopes, created_at)
             values ($1, $2, $3, null, 'admin', $4, '*', $5)";
        let wrapped = WrappedKey::generate(new.id, &self.kek, rng).await?;
        let key = self.opened(&wrapped).await?;
        let secret = key.seal(WEBHOOK_SECRET, new.id.uuid(), new.webhook_secret.as_bytes(), rng);
        let mut tx = self.db.begin().await?;
        tx.execute(
            TENANT,
            args![new.id, bucket_of(new.id), new.name, new.plan.as_str(), wrapped.wrapped, secret, now],
        )
        .await?;
        let member: Id<id::Member> = Id::new(now, rng);
        tx.execute(MEMBER, args![member, new.id, new.owner_email.to_lowercase(), new.password_hash, now])
            .await?;
        let key_id: Id<id::Key> = Id::new(now, rng);
        tx.execute(KEY, args![hash_key(new.admin_key), key_id, new.id, prefix_of(new.admin_key), now])
            .await?;
        let act = AuditEvent::new("tenant.create", None, new.id)
            .after(json!({"name": new.name, "plan": new.plan.as_str(), "admin_key": key_id.to_string()}));
        AuditWriter::new(new.id, Arc::new(Actor::command()), key).write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// Moves a tenant to another plan.
    pub async fn change_plan(
        &self,
        tenant: &TenantRow,
        plan: Plan,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update tenants set plan = $2 where id = $1";
        let audit_writer = self.for_tenant(tenant.id).by(Actor::command()).audit_writer().await?;
        let act = AuditEvent::new("tenant.change_plan", None, tenant.id)
            .before(json!({"plan": tenant.plan.as_str()}))
            .after(json!({"plan": plan.as_str()}));
        let mut tx = self.db.begin().await?;
        tx.execute(SQL, args![tenant.id, plan.as_str()]).await?;
        audit_writer.write(&mut tx, act, now).await?;
        tx.commit().await
    }

    /// Every tenant.
    pub async fn tenants(&self) -> Result<Vec<TenantRow>, StoreError> {
        const SQL: &str = "select id, name, plan, created_at from tenants order by created_at, id";
        let rows = self.db.read(SQL, args![]).await?;
        rows.iter().map(|row| TenantRow::from_row(Id::from_uuid(row.get("id")?), row)).collect()
    }

    /// The tenant with this id.
    pub async fn tenant(&self, id: Id<id::Tenant>) -> Result<TenantRow, StoreError> {
        const SQL: &str = "select name, plan, created_at from tenants where id = $1";
        let row = self.db.read_one(SQL, args![id]).await?.ok_or(StoreError::NotFound)?;
        TenantRow::from_row(id, &row)
    }
}
