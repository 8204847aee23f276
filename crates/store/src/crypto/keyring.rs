//! Crypto-shredding a tenant, in backups too, and the keyrings of backups without keys.
//!
//! Invariants (I22): once a tenant's key is destroyed, nothing that was sealed with it can be opened, in any copy that
//! lacks the key, and no API key, member or workspace of that tenant is active. A backup can be made without keys. Its
//! keys go to a separate keyring, which gains the new versions of tenants' keys and loses those of destroyed tenants.
//! The latest keyring therefore decrypts every such backup, and only the latest must be kept.

use std::{collections::BTreeMap, path::Path};

use redialer_core::{Id, Timestamp, id, rng::Rng};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Actor, BackupError, Store, StoreError, TenantRow,
    crypto::tenant_keys::context_of,
    db::{
        args,
        sqlite::{Mode, SqliteConn},
    },
    log::audit::AuditEvent,
};

/// The wrapped keys of tenants, by tenant and version.
#[derive(Default)]
pub struct Keyring(BTreeMap<(Id<id::Tenant>, u32), Vec<u8>>);

/// One entry: a line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringLine {
    tenant: String,
    version: u32,
    wrapped: Vec<u8>,
}

impl Keyring {
    /// Parses a keyring; a line that cannot be read is an error.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let mut keys = BTreeMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line: KeyringLine = serde_json::from_str(line).map_err(|_| StoreError::Corrupt("keyring"))?;
            let tenant = line.tenant.parse().map_err(|_| StoreError::Corrupt("keyring"))?;
            keys.insert((tenant, line.version), line.wrapped);
        }
        Ok(Self(keys))
    }

    /// The text that [`Keyring::parse`] reads. It is useless without the key-encryption key.
    pub fn text(&self) -> String {
        let line = |((tenant, version), wrapped): (&(Id<id::Tenant>, u32), &Vec<u8>)| {
            let line =
                KeyringLine { tenant: tenant.to_string(), version: *version, wrapped: wrapped.clone() };
            serde_json::to_string(&line).unwrap_or_default() + "\n"
        };
        self.0.iter().map(line).collect()
    }

    /// A tenant's wrapped key of that version.
    pub(crate) fn get(&self, tenant: Id<id::Tenant>, version: u32) -> Option<&[u8]> {
        self.0.get(&(tenant, version)).map(Vec::as_slice)
    }
}

impl Store {
    /// Destroys a tenant's key, with its API keys, its members and its workspaces. This is the last event in its audit
    /// log.
    pub async fn destroy_key(&self, tenant: &TenantRow, now: Timestamp) -> Result<(), StoreError> {
        const KEY: &str = "update tenants set wrapped_key = $2, alternate_version = null, alternate_wrapped_key = null, destroyed_at = $3
             where id = $1";
        const KEYS: &str = "update api_keys set revoked_at = coalesce(revoked_at, $2) where tenant_id = $1";
        const WORKSPACES: &str =
            "update workspaces set deleted_at = coalesce(deleted_at, $2) where tenant_id = $1";
        const MEMBERS: &str = "delete from members where tenant_id = $1";
        let audit_writer = self.for_tenant(tenant.id).by(Actor::command()).audit_writer().await?;
        self.db.purge_deleted_workspaces().await?;
        let mut tx = self.db.begin().await?;
        let act = AuditEvent::new("tenant.destroy_key", None, tenant.id).before(json!({"name": tenant.name}));
        audit_writer.write(&mut tx, act, now).await?;
        tx.execute(KEY, args![tenant.id, Vec::<u8>::new(), now]).await?;
        tx.execute(KEYS, args![tenant.id, now]).await?;
        tx.execute(WORKSPACES, args![tenant.id, now]).await?;
        tx.execute(MEMBERS, args![tenant.id]).await?;
        tx.commit().await?;
        self.checkpoint().await
    }

    /// The current keyring: all stored keys, and the older versions in `before` of tenants that still have a key. These
    /// are rewrapped if the key-encryption key has changed.
    pub async fn keyring(&self, before: &Keyring, rng: &Rng) -> Result<Keyring, StoreError> {
        let (keys, mut kept) = (self.wrapped_keys().await?, BTreeMap::new());
        for ((tenant, version), wrapped) in &before.0 {
            if keys.iter().any(|key| key.tenant == *tenant) {
                // An entry that the current key-encryption keys cannot unwrap stays as it is.
                let anew = self.rewrapped(wrapped, &context_of(*tenant, *version), rng).await.ok().flatten();
                kept.insert((*tenant, *version), anew.unwrap_or_else(|| wrapped.clone()));
            }
        }
        for key in keys {
            kept.insert((key.tenant, key.version), key.wrapped);
            kept.extend(key.other.map(|(version, wrapped)| ((key.tenant, version), wrapped)));
        }
        Ok(Keyring(kept))
    }
}

/// Removes the keys from a backup, including their traces in its pages.
pub fn strip_keys(backup: &Path) -> Result<(), BackupError> {
    let made = SqliteConn::open(backup, Mode::OtherFile)?;
    for sql in [
        "pragma secure_delete = on",
        "update tenants set wrapped_key = x'', alternate_wrapped_key = case when alternate_version is null then null else x'' end",
        // Only the current key-encryption key would open it.
        "delete from meta where name = 'kek_check'",
        // Rewrites the file, so that no old page remains.
        "vacuum",
    ] {
        made.run_script(sql)?;
    }
    Ok(made.close()?)
}
