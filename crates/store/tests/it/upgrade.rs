//! Migrates a database of an earlier version, with its data, to this version.

use std::{
    fs,
    path::{Path, PathBuf},
};

use redialer_core::{Id, callback::State, rng::Rng, settings::WorkspaceSettings, tenant::Plan};
use redialer_store::{BackupError, Filter, Kek, SchemaState, Store, restore_file};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;

use crate::{
    engines::{Engine, KEK, RawConnection, each, new_database, postgres},
    world::{NUMBER, World, at, end},
};

/// The migrations of an engine up to `last`.
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

/// Creates a database of the version whose last migration is `last`.
async fn database_of(connection: &mut RawConnection, last: &str) {
    const TABLE: &str = "create table _sqlx_migrations (
             version bigint primary key, description text not null,
             installed_on timestamp not null default current_timestamp, success boolean not null,
             checksum blob not null, execution_time bigint not null)";
    const RECORD: &str =
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (?1, ?2, true, ?3, 0)";
    match connection {
        RawConnection::Postgres(connection) => {
            before("postgres", last).await.run(connection).await.expect("migrated");
        }
        // The same as sqlx, with which earlier versions opened SQLite.
        RawConnection::Sqlite(connection) => {
            connection.execute_batch(TABLE).expect("created");
            for migration in before("sqlite", last).await.iter() {
                connection.execute_batch(migration.sql.as_str()).expect("migrated");
                let record = (migration.version, &*migration.description, &*migration.checksum);
                connection.execute(RECORD, record).expect("recorded");
            }
        }
    }
}

/// Version 2: a call that is decided, a call with only its start and a fetched end, an event without a call
/// phase, and an event that failed too often.
/// `$id` stands for sixteen bytes.
const ROWS: &str = "
insert into calls (bucket, workspace_id, call_id, tenant_id, settled, analyzed, seen_at) values (1, $id, 'c1', $id, true, false, 5);
insert into deliveries (bucket, id, tenant_id, workspace_id, agent_id, dedup_key, event, call_id, state, tries, try_at, notes, received_at) values
 (1, $1d, $id, $id, $id, 'call_ended:c1', 'call_ended', 'c1', 'done', 0, 1, '', 1),
 (1, $2d, $id, $id, $id, 'call_analyzed:c1', 'call_analyzed', 'c1', 'pending', 0, 2, '', 2),
 (1, $3d, $id, $id, $id, 'chat_started:c2', 'chat_started', 'c2', 'done', 0, 3, '', 3),
 (1, $4d, $id, $id, $id, 'fetched:chat_ended:c2', 'chat_ended', 'c2', 'done', 0, 4, '', 4),
 (1, $5d, $id, $id, $id, 'transfer_started#00ff', 'transfer_started', 'c2', 'done', 0, 5, '', 5),
 (1, $6d, $id, $id, $id, 'call_analyzed:c3', 'call_analyzed', 'c3', 'aside', 5, 6, '', 6);
insert into persons (bucket, workspace_id, person_ix, tenant_id, seq, reached_at) values (1, $id, $id, $id, 7, 9);";

/// The expected rows after the upgrade: the calls, the number of pending events, the quarantined event, and the
/// person's version.
const KNOWN: [(&str, &[&str]); 4] = [
    ("select call_id from calls order by call_id", &["c1", "c2", "c3"]),
    ("select cast(count(*) as text) from inbound_events where state = 'pending'", &["1"]),
    ("select call_id from inbound_events where state = 'quarantined'", &["c3"]),
    ("select cast(version as text) from persons", &["7"]),
];

fn rows(id: impl Fn(char) -> String) -> String {
    let digits = ['1', '2', '3', '4', '5', '6'];
    let text = digits.iter().fold(ROWS.to_owned(), |text, d| text.replace(&format!("${d}d"), &id(*d)));
    text.replace("$id", &id('0'))
}

