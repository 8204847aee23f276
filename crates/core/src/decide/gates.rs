//! Why a callback is when it is: every gate before a dial, what went in, and what it says now.
//!
//! Invariant: the first gate of [`gates`] that does not let it pass says what [`before_dial`](super::before_dial())
//! says. [`gates_around`] tells what keeps a workspace from dialing at all, which is asked before a callback is
//! claimed.

use jiff::Timestamp;

use super::Due;
use crate::{callback::RedialReason, policy::MissedAction, workspace::Pause};

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Not before then.
    Wait(Timestamp),
    /// Not before somebody does something.
    Hold,
    /// Never.
    Stop,
}

impl Verdict {
    /// Its word in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Wait(_) => "wait",
            Self::Hold => "hold",
            Self::Stop => "stop",
        }
    }
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// What went in.
    pub input: String,
    /// What it says.
    pub verdict: Verdict,
    /// The same for people.
    pub says: String,
}

/// Every gate, in the order in which they are asked.
pub fn gates(due: &Due<'_>, now: Timestamp) -> Vec<Gate> {
    vec![
        do_not_call(due),
        agent(due),
        observe(due),
        attempts(due),
        country(due),
        time(due, now),
        lateness(due),
        quiet_time(due, now),
    ]
}

/// Conditions that stop a workspace from dialing any callback.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Why it is paused, and the provider's own sentence, if it gave one.
    pub paused: Option<(Pause, Option<String>)>,
    /// It was restored from a backup and is still compared with the provider's records.
    pub is_restoring: bool,
    /// Calls left in the plan this month; `None` without a limit.
    pub calls_left: Option<u64>,
    /// Lines that are free at the provider, where that is known.
    pub free_lines: Option<u32>,
    /// The provider asked to slow down until then.
    pub slowed_until: Option<Timestamp>,
    /// Calls to this number came so thick that the fuse holds the next one.
    pub fuse_blown: bool,
}

/// The gates of the workspace and of the number.
pub fn gates_around(around: &Around) -> Vec<Gate> {
    vec![paused(around), restore(around), quota(around), capacity(around), pace(around), fuse(around)]
}

fn paused(around: &Around) -> Gate {
    match &around.paused {
        None => gate("pause", "not paused", Verdict::Pass, "The workspace dials."),
        Some((why, sentence)) => {
            let said = sentence.as_deref().map(|s| format!(" The provider says: {s}")).unwrap_or_default();
            let says = format!("The workspace is paused: {}{said}", why.description());
            gate("pause", why.word(), Verdict::Hold, says)
        }
    }
}

fn restore(around: &Around) -> Gate {
    match around.is_restoring {
        false => gate("restore", "compared", Verdict::Pass, "No restore is under way."),
        true => gate(
            "restore",
            "not compared yet",
            Verdict::Hold,
            "The database was restored; the workspace dials once the provider's records were compared.",
        ),
    }
}

fn quota(around: &Around) -> Gate {
    match around.calls_left {
        None => gate("quota", "no limit", Verdict::Pass, "The plan has no limit on calls."),
        Some(0) => {
            gate("quota", "0 calls left", Verdict::Hold, "The plan's calls of this month are used up.")
        }
        Some(n) => {
            gate("quota", format!("{n} calls left"), Verdict::Pass, "The plan has calls left this month.")
        }
    }
}

fn capacity(around: &Around) -> Gate {
    match around.free_lines {
        None => gate("capacity", "unknown", Verdict::Pass, "No limit of lines is known."),
        Some(0) => gate("capacity", "0 lines free", Verdict::Hold, "Every line of the account is taken."),
        Some(n) => gate("capacity", format!("{n} lines free"), Verdict::Pass, "The account has a line free."),
    }
}

fn pace(around: &Around) -> Gate {
    match around.slowed_until {
        None => gate("pace", "not slowed", Verdict::Pass, "The provider did not ask to slow down."),
        Some(until) => {
            gate("pace", "slowed", Verdict::Wait(until), "The provider asked to slow down until then.")
        }
    }
}

fn fuse(around: &Around) -> Gate {
    match around.fuse_blown {
        false => gate("fuse", "within its limits", Verdict::Pass, "The number was not called too often."),
        true => gate(
            "fuse",
            "past its limits",
            Verdict::Hold,
            "The number was called so often that something must be wrong; a person must look.",
        ),
    }
}

fn gate(name: &'static str, input: impl Into<String>, verdict: Verdict, says: impl Into<String>) -> Gate {
    Gate { name, input: input.into(), verdict, says: says.into() }
}

fn do_not_call(due: &Due<'_>) -> Gate {
    match due.suppressed {
        true => gate("do_not_call", "listed", Verdict::Stop, "The number is on the do-not-call list."),
        false => {
            gate("do_not_call", "not listed", Verdict::Pass, "The number is not on the do-not-call list.")
        }
    }
}

fn agent(due: &Due<'_>) -> Gate {
    match due.agent_enabled {
        true => gate("agent", "enabled", Verdict::Pass, "The agent is switched on."),
        false => {
            gate("agent", "disabled", Verdict::Hold, "The agent is switched off; switch it on to go on.")
        }
    }
}

