//! The schema: brought up to this version, looked after, and guarded.
//!
//! Invariant: migrations only go forward, and are the same by name on both engines.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{Executor as _, PgPool, migrate::Migrator};

use crate::{
    StoreError,
    engine::{Args, Conn, Db, Pools},
};

pub(crate) static LITE: Migrator = sqlx::migrate!("migrations/sqlite");
static PG: Migrator = sqlx::migrate!("migrations/postgres");

/// What makes the role of `scope`, and what it may do; each alone, for one may be allowed and another not. Whoever made the role
/// is not yet a member of it that may act as it (Postgres 16), and tables may have come since it was made.
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
        revoke all on _sqlx_migrations, meta, clock, leases, replicas from redialer_tenant;
        revoke insert, update, delete on epochs from redialer_tenant;
        revoke update, delete on audit from redialer_tenant;
    end $$",
];

/// A process that never gets a count worth having stops asking for one.
const MOST_COUNTS: usize = 8;

impl Db {
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Lite { journal, .. } => LITE.run(journal.keeper()).await,
            Pools::Pg { pool, .. } => PG.run(pool).await,
        }
        .map_err(|e| StoreError::Schema(e.to_string()))?;
        self.make_guard().await;
        self.look_for_guard().await
    }

    /// How many migrations there are in the database, and how many this version knows.
    pub(crate) async fn schema(&self) -> Result<(usize, usize), StoreError> {
        const SQL: &str = "select count(*) as n from _sqlx_migrations where success";
        let known = if self.is_postgres() { &PG } else { &LITE };
        let row = self.read_one(SQL, Args::default()).await?.ok_or(StoreError::Corrupt("count"))?;
        let applied: i64 = row.get("n")?;
        Ok((usize::try_from(applied).unwrap_or(0), known.iter().count()))
    }

    /// Makes the role under which tenants' rows are kept apart, and gives it its rights, as far as we may.
    async fn make_guard(&self) {
        let Pools::Pg { pool, .. } = &self.pools else { return };
        for sql in GUARD {
            if let Err(error) = pool.execute(sql).await {
                // Somebody else may have to do it; whether it was done is looked at next.
                tracing::debug!(%error, "a right of the role redialer_tenant could not be given");
            }
        }
    }

    /// Whether there is the role under which tenants' rows are kept apart, and we may act as it: by trying.
    pub(crate) async fn look_for_guard(&self) -> Result<(), StoreError> {
        const TRY: &str =
            "set local role redialer_tenant; select 1 from tenants limit 0; select 1 from notices limit 0";
        let Pools::Pg { guarded, pool, .. } = &self.pools else { return Ok(()) };
        let mut tx = pool.begin().await?;
        let found = match sqlx::raw_sql(TRY).execute(&mut *tx).await {
            Ok(_) => true,
            Err(sqlx::Error::Database(_)) => false,
            Err(error) => return Err(error.into()),
        };
        tx.rollback().await?;
        guarded.store(found, Ordering::Relaxed);
        if !found {
            tracing::warn!(
                "the role redialer_tenant is not there or not ours: tenants' rows are kept apart by statements alone"
            );
        }
        Ok(())
    }

    /// Whether tenants' rows are kept apart by the database itself.
    pub(crate) fn guards_rows(&self) -> bool {
        matches!(&self.pools, Pools::Pg { guarded, .. } if guarded.load(Ordering::Relaxed))
    }

    /// Looks after the database beside whoever works with it.
    pub(crate) async fn tend(&self) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Lite { journal, writer, .. } => journal.tend(writer).await,
            Pools::Pg { pool, counts, .. } => count(pool, counts).await,
        }
    }
}

/// Has Postgres count tables that have grown before it did so by itself: it plans better then.
async fn count(pool: &PgPool, counts: &AtomicUsize) -> Result<(), StoreError> {
    const NEW: &str = "select count(*) as n from pg_class
         where oid in (to_regclass('deliveries'), to_regclass('calls'), to_regclass('persons'),
                 to_regclass('callbacks'), to_regclass('dispatches'))
           and reltuples < 1000 and pg_relation_size(oid) > 262144";
    const COUNT: &str = "analyze deliveries, calls, persons, chains, callbacks, dispatches";
    if counts.load(Ordering::Relaxed) >= MOST_COUNTS {
        return Ok(());
    }
    let mut conn = pool.acquire().await?;
    let rows = Conn::Pg(&mut conn).fetch(NEW, Args::default()).await?;
    if rows.first().map_or(Ok(0_i64), |row| row.get("n"))? > 0 {
        counts.fetch_add(1, Ordering::Relaxed);
        conn.execute(COUNT).await?;
    }
    Ok(())
}
