//! Schema migrations, table maintenance, and the role for row-level security.
//!
//! Invariants: migrations only go forward and have the same names on both engines. From 15 on, each migration records
//! in `schema_versions` the oldest migration that a program version must know to use the migrated schema
//! (`compatible_from`). A version that knows at least that one starts and ignores the newer migration. An unknown
//! migration without a record is incompatible.

use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, migrate::Migrator};

use crate::{
    StoreError,
    db::{
        Args, Db, Engine, ReaderPool, args, fetch_once,
        pool::Pool,
        sqlite::{Mode, SqliteConn},
    },
};

pub(crate) static LITE: LazyLock<Migrator> =
    LazyLock::new(|| allow_newer(sqlx::migrate!("migrations/sqlite")));
pub(crate) static PG: LazyLock<Migrator> =
    LazyLock::new(|| allow_newer(sqlx::migrate!("migrations/postgres")));

/// [`Db::check_schema`] has already decided whether newer migrations are acceptable.
fn allow_newer(mut migrator: Migrator) -> Migrator {
    migrator.set_ignore_missing(true);
    migrator
}

/// The database's schema, compared with this version of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// The schema is this version's.
    Current,
    /// Migrations are missing; in an empty database, all of them.
    Older {
        /// The number of missing migrations.
        missing: usize,
    },
    /// A newer version has migrated it, and this one can use it.
    NewerCompatible {
        /// The newest applied migration.
        newest: i64,
    },
    /// A newer version has migrated it, and this one must not use it.
    NewerIncompatible {
        /// The newest applied migration.
        newest: i64,
        /// The migration that a version must know to use the schema, if it is recorded.
        needs: Option<i64>,
    },
}

impl SchemaState {
    /// Compares known and applied migrations. `compatible_from` maps a migration to the one that a version must know to
    /// use its schema.
    fn compare(known: &[i64], applied: &[i64], compatible_from: &[(i64, i64)]) -> Self {
        let latest = known.iter().max().copied().unwrap_or(0);
        let newest = applied.iter().max().copied().unwrap_or(0);
        let missing = known.iter().filter(|version| !applied.contains(version)).count();
        let mut unknown = applied.iter().filter(|version| !known.contains(version)).peekable();
        if unknown.peek().is_none() {
            return if missing == 0 { Self::Current } else { Self::Older { missing } };
        }
        let from = |version: &i64| compatible_from.iter().find(|(v, _)| v == version).map(|(_, from)| *from);
        let needs = unknown.map(from).collect::<Option<Vec<_>>>().and_then(|from| from.into_iter().max());
        match needs {
            Some(needs) if needs <= latest && missing == 0 => Self::NewerCompatible { newest },
            needs => Self::NewerIncompatible { newest, needs },
        }
    }
}

/// Creates the role for row-level security and grants its rights. The statements run separately, because one may be
/// allowed and another not. The creator of the role is not automatically a member that may act as it (Postgres 16), and
/// tables may have been added since it was created.
const GUARD: [&str; 3] = [
    "do $$ begin
        if not exists (select 1 from pg_roles where rolname = 'redialer_tenant') then
            create role redialer_tenant nologin;
        end if;
    exception when duplicate_object or unique_violation then null;
    end $$",
    "do $$ begin
        if not (select rolsuper from pg_roles where rolname = current_user) then
            execute format('grant redialer_tenant to %I', current_user);
        end if;
    exception when unique_violation then null;
    end $$",
    "do $$ begin
        execute format('grant usage on schema %I to redialer_tenant', current_schema());
        execute format('grant select, insert, update, delete on all tables in schema %I to redialer_tenant', current_schema());
        revoke all on _sqlx_migrations, schema_versions, meta, virtual_clock, leases, replicas from redialer_tenant;
        revoke insert, update, delete on restore_generations from redialer_tenant;
        revoke update, delete on audit from redialer_tenant;
    end $$",
];

/// The maximum number of analyze runs per process. A table that stays below the row limit would otherwise be analyzed
/// forever.
const MAX_ANALYZE_RUNS: usize = 8;
/// The maximum number of log checkpoints in one run of maintenance.
const MAX_CHECKPOINTS: usize = 3;

