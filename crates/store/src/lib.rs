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
mod inbox;
mod log;
mod ops;

use std::{path::Path, sync::Arc};

use redialer_core::{
    Id, Timestamp,
    chance::Chance,
    id,
    tenant::{Limits, Plan, Plans},
};

pub use accounts::agents::{AgentChange, AgentRow, Roster};
pub use accounts::api_keys::{KeyInfo, KeyRow, NewKey, hash_key};
pub use accounts::members::{MemberRow, NewMember};
pub use accounts::slugs::SlugOwner;
pub use accounts::suppressions::SuppressionRow;
pub use accounts::tenants::{NewTenant, TenantRow};
pub use accounts::workspace_context::{Desk, Seat};
pub use accounts::workspaces::{DueWorkspace, NewWorkspace, WorkspaceChange, WorkspaceRow};
pub use callbacks::list::{Filter, Order};
pub use callbacks::rows::{CallbackRow, ManualPlan, NotNow, NotWritten, Secrets};
pub use crypto::keyring::{Keyring, strip_keys};
pub use crypto::rotation::{KeysLock, Rotated};
pub use crypto::seal::TenantKey;
pub use db::due_signal::DueSignal;
pub use db::failpoints::{Abort, BadPoint, Faults, Passing, Point, Verdict};
pub use db::group_commit::Full;
pub use db::schema::SchemaState;
pub use dispatch::claims::{Claim, DueRow, DueRows};
pub use dispatch::intents::{DispatchRow, Intent, NewDispatch};
pub use dispatch::unconfirmed::AskRow;
pub use dispatch::writer::Ledger;
pub use inbox::decisions::{Decided, DecisionKey, Decisions, Known, NextCallback};
pub use inbox::events::{EventRow, Inbox, NewDelivery, PendingRow, Recorded};
pub use inbox::payloads::CapturedRow;
pub use inbox::redials::{RedialProbe, RedialRow};
pub use log::activity::{ActivityFilter, ActivityKind, ActivityRow, Refused, note_of};
pub use log::audit::{Act, ActFilter, ActRow, Actor, Checked};
pub use log::idempotency::{Replay, Slot};
pub use ops::backfill::{CheckRow, SweepRow};
pub use ops::backup::{BackupError, restore_file};
pub use ops::census::Census;
pub use ops::clock::ClockRow;
pub use ops::condition::Condition;
pub use ops::leases::Buckets;
pub use ops::restore::{Adoption, Epoch};
pub use redialer_kek::{Kek, KeyError};

use db::{Db, Lane, pool, sqlite, tenant_conn::Scope, vitals};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing of that id, or not this tenant's.
    #[error("not found")]
    NotFound,
    /// Something of that name is there already, or the thing is not in a state that allows it.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// It is no longer as whoever changes it has seen it.
    #[error("changed meanwhile")]
    Changed,
    /// The database's schema does not fit this version.
    #[error("the database's schema does not fit this version: {0}")]
    Schema(String),
    /// Too much waits for the database already, or it could not write.
    #[error("the database cannot take more at the moment")]
    Full,
    /// A test made the step fail; see [`Faults`].
    #[error("a fault was injected")]
    Injected,
    /// A row that cannot be read.
    #[error("a stored {0} cannot be read")]
    Corrupt(&'static str),
    /// A key could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database did not do it; trying again may help.
    // The reason is part of the message, not a source: a chain of errors would print it twice.
    #[error("the database is unavailable: {0}")]
    Unavailable(sqlx::Error),
}

