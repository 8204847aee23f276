//! Answers kept for whoever sends a POST again under the same `Idempotency-Key`.
//!
//! Invariants: a name is taken once, before anything is done; an answer is kept sealed and goes with its row after a day.
//! A row without an answer is a request that is under way or died with us: nobody can tell, so it is not done again.

use redialer_core::{Id, Timestamp, id, rng::Rng};
use sha2::{Digest as _, Sha256};

use crate::{Store, StoreError, TenantKey, TenantStore, bucket_of, db::args};

/// Where an answer is kept.
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    name: [u8; 32],
    id: uuid::Uuid,
}

/// What is known of a name.
pub enum IdempotencyRecord {
    /// Nothing: the request is to be done, and its answer put here.
    Fresh(Reservation),
    /// It was another request's.
    Other,
    /// That request has no answer yet.
    UnderWay,
    /// That request was answered: status, and what was said.
    Done(u16, Vec<u8>),
}

pub(crate) const COLUMN: &str = "replays.answer";

impl TenantStore {
    /// Takes a name for a request of a key, or says what came of it before.
    pub async fn replay(
        &self,
        of: Id<id::Key>,
        name: &str,
        request: &[u8; 32],
        now: Timestamp,
        rng: &Rng,
    ) -> Result<IdempotencyRecord, StoreError> {
        const TAKE: &str = "insert into replays (bucket, tenant_id, name, id, request, created_at)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing";
        const KNOWN: &str = "select id, request, status, answer from replays where bucket = $1 and tenant_id = $2 and name = $3";
        let bucket = bucket_of(self.tenant);
        let mut hash = Sha256::new();
        hash.update(of.uuid().as_bytes());
        hash.update(name.as_bytes());
        let slot =
            Reservation { name: hash.finalize().into(), id: uuid::Uuid::from_bytes(rng.bytes::<16>()) };
        let mut tx = self.db().begin().await?;
        let values = args![bucket, self.tenant, slot.name, Id::<id::Key>::from_uuid(slot.id), *request, now];
        if tx.execute(TAKE, values).await? == 1 {
            tx.commit().await?;
            return Ok(IdempotencyRecord::Fresh(slot));
        }
        let row = tx.fetch_one(KNOWN, args![bucket, self.tenant, slot.name]).await?;
        let row = row.ok_or(StoreError::Corrupt("kept answer"))?;
        // Nothing was written. The key service may take long to answer, and SQLite has one writer: it is released first.
        tx.commit().await?;
        if row.get::<Vec<u8>>("request")? != request {
            return Ok(IdempotencyRecord::Other);
        }
        let (Some(status), Some(answer)) =
            (row.get::<Option<i64>>("status")?, row.get::<Option<Vec<u8>>>("answer")?)
        else {
            return Ok(IdempotencyRecord::UnderWay);
        };
        let key = self.tenant_key().await?;
        let status = u16::try_from(status).map_err(|_| StoreError::Corrupt("kept answer"))?;
        Ok(IdempotencyRecord::Done(status, key.open(COLUMN, row.get("id")?, &answer)?))
    }

    /// Keeps the answer to a request.
    pub async fn keep_answer(
        &self,
        slot: &Reservation,
        status: u16,
        answer: &[u8],
        key: &TenantKey,
        rng: &Rng,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update replays set status = $4, answer = $5
             where bucket = $1 and tenant_id = $2 and name = $3 and status is null";
        let sealed = key.seal(COLUMN, slot.id, answer, rng);
        let args = args![bucket_of(self.tenant), self.tenant, slot.name, i64::from(status), sealed];
        self.db().write(SQL, args).await.map(|_| ())
    }

    /// Gives a name back: the request was not done.
    pub async fn give_back(&self, slot: &Reservation) -> Result<(), StoreError> {
        const SQL: &str =
            "delete from replays where bucket = $1 and tenant_id = $2 and name = $3 and status is null";
        self.db().write(SQL, args![bucket_of(self.tenant), self.tenant, slot.name]).await.map(|_| ())
    }
}

impl Store {
    /// Forgets answers from before that moment, a few hundred at a time; how many.
    pub async fn forget_answers(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "delete from replays where name in (select name from replays where created_at < $1 limit 500) and created_at < $1";
        self.db.write(SQL, args![before]).await
    }
}
