//! No statement scans a table that grows: each finds its rows by an index.

use std::{
    fs,
    path::{Path, PathBuf},
};

use redialer_core::{callback, rng::Rng};
use redialer_store::{Filter, Kek, Store};
use sqlx::{Connection as _, PgConnection};

use crate::{
    engines::{KEK, new_database, postgres},
    world::{ALL, World, at},
};

/// Tables that grow with use.
const GROWING: [&str; 12] = [
    "audit",
    "idempotency_keys",
    "inbound_events",
    "event_payloads",
    "calls",
    "persons",
    "chains",
    "callbacks",
    "dispatches",
    "suppressions",
    "workspace_numbers",
    "callback_events",
];

/// Statements that may be slow, because people rarely trigger them.
const SELDOM: [&str; 1] = ["workspace_id = ? limit 500)"];

/// Every statement in the store's sources, with unnamed parameters.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for file in files(&folder) {
        let text = fs::read_to_string(file).expect("text");
        let literals = text.split('"').skip(1).step_by(2);
        let is_statement =
            |s: &&str| ["select ", "with ", "update ", "delete "].iter().any(|verb| s.starts_with(verb));
        // A text without a condition is only the beginning of a statement.
        found.extend(literals.filter(is_statement).filter(|s| s.contains(" where ")).map(plain));
    }
    found
}

/// The source files in a folder and its subfolders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

/// Replaces `$1` with `?` and `{rows}` with a single row.
fn plain(sql: &str) -> String {
    let columns = sql.strip_prefix("with v (").and_then(|rest| rest.split(')').next());
    let places = vec!["?"; columns.map_or(1, |names| names.split(',').count())].join(", ");
    let sql = sql.replace("{rows}", &format!("({places})"));
    let mut parts = sql.split('$');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('?');
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

#[tokio::test]
async fn no_statement_scans_a_growing_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    let store = Store::sqlite(&file, Kek::from_bytes([1; 32])).await.expect("opened");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    let connection = rusqlite::Connection::open(&file).expect("opened");
    let mut looked_at = 0;
    for sql in statements().iter().filter(|sql| !SELDOM.iter().any(|s| sql.contains(s))) {
        // A text that SQLite cannot prepare is for Postgres, or only the beginning of a statement.
        let Ok(mut plan) = connection.prepare(&format!("explain query plan {sql}")) else { continue };
        looked_at += 1;
        let steps = plan.raw_query().mapped(|row| row.get::<_, String>("detail"));
        for step in steps.map(|step| step.expect("read")) {
            let walks =
                |table: &str| step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} "));
            // Each of many rows is looked up by index, so the list of rows must be the outer loop.
            let inner = step.contains("VALUES CLAUSE") && !step.starts_with("SCAN");
            let by_bucket_alone = step.ends_with("(bucket=?)") || step.ends_with("(bucket>? AND bucket<?)");
            let of_growing = !step.contains("workspaces") && !step.contains("agents");
            let walked = inner || GROWING.iter().any(|t| walks(t)) || (by_bucket_alone && of_growing);
            assert!(!walked, "{step}: {sql}");
        }
    }
    assert!(looked_at > 60, "only {looked_at} statements were found: they are written otherwise now");
}

/// Many callbacks of one tenant in one state, copied from one.
const MANY: &str = "insert into callbacks (bucket, id, tenant_id, workspace_id, agent_id, channel, chain_id, phone_hash,
    state, reason, attempt, max_attempts, is_final, forced, scheduled_for, due_at, timezone, timezone_source, source_ended_at,
    source_kind, fence, unplaced_tries, sealed, created_at, updated_at)
select bucket, gen_random_uuid(), tenant_id, workspace_id, agent_id, channel, gen_random_uuid(),
    decode(md5(n::text), 'hex'), $1, reason, attempt, max_attempts, is_final, forced, scheduled_for, due_at,
    timezone, timezone_source, source_ended_at, source_kind, fence, unplaced_tries, sealed, created_at + n, updated_at
from callbacks, generate_series(1, 20000) n";

