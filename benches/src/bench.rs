//! What every unit works with: the product's binary, room on the disk, a Postgres, and where rows go.

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

/// Which database.
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
    /// Short windows and a small backlog.
    pub(crate) quick: bool,
    /// A server that databases may be made on.
    pub(crate) postgres: Option<String>,
    pub(crate) rows: Vec<Row>,
    dir: TempDir,
    databases: AtomicU32,
}

/// A program of ours that shows what the machine could do.
pub(crate) struct Limit {
    pub(crate) process: Process,
    pub(crate) listen: String,
    _dir: TempDir,
}

impl Bench {
    /// Finds the product beside this very program. Its data goes there too: `/tmp` may be memory, which no
    /// `fdatasync` ever waits for.
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

    /// A fresh folder, gone with its owner.
    pub(crate) fn scratch(&self, name: &str) -> anyhow::Result<TempDir> {
        Ok(tempfile::Builder::new().prefix(name).tempdir_in(self.dir.path())?)
    }

    pub(crate) fn root(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The engines there are.
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

    /// Starts one of the limits as a server of its own, and waits until it listens.
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

    /// A window, short when that was asked for.
    pub(crate) const fn secs(&self, full: u64, quick: u64) -> Duration {
        Duration::from_secs(if self.quick { quick } else { full })
    }
}
