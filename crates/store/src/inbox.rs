//! Where verified webhooks wait: durable before anybody is answered, once each.
//!
//! Invariants: [`Inbox::record`] returns only after the commit (I9), which many requests share; a second copy
//! changes nothing (I10). How a batch is written is `intake`'s business.

use redialer_core::{Id, Timestamp, delivery::Sameness, id};
use tokio::task::JoinHandle;

use crate::{
    Arrival, Recorded, Store, StoreError, at,
    engine::{Row, args},
    fail::Point,
    group::{Full, Group},
    intake,
};

/// A delivery to record; the body is sealed already.
pub struct NewDelivery {
    /// The tenant's bucket.
    pub bucket: i64,
    /// Its id.
    pub id: Id<id::Delivery>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// The workspace whose slug and key it came with.
    pub workspace: Id<id::Workspace>,
    /// The agent whose slug it came with.
    pub agent: Id<id::Agent>,
    /// The provider's name for the event.
    pub event: String,
    /// The provider's id of the call.
    pub call_id: Option<String>,
    /// What it has in common with its copies.
    pub sameness: Sameness,
    /// The sealed body.
    pub body: Vec<u8>,
    /// The signature header it came with.
    pub signature: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Whether it is about a test callback.
    pub test: bool,
}

/// The most that may wait for the writer before webhooks are turned away with 503.
const WAITING: usize = 2048;

/// The way into the inbox.
#[derive(Clone)]
pub struct Inbox {
    group: Group<Arrival, Result<Recorded, StoreError>>,
    store: Store,
}

impl Inbox {
    /// Starts the writer. It ends when every [`Inbox`] is gone and all is written.
    pub fn start(store: Store) -> (Self, JoinHandle<()>) {
        let writes = store.clone();
        let (group, writer) = Group::start(WAITING, store.vitals(), move |batch| {
            let store = writes.clone();
            async move { Ok(intake::record(&store, batch).await) }
        });
        (Self { group, store }, writer)
    }

    /// Records a delivery; returns once it is on disk, with all that follows from it where that could be decided.
    pub async fn record(&self, arrival: Arrival) -> Result<Recorded, Full> {
        self.store.pass(Point::Begin).await.map_err(|_| Full)?;
        self.group.write(arrival).await?.map_err(|_| Full)
    }
}

/// A delivery that waits to be decided.
pub struct PendingRow {
    /// The tenant's bucket.
    pub bucket: i64,
    /// The delivery.
    pub id: Id<id::Delivery>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// The agent whose slug it came with.
    pub agent: Id<id::Agent>,
    /// How often it failed in our hands.
    pub tries: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// The sealed body.
    pub body: Vec<u8>,
    /// Whether it is about a test callback.
    pub test: bool,
}

impl PendingRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            bucket: row.get("bucket")?,
            id: Id::from_uuid(row.get("id")?),
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            tries: row.get("tries")?,
            received_at: at(row.get("received_at")?),
            body: row.get("body")?,
            test: row.get("test")?,
        })
    }
}

impl Store {
    /// Workspaces of which an event waits to be decided, the longest-waiting first.
    pub async fn workspaces_with_pending(
        &self,
        range: (i64, i64),
        now: Timestamp,
    ) -> Result<Vec<Id<id::Workspace>>, StoreError> {
        // From workspace to workspace, not over all that waits of one.
        const NEXT: &str = "select workspace_id, try_at, bucket from deliveries
             where state = 'pending' and workspace_id > $1 order by workspace_id, try_at limit 1";
        let (mut waiting, mut last) = (Vec::new(), Id::<id::Workspace>::from_uuid(uuid::Uuid::nil()));
        while let Some(row) = self.db.read_one(NEXT, args![last]).await? {
            last = Id::from_uuid(row.get("workspace_id")?);
            let (try_at, bucket): (i64, i64) = (row.get("try_at")?, row.get("bucket")?);
            if try_at <= now.as_millisecond() && (range.0..=range.1).contains(&bucket) {
                waiting.push((try_at, last));
            }
        }
        waiting.sort_unstable();
        Ok(waiting.into_iter().map(|(_, workspace)| workspace).collect())
    }

    /// Events of a workspace that are due to be decided, the longest-waiting first.
    pub async fn pending(
        &self,
        workspace: Id<id::Workspace>,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<PendingRow>, StoreError> {
        const SQL: &str =
            "select d.bucket, d.id, d.tenant_id, d.workspace_id, d.agent_id, d.tries, d.received_at, d.test, b.body
             from deliveries d join bodies b on b.bucket = d.bucket and b.delivery_id = d.id
             where d.workspace_id = $1 and d.state = 'pending' and d.try_at <= $2
             order by d.try_at limit $3";
        let rows = self.db.read(SQL, args![workspace, now, limit]).await?;
        let mut rows = rows.iter().map(PendingRow::from_row).collect::<Result<Vec<_>, StoreError>>()?;
        rows.sort_by_key(|row| (row.received_at, row.id));
        Ok(rows)
    }

    /// Marks a delivery as done without anything following from it.
    pub async fn finish_delivery(&self, row: &PendingRow, notes: &str) -> Result<(), StoreError> {
        const SQL: &str = "update deliveries set state = 'done', notes = $3 where bucket = $1 and id = $2 and state = 'pending'";
        self.db.write(SQL, args![row.bucket, row.id, notes]).await.map(|_| ())
    }

    /// Counts a try before it is made, for a delivery that a process may have died of: at most `max` times, then it
    /// is set aside (I33). `false` when it was.
    pub async fn try_delivery(&self, row: &PendingRow, max: i64, notes: &str) -> Result<bool, StoreError> {
        const TRY: &str =
            "update deliveries set tries = tries + 1 where bucket = $1 and id = $2 and state = 'pending'";
        if row.tries >= max {
            self.retry_delivery(row, None, notes).await?;
            return Ok(false);
        }
        Ok(self.db.write(TRY, args![row.bucket, row.id]).await? == 1)
    }

    /// Puts a delivery that failed in our hands off, or aside (I33).
    pub async fn retry_delivery(
        &self,
        row: &PendingRow,
        try_at: Option<Timestamp>,
        notes: &str,
    ) -> Result<(), StoreError> {
        const LATER: &str = "update deliveries set tries = tries + 1, try_at = $3
             where bucket = $1 and id = $2 and state = 'pending'";
        const ASIDE: &str = "update deliveries set tries = tries + 1, state = 'aside', notes = $3
             where bucket = $1 and id = $2 and state = 'pending'";
        match try_at {
            Some(try_at) => self.db.write(LATER, args![row.bucket, row.id, try_at]).await,
            None => self.db.write(ASIDE, args![row.bucket, row.id, notes]).await,
        }
        .map(|_| ())
    }
}