impl Db {
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        let known = self.known().last().copied().unwrap_or(0);
        match self.check_schema().await? {
            SchemaState::Current | SchemaState::NewerCompatible { .. } => {}
            SchemaState::Older { .. } => self.run_migrations().await?,
            SchemaState::NewerIncompatible { newest, needs } => {
                let needs = needs.map_or("a newer version of redialer".to_owned(), |needs| {
                    format!("a version of redialer that knows migration {needs}")
                });
                return Err(StoreError::Schema(format!(
                    "its newest migration is {newest} and needs {needs}; this version knows migrations up to {known}. \
                     Run the newer version, or restore a backup that was made before the upgrade"
                )));
            }
        }
        if let Some(mut connection) = self.connect_apart().await? {
            create_tenant_role(&mut connection).await;
        }
        self.find_tenant_role().await
    }

    async fn run_migrations(&self) -> Result<(), StoreError> {
        match (&self.engine, self.connect_apart().await?) {
            (_, Some(mut connection)) => {
                PG.run(&mut connection).await.map_err(|e| StoreError::Schema(e.to_string()))
            }
            (Engine::Sqlite { file, .. }, _) => migrate_sqlite(&mut SqliteConn::open(file, Mode::Write)?),
            (Engine::Postgres { .. }, None) => Ok(()),
        }
    }

    /// The migrations that this version knows, in order.
    fn known(&self) -> Vec<i64> {
        let migrator = if self.is_postgres() { &PG } else { &LITE };
        migrator.iter().map(|migration| migration.version).collect()
    }

    /// Compares the database's schema with this version's. Writes nothing.
    pub(crate) async fn check_schema(&self) -> Result<SchemaState, StoreError> {
        const COMPATIBLE: &str = "select version, compatible_from from schema_versions";
        let applied = self.applied().await?;
        let mut compatible_from = Vec::new();
        if self.has_table("schema_versions").await? {
            for row in self.read(COMPATIBLE, Args::default()).await? {
                compatible_from.push((row.get("version")?, row.get("compatible_from")?));
            }
        }
        Ok(SchemaState::compare(&self.known(), &applied, &compatible_from))
    }

    /// The applied migrations.
    pub(crate) async fn applied(&self) -> Result<Vec<i64>, StoreError> {
        const APPLIED: &str = "select version from _sqlx_migrations where success";
        if !self.has_table("_sqlx_migrations").await? {
            return Ok(Vec::new());
        }
        let rows = self.read(APPLIED, Args::default()).await?;
        rows.iter().map(|row| row.get("version")).collect()
    }

    async fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        const LITE: &str = "select count(*) as n from sqlite_master where type = 'table' and name = $1";
        const PG: &str =
            "select count(*) as n from pg_tables where schemaname = current_schema() and tablename = $1";
        let sql = if self.is_postgres() { PG } else { LITE };
        let row = self.read_one(sql, args![name]).await?.ok_or(StoreError::Corrupt("count"))?;
        Ok(row.get::<i64>("n")? > 0)
    }

    /// Checks, by trying, whether the role for row-level security exists and this connection may act as it.
    pub(crate) async fn find_tenant_role(&self) -> Result<(), StoreError> {
        const TRY: &str = "set local role redialer_tenant; select 1 from tenants limit 0; select 1 from activity_notices limit 0";
        let Engine::Postgres { guarded, .. } = &self.engine else { return Ok(()) };
        let Some(mut tx) = self.begin_reading(ReaderPool::Hot).await? else { return Ok(()) };
        let may_act = match tx.run(AssertSqlSafe(TRY.to_owned())).await {
            Ok(()) => true,
            Err(StoreError::Unavailable(sqlx::Error::Database(_))) => false,
            Err(error) => return Err(error),
        };
        guarded.store(may_act, Ordering::Relaxed);
        if !may_act {
            tracing::warn!(
                "the role redialer_tenant does not exist or is not granted, so tenants are separated by queries only"
            );
        }
        Ok(())
    }

    /// Whether the database itself isolates tenants' rows.
    pub(crate) fn guards_rows(&self) -> bool {
        matches!(&self.engine, Engine::Postgres { guarded, .. } if guarded.load(Ordering::Relaxed))
    }

    /// Maintenance; see [`crate::Store::maintain`].
    pub(crate) async fn maintain(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite { copier, .. } => copy_log(copier).await,
            Engine::Postgres { analyzed, .. } => self.count(analyzed).await,
        }
    }

    /// Analyzes grown tables before Postgres does so by itself, so that their statements are planned again. A table
    /// that was last analyzed while it was empty would be scanned from end to end, however large it becomes.
    async fn count(&self, counts: &AtomicUsize) -> Result<(), StoreError> {
        const GROWN: &str = "select cast(relname as text) as name from pg_class
             where oid in (to_regclass('inbound_events'), to_regclass('calls'), to_regclass('persons'), to_regclass('chains'),
                     to_regclass('callbacks'), to_regclass('dispatches'))
               and reltuples < 1000 and pg_relation_size(oid) > 262144";
        if counts.load(Ordering::Relaxed) >= MAX_ANALYZE_RUNS {
            return Ok(());
        }
        let grown = self.read(GROWN, Args::default()).await?;
        if !grown.is_empty()
            && let Some(mut connection) = self.connect_apart().await?
        {
            counts.fetch_add(1, Ordering::Relaxed);
            for table in grown {
                let table: String = table.get("name")?;
                connection.execute(AssertSqlSafe(format!("analyze {table}"))).await?;
            }
        }
        Ok(())
    }
}

