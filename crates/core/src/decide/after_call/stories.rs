//! Tests of `after_call`: one call event in, one decision out.

use expect_test::{Expect, expect};
use jiff::civil::time;

use super::*;
use crate::{
    agent::Channel,
    call::{CallbackRequest, Direction},
    decide::requested_time::not_understood,
    outcome::Outcome,
    policy::Unclear,
    time::ZoneSource,
    windows::Quiet,
};

mod requests;

/// Every call in these tests ends on Monday at noon in New York.
const NOON: &str = "2026-11-23T17:00:00Z";

struct Story {
    facts: CallFacts,
    seen: CallProgress,
    redial: Option<Redial>,
    person: Option<Person>,
    agent_status: AgentStatus,
    policy: Policy,
    requested_in: Option<i64>,
    by_machine: bool,
    country_allowed: bool,
    observes: bool,
}

fn noon() -> Timestamp {
    NOON.parse().expect("a time")
}

fn id<T>(n: u128) -> Id<T> {
    Id::from_uuid(uuid::Uuid::from_u128(n))
}

fn story(direction: Direction, moment: CallPhase, class: OutcomeClass) -> Story {
    Story {
        facts: CallFacts {
            direction: Some(direction),
            person_number: Some("+14155550117".to_owned()),
            agent_number: Some("+12025550100".to_owned()),
            agent: Some("agent_1".to_owned()),
            ended_at: Some(noon()),
            outcome: Some(Outcome { reason: "its_reason".to_owned(), class }),
            request: CallbackRequest { answer: CallbackAnswer::No, ..CallbackRequest::default() },
            ..CallFacts::new("call_1".to_owned(), moment, Channel::Voice)
        },
        seen: CallProgress::default(),
        redial: None,
        person: Some(Person::default()),
        agent_status: AgentStatus::Ready,
        policy: Policy::default(),
        requested_in: None,
        by_machine: false,
        country_allowed: true,
        observes: false,
    }
}

fn outbound(class: OutcomeClass) -> Story {
    story(Direction::Outbound, CallPhase::Ended, class)
}

fn inbound(class: OutcomeClass) -> Story {
    story(Direction::Inbound, CallPhase::Analyzed, class)
}

const BUSY: OutcomeClass = OutcomeClass::Unreached(Trigger::Busy, Repeat::Freely);

impl Story {
    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The person asks for a callback this many minutes after the call.
    fn requesting(mut self, minutes: i64) -> Self {
        self.facts.moment = CallPhase::Analyzed;
        self.facts.request.callback = true;
        self.requested_in = Some(minutes);
        self
    }

    /// The call is a dial of callback 7 in chain 5.
    fn redial(mut self, attempts_used: u32) -> Self {
        self.redial = Some(Redial {
            id: id(7),
            chain: id(5),
            attempts_used,
            source_outcome: Some("earlier".to_owned()),
            unresolved: false,
        });
        self.person.get_or_insert_default().live.push(live(
            7,
            State::Dialing,
            RedialReason::Retry,
            attempts_used,
            -60,
        ));
        self
    }

    fn with(mut self, live: ActiveCallback) -> Self {
        self.person.get_or_insert_default().live.push(live);
        self
    }

    fn describe(&self) -> String {
        let zone = Zone { name: "America/New_York".to_owned(), source: ZoneSource::Number, is_sure: true };
        let requested_time = RequestedTime {
            at: self.requested_in.map(|m| plus(noon(), minutes(m))),
            by_machine: self.by_machine,
            ..not_understood(&zone, 1.0)
        };
        let after = after_call(&AfterCallInput {
            facts: &self.facts,
            seen: self.seen.clone(),
            redial: self.redial.as_ref(),
            person: self.person.as_ref(),
            agent_status: self.agent_status,
            agent: Some(id(1)),
            country_allowed: self.country_allowed,
            observes: self.observes,
            policy: &self.policy,
            zone: &zone,
            requested_time: &requested_time,
            now: plus(noon(), minutes(1)),
        });
        describe(&after, &zone)
    }
}

fn live(n: u128, state: State, reason: RedialReason, attempts_used: u32, born: i64) -> ActiveCallback {
    let source_ended_at = plus(noon(), minutes(born));
    ActiveCallback { id: id(n), chain: id(5), attempts_used, state, reason, source_ended_at, agent: id(1) }
}

