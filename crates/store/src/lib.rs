//! Persistence of redialer: the only crate with SQL.
//!
//! Invariants: a function here is one transaction and contains no policy; the next state is decided in `core` and
//! passed in. Every change of a callback is guarded by the state it leaves. Personal data and keys are sealed before
//! they are bound to a statement. Request handlers see one tenant, through [`TenantStore`]; background flows see all
//! tenants.

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

pub use accounts::agents::{AgentChange, AgentRow, RosterEntry};
pub use accounts::api_keys::{KeyInfo, KeyRow, NewKey};
pub use accounts::key_hash::hash_key;
pub use accounts::members::{MemberRow, NewMember};
pub use accounts::slugs::SlugTarget;
pub use accounts::suppressions::SuppressionRow;
pub use accounts::tenants::{NewTenant, TenantRow};
pub use accounts::workspace_context::{AgentContext, WorkspaceContext};
pub use accounts::workspace_jobs::DueWorkspace;
pub use accounts::workspaces::{NewWorkspace, WorkspaceChange, WorkspaceRow};
pub use callbacks::list::{Filter, Order};
pub use callbacks::manual::{NewManualCallback, NotWritten, TransitionError};
pub use callbacks::rows::CallbackRow;
pub use callbacks::secrets::Secrets;
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
pub use log::audit::{AuditCheck, AuditEvent, AuditFilter, AuditRow};
pub use log::idempotency::{IdempotencyRecord, Reservation};
pub use log::notices::RejectionCount;
pub use ops::backfill::{BackfillRow, MissingAnalysis};
pub use ops::backup::restore_file;
pub use ops::census::Census;
pub use ops::clock::ClockRow;
pub use ops::inspection::Inspection;
pub use ops::leases::Buckets;
pub use ops::restore::{LostDispatch, RestoreGeneration};
pub use redialer_kek::{Kek, KeyError};
pub use tenant_store::TenantStore;

use accounts::workspace_context::{CACHED_TABLES, Contexts};
use db::{Db, args, writer_health::WriterHealth};

/// The database, and the key-encryption key that unwraps tenant keys.
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

    /// Migrates the schema to this version and verifies that the key-encryption key is the one the data was sealed
    /// with. If the key service is unavailable, logs a warning and skips the verification.
    pub async fn migrate(&self, rng: &Rng) -> Result<(), StoreError> {
        self.db.migrate().await?;
        match self.prove_key(rng).await {
            Err(StoreError::Key(error @ KeyError::Unavailable(_))) => {
                tracing::warn!(%error, "the key could not be checked against the database");
                Ok(())
            }
            proven => proven,
        }
    }

    /// Returns the store with the operator's plans instead of the published ones.
    #[must_use]
    pub fn with_plans(mut self, plans: Plans) -> Self {
        self.plans = Arc::new(plans);
        self
    }

    /// The limits of a plan.
    pub fn limits_of(&self, plan: Plan) -> &Limits {
        self.plans.limits(plan)
    }

    /// Returns the store with injected faults, for tests.
    pub fn with_faults(mut self, faults: Arc<dyn Faults>) -> Self {
        self.db.faults = Some(faults);
        self
    }

    /// Returns the store as if other processes used its file too, for tests that simulate several replicas.
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether the database itself isolates tenants: row-level security on Postgres, if its role could be created.
    pub fn guards_rows(&self) -> bool {
        self.db.guards_rows()
    }

    /// Same as [`Store::guards_rows`], for a database that this store has not migrated: looks for the role first.
    pub async fn has_tenant_role(&self) -> Result<bool, StoreError> {
        self.db.find_tenant_role().await?;
        Ok(self.guards_rows())
    }

    /// The number of applied migrations.
    pub async fn schema(&self) -> Result<usize, StoreError> {
        Ok(self.db.applied().await?.len())
    }

    /// Compares the database's schema with this version's. Writes nothing.
    pub async fn check_schema(&self) -> Result<SchemaState, StoreError> {
        self.db.check_schema().await
    }

    /// Wakes the reader of due callbacks when a callback may be due sooner than it expects.
    pub fn due_signal(&self) -> &DueSignal {
        &self.db.due_signal
    }

    /// Whether several replicas may share this database.
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    /// Passes a fail point; a no-op outside tests.
    pub async fn pass(&self, point: FailPoint) -> Result<(), StoreError> {
        self.db.pass(point).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.read("select 1 as one", args![]).await.map(|_| ())
    }

    pub(crate) fn writer_health(&self) -> Arc<WriterHealth> {
        Arc::clone(&self.db.writer_health)
    }

    /// Whether the database accepts writes: no batch is stalled and the last commit succeeded. If it failed, tries a
    /// write.
    pub async fn can_write(&self) -> bool {
        const TRY: &str = "insert into meta (name, value) values ('write_check', $1)
             on conflict (name) do update set value = $1";
        let writer_health = &self.db.writer_health;
        if writer_health.is_stalled() {
            return false;
        }
        !writer_health.is_failing() || self.db.write(TRY, args![Vec::<u8>::new()]).await.is_ok()
    }

    /// Maintenance. On SQLite, checkpoints the write-ahead log, so that no commit has to. On Postgres, analyzes tables
    /// that have just grown.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        self.db.maintain().await
    }

    /// Checkpoints and truncates the embedded database's write-ahead log. Does nothing on Postgres.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        if self.db.is_postgres() {
            return Ok(());
        }
        self.db.run("pragma wal_checkpoint(truncate)", args![]).await
    }

    /// Waits for the connections in use, then closes all.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// The tenant's hash bucket. All hot rows of a tenant share it, and one replica at a time works on a bucket.
pub fn bucket_of(tenant: Id<id::Tenant>) -> i64 {
    // The tail of a version-7 UUID is random.
    let bytes = tenant.uuid().into_bytes();
    i64::from(u16::from_be_bytes([bytes[14], bytes[15]]) & 0x0fff)
}

/// The number of buckets.
pub const BUCKETS: i64 = 4096;

fn at(ms: i64) -> Timestamp {
    redialer_core::time::from_ms(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
