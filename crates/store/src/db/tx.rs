//! A transaction: statements, then a commit that also advances the cache generation and signals what may be due sooner.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor as _};

use crate::{
    StoreError,
    db::{
        Args, Db, Row, Value,
        bulk_sql::{self, RowValues},
        due_signal::DueSignal,
        failpoints::{FailPoint, SharedFaults, Verdict},
        pool::{Conn, Guard, in_time},
        query::replace_if_broken,
        ttl_cache::Generation,
        writer_health::WriterHealth,
    },
};

/// The table that a statement writes to, if the statement begins with the verb.
fn written_table(sql: &str) -> Option<&str> {
    let rest = ["update ", "insert into ", "delete from "].iter().find_map(|verb| sql.strip_prefix(verb))?;
    rest.split([' ', '\n', '(']).next()
}

/// An open transaction. Dropped without [`Tx::commit`], it changes nothing.
pub(crate) struct Tx {
    guard: Guard,
    /// Where to record the outcome of writes; `None` for a transaction that only reads.
    writer_health: Option<Arc<WriterHealth>>,
    /// Whether a statement without result rows ran, which is taken as a write.
    wrote: bool,
    /// The earliest due time, in milliseconds, that this transaction creates.
    due: Option<i64>,
    due_signal: Arc<DueSignal>,
    /// Whether it wrote to one of the cached tables.
    wrote_cached: bool,
    cached_tables: &'static [&'static str],
    generation: Generation,
    faults: SharedFaults,
}

impl Tx {
    pub(crate) fn writing(guard: Guard, db: &Db) -> Self {
        Self {
            writer_health: Some(Arc::clone(&db.writer_health)),
            faults: db.faults.clone(),
            ..Self::reading(guard, db)
        }
    }

    pub(crate) fn reading(guard: Guard, db: &Db) -> Self {
        Self {
            guard,
            writer_health: None,
            wrote: false,
            due: None,
            due_signal: Arc::clone(&db.due_signal),
            wrote_cached: false,
            cached_tables: db.cached_tables,
            generation: db.generation.clone(),
            faults: None,
        }
    }

    /// Runs statements without parameters, on Postgres only.
    pub(crate) async fn run(&mut self, sql: AssertSqlSafe<String>) -> Result<(), StoreError> {
        if let Conn::Postgres(connection) = self.guard.connection()? {
            let run = in_time(connection.execute(sqlx::raw_sql(sql))).await.map_err(StoreError::from);
            return self.noted(run).map(|_| ());
        }
        Ok(())
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let sql = self.planted(sql);
        self.execute_text(sql, args).await
    }

    /// Returns the statement, or the one that a test plants instead.
    fn planted(&self, sql: &'static str) -> &'static str {
        self.faults.as_ref().map_or(sql, |faults| faults.sql(sql))
    }

    async fn execute_text(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        self.wrote = true;
        self.note_write(sql);
        let executed = self.guard.connection()?.execute(sql, args).await;
        self.noted(executed)
    }

    fn note_write(&mut self, sql: &str) {
        self.wrote_cached |= written_table(sql).is_some_and(|table| self.cached_tables.contains(&table));
    }

    /// Records the error of a statement, if it failed.
    fn noted<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &done {
            replace_if_broken(&mut self.guard, error);
            if let Some(writer_health) = &self.writer_health {
                writer_health.wrote(Err(error));
            }
        }
        done
    }

    pub(crate) async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        let sql = self.planted(sql);
        self.fetch_text(sql, args).await
    }

    async fn fetch_text(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        self.note_write(sql);
        let fetched = self.guard.connection()?.fetch(sql, args).await;
        self.noted(fetched)
    }

    pub(crate) async fn fetch_one(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// Runs a statement over many rows (see `bulk_sql`); returns the number of changed rows.
    pub(crate) async fn execute_rows(
        &mut self,
        base: &'static str,
        head: Vec<Value>,
        rows: Vec<RowValues>,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        for (sql, args) in self.statements(base, &head, rows)? {
            changed += self.execute_text(sql, args).await?;
        }
        Ok(changed)
    }

    /// Same as [`Tx::execute_rows`]; returns the result rows, in any order.
    pub(crate) async fn fetch_rows(
        &mut self,
        base: &'static str,
        head: Vec<Value>,
        rows: Vec<RowValues>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut results = Vec::new();
        for (sql, args) in self.statements(base, &head, rows)? {
            results.append(&mut self.fetch_text(sql, args).await?);
        }
        Ok(results)
    }

    /// The statements that run `base` over the rows; none if there are no rows.
    fn statements(
        &mut self,
        base: &'static str,
        head: &[Value],
        rows: Vec<RowValues>,
    ) -> Result<Vec<(&'static str, Args)>, StoreError> {
        let base = self.planted(base);
        Ok(bulk_sql::statements(self.is_postgres()?, base, head, rows))
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let committed = self.try_commit().await;
        if let Some(writer_health) = self.writer_health.as_ref().filter(|_| self.wrote || committed.is_err())
        {
            writer_health.wrote(committed.as_ref().copied());
        }
        committed
    }

    async fn try_commit(&mut self) -> Result<(), StoreError> {
        if let Some(faults) = &self.faults {
            match faults.at(FailPoint::BeforeCommit).await {
                Verdict::Go => {}
                Verdict::Fail => return Err(StoreError::Injected),
                Verdict::Pretend => return Ok(()),
            }
        }
        self.guard.commit().await?;
        if self.wrote_cached {
            self.generation.next();
        }
        if let Some(due_ms) = self.due {
            self.due_signal.note(due_ms);
        }
        match &self.faults {
            Some(faults) if faults.at(FailPoint::AfterCommit).await == Verdict::Fail => {
                Err(StoreError::Injected)
            }
            _ => Ok(()),
        }
    }

    /// Notes that something is due at `due_ms`, in milliseconds since 1970.
    pub(crate) fn note_due(&mut self, due_ms: i64) {
        self.due = Some(self.due.map_or(due_ms, |earlier| earlier.min(due_ms)));
    }

    /// Notes that waiting callbacks may be due now.
    pub(crate) fn note_due_now(&mut self) {
        self.note_due(i64::MIN);
    }

    pub(crate) fn is_postgres(&mut self) -> Result<bool, StoreError> {
        Ok(matches!(self.guard.connection()?, Conn::Postgres(_)))
    }
}