fn describe(after: &AfterCall, zone: &Zone) -> String {
    let mut parts = Vec::new();
    let clock = |at: Timestamp| at.to_zoned(zone.rules()).strftime("%a %H:%M").to_string();
    match after.settle {
        Some(Settle::Close(state)) => parts.push(state.as_str().to_owned()),
        Some(Settle::Reschedule { at }) => parts.push(format!("again {}", clock(at))),
        None => {}
    }
    let plan = |p: &CallbackPlan| {
        let held = p.held.map_or(String::new(), |h| format!(" held({})", h.as_str()));
        let chain = if p.chain.is_some() { "chain" } else { "new chain" };
        format!(
            "{} {}{held} #{}/{} {chain}",
            p.reason.as_str(),
            clock(p.scheduled_for),
            p.attempt,
            p.max_attempts
        )
    };
    match &after.follow {
        Some(NextCallback::Create(p)) => parts.push(plan(p)),
        Some(NextCallback::Replace(_, p)) => parts.push(format!("move to {}", plan(p))),
        None => {}
    }
    if !after.supersede.is_empty() {
        parts.push(format!("supersede {}", after.supersede.len()));
    }
    if after.suppress {
        parts.push("suppress".to_owned());
    }
    parts.extend(after.pause.map(|p| format!("pause({})", p.as_str())));
    parts.extend(after.notes.iter().map(|n| format!("({})", n.as_str())));
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

fn check(story: Story, want: Expect) {
    want.assert_eq(&story.describe());
}

#[test]
fn each_group_of_reasons_has_its_delay() {
    let group = |t| outbound(OutcomeClass::Unreached(t, Repeat::Freely));
    check(group(Trigger::Voicemail), expect!["voicemail_followup Mon 16:00 #1/3 new chain"]);
    check(group(Trigger::NoAnswer), expect!["no_answer_followup Mon 13:00 #1/3 new chain"]);
    check(group(Trigger::Busy), expect!["busy_followup Mon 12:10 #1/3 new chain"]);
    check(group(Trigger::TechnicalError), expect!["retry Mon 12:30 #1/3 new chain"]);
    check(group(Trigger::ConversationSilent), expect!["retry Tue 12:00 #1/3 new chain"]);
    check(outbound(OutcomeClass::Conversation), expect!["nothing"]);
    check(outbound(OutcomeClass::Unreachable), expect!["(unreachable)"]);
    check(outbound(OutcomeClass::Unknown), expect!["(unknown_reason)"]);
    check(outbound(OutcomeClass::OptOut), expect!["suppress"]);
}

#[test]
fn a_redial_settles_by_its_reason() {
    check(outbound(OutcomeClass::Conversation).redial(1), expect!["completed"]);
    check(outbound(BUSY).redial(1), expect!["failed, busy_followup Mon 12:10 #2/3 chain"]);
    check(outbound(BUSY).redial(2), expect!["failed, busy_followup Mon 12:10 #3/3 chain"]);
    check(outbound(BUSY).redial(3), expect!["exhausted, (no_attempt_left)"]);
    check(outbound(OutcomeClass::Unknown).redial(1), expect!["failed, (unknown_reason)"]);
    check(outbound(OutcomeClass::OptOut).redial(1), expect!["suppressed, suppress"]);
    check(outbound(OutcomeClass::CallbackRequested).redial(1), expect!["completed"]);
}

#[test]
fn capacity_and_payment_repeat_the_same_attempt() {
    check(outbound(OutcomeClass::NoCapacity).redial(1), expect!["again Mon 12:05"]);
    check(outbound(OutcomeClass::NoPayment).redial(1), expect!["again Mon 12:01, pause(payment_required)"]);
    check(outbound(OutcomeClass::NoCapacity), expect!["retry Mon 12:30 #1/3 new chain"]);
    check(
        outbound(OutcomeClass::NoPayment),
        expect!["retry Mon 12:30 #1/3 new chain, pause(payment_required)"],
    );
}

#[test]
fn inbound_calls_are_never_retried_for_their_reason() {
    check(inbound(BUSY), expect!["nothing"]);
    check(inbound(OutcomeClass::Unreached(Trigger::ConversationSilent, Repeat::Freely)), expect!["nothing"]);
}

#[test]
fn an_inbound_call_that_connects_supersedes_older_retries() {
    let retry = |born| live(9, State::Scheduled, RedialReason::BusyFollowup, 1, born);
    let requested_time = live(9, State::Scheduled, RedialReason::CallbackRequested, 1, -30);
    check(inbound(OutcomeClass::Conversation).with(retry(-30)), expect!["supersede 1"]);
    check(inbound(OutcomeClass::Conversation).with(retry(30)), expect!["nothing"]);
    check(inbound(OutcomeClass::Conversation).with(requested_time), expect!["nothing"]);
    check(inbound(OutcomeClass::Unreachable).with(retry(-30)), expect!["nothing"]);
    // The failed call's event arrives after the person has reached an agent.
    let reached =
        |s: &mut Story| s.person.get_or_insert_default().reached_at = Some(plus(noon(), minutes(5)));
    check(outbound(BUSY).but(reached), expect!["(reached_since)"]);
}

#[test]
fn one_calls_events_lead_to_one_row_in_any_order() {
    let silent = OutcomeClass::Unreached(Trigger::ConversationSilent, Repeat::Freely);
    let retry = live(9, State::Scheduled, RedialReason::Retry, 1, 0);
    // The analysis comes first: it settles the callback by its reason and adds the request. The reason then adds
    // nothing.
    check(
        outbound(silent).redial(1).requesting(60),
        expect!["failed, callback_requested Mon 13:00 #2/3 chain"],
    );
    let both = CallProgress { settled: true, analyzed: true, retry: None };
    check(outbound(silent).redial(1).but(|s| s.seen = both), expect!["nothing"]);
    // The reason comes first: its retry becomes the request.
    let seen = CallProgress { settled: true, analyzed: false, retry: Some(retry.clone()) };
    check(
        outbound(silent).redial(1).with(retry).requesting(60).but(|s| s.seen = seen.clone()),
        expect!["move to callback_requested Mon 13:00 #2/3 chain"],
    );
    // The request names another number: the retry for the call's own number is superseded.
    check(
        outbound(silent).redial(1).requesting(60).but(|s| s.seen = seen),
        expect!["callback_requested Mon 13:00 #2/3 chain, supersede 1"],
    );
}

#[test]
fn a_message_left_on_a_machine_is_followed_up_without_changing_the_state() {
    let machine = |s: &mut Story| {
        s.facts.in_voicemail = true;
        s.facts.moment = CallPhase::Analyzed;
    };
    check(
        outbound(OutcomeClass::Conversation).redial(1).but(machine),
        expect!["completed, voicemail_followup Mon 16:00 #2/3 chain"],
    );
    check(inbound(OutcomeClass::Conversation).but(machine), expect!["nothing"]);
}

#[test]
fn forbidden_and_unreachable_people_are_not_dialed() {
    check(inbound(OutcomeClass::Conversation).requesting(60).but(|s| s.person = None), expect!["nothing"]);
    check(
        inbound(OutcomeClass::Conversation).requesting(60).but(|s| s.agent_status = AgentStatus::Missing),
        expect!["(agent_missing)"],
    );
    check(outbound(BUSY).but(|s| s.agent_status = AgentStatus::Disabled), expect!["(agent_disabled)"]);
    let listed = |s: &mut Story| s.person.get_or_insert_default().suppressed = true;
    check(inbound(OutcomeClass::Conversation).requesting(60).but(listed), expect!["(do_not_call)"]);
    check(inbound(OutcomeClass::OptOut).requesting(60), expect!["suppress"]);
    check(outbound(BUSY).but(|s| s.policy.retries.busy.enabled = false), expect!["(trigger_off)"]);
}

#[test]
fn a_second_decline_is_not_retried() {
    let declined = OutcomeClass::Unreached(Trigger::Busy, Repeat::Once);
    check(outbound(declined).redial(1), expect!["failed, busy_followup Mon 12:10 #2/3 chain"]);
    let again = |s: &mut Story| {
        if let Some(redial) = &mut s.redial {
            redial.source_outcome = Some("its_reason".to_owned());
        }
    };
    check(outbound(declined).redial(1).but(again), expect!["failed, (not_twice)"]);
}

#[test]
fn a_call_that_claims_to_end_in_the_future_counts_as_ended_now() {
    let year_9999 = |s: &mut Story| s.facts.ended_at = Some(Timestamp::MAX);
    check(outbound(BUSY).but(year_9999), expect!["busy_followup Mon 12:11 #1/3 new chain"]);
}

#[test]
fn calls_abroad_are_held_and_observed_calls_get_a_note() {
    let abroad = |s: &mut Story| s.country_allowed = false;
    check(
        inbound(OutcomeClass::Conversation).requesting(60).but(abroad),
        expect!["callback_requested Mon 13:00 held(country) #1/3 new chain, (country)"],
    );
    check(
        outbound(BUSY).but(abroad),
        expect!["busy_followup Mon 12:10 held(country) #1/3 new chain, (country)"],
    );
    let observes = |s: &mut Story| s.observes = true;
    check(outbound(BUSY).but(observes), expect!["busy_followup Mon 12:10 #1/3 new chain, (observed)"]);
}
