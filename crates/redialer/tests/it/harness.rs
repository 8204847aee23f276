//! One redialer process, one Retell simulator, one clock speed.

mod openbao;
mod process;
mod restored;
mod scripted_calls;
mod small_disk;
mod snapshot;
mod upgraded;

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc, Once,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use redialer::clock::Clock;
use redialer_core::Timestamp;
use redialer_providers::http::{Clients, PLACE_DEADLINE};
use redialer_sim::{
    SimTime,
    retell::{PlacedCall, Retell, Script},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

pub(crate) use openbao::OpenBao;
pub(crate) use scripted_calls::{call_ended, callback_request, scripted_call, scripted_chat};
pub(crate) use snapshot::{snapshot, with_placeholders};
pub(crate) use upgraded::Fixture;

pub(crate) const OURS: &str = "+12025550100";
pub(crate) const VOICE: &str = "agent_sim_front_desk";
pub(crate) const CHAT: &str = "agent_sim_sms_desk";
pub(crate) const KEY: &str = "key_sim_0001";

/// The name of the settings file; in a walk's settings its value is the file's content.
pub(crate) const FILE: &str = "redialer.toml";

const LOG: &str = "log";

/// How long, in real time, a test waits for a condition.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// The database engine of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// The available engines.
pub(crate) fn engines() -> Vec<Engine> {
    static NOTICE: Once = Once::new();
    if std::env::var("REDIALER_TEST_POSTGRES").is_ok() {
        return vec![Engine::Sqlite, Engine::Postgres];
    }
    NOTICE.call_once(|| eprintln!("REDIALER_TEST_POSTGRES is not set: the tests run on SQLite only"));
    vec![Engine::Sqlite]
}

/// An address at which a server may listen again after a restart: no other process uses this loopback address. A port
/// that was found free could be taken by another process between two servers.
pub(crate) fn address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{}.{}:7700", 1 + std::process::id() % 250, n / 250, 1 + n % 250)
}

/// A redialer process and the Retell simulator that it is connected to.
pub(crate) struct Walk {
    pub(crate) sim: Retell,
    pub(crate) base: String,
    pub(crate) workspace: String,
    pub(crate) admin_key: String,
    pub(crate) webhook_url: String,
    pub(crate) http: reqwest::Client,
    clock: Arc<Clock>,
    /// The offset of the server's virtual clock from ours, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
    dir: TempDir,
    /// The name of the data directory in `dir`.
    data: String,
    server: Option<Child>,
    listen: String,
    pub(crate) sim_url: String,
    speed: u32,
    /// The URL of its Postgres database; `None` with SQLite.
    pub(crate) database: Option<String>,
    settings: Vec<(&'static str, &'static str)>,
    replicas: Vec<Child>,
}

impl Walk {
    /// A connected workspace, at `speed` virtual seconds per real second.
    pub(crate) async fn at_speed(engine: Engine, speed: u32) -> Self {
        Self::with_script(engine, speed, Script::default()).await
    }

    pub(crate) async fn with_script(engine: Engine, speed: u32, script: Script) -> Self {
        Self::with_settings(engine, speed, script, &[]).await
    }

    /// Like [`Self::at_speed`], with additional environment settings.
    pub(crate) async fn with_settings(
        engine: Engine,
        speed: u32,
        script: Script,
        settings: &[(&'static str, &'static str)],
    ) -> Self {
        let mut walk = Self::empty(engine, speed, script, settings).await;
        walk.admin_key = walk.create_tenant("unlimited", "owner@example.com")["admin_key"]
            .as_str()
            .expect("a key")
            .to_owned();
        walk.serve().await;
        walk.connect().await;
        walk
    }

