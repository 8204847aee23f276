//! What redialer remembers: the only crate with SQL.
//!
//! Invariants: a function here is one transaction and makes no choice; which state follows is decided in
//! `core` and passed in. Every change of a callback guards on the state it leaves. Personal data and keys
//! are sealed before they are bound. Handlers see one tenant through [`TenantStore`]; flows see all.

mod accounts;
mod callbacks;
mod crypto;
mod db;
mod dispatch;
mod error;
mod inbox;
mod log;
mod ops;
mod tenant_store;

use std::{path::Path, sync::Arc};

use redialer_core::{
    Id, Timestamp, id,
    rng::Rng,
    tenant::{Limits, Plan, Plans},
};

pub use accounts::agents::{AgentChange, AgentRow, Roster};
pub use accounts::api_keys::{KeyInfo, KeyRow, NewKey};
pub use accounts::key_hash::hash_key;
pub use accounts::members::{MemberRow, NewMember};
pub use accounts::slugs::SlugOwner;
pub use accounts::suppressions::SuppressionRow;
pub use accounts::tenants::{NewTenant, TenantRow};
pub use accounts::workspace_context::{AgentContext, WorkspaceContext};
pub use accounts::workspaces::{DueWorkspace, NewWorkspace, WorkspaceChange, WorkspaceRow};
pub use callbacks::list::{Filter, Order};
pub use callbacks::rows::{CallbackRow, NewManualCallback, NotWritten, Secrets, TransitionError};
pub use crypto::keyring::{Keyring, strip_keys};
pub use crypto::rotation::{KeysLock, Rotated};
pub use crypto::seal::TenantKey;
pub use db::due_signal::DueSignal;
pub use db::failpoints::{Abort, BadPoint, FailPoint, Faults, Passing, Verdict};
pub use db::group_commit::QueueFull;
pub use db::schema::SchemaState;
pub use dispatch::claims::{Claim, DueRow, DueRows};
pub use dispatch::intents::{DispatchRow, Intent};
pub use dispatch::prepared::NewDispatch;
pub use dispatch::unconfirmed::UnconfirmedDispatch;
pub use dispatch::writer::DispatchWriter;
pub use error::{BackupError, StoreError};
pub use inbox::decisions::{Decided, Decisions, Known, NextCallbackFields};
pub use inbox::events::{EventRow, Inbox, NewInboundEvent, PendingRow, Recorded};
pub use inbox::payloads::PayloadRow;
pub use inbox::redials::{RedialProbe, RedialRow};
pub use inbox::snapshot::DecisionKey;
pub use log::activity::{ActivityFilter, ActivityKind, ActivityRow, note_of};
pub use log::actor::Actor;
pub use log::audit::{AuditEvent, AuditFilter, AuditRow, Checked};
pub use log::idempotency::{IdempotencyRecord, Reservation};
pub use log::notices::Refused;
pub use ops::backfill::{BackfillRow, MissingAnalysis};
pub use ops::backup::restore_file;
pub use ops::census::Census;
pub use ops::clock::ClockRow;
pub use ops::condition::Condition;
pub use ops::leases::Buckets;
pub use ops::restore::{LostDispatch, RestoreGeneration};
pub use redialer_kek::{Kek, KeyError};
pub use tenant_store::TenantStore;

use accounts::workspace_context::{CACHED_TABLES, Contexts};
use db::{Db, args, vitals::Vitals};

/// The database, and the key that opens its tenants' keys.
#[derive(Clone)]
pub struct Store {
    db: Db,
    contexts: Arc<Contexts>,
    kek: Arc<Kek>,
    shared: bool,
    plans: Arc<Plans>,
}

impl Store {
    /// Opens the embedded database.
    pub async fn sqlite(file: &Path, kek: Kek) -> Result<Self, StoreError> {
        Ok(Self::on(Db::sqlite(file, &CACHED_TABLES).await?, kek, false))
    }

    /// Connects to Postgres.
    pub async fn postgres(url: &str, kek: Kek) -> Result<Self, StoreError> {
        Ok(Self::on(Db::postgres(url, &CACHED_TABLES).await?, kek, true))
    }