impl StoreError {
    /// Whether the database as a whole is to blame: away, out of room, or too slow. Writing less at once would not
    /// help.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Full | Self::Injected => true,
            Self::Unavailable(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                sqlite::is_outage(&**error).unwrap_or_else(|| {
                    // Connections, resources, an operator, the system; read only; waited too long for a lock.
                    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                        || ["25006", "25P03", "55P03"].contains(&&*code)
                })
            }
            Self::Unavailable(error) => pool::is_broken(error) || pool::is_exhausted(error),
            _ => false,
        }
    }

    /// Whether the failure is a conflict with another transaction, so that reading and trying again helps.
    pub fn is_contention(&self) -> bool {
        match self {
            Self::Conflict(_) => true,
            // Serialization failure, deadlock, a lock not had, a statement not done in time.
            Self::Unavailable(sqlx::Error::Database(error)) => {
                ["40001", "40P01", "55P03", "57014"].contains(&&*error.code().unwrap_or_default())
            }
            _ => false,
        }
    }
}

impl From<Full> for StoreError {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(e) if e.is_unique_violation() => Self::Conflict("there is one already"),
            _ => Self::Unavailable(error),
        }
    }
}

/// The database, and the key that opens its tenants' keys.
#[derive(Clone)]
pub struct Store {
    db: Db,
    kek: Arc<Kek>,
    shared: bool,
    plans: Arc<Plans>,
}

/// The store as one tenant sees it, or one of its workspaces: the rows of others do not exist.
#[derive(Clone)]
pub struct TenantStore {
    store: Store,
    tenant: Id<id::Tenant>,
    /// The only workspace whose rows there are; `None` for all of the tenant's.
    workspace: Option<Id<id::Workspace>>,
    actor: Arc<Actor>,
    test: bool,
    /// Whose rows there are on Postgres: the tenant's, but in a test that tries another's.
    rows: Id<id::Tenant>,
    /// Whose connections it reads with.
    lane: Lane,
}

impl TenantStore {
    /// The same, for test callbacks: live ones do not exist there, nor test ones elsewhere.
    #[must_use]
    pub const fn for_tests(mut self, test: bool) -> Self {
        self.test = test;
        self
    }

    /// The same, with another tenant's rows under it: for the test that nothing is found then.
    #[must_use]
    pub const fn on_rows_of(mut self, other: Id<id::Tenant>) -> Self {
        self.rows = other;
        self
    }

    /// The same, with the rows of one workspace alone, where one is given.
    #[must_use]
    pub const fn within(mut self, workspace: Option<Id<id::Workspace>>) -> Self {
        self.workspace = workspace;
        self
    }

    /// Whether the rows of that workspace are among those it sees.
    pub(crate) fn sees(&self, workspace: Id<id::Workspace>) -> Result<(), StoreError> {
        match self.workspace {
            Some(own) if own != workspace => Err(StoreError::NotFound),
            _ => Ok(()),
        }
    }

    /// Whether it sees what belongs to the tenant as a whole.
    pub(crate) const fn sees_whole_tenant(&self) -> Result<(), StoreError> {
        match self.workspace {
            Some(_) => Err(StoreError::NotFound),
            None => Ok(()),
        }
    }

    /// The same for what may be of one workspace or of the whole tenant.
    pub(crate) fn sees_of(&self, workspace: Option<Id<id::Workspace>>) -> Result<(), StoreError> {
        workspace.map_or_else(|| self.sees_whole_tenant(), |workspace| self.sees(workspace))
    }

    /// The workspace whose rows are asked for: the one that is named, if its rows are among those it sees, else its own.
    pub(crate) fn narrowed(
        &self,
        named: Option<Id<id::Workspace>>,
    ) -> Result<Option<Id<id::Workspace>>, StoreError> {
        named.map_or(Ok(()), |named| self.sees(named))?;
        Ok(named.or(self.workspace))
    }

