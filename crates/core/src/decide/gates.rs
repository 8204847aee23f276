//! Decides whether a due callback may be dialed now. All gates are evaluated, and the first that does not pass decides.
//!
//! Invariants: everything that may have changed since scheduling is checked again here (I6, I7). The evaluated list is
//! stored with the dispatch, or with the callback that it ended, so an explanation shows the decision itself. The
//! attempt number and the final flag are those of this dial.

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use crate::{
    callback::{HeldFor, RedialReason, State, is_named},
    policy::{MissedAction, Policy},
    rules::CallingRules,
    time::{Zone, minutes, plus},
    timing::NAMED_FOR_MINUTES,
    windows::first_moment,
};

/// The facts about a due callback itself.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Why it is dialed.
    pub reason: RedialReason,
    /// The requested time, if any.
    pub requested_for: Option<Timestamp>,
    /// When it should have been dialed.
    pub scheduled_for: Timestamp,
    /// A person set this exact time, by forcing or rescheduling it.
    pub forced: bool,
    /// Whether it is dialed in the simulator.
    pub test: bool,
    /// The number to dial, E.164.
    pub to: &'a str,
    /// The callee's time zone.
    pub zone: &'a Zone,
}

/// The agent that would dial.
#[derive(Debug, Clone, Copy)]
pub struct DialingAgent {
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether it only observes.
    pub observes: bool,
}

/// The facts that the gates check.
#[derive(Clone, Copy)]
pub struct Due<'a> {
    /// Why the callback is dialed.
    pub reason: RedialReason,
    /// The requested time, if any.
    pub requested_for: Option<Timestamp>,
    /// When it should have been dialed.
    pub scheduled_for: Timestamp,
    /// How late it is, without time during which the key service was unavailable. Time during which the rate limiter
    /// held it back is measured in real time.
    pub late_by: SignedDuration,
    /// The time since it was due, including every outage and hold.
    pub overdue: SignedDuration,
    /// A person set this exact time, by forcing or rescheduling it.
    pub forced: bool,
    /// Dials that its chain has spent.
    pub attempts_used: u32,
    /// Whether its agent is enabled.
    pub agent_enabled: bool,
    /// Whether its agent only observes.
    pub observes: bool,
    /// Whether the number is on the do-not-call list.
    pub suppressed: bool,
    /// Whether the workspace calls the country of the number.
    pub country_allowed: bool,
    /// The callee's time zone.
    pub zone: &'a Zone,
    /// The settings as they are now.
    pub policy: &'a Policy,
}

/// The position of this dial within its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its ordinal.
    pub number: u32,
    /// The maximum number of attempts under the settings at the time of evaluation.
    pub max: u32,
    /// Whether this is the chain's last dial.
    pub is_final: bool,
}

impl<'a> Due<'a> {
    /// The facts about a callback, its agent and the settings, for a callback that is on time, the first of its chain
    /// and not on the do-not-call list. The caller overrides these fields where they differ.
    pub fn new(callback: &Candidate<'a>, agent: DialingAgent, policy: &'a Policy) -> Self {
        Self {
            reason: callback.reason,
            requested_for: callback.requested_for,
            scheduled_for: callback.scheduled_for,
            late_by: SignedDuration::ZERO,
            overdue: SignedDuration::ZERO,
            forced: callback.forced,
            attempts_used: 0,
            agent_enabled: agent.enabled,
            observes: agent.observes && !callback.test,
            suppressed: false,
            country_allowed: CallingRules { policy, zone: callback.zone }
                .calls_country_of(callback.to, callback.test),
            zone: callback.zone,
            policy,
        }
    }

    /// Whether it is due at a requested time, to which quiet hours do not apply. They apply again once it is overdue by
    /// more than `NAMED_FOR_MINUTES`.
    pub fn is_named(&self) -> bool {
        self.overdue <= minutes(NAMED_FOR_MINUTES)
            && is_named(self.reason, self.forced, self.requested_for, self.scheduled_for)
    }

