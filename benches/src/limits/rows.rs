//! Limits: sealed bodies as rows, one commit per group, in SQLite (one writer) or Postgres (four).

use std::{path::Path, sync::Arc};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::{
    Mutex,
    mpsc::{self, Receiver, Sender},
};

use super::web::{GROUP, Item, WAITING};

const WRITERS: usize = 4;

/// Opens a SQLite file with the product's durability settings.
pub(super) fn sqlite(dir: &Path) -> anyhow::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(dir.join("inbox.db"))?;
    connection.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full;
         create table if not exists inbox (id blob primary key, dedup text unique, body blob not null)",
    )?;
    Ok(connection)
}

/// Writes a group in one transaction.
fn write(connection: &mut rusqlite::Connection, group: &[Item]) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    {
        let mut insert = tx.prepare_cached("insert into inbox (id, dedup, body) values (?1, ?2, ?3)")?;
        for item in group {
            insert.execute((item.id, &item.dedup, &item.sealed))?;
        }
    }
    tx.commit()
}

pub(super) fn start_sqlite(dir: &Path) -> anyhow::Result<Sender<Item>> {
    let mut connection = sqlite(dir)?;
    let (sender, mut receiver) = mpsc::channel::<Item>(WAITING);
    std::thread::spawn(move || {
        let mut group = Vec::with_capacity(GROUP);
        while receiver.blocking_recv_many(&mut group, GROUP) > 0 {
            let written = write(&mut connection, &group);
            tell(written.is_ok(), group.drain(..).map(|item| item.kept).collect());
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

/// Confirms each waiting request if its group was written. A dropped sender signals failure.
fn tell(kept: bool, waiters: Vec<tokio::sync::oneshot::Sender<()>>) {
    for waiter in waiters.into_iter().filter(|_| kept) {
        // The client may have disconnected.
        let _told = waiter.send(());
    }
}
