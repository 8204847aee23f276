//! Why a callback is when it is: every gate before a dial, what went in, and what it says now.
//!
//! Invariant: the first gate that does not let it pass says what [`before_dial`](super::before_dial()) says.

use jiff::Timestamp;

use super::Due;

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
    vec![do_not_call(due), agent(due), attempts(due), time(due, now), lateness(due), quiet_time(due, now)]
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
        crate::policy::MissedAction::Expire => {
            gate("lateness", input, Verdict::Stop, "It was missed by too much and expires.")
        }
        crate::policy::MissedAction::Replan => {
            gate("lateness", input, Verdict::Hold, "It was missed by too much and is planned anew.")
        }
    }
}

fn quiet_time(due: &Due<'_>, now: Timestamp) -> Gate {
    let zone = &due.zone.name;
    let at = due.scheduled_for.max(now);
    if !due.reason.is_retry() {
        return gate(
            "quiet_time",
            zone,
            Verdict::Pass,
            "The callee asked for this moment: quiet time does not bind.",
        );
    }
    if due.forced {
        return gate(
            "quiet_time",
            zone,
            Verdict::Pass,
            "A person named this moment: quiet time does not bind.",
        );
    }
    let open = due.policy.quiet.next_open(at, &due.zone.rules());
    match open > at {
        true => gate(
            "quiet_time",
            zone,
            Verdict::Wait(open),
            "It is quiet time on the callee's clock until then.",
        ),
        false => gate("quiet_time", zone, Verdict::Pass, "No quiet time on the callee's clock."),
    }
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
            spent in 0_u32..5, late in -200_i64..400, hour in 0_i64..24,
        ) {
            let policy = Policy {
                quiet: Quiet { hours: Some((clock(21, 0, 0, 0), clock(9, 0, 0, 0))), days: vec![] },
                missed: if replan { MissedAction::Replan } else { MissedAction::Expire },
                ..Policy::default()
            };
            let zone = Zone { name: "America/New_York".to_owned(), source: ZoneSource::Number };
            let now = plus("2026-11-23T00:00:00Z".parse().expect("a time"), minutes(hour * 60));
            let due = Due {
                reason: if retry { RedialReason::BusyFollowup } else { RedialReason::CallbackRequested },
                scheduled_for: plus(now, -minutes(late)),
                late_by: minutes(late).max(SignedDuration::ZERO),
                forced,
                spent,
                agent_enabled,
                suppressed,
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
