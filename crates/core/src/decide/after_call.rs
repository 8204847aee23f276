//! What follows from an event of a call.
//!
//! Invariants. The reason alone, on the first event that bears it, settles a redial's final state; the
//! analysis may add the next callback and never changes that state. Any order and number of one call's events
//! ends in the same rows (I10): a retry that the reason made becomes the request that the analysis brings.
//! A chain never exceeds its ceiling, and a request past it is fresh consent to a new chain (I5).
//! Only outbound calls are retried for their reason. A call in which no person was reached asks for nothing, whatever
//! its analysis says (I40).

use jiff::Timestamp;

use super::{AskedTime, Note, asked_time::is_request, chain::Place};
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

/// Everything known when a call's event is decided.
pub struct AfterCallInput<'a> {
    /// What the event says.
    pub facts: &'a CallFacts,
    /// What earlier events of the same call led to.
    pub seen: CallProgress,
    /// The callback this call is a dial of.
    pub redial: Option<&'a Redial>,
    /// The person at the other end; `None` when there is no number we would dial.
    pub person: Option<&'a Person>,
    /// Whether the agent that would dial can.
    pub agent_status: AgentStatus,
    /// That agent.
    pub agent: Option<Id<crate::id::Agent>>,
    /// Whether the workspace calls the country of the person's number.
    pub country_allowed: bool,
    /// The agent only observes: what follows is recorded, and nothing is dialed.
    pub observes: bool,
    /// The workspace's and the agent's settings.
    pub policy: &'a Policy,
    /// The callee's zone.
    pub zone: &'a Zone,
    /// The time that was asked for, as understood; read only when a callback was asked for.
    pub asked: &'a AskedTime,
    /// Now.
    pub now: Timestamp,
}

/// What earlier events of the same call led to.
#[derive(Debug, Clone, Default)]
pub struct CallProgress {
    /// Its reason was acted on.
    pub settled: bool,
    /// Its analysis was acted on.
    pub analyzed: bool,
    /// The retry it led to, while that still waits.
    pub retry: Option<ActiveCallback>,
}

/// The callback a call is a dial of.
#[derive(Debug, Clone)]
pub struct Redial {
    /// The callback.
    pub id: Id<Callback>,
    /// Its chain.
    pub chain: Id<Chain>,
    /// Dials the chain has spent, this one included.
    pub spent: u32,
    /// The reason of the call that led to it, in the provider's words.
    pub cause: Option<String>,
    /// It ended before anybody could tell that it was placed: a person decides what follows.
    pub unresolved: bool,
}

/// The person at the other end.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// Their callbacks that are not final.
    pub live: Vec<ActiveCallback>,
    /// On the do-not-call list.
    pub suppressed: bool,
    /// The end of the last call in which they reached us.
    pub reached_at: Option<Timestamp>,
}

/// What follows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AfterCall {
    /// What becomes of the callback this call was a dial of.
    pub settle: Option<Settle>,
    /// The next callback.
    pub follow: Option<NextCallback>,
    /// Waiting callbacks that this one replaces.
    pub supersede: Vec<Id<Callback>>,
    /// Put the number on the do-not-call list, and end what waits for it.
    pub suppress: bool,
    /// Stop dialling for the workspace.
    pub pause: Option<Pause>,
    /// The person reached us, at that moment.
    pub reached_at: Option<Timestamp>,
    /// The reason was acted on now.
    pub settled: bool,
    /// The analysis was acted on now.
    pub analyzed: bool,
    /// Remarks for people.
    pub notes: Vec<Note>,
    /// The extractions that came, where [`Note::NoRequest`] names them.
    pub extractions: Vec<String>,
}

/// What becomes of the callback that was dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// It ends.
    Close(State),
    /// The same attempt again, unspent.
    Reschedule {
        /// Not before.
        at: Timestamp,
    },
}

/// A next callback: a new row, or this call's own waiting retry turned into a request.
#[derive(Debug, Clone, PartialEq)]
pub enum NextCallback {
    /// A new row.
    Create(CallbackPlan),
    /// The row that this call led to already becomes this.
    Replace(Id<Callback>, CallbackPlan),
}

impl NextCallback {
    /// Whether the callback is the retry that a later event of the same call may turn into a request.
    pub const fn is_retry(&self) -> bool {
        match self {
            Self::Create(planned) => planned.reason.is_retry(),
            Self::Replace(..) => true,
        }
    }
}

/// When to ask the provider for a call's analysis, if it has not come by then: a fixed time after the call was
/// acted on. An analysis, even one that says nothing, ends the wait.
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

