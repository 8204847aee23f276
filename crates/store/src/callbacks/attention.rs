//! Callbacks and events that are stuck: counted for alarms, listed for people (I3, I33).

use redialer_core::{
    Id, Timestamp, id,
    time::{minutes, plus},
    timing::{STUCK_AFTER_MINUTES, UNCONFIRMED_AFTER_MINUTES},
};

use crate::{CallbackRow, Store, StoreError, TenantStore, bucket_of, callbacks::rows::columns, db::args};

impl Store {
    /// Counts the stuck items of each kind, up to 1,000 (overdue callbacks: per workspace). The age limits are in real
    /// time: at `speed` virtual seconds per real second they are `speed` times longer in virtual time.
    pub async fn stuck(
        &self,
        range: (i64, i64),
        now: Timestamp,
        speed: u32,
    ) -> Result<[(&'static str, i64); 5], StoreError> {
        // Bounded, so that a backlog is not counted in full every two seconds.
        const OVERDUE: &str = "select cast(coalesce(sum(of_one.n), 0) as bigint) as n from (
                 select (select count(*) from (
                     select 1 from callbacks c where c.workspace_id = w.id and c.is_test = t.is_test and c.state = 'scheduled'
                       and c.due_at < $3 + 300000 and c.scheduled_for < $3 order by c.due_at, c.id limit 1000) as found) as n
                 from workspaces w cross join (select false as is_test union all select true) as t
                 where w.bucket between $1 and $2 and w.paused is null and w.deleted_at is null) as of_one";
        const FAILING: &str = "select count(*) as n from (select 1 from callbacks
             where +bucket between $1 and $2 and state = 'held' and held_for = 'failing' and updated_at < $3 limit 1000) as found";
        const UNCONFIRMED: &str = "select count(*) as n from (select 1 from dispatches
             where +bucket between $1 and $2 and state = 'unknown' and next_lookup_at is not null and sent_at < $3 limit 1000) as found";
        const UNDECIDED: &str = "select count(*) as n from (select 1 from inbound_events
             where +bucket between $1 and $2 and state = 'pending' and try_at < $3 limit 1000) as found";
        const QUARANTINE: &str = "select count(*) as n from (select 1 from inbound_events
             where +bucket between $1 and $2 and state = 'quarantined' and received_at < $3 limit 1000) as found";
        let long = plus(now, minutes(-STUCK_AFTER_MINUTES * i64::from(speed)));
        let unconfirmed_since = plus(now, minutes(-UNCONFIRMED_AFTER_MINUTES * i64::from(speed)));
        let count = async |sql, before: Timestamp| -> Result<i64, StoreError> {
            let row = self.db.read_one(sql, args![range.0, range.1, before]).await?;
            row.ok_or(StoreError::Corrupt("count"))?.get("n")
        };
        Ok([
            ("overdue callbacks", count(OVERDUE, long).await?),
            ("failing callbacks", count(FAILING, now).await?),
            ("unconfirmed callbacks", count(UNCONFIRMED, unconfirmed_since).await?),
            ("undecided events", count(UNDECIDED, long).await?),
            ("events set aside", count(QUARANTINE, now).await?),
        ])
    }
}

impl TenantStore {
    /// Callbacks that need a person, newest first: held, unconfirmed, and those that ended without a dial or with an
    /// unknown outcome.
    pub async fn attention(
        &self,
        workspace: Option<Id<id::Workspace>>,
        before: (Timestamp, Id<id::Callback>),
        limit: i64,
    ) -> Result<Vec<CallbackRow>, StoreError> {
        const SQL: &str = columns!(
            "where bucket = $1 and tenant_id = $2 and (created_at, id) < ($3, $4) and ($6 is null or workspace_id = $6)
               and is_test = $7 and state in ('held', 'unconfirmed', 'failed', 'expired')
               and (state <> 'failed' or outcome in ('unresolved', 'outcome_unknown', 'bad_number')
                   or outcome like 'refused%')
               and (state in ('held', 'unconfirmed') or superseded_by is null)
               and workspace_id not in (select id from workspaces where tenant_id = $2 and deleted_at is not null)
             order by created_at desc, id desc limit $5"
        );
        let workspace = self.narrowed(workspace)?;
        let args =
            args![bucket_of(self.tenant), self.tenant, before.0, before.1, limit, workspace, self.test];
        self.db().read(SQL, args).await?.iter().map(CallbackRow::from_row).collect()
    }
}
