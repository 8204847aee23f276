//! Decides what follows from a call event.
//!
//! Invariants: a redial's final state depends only on the outcome reason of the first event that has one; the analysis
//! may add the next callback and never changes that state. One call's events lead to the same rows in any order and
//! however often each arrives (I10): if the outcome reason created a retry and the analysis contains a request, the
//! retry's row becomes the request. A chain never exceeds its limit of attempts; a request past the limit is fresh
//! consent and opens a new chain (I5).
//! Only outbound calls are retried for their reason. A call in which no person was reached never counts as a request,
//! regardless of its analysis (I40).

use jiff::Timestamp;

use super::{EventNote, RequestedTime, chain::Place, requested_time::is_request};
use crate::{
    Id,
    agent::AgentStatus,
    call::{CallFacts, CallPhase, CallbackAnswer},
    callback::{ActiveCallback, HeldFor, RedialReason, State},
    id::{Callback, Chain},
    outcome::{OutcomeClass, Repeat},
    policy::{Policy, PromiseScope, Trigger, UnclearAction},
    rules::CallingRules,
    time::{Zone, minutes, plus},
    timing::ANALYSIS_AFTER_MINUTES,
    workspace::Pause,
};

/// The facts for a decision about a call event.
pub struct AfterCallInput<'a> {
    /// The event, as parsed.
    pub facts: &'a CallFacts,
    /// The effects of earlier events of the same call.
    pub seen: CallProgress,
    /// The callback that this call dialed, if any.
    pub redial: Option<&'a Redial>,
    /// The person on the call; `None` if there is no number that may be dialed.
    pub person: Option<&'a Person>,
    /// Whether the agent that would dial is available.
    pub agent_status: AgentStatus,
    /// The agent that would dial.
    pub agent: Option<Id<crate::id::Agent>>,
    /// Whether the workspace calls the country of the person's number.
    pub country_allowed: bool,
    /// The agent only observes: the result is recorded, and nothing is dialed.
    pub observes: bool,
    /// The workspace's and the agent's settings.
    pub policy: &'a Policy,
    /// The callee's time zone.
    pub zone: &'a Zone,
    /// The requested time, as understood; read only if a callback was requested.
    pub requested_time: &'a RequestedTime,
    /// The current time.
    pub now: Timestamp,
}

/// The effects of earlier events of the same call.
#[derive(Debug, Clone, Default)]
pub struct CallProgress {
    /// The outcome reason was processed.
    pub settled: bool,
    /// The analysis was processed.
    pub analyzed: bool,
    /// The retry that was created, while it is still waiting.
    pub retry: Option<ActiveCallback>,
}

/// The callback that a call dialed.
#[derive(Debug, Clone)]
pub struct Redial {
    /// The callback.
    pub id: Id<Callback>,
    /// Its chain.
    pub chain: Id<Chain>,
    /// Dials the chain has spent, this one included.
    pub attempts_used: u32,
    /// The outcome reason of the call that led to the callback, as the provider writes it.
    pub source_outcome: Option<String>,
    /// Its dispatch ended unresolved before this event showed that it was placed: a person decides what follows.
    pub unresolved: bool,
}

/// The person on the call.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// Their callbacks that are not final.
    pub live: Vec<ActiveCallback>,
    /// Whether the number is on the do-not-call list.
    pub suppressed: bool,
    /// The end of the last call in which the person reached an agent.
    pub reached_at: Option<Timestamp>,
}

/// The result of a decision about a call event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AfterCall {
    /// The change to the callback that this call dialed.
    pub settle: Option<Settle>,
    /// The next callback.
    pub follow: Option<NextCallback>,
    /// Waiting callbacks that are superseded.
    pub supersede: Vec<Id<Callback>>,
    /// Add the number to the do-not-call list, and end its waiting callbacks.
    pub suppress: bool,
    /// Pause dialing for the workspace.
    pub pause: Option<Pause>,
    /// When the person reached an agent, if that is later than known.
    pub reached_at: Option<Timestamp>,
    /// This event's outcome reason was processed.
    pub settled: bool,
    /// This event's analysis was processed.
    pub analyzed: bool,
    /// Notes for people.
    pub notes: Vec<EventNote>,
    /// The extractions in the payload, for [`EventNote::NoRequest`].
    pub extractions: Vec<String>,
}

/// The change to a dialed callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// It ends in this state.
    Close(State),
    /// Dial again with the same attempt number; this dial does not count.
    Reschedule {
        /// The earliest time.
        at: Timestamp,
    },
}

/// The next callback: a new row, or the waiting retry of this call turned into a request.
#[derive(Debug, Clone, PartialEq)]
pub enum NextCallback {
    /// A new row.
    Create(CallbackPlan),
    /// Rewrites the row that an earlier event of this call created.
    Replace(Id<Callback>, CallbackPlan),
}

