//! Databases created by earlier versions (`tests/fixtures/<commit>`), and a server of this version on a copy of one.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use redialer::clock::Clock;
use redialer_core::{
    Timestamp,
    time::{minutes, plus},
};
use redialer_sim::retell::Script;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{Engine, Walk};

/// A database of an earlier version, and what that version's API returned about it.
pub(crate) struct Fixture {
    dir: PathBuf,
    /// The stem of its files' names: one set per engine.
    stem: &'static str,
    recorded: Value,
}

impl Fixture {
    pub(crate) fn read(commit: &str, engine: Engine) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(commit);
        let stem = match engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        };
        let json = fs::read_to_string(dir.join(format!("{stem}.json"))).expect("read");
        Self { dir, stem, recorded: serde_json::from_str(&json).expect("JSON") }
    }

    /// The recorded value at a JSON pointer.
    pub(crate) fn value(&self, pointer: &str) -> &Value {
        self.recorded.pointer(pointer).unwrap_or_else(|| panic!("the fixture has no {pointer}"))
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.value(pointer).as_str().expect("text")
    }

    /// The secret of an API key.
    pub(crate) fn key(&self, name: &str) -> &str {
        self.text(&format!("/keys/{name}"))
    }

    /// When the earlier version's process ended, in virtual time.
    pub(crate) fn stopped_at(&self) -> Timestamp {
        self.text("/stopped_at").parse().expect("a time")
    }

    fn clock_speed(&self) -> u32 {
        self.value("/clock_speed").as_u64().and_then(|speed| u32::try_from(speed).ok()).expect("a speed")
    }

    fn dump(&self) -> String {
        fs::read_to_string(self.dir.join(format!("{}.sql", self.stem))).expect("read")
    }

    fn kek(&self) -> PathBuf {
        self.dir.join(format!("{}.kek", self.stem))
    }
}

/// Sets the stored clock, so that virtual time is now `virtual_time`. Otherwise virtual time would have run on since
/// the fixture was made. A fixture's virtual time must be ahead of real time, because the server's never falls behind
/// it.
fn clock_sql(virtual_time: Timestamp) -> String {
    let (real_ms, virtual_ms) = (Clock::start(1).real_ms(), virtual_time.as_millisecond());
    assert!(virtual_ms > real_ms, "real time has passed the fixture's: make a new one");
    format!("update clock set real_ms = {real_ms}, virtual_ms = {virtual_ms}")
}

impl Walk {
    /// A server of this version on a copy of the fixture, started `downtime_minutes` after the earlier version stopped.
    /// The simulator's webhooks go to the clinic's URL.
    pub(crate) async fn upgrade(fixture: &Fixture, script: Script, downtime_minutes: i64) -> Self {
        let engine = if fixture.stem == "sqlite" { Engine::Sqlite } else { Engine::Postgres };
        let mut walk = Self::empty(engine, fixture.clock_speed(), script, &[]).await;
        fs::create_dir(walk.data_dir()).expect("made");
        let kek = walk.data_dir().join("kek");
        fs::copy(fixture.kek(), &kek).expect("copied");
        fs::set_permissions(&kek, fs::Permissions::from_mode(0o600)).expect("set");
        walk.load(fixture.dump()).await;
        walk.load(clock_sql(plus(fixture.stopped_at(), minutes(downtime_minutes)))).await;
        fixture.key("clinics").clone_into(&mut walk.admin_key);
        walk.webhook_url = format!("{}{}", walk.base, fixture.text("/webhook_paths/clinic"));
        walk.sim.set_webhook_url(&walk.webhook_url);
        walk.serve().await;
        walk
    }

    /// Runs statements on the database while no server has it open.
    pub(crate) async fn load(&self, sql: String) {
        // A new connection each time, because a Postgres dump clears the search path.
        if let Some(url) = &self.database {
            let mut connection = PgConnection::connect(url).await.expect("connected");
            connection.execute(AssertSqlSafe(sql)).await.expect("loaded");
            connection.close().await.expect("closed");
        } else {
            let file = rusqlite::Connection::open(self.data_dir().join("redialer.db")).expect("opened");
            file.execute_batch(&sql).expect("loaded");
        }
    }
}