    /// The database as this tenant sees it.
    pub(crate) const fn db(&self) -> Scope<'_> {
        Scope::of(&self.store.db, self.rows, self.lane)
    }

    /// Whether it is for test callbacks.
    pub const fn is_for_tests(&self) -> bool {
        self.test
    }

    /// The tenant's key, as this store finds persons with it.
    pub async fn open_key(&self) -> Result<TenantKey, StoreError> {
        Ok(self.tenant_key().await?.for_tests(self.test))
    }

    /// The tenant's key, for what test and live callbacks share.
    pub async fn tenant_key(&self) -> Result<TenantKey, StoreError> {
        self.store.open_key_on(self.lane, self.tenant).await
    }

    /// The same, for somebody in whose name acts are written down. It reads with connections apart from those of
    /// webhooks and dials, which people's lists must not hold up.
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = Arc::new(actor);
        self.lane = Lane::Api;
        self
    }
}

impl Store {
    /// Opens the embedded database.
    pub async fn sqlite(file: &Path, kek: Kek) -> Result<Self, StoreError> {
        Ok(Self { db: Db::sqlite(file).await?, kek: Arc::new(kek), shared: false, plans: Arc::default() })
    }

    /// Connects to Postgres.
    pub async fn postgres(url: &str, kek: Kek) -> Result<Self, StoreError> {
        Ok(Self { db: Db::postgres(url).await?, kek: Arc::new(kek), shared: true, plans: Arc::default() })
    }

    /// Brings the schema up to this version, and makes sure that the key is the one the data was sealed with, as far as
    /// the key service tells: it may be away.
    pub async fn migrate(&self, chance: &Chance) -> Result<(), StoreError> {
        self.db.migrate().await?;
        match self.prove_key(chance).await {
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
        self.plans.of(plan)
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

    /// Whether the key opens the data; `false` when nothing is sealed yet. Writes nothing.
    pub async fn key_opens(&self) -> Result<bool, StoreError> {
        match self.db.read_one(KEK_PROOF, args![]).await? {
            Some(row) => self.opens_proof(&row.get::<Vec<u8>>("value")?).await.map(|()| true),
            None => Ok(false),
        }
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
    pub async fn pass(&self, point: Point) -> Result<(), StoreError> {
        self.db.pass(point).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.read("select 1 as one", args![]).await.map(|_| ())
    }

    pub(crate) fn vitals(&self) -> Arc<vitals::Vitals> {
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

    /// The store as `tenant` sees it; what is done through it is done by the program itself.
    pub fn of(&self, tenant: Id<id::Tenant>) -> TenantStore {
        TenantStore {
            store: self.clone(),
            tenant,
            workspace: None,
            actor: Arc::new(Actor::program()),
            test: false,
            rows: tenant,
            lane: Lane::Hot,
        }
    }

    /// Finishes what is under way and closes every connection.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// A value that shows which key the data was sealed with: opening it proves the key, and that it can be had.
    pub async fn prove_key(&self, chance: &Chance) -> Result<(), StoreError> {
        const PUT: &str =
            "insert into meta (name, value) values ('kek_check', $1) on conflict (name) do nothing";
        const PROOF: &[u8] = b"redialer";
        let wrapped = match self.db.read_one(KEK_PROOF, args![]).await? {
            Some(row) => row.get::<Vec<u8>>("value")?,
            None => {
                let wrapped = self.kek.wrap(PROOF, KEK_CHECK, chance).await?;
                self.db.write(PUT, args![wrapped]).await?;
                self.db
                    .read_one(KEK_PROOF, args![])
                    .await?
                    .ok_or(StoreError::Corrupt("key check"))?
                    .get("value")?
            }
        };
        self.opens_proof(&wrapped).await
    }

    async fn opens_proof(&self, wrapped: &[u8]) -> Result<(), StoreError> {
        match self.kek.unwrap(wrapped, KEK_CHECK).await {
            Ok(_) => Ok(()),
            Err(KeyError::Sealed) => Err(KeyError::Wrong.into()),
            Err(error) => Err(error.into()),
        }
    }
}

const KEK_PROOF: &str = "select value from meta where name = 'kek_check'";
/// What that value is bound to.
const KEK_CHECK: &[u8] = b"kek_check";

use db::args;

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
