//! Key rotation while servers run.
//!
//! Invariants (I22): a key version seals only once every process can open it, and it is dropped only once nothing is
//! sealed with it. The caller must let time pass between these steps. The old version is kept with the current one
//! until an operator drops it, because a process that was frozen during a rotation may still seal with it. Every step is
//! guarded by the value it replaces, so it can be interrupted anywhere, repeated, and run while others write.
//! Absent on purpose: how long to wait; and rotating the key-encryption key itself, which happens elsewhere.

use std::collections::BTreeMap;

use redialer_core::{Id, Timestamp, id, rng::Rng};
use redialer_kek::{Kek, KeyError};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use crate::{
    Actor, Store, StoreError, TenantKey,
    accounts::{suppressions, tenants, workspaces},
    callbacks::{secrets, transitions::RESEAL},
    crypto::{
        kek_proof::{KEK_CHECK, KEK_PROOF},
        seal::{self, BODY},
        tenant_keys::{WrappedKey, context_of},
    },
    db::{Args, Row, Value, args},
    dispatch::prepared,
    log::{audit::AuditEvent, idempotency},
};

/// The result of a rotation step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// Tenants or values that it changed.
    pub done: usize,
    /// Those that another writer changed in the meantime; they are left for the next run.
    pub left: usize,
    /// Values that cannot be decrypted; they are not changed.
    pub broken: usize,
}

impl Rotated {
    const NOTHING: Self = Self { done: 0, left: 0, broken: 0 };
}

/// A column of sealed values: the label they are bound to, the query for a page after an id, and the update of a value.
struct Sealed {
    label: &'static str,
    page: &'static str,
    replace: &'static str,
}

/// The position in a scan of a table.
#[derive(Clone, Copy)]
struct Cursor(Uuid, i64);

impl Cursor {
    const fn nothing() -> Self {
        Self(Uuid::nil(), -1)
    }

    fn row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self(row.get("id")?, row.get("bucket")?))
    }

    fn args(self) -> Args {
        args![Value::Uuid(Some(self.0)), self.1]
    }
}

/// Every column that is sealed with a tenant's key.
const COLUMNS: [Sealed; 8] = [
    Sealed {
        label: tenants::WEBHOOK_SECRET,
        page: "select id, bucket, id as tenant_id, webhook_secret as sealed from tenants where (id, bucket) > ($1, $2) order by id, bucket limit 200",
        replace: "update tenants set webhook_secret = $2 where bucket = $4 and id = $1 and webhook_secret = $3",
    },
    Sealed {
        label: workspaces::API_KEY,
        page: "select id, bucket, tenant_id, api_key as sealed from workspaces where (id, bucket) > ($1, $2) order by id, bucket limit 200",
        replace: "update workspaces set api_key = $2 where bucket = $4 and id = $1 and api_key = $3",
    },
    Sealed {
        label: workspaces::WEBHOOK_AUTH,
        page: "select id, bucket, tenant_id, webhook_keys as sealed from workspaces where (id, bucket) > ($1, $2) order by id, bucket limit 200",
        replace: "update workspaces set webhook_keys = $2 where bucket = $4 and id = $1 and webhook_keys = $3",
    },
    Sealed {
        label: secrets::SEALED,
        page: "select id, bucket, tenant_id, sealed from callbacks where (id, bucket) > ($1, $2) order by id, bucket limit 200",
        replace: RESEAL,
    },
    Sealed {
        label: prepared::BODY,
        page: "select id, bucket, tenant_id, sealed from dispatches where (bucket, id) > ($2, $1) order by bucket, id limit 200",
        replace: "update dispatches set sealed = $2 where bucket = $4 and id = $1 and sealed = $3",
    },
    Sealed {
        label: BODY,
        page: "select b.event_id as id, b.bucket, d.tenant_id, b.body as sealed from event_payloads b
                   join inbound_events d on d.id = b.event_id and d.bucket = b.bucket
               where (b.event_id, b.bucket) > ($1, $2) order by b.event_id, b.bucket limit 200",
        replace: "update event_payloads set body = $2 where bucket = $4 and event_id = $1 and body = $3",
    },
    Sealed {
        label: suppressions::SEALED,
        page: "select id, bucket, tenant_id, sealed from suppressions where (id, bucket) > ($1, $2) order by id, bucket limit 200",
        replace: "update suppressions set sealed = $2 where +bucket = $4 and id = $1 and sealed = $3",
    },
    Sealed {
        label: idempotency::COLUMN,
        page: "select id, bucket, tenant_id, response as sealed from idempotency_keys where response is not null and (id, bucket) > ($1, $2) order by id, bucket limit 200",
        replace: "update idempotency_keys set response = $2 where +bucket = $4 and id = $1 and response = $3",
    },
];

