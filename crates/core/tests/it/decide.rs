//! Applies the production decisions to the small world, as the store does.

use redialer_core::{
    Id,
    agent::{AgentStatus, Channel},
    call::{CallFacts, CallPhase, CallbackRequest, Direction},
    callback::{ActiveCallback, RedialReason, State},
    decide::{
        self, AfterCall, AfterCallInput, AfterDial, Attempt, CallProgress, CallbackPlan, Due, Finding,
        NextCallback, Person, Redial, Request, RequestedTime, Resolution, RetryContext, SETTLE_MINUTES,
        Settle, Unknown, Verdict,
    },
    dispatch,
    order::{Refusal, Reply},
    outcome::{Outcome, OutcomeClass, Repeat},
    policy::Trigger,
    time::{minutes, plus},
};

use crate::{
    laws,
    turn::{Bug, Rules, Turn},
    world::{Age, Callback, Ended, Heard, World},
};

fn id<T>(n: u8) -> Id<T> {
    Id::from_uuid(uuid::Uuid::from_u128(u128::from(n)))
}

fn number<T>(id: Id<T>) -> u8 {
    id.uuid().as_u128() as u8
}

pub(crate) fn before_dial(
    rules: &Rules,
    world: &World,
    row: Callback,
    attempts_used: u8,
    suppressed: bool,
) -> (Verdict, Attempt) {
    let due = Due {
        reason: reason(row),
        requested_for: Some(rules.now),
        scheduled_for: rules.now,
        late_by: jiff::SignedDuration::ZERO,
        overdue: jiff::SignedDuration::ZERO,
        forced: false,
        attempts_used: u32::from(attempts_used),
        agent_enabled: world.agent_enabled,
        observes: false,
        suppressed,
        country_allowed: true,
        zone: &rules.zone,
        policy: &rules.policy,
    };
    (decide::decision(&decide::gates(&due, rules.now)), due.attempt())
}

const fn reason(row: Callback) -> RedialReason {
    if row.is_retry { RedialReason::BusyFollowup } else { RedialReason::CallbackRequested }
}

/// The meaning of a response; `None` if it is not a response.
pub(crate) fn after_dial(rules: &Rules, heard: Heard) -> Option<AfterDial> {
    let reply = match heard {
        Heard::Placed => Reply::Placed { call_id: "call".to_owned() },
        Heard::RefusedForGood => Reply::Refused(Refusal::Permanent { status: 422, message: String::new() }),
        Heard::RefusedForNow => Reply::Refused(Refusal::Throttled { after_secs: None }),
        Heard::Unsent => Reply::NotSent { why: String::new() },
        Heard::Unclear => Reply::Uncertain { why: String::new() },
        Heard::Absent(_) => return None,
    };
    Some(decide::after_dial(&RetryContext { earlier: 0, jitter: 0.0, speed: 1 }, reply, rules.now))
}

/// The decision from a list, at this stage of time and proof.
pub(crate) fn after_lookup(rules: &Rules, age: Age, finding: Finding) -> Resolution {
    let now = rules.now;
    let settled_at = plus(now, minutes(-SETTLE_MINUTES));
    let unknown = Unknown {
        sent_at: settled_at,
        in_flight_until: if age < Age::Settled { now } else { settled_at },
        first_absent_at: match age {
            Age::Young | Age::Lapsed | Age::Settled => None,
            Age::Once => Some(now),
            Age::Aged => Some(plus(now, minutes(-1))),
        },
        key_lives: None,
        lookups: 0,
    };
    decide::after_lookup(&unknown, finding, now)
}

/// Decides one event of one call and applies the result.
pub(crate) fn receive_webhook(turn: &mut Turn<'_>, n: u8, moment: CallPhase) {
    turn.mark_placed(n);
    let after = decide::after_call(&after_call_data(turn, n, moment).input());
    for replaced in &after.supersede {
        turn.end_waiting(number(*replaced), State::Superseded);
    }
    if let Some(settle) = after.settle {
        write_settle(turn, n, settle);
    }
    let next = after.follow.as_ref().and_then(|follow| write_follow(turn, n, follow));
    if after.suppress {
        turn.suppress();
    }
    mark(turn, n, &after, next);
}

fn mark(turn: &mut Turn<'_>, n: u8, after: &AfterCall, retry: Option<u8>) {
    let call = &mut turn.world.calls[usize::from(n)];
    call.settled |= after.settled;
    call.analyzed |= after.analyzed;
    call.retry = retry.or(call.retry);
}

fn write_settle(turn: &mut Turn<'_>, n: u8, settle: Settle) {
    if turn.dispatch(n).state != dispatch::State::Placed {
        return;
    }
    turn.dispatch_to(n, dispatch::State::Ended);
    let row = turn.dispatch(n);
    match settle {
        Settle::Close(state) => {
            let was = turn.callback(row.callback).state;
            if matches!(was, State::Dispatching | State::Dialing | State::Unconfirmed) {
                turn.callback_to(row.callback, state);
            }
        }
        Settle::Reschedule { .. } => {
            turn.world.attempts_used[usize::from(row.chain)] -= 1;
            turn.back_to_waiting(row.callback);
        }
    }
}

