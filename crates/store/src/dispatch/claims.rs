//! Claims: one replica takes a due callback until its lease ends.
//!
//! Invariants: a [`Claim`] is made only here, and only for a callback whose state allows it. It is taken by value, so
//! one claim is one dial. Every write that follows from it is guarded by its fence, so a replica that has lost the claim
//! changes nothing.

use std::collections::BTreeMap;

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::{HeldFor, RedialReason, State, after_failures},
    decide::{ActivityNotice, Candidate, GateRecord},
    id,
    time::{Zone, plus},
    timing::CLAIM_RETRY_AFTER,
};

use crate::{
    Secrets, Store, StoreError, TenantKey, at,
    callbacks::{
        columns::{gates_text, reason_of, zone_of},
        transitions::{self, Wait, give_back},
    },
    db::{Row, Tx, args, row},
    log::notices::PUT,
};

/// A due callback, with the fields that decide which callbacks are claimed next.
#[derive(Debug, Clone, Copy)]
pub struct DueRow {
    /// The tenant's bucket.
    pub bucket: i64,
    /// The callback.
    pub id: Id<id::Callback>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// Voice or chat.
    pub channel: Channel,
    /// When it is due.
    pub due_at: Timestamp,
    /// How often its claims failed before anything was sent.
    pub failures: i64,
    /// Whether it is dialed at the simulator.
    pub test: bool,
}

/// Callbacks that are due.
#[derive(Debug)]
pub struct DueRows {
    /// For each workspace, the callbacks that have been due the longest.
    pub rows: Vec<DueRow>,
    /// Whether `rows` contains every due callback.
    pub is_all: bool,
}

impl DueRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            bucket: row.get("bucket")?,
            id: Id::from_uuid(row.get("id")?),
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            channel: Channel::from_stored(&row.get::<String>("channel")?),
            due_at: at(row.get("due_at")?),
            failures: row.get("failures")?,
            test: row.get("is_test")?,
        })
    }
}

/// A hold on one due callback, until its lease ends.
pub struct Claim {
    pub(crate) bucket: i64,
    pub(crate) id: Id<id::Callback>,
    pub(crate) fence: i64,
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    agent: Id<id::Agent>,
    pub(crate) chain: Id<id::Chain>,
    pub(crate) channel: Channel,
    reason: RedialReason,
    scheduled_for: Timestamp,
    requested_for: Option<Timestamp>,
    forced: bool,
    pub(crate) phone_hash: [u8; 16],
    zone: Zone,
    pub(crate) unplaced_tries: i64,
    pub(crate) attempts_used: i64,
    suppressed: bool,
    pub(crate) test: bool,
    sealed: Vec<u8>,
}

