//! Counts of waiting work, for metrics.

use redialer_core::Timestamp;

use crate::{Store, StoreError, engine::args};

/// Counts of waiting work in a range of buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Callbacks that are due and not claimed yet.
    pub due: i64,
    /// Received events that are not decided yet.
    pub events: i64,
    /// Milliseconds since the oldest of those was due.
    pub oldest_event_ms: i64,
    /// Held callbacks, by what they wait for.
    pub held: Vec<(String, i64)>,
    /// Paused workspaces, by why.
    pub paused: Vec<(String, i64)>,
}

impl Store {
    /// Counts the waiting work in a range of buckets.
    pub async fn census(&self, range: (i64, i64), now: Timestamp) -> Result<Census, StoreError> {
        const DUE: &str = "select count(*) as n from callbacks
             where +bucket between $1 and $2 and state = 'scheduled' and due_at <= $3";
        const EVENTS: &str = "select count(*) as n, coalesce(min(try_at), $3) as oldest from deliveries
             where +bucket between $1 and $2 and state = 'pending' and try_at <= $3";
        // By workspace and by the states of what is live: that is an index, and it holds nothing that has ended.
        const HELD: &str = "select c.held_for as word, count(*) as n from workspaces w cross join callbacks c
             where w.bucket between $1 and $2 and c.bucket = w.bucket and c.workspace_id = w.id
               and c.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
               and c.held_for is not null group by c.held_for";
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
