//! The product as users run it: its binary, its environment, its HTTP API and nothing else.
//!
//! Invariant: the measured binary is a copy made at the start, so a build during the run changes nothing.

use std::{fs, net::TcpListener, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::{
    bench::{Bench, Engine},
    load::Target,
    payload::KEY,
    process::{Process, threads_us},
    sink::Sink,
    watch::{Watch, wait},
};

const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// The configuration of an installation.
pub(crate) struct Shape {
    pub(crate) engine: Engine,
    pub(crate) replicas: usize,
    pub(crate) tenants: usize,
    /// Call starts per second, over all tenants, that the product's settings must allow.
    pub(crate) pace: f64,
}

/// One connected workspace with its agent.
#[derive(Clone)]
pub(crate) struct ConnectedWorkspace {
    /// The tenant's key.
    pub(crate) key: String,
    pub(crate) agent: String,
    /// The webhook's path.
    pub(crate) path: String,
}

pub(crate) struct Product {
    binary: PathBuf,
    dir: TempDir,
    database: Option<String>,
    provider: String,
    settings: Vec<(&'static str, String)>,
    http: reqwest::Client,
    keys: Vec<String>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) lines: Vec<ConnectedWorkspace>,
}

pub(crate) struct Replica {
    pub(crate) process: Process,
    /// `127.0.0.1:…`
    pub(crate) listen: String,
}

pub(crate) fn free_port() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

impl Product {
    /// Sets up a new installation of this shape, connected to the sink, and starts it.
    pub(crate) async fn set_up(bench: &Bench, shape: &Shape, sink: &Sink) -> anyhow::Result<Self> {
        Self::set_up_with(bench, shape, sink, &[]).await
    }

    /// The same, with additional environment settings.
    pub(crate) async fn set_up_with(
        bench: &Bench,
        shape: &Shape,
        sink: &Sink,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let mut product = Self::install(bench, shape.engine, shape.tenants, &sink.url(), settings).await?;
        product.start(shape.replicas).await?;
        product.connect(shape.pace).await?;
        Ok(product)
    }

    /// Creates tenants in a new database; starts no replica.
    pub(crate) async fn install(
        bench: &Bench,
        engine: Engine,
        tenants: usize,
        provider: &str,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let mut product = Self {
            binary: bench.binary.clone(),
            dir: bench.scratch("product")?,
            database: match engine {
                Engine::Sqlite => None,
                Engine::Postgres => Some(bench.new_database().await?),
            },
            provider: provider.to_owned(),
            settings: vec![("REDIALER_LOG", "error".to_owned()), ("REDIALER_MAX_DIALS", "4096".to_owned())],
            http: client_builder(Duration::from_secs(60))?.build()?,
            keys: Vec::new(),
            replicas: Vec::new(),
            lines: Vec::new(),
        };
        product.settings.extend(settings.iter().cloned());
        for i in 0..tenants {
            product.add_tenant(&format!("owner{i}@example.com"))?;
        }
        Ok(product)
    }

    /// Creates one more tenant.
    pub(crate) fn add_tenant(&mut self, owner: &str) -> anyhow::Result<()> {
        let words = ["tenant", "create", "--name", "Bench", "--plan", "unlimited", "--json", "--owner"];
        let made = self.command().args(words).arg(owner).output()?;
        if !made.status.success() {
            bail!("`redialer tenant create` failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let made: Value = serde_json::from_slice(&made.stdout).context("a tenant as JSON")?;
        self.keys.push(text(&made, "admin_key")?);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("REDIALER_DATA_DIR", self.dir.path().join("data"))
            .env("REDIALER_RETELL_BASE_URL", &self.provider)
            .envs(self.settings.iter().map(|(k, v)| (*k, v)))
            .envs(self.database.as_ref().map(|url| ("REDIALER_DATABASE_URL", url)));
        command
    }

    /// Starts `n` replicas and returns how long the slowest took to be ready, in milliseconds.
    pub(crate) async fn start(&mut self, n: usize) -> anyhow::Result<f64> {
        let watch = Watch::start();
        for _ in 0..n {
            let listen = free_port()?;
            let mut command = self.command();
            let process = Process::start(command.env("REDIALER_LISTEN", &listen).arg("serve"))?;
            self.replicas.push(Replica { process, listen });
        }
        for i in 0..n {
            self.until_ready(i, n > 1).await?;
        }
        Ok(watch.secs() * 1e3)
    }

    /// Waits until `/readyz` succeeds and, if `shares` is true, until the replica holds its share of the leases.
    async fn until_ready(&mut self, i: usize, shares: bool) -> anyhow::Result<()> {
        let url = format!("http://{}/readyz", self.replicas[i].listen);
        let watch = Watch::start();
        while watch.secs() < STEP_TIMEOUT.as_secs_f64() {
            if let Ok(answer) = self.http.get(&url).send().await
                && answer.status().is_success()
                && (!shares || answer.json::<Value>().await?["leases"] != false)
            {
                return Ok(());
            }
            self.replicas[i].process.must_run()?;
            wait(Duration::from_millis(1)).await;
        }
        bail!("the server did not become ready")
    }

    /// Stops every replica.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.replicas.drain(..).try_for_each(|replica| replica.process.end())
    }

    /// Connects enough workspaces that their rate limits do not limit the measurement.
    pub(crate) async fn connect(&mut self, pace: f64) -> anyhow::Result<()> {
        let keys = self.keys.clone();
        for key in &keys {
            let (mut done, mut wanted) = (0, 1);
            while done < wanted {
                let accepted = self.connect_one(key, pace).await?;
                wanted = (pace / accepted / keys.len() as f64).ceil() as usize;
                done += 1;
            }
        }
        Ok(())
    }

    /// Connects one workspace of the most recently created tenant.
    pub(crate) async fn connect_last(&mut self, pace: f64) -> anyhow::Result<()> {
        let key = self.keys.last().cloned().context("a tenant")?;
        self.connect_one(&key, pace).await.map(|_| ())
    }

    /// Connects one workspace and its agent; returns the accepted pace.
    async fn connect_one(&mut self, key: &str, pace: f64) -> anyhow::Result<f64> {
        let body = json!({"name": "Line", "provider": "retell", "api_key": KEY});
        let workspace = text(&self.ask(key, Method::POST, "/v1/workspaces", Some(body)).await?, "id")?;
        let path = format!("/v1/workspaces/{workspace}");
        self.ask(key, Method::POST, &format!("{path}/sync"), None).await?;
        let agents = self.ask(key, Method::GET, "/v1/agents?limit=200", None).await?;
        let ours = agents["data"].as_array().context("a list")?.iter();
        let agent = ours.filter(|a| a["workspace_id"] == workspace.as_str()).find_map(|a| a["id"].as_str());
        let agent = agent.context("the roster has our agent")?.to_owned();
        let url = self.ask(key, Method::GET, &format!("/v1/agents/{agent}/webhook-url"), None).await?;
        let url = text(&url, "webhook_url")?;
        let hook = url.find("/api/webhooks/").map(|at| url[at..].to_owned()).context("a webhook's path")?;
        self.lines.push(ConnectedWorkspace { key: key.to_owned(), agent, path: hook });
        // The highest pace that the product accepts.
        for pace in [pace, 10_000.0, 1_000.0, 100.0, 50.0].into_iter().filter(|p| *p <= pace) {
            let defaults = json!({"missed_after_minutes": 100_000, "calls_per_second": pace});
            if self.ask(key, Method::PATCH, &path, Some(json!({"defaults": defaults}))).await.is_ok() {
                return Ok(pace);
            }
        }
        bail!("no pace was accepted")
    }

    /// Patches the default settings of every workspace.
    pub(crate) async fn defaults(&self, patch: &Value) -> anyhow::Result<()> {
        for key in &self.keys {
            let workspaces = self.ask(key, Method::GET, "/v1/workspaces?limit=200", None).await?;
            for workspace in workspaces["data"].as_array().context("a list")? {
                let path = format!("/v1/workspaces/{}", text(workspace, "id")?);
                self.ask(key, Method::PATCH, &path, Some(json!({"defaults": patch}))).await?;
            }
        }
        Ok(())
    }

    /// Sends a request to the first replica; anything but 2xx is an error.
    pub(crate) async fn ask(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let listen = &self.replicas.first().context("nothing runs")?.listen;
        let mut request = self.http.request(method, format!("http://{listen}{path}")).bearer_auth(key);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The webhook targets of every line, at the first replica.
    pub(crate) fn targets(&self) -> anyhow::Result<Vec<Target>> {
        let address = self.replicas.first().context("nothing runs")?.listen.parse()?;
        Ok(self.lines.iter().map(|line| Target { address, path: line.path.clone() }).collect())
    }

    /// The value of a counter of the first replica, summed over its labels.
    pub(crate) async fn counter(&self, name: &str) -> anyhow::Result<f64> {
        let listen = &self.replicas.first().context("nothing runs")?.listen;
        let text = self.http.get(format!("http://{listen}/metrics")).send().await?.text().await?;
        let lines = text.lines().filter(|l| l.split([' ', '{']).next() == Some(name));
        Ok(lines.filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// CPU time of all replicas, in microseconds.
    pub(crate) fn cpu_us(&self) -> anyhow::Result<u64> {
        self.replicas.iter().map(|r| r.process.cpu_us()).sum()
    }

    /// CPU time of all replicas and of their Postgres backends, in microseconds; the time of exited backends is lost.
    pub(crate) async fn busy_us(&self) -> anyhow::Result<f64> {
        let mut ids: Vec<u32> = self.replicas.iter().map(|r| r.process.id()).collect();
        if let Some(url) = &self.database {
            const BACKENDS: &str = "select pid from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
            let mut connection = PgConnection::connect(url).await?;
            let backends: Vec<i32> = sqlx::query_scalar(BACKENDS).fetch_all(&mut connection).await?;
            ids.extend(backends.into_iter().filter_map(|id| u32::try_from(id).ok()));
            connection.close().await?;
        }
        Ok(ids.into_iter().map(threads_us).sum())
    }

    /// The database URL: a SQLite file or a Postgres database.
    pub(crate) fn database_url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database {
            return Ok(url.clone());
        }
        let is_database = |path: &PathBuf| path.extension().is_some_and(|e| e == "db");
        let files = fs::read_dir(self.dir.path().join("data"))?.filter_map(|e| Some(e.ok()?.path()));
        let file = files.filter(is_database).max_by_key(|path| fs::metadata(path).map_or(0, |m| m.len()));
        Ok(format!("sqlite://{}", file.context("no database file")?.display()))
    }

    pub(crate) const fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

pub(crate) fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {value}"))
}

/// A client without trusted root certificates: all traffic here is plain HTTP on loopback.
pub(crate) fn client_builder(deadline: Duration) -> anyhow::Result<reqwest::ClientBuilder> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().no_proxy().timeout(deadline))
}