macro_rules! getters {
    ($on:ty { $($(#[$doc:meta])* $name:ident: $type:ty = $get:expr;)* }) => {
        impl $on {$( $(#[$doc])* pub fn $name(&self) -> $type { let get: fn(&Self) -> $type = $get; get(self) } )*}
    };
}
pub(crate) use getters;

getters!(Claim {
    /// The callback.
    id: Id<id::Callback> = |c| c.id;
    /// Its workspace.
    workspace: Id<id::Workspace> = |c| c.workspace;
    /// The agent that dials.
    agent: Id<id::Agent> = |c| c.agent;
    /// Its chain.
    chain: Id<id::Chain> = |c| c.chain;
    /// Voice or chat.
    channel: Channel = |c| c.channel;
    /// The reason for the dial.
    reason: RedialReason = |c| c.reason;
    /// When it should have been dialed.
    scheduled_for: Timestamp = |c| c.scheduled_for;
    /// The number of dials that its chain has spent.
    attempts_used: u32 = |c| u32::try_from(c.attempts_used).unwrap_or(u32::MAX);
    /// Whether the number is on the do-not-call list.
    suppressed: bool = |c| c.suppressed;
    /// Whether it is dialed at the simulator.
    test: bool = |c| c.test;
});

impl Claim {
    /// The due row that was claimed.
    pub const fn due_row(&self) -> DueRow {
        DueRow {
            bucket: self.bucket,
            id: self.id,
            tenant: self.tenant,
            workspace: self.workspace,
            channel: self.channel,
            due_at: self.scheduled_for,
            failures: 0,
            test: self.test,
        }
    }

    /// The fence that guards every write that follows from the claim.
    pub const fn fence(&self) -> i64 {
        self.fence
    }

    /// The callee's time zone.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Decrypts its personal data.
    pub fn secrets(&self, key: &TenantKey) -> Result<Secrets, StoreError> {
        Secrets::open(self.id, &self.sealed, key)
    }

    /// The fields that its gates check; `to` is its number.
    pub const fn candidate<'a>(&'a self, to: &'a str) -> Candidate<'a> {
        Candidate {
            reason: self.reason,
            requested_for: self.requested_for,
            scheduled_for: self.scheduled_for,
            forced: self.forced,
            test: self.test,
            to,
            zone: &self.zone,
        }
    }

    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            bucket: row.get("bucket")?,
            id: Id::from_uuid(row.get("id")?),
            fence: row.get("fence")?,
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            chain: Id::from_uuid(row.get("chain_id")?),
            channel: Channel::from_stored(&row.get::<String>("channel")?),
            reason: reason_of(row)?,
            scheduled_for: at(row.get("scheduled_for")?),
            requested_for: row.get::<Option<i64>>("requested_for")?.map(at),
            forced: row.get("forced")?,
            phone_hash: row.phone_hash("phone_hash")?,
            zone: zone_of(row)?,
            unplaced_tries: row.get("unplaced_tries")?,
            attempts_used: row.get("attempts_used")?,
            suppressed: row.get("suppressed")?,
            test: row.get("is_test")?,
            sealed: row.get("sealed")?,
        })
    }
}

impl Store {
    /// Callbacks that are due by `until`, of workspaces that may dial; for each workspace, those that have been due the
    /// longest. Live and test callbacks of a workspace are read separately: at most `each`, and at most an equal share of
    /// `limit`.
    ///
    /// One statement per workspace: in a single one, Postgres may scan every scheduled callback before it joins.
    pub async fn due(
        &self,
        range: (i64, i64),
        until: Timestamp,
        each: i64,
        limit: i64,
    ) -> Result<DueRows, StoreError> {
        const WORKSPACES: &str = "select w.id, t.is_test
             from workspaces w cross join (select false as is_test union all select true) as t
             where w.bucket between $1 and $2 and w.paused is null and w.deleted_at is null
               and w.restore_generation = (select coalesce(max(generation), 0) from restore_generations)
               and (select c.id from callbacks c where c.workspace_id = w.id and c.is_test = t.is_test
                      and c.state = 'scheduled' and c.due_at <= $3 order by c.due_at, c.id limit 1) is not null";
        const READER_POOL: &str =
            "select bucket, id, tenant_id, workspace_id, channel, due_at, failures, is_test from callbacks
             where workspace_id = $1 and is_test = $2 and state = 'scheduled' and due_at <= $3
             order by due_at, id limit $4";
        let workspaces = self.db.read(WORKSPACES, args![range.0, range.1, until]).await?;
        let each = each.min(limit / i64::try_from(workspaces.len()).unwrap_or(limit).max(1)).max(1);
        let mut due = DueRows { rows: Vec::new(), is_all: true };
        for workspace in workspaces {
            let (workspace, test): (Id<id::Workspace>, bool) =
                (Id::from_uuid(workspace.get("id")?), workspace.get("is_test")?);
            let rows = self.db.read(READER_POOL, args![workspace, test, until, each]).await?;
            due.is_all &= i64::try_from(rows.len()).is_ok_and(|n| n < each);
            for row in &rows {
                due.rows.push(DueRow::from_row(row)?);
            }
        }
        Ok(due)
    }

    /// Postpones a claimed callback; spends no attempt. `outcome` records why, if that should be shown.
    pub async fn snooze(
        &self,
        claim: Claim,
        until: Timestamp,
        outcome: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        if holds(&mut tx, &claim).await? {
            let why = ActivityNotice::of_snooze(outcome.is_some(), until > claim.scheduled_for);
            notice(&mut tx, &claim, why, now).await?;
            let wait = Wait { moved_to: Some(until), outcome, ..Wait::until(until) };
            give_back(&mut tx, claim.bucket, claim.id, wait, now).await?;
        }
        tx.commit().await
    }

    /// Returns a claimed callback to waiting, due at `due_at` and otherwise unchanged; `why` goes to the activity feed.
    pub async fn release(
        &self,
        claim: Claim,
        due_at: Timestamp,
        why: Option<ActivityNotice>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        if holds(&mut tx, &claim).await? {
            notice(&mut tx, &claim, why, now).await?;
            give_back(&mut tx, claim.bucket, claim.id, Wait::until(due_at), now).await?;
        }
        tx.commit().await
    }

    /// Holds a claimed callback for the given reason.
    pub async fn hold(&self, claim: Claim, why: HeldFor, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        if holds(&mut tx, &claim).await? {
            let wait = if why == HeldFor::Agent && is_enabled(&mut tx, claim.agent).await? {
                // The agent was enabled after the gates ran, and its held callbacks have already been released.
                Wait::until(plus(now, CLAIM_RETRY_AFTER))
            } else {
                notice(&mut tx, &claim, ActivityNotice::of_hold(why), now).await?;
                Wait { held_for: Some(why), ..Wait::until(claim.scheduled_for) }
            };
            give_back(&mut tx, claim.bucket, claim.id, wait, now).await?;
        }
        tx.commit().await
    }

    /// Ends a claimed callback without a dial, as decided by these gates.
    pub async fn close_claim(
        &self,
        claim: Claim,
        (state, outcome): (State, &str),
        gates: &[GateRecord],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let of = (claim.bucket, claim.id, claim.fence);
        let mut tx = self.db.begin().await?;
        if transitions::close_claim(&mut tx, of, state, outcome, &gates_text(gates), now).await? {
            notice(&mut tx, &claim, ActivityNotice::of_end(state), now).await?;
        }
        tx.commit().await
    }

    /// Returns a failed claim to waiting: due again at `due_at`, or held after too many failures.
    pub async fn fail_claim(
        &self,
        due: DueRow,
        fence: i64,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        fail(&mut tx, due.bucket, due.id, fence, due_at, now).await?;
        tx.commit().await
    }
}

/// A due callback to claim.
pub(crate) struct Wanted {
    pub(crate) row: DueRow,
    pub(crate) owner: String,
    pub(crate) now: Timestamp,
    pub(crate) lease_until_ms: i64,
}

/// Claims the callbacks that are still due.
pub(crate) async fn claim_all(
    tx: &mut Tx,
    wanted: &[&Wanted],
) -> Result<BTreeMap<Id<id::Callback>, Claim>, StoreError> {
    let rows =
        wanted.iter().map(|w| row![w.row.bucket, w.row.id, w.now, w.lease_until_ms, &w.owner]).collect();
    let claims = transitions::claim(tx, rows).await?;
    claims.iter().map(Claim::from_row).map(|claim| claim.map(|claim| (claim.id, claim))).collect()
}

/// Ends a failed claim that has no intent: its callback is scheduled again, or held after too many failures. The fence
/// moves, so the previous holder loses the claim.
pub(crate) async fn fail(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Callback>,
    fence: i64,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(failures) = transitions::count_failure(tx, bucket, id, fence).await? {
        let wait = Wait { held_for: after_failures(failures), ..Wait::until(due_at) };
        give_back(tx, bucket, id, wait, now).await?;
    }
    Ok(())
}

/// Whether an agent is enabled. This cannot change before the transaction ends.
async fn is_enabled(tx: &mut Tx, agent: Id<id::Agent>) -> Result<bool, StoreError> {
    const SQL: &str = "select enabled from agents where id = $1";
    const LOCKED: &str = "select enabled from agents where id = $1 for share";
    let sql = if tx.is_postgres()? { LOCKED } else { SQL };
    tx.fetch_one(sql, args![agent]).await?.map_or(Ok(false), |row| row.get("enabled"))
}

/// Whether a claim is still held; locks its row until the transaction ends.
pub(crate) async fn holds(tx: &mut Tx, claim: &Claim) -> Result<bool, StoreError> {
    transitions::holds(tx, claim.bucket, claim.id, claim.fence).await
}

/// Adds a notice to the activity feed: a claim did not become a dial.
pub(crate) async fn notice(
    tx: &mut Tx,
    claim: &Claim,
    notice: Option<ActivityNotice>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(notice) = notice else { return Ok(()) };
    // One notice per claim: its id is derived from the callback and the fence.
    let id = Id::<id::Notice>::derived(claim.id.uuid(), claim.fence.to_le_bytes(), now);
    let args = args![
        claim.bucket,
        id,
        claim.tenant,
        claim.workspace,
        claim.agent(),
        claim.id,
        notice.as_str(),
        1_i64,
        claim.test,
        now
    ];
    tx.execute(PUT, args).await.map(|_| ())
}
