//! API keys of ours. Only their SHA-256 is stored: they are 160 random bits, so no slow hash is needed.

use redialer_core::{Id, Timestamp, id};
use sha2::{Digest as _, Sha256};

use crate::{Store, StoreError, engine::args};

/// Whose key it is.
#[derive(Debug, Clone, Copy)]
pub struct KeyRow {
    /// The key.
    pub id: Id<id::Key>,
    /// The tenant it opens.
    pub tenant: Id<id::Tenant>,
    /// The one workspace it opens; `None` for an admin key.
    pub workspace: Option<Id<id::Workspace>>,
}

/// What is stored of a key.
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

impl Store {
    /// Whose key this is; `None` for a key that is unknown, revoked or past its time.
    pub async fn key_owner(&self, key: &str, now: Timestamp) -> Result<Option<KeyRow>, StoreError> {
        const SQL: &str = "select id, tenant_id, workspace_id from api_keys
             where hash = $1 and revoked_at is null and (expires_at is null or expires_at > $2)";
        let Some(row) = self.db.read_one(SQL, args![hash_key(key), now]).await? else { return Ok(None) };
        Ok(Some(KeyRow {
            id: Id::from_uuid(row.get("id")?),
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: row.get::<Option<uuid::Uuid>>("workspace_id")?.map(Id::from_uuid),
        }))
    }
}
