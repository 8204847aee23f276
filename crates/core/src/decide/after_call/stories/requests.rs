//! Stories of callback requests: their times, their chains, and who may make them.

use super::*;

#[test]
fn a_request_is_kept_to_the_minute() {
    check(
        inbound(OutcomeClass::Conversation).requesting(120),
        expect!["callback_requested Mon 14:00 #1/3 new chain"],
    );
    check(
        outbound(OutcomeClass::Conversation).requesting(120),
        expect!["callback_requested Mon 14:00 #1/3 new chain"],
    );
    let ended = |s: &mut Story| s.facts.moment = CallPhase::Ended;
    check(inbound(OutcomeClass::Conversation).requesting(120).but(ended), expect!["nothing"]);
    let quiet = |s: &mut Story| {
        s.policy.quiet = Quiet { hours: Some((time(13, 0, 0, 0), time(9, 0, 0, 0))), days: vec![] }
    };
    check(
        inbound(OutcomeClass::Conversation).requesting(120).but(quiet),
        expect!["callback_requested Mon 14:00 #1/3 new chain"],
    );
    check(
        outbound(OutcomeClass::Unreached(Trigger::Voicemail, Repeat::Freely)).but(quiet),
        expect!["voicemail_followup Tue 09:00 #1/3 new chain, (moved_by_quiet_hours)"],
    );
}

#[test]
fn an_unclear_time_follows_the_workspaces_setting() {
    let unclear = |s: &mut Story| s.requested_in = None;
    check(
        inbound(OutcomeClass::Conversation).requesting(0).but(unclear),
        expect!["callback_requested Tue 12:00 #1/3 new chain, (unclear_time)"],
    );
    let hold = |s: &mut Story| {
        s.requested_in = None;
        s.policy.unclear = Unclear { action: UnclearAction::Hold, ..s.policy.unclear };
    };
    check(
        inbound(OutcomeClass::Conversation).requesting(0).but(hold),
        expect!["callback_requested Tue 12:00 held(unclear_time) #1/3 new chain, (unclear_time)"],
    );
}

#[test]
fn a_newer_request_supersedes_the_waiting_callback_in_its_chain() {
    let older = live(9, State::Scheduled, RedialReason::CallbackRequested, 1, -30);
    check(
        inbound(OutcomeClass::Conversation).requesting(60).with(older),
        expect!["callback_requested Mon 13:00 #2/3 chain, supersede 1"],
    );
    let newer = live(9, State::Scheduled, RedialReason::CallbackRequested, 1, 30);
    check(inbound(OutcomeClass::Conversation).requesting(60).with(newer), expect!["(newer_request)"]);
    let ringing = live(9, State::Dialing, RedialReason::BusyFollowup, 1, -30);
    check(
        inbound(OutcomeClass::Conversation).requesting(60).with(ringing),
        expect!["callback_requested Mon 13:00 #2/3 chain"],
    );
}

#[test]
fn a_request_on_the_last_dial_opens_a_new_chain() {
    check(
        outbound(OutcomeClass::Conversation).redial(2).requesting(60),
        expect!["completed, callback_requested Mon 13:00 #3/3 chain"],
    );
    check(
        outbound(OutcomeClass::Conversation).redial(3).requesting(60),
        expect!["completed, callback_requested Mon 13:00 #1/3 new chain"],
    );
}

#[test]
fn no_retry_is_added_while_a_requested_callback_waits() {
    let requested_time = || live(9, State::Scheduled, RedialReason::CallbackRequested, 0, -30);
    check(outbound(BUSY).with(requested_time()), expect!["(promise_pending)"]);
    check(outbound(BUSY).redial(1).with(requested_time()), expect!["failed, (promise_pending)"]);
}