    /// A Retell simulator, and a data directory for a server that is not started yet.
    async fn empty(
        engine: Engine,
        speed: u32,
        script: Script,
        settings: &[(&'static str, &'static str)],
    ) -> Self {
        let http = Clients::new(PLACE_DEADLINE).expect("clients").reading;
        let clock = Arc::new(Clock::start(speed));
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let sim = Retell::new(script, time_of(&clock, &ahead_ms), http.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let sim_url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = sim.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let listen = address();
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(new_database()),
        };
        let walk = Self {
            sim,
            base: format!("http://{listen}"),
            workspace: String::new(),
            admin_key: String::new(),
            webhook_url: String::new(),
            http,
            clock,
            ahead_ms,
            dir: tempfile::tempdir().expect("a directory"),
            data: "data".to_owned(),
            server: None,
            listen,
            sim_url,
            speed,
            database,
            settings: settings.iter().filter(|(name, _)| *name != FILE).copied().collect(),
            replicas: Vec::new(),
        };
        if let Some((_, file)) = settings.iter().find(|(name, _)| *name == FILE) {
            std::fs::write(walk.dir.path().join(FILE), file).expect("written");
        }
        walk
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redialer"));
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("REDIALER_DATA_DIR", self.data_dir())
            .env("REDIALER_LISTEN", &self.listen)
            .env("REDIALER_RETELL_BASE_URL", &self.sim_url)
            .env("REDIALER_CLOCK_SPEED", self.speed.to_string())
            .env("REDIALER_LOG", "error")
            .envs(self.settings.iter().copied());
        command.envs(self.database.as_ref().map(|url| ("REDIALER_DATABASE_URL", url)));
        command
    }

    /// `redialer tenant create --json`.
    pub(crate) fn create_tenant(&self, plan: &str, owner: &str) -> Value {
        let mut command = self.command();
        command.args(["tenant", "create", "--name", "Example", "--owner", owner, "--plan", plan, "--json"]);
        serde_json::from_str(&output_of(&mut command)).expect("JSON")
    }

    /// Starts the server.
    pub(crate) fn start(&mut self) {
        let mut command = self.command();
        if self.settings.iter().any(|(name, _)| *name == "REDIALER_LOG") {
            command.stderr(std::fs::File::create(self.dir.path().join(LOG)).expect("made"));
        }
        self.server = Some(command.arg("serve").stdout(Stdio::null()).spawn().expect("started"));
    }