    /// The position of this dial within its chain.
    pub const fn attempt(&self) -> Attempt {
        let (number, max) = (self.attempts_used.saturating_add(1), self.policy.max_attempts);
        Attempt { number, max, is_final: number >= max }
    }

    const fn rules(&self) -> CallingRules<'a> {
        CallingRules { policy: self.policy, zone: self.zone }
    }
}

/// The result of one gate, and of the whole list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Dial.
    Pass,
    /// Not before this time; no attempt is spent.
    Wait(Timestamp),
    /// It is too late and is rescheduled to this time; no attempt is spent.
    Replan(Timestamp),
    /// Held until the reason is resolved.
    Hold(HeldFor),
    /// Never dial; the callback ends in this state.
    Stop(State),
}

impl Verdict {
    /// Its value in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Wait(_) => "wait",
            Self::Replan(_) | Self::Hold(_) => "hold",
            Self::Stop(_) => "stop",
        }
    }
}

/// One evaluated gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// The value that was checked.
    pub input: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The result as a sentence.
    pub message: String,
}

/// A gate as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRecord {
    /// Its name.
    pub gate: String,
    /// The value that was checked.
    pub input: String,
    /// [`Verdict::as_str`].
    pub verdict: String,
    /// The time before which it must not be dialed, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The result as a sentence.
    pub message: String,
}

impl From<Gate> for GateRecord {
    fn from(gate: Gate) -> Self {
        let until = match gate.verdict {
            Verdict::Wait(until) | Verdict::Replan(until) => Some(until.to_string()),
            _ => None,
        };
        Self {
            gate: gate.name.to_owned(),
            input: gate.input,
            verdict: gate.verdict.as_str().to_owned(),
            until,
            message: gate.message,
        }
    }
}

/// Every gate of a callback, in evaluation order.
pub fn gates(due: &Due<'_>, now: Timestamp) -> Vec<Gate> {
    vec![
        do_not_call(due),
        agent(due),
        observe(due),
        attempts(due),
        country(due),
        due_time(due, now),
        lateness(due, now),
        quiet_time(due, now),
    ]
}

/// The decision: the verdict of the first gate that does not pass.
pub fn decision(gates: &[Gate]) -> Verdict {
    gates.iter().map(|gate| gate.verdict).find(|verdict| *verdict != Verdict::Pass).unwrap_or(Verdict::Pass)
}

fn gate(name: &'static str, input: impl Into<String>, verdict: Verdict, message: impl Into<String>) -> Gate {
    Gate { name, input: input.into(), verdict, message: message.into() }
}

fn do_not_call(due: &Due<'_>) -> Gate {
    match due.suppressed {
        true => gate(
            "do_not_call",
            "listed",
            Verdict::Stop(State::Suppressed),
            "The number is on the do-not-call list.",
        ),
        false => {
            gate("do_not_call", "not listed", Verdict::Pass, "The number is not on the do-not-call list.")
        }
    }
}

fn agent(due: &Due<'_>) -> Gate {
    match due.agent_enabled {
        true => gate("agent", "enabled", Verdict::Pass, "The agent is enabled."),
        false => gate(
            "agent",
            "disabled",
            Verdict::Hold(HeldFor::Agent),
            "The agent is disabled. Enable it to dial the callback.",
        ),
    }
}

fn observe(due: &Due<'_>) -> Gate {
    match due.observes {
        false => gate("observe", "dials", Verdict::Pass, "The agent places calls."),
        true => gate(
            "observe",
            "observes",
            Verdict::Stop(State::Canceled),
            "The agent only observes; nothing is dialed.",
        ),
    }
}

fn attempts(due: &Due<'_>) -> Gate {
    let Attempt { max, is_final, .. } = due.attempt();
    let input = format!("{} of {max} dials used", due.attempts_used);
    match due.attempts_used >= max {
        true => gate("attempts", input, Verdict::Stop(State::Exhausted), "The chain has no attempt left."),
        false if is_final => {
            gate("attempts", input, Verdict::Pass, "This is the final attempt of the chain.")
        }
        false => gate("attempts", input, Verdict::Pass, "The chain has attempts left."),
    }
}

