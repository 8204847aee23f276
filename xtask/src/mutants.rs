//! Mutation testing of `core`, on demand: how many changes to its code its own tests notice.
//!
//! Each change is tried with the unit tests first, and only what they miss with the whole suite of the crate, whose model
//! takes half a minute.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};

use crate::{forget_own_package, install, root, say};

/// The least share of viable mutants that must be caught, in percent.
const FLOOR: usize = 90;

/// Tries every mutant, or those that the options of cargo-mutants choose; fails if too few are caught.
pub(crate) fn mutants(options: &[&str]) -> anyhow::Result<()> {
    let program = install::cargo_mutants()?;
    let folder = root().join("target/mutants");
    // What an earlier run has caught is not tried again within one run, but is in the next.
    if folder.exists() {
        fs::remove_dir_all(&folder).context("target/mutants cannot be removed")?;
    }
    fs::create_dir_all(&folder)?;
    let run = |tests: &str| {
        let mut command = Command::new(&program);
        command.args(["mutants", "--package", "redialer-core", "--iterate", "--jobs", "2", "--no-times"]);
        command.args(["--minimum-test-timeout", "60", "--output"]).arg(&folder);
        command.args(["--cargo-arg", tests]).args(options).current_dir(root());
        forget_own_package(&mut command);
        say(&format!("$ {command:?}"));
        let status = command.status().with_context(|| format!("{program} cannot be run"))?;
        // 2 and 3: a mutant was missed or timed out, which is counted below.
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            bail!("{command:?} failed: {status}");
        }
        Ok(())
    };
    run("--lib")?;
    run("--test=it")?;
    judge(&folder.join("mutants.out"))
}

/// Reads the lists that the runs left: what was caught in either, and what was missed in both.
fn judge(lists: &Path) -> anyhow::Result<()> {
    let list = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(lists.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let missed = list("missed.txt");
    let caught = list("caught.txt").len() + list("timeout.txt").len() + list("previously_caught.txt").len();
    let viable = caught + missed.len();
    if viable == 0 {
        bail!("no mutant was tried: see {}", lists.display());
    }
    for mutant in &missed {
        say(&format!("missed: {mutant}"));
    }
    say(&format!(
        "{caught} of {viable} viable mutants are caught, {} % (at least {FLOOR} wanted)",
        caught * 100 / viable
    ));
    if caught * 100 < viable * FLOOR { bail!("too few mutants are caught") } else { Ok(()) }
}
