//! Mutation testing of `core`, on demand: how many changes to its code its own tests catch.
//!
//! Each mutant is tried with the unit tests first, and only those that they miss with the model, which takes half a
//! minute.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};

use crate::{forget_own_package, install, root, say};

/// The least share of viable mutants that must be caught, in percent.
const FLOOR: usize = 90;

/// Tries every mutant, or those that the options of cargo-mutants choose; fails if too few are caught.
pub(crate) fn mutants(options: &[&str]) -> anyhow::Result<()> {
    let program = install::cargo_mutants()?;
    let folder = root().join("target/mutants");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("target/mutants cannot be removed")?;
    }
    let (unit, model) = (folder.join("unit"), folder.join("model"));
    run(&program, "--lib", &unit, options)?;
    let missed = list(&unit, "missed");
    let mut still_missed = missed.clone();
    if !missed.is_empty() {
        let exactly: Vec<String> = missed.iter().map(|name| format!("--re=^{}$", escaped(name))).collect();
        run(&program, "--test=it", &model, &exactly.iter().map(String::as_str).collect::<Vec<_>>())?;
        still_missed = list(&model, "missed");
    }
    // A mutant that never ends is caught, too.
    let caught =
        list(&unit, "caught").len() + list(&unit, "timeout").len() + missed.len() - still_missed.len();
    judge(caught, &still_missed)
}

/// One run of cargo-mutants with some of the crate's tests; its lists are written into the folder.
fn run(program: &str, tests: &str, folder: &Path, options: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let mut command = Command::new(program);
    command.args(["mutants", "--package", "redialer-core", "--jobs", "2", "--no-times", "--output"]);
    command.arg(folder).args(["--cargo-arg", tests]).args(options).current_dir(root());
    forget_own_package(&mut command);
    say(&format!("$ {command:?}"));
    let status = command.status().with_context(|| format!("{program} cannot be run"))?;
    // 2 and 3: a mutant was missed or timed out, which is counted later.
    if matches!(status.code(), Some(0 | 2 | 3)) { Ok(()) } else { bail!("{command:?} failed: {status}") }
}

/// The mutants in one of the lists of a run.
fn list(folder: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join("mutants.out").join(name).with_extension("txt"));
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A regular expression that matches that text alone.
fn escaped(text: &str) -> String {
    let escape = |c: char| if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() };
    text.chars().map(escape).collect()
}

fn judge(caught: usize, missed: &[String]) -> anyhow::Result<()> {
    let viable = caught + missed.len();
    if viable == 0 {
        bail!("no mutant was tried");
    }
    for mutant in missed {
        say(&format!("missed: {mutant}"));
    }
    let share = caught * 100 / viable;
    say(&format!("{caught} of {viable} viable mutants are caught: {share} % (at least {FLOOR} % wanted)"));
    if share < FLOOR { bail!("too few mutants are caught") } else { Ok(()) }
}