fn country(due: &Due<'_>) -> Gate {
    match (due.country_allowed, due.forced) {
        (true, _) => gate("country", "allowed", Verdict::Pass, "Calls to the number's country are allowed."),
        (false, true) => gate(
            "country",
            "not allowed, forced",
            Verdict::Pass,
            "The country is not allowed, but a person forced or rescheduled the callback.",
        ),
        (false, false) => gate(
            "country",
            "not allowed",
            Verdict::Hold(HeldFor::Country),
            "The number's country is not among `allowed_countries`; a person must decide.",
        ),
    }
}

fn due_time(due: &Due<'_>, now: Timestamp) -> Gate {
    let input = format!("due {}", due.scheduled_for);
    match due.scheduled_for > now {
        true => gate("due_time", input, Verdict::Wait(due.scheduled_for), "The callback is not due yet."),
        false => gate("due_time", input, Verdict::Pass, "The callback is due."),
    }
}

fn lateness(due: &Due<'_>, now: Timestamp) -> Gate {
    let (late, most) = (due.late_by.as_mins().max(0), due.policy.missed_after.as_mins());
    let input = format!("{late} min late, at most {most}");
    if due.late_by <= due.policy.missed_after {
        return gate("lateness", input, Verdict::Pass, "The callback is within the allowed lateness.");
    }
    match due.policy.missed {
        MissedAction::Expire => gate(
            "lateness",
            input,
            Verdict::Stop(State::Expired),
            "The callback is later than allowed and expires.",
        ),
        MissedAction::Replan => {
            // A rescheduled callback is subject to quiet hours again.
            let until = due.rules().first_moment(replanned(due, now));
            gate(
                "lateness",
                input,
                Verdict::Replan(until),
                "The callback is later than allowed and is rescheduled.",
            )
        }
    }
}

/// The next occurrence of the promised time of day in the callee's zone.
fn replanned(due: &Due<'_>, now: Timestamp) -> Timestamp {
    let zone = due.zone.rules();
    let promised = due.scheduled_for.to_zoned(zone.clone()).time();
    let today = now.to_zoned(zone.clone()).date();
    let on = |days: i64| {
        let date = today.checked_add(days.days()).ok()?;
        first_moment(date, promised, &zone).filter(|at| *at > now)
    };
    // Every day has this time of day, or a clock change that skips it.
    on(0).or_else(|| on(1)).unwrap_or_else(|| plus(now, minutes(24 * 60)))
}

fn quiet_time(due: &Due<'_>, now: Timestamp) -> Gate {
    let zone = &due.zone.name;
    if due.is_named() {
        let who = match (due.forced, due.reason) {
            (false, RedialReason::CallbackRequested) => "The callee asked for this time",
            _ => "A person or a program set this time",
        };
        return gate(
            "quiet_time",
            zone,
            Verdict::Pass,
            format!("{who}, so quiet hours and days do not apply."),
        );
    }
    let at = due.scheduled_for.max(now);
    let open = due.rules().first_moment(at);
    if open > at {
        let message = "Quiet hours or days in the callee's time zone last until then.";
        return gate("quiet_time", zone, Verdict::Wait(open), message);
    }
    let message = match due.requested_for.filter(|wanted| *wanted < due.scheduled_for) {
        Some(wanted) => format!(
            "The callback was planned for {wanted} and was moved to {} because of quiet hours or days.",
            due.scheduled_for
        ),
        None => "The scheduled time is outside quiet hours and days in the callee's time zone.".to_owned(),
    };
    gate("quiet_time", zone, Verdict::Pass, message)
}

/// The due callbacks that may be claimed together, in order. A callback whose claim failed before, possibly by crashing
/// the process, is claimed by itself, so that it cannot affect others (I33).
pub fn dialed_together<R>(rows: &[R], failures: impl Fn(&R) -> i64) -> impl Iterator<Item = &R> {
    let goes_alone = rows.first().is_some_and(|first| failures(first) > 0);
    let rows = if goes_alone { &rows[..1] } else { rows };
    rows.iter().filter(move |row| goes_alone || failures(row) == 0)
}

#[cfg(test)]
pub(super) mod tests;