/// Writes the next callback; returns its number if it is a retry that the analysis may still change.
fn write_follow(turn: &mut Turn<'_>, n: u8, follow: &NextCallback) -> Option<u8> {
    match follow {
        NextCallback::Create(planned) => {
            let is_retry = planned.reason.is_retry();
            let accounted =
                matches!(turn.dispatch(n).state, dispatch::State::Placed | dispatch::State::Ended);
            turn.must(laws::I12, !is_retry || accounted);
            let source = Some((n, is_retry));
            write_planned(turn, planned, source).filter(|_| is_retry)
        }
        NextCallback::Replace(moved, planned) => {
            let moved = number(*moved);
            turn.callback_to(moved, State::Scheduled);
            let row = turn.callback_mut(moved);
            row.is_retry = planned.reason.is_retry();
            row.source = Some((n, false));
            Some(moved)
        }
    }
}

fn write_planned(turn: &mut Turn<'_>, planned: &CallbackPlan, source: Option<(u8, bool)>) -> Option<u8> {
    let next = turn.callbacks().count() as u8;
    turn.insert(Callback {
        state: State::Scheduled,
        chain: planned.chain.map_or(next, number),
        is_retry: planned.reason.is_retry(),
        dispatch: None,
        source,
    })
}

/// A callback is requested through the API.
pub(crate) fn schedule_manually(turn: &mut Turn<'_>) {
    let person = person(turn);
    let rules = turn.rules;
    let request = Request {
        at: rules.now,
        zone: rules.zone.clone(),
        person: &person,
        agent: id(0),
        replaces: true,
        forces: None,
        policy: &rules.policy,
    };
    let Ok((planned, replaced)) = decide::on_request(&request, rules.now) else { return };
    for replaced in replaced {
        turn.end_waiting(number(replaced), State::Superseded);
    }
    write_planned(turn, &planned, None);
}

fn live(turn: &Turn<'_>, n: u8) -> ActiveCallback {
    let row = turn.callback(n);
    ActiveCallback {
        id: id(n),
        chain: id(row.chain),
        attempts_used: u32::from(turn.world.attempts_used[usize::from(row.chain)]),
        state: row.state,
        reason: reason(row),
        source_ended_at: turn.rules.now,
        agent: id(0),
    }
}

fn person(turn: &Turn<'_>) -> Person {
    let live = turn.callbacks().filter(|n| !turn.callback(*n).state.is_final()).map(|n| live(turn, n));
    Person { live: live.collect(), suppressed: turn.world.suppressed, reached_at: None }
}

/// The data that an [`AfterCallInput`] borrows.
struct AfterCallData<'a> {
    rules: &'a Rules,
    facts: CallFacts,
    seen: CallProgress,
    redial: Redial,
    person: Person,
    agent_status: AgentStatus,
    requested_time: RequestedTime,
}

impl AfterCallData<'_> {
    fn input(&self) -> AfterCallInput<'_> {
        AfterCallInput {
            facts: &self.facts,
            seen: self.seen.clone(),
            redial: Some(&self.redial),
            person: Some(&self.person),
            agent_status: self.agent_status,
            agent: None,
            country_allowed: true,
            observes: false,
            policy: &self.rules.policy,
            zone: &self.rules.zone,
            requested_time: &self.requested_time,
            now: self.rules.now,
        }
    }
}

fn after_call_data<'a>(turn: &Turn<'a>, n: u8, moment: CallPhase) -> AfterCallData<'a> {
    let (row, call) = (turn.dispatch(n), turn.world.calls[usize::from(n)]);
    let retry = call.retry.filter(|r| turn.callback(*r).state.is_waiting()).map(|r| live(turn, r));
    let seen = CallProgress { settled: call.settled, analyzed: call.analyzed, retry };
    let ended = call.phase.end().filter(|_| moment != CallPhase::Started);
    AfterCallData {
        rules: turn.rules,
        facts: facts(turn.rules, n, moment, ended),
        seen: if turn.has(Bug::ActTwice) { CallProgress::default() } else { seen },
        redial: Redial {
            id: id(row.callback),
            chain: id(row.chain),
            attempts_used: u32::from(turn.world.attempts_used[usize::from(row.chain)]),
            source_outcome: None,
            unresolved: turn.dispatch(n).state == dispatch::State::Unresolved && !turn.has(Bug::LateRetry),
        },
        person: person(turn),
        agent_status: if turn.world.agent_enabled { AgentStatus::Ready } else { AgentStatus::Disabled },
        requested_time: RequestedTime {
            at: Some(turn.rules.now),
            zone: turn.rules.zone.clone(),
            confidence: 1.0,
            evidence: String::new(),
            rule: String::new(),
            window: None,
            doubts: Vec::new(),
            by_machine: false,
        },
    }
}

fn facts(rules: &Rules, n: u8, moment: CallPhase, ended: Option<Ended>) -> CallFacts {
    let class = |ended| match ended {
        Ended::Talked | Ended::TalkedAsked => OutcomeClass::Conversation,
        Ended::Busy | Ended::BusyAsked => OutcomeClass::Unreached(Trigger::Busy, Repeat::Freely),
        Ended::NoLine => OutcomeClass::NoCapacity,
        Ended::OptOut => OutcomeClass::OptOut,
    };
    CallFacts {
        direction: Some(Direction::Outbound),
        ended_at: Some(rules.now),
        outcome: ended.map(|e| Outcome { reason: String::new(), class: class(e) }),
        request: CallbackRequest {
            callback: moment == CallPhase::Analyzed && ended.is_some_and(Ended::was_requested),
            ..CallbackRequest::default()
        },
        ..CallFacts::new(n.to_string(), moment, Channel::Voice)
    }
}