/// The exclusive lock for rotating, retiring and destroying keys.
pub struct KeysLock(Option<PgConnection>);

impl KeysLock {
    /// Releases the lock.
    pub async fn release(self) -> Result<(), StoreError> {
        match self.0 {
            Some(mut connection) => {
                connection.execute("rollback").await?;
                Ok(connection.close().await?)
            }
            None => Ok(()),
        }
    }
}

impl Store {
    /// Prevents two commands from changing keys at once, on any machine. On SQLite it does nothing: the caller locks
    /// the database's file.
    pub async fn lock_keys(&self) -> Result<KeysLock, StoreError> {
        const ROW: &str =
            "insert into meta (name, value) values ('keys_lock', '') on conflict (name) do nothing";
        const LOCK_KEYS: &str = "select 1 from meta where name = 'keys_lock' for update nowait";
        // It waits for no other transaction and is held until the command ends: then the connection is closed or found
        // dead.
        const BEGIN: &str = "set idle_in_transaction_session_timeout = 0; begin";
        let Some(mut connection) = self.db.connect_apart().await? else { return Ok(KeysLock(None)) };
        connection.execute(ROW).await?;
        connection.execute(BEGIN).await?;
        match connection.execute(LOCK_KEYS).await.map_err(StoreError::from) {
            Ok(_) => Ok(KeysLock(Some(connection))),
            Err(error) if error.is_contention() => Err(StoreError::KeysLocked),
            Err(error) => Err(error),
        }
    }

    /// The key-encryption key.
    pub fn kek(&self) -> &Kek {
        &self.kek
    }

    /// Rewraps every tenant's key under the current version of the key-encryption key, where needed.
    pub async fn rewrap_keys(&self, rng: &Rng) -> Result<Rotated, StoreError> {
        const PROVE: &str = "update meta set value = $1 where name = 'kek_check' and value = $2";
        const OWN: &str = "update tenants set wrapped_key = $2 where id = $1 and wrapped_key = $3";
        const OTHER: &str =
            "update tenants set alternate_wrapped_key = $2 where id = $1 and alternate_wrapped_key = $3";
        let mut rotated = Rotated::NOTHING;
        if let Some(row) = self.db.read_one(KEK_PROOF, args![]).await? {
            let old: Vec<u8> = row.get("value")?;
            if let Some(new) = self.rewrapped(&old, KEK_CHECK, rng).await? {
                self.db.write(PROVE, args![new, old]).await?;
            }
        }
        for key in self.wrapped_keys().await? {
            let mut done = false;
            let own = (key.version, &key.wrapped, OWN);
            let other = key.other.as_ref().map(|(version, wrapped)| (*version, wrapped, OTHER));
            for (version, wrapped, sql) in [Some(own), other].into_iter().flatten() {
                let Some(new) = self.rewrapped(wrapped, &context_of(key.tenant, version), rng).await? else {
                    continue;
                };
                let changed = self.db.write(sql, args![key.tenant, new, wrapped.clone()]).await?;
                done |= changed == 1;
                rotated.left += usize::from(changed == 0);
            }
            rotated.done += usize::from(done);
        }
        Ok(rotated)
    }

