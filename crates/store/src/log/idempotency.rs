//! Stored responses for POST requests that are repeated under the same `Idempotency-Key`.
//!
//! Invariants: an idempotency key is reserved once, before the request does anything. Its response is stored sealed and
//! deleted with its row after a day. A row without a response is a request that is in progress or died with its
//! process. Its effect is unknown, so it is not run again.

use redialer_core::{Id, Timestamp, id, rng::Rng};
use sha2::{Digest as _, Sha256};

use crate::{Store, StoreError, TenantKey, TenantStore, bucket_of, db::args};

/// A reserved idempotency key.
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    name: [u8; 32],
    id: uuid::Uuid,
}

/// The stored state of an idempotency key.
pub enum IdempotencyRecord {
    /// Unused: run the request and store its response here.
    Reserved(Reservation),
    /// It belongs to a different request.
    DifferentRequest,
    /// The request has no response yet.
    InProgress,
    /// The request has a response: its status and body.
    Completed(u16, Vec<u8>),
}

pub(crate) const COLUMN: &str = "replays.answer";

impl TenantStore {
    /// Reserves an idempotency key for a request of an API key, or returns the state of the earlier request.
    pub async fn reserve_key(
        &self,
        of: Id<id::Key>,
        name: &str,
        request: &[u8; 32],
        now: Timestamp,
        rng: &Rng,
    ) -> Result<IdempotencyRecord, StoreError> {
        const RESERVE: &str =
            "insert into idempotency_keys (bucket, tenant_id, key_hash, id, request, created_at)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing";
        const KNOWN: &str = "select id, request, status, response from idempotency_keys where bucket = $1 and tenant_id = $2 and key_hash = $3";
        let bucket = bucket_of(self.tenant);
        let mut hash = Sha256::new();
        hash.update(of.uuid().as_bytes());
        hash.update(name.as_bytes());
        let slot =
            Reservation { name: hash.finalize().into(), id: uuid::Uuid::from_bytes(rng.bytes::<16>()) };
        let mut tx = self.db().begin().await?;
        let values = args![bucket, self.tenant, slot.name, Id::<id::Key>::from_uuid(slot.id), *request, now];
        if tx.execute(RESERVE, values).await? == 1 {
            tx.commit().await?;
            return Ok(IdempotencyRecord::Reserved(slot));
        }
        let row = tx.fetch_one(KNOWN, args![bucket, self.tenant, slot.name]).await?;
        let row = row.ok_or(StoreError::Corrupt("kept answer"))?;
        // Nothing was written. The key service may be slow, and SQLite has one writer, so the transaction ends first.
        tx.commit().await?;
        if row.get::<Vec<u8>>("request")? != request {
            return Ok(IdempotencyRecord::DifferentRequest);
        }
        let (Some(status), Some(answer)) =
            (row.get::<Option<i64>>("status")?, row.get::<Option<Vec<u8>>>("response")?)
        else {
            return Ok(IdempotencyRecord::InProgress);
        };
        let key = self.tenant_key().await?;
        let status = u16::try_from(status).map_err(|_| StoreError::Corrupt("kept answer"))?;
        Ok(IdempotencyRecord::Completed(status, key.open(COLUMN, row.get("id")?, &answer)?))
    }

    /// Stores the response to a request.
    pub async fn store_response(
        &self,
        slot: &Reservation,
        status: u16,
        answer: &[u8],
        key: &TenantKey,
        rng: &Rng,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update idempotency_keys set status = $4, response = $5
             where bucket = $1 and tenant_id = $2 and key_hash = $3 and status is null";
        let sealed = key.seal(COLUMN, slot.id, answer, rng);
        let args = args![bucket_of(self.tenant), self.tenant, slot.name, i64::from(status), sealed];
        self.db().write(SQL, args).await.map(|_| ())
    }

    /// Releases an idempotency key: the request had no effect.
    pub async fn release_key(&self, slot: &Reservation) -> Result<(), StoreError> {
        const SQL: &str = "delete from idempotency_keys where bucket = $1 and tenant_id = $2 and key_hash = $3 and status is null";
        self.db().write(SQL, args![bucket_of(self.tenant), self.tenant, slot.name]).await.map(|_| ())
    }
}

impl Store {
    /// Deletes responses from before that time, a few hundred at a time; returns how many.
    pub async fn delete_old_responses(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "delete from idempotency_keys where key_hash in (select key_hash from idempotency_keys where created_at < $1 limit 500) and created_at < $1";
        self.db.write(SQL, args![before]).await
    }
}
