//! Restore generations: a database that was restored from a backup begins a new one (I31).
//!
//! Invariant: a workspace dials only in the database's restore generation. After a restore it enters it after two complete
//! backfills from the provider's records, so nothing that was dialed since the backup is dialed again.

use redialer_core::{
    Id, Timestamp, id,
    rng::Rng,
    time::{minutes, plus},
    timing::LOOKUP_AFTER_MINUTES,
};

use crate::{
    EventRow, Store, StoreError, TenantKey, at,
    callbacks::transitions,
    db::args,
    dispatch::{
        chains::{open_all, opened},
        prepared::BODY,
    },
};

/// A generation of the database, which begins with a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreGeneration {
    /// Its number.
    pub restore_generation: i64,
    /// When the backup was made. Only the provider has records of what happened since.
    pub backup_at: Timestamp,
    /// When it was restored.
    pub began_at: Timestamp,
}

/// A call that redialer placed and that is missing from this database.
pub struct LostDispatch<'a> {
    /// The dispatch that its metadata names.
    pub dispatch: Id<id::Dispatch>,
    /// The callback that its metadata names.
    pub callback: Option<Id<id::Callback>>,
    /// The keyed index of the person's number.
    pub phone_hash: Option<[u8; 16]>,
    /// The provider's id of the call.
    pub call_id: &'a str,
    /// When the call began.
    pub started_at: Timestamp,
}

pub(crate) const NEW_GENERATION: &str = "insert into restore_generations (generation, backup_at, began_at)
     select coalesce(max(generation), 0) + 1, $1, $2 from restore_generations";
/// Every workspace is due for a backfill; earlier claims and leases are void.
pub(crate) const RESET_AFTER_RESTORE: [&str; 3] = [
    "update workspaces set backfill_at = 0, backfilled_once_at = null",
    "update leases set owner = null, until_ms = 0",
    "delete from replicas",
];

impl Store {
    /// The database's generation; `None` if it was never restored.
    pub async fn restore_generation(&self) -> Result<Option<RestoreGeneration>, StoreError> {
        const SQL: &str = "select generation, backup_at, began_at from restore_generations order by generation desc limit 1";
        let Some(row) = self.db.read_one(SQL, args![]).await? else { return Ok(None) };
        Ok(Some(RestoreGeneration {
            restore_generation: row.get("generation")?,
            backup_at: at(row.get("backup_at")?),
            began_at: at(row.get("began_at")?),
        }))
    }

    /// Begins a new generation: no workspace dials until the provider's records since `backup_at` have been read. Earlier
    /// claims and leases are void.
    pub async fn begin_restore_generation(
        &self,
        backup_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute(NEW_GENERATION, args![backup_at, now]).await?;
        for sql in RESET_AFTER_RESTORE {
            tx.execute(sql, args![]).await?;
        }
        tx.commit().await
    }

    /// Lets a workspace dial: it has been compared with the provider's records.
    pub async fn enter_restore_generation(
        &self,
        workspace: Id<id::Workspace>,
        restore_generation: i64,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update workspaces set restore_generation = $2, backfilled_once_at = null where id = $1 and restore_generation < $2";
        let mut tx = self.db.begin().await?;
        tx.execute(SQL, args![workspace, restore_generation]).await?;
        tx.note_due_now();
        tx.commit().await
    }

    /// Records that the first of the two backfills that let a restored workspace dial is complete.
    pub async fn record_first_backfill(
        &self,
        workspace: Id<id::Workspace>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str =
            "update workspaces set backfilled_once_at = coalesce(backfilled_once_at, $2) where id = $1";
        self.db.write(SQL, args![workspace, now]).await.map(|_| ())
    }

    /// Attaches a lost dial to its callback: the one that its metadata names, else the one that waits for that person
    /// and was due by then. Does nothing if there is none, or if the dial is already attached.
    pub async fn reattach(
        &self,
        row: &EventRow,
        adoption: &LostDispatch<'_>,
        key: &TenantKey,
        rng: &Rng,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const FIND: &str = "select id, channel, chain_id, attempt from callbacks
             where bucket = $1 and workspace_id = $2 and not is_test and (id = $3
                   or (phone_hash = $4 and state in ('scheduled', 'held') and scheduled_for <= $5))
               and state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
             order by case when id = $3 then 0 else 1 end limit 1";
        // A later dispatch of the same callback proves that the earlier one placed no call.
        const EARLIER: &str = "update dispatches set next_lookup_at = null, updated_at = $3,
                 state = case when state = 'placed' then 'ended' else 'refused' end
             where bucket = $1 and callback_id = $2 and state in ('intent', 'unknown', 'placed')";
        const PUT: &str = "insert into dispatches
                 (bucket, id, tenant_id, workspace_id, callback_id, channel, state, attempt, call_id, sealed, sent_at, next_lookup_at, lookups, updated_at)
             values ($1, $2, $3, $4, $5, $6, 'placed', $7, $8, $9, $10, $11, 0, $10) on conflict do nothing";
        const SPEND: &str =
            "update chains set attempts_used = attempts_used + 1 where bucket = $1 and id = $2";
        let due_by = plus(adoption.started_at, minutes(1));
        let ix = adoption.phone_hash.map(|ix| ix.to_vec());
        let mut tx = self.db.begin().await?;
        let find = args![row.bucket, row.workspace, adoption.callback, ix, due_by];
        let Some(callback_row) = tx.fetch_one(FIND, find).await? else { return Ok(()) };
        let callback: Id<id::Callback> = Id::from_uuid(callback_row.get("id")?);
        let chain: Id<id::Chain> = Id::from_uuid(callback_row.get("chain_id")?);
        tx.execute(EARLIER, args![row.bucket, callback, now]).await?;
        let put = args![
            row.bucket,
            adoption.dispatch,
            row.tenant,
            row.workspace,
            callback,
            callback_row.get::<String>("channel")?,
            callback_row.get::<i64>("attempt")?,
            adoption.call_id,
            key.seal(BODY, adoption.dispatch.uuid(), b"", rng),
            now,
            plus(now, minutes(LOOKUP_AFTER_MINUTES))
        ];
        if tx.execute(PUT, put).await? == 0 {
            return Ok(());
        }
        transitions::reattach(&mut tx, (row.bucket, callback), (adoption.dispatch, adoption.call_id), now)
            .await?;
        open_all(&mut tx, vec![opened(row.bucket, chain, row.tenant, row.workspace, now)]).await?;
        tx.execute(SPEND, args![row.bucket, chain]).await?;
        tx.commit().await
    }
}
