//! The project's tasks: `cargo xtask test [--quick]`, `simulate`, `crash`, `mutants`, `bench`, `soak`, `zones`.
//!
//! `test` installs the packages that the tests need, and runs everything that CI runs. It ends with the test runner's
//! own summary. `--quick` skips what needs a server or another language.

mod bench;
mod install;
mod mutants;
mod postgres;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};

const USAGE: &str = "usage: cargo xtask test [--quick] | simulate --days N [--from SEED] | crash [--kills N] | mutants [OPTION…] \
     | bench [UNIT…] [--quick] [--write] | soak [--minutes N] [--hostile] | zones";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["test"] => test(false),
        ["test", "--quick"] => test(true),
        ["simulate", "--days", days] => simulate(days, "10000"),
        ["simulate", "--days", days, "--from", seed] => simulate(days, seed),
        ["crash"] => crash("300"),
        ["crash", "--kills", kills] => crash(kills),
        ["mutants", ref options @ ..] => mutants::mutants(options),
        ["bench", ref words @ ..] => bench::bench(words),
        ["soak", ref words @ ..] => bench::soak(words),
        ["zones"] => zones(),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place that talks to people")]
fn say(line: &str) {
    eprintln!("{line}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Everything CI runs, cheapest first.
fn test(quick: bool) -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &[])?;
    if quick {
        return cargo(&["test", "--workspace"], &[]);
    }
    cargo(
        &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    deny()?;
    let python = install::python_sdk()?;
    let (node, modules) = install::node_sdk()?;
    let generator = install::client_generator()?;
    let fuzzer = install::api_fuzzer()?;
    let openbao = install::openbao()?;
    let server = postgres::Server::start()?;
    let vars = [
        ("REDIALER_TEST_POSTGRES", server.url()),
        ("REDIALER_TEST_PYTHON", &python),
        ("REDIALER_TEST_API_FUZZER", &fuzzer),
        ("REDIALER_TEST_OPENBAO", &openbao),
        ("REDIALER_TEST_CLIENT_MODULES", &generator),
        ("REDIALER_TEST_NODE", &node),
        ("REDIALER_TEST_NODE_MODULES", &modules),
        // An outdated or unused snapshot fails instead of being written.
        ("INSTA_UPDATE", "no"),
    ];
    // Always the whole workspace: building a part of it would select other features and rebuild everything.
    cargo(&["test", "--workspace", "--lib", "--bins"], &vars)?;
    cargo(&["test", "--workspace", "--doc"], &vars)?;
    // One suite that fails must not hide another.
    cargo(&["test", "--workspace", "--no-fail-fast", "--test", "it"], &vars)
}

/// Simulates `days` days, with seeds from `from` on.
fn simulate(days: &str, from: &str) -> anyhow::Result<()> {
    const TEST: &str = "test --release --workspace --test it simulation::many_days -- --exact --nocapture";
    days.parse::<f64>().context("--days: a number")?;
    from.parse::<u64>().context("--from: a seed")?;
    let words: Vec<&str> = TEST.split(' ').collect();
    cargo(&words, &[("REDIALER_SIMULATE_DAYS", days), ("REDIALER_SIMULATE_FROM", from)])
}

/// Kills the real binary under load `kills` times on each engine.
fn crash(kills: &str) -> anyhow::Result<()> {
    kills.parse::<usize>().context("--kills: a number")?;
    let server = postgres::Server::start()?;
    let vars = [("REDIALER_TEST_POSTGRES", server.url()), ("REDIALER_KILLS", kills)];
    cargo(&["test", "--workspace", "--test", "it", "random_kills::", "--", "--nocapture"], &vars)
}

fn cargo(words: &[&str], vars: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut command = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    forget_own_package(&mut command);
    run(command.args(words).envs(vars.iter().copied()))
}

/// Removes the variables that cargo set for xtask itself: a build script that watches them would rebuild half the tree
/// for each way to start.
fn forget_own_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("CARGO_PKG_") || n.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
}

/// Runs a command in the project's root, and fails if it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    say(&format!("$ {command:?}"));
    let status =
        command.current_dir(root()).status().with_context(|| format!("{command:?} cannot be run"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

/// Runs cargo-deny, if it is installed; the tidy tests check licenses and sources on every machine.
fn deny() -> anyhow::Result<()> {
    let found = Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|o| o.status.success());
    if !found {
        say(
            "cargo-deny is not installed: bans are not checked (licenses and sources are, by the tidy tests)",
        );
        return Ok(());
    }
    cargo(&["deny", "check", "bans", "licenses", "sources"], &[])
}

/// Regenerates the number-to-zone table. The packages are pinned, so the same inputs give the same table.
fn zones() -> anyhow::Result<()> {
    let python = install::python_package("phonenumbers==9.0.43 tzdata==2026.6")?;
    let folder = root().join("crates/core/src/phone");
    run(Command::new(python).arg(root().join("xtask/scripts/zones.py")).arg(folder))
}