fn observe(due: &Due<'_>) -> Gate {
    match due.observes {
        false => gate("observe", "dials", Verdict::Pass, "The agent dials."),
        true => gate("observe", "observes", Verdict::Stop, "The agent only observes; nothing is dialed."),
    }
}

fn country(due: &Due<'_>) -> Gate {
    match (due.country_allowed, due.forced) {
        (true, _) => gate("country", "allowed", Verdict::Pass, "The number's country is called."),
        (false, true) => {
            gate("country", "not allowed, forced", Verdict::Pass, "A person decided to call it.")
        }
        (false, false) => gate(
            "country",
            "not allowed",
            Verdict::Hold,
            "The number's country is not among `allowed_countries`; a person must decide.",
        ),
    }
}

fn attempts(due: &Due<'_>) -> Gate {
    let (spent, max) = (due.spent, due.policy.max_attempts);
    let input = format!("{spent} of {max} spent");
    match spent >= max {
        true => gate("attempts", input, Verdict::Stop, "Its chain has no dial left."),
        false if spent + 1 == max => gate("attempts", input, Verdict::Pass, "This dial is the chain's last."),
        false => gate("attempts", input, Verdict::Pass, "Its chain has dials left."),
    }
}

fn time(due: &Due<'_>, now: Timestamp) -> Gate {
    let input = format!("due {}", due.scheduled_for);
    match due.scheduled_for > now {
        true => gate("due_time", input, Verdict::Wait(due.scheduled_for), "Its time has not come."),
        false => gate("due_time", input, Verdict::Pass, "Its time has come."),
    }
}

fn lateness(due: &Due<'_>) -> Gate {
    let (late, most) = (due.late_by.as_mins().max(0), due.policy.missed_after.as_mins());
    let input = format!("{late} min late, at most {most}");
    if due.late_by <= due.policy.missed_after {
        return gate("lateness", input, Verdict::Pass, "It is not too late for it.");
    }
    match due.policy.missed {
        MissedAction::Expire => {
            gate("lateness", input, Verdict::Stop, "It was missed by too much and expires.")
        }
        MissedAction::Replan => {
            gate("lateness", input, Verdict::Hold, "It was missed by too much and is planned anew.")
        }
    }
}

fn quiet_time(due: &Due<'_>, now: Timestamp) -> Gate {
    let zone = &due.zone.name;
    if due.is_named() {
        let who = match (due.forced, due.reason) {
            (false, RedialReason::CallbackRequested) => "The callee asked for this moment",
            _ => "A person or a program named this moment",
        };
        return gate("quiet_time", zone, Verdict::Pass, format!("{who}: quiet time does not bind."));
    }
    let at = due.scheduled_for.max(now);
    let open = due.policy.quiet.next_open(at, &due.zone.rules());
    if open > at {
        let says = "It is quiet time on the callee's clock until then.";
        return gate("quiet_time", zone, Verdict::Wait(open), says);
    }
    let says = match due.requested_for.filter(|wanted| *wanted < due.scheduled_for) {
        Some(wanted) => format!("It was planned for {wanted} and was moved to {}.", due.scheduled_for),
        None => "It is not quiet time on the callee's clock.".to_owned(),
    };
    gate("quiet_time", zone, Verdict::Pass, says)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil::time as clock};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        callback::RedialReason,
        decide::{BeforeDial, before_dial},
        policy::{MissedAction, Policy},
        time::{Zone, ZoneSource, minutes, plus},
        windows::Quiet,
    };

    proptest! {
        #[test]
        fn the_first_gate_that_is_shut_is_what_is_decided(
            suppressed: bool, agent_enabled: bool, forced: bool, retry: bool, replan: bool,
            observes: bool, country_allowed: bool, named: bool, spent in 0_u32..5, late in -200_i64..400, hour in 0_i64..24,
        ) {
            let policy = Policy {
                quiet: Quiet { hours: Some((clock(21, 0, 0, 0), clock(9, 0, 0, 0))), days: vec![] },
                missed: if replan { MissedAction::Replan } else { MissedAction::Expire },
                ..Policy::default()
            };
            let zone = Zone { name: "America/New_York".to_owned(), source: ZoneSource::Number, is_sure: true };
            let now = plus("2026-11-23T00:00:00Z".parse().expect("a time"), minutes(hour * 60));
            let due = Due {
                reason: if retry { RedialReason::BusyFollowup } else { RedialReason::CallbackRequested },
                requested_for: named.then_some(plus(now, -minutes(late))),
                scheduled_for: plus(now, -minutes(late)),
                late_by: minutes(late).max(SignedDuration::ZERO),
                forced,
                spent,
                agent_enabled,
                observes,
                suppressed,
                country_allowed,
                zone: &zone,
                policy: &policy,
            };
            let shut = gates(&due, now).into_iter().map(|g| g.verdict).find(|v| *v != Verdict::Pass);
            let agrees = match before_dial(&due, now) {
                BeforeDial::Dial { .. } => shut.is_none(),
                BeforeDial::Snooze { until } => shut == Some(Verdict::Wait(until)),
                BeforeDial::Hold(_) | BeforeDial::Replan { .. } => shut == Some(Verdict::Hold),
                BeforeDial::Close(_) => shut == Some(Verdict::Stop),
            };
            prop_assert!(agrees, "{shut:?}");
        }
    }
}