    /// The server's log; the walk must set `REDIALER_LOG`.
    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join(LOG)).expect("read")
    }

    /// The id of the server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().expect("running").id()
    }

    /// Runs another command of the program beside the server, and returns its output.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        output_of(self.command().args(words))
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn serve(&mut self) {
        self.start();
        self.until("the server to be ready", async |walk: &Self| walk.is_ready(&walk.base).await).await;
        // The simulator follows the server's clock.
        let theirs = time(&self.get("/healthz").await["now"]);
        self.ahead_ms.store(theirs.as_millisecond() - self.clock.now().as_millisecond(), Ordering::Relaxed);
    }

    /// Whether the server at `base` is ready.
    pub(crate) async fn is_ready(&self, base: &str) -> bool {
        self.http.get(format!("{base}/readyz")).send().await.is_ok_and(|r| r.status() == StatusCode::OK)
    }

    /// Starts another replica on the same database, which ends with the walk; returns its URL.
    pub(crate) fn add_replica(&mut self) -> String {
        let listen = address();
        let mut command = self.command();
        command.env("REDIALER_LISTEN", &listen).arg("serve").stdout(Stdio::null());
        self.replicas.push(command.spawn().expect("started"));
        format!("http://{listen}")
    }

    /// Runs a second server on the same data until it exits by itself, and returns its output.
    pub(crate) fn serve_second(&self) -> std::process::Output {
        let listen = address();
        self.command().env("REDIALER_LISTEN", listen).arg("serve").output().expect("run")
    }

    async fn connect(&mut self) {
        let body = json!({"name": "Line", "provider": "retell", "api_key": KEY});
        let made = self.request(Method::POST, "/v1/workspaces", Some(body), StatusCode::CREATED).await;
        self.workspace = made["id"].as_str().expect("an id").to_owned();
        self.post(&format!("/v1/workspaces/{}/sync", self.workspace)).await;
        // Virtual time runs fast: a moment of real time is half an hour for the callers. The hour at which the tests
        // run must not matter either, so quiet hours are set only where they are tested.
        let any_hour = json!({"missed_after_minutes": 100_000, "calls_per_second": 50, "quiet_hours": null});
        self.defaults(any_hour).await;
        self.webhook_url = self.webhook_url_of(VOICE).await;
        self.sim.set_webhook_url(&self.webhook_url);
    }

    pub(crate) async fn webhook_url_of(&self, provider_agent_id: &str) -> String {
        let id = self.agent_id(provider_agent_id).await;
        let url = self.get(&format!("/v1/agents/{id}/webhook-url")).await;
        url["webhook_url"].as_str().expect("a URL").to_owned()
    }

    pub(crate) async fn agent(&self, provider_agent_id: &str) -> Value {
        let agents = self.get("/v1/agents?limit=200").await;
        let found = agents["data"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|a| a["provider_agent_id"] == provider_agent_id);
        found.expect("in the roster").clone()
    }

    pub(crate) async fn agent_id(&self, provider_agent_id: &str) -> String {
        id(&self.agent(provider_agent_id).await).to_owned()
    }

    pub(crate) async fn defaults(&self, patch: Value) {
        let path = format!("/v1/workspaces/{}", self.workspace);
        self.request(Method::PATCH, &path, Some(json!({"defaults": patch})), StatusCode::OK).await;
    }

    /// Sends a request with the admin key; the response must have the status `want`.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        want: StatusCode,
    ) -> Value {
        let (status, answer) =
            self.request_as(Some(&self.admin_key), method.clone(), path, body.clone()).await;
        assert_eq!(status, want, "{method} {path} {body:?}: {answer}");
        answer
    }

    /// Sends a request with that key, or without one.
    pub(crate) async fn request_as(
        &self,
        key: Option<&str>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.expect("answered");
        let status = response.status();
        let text = response.text().await.expect("read");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Every row of a list, requested with that key, over all its pages.
    pub(crate) async fn list(&self, key: &str, path: &str) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) =
                self.request_as(Some(key), Method::GET, &format!("{path}{cursor}"), None).await;
            assert_eq!(status, StatusCode::OK, "{path}: {page}");
            rows.extend(page["data"].as_array().expect("a list").iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { return rows };
            cursor = format!("&cursor={next}");
        }
    }

    /// The text of the response to a GET without credentials.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.expect("answered");
        response.text().await.expect("read")
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.request(Method::GET, path, None, StatusCode::OK).await
    }

    pub(crate) async fn post(&self, path: &str) -> Value {
        self.request(Method::POST, path, None, StatusCode::OK).await
    }

    /// All callbacks, oldest first.
    pub(crate) async fn callbacks(&self) -> Vec<Value> {
        let mut rows = self.get("/v1/callbacks?limit=200").await["data"].as_array().expect("a list").clone();
        rows.reverse();
        rows
    }

    pub(crate) fn rings(&self, number: &str) -> Vec<PlacedCall> {
        self.sim.placed_calls().into_iter().filter(|r| r.to == number).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        shifted(self.clock.now(), self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Waits, in real time, until `holds` returns true.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..STEP_TIMEOUT.as_millis() / POLL_INTERVAL.as_millis() {
            if holds(self).await {
                return;
            }
            self.clock.wait(POLL_INTERVAL).await;
        }
        panic!("waited in vain for {what}; callbacks: {:#?}", self.callbacks().await);
    }

    /// Waits until that person's phone has rung `n` times and every callback is final.
    pub(crate) async fn until_settled(&self, number: &str, n: usize) {
        self.until(&format!("{n} calls to {number}, all ended"), async |walk: &Self| {
            walk.rings(number).len() == n
                && walk.callbacks().await.iter().all(|c| is_final(c["state"].as_str().unwrap_or_default()))
        })
        .await;
    }

    /// Sends a webhook as Retell would, and returns the status of the response.
    pub(crate) async fn deliver(&self, body: &str) -> StatusCode {
        self.deliver_to(&self.webhook_url, body, &sign(KEY, body.as_bytes(), self.now().as_millisecond()))
            .await
            .0
    }

    pub(crate) async fn deliver_to(&self, url: &str, body: &str, signature: &str) -> (StatusCode, Value) {
        let request = self.http.post(url).header("x-retell-signature", signature).body(body.to_owned());
        let response = request.send().await.expect("answered");
        let status = response.status();
        (status, serde_json::from_str(&response.text().await.expect("read")).unwrap_or(Value::Null))
    }

    /// The code of every note on every webhook event, newest first.
    pub(crate) async fn notes(&self) -> Vec<String> {
        let feed = self.get("/v1/activity?kind=webhook&limit=200").await;
        let entries = feed["data"].as_array().expect("a list");
        let notes = entries.iter().flat_map(|e| e["notes"].as_array().expect("a list"));
        notes.map(|n| n["code"].as_str().expect("a code").to_owned()).collect()
    }

    /// Waits until there are `n` events and all of them are decided.
    pub(crate) async fn until_decided(&self, n: usize) {
        self.until(&format!("{n} events to be decided"), async |walk: &Self| {
            let feed = walk.get("/v1/activity?kind=webhook&limit=200").await;
            let entries = feed["data"].as_array().expect("a list");
            entries.len() >= n && entries.iter().all(|e| e["state"] == "done")
        })
        .await;
    }

    /// Everything the server wrote into its data directory.
    pub(crate) fn data(&self) -> Vec<u8> {
        let dir = std::fs::read_dir(self.data_dir()).expect("listed");
        dir.flat_map(|entry| std::fs::read(entry.expect("a file").path()).expect("read")).collect()
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        for mut server in self.server.take().into_iter().chain(self.replicas.drain(..)) {
            if server.kill().is_ok() {
                server.wait().expect("gone");
            }
        }
    }
}