    fn on(db: Db, kek: Kek, shared: bool) -> Self {
        let contexts = Arc::new(Contexts::new(&db.generation));
        Self { db, contexts, kek: Arc::new(kek), shared, plans: Arc::default() }
    }

    /// Brings the schema up to this version, and makes sure that the key is the one the data was sealed with, as far as
    /// the key service tells: it may be away.
    pub async fn migrate(&self, rng: &Rng) -> Result<(), StoreError> {
        self.db.migrate().await?;
        match self.prove_key(rng).await {
            Err(StoreError::Key(error @ KeyError::Unavailable(_))) => {
                tracing::warn!(%error, "the key could not be proven");
                Ok(())
            }
            proven => proven,
        }
    }

    /// The same store, with the operator's plans instead of the published ones.
    #[must_use]
    pub fn with_plans(mut self, plans: Plans) -> Self {
        self.plans = Arc::new(plans);
        self
    }

    /// What a plan allows.
    pub fn limits_of(&self, plan: Plan) -> &Limits {
        self.plans.limits(plan)
    }

    /// The same store, with things going wrong in it.
    pub fn with_faults(mut self, faults: Arc<dyn Faults>) -> Self {
        self.db.faults = Some(faults);
        self
    }

    /// The same store, as if other processes used its file too: for tests that pretend to be several.
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether the database itself keeps tenants apart (Postgres, where its role could be made).
    pub fn guards_rows(&self) -> bool {
        self.db.guards_rows()
    }

    /// As [`Store::guards_rows`], of a database that was not migrated by this store.
    pub async fn finds_guard(&self) -> Result<bool, StoreError> {
        self.db.look_for_guard().await?;
        Ok(self.guards_rows())
    }

    /// How many migrations there are in the database.
    pub async fn schema(&self) -> Result<usize, StoreError> {
        Ok(self.db.applied().await?.len())
    }

    /// How the database's schema stands to this version. Writes nothing.
    pub async fn check_schema(&self) -> Result<SchemaState, StoreError> {
        self.db.check_schema().await
    }

    /// Wakes whoever reads due callbacks when something may be due sooner.
    pub fn due_signal(&self) -> &DueSignal {
        &self.db.due_signal
    }

    /// Whether several replicas may share this database.
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    /// Passes a named point; only tests make anything happen there.
    pub async fn pass(&self, point: FailPoint) -> Result<(), StoreError> {
        self.db.pass(point).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.read("select 1 as one", args![]).await.map(|_| ())
    }

    pub(crate) fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.db.vitals)
    }

    /// Whether the database can be written to: no batch takes too long, and the last commit worked. Where
    /// it did not, one is tried.
    pub async fn can_write(&self) -> bool {
        const TRY: &str = "insert into meta (name, value) values ('write_check', $1)
             on conflict (name) do update set value = $1";
        let vitals = &self.db.vitals;
        if vitals.is_stalled() {
            return false;
        }
        !vitals.is_failing() || self.db.write(TRY, args![Vec::<u8>::new()]).await.is_ok()
    }

    /// Maintenance: copies the embedded database's write-ahead log into its file, so that no commit has to, and has
    /// Postgres analyze its tables while they are new.
    pub async fn tend(&self) -> Result<(), StoreError> {
        self.db.tend().await
    }

    /// Copies the embedded database's write-ahead log into its file; nothing to do elsewhere.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        if self.db.is_postgres() {
            return Ok(());
        }
        self.db.run("pragma wal_checkpoint(truncate)", args![]).await
    }

    /// Finishes what is under way and closes every connection.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// The tenant's share of the hash space: all its hot rows lie together, and one replica at a time works on it.
pub fn bucket_of(tenant: Id<id::Tenant>) -> i64 {
    // The tail of a version-7 UUID is random.
    let bytes = tenant.uuid().into_bytes();
    i64::from(u16::from_be_bytes([bytes[14], bytes[15]]) & 0x0fff)
}

/// How many buckets there are.
pub const BUCKETS: i64 = 4096;

fn at(ms: i64) -> Timestamp {
    redialer_core::time::from_ms(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