/// Checkpoints the write-ahead log while others write. SQLite restarts the log from its beginning only after a complete
/// checkpoint, so the next checkpoint copies the commits made during one.
async fn copy_log(copier: &Pool) -> Result<(), StoreError> {
    for _ in 0..MAX_CHECKPOINTS {
        let answer = fetch_once(copier, "pragma wal_checkpoint(passive)", args![]).await?;
        let Some(row) = answer.first() else { break };
        if row.get::<i64>("checkpointed")? == row.get::<i64>("log")? {
            break;
        }
    }
    Ok(())
}

/// Migrates an embedded database to this version, each migration in its own transaction. The migration records have the
/// form that sqlx uses on Postgres.
pub(crate) fn migrate_sqlite(connection: &mut SqliteConn) -> Result<(), StoreError> {
    const TABLE: &str = "create table if not exists _sqlx_migrations (
             version bigint primary key, description text not null,
             installed_on timestamp not null default current_timestamp, success boolean not null,
             checksum blob not null, execution_time bigint not null)";
    const APPLIED: &str = "select success, checksum from _sqlx_migrations where version = ?1";
    const RECORD: &str =
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (?1, ?2, true, ?3, 0)";
    connection.run_script(TABLE)?;
    for migration in LITE.iter() {
        let version = migration.version;
        // Another process may be migrating it too.
        connection.run_script("begin immediate")?;
        let applied = connection.rows(APPLIED, args![version])?;
        if let Some(row) = applied.first() {
            connection.run_script("rollback")?;
            if !row.get::<bool>("success")? || row.get::<Vec<u8>>("checksum")? != *migration.checksum {
                return Err(StoreError::Schema(format!(
                    "its migration {version} is not the one that this version of redialer knows"
                )));
            }
            continue;
        }
        let record = args![version, &*migration.description, migration.checksum.to_vec()];
        let migrated = connection
            .run_script(migration.sql.as_str())
            .and_then(|()| connection.run(RECORD, record, |_| ()))
            .and_then(|_| connection.run_script("commit"));
        if let Err(error) = migrated {
            // SQLite may already have rolled it back.
            let _rolled_back = connection.run_script("rollback");
            return Err(StoreError::Schema(format!("migration {version}: {error}")));
        }
    }
    Ok(())
}

/// Creates the role for row-level security and grants its rights, as far as the current user may.
async fn create_tenant_role(connection: &mut PgConnection) {
    for sql in GUARD {
        if let Err(error) = connection.execute(sql).await {
            // An administrator may have to do it; `find_tenant_role` checks the result.
            tracing::debug!(%error, "a privilege could not be granted to the role redialer_tenant");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_migration_is_used_only_if_it_says_that_it_may_be() {
        let of = |applied: &[i64], compatible: &[(i64, i64)]| {
            SchemaState::compare(&[1, 2, 3], applied, compatible)
        };
        assert_eq!(of(&[], &[]), SchemaState::Older { missing: 3 });
        assert_eq!(of(&[1, 2, 3], &[]), SchemaState::Current);
        assert_eq!(of(&[1, 2, 3, 4], &[(4, 3)]), SchemaState::NewerCompatible { newest: 4 });
        let not = |newest, needs| SchemaState::NewerIncompatible { newest, needs };
        assert_eq!(of(&[1, 2, 3, 4], &[]), not(4, None), "it says nothing");
        assert_eq!(of(&[1, 2, 3, 4, 5], &[(4, 4), (5, 3)]), not(5, Some(4)), "one of two is not");
        assert_eq!(of(&[1, 3, 4], &[(4, 3)]), not(4, Some(3)), "it lacks one of ours");
    }
}