/// Runs a command that must succeed, and returns its output.
pub(crate) fn output_of(command: &mut Command) -> String {
    let output = command.output().expect("run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{stdout}\n{stderr}");
    stdout
}

/// The id of a row in a response.
pub(crate) fn id(row: &Value) -> &str {
    row["id"].as_str().expect("an id")
}

/// A timestamp in a response.
pub(crate) fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}

/// The time on a clock in that zone, as `HH:MM`.
pub(crate) fn clock_time(at: Timestamp, zone: &str) -> String {
    at.to_zoned(jiff::tz::TimeZone::get(zone).expect("a zone")).strftime("%H:%M").to_string()
}

pub(crate) fn is_final(state: &str) -> bool {
    state.parse().is_ok_and(redialer_core::callback::State::is_final)
}

/// Midnight UTC, `days` days from now.
pub(crate) fn days_ahead(days: i64) -> String {
    let now = Clock::start(1).now().to_zoned(jiff::tz::TimeZone::UTC);
    let day = now.date().checked_add(jiff::Span::new().days(days)).expect("in range");
    format!("{day}T00:00:00Z")
}

/// The signature as Retell documents it, implemented independently of the product's code.
pub(crate) fn sign(key: &str, body: &[u8], stamp: i64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key");
    mac.update(body);
    mac.update(stamp.to_string().as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("v={stamp},d={hex}")
}

fn shifted(at: Timestamp, by_ms: i64) -> Timestamp {
    redialer_core::time::plus(at, jiff::SignedDuration::from_millis(by_ms))
}

fn time_of(clock: &Arc<Clock>, ahead_ms: &Arc<AtomicI64>) -> SimTime {
    let (now, wait) = ((Arc::clone(clock), Arc::clone(ahead_ms)), (Arc::clone(clock), Arc::clone(ahead_ms)));
    SimTime::new(
        move || shifted(now.0.now(), now.1.load(Ordering::Relaxed)),
        move |at| {
            let (clock, ahead_ms) = (Arc::clone(&wait.0), wait.1.load(Ordering::Relaxed));
            async move { clock.wait_until(shifted(at, -ahead_ms)).await }
        },
    )
}

/// Creates a database on the test server with Postgres's own client.
pub(crate) fn new_database() -> String {
    let server = std::env::var("REDIALER_TEST_POSTGRES").expect("asked for only when set");
    let name = format!("w_{}", redialer::clock::rng().expect("randomness").token::<10>());
    let sql = format!("create database {name}");
    let done = Command::new("psql").args(["-q", "-d", &format!("{server}/postgres"), "-c", &sql]).status();
    assert!(done.expect("psql is there").success());
    format!("{server}/{name}")
}
