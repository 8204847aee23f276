//! A fresh database of each engine for each test.

use std::{path::Path, sync::Once};

use redialer_core::rng::Rng;
use redialer_store::{Kek, Store};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// A store to test, and the resources that must outlive it.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) store: Store,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) url: Option<String>,
}

/// A connection separate from the store's own.
pub(crate) enum RawConnection {
    Sqlite(rusqlite::Connection),
    Postgres(PgConnection),
}

impl RawConnection {
    /// Opens a file, and creates it if it does not exist.
    pub(crate) fn sqlite(file: &Path) -> Self {
        Self::Sqlite(rusqlite::Connection::open(file).expect("opened"))
    }

    pub(crate) async fn postgres(url: &str) -> Self {
        Self::Postgres(PgConnection::connect(url).await.expect("connected"))
    }

    /// Runs statements; returns how many rows the last one changed.
    pub(crate) async fn run(&mut self, sql: &str) -> u64 {
        match self {
            Self::Sqlite(connection) => {
                connection.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
                connection.changes()
            }
            Self::Postgres(connection) => {
                let done = connection.execute(AssertSqlSafe(sql.to_owned())).await;
                done.unwrap_or_else(|error| panic!("{error}: {sql}")).rows_affected()
            }
        }
    }

    /// The first column of each row, as text.
    pub(crate) async fn texts(&mut self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(sql).expect("prepared");
                let rows = statement.query_map([], |row| row.get(0)).expect("read");
                rows.collect::<Result<_, _>>().expect("read")
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
                query.fetch_all(connection).await.expect("read")
            }
        }
    }
}

impl Engine {
    /// A connection to the same database.
    pub(crate) async fn connection(&self) -> RawConnection {
        match &self.url {
            Some(url) => RawConnection::postgres(url).await,
            None => RawConnection::sqlite(&self.dir.path().join("test.db")),
        }
    }
}

pub(crate) const KEK: [u8; 32] = [42; 32];

/// The test database server, if one is configured.
pub(crate) fn postgres() -> Option<String> {
    static SAY: Once = Once::new();
    let url = std::env::var("REDIALER_TEST_POSTGRES").ok();
    if url.is_none() {
        SAY.call_once(|| eprintln!("REDIALER_TEST_POSTGRES is not set: the suite runs on SQLite alone"));
    }
    url
}

/// Creates an empty database on the test server; returns its URL.
pub(crate) async fn new_database(server: &str) -> String {
    let name = format!("t_{}", uuid::Uuid::from_bytes(random()).simple());
    let mut admin =
        PgConnection::connect(&format!("{server}/postgres")).await.expect("the test server answers");
    sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.expect("created");
    format!("{server}/{name}")
}

/// Random enough for distinct names of test databases.
fn random() -> [u8; 16] {
    let address = Box::new(0_u8);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(std::ptr::from_ref(&*address) as usize).to_le_bytes());
    seed[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    let dir = tempfile::tempdir().expect("a directory");
    for (byte, of) in seed[12..].iter_mut().zip(dir.path().as_os_str().as_encoded_bytes().iter().rev()) {
        *byte = *of;
    }
    Rng::seeded(seed).bytes()
}

/// A migrated store for each available engine.
pub(crate) async fn each() -> Vec<Engine> {
    let rng = Rng::seeded([9; 32]);
    let dir = tempfile::tempdir().expect("a directory");
    let lite = Store::sqlite(&dir.path().join("test.db"), Kek::from_bytes(KEK)).await.expect("opened");
    let mut engines = vec![Engine { name: "sqlite", store: lite, dir, url: None }];
    if let Some(server) = postgres() {
        let url = new_database(&server).await;
        let pg = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
        let dir = tempfile::tempdir().expect("a directory");
        engines.push(Engine { name: "postgres", store: pg, dir, url: Some(url) });
    }
    for engine in &engines {
        engine.store.migrate(&rng).await.expect("migrated");
        engine.store.migrate(&rng).await.expect("migrating twice changes nothing");
    }
    engines
}

#[tokio::test]
async fn both_engines_have_the_same_columns() {
    let Some(server) = postgres() else { return };
    let url = new_database(&server).await;
    Store::postgres(&url, Kek::from_bytes(KEK))
        .await
        .expect("connected")
        .migrate(&Rng::seeded([9; 32]))
        .await
        .expect("migrated");
    let sql = "select table_name || '.' || column_name || ' ' || data_type || ' ' || (is_nullable = 'NO')
         from information_schema.columns where table_schema = 'public' and table_name <> '_sqlx_migrations' order by 1";
    let theirs = RawConnection::postgres(&url).await.texts(sql).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    Store::sqlite(&file, Kek::from_bytes(KEK))
        .await
        .expect("opened")
        .migrate(&Rng::seeded([9; 32]))
        .await
        .expect("migrated");
    let sql =
        "select m.name || '.' || c.name || ' ' || lower(c.type) || ' ' || iif(c.\"notnull\", 'true', 'false')
         from sqlite_master m join pragma_table_info(m.name) c
         where m.type = 'table' and m.name <> '_sqlx_migrations' and m.name not like 'sqlite_%' order by 1";
    let ours = RawConnection::sqlite(&file).texts(sql).await;
    let portable = |kind: &str| match kind {
        "bigint" | "boolean" | "integer" => "integer",
        "uuid" | "bytea" | "blob" => "blob",
        _ => "text",
    };
    let plain = |columns: &[String]| -> Vec<String> {
        let plain = columns.iter().map(|column| {
            let [name, kind, required] = column.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{column}: a name, a type and whether it is required")
            };
            format!("{name} {} {required}", portable(kind))
        });
        let mut plain: Vec<String> = plain.collect();
        plain.sort();
        plain
    };
    assert!(!ours.is_empty());
    assert_eq!(plain(&ours), plain(&theirs));
}
