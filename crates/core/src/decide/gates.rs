//! A callback is due: may it be dialed now? Every gate is asked, and the first that does not let it pass decides.
//!
//! Invariants: whatever may have changed since the callback was scheduled is asked again here (I6, I7). The list that
//! was decided by is stored with the dispatch, or with the callback that ended by it, so an explanation shows the
//! decision itself. The attempt and the final flag are those of this very dial.

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

/// What is known of a callback itself when it is due.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Why it exists.
    pub reason: RedialReason,
    /// The moment that was asked for, where one was.
    pub requested_for: Option<Timestamp>,
    /// When it should have been dialed.
    pub scheduled_for: Timestamp,
    /// A person named this very instant ("now", or another).
    pub forced: bool,
    /// Whether it is dialed at the simulator.
    pub test: bool,
    /// The number to dial, E.164.
    pub to: &'a str,
    /// The callee's clock.
    pub zone: &'a Zone,
}

/// The agent that would dial.
#[derive(Debug, Clone, Copy)]
pub struct DialingAgent {
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether it only observes.
    pub observes: bool,
}

/// The facts that the gates judge.
#[derive(Clone, Copy)]
pub struct Due<'a> {
    /// Why the callback exists.
    pub reason: RedialReason,
    /// The moment that was asked for, where one was.
    pub requested_for: Option<Timestamp>,
    /// When it should have been dialed.
    pub scheduled_for: Timestamp,
    /// By how much it is late; what the pace held back while we were up counts in real time.
    pub late_by: SignedDuration,
    /// The time since its moment, including outages and holds.
    pub overdue: SignedDuration,
    /// A person named this very instant ("now", or another).
    pub forced: bool,
    /// Dials its chain has spent.
    pub spent: u32,
    /// Whether its agent is switched on.
    pub agent_enabled: bool,
    /// Whether its agent only observes.
    pub observes: bool,
    /// Whether the number is on the do-not-call list.
    pub suppressed: bool,
    /// Whether the workspace calls the country of the number.
    pub country_allowed: bool,
    /// The callee's clock.
    pub zone: &'a Zone,
    /// The settings as they are now.
    pub policy: &'a Policy,
}

/// This dial within its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its ordinal.
    pub number: u32,
    /// The ceiling it was judged by.
    pub max: u32,
    /// Whether it is the chain's last.
    pub is_final: bool,
}

impl<'a> Due<'a> {
    /// The facts about a callback, its agent and the settings: on time, first of its chain and on no list, unless the
    /// caller knows better.
    pub fn new(callback: &Candidate<'a>, agent: DialingAgent, policy: &'a Policy) -> Self {
        Self {
            reason: callback.reason,
            requested_for: callback.requested_for,
            scheduled_for: callback.scheduled_for,
            late_by: SignedDuration::ZERO,
            overdue: SignedDuration::ZERO,
            forced: callback.forced,
            spent: 0,
            agent_enabled: agent.enabled,
            observes: agent.observes && !callback.test,
            suppressed: false,
            country_allowed: CallingRules { policy, zone: callback.zone }
                .calls_country_of(callback.to, callback.test),
            zone: callback.zone,
            policy,
        }
    }

    /// Whether it is due at a named moment, to which quiet hours do not apply. Long after it, they do.
    pub fn is_named(&self) -> bool {
        self.overdue <= minutes(NAMED_FOR_MINUTES)
            && is_named(self.reason, self.forced, self.requested_for, self.scheduled_for)
    }

    /// Which dial of its chain this is.
    pub const fn attempt(&self) -> Attempt {
        let (number, max) = (self.spent.saturating_add(1), self.policy.max_attempts);
        Attempt { number, max, is_final: number >= max }
    }

    const fn rules(&self) -> CallingRules<'a> {
        CallingRules { policy: self.policy, zone: self.zone }
    }
}

/// What a gate says, and what the list of them comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Dial.
    Pass,
    /// Not before then; spends nothing.
    Wait(Timestamp),
    /// It was missed by too much and is planned anew, for then; spends nothing.
    Replan(Timestamp),
    /// Not before somebody does something.
    Hold(HeldFor),
    /// Never.
    Stop(State),
}

impl Verdict {
    /// Its word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Wait(_) => "wait",
            Self::Replan(_) | Self::Hold(_) => "hold",
            Self::Stop(_) => "stop",
        }
    }
}