/// A tenant with many callbacks in a state, on Postgres, with the database's URL and a connection to it.
async fn filled(server: &str, state: &str) -> (World, String, PgConnection) {
    let url = new_database(server).await;
    let store = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
    store.migrate(&Rng::seeded([9; 32])).await.expect("migrated");
    let world = World::new(&store, 1).await;
    world.schedule("c1", 60).await;
    let mut conn = PgConnection::connect(&url).await.expect("connected");
    sqlx::query(MANY).bind(state).execute(&mut conn).await.expect("filled");
    sqlx::query("analyze callbacks").execute(&mut conn).await.expect("counted");
    (world, url, conn)
}

/// Ends a store's sessions. Postgres publishes the statistics of a session no later than at its end.
async fn end(store: &Store, conn: &mut PgConnection) {
    store.close().await;
    let others =
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
         and backend_type = 'client backend'";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut *conn).await.expect("read") > 0 {}
}

#[tokio::test]
async fn each_list_uses_its_own_index_on_postgres() {
    let Some(server) = postgres() else { return };
    let (world, _, mut conn) = filled(&server, "completed").await;
    let (of, first) = (world.tenant_store(), crate::world::end());
    let of_state = Filter { states: vec![callback::State::Dialing], ..Filter::default() };
    let of_person = Filter { phone_hash: Some([7; 16]), ..Filter::default() };
    for filter in [of_state, of_person] {
        assert!(of.callbacks(&filter, first, 10).await.expect("listed").is_empty());
    }
    assert!(of.attention(None, first, 10).await.expect("listed").is_empty());
    end(&world.store, &mut conn).await;
    let used = "select indexrelname::text from pg_stat_user_indexes where idx_scan > 0 and indexrelname
             in ('callbacks_attention', 'callbacks_of_state', 'callbacks_of_person') order by 1";
    let used: Vec<String> = sqlx::query_scalar(used).fetch_all(&mut conn).await.expect("read");
    assert_eq!(used, ["callbacks_attention", "callbacks_of_person", "callbacks_of_state"]);
}

/// The number of callbacks read so far, from the table or an index.
async fn callbacks_read(conn: &mut PgConnection) -> i64 {
    // The session's own reads are published only now and then, and could be counted later as those of the store.
    sqlx::query("select pg_stat_force_next_flush()").execute(&mut *conn).await.expect("published");
    let sql = "select cast(coalesce(sum(i.idx_tup_read), 0) + max(t.seq_tup_read) as bigint)
         from pg_stat_user_tables t join pg_stat_user_indexes i using (relid) where t.relname = 'callbacks'";
    sqlx::query_scalar(sql).fetch_one(conn).await.expect("read")
}

#[tokio::test]
async fn frequent_queries_read_no_waiting_callback_on_postgres() {
    let Some(server) = postgres() else { return };
    let (world, url, mut conn) = filled(&server, "scheduled").await;
    end(&world.store, &mut conn).await;
    let pause = "update workspaces set paused = $1, paused_at = 0, probe_at = 9000000000000";
    let (ahead, past) =
        ("update callbacks set due_at = 9000000000000", "update callbacks set due_at = 0, scheduled_for = 0");
    for (waits_for, sql, paused) in
        [("its moment", ahead, None), ("its workspace", past, Some("key")), ("those before it", past, None)]
    {
        sqlx::query(sql).execute(&mut conn).await.expect("set");
        sqlx::query(pause).bind(paused).execute(&mut conn).await.expect("set");
        // Vacuumed after the writes, the table is in the state that it would have days later.
        sqlx::query("vacuum analyze callbacks").execute(&mut conn).await.expect("cleaned");
        let before = callbacks_read(&mut conn).await;
        let store = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
        let due = store.due(ALL, at(10), 50, 100).await.expect("read");
        assert_eq!(due.rows.len(), if waits_for == "those before it" { 50 } else { 0 }, "{waits_for}");
        store.stuck(ALL, at(1_000), 1).await.expect("counted");
        store.recover(ALL, 1_000, at(10), 1).await.expect("recovered");
        store.over_quota(ALL, at(10)).await.expect("read");
        // The census counts due callbacks, by their index alone, because a gauge shows their number.
        if waits_for == "its moment" {
            store.census(ALL, at(10)).await.expect("counted");
        }
        end(&store, &mut conn).await;
        let read = callbacks_read(&mut conn).await - before;
        assert!(read < 2_000, "waiting for {waits_for}: {read} callbacks were read");
    }
}
