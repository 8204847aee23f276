//! The inbox: stores each verified webhook exactly once, on disk, before it is acknowledged.
//!
//! Invariants: [`Inbox::record`] returns only after the commit (I9), which many requests share; a duplicate changes
//! nothing (I10). A batch that fails is written in halves, down to single events, so that a failing event fails alone.
//! Nothing is decided here.

use std::collections::BTreeSet;

use redialer_core::{Id, Timestamp, id, inbound_event::DedupKey};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    Store, StoreError, at,
    db::{
        Row, args,
        bulk_sql::RowValues,
        failpoints::FailPoint,
        group_commit::{GroupCommit, QueueFull},
        row,
        tx_kind::TxKind,
    },
};

/// An inbound event to record; the body is already sealed.
pub struct NewInboundEvent {
    /// The event.
    pub event: EventRow,
    /// Whether anything may follow from it. If not, it is recorded as done.
    pub is_decidable: bool,
    /// The provider's name for the event.
    pub name: String,
    /// The provider's id of the call.
    pub call_id: Option<String>,
    /// The key that it shares with its duplicates.
    pub dedup_key: DedupKey,
    /// The sealed body.
    pub body: Vec<u8>,
    /// The signature header it came with.
    pub signature: String,
}

/// A recorded event.
#[derive(Debug, Clone, Copy)]
pub struct EventRow {
    /// The tenant's bucket.
    pub bucket: i64,
    /// Its id.
    pub id: Id<id::InboundEvent>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// The workspace whose slug and key it came with.
    pub workspace: Id<id::Workspace>,
    /// The agent whose slug it came with.
    pub agent: Id<id::Agent>,
    /// How often its processing has failed.
    pub tries: i64,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Whether it is about a test callback.
    pub test: bool,
}

/// A recorded event that waits for its decision.
pub struct PendingRow {
    /// The event.
    pub event: EventRow,
    /// The sealed body.
    pub body: Vec<u8>,
}

impl PendingRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let event = EventRow {
            bucket: row.get("bucket")?,
            id: Id::from_uuid(row.get("id")?),
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            tries: row.get("tries")?,
            received_at: at(row.get("received_at")?),
            test: row.get("is_test")?,
        };
        Ok(Self { event, body: row.get("body")? })
    }
}

/// The result of recording an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was not recorded before.
    New,
    /// It was already recorded.
    Duplicate,
}

/// Items that may wait for the writer before webhooks are rejected with 503.
const MAX_WAITING: usize = 2048;
/// The maximum number of tries for a batch after a conflict or a failure of the database.
const MAX_TRIES: usize = 3;

/// Handle to the inbox.
#[derive(Clone)]
pub struct Inbox {
    group: GroupCommit<NewInboundEvent, Result<Recorded, StoreError>>,
    store: Store,
}

impl Inbox {
    /// Starts the writer. It ends when every [`Inbox`] is dropped and the queue is written.
    pub fn start(store: Store) -> (Self, JoinHandle<()>) {
        let writes = store.clone();
        let (group, writer) = GroupCommit::start(MAX_WAITING, store.writer_health(), move |batch| {
            let store = writes.clone();
            async move { Ok(record(&store, batch).await) }
        });
        (Self { group, store }, writer)
    }

    /// Records an event; returns once it is on disk.
    pub async fn record(&self, delivery: NewInboundEvent) -> Result<Recorded, QueueFull> {
        self.store.pass(FailPoint::Begin).await.map_err(|_| QueueFull)?;
        self.group.write(delivery).await?.map_err(|_| QueueFull)
    }
}

