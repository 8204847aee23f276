//! Group-commits claims, intents and dial results.
//!
//! Invariants: every method returns only after the commit (I4). If a batch fails, its entries are written one by one,
//! so that one failing entry does not fail the others. Writing an entry twice changes nothing: each is guarded by the
//! state it leaves.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{Id, Timestamp, decide::AfterDial, id, rng::Rng};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    Claim, DueRow, Intent, NewDispatch, Store, StoreError, TenantKey,
    db::{failpoints::FailPoint, group_commit::GroupCommit, tx_kind::TxKind},
    dispatch::{
        claims::{Wanted, claim_all},
        intents::{begin_all, finish_all},
        prepared::Prepared,
    },
};

const MAX_WAITING: usize = 4096;
/// The maximum number of tries for an entry that conflicts with another transaction.
const MAX_TRIES: usize = 3;

/// Handle to the writer.
#[derive(Clone)]
pub struct DispatchWriter {
    group: GroupCommit<Entry, Result<Written, StoreError>>,
    store: Store,
}

enum Entry {
    Claim(Vec<Wanted>),
    Begin(Vec<Prepared>),
    Finish(Intent, AfterDial, Timestamp),
}

enum Written {
    Claims(Vec<Claim>),
    Intents(Vec<Intent>),
    Result,
}

impl DispatchWriter {
    /// Starts the writer. It ends when every [`DispatchWriter`] is dropped and the queue is written.
    pub fn start(store: Store) -> (Self, JoinHandle<()>) {
        let writes = store.clone();
        let (group, writer) = GroupCommit::start(MAX_WAITING, store.writer_health(), move |entries| {
            let store = writes.clone();
            async move { Ok(store.write_all(entries).await) }
        });
        (Self { group, store }, writer)
    }

    async fn write(&self, entry: Entry) -> Result<Written, StoreError> {
        self.store.pass(FailPoint::Begin).await?;
        self.group.write_waiting(entry).await?
    }

    /// Claims due callbacks for the replica `owner`, the longest due first. Omits callbacks that another replica has
    /// claimed in the meantime.
    ///
    /// Lapsed claims are handled by [`Store::recover`].
    pub async fn claim(
        &self,
        due: &[DueRow],
        owner: &str,
        now: Timestamp,
        lease_until_ms: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        let want = |row: &DueRow| Wanted { row: *row, owner: owner.to_owned(), now, lease_until_ms };
        match self.write(Entry::Claim(due.iter().map(want).collect())).await? {
            Written::Claims(claims) => Ok(claims),
            _ => Err(StoreError::Full),
        }
    }

    /// Writes the intents of claims. A claim is omitted if it was lost (canceled, lease lapsed, agent disabled,
    /// workspace paused), if its chain has another dial without a response, or if its chain has spent an attempt since
    /// the decision, because its attempt number would be wrong. Nothing may be sent before this returns.
    pub async fn begin(
        &self,
        claims: Vec<(Claim, NewDispatch)>,
        key: &TenantKey,
        rng: &Rng,
        now: Timestamp,
    ) -> Result<Vec<Intent>, StoreError> {
        let prepare = |(claim, new)| Prepared::new(claim, new, key, rng, now);
        match self.write(Entry::Begin(claims.into_iter().map(prepare).collect())).await? {
            Written::Intents(intents) => Ok(intents),
            _ => Err(StoreError::Full),
        }
    }

    /// Records the result of one dispatch.
    pub async fn finish(&self, intent: Intent, after: AfterDial, now: Timestamp) -> Result<(), StoreError> {
        self.write(Entry::Finish(intent, after, now)).await.map(|_| ())
    }
}

impl Store {
    /// Writes one entry. After a conflict with another transaction, reads and writes again.
    async fn write_one(&self, entry: Entry) -> Result<Written, StoreError> {
        for _ in 1..MAX_TRIES {
            match self.write_together(&[&entry]).await {
                Err(error) if error.is_contention() => {}
                outcome => return outcome?.answer(entry),
            }
        }
        self.write_together(&[&entry]).await?.answer(entry)
    }

    async fn write_all(&self, entries: Vec<Entry>) -> Vec<Result<Written, StoreError>> {
        if let [_, _, ..] = entries.as_slice() {
            let together = self.write_together(&entries.iter().collect::<Vec<_>>()).await;
            match together {
                Ok(mut outcome) => return entries.into_iter().map(|entry| outcome.answer(entry)).collect(),
                Err(error) => {
                    tracing::warn!(%error, n = entries.len(), "a dispatch batch failed; its entries are retried one by one");
                }
            }
        }
        let mut written = Vec::with_capacity(entries.len());
        let mut is_away = false;
        for entry in entries {
            // Once the database as a whole is down, the remaining entries fail without waiting for it.
            let one = if is_away { Err(StoreError::Full) } else { self.write_one(entry).await };
            is_away = one.as_ref().is_err_and(|error| error.is_outage() && !error.is_contention());
            written.push(one);
        }
        written
    }

    /// Results come first, so that a spent attempt counts for the intents and claims after it.
    async fn write_together(&self, entries: &[&Entry]) -> Result<Found, StoreError> {
        let (mut results, mut begun, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Finish(intent, after, now) => results.push((intent, after, *now)),
                Entry::Begin(prepared) => begun.extend(prepared),
                Entry::Claim(rows) => wanted.extend(rows),
            }
        }
        let mut tx = self.db.begin_now(TxKind::Dials).await?;
        finish_all(&mut tx, &results).await?;
        let held = begin_all(&mut tx, &begun).await?;
        let claims = claim_all(&mut tx, &wanted).await?;
        if !begun.is_empty() {
            self.pass(FailPoint::C4).await?;
        }
        tx.commit().await?;
        if !results.is_empty() {
            self.pass(FailPoint::C9).await?;
        }
        Ok(Found { held, claims })
    }
}

/// The results of a commit, to be distributed to the callers.
struct Found {
    held: BTreeSet<Uuid>,
    claims: BTreeMap<Id<id::Callback>, Claim>,
}

impl Found {
    fn answer(&mut self, entry: Entry) -> Result<Written, StoreError> {
        Ok(match entry {
            Entry::Claim(wanted) => {
                let mut own: Vec<_> = wanted.iter().filter_map(|w| self.claims.remove(&w.row.id)).collect();
                own.sort_by_key(|c| (c.scheduled_for(), c.id()));
                Written::Claims(own)
            }
            Entry::Begin(prepared) => Written::Intents(
                prepared
                    .into_iter()
                    .filter(|p| self.held.contains(&p.claim.id.uuid()))
                    .map(Intent::from_prepared)
                    .collect(),
            ),
            Entry::Finish(..) => Written::Result,
        })
    }
}