impl NextCallback {
    /// Whether the callback is a retry that a later event of the same call may turn into a request.
    pub const fn is_retry(&self) -> bool {
        match self {
            Self::Create(planned) => planned.reason.is_retry(),
            Self::Replace(..) => true,
        }
    }
}

/// When to fetch a call's analysis from the provider if it has not arrived: a fixed time after the outcome reason was
/// processed. Any analysis, even an empty one, ends the wait.
pub fn analysis_due(
    settled_now: bool,
    analyzed: bool,
    before: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    match (analyzed, settled_now) {
        (true, _) => None,
        (false, true) => Some(plus(now, minutes(ANALYSIS_AFTER_MINUTES))),
        (false, false) => before,
    }
}

/// The contents of a callback to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct CallbackPlan {
    /// The chain that it continues; `None` opens a new one.
    pub chain: Option<Id<Chain>>,
    /// The callback that it follows.
    pub parent: Option<Id<Callback>>,
    /// Why it is dialed.
    pub reason: RedialReason,
    /// The outcome reason of the call that led to it, as the provider writes it.
    pub source_outcome: Option<String>,
    /// The ordinal of its dial: 1 plus the dials that the chain has spent.
    pub attempt: u32,
    /// The chain's maximum number of attempts, under the current settings.
    pub max_attempts: u32,
    /// The requested time, before quiet time moved it; `None` if none was understood.
    pub requested_for: Option<Timestamp>,
    /// When to dial.
    pub scheduled_for: Timestamp,
    /// Why it is held; `None` if it is scheduled.
    pub held: Option<HeldFor>,
    /// The callee's time zone.
    pub zone: Zone,
    /// The end of the call that led to it.
    pub source_ended_at: Timestamp,
}

/// How many minutes a provider's timestamp may be ahead of the clock. A later one is replaced by the current time.
const MAX_AHEAD: i64 = 15;
/// Minutes to wait when the provider had no free line.
const NO_CAPACITY_WAIT: i64 = 5;

/// Decides what follows from one event.
pub fn after_call(input: &AfterCallInput<'_>) -> AfterCall {
    let mut after = AfterCall::default();
    let over = matches!(input.facts.moment, CallPhase::Ended | CallPhase::Analyzed);
    let class = input.facts.outcome.as_ref().map(|o| o.class);
    reached(input, class, &mut after);
    if !over {
        return after;
    }
    if let Some(class) = class.filter(|_| !input.seen.settled) {
        after.settled = true;
        settle(input, class, &mut after);
    }
    if input.facts.moment == CallPhase::Analyzed && !input.seen.analyzed {
        after.analyzed = true;
        if is_callback_requested(input, class) {
            request(input, &mut after);
            return after;
        }
        note_missing_request(input, &mut after);
        if is_late_voicemail(input, class) {
            retry(input, Trigger::Voicemail, Repeat::Freely, &mut after);
            return after;
        }
    }
    if after.settled {
        retry_by_reason(input, class, &mut after);
    }
    after
}

/// The time from which delays and relative times count.
pub fn end_of(facts: &CallFacts, now: Timestamp) -> Timestamp {
    facts.ended_at.or(facts.started_at).filter(|end| *end <= plus(now, minutes(MAX_AHEAD))).unwrap_or(now)
}

/// Records an inbound call that connects, and supersedes the person's older retries.
fn reached(input: &AfterCallInput<'_>, class: Option<OutcomeClass>, after: &mut AfterCall) {
    let connected = match input.facts.moment {
        CallPhase::Started => true,
        CallPhase::Ended | CallPhase::Analyzed => class.is_some_and(OutcomeClass::connected),
        CallPhase::Other => false,
    };
    let Some(person) = input.person.filter(|_| connected && input.facts.is_inbound()) else { return };
    let at = end_of(input.facts, input.now);
    if person.reached_at.is_none_or(|known| at > known) {
        after.reached_at = Some(at);
    }
    let stale = |live: &&ActiveCallback| {
        live.state.is_waiting() && live.reason.is_retry() && live.source_ended_at < at
    };
    after.supersede.extend(peers(input, person).filter(stale).map(|live| live.id));
}

/// The person's callbacks in the scope of `one_promise_per`: the workspace, or this agent.
fn peers<'l>(input: &AfterCallInput<'_>, person: &'l Person) -> impl Iterator<Item = &'l ActiveCallback> {
    let (scope, agent) = (input.policy.one_promise_per, input.agent);
    person.live.iter().filter(move |live| scope == PromiseScope::Workspace || Some(live.agent) == agent)
}

