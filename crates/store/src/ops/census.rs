//! Counts of waiting work, for metrics.

use redialer_core::Timestamp;

use crate::{Store, StoreError, db::args};

/// Counts of waiting work in a range of buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Callbacks that are due and not claimed yet.
    pub due: i64,
    /// Received events that are not decided yet.
    pub events: i64,
    /// Milliseconds since the oldest of those events was due.
    pub oldest_event_ms: i64,
    /// Held callbacks, by the condition that they wait for.
    pub held: Vec<(String, i64)>,
    /// Paused workspaces, by reason.
    pub paused: Vec<(String, i64)>,
}

impl Store {
    /// Counts the waiting work in a range of buckets.
    pub async fn census(&self, range: (i64, i64), now: Timestamp) -> Result<Census, StoreError> {
        const DUE: &str = "select cast(coalesce(sum(of_one.n), 0) as bigint) as n from (
                 select (select count(*) from (
                     select 1 from callbacks c where c.workspace_id = w.id and c.is_test = t.is_test and c.state = 'scheduled'
                       and c.due_at <= $3 order by c.due_at, c.id limit 100000) as found) as n
                 from workspaces w cross join (select false as is_test union all select true) as t
                 where w.bucket between $1 and $2) as of_one";
        const EVENTS: &str = "select count(*) as n, coalesce(min(try_at), $3) as oldest from inbound_events
             where +bucket between $1 and $2 and state = 'pending' and try_at <= $3";
        const HELD: &str = "select held_for as word, count(*) as n from callbacks
             where +bucket between $1 and $2 and state = 'held' and held_for is not null group by held_for";
        const PAUSED: &str = "select paused as word, count(*) as n from workspaces
             where bucket between $1 and $2 and paused is not null and deleted_at is null group by paused";
        let one = async |sql| {
            let row = self.db.read_one(sql, args![range.0, range.1, now]).await?;
            row.ok_or(StoreError::Corrupt("count"))
        };
        let words = async |sql| -> Result<Vec<(String, i64)>, StoreError> {
            let rows = self.db.read(sql, args![range.0, range.1]).await?;
            rows.iter().map(|row| Ok((row.get("word")?, row.get("n")?))).collect()
        };
        let events = one(EVENTS).await?;
        let oldest: i64 = events.get("oldest")?;
        Ok(Census {
            due: one(DUE).await?.get("n")?,
            events: events.get("n")?,
            oldest_event_ms: (now.as_millisecond() - oldest).max(0),
            held: words(HELD).await?,
            paused: words(PAUSED).await?,
        })
    }
}