/// Records a batch; the results are in its order. An event that fails alone does not fail the others.
async fn record(store: &Store, batch: Vec<NewInboundEvent>) -> Vec<Result<Recorded, StoreError>> {
    let mut answers = Vec::with_capacity(batch.len());
    // The parts that are still to be written; the next one is last.
    let mut parts = vec![batch.as_slice()];
    while let Some(part) = parts.pop() {
        match (write_again(store, part).await, part) {
            (Ok(recorded), _) => answers.extend(recorded.into_iter().map(Ok)),
            (Err(error), _) if error.is_outage() => {
                tracing::error!(%error, n = batch.len() - answers.len(), "a batch of webhooks could not be written");
                break;
            }
            (Err(error), [one]) => {
                tracing::error!(%error, event.id = %one.event.id, "a webhook could not be recorded");
                answers.push(Err(error));
            }
            (Err(error), more) => {
                tracing::info!(%error, n = more.len(), "a batch of webhooks could not be written; it is retried in halves");
                let (first, second) = more.split_at(more.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    answers.resize_with(batch.len(), || Err(StoreError::Full));
    answers
}

/// Writes a part, and retries after a conflict or a failure of the database.
async fn write_again(store: &Store, part: &[NewInboundEvent]) -> Result<Vec<Recorded>, StoreError> {
    for _ in 1..MAX_TRIES {
        match write(store, part).await {
            Err(error) if error.is_contention() || error.is_outage() => {
                tracing::info!(%error, n = part.len(), "a batch of webhooks could not be written; it is retried");
            }
            written => return written,
        }
    }
    write(store, part).await
}

async fn write(store: &Store, batch: &[NewInboundEvent]) -> Result<Vec<Recorded>, StoreError> {
    const DELIVERIES: &str = "insert into inbound_events
             (bucket, id, tenant_id, workspace_id, agent_id, event, call_id, state, tries, try_at, notes, received_at, is_test, dedup_key)
         values {rows} on conflict (bucket, workspace_id, coalesce(call_id, ''), dedup_key) do nothing returning id";
    const BODIES: &str = "insert into event_payloads (bucket, event_id, body, signature) values {rows}";
    let mut tx = store.db.begin_now(TxKind::Plain).await?;
    // In one order, so that two transactions with duplicates of the same events cannot deadlock.
    let mut in_order: Vec<&NewInboundEvent> = batch.iter().collect();
    in_order.sort_by_key(|delivery| (delivery.event.workspace, &delivery.call_id, dedup_key(delivery)));
    let new = tx.fetch_rows(DELIVERIES, vec![], in_order.into_iter().map(values).collect()).await?;
    let new: BTreeSet<Uuid> = new.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
    let is_new = |delivery: &&NewInboundEvent| new.contains(&delivery.event.id.uuid());
    let bodies = batch.iter().filter(is_new).map(|delivery| {
        row![delivery.event.bucket, delivery.event.id, delivery.body.as_slice(), &delivery.signature]
    });
    tx.execute_rows(BODIES, vec![], bodies.collect()).await?;
    tx.commit().await?;
    Ok(batch
        .iter()
        .map(|delivery| if is_new(&delivery) { Recorded::New } else { Recorded::Duplicate })
        .collect())
}

fn values(delivery: &NewInboundEvent) -> RowValues {
    let event = &delivery.event;
    row![
        event.bucket,
        event.id,
        event.tenant,
        event.workspace,
        event.agent,
        &delivery.name,
        delivery.call_id.clone(),
        if delivery.is_decidable { "pending" } else { "done" },
        0_i64,
        event.received_at,
        "",
        event.received_at,
        event.test,
        dedup_key(delivery)
    ]
}

/// The key that duplicates of an event share within their call; `None` for a call phase without a call, which does not
/// occur.
fn dedup_key(delivery: &NewInboundEvent) -> Option<String> {
    match (&delivery.dedup_key, &delivery.call_id) {
        (DedupKey::Phase(bit), Some(_)) => Some(bit.to_string()),
        (DedupKey::Phase(_), None) => None,
        (DedupKey::Content(key), _) => Some(key.clone()),
    }
}

impl Store {
    /// Workspaces with pending events, the longest-waiting first.
    pub async fn workspaces_with_pending(
        &self,
        range: (i64, i64),
        now: Timestamp,
    ) -> Result<Vec<Id<id::Workspace>>, StoreError> {
        // Skips from workspace to workspace, without reading all pending events of each.
        const NEXT: &str = "select workspace_id, try_at, bucket from inbound_events
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

    /// Events of a workspace that are due for a decision, the longest-waiting first.
    pub async fn pending(
        &self,
        workspace: Id<id::Workspace>,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<PendingRow>, StoreError> {
        const SQL: &str =
            "select d.bucket, d.id, d.tenant_id, d.workspace_id, d.agent_id, d.tries, d.received_at, d.is_test, b.body
             from inbound_events d join event_payloads b on b.bucket = d.bucket and b.event_id = d.id
             where d.workspace_id = $1 and d.state = 'pending' and d.try_at <= $2
             order by d.try_at limit $3";
        let rows = self.db.read(SQL, args![workspace, now, limit]).await?;
        let mut rows = rows.iter().map(PendingRow::from_row).collect::<Result<Vec<_>, StoreError>>()?;
        rows.sort_by_key(|row| (row.event.received_at, row.event.id));
        Ok(rows)
    }

    /// Marks an event as done, without any effect.
    pub async fn finish_event(&self, event: &EventRow, notes: &str) -> Result<(), StoreError> {
        const SQL: &str = "update inbound_events set state = 'done', notes = $3 where bucket = $1 and id = $2 and state = 'pending'";
        self.db.write(SQL, args![event.bucket, event.id, notes]).await.map(|_| ())
    }

    /// Counts a try before it is made, for an event that may have crashed a process. After `max` tries the event is set
    /// aside (I33) and `false` is returned.
    pub async fn begin_event_try(&self, event: &EventRow, max: i64, notes: &str) -> Result<bool, StoreError> {
        const TRY: &str =
            "update inbound_events set tries = tries + 1 where bucket = $1 and id = $2 and state = 'pending'";
        if event.tries >= max {
            self.postpone_event(event, None, notes).await?;
            return Ok(false);
        }
        Ok(self.db.write(TRY, args![event.bucket, event.id]).await? == 1)
    }

    /// Postpones an event whose processing failed or, without `try_at`, sets it aside (I33).
    pub async fn postpone_event(
        &self,
        event: &EventRow,
        try_at: Option<Timestamp>,
        notes: &str,
    ) -> Result<(), StoreError> {
        const LATER: &str = "update inbound_events set tries = tries + 1, try_at = $3
             where bucket = $1 and id = $2 and state = 'pending'";
        const QUARANTINE: &str =
            "update inbound_events set tries = tries + 1, state = 'quarantined', notes = $3
             where bucket = $1 and id = $2 and state = 'pending'";
        match try_at {
            Some(try_at) => self.db.write(LATER, args![event.bucket, event.id, try_at]).await,
            None => self.db.write(QUARANTINE, args![event.bucket, event.id, notes]).await,
        }
        .map(|_| ())
    }
}
