//! Conditions outside a callback's own [`gates`](super::gates()) that keep a workspace from dialing, or a number from
//! being called.
//!
//! They are enforced elsewhere: a paused or restoring workspace claims nothing, free lines and the dial rate bound how
//! much is claimed, and quota and fuse are counted in the transaction that writes the intent. The explanation of a
//! waiting callback shows their current state.

use jiff::Timestamp;

use super::{ActivityNotice, GateRecord};
use crate::{callback::HeldFor, workspace::Pause};

/// Conditions that keep a workspace from dialing, or a number from being called.
#[derive(Debug, Clone, Default)]
pub struct WorkspaceConditions {
    /// Why the workspace is paused, and the provider's own message, if it sent one.
    pub paused: Option<(Pause, Option<String>)>,
    /// The workspace was restored from a backup and is still being compared with the provider's records.
    pub is_restoring: bool,
    /// Calls left in the plan this month; `None` without a limit.
    pub calls_left: Option<u64>,
    /// Free lines at the provider, if known.
    pub free_lines: Option<u32>,
    /// Until when the provider asked us to slow down.
    pub slowed_until: Option<Timestamp>,
    /// The number was called so often that the fuse holds the next call.
    pub fuse_blown: bool,
}

/// The reason for which a callback is held, as a record that precedes its gates.
pub fn held(why: HeldFor) -> GateRecord {
    let message = match why {
        HeldFor::UnclearTime => "A callback was requested without a usable time. Reschedule or force it.",
        other => ActivityNotice::of_hold(other).map_or("", ActivityNotice::description),
    };
    record("held", why.as_str(), HOLD, message)
}

/// The gates of the workspace and of the number.
pub fn condition_gates(conditions: &WorkspaceConditions) -> Vec<GateRecord> {
    vec![
        paused(conditions),
        restore(conditions),
        quota(conditions),
        capacity(conditions),
        pace(conditions),
        fuse(conditions),
    ]
}

const PASS: &str = "pass";
const HOLD: &str = "hold";

fn record(gate: &str, input: impl Into<String>, verdict: &str, message: impl Into<String>) -> GateRecord {
    GateRecord {
        gate: gate.to_owned(),
        input: input.into(),
        verdict: verdict.to_owned(),
        until: None,
        message: message.into(),
    }
}

fn paused(conditions: &WorkspaceConditions) -> GateRecord {
    match &conditions.paused {
        None => record("pause", "not paused", PASS, "The workspace is not paused."),
        Some((why, sentence)) => {
            let provider_message =
                sentence.as_deref().map(|s| format!(" Provider message: {s}")).unwrap_or_default();
            let message = format!("The workspace is paused: {}{provider_message}", why.description());
            record("pause", why.as_str(), HOLD, message)
        }
    }
}

fn restore(conditions: &WorkspaceConditions) -> GateRecord {
    match conditions.is_restoring {
        false => record("restore", "compared", PASS, "No restore is in progress."),
        true => record(
            "restore",
            "not compared yet",
            HOLD,
            "The database was restored. Dialing resumes after it has been compared with the provider's records.",
        ),
    }
}

fn quota(conditions: &WorkspaceConditions) -> GateRecord {
    match conditions.calls_left {
        None => record("quota", "no limit", PASS, "The plan has no limit on calls."),
        Some(0) => record("quota", "0 calls left", HOLD, "The plan's calls for this month are used up."),
        Some(n) => record("quota", format!("{n} calls left"), PASS, "The plan has calls left this month."),
    }
}

fn capacity(conditions: &WorkspaceConditions) -> GateRecord {
    match conditions.free_lines {
        None => record("capacity", "unknown", PASS, "The number of free lines is unknown."),
        Some(0) => record("capacity", "0 lines free", HOLD, "All lines of the account are in use."),
        Some(n) => record("capacity", format!("{n} lines free"), PASS, "The account has free lines."),
    }
}

fn pace(conditions: &WorkspaceConditions) -> GateRecord {
    match conditions.slowed_until {
        None => record("pace", "not slowed", PASS, "The provider has not asked redialer to slow down."),
        Some(until) => GateRecord {
            until: Some(until.to_string()),
            ..record("pace", "slowed", "wait", "The provider asked redialer to slow down until this time.")
        },
    }
}

fn fuse(conditions: &WorkspaceConditions) -> GateRecord {
    match conditions.fuse_blown {
        false => record("fuse", "within its limits", PASS, "The number was not called too often."),
        true => record(
            "fuse",
            "past its limits",
            HOLD,
            "The number was called more often than the fuse allows. Check its chain, then reschedule or cancel the callback.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(conditions: &WorkspaceConditions) -> Vec<(String, String)> {
        condition_gates(conditions).into_iter().map(|gate| (gate.gate, gate.verdict)).collect()
    }

    fn closed(conditions: &WorkspaceConditions) -> Vec<(String, String)> {
        verdicts(conditions).into_iter().filter(|(_, verdict)| verdict != PASS).collect()
    }

    #[test]
    fn each_condition_closes_its_own_gate() {
        assert_eq!(closed(&WorkspaceConditions::default()), []);
        let open = WorkspaceConditions {
            calls_left: Some(1),
            free_lines: Some(1),
            ..WorkspaceConditions::default()
        };
        assert_eq!(closed(&open), []);
        let hold = |gate: &str| vec![(gate.to_owned(), HOLD.to_owned())];
        let paused = Some((Pause::Payment, Some("Add a card.".to_owned())));
        assert_eq!(closed(&WorkspaceConditions { paused, ..WorkspaceConditions::default() }), hold("pause"));
        assert_eq!(
            closed(&WorkspaceConditions { is_restoring: true, ..WorkspaceConditions::default() }),
            hold("restore")
        );
        assert_eq!(
            closed(&WorkspaceConditions { calls_left: Some(0), ..WorkspaceConditions::default() }),
            hold("quota")
        );
        assert_eq!(
            closed(&WorkspaceConditions { free_lines: Some(0), ..WorkspaceConditions::default() }),
            hold("capacity")
        );
        assert_eq!(
            closed(&WorkspaceConditions { fuse_blown: true, ..WorkspaceConditions::default() }),
            hold("fuse")
        );
        let slowed = WorkspaceConditions {
            slowed_until: Some(Timestamp::UNIX_EPOCH),
            ..WorkspaceConditions::default()
        };
        assert_eq!(closed(&slowed), [("pace".to_owned(), "wait".to_owned())]);
        let pace =
            condition_gates(&slowed).into_iter().find(|gate| gate.gate == "pace").expect("a pace gate");
        assert_eq!(pace.until.as_deref(), Some("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn a_pause_includes_the_providers_message() {
        let paused = Some((Pause::Payment, Some("Add a card.".to_owned())));
        let gates = condition_gates(&WorkspaceConditions { paused, ..WorkspaceConditions::default() });
        assert!(gates[0].message.ends_with(" Provider message: Add a card."), "{}", gates[0].message);
        let paused = Some((Pause::Key, None));
        let gates = condition_gates(&WorkspaceConditions { paused, ..WorkspaceConditions::default() });
        assert!(!gates[0].message.contains("Provider message"), "{}", gates[0].message);
    }
}
