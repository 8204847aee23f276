//! Settings of a walk's process, and how it ends.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    time::Duration,
};

use serde_json::Value;

use super::{POLL_INTERVAL, STEP_TIMEOUT, Walk};

const SIGABRT: i32 = 6;

impl Walk {
    /// Removes a setting, so that its default applies from now on.
    pub(crate) fn unset(&mut self, name: &str) {
        self.settings.retain(|(known, _)| *known != name);
    }

    /// Kills the process without a shutdown, like a power failure.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("killed");
            server.wait().expect("gone");
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn send_sigterm(&self) {
        let pid = self.server.as_ref().expect("running").id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("run").success());
    }

    /// Sends SIGTERM, waits, and returns the exit status.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.send_sigterm();
        self.server.take().expect("running").wait().expect("gone")
    }

    /// Whether the process is running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(|s| s.try_wait().expect("done").is_none())
    }

    /// Like [`Self::until`], for a server that may no longer answer.
    pub(crate) async fn until_cut_off(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..STEP_TIMEOUT.as_millis() / POLL_INTERVAL.as_millis() {
            if holds(self).await {
                return;
            }
            self.clock.wait(POLL_INTERVAL).await;
        }
        panic!("waited in vain for {what}");
    }

    /// Waits, in real time, until the process has exited by itself; returns the exit status.
    pub(crate) async fn until_ended(&mut self) -> ExitStatus {
        for _ in 0..STEP_TIMEOUT.as_millis() / POLL_INTERVAL.as_millis() {
            if let Some(status) = self.server.as_mut().expect("started").try_wait().expect("done") {
                self.server = None;
                return status;
            }
            self.clock.wait(POLL_INTERVAL).await;
        }
        panic!("the process lives on; rings: {:#?}", self.sim.placed_calls());
    }

    /// Waits until the process has aborted itself.
    pub(crate) async fn until_aborted(&mut self) {
        let status = self.until_ended().await;
        assert_eq!(status.signal(), Some(SIGABRT), "{status}");
    }

    /// Waits in real time.
    pub(crate) async fn pass(&self, real: Duration) {
        self.clock.wait(real).await;
    }

    /// Every callback, over all pages.
    pub(crate) async fn all_callbacks(&self) -> Vec<Value> {
        self.list(&self.admin_key, "/v1/callbacks?limit=200").await
    }

    /// Asserts that no dispatch and no callback rang a phone twice.
    pub(crate) fn assert_rung_once_each(&self) {
        for name in ["redialer_dispatch", "redialer_id"] {
            let mut seen = std::collections::BTreeSet::new();
            for ring in self.sim.placed_calls() {
                let id = ring.request["metadata"][name].as_str().expect("ours").to_owned();
                assert!(seen.insert(id), "{name}: a second ring: {ring:?}");
            }
        }
    }
}
