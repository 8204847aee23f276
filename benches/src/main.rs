//! The benchmarks: `redialer-bench run [UNIT…] [--quick] [--write FILE]`, `redialer-bench soak [--minutes N]
//! [--hostile]`.
//!
//! Normally run by `cargo xtask bench` and `cargo xtask soak`, which build both binaries and start a Postgres.
//! Invariants: loopback only; only processes started here are ended; the product is driven from outside.

mod bench;
mod limits;
mod load;
mod machine;
mod payload;
mod process;
mod product;
mod report;
mod schedule;
mod seed;
mod sink;
mod stats;
mod units;
mod watch;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, builder::PossibleValuesParser};
use tokio::signal::unix::{SignalKind, signal};

use bench::Bench;
use units::{
    backlog, burst, disk, dispatch, footprint, ingest, keys, neighbor, neighbors, pollers, soak, when,
};

/// In the order of the goals.
const UNITS: [&str; 10] = [
    ingest::UNIT,
    keys::UNIT,
    dispatch::UNIT,
    burst::UNIT,
    neighbor::UNIT,
    backlog::UNIT,
    pollers::UNIT,
    footprint::UNIT,
    disk::UNIT,
    when::UNIT,
];

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the given units, or all of them, and compare them with their limits
    Run {
        #[arg(value_parser = PossibleValuesParser::new(UNITS))]
        units: Vec<String>,
        /// Use short windows and a small backlog
        #[arg(long)]
        quick: bool,
        /// Write the result table to this file
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// Run a server under load against the simulator
    Soak {
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// Add a tenant that floods, stalls and polls, on both engines, instead of the simulator's faults
        #[arg(long)]
        hostile: bool,
    },
    /// Run one of the limits as a separate process
    #[command(hide = true)]
    Limit(limits::Run),
}

#[expect(clippy::print_stdout, reason = "the one place that talks to people")]
fn say(line: &str) {
    println!("{line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let work = async {
        match Cli::parse().command {
            Command::Run { units, quick, write } => run(&units, quick, write).await,
            Command::Soak { minutes, hostile: true } => neighbors::run(minutes).await,
            Command::Soak { minutes, .. } => soak::run(minutes).await,
            Command::Limit(limit) => limits::run(limit).await,
        }
    };
    // Dropping `work` ends every process that it started.
    let done = tokio::select! { done = work => done, stopped = stopped() => stopped };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("redialer-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Resolves on SIGTERM or Ctrl-C.
async fn stopped() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        done = tokio::signal::ctrl_c() => done?,
    }
    anyhow::bail!("stopped before the end")
}

async fn run(units: &[String], quick: bool, write: Option<PathBuf>) -> anyhow::Result<()> {
    let mut bench = Bench::begin(quick)?;
    let machine = machine::described(&bench).await?;
    say(&machine);
    for unit in UNITS {
        if !units.is_empty() && !units.iter().any(|u| u == unit) {
            continue;
        }
        machine::settled(bench.root()).await?;
        match unit {
            ingest::UNIT => ingest::run(&mut bench).await?,
            keys::UNIT => keys::run(&mut bench).await?,
            dispatch::UNIT => dispatch::run(&mut bench).await?,
            burst::UNIT => burst::run(&mut bench).await?,
            neighbor::UNIT => neighbor::run(&mut bench).await?,
            backlog::UNIT => backlog::run(&mut bench).await?,
            pollers::UNIT => pollers::run(&mut bench).await?,
            footprint::UNIT => footprint::run(&mut bench).await?,
            disk::UNIT => disk::run(&mut bench).await?,
            _ => when::run(&mut bench)?,
        }
        // Written after each unit, so that a later failure does not lose the results.
        if let Some(path) = &write {
            report::write(path, &machine, &bench.rows)?;
        }
    }
    say(&format!("\n{machine}\n\n{}", report::table(&bench.rows)));
    Ok(())
}