fn settle(input: &AfterCallInput<'_>, class: OutcomeClass, after: &mut AfterCall) {
    let no_attempt_left = input.redial.is_some_and(|r| r.attempts_used >= input.policy.max_attempts);
    let close = match class {
        OutcomeClass::Conversation | OutcomeClass::CallbackRequested => Settle::Close(State::Completed),
        OutcomeClass::Unreached(..) if no_attempt_left => Settle::Close(State::Exhausted),
        OutcomeClass::Unreached(..) | OutcomeClass::Unreachable | OutcomeClass::Unknown => {
            Settle::Close(State::Failed)
        }
        OutcomeClass::OptOut => Settle::Close(State::Suppressed),
        OutcomeClass::NoCapacity => {
            Settle::Reschedule { at: plus(end_of(input.facts, input.now), minutes(NO_CAPACITY_WAIT)) }
        }
        OutcomeClass::NoPayment => Settle::Reschedule { at: input.now },
    };
    after.settle = input.redial.map(|_| close);
    match class {
        OutcomeClass::OptOut => after.suppress = true,
        OutcomeClass::NoPayment => after.pause = Some(Pause::Payment),
        OutcomeClass::Unknown => after.notes.push(EventNote::UnknownReason),
        OutcomeClass::Unreachable if input.facts.is_outbound_call() => {
            after.notes.push(EventNote::Unreachable)
        }
        _ => {}
    }
}

fn is_callback_requested(input: &AfterCallInput<'_>, class: Option<OutcomeClass>) -> bool {
    let opted_out = class == Some(OutcomeClass::OptOut);
    is_request(input.facts, input.policy) && !opted_out && !input.requested_time.by_machine
}

/// Notes a request that does not count, or a missing or unreadable answer: the most common setup mistake.
fn note_missing_request(input: &AfterCallInput<'_>, after: &mut AfterCall) {
    if input.requested_time.by_machine {
        after.notes.push(EventNote::NoPerson);
    } else if matches!(input.facts.request.answer, CallbackAnswer::Absent | CallbackAnswer::Unreadable) {
        after.notes.push(EventNote::NoRequest);
        after.extractions.clone_from(&input.facts.request.extractions);
    }
}

/// After a message left on a machine the outcome is often "agent hung up"; only the analysis shows the voicemail.
fn is_late_voicemail(input: &AfterCallInput<'_>, class: Option<OutcomeClass>) -> bool {
    input.facts.in_voicemail && class == Some(OutcomeClass::Conversation) && input.facts.is_outbound_call()
}

/// Plans the callback that the person requested.
fn request(input: &AfterCallInput<'_>, after: &mut AfterCall) {
    let Some(person) = may_dial(input, after) else { return };
    let source_ended_at = end_of(input.facts, input.now);
    let is_of_person = |retry: &&ActiveCallback| person.live.iter().any(|live| live.id == retry.id);
    let own_retry = input.seen.retry.as_ref().filter(is_of_person);
    let others = || peers(input, person).filter(|l| Some(l.id) != own_retry.map(|r| r.id));
    let is_request =
        |l: &&ActiveCallback| l.state.is_waiting() && l.reason == RedialReason::CallbackRequested;
    if others().filter(is_request).any(|l| l.source_ended_at > source_ended_at) {
        after.notes.push(EventNote::NewerRequest);
        return;
    }
    let unclear = input.requested_time.at.is_none();
    if unclear {
        after.notes.push(EventNote::UnclearTime);
    }
    let waits_for_a_time = unclear && input.policy.unclear.action == UnclearAction::Hold;
    let held = if waits_for_a_time { Some(HeldFor::UnclearTime) } else { held_abroad(input) };
    let by_default = plus(source_ended_at, input.policy.unclear.wait);
    let scheduled_for = input
        .requested_time
        .at
        .unwrap_or_else(|| out_of_quiet(input, by_default, &input.requested_time.zone, after));
    let place = place_in_chain(input, others());
    let waiting = others().filter(|l| l.state.is_waiting()).map(|l| l.id);
    // A request for another number supersedes the retry for the call's own number.
    let of_another = input.seen.retry.as_ref().filter(|retry| !is_of_person(retry)).map(|retry| retry.id);
    let gives_way = waiting.chain(of_another).filter(|id| !after.supersede.contains(id));
    after.supersede.extend(gives_way.collect::<Vec<_>>());
    let planned = CallbackPlan {
        chain: place.chain(),
        parent: place.parent(),
        reason: RedialReason::CallbackRequested,
        source_outcome: input.facts.outcome.as_ref().map(|o| o.reason.clone()),
        attempt: place.attempt,
        max_attempts: input.policy.max_attempts,
        requested_for: input.requested_time.at,
        scheduled_for,
        held,
        zone: input.requested_time.zone.clone(),
        source_ended_at,
    };
    after.follow = Some(match own_retry {
        Some(retry) => NextCallback::Replace(
            retry.id,
            CallbackPlan { chain: Some(retry.chain), attempt: retry.attempts_used + 1, ..planned },
        ),
        None => NextCallback::Create(planned),
    });
    note_what_is_not_usual(input, held, after);
}