/// A callback as it should be written.
#[derive(Debug, Clone, PartialEq)]
pub struct CallbackPlan {
    /// The chain it continues; `None` opens one.
    pub chain: Option<Id<Chain>>,
    /// The callback it follows.
    pub parent: Option<Id<Callback>>,
    /// Why.
    pub reason: RedialReason,
    /// The reason of the call that led to it, in the provider's words.
    pub cause: Option<String>,
    /// 1 + dials the chain has spent.
    pub attempt: u32,
    /// The ceiling as of now.
    pub max_attempts: u32,
    /// The moment that was asked for, before quiet time moved it; `None` when none was understood.
    pub requested_for: Option<Timestamp>,
    /// When to dial.
    pub scheduled_for: Timestamp,
    /// What must happen first.
    pub held: Option<HeldFor>,
    /// The callee's clock.
    pub zone: Zone,
    /// The end of the call that led to it.
    pub born_of: Timestamp,
}

/// A provider's clock may run ahead of ours by so many minutes before we stop believing it.
const MAX_AHEAD: i64 = 15;
/// How long to wait when the provider had no line free.
const NO_CAPACITY_WAIT: i64 = 5;

/// Decides what follows from one event.
pub fn after_call(scene: &AfterCallInput<'_>) -> AfterCall {
    let mut after = AfterCall::default();
    let over = matches!(scene.facts.moment, CallPhase::Ended | CallPhase::Analyzed);
    let class = scene.facts.outcome.as_ref().map(|o| o.class);
    reached(scene, class, &mut after);
    if !over {
        return after;
    }
    if let Some(class) = class.filter(|_| !scene.seen.settled) {
        after.settled = true;
        settle(scene, class, &mut after);
    }
    if scene.facts.moment == CallPhase::Analyzed && !scene.seen.analyzed {
        after.analyzed = true;
        if asked_for_callback(scene, class) {
            request(scene, &mut after);
            return after;
        }
        say_why_nothing_was_asked(scene, &mut after);
        if is_late_voicemail(scene, class) {
            retry(scene, Trigger::Voicemail, Repeat::Freely, &mut after);
            return after;
        }
    }
    if after.settled {
        retry_by_reason(scene, class, &mut after);
    }
    after
}

/// The moment that delays and relative times count from.
pub fn end_of(facts: &CallFacts, now: Timestamp) -> Timestamp {
    facts.ended_at.or(facts.started_at).filter(|end| *end <= plus(now, minutes(MAX_AHEAD))).unwrap_or(now)
}

/// An inbound call that connects makes pending retries to that person pointless.
fn reached(scene: &AfterCallInput<'_>, class: Option<OutcomeClass>, after: &mut AfterCall) {
    let connected = match scene.facts.moment {
        CallPhase::Started => true,
        CallPhase::Ended | CallPhase::Analyzed => class.is_some_and(OutcomeClass::connected),
        CallPhase::Other => false,
    };
    let Some(person) = scene.person.filter(|_| connected && scene.facts.is_inbound()) else { return };
    let at = end_of(scene.facts, scene.now);
    if person.reached_at.is_none_or(|known| at > known) {
        after.reached_at = Some(at);
    }
    let stale =
        |live: &&ActiveCallback| live.state.is_waiting() && live.reason.is_retry() && live.born_of < at;
    after.supersede.extend(peers(scene, person).filter(stale).map(|live| live.id));
}

/// The callbacks of a person that count as the same promise as one of this agent's.
fn peers<'l>(scene: &AfterCallInput<'_>, person: &'l Person) -> impl Iterator<Item = &'l ActiveCallback> {
    let (scope, agent) = (scene.policy.one_promise_per, scene.agent);
    person.live.iter().filter(move |live| scope == PromiseScope::Workspace || Some(live.agent) == agent)
}

