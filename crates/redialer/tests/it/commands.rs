//! The commands other than `serve`: which of them create a database or a key, what they print, and how they fail.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use redialer_sim::retell::Script;
use serde_json::Value;

use crate::harness::{Engine, Walk, engines, new_database, time};

const TENANT: &str = "tn_01kb0000000000000000000000";

/// An empty directory, and an empty database where the engine is Postgres.
struct Place {
    dir: tempfile::TempDir,
    database: Option<String>,
}

impl Place {
    fn new(engine: Engine) -> Self {
        let database = (engine == Engine::Postgres).then(new_database);
        Self { dir: tempfile::tempdir().expect("a directory"), database }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("redialer-data")
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redialer"));
        command.current_dir(self.dir.path()).env_clear().env("REDIALER_LOG", "error").args(words);
        command.env("REDIALER_RETELL_BASE_URL", "http://127.0.0.1:1");
        command.envs(self.database.as_ref().map(|url| ("REDIALER_DATABASE_URL", url)));
        command.output().expect("run")
    }

    /// Every file below the directory, with its bytes.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(dir).expect("listed") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push((path.clone(), fs::read(&path).expect("read"))),
                }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found.sort();
        found
    }

    /// The number of tables in the Postgres database.
    fn tables(&self) -> Option<String> {
        let url = self.database.as_ref()?;
        let sql = "select count(*) from pg_tables where schemaname = 'public'";
        let output =
            Command::new("psql").args(["-At", "-d", url, "-c", sql]).output().expect("psql is there");
        Some(String::from_utf8(output.stdout).expect("text").trim().to_owned())
    }

    fn sql(&self, sql: &str) {
        sqlite(&self.data().join("redialer.db")).execute_batch(sql).expect("done");
    }
}