    /// Rewraps a value under the current key; `None` if it already is.
    pub(crate) async fn rewrapped(
        &self,
        wrapped: &[u8],
        context: &[u8],
        rng: &Rng,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let plain = self.kek.unwrap(wrapped, context).await?;
        let new = self.kek.wrap(&plain, context, rng).await?;
        Ok((!self.kek.is_current(wrapped, &new, context)).then_some(new))
    }

    /// Publishes a next key for every tenant that has none. It does not seal yet.
    pub async fn publish_next_keys(&self, rng: &Rng) -> Result<Rotated, StoreError> {
        const SQL: &str = "update tenants set alternate_version = $2, alternate_wrapped_key = $3
             where id = $1 and key_version = $4 and wrapped_key = $5 and alternate_version is null";
        let mut rotated = Rotated::NOTHING;
        for key in self.wrapped_keys().await?.into_iter().filter(|k| k.other.is_none()) {
            let next = key.version + 1;
            let both = self.opened(&key).await?.next(rng);
            let wrapped = self.kek.wrap(&both, &context_of(key.tenant, next), rng).await?;
            let args = args![key.tenant, next, wrapped, key.version, key.wrapped];
            rotated.done += usize::try_from(self.db.write(SQL, args).await?).unwrap_or(0);
        }
        Ok(rotated)
    }

    /// Makes every published key the current one; the previous key is kept as well.
    pub async fn promote_keys(&self, now: Timestamp) -> Result<Rotated, StoreError> {
        const SQL: &str =
            "update tenants set key_version = alternate_version, wrapped_key = alternate_wrapped_key,
                 alternate_version = key_version, alternate_wrapped_key = wrapped_key
             where id = $1 and alternate_version > key_version";
        let mut rotated = Rotated::NOTHING;
        let published = |k: &WrappedKey| k.other.as_ref().is_some_and(|(version, _)| *version > k.version);
        for key in self.wrapped_keys().await?.into_iter().filter(published) {
            let audit_writer = self.for_tenant(key.tenant).by(Actor::command()).audit_writer().await?;
            let mut tx = self.db.begin().await?;
            if tx.execute(SQL, args![key.tenant]).await? == 0 {
                rotated.left += 1;
                continue;
            }
            let act = AuditEvent::new("tenant.rotate_key", None, key.tenant)
                .before(json!({"key_version": key.version}))
                .after(json!({"key_version": key.version + 1}));
            audit_writer.write(&mut tx, act, now).await?;
            tx.commit().await?;
            rotated.done += 1;
        }
        Ok(rotated)
    }

    /// Reseals all values that are sealed with another version than their tenant's current key.
    pub async fn reseal(&self, rng: &Rng) -> Result<Rotated, StoreError> {
        let mut rotated = Rotated::NOTHING;
        for column in &COLUMNS {
            let mut behind = Cursor::nothing();
            loop {
                let rows = self.db.read(column.page, behind.args()).await?;
                let Some(last) = rows.last() else { break };
                behind = Cursor::row(last)?;
                self.reseal_page(column, &rows, &mut rotated, rng).await?;
            }
        }
        Ok(rotated)
    }