async fn assert_known(mut connection: RawConnection) {
    for (sql, expected) in KNOWN {
        assert_eq!(connection.texts(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn data_of_version_2_is_migrated_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    let mut connection = RawConnection::sqlite(&file);
    database_of(&mut connection, "0002_recovery.sql").await;
    connection.run(&rows(|d| format!("x'{}'", d.to_string().repeat(32)))).await;
    let store = Store::sqlite(&file, Kek::from_bytes(KEK)).await.expect("opened");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    assert_known(connection).await;
}

#[tokio::test]
async fn data_of_version_2_is_migrated_on_postgres() {
    let Some(server) = postgres() else { return };
    let url = new_database(&server).await;
    let mut connection = RawConnection::postgres(&url).await;
    database_of(&mut connection, "0002_recovery.sql").await;
    let id = |d: char| format!("'{}'::uuid", d.to_string().repeat(32));
    // The index of a number is not a UUID.
    let sql = rows(id).replace(
        &format!("values (1, {0}, {0}, {0}, 7, 9)", id('0')),
        &format!("values (1, {0}, '\\x00', {0}, 7, 9)", id('0')),
    );
    connection.run(&sql).await;
    let store = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    assert_known(connection).await;
}

/// Workspaces stored with every setting: one on the free plan and one on the pro plan that set nothing, and one that
/// did. `$0` to `$2` are ids.
const WHOLE: &str = r#"
insert into tenants (id, bucket, name, plan, key_version, wrapped_key, webhook_secret, created_at) values
 ($0, 1, 'Free', 'free', 1, x'00', x'00', 0), ($1, 1, 'Pro', 'pro', 1, x'00', x'00', 0);
insert into workspaces (id, bucket, tenant_id, provider, name, api_key, webhook_keys, defaults, retention, created_at, updated_at) values
 ($0, 1, $0, 'retell', 'a', x'00', x'00', $free, '{}', 0, 0),
 ($1, 1, $1, 'retell', 'b', x'00', x'00', $pro, '{}', 0, 0),
 ($2, 1, $1, 'retell', 'c', x'00', x'00', $set, '{}', 0, 0);"#;

/// The statements, with settings documents as every version before migration 20 stored them.
fn whole(id: impl Fn(char) -> String) -> String {
    let document = |plan: Plan, patch: &Value| {
        let whole = WorkspaceSettings::of_plan(&plan.limits()).patched(patch).expect("good settings");
        format!("'{}'", whole.to_value())
    };
    let set = json!({
        "timezone": "Europe/Berlin", "quiet_hours": null, "max_attempts": 3,
        "retry_triggers": {"busy": {"wait_minutes": 5}}, "spoken_hours": {"lunch": {"nominal": "12:30"}},
    });
    WHOLE
        .replace("$0", &id('0'))
        .replace("$1", &id('1'))
        .replace("$2", &id('2'))
        .replace("$free", &document(Plan::Free, &json!({})))
        .replace("$pro", &document(Plan::Pro, &json!({})))
        .replace("$set", &document(Plan::Pro, &set))
}

/// The same documents after the migration.
fn sparse() -> [Value; 3] {
    let set = json!({
        "timezone": "Europe/Berlin", "quiet_hours": null, "max_attempts": 3,
        "retry_triggers": {"busy": {"enabled": true, "wait_minutes": 5}},
        "spoken_hours": {"lunch": {"from": "11:30", "to": "13:30", "nominal": "12:30"}},
    });
    [json!({}), json!({}), set]
}

async fn documents(mut connection: RawConnection) -> Vec<Value> {
    let texts = connection.texts("select defaults from workspaces order by id").await;
    texts.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

#[tokio::test]
async fn unset_settings_follow_the_defaults_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    let mut connection = RawConnection::sqlite(&file);
    database_of(&mut connection, "0019_outbox.sql").await;
    connection.run(&whole(|d| format!("x'{}'", d.to_string().repeat(32)))).await;
    let store = Store::sqlite(&file, Kek::from_bytes(KEK)).await.expect("opened");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    assert_eq!(documents(connection).await, sparse());
}

#[tokio::test]
async fn unset_settings_follow_the_defaults_on_postgres() {
    let Some(server) = postgres() else { return };
    let url = new_database(&server).await;
    let mut connection = RawConnection::postgres(&url).await;
    database_of(&mut connection, "0019_outbox.sql").await;
    let sql = whole(|d| format!("'{}'::uuid", d.to_string().repeat(32))).replace("x'00'", "'\\x00'");
    connection.run(&sql).await;
    let store = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    assert_eq!(documents(connection).await, sparse());
}

/// Writes what a newer version leaves behind: a migration that this version does not know, and its compatibility
/// record.
async fn migrate_beyond(engine: &Engine, version: i64, compatible_from: Option<i64>) {
    let checksum = if engine.url.is_some() { "'\\x00'" } else { "x'00'" };
    let mut sql = format!(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values ({version}, 'newer', true, {checksum}, 0);"
    );
    if let Some(from) = compatible_from {
        sql += &format!("insert into schema_versions (version, compatible_from) values ({version}, {from});");
    }
    engine.connection().await.run(&sql).await;
}

#[tokio::test]
async fn a_version_starts_on_a_newer_schema_that_declares_compatibility() {
    for engine in each().await {
        let (store, name) = (&engine.store, engine.name);
        assert_eq!(store.check_schema().await.expect("read"), SchemaState::Current, "{name}");
        migrate_beyond(&engine, 9_001, Some(16)).await;
        let state = store.check_schema().await.expect("read");
        assert_eq!(state, SchemaState::NewerCompatible { newest: 9_001 }, "{name}");
        store.migrate(&Rng::seeded([1; 32])).await.expect("it starts");
        let world = World::new(store, 1).await;
        world.schedule("c1", 60).await;

        migrate_beyond(&engine, 9_002, Some(9_001)).await;
        let state = store.check_schema().await.expect("read");
        let needs = Some(9_001);
        assert_eq!(state, SchemaState::NewerIncompatible { newest: 9_002, needs }, "{name}");
        let refused = store.migrate(&Rng::seeded([1; 32])).await.expect_err("it does not start").to_string();
        assert!(
            refused.contains(
                "newest migration is 9002 and needs a version of redialer that knows migration 9001"
            ),
            "{refused}"
        );

        migrate_beyond(&engine, 9_003, None).await;
        let state = store.check_schema().await.expect("read");
        assert_eq!(state, SchemaState::NewerIncompatible { newest: 9_003, needs: None }, "{name}");
    }
}

#[tokio::test]
async fn an_empty_database_lacks_every_migration() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::sqlite(&dir.path().join("test.db"), Kek::from_bytes(KEK)).await.expect("opened");
    let state = store.check_schema().await.expect("read");
    assert!(matches!(state, SchemaState::Older { missing } if missing >= 16), "{state:?}");
}

#[tokio::test]
async fn every_migration_from_15_on_declares_its_compatibility() {
    const SILENT: &str = "select cast(version as text) from _sqlx_migrations
         where version >= 15 and version not in (select version from schema_versions)";
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    let store = Store::sqlite(&file, Kek::from_bytes(KEK)).await.expect("opened");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    let silent = RawConnection::sqlite(&file).texts(SILENT).await;
    assert!(silent.is_empty(), "no row in schema_versions: {silent:?}");
}

/// Loads a dump of version 14; returns the id of its tenant.
async fn load(mut connection: RawConnection, dump: &str) -> uuid::Uuid {
    connection.run(dump).await;
    // The Postgres dump clears the search path.
    let (table, hex) = match connection {
        RawConnection::Sqlite(_) => ("tenants", "hex(id)"),
        RawConnection::Postgres(_) => ("public.tenants", "id::text"),
    };
    let ids = connection.texts(&format!("select {hex} from {table}")).await;
    ids[0].parse().expect("an id")
}

/// Checks the callback in the fixtures of version 14: scheduled by a call, for an hour after it.
async fn assert_found(store: &Store, tenant: uuid::Uuid) {
    let tenant = Id::from_uuid(tenant);
    let first = end();
    let rows = store.for_tenant(tenant).callbacks(&Filter::default(), first, 10).await.expect("listed");
    let [row] = rows.as_slice() else { panic!("{} callbacks", rows.len()) };
    assert_eq!((row.state, row.scheduled_for), (State::Scheduled, at(60)));
    let key = store.open_key(tenant).await.expect("opened");
    assert_eq!(row.secrets(&key).expect("opened").to.as_str(), NUMBER);
}

#[tokio::test]
async fn a_database_of_version_14_is_migrated_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    let tenant = load(RawConnection::sqlite(&file), include_str!("../fixtures/0014.sqlite.sql")).await;
    let store = Store::sqlite(&file, Kek::from_bytes(KEK)).await.expect("opened");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    assert_found(&store, tenant).await;
}

/// A backup that version 14 made.
async fn old_backup(dir: &Path) -> (PathBuf, uuid::Uuid) {
    let file = dir.join("backup");
    let tenant = load(RawConnection::sqlite(&file), include_str!("../fixtures/0014.sqlite.sql")).await;
    let mark = "insert into meta (name, value) values ('backup_at', cast('1' as blob))";
    RawConnection::sqlite(&file).run(mark).await;
    (file, tenant)
}

async fn restored(file: &Path, database: &Path) -> Result<usize, BackupError> {
    restore_file(file, database, Kek::from_bytes(KEK), None, (&Rng::seeded([1; 32]), at(0))).await
}

#[tokio::test]
async fn a_backup_of_version_14_is_restored_into_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, tenant) = old_backup(dir.path()).await;
    let database = dir.path().join("test.db");
    restored(&file, &database).await.expect("restored");
    let store = Store::sqlite(&database, Kek::from_bytes(KEK)).await.expect("opened");
    assert_found(&store, tenant).await;
}

