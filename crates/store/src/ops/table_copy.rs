//! Copies every table between Postgres and a backup file, which have the same tables and columns.

use std::mem;

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgRow};
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    StoreError,
    db::{
        bulk_sql::type_of,
        postgres_query,
        sqlite::{SqliteConn, SqliteRow},
        values::{Args, Column as Values, Value},
    },
};

/// A column, with an empty list of values that gives their type.
struct Column {
    name: String,
    none: Values,
}

/// Every table and its columns; both engines have the same (a test checks this).
async fn tables(pg: &mut PgConnection) -> Result<Vec<(String, Vec<Column>)>, sqlx::Error> {
    const SQL: &str = "select table_name::text, column_name::text, data_type::text from information_schema.columns
         where table_schema = current_schema() and table_name <> '_sqlx_migrations' order by 1, ordinal_position";
    let mut tables: Vec<(String, Vec<Column>)> = Vec::new();
    let rows: Vec<(String, String, String)> = sqlx::query_as(SQL).fetch_all(pg).await?;
    for (table, name, kind) in rows {
        let none = match kind.as_str() {
            "bigint" => Values::Int(Vec::new()),
            "boolean" => Values::Bool(Vec::new()),
            "uuid" => Values::Uuid(Vec::new()),
            "bytea" => Values::Blob(Vec::new()),
            _ => Values::Text(Vec::new()),
        };
        match tables.last_mut() {
            Some((last, columns)) if *last == table => columns.push(Column { name, none }),
            _ => tables.push((table, vec![Column { name, none }])),
        }
    }
    Ok(tables)
}

/// The maximum number of rows that one statement inserts into Postgres.
const BATCH_ROWS: usize = 2_000;
const BATCH_BYTES: usize = 4 << 20;

fn names(columns: &[Column]) -> String {
    columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn select_from(table: &str, columns: &[Column]) -> String {
    format!("select {} from {table}", names(columns))
}

fn insert_into(table: &str, columns: &[Column]) -> String {
    let places: Vec<_> = (1..=columns.len()).map(|i| format!("?{i}")).collect();
    format!("insert into {table} ({}) values ({})", names(columns), places.join(", "))
}

/// Copies each table with one query, row by row.
pub(crate) async fn copy_out(pg: &mut PgConnection, to: &mut SqliteConn) -> Result<(), sqlx::Error> {
    let mut tx = pg.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    for (table, columns) in tables(&mut tx).await? {
        let (all, put) = (select_from(&table, &columns), insert_into(&table, &columns));
        to.control("begin immediate")?;
        // Migrations insert rows of their own.
        to.run(&format!("delete from {table}"), Args::default(), |_| ())?;
        // Names of tables and columns come from our own schema, never from input.
        let mut rows = sqlx::query(AssertSqlSafe(all)).fetch(&mut *tx);
        while let Some(row) = rows.try_next().await? {
            let values = columns.iter().enumerate().map(|(i, column)| value(&row, i, column));
            to.run(&put, Args(values.collect::<Result<_, _>>()?), |_| ())?;
        }
        drop(rows);
        to.control("commit")?;
    }
    tx.commit().await
}

fn value(row: &PgRow, i: usize, column: &Column) -> Result<Value, sqlx::Error> {
    Ok(match column.none {
        Values::Int(_) => Value::Int(row.try_get(i)?),
        Values::Bool(_) => Value::Bool(row.try_get(i)?),
        Values::Text(_) => Value::Text(row.try_get(i)?),
        Values::Uuid(_) => Value::Uuid(row.try_get(i)?),
        Values::Blob(_) => Value::Blob(row.try_get(i)?),
    })
}

/// Copies every row within a transaction. Each table is read with one query, in storage order, and written in batches.
pub(crate) async fn copy_in(mut from: SqliteConn, tx: &mut PgConnection) -> Result<(), StoreError> {
    for (table, columns) in tables(&mut *tx).await? {
        sqlx::query(AssertSqlSafe(format!("delete from {table}"))).execute(&mut *tx).await?;
        let insert = insert_arrays(&table, &columns);
        // Reads on a thread of its own, at most two batches ahead of the writes.
        let (sender, mut batches) = mpsc::channel(1);
        let reader = spawn_blocking(move || {
            let read = read_batches(&mut from, &table, &columns, &sender);
            (from, read)
        });
        while let Some(batch) = batches.recv().await {
            batch.insert(&insert, &mut *tx).await?;
        }
        let (connection, read) = reader.await.map_err(|_| StoreError::Corrupt("backup"))?;
        read?;
        from = connection;
    }
    Ok(())
}

/// Reads a table and sends its rows in batches. Ends early if the receiver is gone.
fn read_batches(
    from: &mut SqliteConn,
    table: &str,
    columns: &[Column],
    batches: &mpsc::Sender<Batch>,
) -> Result<(), sqlx::Error> {
    let mut batch = Batch::new(columns);
    let mut pushed = Ok(());
    from.run(&select_from(table, columns), Args::default(), |row| {
        if pushed.is_ok() {
            pushed = batch.push(&row, columns);
        }
        if batch.is_full() {
            let full = mem::replace(&mut batch, Batch::new(columns));
            if batches.blocking_send(full).is_err() {
                pushed = Err(sqlx::Error::WorkerCrashed);
            }
        }
    })?;
    pushed?;
    if batch.rows > 0 {
        batches.blocking_send(batch).map_err(|_| sqlx::Error::WorkerCrashed)?;
    }
    Ok(())
}

/// The statement that inserts a batch into Postgres: one array per column.
fn insert_arrays(table: &str, columns: &[Column]) -> String {
    let arrays = columns.iter().enumerate().map(|(i, c)| format!("${}::{}[]", i + 1, type_of(&c.none)));
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    format!("insert into {table} ({}) select * from unnest({arrays})", names(columns))
}

/// Rows to insert into a Postgres table, column by column.
struct Batch {
    columns: Vec<Values>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    fn new(columns: &[Column]) -> Self {
        Self { columns: columns.iter().map(|c| c.none.clone()).collect(), rows: 0, bytes: 0 }
    }

    fn push(&mut self, row: &SqliteRow, columns: &[Column]) -> Result<(), sqlx::Error> {
        for (values, Column { name, .. }) in self.columns.iter_mut().zip(columns) {
            self.bytes += 16;
            match values {
                Values::Int(values) => values.push(row.get(name)?),
                Values::Bool(values) => values.push(row.get(name)?),
                Values::Uuid(values) => values.push(row.get(name)?),
                Values::Text(values) => {
                    let text: Option<String> = row.get(name)?;
                    self.bytes += text.as_ref().map_or(0, String::len);
                    values.push(text);
                }
                Values::Blob(values) => {
                    let blob: Option<Vec<u8>> = row.get(name)?;
                    self.bytes += blob.as_ref().map_or(0, Vec::len);
                    values.push(blob);
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    const fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    async fn insert(self, sql: &str, pg: &mut PgConnection) -> Result<(), sqlx::Error> {
        let values = self.columns.into_iter().map(Value::Column).collect();
        postgres_query(AssertSqlSafe(sql.to_owned()), values).execute(pg).await.map(|_| ())
    }
}
