//! Limits: sealed bodies as rows, a group a statement, in SQLite (one writer) or Postgres (four).

use std::{path::Path, sync::Arc};

use sqlx::{
    Connection as _, Executor as _, PgConnection, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{
    Mutex,
    mpsc::{self, Receiver, Sender},
};

use super::web::{GROUP, Item, WAITING};

const WRITERS: usize = 4;

/// The file, as durable as the product's.
pub(super) async fn sqlite(dir: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(dir.join("inbox.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .statement_cache_capacity(GROUP);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let table =
        "create table if not exists inbox (id blob primary key, dedup text unique, body blob not null)";
    connection.execute(table).await?;
    Ok(connection)
}

pub(super) async fn start_sqlite(dir: &Path) -> anyhow::Result<Sender<Item>> {
    let mut connection = sqlite(dir).await?;
    let (sender, mut receiver) = mpsc::channel::<Item>(WAITING);
    tokio::spawn(async move {
        let mut group = Vec::with_capacity(GROUP);
        while receiver.recv_many(&mut group, GROUP).await > 0 {
            let mut sql: QueryBuilder<Sqlite> = QueryBuilder::new("insert into inbox (id, dedup, body) ");
            let (rows, kept): (Vec<_>, Vec<_>) =
                group.drain(..).map(|i| ((i.id.to_vec(), i.dedup, i.sealed), i.kept)).unzip();
            sql.push_values(rows, |mut row, (id, dedup, sealed)| {
                row.push_bind(id).push_bind(dedup).push_bind(sealed);
            });
            tell(sql.build().execute(&mut connection).await.is_ok(), kept);
        }
    });
    Ok(sender)
}

pub(super) async fn start_postgres(url: &str) -> anyhow::Result<Sender<Item>> {
    let (sender, receiver) = mpsc::channel::<Item>(WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    for i in 0..WRITERS {
        let mut connection = PgConnection::connect(url).await?;
        if i == 0 {
            let table = "create table inbox (id bytea primary key, dedup text unique, body bytea not null)";
            connection.execute(table).await?;
            connection.execute("alter table inbox alter column body set storage external").await?;
        }
        tokio::spawn(insert(connection, Arc::clone(&receiver)));
    }
    Ok(sender)
}

async fn insert(mut connection: PgConnection, receiver: Arc<Mutex<Receiver<Item>>>) {
    const SQL: &str =
        "insert into inbox (id, dedup, body) select * from unnest($1::bytea[], $2::text[], $3::bytea[])";
    let mut group = Vec::with_capacity(GROUP);
    loop {
        if receiver.lock().await.recv_many(&mut group, GROUP).await == 0 {
            return;
        }
        let (mut ids, mut keys, mut bodies, mut kept) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for item in group.drain(..) {
            ids.push(item.id.to_vec());
            keys.push(item.dedup);
            bodies.push(item.sealed);
            kept.push(item.kept);
        }
        let done = sqlx::query(SQL).bind(&ids).bind(&keys).bind(&bodies).execute(&mut connection).await;
        tell(done.is_ok(), kept);
    }
}

/// Tells each waiter; dropping the senders tells them that it failed.
fn tell(kept: bool, waiters: Vec<tokio::sync::oneshot::Sender<()>>) {
    for waiter in waiters.into_iter().filter(|_| kept) {
        // A client that left does not want to know.
        let _told = waiter.send(());
    }
}
