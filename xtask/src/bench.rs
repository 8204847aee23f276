//! `cargo xtask bench [UNIT…] [--quick] [--write]` and `cargo xtask soak [--minutes N] [--hostile]`: builds both
//! binaries in release mode, starts a Postgres server where one is needed, and runs the benchmarks.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::{cargo, install, postgres, root, run};

/// Measures every unit, or the given ones; `--write` stores the table in `docs/benchmarks.md`.
pub(crate) fn bench(words: &[&str]) -> anyhow::Result<()> {
    let program = built()?;
    let server = postgres::Server::start()?;
    let openbao = install::openbao()?;
    let mut command = Command::new(program);
    command.arg("run").args(words.iter().filter(|word| **word != "--write"));
    if words.contains(&"--write") {
        command.arg("--write").arg(root().join("docs/benchmarks.md"));
    }
    run(command.env("REDIALER_BENCH_POSTGRES", server.url()).env("REDIALER_BENCH_OPENBAO", openbao))
}

/// Runs a server under load against the simulator, or beside a hostile tenant.
pub(crate) fn soak(words: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(built()?);
    command.arg("soak").args(words);
    if !words.contains(&"--hostile") {
        return run(&mut command);
    }
    let server = postgres::Server::start()?;
    run(command.env("REDIALER_BENCH_POSTGRES", server.url()))
}

/// Builds the product and the benchmarks together, so that both have the same dependencies.
fn built() -> anyhow::Result<PathBuf> {
    cargo(&["build", "--release", "--package", "redialer", "--package", "redialer-benches"], &[])?;
    Ok(target()?.join("release/redialer-bench"))
}

/// Cargo's target directory, from `cargo metadata`.
fn target() -> anyhow::Result<PathBuf> {
    let mut command = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    let metadata = command.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root());
    let output = metadata.stderr(Stdio::inherit()).output().context("`cargo metadata` cannot be run")?;
    let text = String::from_utf8(output.stdout)?;
    let rest = text.split_once("\"target_directory\":\"").context("a target directory")?.1;
    Ok(PathBuf::from(rest.split('"').next().unwrap_or_default()))
}