fn settle(scene: &AfterCallInput<'_>, class: OutcomeClass, after: &mut AfterCall) {
    let no_attempt_left = scene.redial.is_some_and(|r| r.spent >= scene.policy.max_attempts);
    let close = match class {
        OutcomeClass::Conversation | OutcomeClass::AskedForCallback => Settle::Close(State::Completed),
        OutcomeClass::Unreached(..) if no_attempt_left => Settle::Close(State::Exhausted),
        OutcomeClass::Unreached(..) | OutcomeClass::Unreachable | OutcomeClass::Unknown => {
            Settle::Close(State::Failed)
        }
        OutcomeClass::OptOut => Settle::Close(State::Suppressed),
        OutcomeClass::NoCapacity => {
            Settle::Reschedule { at: plus(end_of(scene.facts, scene.now), minutes(NO_CAPACITY_WAIT)) }
        }
        OutcomeClass::NoPayment => Settle::Reschedule { at: scene.now },
    };
    after.settle = scene.redial.map(|_| close);
    match class {
        OutcomeClass::OptOut => after.suppress = true,
        OutcomeClass::NoPayment => after.pause = Some(Pause::Payment),
        OutcomeClass::Unknown => after.notes.push(Note::UnknownReason),
        OutcomeClass::Unreachable if scene.facts.is_outbound_call() => after.notes.push(Note::Unreachable),
        _ => {}
    }
}

fn asked_for_callback(scene: &AfterCallInput<'_>, class: Option<OutcomeClass>) -> bool {
    let opted_out = class == Some(OutcomeClass::OptOut);
    is_request(scene.facts, scene.policy) && !opted_out && !scene.asked.by_machine
}

/// A request that does not count, or an answer that is none, is the commonest mistake of a setup: it is named.
fn say_why_nothing_was_asked(scene: &AfterCallInput<'_>, after: &mut AfterCall) {
    if scene.asked.by_machine {
        after.notes.push(Note::NoPerson);
    } else if matches!(scene.facts.asked.answer, CallbackAnswer::Absent | CallbackAnswer::Unreadable) {
        after.notes.push(Note::NoRequest);
        after.extractions.clone_from(&scene.facts.asked.extractions);
    }
}

/// A message left on a machine often ends with "agent hung up"; only the analysis tells.
fn is_late_voicemail(scene: &AfterCallInput<'_>, class: Option<OutcomeClass>) -> bool {
    scene.facts.in_voicemail && class == Some(OutcomeClass::Conversation) && scene.facts.is_outbound_call()
}

/// The person asked for a callback.
fn request(scene: &AfterCallInput<'_>, after: &mut AfterCall) {
    let Some(person) = may_dial(scene, after) else { return };
    let born_of = end_of(scene.facts, scene.now);
    let is_of_person = |retry: &&ActiveCallback| person.live.iter().any(|live| live.id == retry.id);
    let own_retry = scene.seen.retry.as_ref().filter(is_of_person);
    let others = || peers(scene, person).filter(|l| Some(l.id) != own_retry.map(|r| r.id));
    let is_request =
        |l: &&ActiveCallback| l.state.is_waiting() && l.reason == RedialReason::CallbackRequested;
    if others().filter(is_request).any(|l| l.born_of > born_of) {
        after.notes.push(Note::NewerRequest);
        return;
    }
    let unclear = scene.asked.at.is_none();
    if unclear {
        after.notes.push(Note::UnclearTime);
    }
    let waits_for_a_time = unclear && scene.policy.unclear.action == UnclearAction::Hold;
    let held = if waits_for_a_time { Some(HeldFor::UnclearTime) } else { held_abroad(scene) };
    let by_default = plus(born_of, scene.policy.unclear.wait);
    let scheduled_for =
        scene.asked.at.unwrap_or_else(|| out_of_quiet(scene, by_default, &scene.asked.zone, after));
    let place = place_in_chain(scene, others());
    let waiting = others().filter(|l| l.state.is_waiting()).map(|l| l.id);
    // The retry of the call's own number gives way to a request for another one.
    let of_another = scene.seen.retry.as_ref().filter(|retry| !is_of_person(retry)).map(|retry| retry.id);
    let gives_way = waiting.chain(of_another).filter(|id| !after.supersede.contains(id));
    after.supersede.extend(gives_way.collect::<Vec<_>>());
    let planned = CallbackPlan {
        chain: place.chain(),
        parent: place.parent(),
        reason: RedialReason::CallbackRequested,
        cause: scene.facts.outcome.as_ref().map(|o| o.reason.clone()),
        attempt: place.attempt,
        max_attempts: scene.policy.max_attempts,
        requested_for: scene.asked.at,
        scheduled_for,
        held,
        zone: scene.asked.zone.clone(),
        born_of,
    };
    after.follow = Some(match own_retry {
        Some(retry) => NextCallback::Replace(
            retry.id,
            CallbackPlan { chain: Some(retry.chain), attempt: retry.spent + 1, ..planned },
        ),
        None => NextCallback::Create(planned),
    });
    note_what_is_not_usual(scene, held, after);
}

