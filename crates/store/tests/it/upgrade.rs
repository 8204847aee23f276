//! A database of an earlier version is brought up to this one, with what it holds.

use std::{fs, path::Path};

use redialer_core::chance::Chance;
use redialer_store::{Kek, Store};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection,
    migrate::Migrator,
};

use crate::engines::{KEK, new_database, postgres};

/// The migrations of a version, as its program had them.
async fn before(engine: &str, last: &str) -> Migrator {
    let dir = tempfile::tempdir().expect("a directory");
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
    for entry in fs::read_dir(all).expect("listed").map(|entry| entry.expect("an entry")) {
        let name = entry.file_name();
        if name.as_encoded_bytes() <= last.as_bytes() {
            fs::copy(entry.path(), dir.path().join(name)).expect("copied");
        }
    }
    Migrator::new(dir.path()).await.expect("read")
}

/// Version 2: one call that is decided, one of whose events only its start and a fetched end are there, and an event
/// of no moment. `$id` stands for sixteen bytes.
const ROWS: &str = "
insert into calls (bucket, workspace_id, call_id, tenant_id, settled, analyzed, seen_at) values (1, $id, 'c1', $id, true, false, 5);
insert into deliveries (bucket, id, tenant_id, workspace_id, agent_id, dedup_key, event, call_id, state, tries, try_at, notes, received_at) values
 (1, $1d, $id, $id, $id, 'call_ended:c1', 'call_ended', 'c1', 'done', 0, 1, '', 1),
 (1, $2d, $id, $id, $id, 'call_analyzed:c1', 'call_analyzed', 'c1', 'pending', 0, 2, '', 2),
 (1, $3d, $id, $id, $id, 'chat_started:c2', 'chat_started', 'c2', 'done', 0, 3, '', 3),
 (1, $4d, $id, $id, $id, 'fetched:chat_ended:c2', 'chat_ended', 'c2', 'done', 0, 4, '', 4),
 (1, $5d, $id, $id, $id, 'transfer_started#00ff', 'transfer_started', 'c2', 'done', 0, 5, '', 5);
insert into persons (bucket, workspace_id, person_ix, tenant_id, seq, reached_at) values (1, $id, $id, $id, 7, 9);";

const CALLS: &str = "select call_id, events, seq from calls order by call_id";
const ODD: &str = "select dedup_key from odd_deliveries";
const LEFT: &str = "select count(*) as n from deliveries where state = 'pending'";

fn rows(id: impl Fn(char) -> String) -> String {
    let digits = ['1', '2', '3', '4', '5'];
    let text = digits.iter().fold(ROWS.to_owned(), |text, d| text.replace(&format!("${d}d"), &id(*d)));
    text.replace("$id", &id('0'))
}

macro_rules! told {
    ($conn:expr) => {{
        let calls = sqlx::query(CALLS).fetch_all(&mut $conn).await.expect("read");
        let calls: Vec<(String, i64, i64)> = calls.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect();
        let odd: String = sqlx::query(ODD).fetch_one(&mut $conn).await.expect("read").get(0);
        let left: i64 = sqlx::query(LEFT).fetch_one(&mut $conn).await.expect("read").get(0);
        let seq: i64 =
            sqlx::query("select seq from persons").fetch_one(&mut $conn).await.expect("read").get(0);
        (calls, odd, left, seq)
    }};
}

fn expected() -> (Vec<(String, i64, i64)>, String, i64, i64) {
    let calls = vec![("c1".to_owned(), 2 + 4, 1), ("c2".to_owned(), 1 + 16, 1)];
    (calls, "transfer_started#00ff".to_owned(), 1, 7)
}

#[tokio::test]
async fn what_version_two_held_is_known_to_this_one_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    let mut conn =
        SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", file.display())).await.expect("opened");
    before("sqlite", "0002_recovery.sql").await.run(&mut conn).await.expect("migrated");
    let sql = rows(|d| format!("x'{}'", d.to_string().repeat(32)));
    conn.execute(AssertSqlSafe(sql)).await.expect("filled");
    let store = Store::sqlite(&file, Kek::of(KEK)).await.expect("opened");
    store.migrate(&Chance::seeded([1; 32])).await.expect("migrated");
    assert_eq!(told!(conn), expected());
}

#[tokio::test]
async fn what_version_two_held_is_known_to_this_one_on_postgres() {
    let Some(server) = postgres() else { return };
    let url = new_database(&server).await;
    let mut conn = PgConnection::connect(&url).await.expect("connected");
    before("postgres", "0002_recovery.sql").await.run(&mut conn).await.expect("migrated");
    let id = |d: char| format!("'{}'::uuid", d.to_string().repeat(32));
    // The index of a number is no id.
    let sql = rows(id).replace(
        &format!("values (1, {0}, {0}, {0}, 7, 9)", id('0')),
        &format!("values (1, {0}, '\\x00', {0}, 7, 9)", id('0')),
    );
    conn.execute(AssertSqlSafe(sql)).await.expect("filled");
    let store = Store::postgres(&url, Kek::of(KEK)).await.expect("connected");
    store.migrate(&Chance::seeded([1; 32])).await.expect("migrated");
    assert_eq!(told!(conn), expected());
}
