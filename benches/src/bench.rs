//! Shared resources of all units: the product's binary, disk space, a Postgres server, and the result rows.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use crate::{load::Connection, process::Process, product::free_port, report::Row, say, watch::wait};

/// A database engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
        }
    }
}

pub(crate) struct Bench {
    /// A copy of the release binary.
    pub(crate) binary: PathBuf,
    /// Use short windows and a small backlog.
    pub(crate) quick: bool,
    /// A server on which databases may be created.
    pub(crate) postgres: Option<String>,
    pub(crate) rows: Vec<Row>,
    dir: TempDir,
    databases: AtomicU32,
}

/// A running limit process, which shows what the machine can do.
pub(crate) struct Limit {
    pub(crate) process: Process,
    pub(crate) listen: String,
    _dir: TempDir,
}

impl Bench {
    /// Finds the product's binary beside this executable. Scratch data goes there too, because `/tmp` may be in memory,
    /// where `fdatasync` costs nothing.
    pub(crate) fn begin(quick: bool) -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        let beside = here.parent().context("a folder")?;
        let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(beside)?;
        let binary = dir.path().join("redialer");
        fs::copy(beside.join("redialer"), &binary).context("no `redialer` beside this program: build it")?;
        Ok(Self {
            binary,
            quick,
            postgres: std::env::var("REDIALER_BENCH_POSTGRES").ok(),
            rows: Vec::new(),
            dir,
            databases: AtomicU32::new(0),
        })
    }

    /// Creates a scratch directory, deleted on drop.
    pub(crate) fn scratch(&self, name: &str) -> anyhow::Result<TempDir> {
        Ok(tempfile::Builder::new().prefix(name).tempdir_in(self.dir.path())?)
    }

    pub(crate) fn root(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The available engines.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        match self.postgres {
            Some(_) => vec![Engine::Sqlite, Engine::Postgres],
            None => vec![Engine::Sqlite],
        }
    }

    pub(crate) async fn new_database(&self) -> anyhow::Result<String> {
        let server = self.postgres.as_ref().context("REDIALER_BENCH_POSTGRES is not set")?;
        let n = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench_{}_{n}", std::process::id());
        let mut connection = PgConnection::connect(&format!("{server}/postgres")).await?;
        connection.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        connection.close().await?;
        Ok(format!("{server}/{name}"))
    }

    /// Starts a limit as a separate server process and waits until it listens.
    pub(crate) async fn limit(&self, kind: &str) -> anyhow::Result<Limit> {
        let (dir, listen) = (self.scratch("limit")?, free_port()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["limit", kind, "--listen", &listen, "--dir"]).arg(dir.path());
        if kind == "postgres" {
            command.args(["--postgres", &self.new_database().await?]);
        }
        let mut process = Process::start(&mut command)?;
        for _ in 0..5_000 {
            if Connection::open(listen.parse()?).await.is_ok() {
                return Ok(Limit { process, listen, _dir: dir });
            }
            process.must_run()?;
            wait(Duration::from_millis(1)).await;
        }
        anyhow::bail!("the limit `{kind}` does not listen")
    }

    pub(crate) fn note(&mut self, row: Row) {
        say(&row.line());
        self.rows.push(row);
    }

    /// The length of a window: `quick` seconds in quick mode, else `full` seconds.
    pub(crate) const fn secs(&self, full: u64, quick: u64) -> Duration {
        Duration::from_secs(if self.quick { quick } else { full })
    }
}
