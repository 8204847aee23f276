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
pub struct Around {
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
pub fn gates_around(around: &Around) -> Vec<GateRecord> {
    vec![paused(around), restore(around), quota(around), capacity(around), pace(around), fuse(around)]
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

fn paused(around: &Around) -> GateRecord {
    match &around.paused {
        None => record("pause", "not paused", PASS, "The workspace is not paused."),
        Some((why, sentence)) => {
            let provider_message =
                sentence.as_deref().map(|s| format!(" The provider says: {s}")).unwrap_or_default();
            let message = format!("The workspace is paused: {}{provider_message}", why.description());
            record("pause", why.as_str(), HOLD, message)
        }
    }
}

fn restore(around: &Around) -> GateRecord {
    match around.is_restoring {
        false => record("restore", "compared", PASS, "No restore is in progress."),
        true => record(
            "restore",
            "not compared yet",
            HOLD,
            "The database was restored. Dialing resumes when the provider's records have been compared.",
        ),
    }
}

fn quota(around: &Around) -> GateRecord {
    match around.calls_left {
        None => record("quota", "no limit", PASS, "The plan has no limit on calls."),
        Some(0) => record("quota", "0 calls left", HOLD, "The plan's calls for this month are used up."),
        Some(n) => record("quota", format!("{n} calls left"), PASS, "The plan has calls left this month."),
    }
}

fn capacity(around: &Around) -> GateRecord {
    match around.free_lines {
        None => record("capacity", "unknown", PASS, "The number of free lines is unknown."),
        Some(0) => record("capacity", "0 lines free", HOLD, "All lines of the account are in use."),
        Some(n) => record("capacity", format!("{n} lines free"), PASS, "The account has free lines."),
    }
}

fn pace(around: &Around) -> GateRecord {
    match around.slowed_until {
        None => record("pace", "not slowed", PASS, "The provider did not ask to slow down."),
        Some(until) => GateRecord {
            until: Some(until.to_string()),
            ..record("pace", "slowed", "wait", "The provider asked to slow down until then.")
        },
    }
}

fn fuse(around: &Around) -> GateRecord {
    match around.fuse_blown {
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

    fn verdicts(around: &Around) -> Vec<(String, String)> {
        gates_around(around).into_iter().map(|gate| (gate.gate, gate.verdict)).collect()
    }

    fn shut(around: &Around) -> Vec<(String, String)> {
        verdicts(around).into_iter().filter(|(_, verdict)| verdict != PASS).collect()
    }

    #[test]
    fn each_condition_shuts_its_own_gate() {
        assert_eq!(shut(&Around::default()), []);
        let open = Around { calls_left: Some(1), free_lines: Some(1), ..Around::default() };
        assert_eq!(shut(&open), []);
        let hold = |gate: &str| vec![(gate.to_owned(), HOLD.to_owned())];
        let paused = Some((Pause::Payment, Some("Add a card.".to_owned())));
        assert_eq!(shut(&Around { paused, ..Around::default() }), hold("pause"));
        assert_eq!(shut(&Around { is_restoring: true, ..Around::default() }), hold("restore"));
        assert_eq!(shut(&Around { calls_left: Some(0), ..Around::default() }), hold("quota"));
        assert_eq!(shut(&Around { free_lines: Some(0), ..Around::default() }), hold("capacity"));
        assert_eq!(shut(&Around { fuse_blown: true, ..Around::default() }), hold("fuse"));
        let slowed = Around { slowed_until: Some(Timestamp::UNIX_EPOCH), ..Around::default() };
        assert_eq!(shut(&slowed), [("pace".to_owned(), "wait".to_owned())]);
        let pace = gates_around(&slowed).into_iter().find(|gate| gate.gate == "pace").expect("asked");
        assert_eq!(pace.until.as_deref(), Some("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn a_pause_repeats_the_providers_words() {
        let paused = Some((Pause::Payment, Some("Add a card.".to_owned())));
        let gates = gates_around(&Around { paused, ..Around::default() });
        assert!(gates[0].message.ends_with(" The provider says: Add a card."), "{}", gates[0].message);
        let paused = Some((Pause::Key, None));
        let gates = gates_around(&Around { paused, ..Around::default() });
        assert!(!gates[0].message.contains("provider says"), "{}", gates[0].message);
    }
}