    async fn reseal_page(
        &self,
        column: &Sealed,
        rows: &[Row],
        rotated: &mut Rotated,
        rng: &Rng,
    ) -> Result<(), StoreError> {
        // Opened for this page only.
        let mut keys: BTreeMap<Uuid, Option<TenantKey>> = BTreeMap::new();
        let mut again = Vec::new();
        for row in rows {
            let (at, tenant, sealed): (_, Uuid, Vec<u8>) =
                (Cursor::row(row)?, row.get("tenant_id")?, row.get("sealed")?);
            if let std::collections::btree_map::Entry::Vacant(place) = keys.entry(tenant) {
                match self.open_key(Id::from_uuid(tenant)).await {
                    Ok(key) => place.insert(Some(key)),
                    // Data of this tenant can never be opened again.
                    Err(StoreError::Key(KeyError::Destroyed)) => place.insert(None),
                    Err(error) => return Err(error),
                };
            }
            let Some(key) = &keys[&tenant] else { continue };
            match key.reseal(column.label, at.0, &sealed, rng) {
                Ok(Some(new)) => again.push((at, new, sealed)),
                Ok(None) => {}
                Err(error) => {
                    // A damaged value must not block the others.
                    tracing::error!(%error, column = column.label, row = %at.0, "a value cannot be decrypted");
                    rotated.broken += 1;
                }
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        for (at, new, sealed) in again {
            let args = args![Value::Uuid(Some(at.0)), new, sealed, at.1];
            let changed = tx.execute(column.replace, args).await?;
            rotated.done += usize::from(changed == 1);
            rotated.left += usize::from(changed == 0);
        }
        tx.commit().await
    }

    /// Drops the keys that no value is sealed with any more.
    pub async fn drop_old_keys(&self) -> Result<Rotated, StoreError> {
        const SQL: &str = "update tenants set alternate_version = null, alternate_wrapped_key = null
             where id = $1 and key_version = $2 and alternate_version = $3 and alternate_version < key_version";
        let keys = self.wrapped_keys().await?;
        let old = self.sealed_with_old(&keys).await?;
        let mut rotated = Rotated::NOTHING;
        for WrappedKey { tenant, version, other, .. } in keys {
            let Some((other, _)) = other.filter(|(other, _)| *other < version) else { continue };
            if old.contains_key(&tenant.uuid()) {
                rotated.left += 1;
                continue;
            }
            let dropped = self.db.write(SQL, args![tenant, version, other]).await?;
            rotated.done += usize::try_from(dropped).unwrap_or(0);
        }
        Ok(rotated)
    }

    /// The number of unfinished rotations: tenants with a published next key, and tenants with values that are not
    /// sealed with their current key.
    pub async fn unfinished(&self) -> Result<usize, StoreError> {
        let keys = self.wrapped_keys().await?;
        let published = |k: &&WrappedKey| k.other.as_ref().is_some_and(|(other, _)| *other > k.version);
        Ok(keys.iter().filter(published).count() + self.sealed_with_old(&keys).await?.len())
    }

    /// The number of values per tenant that are sealed with another version than the current one.
    async fn sealed_with_old(&self, keys: &[WrappedKey]) -> Result<BTreeMap<Uuid, usize>, StoreError> {
        let current: BTreeMap<Uuid, u32> = keys.iter().map(|k| (k.tenant.uuid(), k.version)).collect();
        let mut old = BTreeMap::new();
        for column in &COLUMNS {
            let mut behind = Cursor::nothing();
            loop {
                let rows = self.db.read(column.page, behind.args()).await?;
                let Some(last) = rows.last() else { break };
                behind = Cursor::row(last)?;
                for row in &rows {
                    let tenant: Uuid = row.get("tenant_id")?;
                    let version = seal::version_of(&row.get::<Vec<u8>>("sealed")?);
                    if current.get(&tenant).is_some_and(|current| version != Some(*current)) {
                        *old.entry(tenant).or_insert(0) += 1;
                    }
                }
            }
        }
        Ok(old)
    }

    /// All wrapped keys; those of destroyed tenants no longer exist.
    pub(crate) async fn wrapped_keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        const SQL: &str = "select id, key_version, wrapped_key, alternate_version, alternate_wrapped_key
             from tenants where length(wrapped_key) > 0 order by id";
        let rows = self.db.read(SQL, args![]).await?;
        rows.iter()
            .map(|row| WrappedKey::from_row(Id::<id::Tenant>::from_uuid(row.get("id")?), row))
            .collect()
    }
}
