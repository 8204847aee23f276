//! Processes that a benchmark starts, measures through `/proc`, and ends.
//!
//! Invariant: only processes started here are ended, and all of them are, even when a benchmark fails.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::watch::{Watch, pause};

/// Linux counts CPU time for `/proc` in hundredths of a second on every architecture.
const US_PER_TICK: u64 = 10_000;
/// How long a process may take to exit after SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("{command:?} cannot be started"))?))
    }

    fn proc_file(&self, name: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{name}", self.0.id());
        fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))
    }

    /// CPU time used so far, user and system, in microseconds, at a resolution of 10 ms.
    pub(crate) fn cpu_us(&self) -> anyhow::Result<u64> {
        let stat = self.proc_file("stat")?;
        // The name in parentheses may contain spaces; the fields after it do not.
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("a stat line")?.1.split_ascii_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).context("a number of ticks");
        Ok((ticks(11)? + ticks(12)?) * US_PER_TICK)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Resident memory in MB.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kb: f64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS in kB")?;
        Ok(kb / 1_024.0)
    }

    /// Open file descriptors.
    pub(crate) fn files(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.0.id()))?.count())
    }

    /// Fails if the process has exited.
    pub(crate) fn must_run(&mut self) -> anyhow::Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the process ended by itself: {status}"),
        }
    }

    /// Sends SIGTERM and waits. A process that does not exit in time is killed, which is an error.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().context("`kill` cannot be run")?;
        if !sent.success() {
            bail!("process {pid} could not be asked to end");
        }
        let watch = Watch::start();
        while watch.secs() < END_WITHIN.as_secs_f64() {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            pause(Duration::from_millis(5));
        }
        bail!("process {pid} did not end within {END_WITHIN:?}")
    }
}

/// CPU time of a process's live threads, in microseconds. Exact, but the time of exited threads is lost, and an exited
/// process counts as 0.
pub(crate) fn threads_us(id: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let ns = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    ns.sum::<u64>() as f64 / 1_000.0
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && self.0.kill().is_ok() {
            // Best effort: `drop` cannot report a failure.
            let _gone = self.0.wait();
        }
    }
}
