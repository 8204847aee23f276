//! Tenants' keys as they are stored: wrapped and bound to tenant and version; opened for one request or job.
//!
//! Invariant: during a rotation (`rotation`) both versions are stored, and opening a tenant's key opens both.

use futures_util::future::try_join;
use redialer_core::{Id, id, rng::Rng};
use redialer_kek::{Kek, KeyError};

use crate::{
    Store, StoreError, TenantKey,
    db::{ReaderPool, Row, args, failpoints::FailPoint},
};

/// A tenant's key, wrapped.
#[derive(Clone)]
pub(crate) struct WrappedKey {
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) version: u32,
    pub(crate) wrapped: Vec<u8>,
    /// During a rotation: the next key once it is published, then the previous one until it is dropped.
    pub(crate) other: Option<(u32, Vec<u8>)>,
}

/// The context that a wrapped key is bound to.
pub(crate) fn context_of(tenant: Id<id::Tenant>, version: u32) -> Vec<u8> {
    [b"tenant".as_slice(), tenant.uuid().as_bytes(), &version.to_be_bytes()].concat()
}

pub(crate) fn version(n: i64) -> Result<u32, StoreError> {
    u32::try_from(n).map_err(|_| StoreError::Corrupt("key version"))
}

impl WrappedKey {
    /// Reads the columns `key_version`, `wrapped_key`, `alternate_version` and `alternate_wrapped_key`.
    pub(crate) fn from_row(tenant: Id<id::Tenant>, row: &Row) -> Result<Self, StoreError> {
        let other = match row.get::<Option<i64>>("alternate_version")? {
            Some(n) => Some((version(n)?, row.get("alternate_wrapped_key")?)),
            None => None,
        };
        Ok(Self {
            tenant,
            version: version(row.get("key_version")?)?,
            wrapped: row.get("wrapped_key")?,
            other,
        })
    }

    /// Generates and wraps the key of a new tenant.
    pub(crate) async fn generate(tenant: Id<id::Tenant>, kek: &Kek, rng: &Rng) -> Result<Self, KeyError> {
        let both = TenantKey::generate(rng);
        let wrapped = kek.wrap(&both, &context_of(tenant, 1), rng).await?;
        Ok(Self { tenant, version: 1, wrapped, other: None })
    }

    pub(crate) async fn open(&self, kek: &Kek) -> Result<TenantKey, KeyError> {
        if self.wrapped.is_empty() {
            return Err(KeyError::Destroyed);
        }
        let (tenant, context) = (self.tenant, context_of(self.tenant, self.version));
        let own = kek.unwrap(&self.wrapped, &context);
        let Some((alternate_version, wrapped)) = &self.other else {
            return TenantKey::new(tenant, (self.version, &own.await?), None);
        };
        let other_context = context_of(tenant, *alternate_version);
        let (own, other) = try_join(own, kek.unwrap(wrapped, &other_context)).await?;
        TenantKey::new(tenant, (self.version, &own), Some((*alternate_version, &other)))
    }
}

impl Store {
    /// Opens a tenant's key for one request or job.
    pub async fn open_key(&self, tenant: Id<id::Tenant>) -> Result<TenantKey, StoreError> {
        self.open_key_on(ReaderPool::Hot, tenant).await
    }

    /// Same, read on the connections of `reader_pool`.
    pub(crate) async fn open_key_on(
        &self,
        reader_pool: ReaderPool,
        tenant: Id<id::Tenant>,
    ) -> Result<TenantKey, StoreError> {
        const SQL: &str = "select key_version, wrapped_key, alternate_version, alternate_wrapped_key from tenants where id = $1";
        let rows = self.db.read_on(reader_pool, SQL, args![tenant]).await?;
        let key = WrappedKey::from_row(tenant, rows.first().ok_or(StoreError::NotFound)?)?;
        self.opened(&key).await
    }

    pub(crate) async fn opened(&self, key: &WrappedKey) -> Result<TenantKey, StoreError> {
        if self.pass(FailPoint::Unwrap).await.is_err() {
            return Err(KeyError::Unavailable("injected".to_owned()).into());
        }
        Ok(key.open(&self.kek).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenants_key_opens_only_under_its_kek_and_its_own_id_and_version() {
        let rng = Rng::seeded([3; 32]);
        let id = || Id::new(redialer_core::Timestamp::UNIX_EPOCH, &rng);
        let (kek, tenant) = (Kek::from_bytes([1; 32]), id());
        let key = WrappedKey::generate(tenant, &kek, &rng).await.expect("wrapped");
        assert_eq!(key.open(&kek).await.expect("opens").tenant(), tenant);
        assert!(key.open(&Kek::from_bytes([2; 32])).await.is_err());
        assert!(WrappedKey { version: 2, ..key.clone() }.open(&kek).await.is_err());
        assert!(WrappedKey { tenant: id(), ..key }.open(&kek).await.is_err());
    }
}
