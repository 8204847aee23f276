//! A Postgres server for the tests: on loopback, on a free port, removed after the tests.
//!
//! The server refuses to run as root; then all its programs run as the user `postgres` (or `nobody`).

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use anyhow::{Context as _, bail};

use crate::{
    install::{apt, is_root, works},
    run,
};

pub(crate) struct Server {
    process: Child,
    url: String,
    folder: PathBuf,
}

impl Server {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let bin = match binaries() {
            Some(bin) => bin,
            None => {
                apt(&["postgresql"])?;
                binaries().context("the package `postgresql` brought no server")?
            }
        };
        let user = if is_root()? { Some(unprivileged()?) } else { None };
        let folder = std::env::temp_dir().join(format!("redialer-test-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        if let Some(user) = user {
            run(Command::new("chown").arg(user).arg(&folder))?;
        }
        let data = folder.join("data");
        run(as_user(user, &bin.join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-D"])
            .arg(&data)
            .arg("--no-instructions")
            .stdout(std::process::Stdio::null()))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = as_user(user, &bin.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k"]).arg(&folder);
        // Many small databases and connections, with the durability of production.
        server.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "max_connections=600",
            "-c",
            "log_min_messages=fatal",
        ]);
        let process = server.current_dir(&folder).spawn().context("postgres cannot be started")?;
        let mut server = Self { process, url: format!("postgres://postgres@127.0.0.1:{port}"), folder };
        server.wait_until_ready(&bin, port)?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn wait_until_ready(&mut self, bin: &Path, port: u16) -> anyhow::Result<()> {
        let port = port.to_string();
        // Each try waits for up to a second.
        for _ in 0..60 {
            let asked = ["-q", "-t", "1", "-h", "127.0.0.1", "-p", &port];
            if works(Command::new(bin.join("pg_isready")).args(asked)) {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("postgres ended at once: {status}");
            }
            works(Command::new("sleep").arg("0.2"));
        }
        bail!("postgres did not become ready")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is the "fast" shutdown; the remaining files are removed with the folder.
        works(Command::new("kill").args(["-INT", &self.process.id().to_string()]));
        if self.process.wait().is_ok() && fs::remove_dir_all(&self.folder).is_err() {
            crate::say("the test database's folder stays behind");
        }
    }
}

fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .collect();
    found.sort();
    found.pop()
}

fn unprivileged() -> anyhow::Result<&'static str> {
    ["postgres", "nobody"]
        .into_iter()
        .find(|user| works(Command::new("id").arg(user)))
        .context("no user but root to run postgres as")
}

fn as_user(user: Option<&str>, program: &Path) -> Command {
    match user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
            command
        }
    }
}