/// The first time at or after `at` that is outside quiet time in `zone`. Adds a note if that is later than `at`.
fn out_of_quiet(input: &AfterCallInput<'_>, at: Timestamp, zone: &Zone, after: &mut AfterCall) -> Timestamp {
    let open = CallingRules { policy: input.policy, zone }.first_moment(at);
    if open > at {
        after.notes.push(EventNote::MovedByQuietHours);
    }
    open
}

fn held_abroad(input: &AfterCallInput<'_>) -> Option<HeldFor> {
    (!input.country_allowed).then_some(HeldFor::Country)
}

fn note_what_is_not_usual(input: &AfterCallInput<'_>, held: Option<HeldFor>, after: &mut AfterCall) {
    if held == Some(HeldFor::Country) {
        after.notes.push(EventNote::Country);
    }
    if input.observes {
        after.notes.push(EventNote::Observed);
    }
}

/// A request continues the chain of the call in which it was made, else one of the person's chains.
fn place_in_chain<'l>(input: &AfterCallInput<'_>, live: impl Iterator<Item = &'l ActiveCallback>) -> Place {
    let most = input.policy.max_attempts;
    match input.redial {
        Some(redial) => Place::after(redial.id, redial.chain, redial.attempts_used, most),
        None => Place::after_newest(live, most),
    }
}

/// The person, if the agent is available and the number is not on the do-not-call list; otherwise adds a note.
fn may_dial<'s>(input: &'s AfterCallInput<'_>, after: &mut AfterCall) -> Option<&'s Person> {
    // Without a number, `recipient_of` provides the note.
    let person = input.person?;
    match input.agent_status {
        AgentStatus::Missing => after.notes.push(EventNote::AgentMissing),
        AgentStatus::Disabled => after.notes.push(EventNote::AgentDisabled),
        AgentStatus::Ready if person.suppressed => after.notes.push(EventNote::DoNotCall),
        AgentStatus::Ready => return Some(person),
    }
    None
}

fn retry_by_reason(input: &AfterCallInput<'_>, class: Option<OutcomeClass>, after: &mut AfterCall) {
    match class {
        Some(OutcomeClass::Unreached(trigger, repeat)) => retry(input, trigger, repeat, after),
        // `settle` reschedules a dial of ours; any other outbound call gets the technical retry.
        Some(OutcomeClass::NoCapacity | OutcomeClass::NoPayment) if input.redial.is_none() => {
            retry(input, Trigger::TechnicalError, Repeat::Freely, after);
        }
        _ => {}
    }
}

/// Plans the next attempt after an outbound call that reached no person, or notes why there is none.
fn retry(input: &AfterCallInput<'_>, trigger: Trigger, repeat: Repeat, after: &mut AfterCall) {
    if !input.facts.is_outbound_call() {
        return;
    }
    let Some(person) = may_dial(input, after) else { return };
    let retry = input.policy.retries.for_trigger(trigger);
    let source_ended_at = end_of(input.facts, input.now);
    let attempts_used = input.redial.map_or(0, |r| r.attempts_used);
    let source_outcome = input.facts.outcome.as_ref().map(|o| o.reason.clone());
    let own = input.redial.map(|r| r.id);
    let held = held_abroad(input);
    let twice = repeat == Repeat::Once && input.redial.is_some_and(|r| r.source_outcome == source_outcome);
    let pending = peers(input, person).any(|l| Some(l.id) != own);
    let reason = if !retry.enabled {
        Some(EventNote::TriggerOff)
    } else if input.redial.is_some_and(|r| r.unresolved) {
        Some(EventNote::Unresolved)
    } else if twice {
        Some(EventNote::NotTwice)
    } else if attempts_used >= input.policy.max_attempts {
        Some(EventNote::NoAttemptLeft)
    } else if pending {
        Some(EventNote::PromisePending)
    } else if person.reached_at.is_some_and(|at| at > source_ended_at) {
        Some(EventNote::ReachedSince)
    } else {
        None
    };
    if let Some(note) = reason {
        after.notes.push(note);
        return;
    }
    let wanted = plus(source_ended_at, retry.wait);
    let scheduled_for = out_of_quiet(input, wanted, input.zone, after);
    after.follow = Some(NextCallback::Create(CallbackPlan {
        chain: input.redial.map(|r| r.chain),
        parent: own,
        reason: RedialReason::after(trigger),
        source_outcome,
        attempt: attempts_used + 1,
        max_attempts: input.policy.max_attempts,
        requested_for: Some(wanted),
        scheduled_for,
        held,
        zone: input.zone.clone(),
        source_ended_at,
    }));
    note_what_is_not_usual(input, held, after);
}

#[cfg(test)]
mod stories;