/// The first moment from `at` on that is not quiet on that clock; a move is noted.
fn out_of_quiet(scene: &AfterCallInput<'_>, at: Timestamp, zone: &Zone, after: &mut AfterCall) -> Timestamp {
    let open = CallingRules { policy: scene.policy, zone }.first_moment(at);
    if open > at {
        after.notes.push(Note::MovedByQuietHours);
    }
    open
}

fn held_abroad(scene: &AfterCallInput<'_>) -> Option<HeldFor> {
    (!scene.country_allowed).then_some(HeldFor::Country)
}

fn note_what_is_not_usual(scene: &AfterCallInput<'_>, held: Option<HeldFor>, after: &mut AfterCall) {
    if held == Some(HeldFor::Country) {
        after.notes.push(Note::Country);
    }
    if scene.observes {
        after.notes.push(Note::Observed);
    }
}

/// A request continues the chain of the call it was made in, else one of the person's.
fn place_in_chain<'l>(scene: &AfterCallInput<'_>, live: impl Iterator<Item = &'l ActiveCallback>) -> Place {
    let most = scene.policy.max_attempts;
    match scene.redial {
        Some(redial) => Place::behind(redial.id, redial.chain, redial.spent, most),
        None => Place::among(live, most),
    }
}

/// The two checks that bind every kind of callback.
fn may_dial<'s>(scene: &'s AfterCallInput<'_>, after: &mut AfterCall) -> Option<&'s Person> {
    // Without a number, `recipient` has said why.
    let person = scene.person?;
    match scene.agent_status {
        AgentStatus::Missing => after.notes.push(Note::AgentMissing),
        AgentStatus::Disabled => after.notes.push(Note::AgentDisabled),
        AgentStatus::Ready if person.suppressed => after.notes.push(Note::DoNotCall),
        AgentStatus::Ready => return Some(person),
    }
    None
}

fn retry_by_reason(scene: &AfterCallInput<'_>, class: Option<OutcomeClass>, after: &mut AfterCall) {
    match class {
        Some(OutcomeClass::Unreached(trigger, repeat)) => retry(scene, trigger, repeat, after),
        // A dial of ours goes back to waiting itself; anybody else's gets the technical retry.
        Some(OutcomeClass::NoCapacity | OutcomeClass::NoPayment) if scene.redial.is_none() => {
            retry(scene, Trigger::TechnicalError, Repeat::Freely, after);
        }
        _ => {}
    }
}

/// Nobody was reached: the next attempt, if there may be one.
fn retry(scene: &AfterCallInput<'_>, trigger: Trigger, repeat: Repeat, after: &mut AfterCall) {
    if !scene.facts.is_outbound_call() {
        return;
    }
    let Some(person) = may_dial(scene, after) else { return };
    let retry = scene.policy.retries.for_trigger(trigger);
    let born_of = end_of(scene.facts, scene.now);
    let spent = scene.redial.map_or(0, |r| r.spent);
    let cause = scene.facts.outcome.as_ref().map(|o| o.reason.clone());
    let own = scene.redial.map(|r| r.id);
    let held = held_abroad(scene);
    let twice = repeat == Repeat::Once && scene.redial.is_some_and(|r| r.cause == cause);
    let pending = peers(scene, person).any(|l| Some(l.id) != own);
    let refusal = if !retry.enabled {
        Some(Note::TriggerOff)
    } else if scene.redial.is_some_and(|r| r.unresolved) {
        Some(Note::Unresolved)
    } else if twice {
        Some(Note::NotTwice)
    } else if spent >= scene.policy.max_attempts {
        Some(Note::NoAttemptLeft)
    } else if pending {
        Some(Note::PromisePending)
    } else if person.reached_at.is_some_and(|at| at > born_of) {
        Some(Note::ReachedSince)
    } else {
        None
    };
    if let Some(note) = refusal {
        after.notes.push(note);
        return;
    }
    let wanted = plus(born_of, retry.wait);
    let scheduled_for = out_of_quiet(scene, wanted, scene.zone, after);
    after.follow = Some(NextCallback::Create(CallbackPlan {
        chain: scene.redial.map(|r| r.chain),
        parent: own,
        reason: RedialReason::after(trigger),
        cause,
        attempt: spent + 1,
        max_attempts: scene.policy.max_attempts,
        requested_for: Some(wanted),
        scheduled_for,
        held,
        zone: scene.zone.clone(),
        born_of,
    }));
    note_what_is_not_usual(scene, held, after);
}

#[cfg(test)]
#[path = "after_call_stories.rs"]
mod stories;