#[test]
fn the_providers_own_request_counts_only_if_the_workspace_allows_it() {
    let analyzed = |s: &mut Story| s.facts.moment = CallPhase::Analyzed;
    check(inbound(OutcomeClass::CallbackRequested).but(analyzed), expect!["nothing"]);
    let leave = |s: &mut Story| {
        s.facts.moment = CallPhase::Analyzed;
        s.policy.provider_requests = true;
        s.requested_in = Some(30);
    };
    check(
        inbound(OutcomeClass::CallbackRequested).but(leave),
        expect!["callback_requested Mon 12:30 #1/3 new chain"],
    );
}

#[test]
fn a_machine_cannot_request_a_callback() {
    let machine = |s: &mut Story| s.by_machine = true;
    let voicemail = || outbound(OutcomeClass::Unreached(Trigger::Voicemail, Repeat::Freely));
    check(
        voicemail().requesting(60).but(machine),
        expect!["voicemail_followup Mon 16:00 #1/3 new chain, (no_person)"],
    );
    // The reason came first and created the retry, which stays.
    let retry = |s: &mut Story| {
        s.seen.settled = true;
        s.seen.retry = Some(live(9, State::Scheduled, RedialReason::VoicemailFollowup, 0, 0));
    };
    check(voicemail().requesting(60).but(machine).but(retry), expect!["(no_person)"]);
    check(
        voicemail().redial(3).requesting(60).but(machine),
        expect!["exhausted, (no_person), (no_attempt_left)"],
    );
    let in_voicemail = |s: &mut Story| s.facts.in_voicemail = true;
    check(
        outbound(OutcomeClass::Conversation).requesting(60).but(machine).but(in_voicemail),
        expect!["voicemail_followup Mon 16:00 #1/3 new chain, (no_person)"],
    );
}

#[test]
fn an_analysis_without_a_readable_answer_gets_a_note() {
    let answer = |answer| move |s: &mut Story| s.facts.request.answer = answer;
    check(inbound(OutcomeClass::Conversation).but(answer(CallbackAnswer::No)), expect!["nothing"]);
    check(inbound(OutcomeClass::Conversation).but(answer(CallbackAnswer::Absent)), expect!["(no_request)"]);
    check(
        inbound(OutcomeClass::Conversation).but(answer(CallbackAnswer::Unreadable)),
        expect!["(no_request)"],
    );
    let ended = |s: &mut Story| s.facts.moment = CallPhase::Ended;
    check(
        inbound(OutcomeClass::Conversation).but(answer(CallbackAnswer::Absent)).but(ended),
        expect!["nothing"],
    );
}

#[test]
fn times_that_were_not_requested_are_moved_out_of_quiet_time() {
    let quiet = |s: &mut Story| {
        s.policy.quiet = Quiet { hours: Some((time(12, 0, 0, 0), time(9, 0, 0, 0))), days: vec![] };
    };
    check(
        outbound(BUSY).but(quiet),
        expect!["busy_followup Tue 09:00 #1/3 new chain, (moved_by_quiet_hours)"],
    );
    let unclear = |s: &mut Story| s.requested_in = None;
    check(
        inbound(OutcomeClass::Conversation).requesting(0).but(quiet).but(unclear),
        expect!["callback_requested Wed 09:00 #1/3 new chain, (unclear_time), (moved_by_quiet_hours)"],
    );
}

#[test]
fn with_one_promise_per_agent_other_agents_promises_stay() {
    let of_another = |s: &mut Story| {
        s.policy.one_promise_per = PromiseScope::Agent;
        let mut theirs = live(9, State::Scheduled, RedialReason::CallbackRequested, 1, -30);
        theirs.agent = id(2);
        s.person.get_or_insert_default().live.push(theirs);
    };
    check(
        inbound(OutcomeClass::Conversation).requesting(60).but(of_another),
        expect!["callback_requested Mon 13:00 #1/3 new chain"],
    );
    check(outbound(BUSY).but(of_another), expect!["busy_followup Mon 12:10 #1/3 new chain"]);
}
