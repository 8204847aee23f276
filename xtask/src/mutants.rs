//! Mutation testing of `core`, on demand: how many changes to its code the unit tests catch.

use std::{fs, process::Command};

use anyhow::{Context as _, bail};

use crate::{forget_own_package, install, root, say};

/// Minimum share of viable mutants that must be caught, in percent.
const FLOOR: usize = 90;

/// Tests every mutant, or those that the options of cargo-mutants select; fails if too few are caught.
pub(crate) fn mutants(options: &[&str]) -> anyhow::Result<()> {
    let program = install::cargo_mutants()?;
    let target = root().join("target");
    let lists = target.join("mutants.out");
    let mut command = Command::new(&program);
    command.args(["mutants", "--package", "redialer-core", "--jobs", "2", "--no-times", "--output"]);
    command.arg(&target).args(["--cargo-arg", "--lib"]).args(options).current_dir(root());
    forget_own_package(&mut command);
    say(&format!("$ {command:?}"));
    let status = command.status().with_context(|| format!("{program} cannot be run"))?;
    // 2 and 3: a mutant was missed or timed out, which is counted below.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("{command:?} failed: {status}");
    }
    let n = |name: &str| {
        fs::read_to_string(lists.join(name).with_extension("txt")).map(|list| list.lines().count())
    };
    // A mutant that times out counts as caught.
    judge(n("caught")? + n("timeout")?, n("missed")?)
}

fn judge(caught: usize, missed: usize) -> anyhow::Result<()> {
    let viable = caught + missed;
    if viable == 0 {
        bail!("no mutant was tried");
    }
    let share = caught * 100 / viable;
    say(&format!("{caught} of {viable} viable mutants are caught: {share} % (at least {FLOOR} % wanted)"));
    if share < FLOOR { bail!("too few mutants are caught") } else { Ok(()) }
}
