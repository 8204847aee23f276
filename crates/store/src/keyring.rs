//! Forgetting a tenant for good, in backups too.
//!
//! Invariants (I22): once a tenant's key is destroyed, nothing that was sealed with it opens any more, wherever a copy of it
//! lies without the key; and nobody acts for that tenant again. A backup can be made without keys; these are then in a
//! keyring of their own, of which only the latest needs to be kept: it has no keys of destroyed tenants.

use std::path::Path;

use redialer_core::{Id, Timestamp, id};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    Actor, BackupError, Store, StoreError, TenantRow,
    audit::Act,
    engine::{Value, args},
    tenant_keys::WrappedKey,
};

/// One tenant's wrapped key, as it stands in a keyring: a line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    tenant: String,
    version: u32,
    wrapped: Vec<u8>,
    other: Option<(u32, Vec<u8>)>,
}

impl Store {
    /// Destroys a tenant's key, with its API keys, its members and its workspaces: the last act in its book.
    pub async fn destroy_key(&self, tenant: &TenantRow, now: Timestamp) -> Result<(), StoreError> {
        const ALONE: [&str; 3] = [
            "update tenants set wrapped_key = $2, other_version = null, other_wrapped = null where id = $1 and $3 > 0",
            "update api_keys set revoked_at = coalesce(revoked_at, $3) where tenant_id = $1 and length($2) = 0",
            "update workspaces set deleted_at = coalesce(deleted_at, $3) where tenant_id = $1 and length($2) = 0",
        ];
        const MEMBERS: &str = "delete from members where tenant_id = $1";
        let pen = self.of(tenant.id).by(Actor::command()).pen().await?;
        let mut tx = self.db.begin().await?;
        let act = Act {
            action: "tenant.destroy_key",
            workspace: None,
            target: &tenant.id.to_string(),
            before: Some(json!({"name": tenant.name})),
            after: None,
        };
        pen.write(&mut tx, act, now).await?;
        for sql in ALONE {
            tx.execute(sql, args![tenant.id, Vec::<u8>::new(), now]).await?;
        }
        tx.execute(MEMBERS, args![tenant.id]).await?;
        tx.commit().await?;
        self.forget();
        Ok(())
    }

    /// Every tenant's wrapped key, a line each: worth nothing without the key-encryption key.
    pub async fn keyring(&self) -> Result<String, StoreError> {
        let mut text = String::new();
        for key in self.wrapped_keys().await? {
            let WrappedKey { tenant, version, wrapped, other } = key;
            let kept = Kept { tenant: tenant.to_string(), version, wrapped, other };
            text.push_str(&serde_json::to_string(&kept).unwrap_or_default());
            text.push('\n');
        }
        Ok(text)
    }

    /// Puts the keys of a keyring back to those tenants that have none; how many. A line that cannot be read is an error.
    pub async fn restore_keyring(&self, text: &str) -> Result<usize, StoreError> {
        const SQL: &str =
            "update tenants set key_version = $2, wrapped_key = $3, other_version = $4, other_wrapped = $5
             where id = $1 and length(wrapped_key) = 0";
        let mut kept: Vec<(Id<id::Tenant>, Kept)> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line: Kept = serde_json::from_str(line).map_err(|_| StoreError::Corrupt("keyring"))?;
            kept.push((line.tenant.parse().map_err(|_| StoreError::Corrupt("keyring"))?, line));
        }
        let mut tx = self.db.begin().await?;
        let mut n = 0;
        for (tenant, Kept { version, wrapped, other, .. }) in kept {
            let (other_version, other) = other.unzip();
            let args = args![tenant, version, wrapped, other_version, Value::Blob(other)];
            n += usize::try_from(tx.execute(SQL, args).await?).unwrap_or(0);
        }
        tx.commit().await?;
        self.forget();
        Ok(n)
    }
}

/// Takes the keys out of a backup, and their traces out of its pages.
pub async fn strip_keys(backup: &Path) -> Result<(), BackupError> {
    let options = SqliteConnectOptions::new().filename(backup).pragma("secure_delete", "on");
    let mut made = SqliteConnection::connect_with(&options).await?;
    sqlx::query("update tenants set wrapped_key = x'', other_version = null, other_wrapped = null")
        .execute(&mut made)
        .await?;
    // Written anew, it has no page of before.
    sqlx::query("vacuum").execute(&mut made).await?;
    made.close().await?;
    Ok(())
}