/// The keys are looked for in the tables of this version, so an old backup without keys is not taken for one with keys.
#[tokio::test]
async fn a_backup_of_version_14_without_keys_needs_a_keyring() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, _) = old_backup(dir.path()).await;
    RawConnection::sqlite(&file).run("update tenants set wrapped_key = x''").await;
    let refused = restored(&file, &dir.path().join("test.db")).await;
    assert!(matches!(refused, Err(BackupError::NoKeys(_))), "{refused:?}");
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside the backup");
}

#[tokio::test]
async fn a_backup_of_version_14_is_restored_into_postgres() {
    let Some(server) = postgres() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (file, tenant) = old_backup(dir.path()).await;
    let store = Store::postgres(&new_database(&server).await, Kek::from_bytes(KEK)).await.expect("connected");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    store.restore_rows(&file, None, at(0)).await.expect("restored");
    assert_found(&store, tenant).await;
    assert_eq!(store.check_schema().await.expect("read"), SchemaState::Current);
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside the backup");
}

#[tokio::test]
async fn a_database_of_version_14_is_migrated_on_postgres() {
    let Some(server) = postgres() else { return };
    let url = new_database(&server).await;
    let connection = RawConnection::postgres(&url).await;
    let tenant = load(connection, include_str!("../fixtures/0014.postgres.sql")).await;
    let store = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");
    assert_found(&store, tenant).await;
}