fn sqlite(file: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(file).expect("opened")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts the exit code, and returns the output.
fn refusal(words: &[&str], output: &Output, code: i32) -> String {
    let message = text(&output.stderr) + &text(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {message}");
    message
}

const NEED_A_DATABASE: [&[&str]; 9] = [
    &["backup", "x.backup"],
    &["audit", "verify"],
    &["keys", "prepare"],
    &["keys", "rotate", "--one-file"],
    &["keys", "retire"],
    &["keys", "destroy", "--tenant", TENANT, "--name", "x"],
    &["tenant", "list"],
    &["tenant", "change-plan", "--tenant", TENANT, "--plan", "pro"],
    &["key", "create", "--tenant", TENANT],
];

#[test]
fn a_command_that_needs_a_database_names_the_missing_one_and_creates_none() {
    for engine in engines() {
        let place = Place::new(engine);
        let looked_at = match engine {
            Engine::Sqlite => place.data().join("redialer.db").display().to_string(),
            Engine::Postgres => {
                place.database.as_ref().expect("set").rsplit('/').next().expect("a name").to_owned()
            }
        };
        for words in NEED_A_DATABASE.into_iter().chain([&["doctor"][..]]) {
            let message = refusal(words, &place.run(words), 1);
            assert!(message.contains(&looked_at) && message.contains("creates one"), "{words:?}: {message}");
            assert_eq!(place.files(), [], "{words:?}");
            assert!(!place.data().exists(), "{words:?}");
            assert_eq!(place.tables().unwrap_or("0".to_owned()), "0", "{words:?}");
        }
    }
}

#[test]
fn migrate_and_tenant_create_create_a_database_that_only_its_owner_can_read() {
    for engine in engines() {
        for words in [&["migrate"][..], &["tenant", "create", "--name", "A", "--owner", "a@example.com"]] {
            let place = Place::new(engine);
            let done = place.run(words);
            assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
            assert_eq!(mode(&place.data()), 0o700);
            for (file, _) in place.files() {
                assert_eq!(mode(&file), 0o600, "{}", file.display());
            }
            assert!(place.data().join("kek").exists(), "{words:?}");
            let done = place.run(&["backup", "x.backup"]);
            assert!(done.status.success(), "{}", text(&done.stderr));
            assert_eq!(mode(&place.dir.path().join("x.backup")), 0o600);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_refuse_an_older_schema_until_migrate_has_run() {
    let place = Place::new(Engine::Sqlite);
    assert!(place.run(&["migrate"]).status.success());
    place.sql("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)");
    let before = place.files();
    let create: &[&str] = &["tenant", "create", "--name", "A", "--owner", "a@example.com"];
    for words in NEED_A_DATABASE.into_iter().chain([create, &["doctor"]]) {
        let message = refusal(words, &place.run(words), 1);
        assert!(message.contains("run `redialer migrate`"), "{words:?}: {message}");
        assert_eq!(place.files(), before, "{words:?}");
    }
}

#[test]
fn a_database_without_its_key_file_is_refused_and_not_changed() {
    for engine in engines() {
        let place = Place::new(engine);
        let create = &["tenant", "create", "--name", "A", "--owner", "a@example.com"];
        assert!(place.run(create).status.success());
        let kek = place.data().join("kek");
        let key = fs::read(&kek).expect("read");
        fs::remove_file(&kek).expect("removed");
        let before = place.files();
        for words in
            [&["serve"][..], &["migrate"], create, &["backup", "x"], &["tenant", "list"], &["doctor"]]
        {
            let message = refusal(words, &place.run(words), 1);
            let expected =
                format!("the key file {} of this encrypted database is missing; put it back", kek.display());
            assert!(message.contains(&expected), "{words:?}: {message}");
            assert!(place.files() == before, "{words:?} wrote something");
        }
        fs::write(&kek, key).expect("put back");
        assert!(place.run(&["tenant", "list"]).status.success());
    }
}

#[test]
fn a_tenant_is_unlimited_by_default_and_a_plan_without_the_api_prints_a_warning() {
    let place = Place::new(Engine::Sqlite);
    let create = |more: &[&str]| {
        let words =
            [&["tenant", "create", "--name", "A", "--owner", "a@example.com", "--json"], more].concat();
        let output = place.run(&words);
        assert!(output.status.success(), "{}", text(&output.stderr));
        (serde_json::from_slice::<Value>(&output.stdout).expect("JSON"), text(&output.stderr))
    };
    let (_, message) = create(&[]);
    assert_eq!(message, "");
    let (free, message) = create(&["--plan", "free"]);
    assert!(message.contains("plan `free` does not include the REST API"), "{message}");
    let listed = place.run(&["tenant", "list", "--json"]);
    let plans: Vec<Value> = text(&listed.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["plan"].clone())
        .collect();
    assert_eq!(plans, ["unlimited", "free"]);
    let made = place.run(&["key", "create", "--tenant", free["tenant_id"].as_str().expect("an id")]);
    assert!(made.status.success() && text(&made.stderr).contains("does not include the REST API"));
    for (option, value) in [("--owner", "nobody"), ("--owner", "@example.com"), ("--name", " ")] {
        let mut words = vec!["tenant", "create", "--name", "A", "--owner", "a@example.com"];
        let at = words.iter().position(|word| *word == option).expect("there");
        words[at + 1] = value;
        let output = place.run(&words);
        let message = refusal(&words, &output, 2);
        assert!(
            message.starts_with(&format!("redialer: {option}: ")) && message.lines().count() == 1,
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_create_replaces_a_lost_admin_key_while_the_server_runs_and_is_audited() {
    for engine in engines() {
        let mut walk = Walk::at_speed(engine, 1).await;
        let listed: Value = serde_json::from_str(&walk.run(&["tenant", "list", "--json"])).expect("one line");
        assert_eq!((&listed["name"], &listed["plan"]), (&"Example".into(), &"unlimited".into()));
        let tenant = listed["id"].as_str().expect("an id").to_owned();
        let made = walk.run(&["key", "create", "--tenant", &tenant, "--json"]);
        let made: Value = serde_json::from_str(&made).expect("JSON");
        walk.admin_key = made["secret"].as_str().expect("a secret").to_owned();
        assert_eq!(walk.get("/v1/workspaces").await["data"][0]["id"], walk.workspace.as_str());
        assert_eq!(walk.get("/v1/api-keys?limit=1").await["data"][0]["id"], made["id"]);
        let audit = walk.get("/v1/audit?limit=200").await;
        let mut acts = audit["data"].as_array().expect("a list").iter();
        let act = acts.find(|act| act["target"] == made["id"]).expect("it is audited");
        assert_eq!((&act["action"], &act["actor"]), (&"api_key.create".into(), &"command".into()));
        let unknown = ["key", "create", "--tenant", TENANT];
        let message = refusal(&unknown, &walk.command().args(unknown).output().expect("run"), 1);
        assert!(message.contains("there is no tenant"), "{message}");
    }
}

/// The speed of the stored clock, and its virtual time at real time zero, which is the same however far it has run.
fn stored_clock(walk: &Walk) -> (i64, i64) {
    let db = sqlite(&walk.data_dir().join("redialer.db"));
    let clock = db.query_row("select speed, virtual_ms - speed * real_ms from virtual_clock", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    clock.expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_follow_the_clock_of_an_accelerated_server_and_refuse_another_speed() {
    let mut walk = Walk::at_speed(Engine::Sqlite, 600).await;
    let before = stored_clock(&walk);
    assert_eq!(before.0, 600);
    // The setting is missing in another terminal.
    let at_speed_one =
        |words: &[&str]| walk.command().env("REDIALER_CLOCK_SPEED", "1").args(words).output().expect("run");
    let server = time(&walk.get("/healthz").await["now"]);
    let made = at_speed_one(&["tenant", "create", "--name", "Second", "--owner", "b@example.com"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let listed = text(&at_speed_one(&["tenant", "list", "--json"]).stdout);
    let second: Value = serde_json::from_str(listed.lines().last().expect("two")).expect("JSON");
    let created = time(&second["created_at"]);
    assert!(created >= server, "{created} is before the server's {server}");
    let file = walk.beside("b");
    assert!(at_speed_one(&["backup", file.to_str().expect("text")]).status.success());
    assert_eq!(stored_clock(&walk), before, "no command writes the clock");
    let doctor = at_speed_one(&["doctor"]);
    let message = refusal(&["doctor"], &doctor, 1);
    assert!(message.contains("FAIL clock: the database was used with clock_speed 600"), "{message}");
    walk.kill();
    let serve = walk.command().env("REDIALER_CLOCK_SPEED", "1").arg("serve").output().expect("run");
    let message = refusal(&["serve"], &serve, 2);
    assert!(
        message.starts_with("redialer: clock_speed: ") && message.contains("another data directory"),
        "{message}"
    );
    assert_eq!(stored_clock(&walk), before);
    walk.serve().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_drains_the_server_like_sigterm() {
    let mut walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let pid = walk.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().expect("run").success());
    assert_eq!(walk.until_ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_log_line_names_the_version_the_database_and_the_addresses() {
    for engine in engines() {
        let settings = [("REDIALER_LOG", "info"), ("REDIALER_LOG_FORMAT", "json")];
        let walk = Walk::with_settings(engine, 600, Script::default(), &settings).await;
        let has_warned =
            |log: &str| log.contains("600 times as fast") && log.lines().all(|l| l.ends_with('}'));
        walk.until("the banner", async |w: &Walk| has_warned(&text(&w.log()))).await;
        let log = text(&walk.log());
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let banner = &lines.iter().find(|l| l["fields"]["version"].is_string()).expect("a banner")["fields"];
        assert_eq!(banner["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(banner["key"], walk.data_dir().join("kek").display().to_string());
        assert_eq!(banner["public_url"], walk.base);
        assert_eq!(banner["providers"], format!("retell={}", walk.sim_url));
        assert_eq!(walk.base, format!("http://{}", banner["listen"].as_str().expect("an address")));
        let database = banner["database"].as_str().expect("a database");
        match engine {
            Engine::Sqlite => assert!(database.ends_with("redialer.db"), "{database}"),
            Engine::Postgres => assert!(database.starts_with("postgres://"), "{database}"),
        }
        assert!(!log.contains("already exists, skipping"), "{log}");
    }
}

#[test]
fn an_interrupted_demo_leaves_no_files_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_redialer"));
    command.env_clear().env("TMPDIR", dir.path()).arg("demo").stdout(Stdio::piped());
    let mut demo = command.spawn().expect("started");
    let mut lines = BufReader::new(demo.stdout.take().expect("piped")).lines();
    let begun = lines.by_ref().map(|line| line.expect("text")).find(|line| line.starts_with("1 ·"));
    assert!(begun.is_some() && fs::read_dir(dir.path()).expect("listed").count() == 1);
    assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().expect("run").success());
    // The demo prints until it exits.
    assert!(lines.all(|line| line.is_ok()));
    assert_eq!(demo.wait().expect("ended").code(), Some(1));
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
}

#[test]
fn completion_scripts_name_the_commands_and_their_options() {
    for shell in ["bash", "zsh", "fish"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redialer"));
        let output = command.env_clear().args(["completions", shell]).output().expect("run");
        let script = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success(), "{shell}");
        for word in ["doctor", "restore", "wrap-only"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