/// One gate that was asked.
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

/// A gate as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRecord {
    /// Its name.
    pub gate: String,
    /// What went in.
    pub input: String,
    /// [`Verdict::as_str`].
    pub verdict: String,
    /// Not before then, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The same for people.
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
            message: gate.says,
        }
    }
}

/// Every gate of a callback, in the order in which they are asked.
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

/// What the gates decide: the verdict of the first that does not let the callback pass.
pub fn decision(gates: &[Gate]) -> Verdict {
    gates.iter().map(|gate| gate.verdict).find(|verdict| *verdict != Verdict::Pass).unwrap_or(Verdict::Pass)
}

fn gate(name: &'static str, input: impl Into<String>, verdict: Verdict, says: impl Into<String>) -> Gate {
    Gate { name, input: input.into(), verdict, says: says.into() }
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
        true => gate("agent", "enabled", Verdict::Pass, "The agent is switched on."),
        false => gate(
            "agent",
            "disabled",
            Verdict::Hold(HeldFor::Agent),
            "The agent is switched off; switch it on to go on.",
        ),
    }
}

fn observe(due: &Due<'_>) -> Gate {
    match due.observes {
        false => gate("observe", "dials", Verdict::Pass, "The agent dials."),
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
    let input = format!("{} of {max} spent", due.spent);
    match due.spent >= max {
        true => gate("attempts", input, Verdict::Stop(State::Exhausted), "Its chain has no dial left."),
        false if is_final => gate("attempts", input, Verdict::Pass, "This dial is the chain's last."),
        false => gate("attempts", input, Verdict::Pass, "Its chain has dials left."),
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
            Verdict::Hold(HeldFor::Country),
            "The number's country is not among `allowed_countries`; a person must decide.",
        ),
    }
}

fn due_time(due: &Due<'_>, now: Timestamp) -> Gate {
    let input = format!("due {}", due.scheduled_for);
    match due.scheduled_for > now {
        true => gate("due_time", input, Verdict::Wait(due.scheduled_for), "Its time has not come."),
        false => gate("due_time", input, Verdict::Pass, "Its time has come."),
    }
}

fn lateness(due: &Due<'_>, now: Timestamp) -> Gate {
    let (late, most) = (due.late_by.as_mins().max(0), due.policy.missed_after.as_mins());
    let input = format!("{late} min late, at most {most}");
    if due.late_by <= due.policy.missed_after {
        return gate("lateness", input, Verdict::Pass, "It is not too late for it.");
    }
    match due.policy.missed {
        MissedAction::Expire => {
            gate("lateness", input, Verdict::Stop(State::Expired), "It was missed by too much and expires.")
        }
        MissedAction::Replan => {
            // A rescheduled callback is subject to quiet hours again.
            let until = due.rules().first_moment(replanned(due, now));
            gate("lateness", input, Verdict::Replan(until), "It was missed by too much and is planned anew.")
        }
    }
}

/// The time of day that was promised, on the callee's clock, as soon as it comes again.
fn replanned(due: &Due<'_>, now: Timestamp) -> Timestamp {
    let zone = due.zone.rules();
    let promised = due.scheduled_for.to_zoned(zone.clone()).time();
    let today = now.to_zoned(zone.clone()).date();
    let on = |days: i64| {
        let date = today.checked_add(days.days()).ok()?;
        first_moment(date, promised, &zone).filter(|at| *at > now)
    };
    // A day has every time of day, or the first one after it.
    on(0).or_else(|| on(1)).unwrap_or_else(|| plus(now, minutes(24 * 60)))
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
    let open = due.rules().first_moment(at);
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

/// Of due callbacks, in their order, those that may be claimed together. One that failed in our hands before, perhaps by
/// taking the process with it, goes alone: the others are not to blame (I33).
pub fn dialed_together<R>(rows: &[R], failures: impl Fn(&R) -> i64) -> impl Iterator<Item = &R> {
    let goes_alone = rows.first().is_some_and(|first| failures(first) > 0);
    let rows = if goes_alone { &rows[..1] } else { rows };
    rows.iter().filter(move |row| goes_alone || failures(row) == 0)
}

#[cfg(test)]
pub(super) mod tests;
