//! Tests of due callbacks: the verdict of each gate, and the decision.

use expect_test::expect;
use jiff::civil::time;

use super::*;
use crate::{time::ZoneSource, windows::Quiet};

const NOON: &str = "2026-11-23T12:00:00Z";

/// A retry that is due at noon and passes every gate.
pub(in crate::decide) fn due<'a>(policy: &'a Policy, zone: &'a Zone) -> Due<'a> {
    Due {
        reason: RedialReason::BusyFollowup,
        requested_for: None,
        scheduled_for: NOON.parse().expect("a time"),
        late_by: SignedDuration::ZERO,
        overdue: SignedDuration::ZERO,
        forced: false,
        attempts_used: 0,
        agent_enabled: true,
        observes: false,
        suppressed: false,
        country_allowed: true,
        zone,
        policy,
    }
}

fn zone() -> Zone {
    Zone { name: "UTC".to_owned(), source: ZoneSource::Workspace, is_sure: true }
}

fn check(change: impl FnOnce(&mut Due<'_>), late_minutes: i64, want: Verdict) {
    let policy = Policy {
        quiet: Quiet { hours: Some((time(13, 0, 0, 0), time(15, 0, 0, 0))), days: vec![] },
        ..Policy::default()
    };
    let zone = zone();
    let mut due = due(&policy, &zone);
    change(&mut due);
    let now = plus(NOON.parse().expect("a time"), minutes(late_minutes));
    (due.late_by, due.overdue) = (minutes(late_minutes), minutes(late_minutes));
    assert_eq!(decision(&gates(&due, now)), want);
}

fn at(hour: i8) -> Timestamp {
    format!("2026-11-23T{hour:02}:00:00Z").parse().expect("a time")
}

#[test]
fn the_last_attempt_and_only_it_is_final() {
    let (policy, zone) = (Policy::default(), zone());
    let attempt = |attempts_used| Due { attempts_used, ..due(&policy, &zone) }.attempt();
    assert_eq!(attempt(0), Attempt { number: 1, max: 3, is_final: false });
    assert_eq!(attempt(1), Attempt { number: 2, max: 3, is_final: false });
    assert_eq!(attempt(2), Attempt { number: 3, max: 3, is_final: true });
    check(|d| d.attempts_used = 2, 0, Verdict::Pass);
    check(|d| d.attempts_used = 3, 0, Verdict::Stop(State::Exhausted));
}

#[test]
fn a_gate_explains_its_input() {
    let (policy, zone) = (Policy::default(), zone());
    let message = |name: &str, due: &Due<'_>| {
        let gate = gates(due, due.scheduled_for).into_iter().find(|gate| gate.name == name).expect("a gate");
        format!("{}: {}", gate.input, gate.message)
    };
    let attempts_used =
        [0, 2, 3].map(|attempts_used| message("attempts", &Due { attempts_used, ..due(&policy, &zone) }));
    let moved = [11, 12].map(|hour| {
        let requested_for = Some(at(hour));
        message("quiet_time", &Due { requested_for, ..due(&policy, &zone) })
    });
    expect![[r#"
        (
            [
                "0 of 3 dials used: The chain has attempts left.",
                "2 of 3 dials used: This is the final attempt of the chain.",
                "3 of 3 dials used: The chain has no attempt left.",
            ],
            [
                "UTC: The callback was planned for 2026-11-23T11:00:00Z and was moved to 2026-11-23T12:00:00Z because of quiet hours or days.",
                "UTC: The scheduled time is outside quiet hours and days in the callee's time zone.",
            ],
        )
    "#]]
    .assert_debug_eq(&(attempts_used, moved));
}

#[test]
fn changes_since_scheduling_apply() {
    check(|d| d.suppressed = true, 0, Verdict::Stop(State::Suppressed));
    check(|d| d.agent_enabled = false, 0, Verdict::Hold(HeldFor::Agent));
    check(|d| d.observes = true, 0, Verdict::Stop(State::Canceled));
    check(|d| d.country_allowed = false, 0, Verdict::Hold(HeldFor::Country));
    check(|_| {}, 60, Verdict::Wait(at(15)));
    check(|_| {}, -1, Verdict::Wait(at(12)));
    check(|_| {}, 121, Verdict::Stop(State::Expired));
}

#[test]
fn with_replan_a_missed_callback_waits_for_the_next_allowed_time() {
    let (scheduled_for, zone): (Timestamp, _) =
        ("2026-03-07T10:30:00Z".parse().expect("a time"), "America/New_York");
    let check = |reason, late_hours: i64, want: &str| {
        let policy = Policy {
            missed: MissedAction::Replan,
            quiet: Quiet { hours: Some((time(21, 0, 0, 0), time(9, 0, 0, 0))), days: vec![] },
            ..Policy::default()
        };
        let zone = Zone { name: zone.to_owned(), source: ZoneSource::Number, is_sure: true };
        let late_by = minutes(60 * late_hours);
        let due = Due { reason, scheduled_for, late_by, ..due(&policy, &zone) };
        let until = want.parse().expect("a time");
        let got = decision(&gates(&due, plus(scheduled_for, late_by)));
        assert_eq!(got, Verdict::Replan(until), "{late_hours} h");
    };
    // 17:30 in New York; the clocks go forward that night.
    // It is rescheduled, so it waits for the end of quiet hours.
    check(RedialReason::CallbackRequested, 3, "2026-03-08T13:00:00Z");
    check(RedialReason::BusyFollowup, 3, "2026-03-08T13:00:00Z");
}

#[test]
fn replan_keeps_the_local_time_across_a_clock_change() {
    let (scheduled_for, zone): (Timestamp, _) =
        ("2026-03-07T16:30:00Z".parse().expect("a time"), "America/New_York");
    let policy = Policy { missed: MissedAction::Replan, ..Policy::default() };
    let zone = Zone { name: zone.to_owned(), source: ZoneSource::Number, is_sure: true };
    let check = |late_hours: i64, want: &str| {
        let late_by = minutes(60 * late_hours);
        let reason = RedialReason::CallbackRequested;
        let due = Due { reason, scheduled_for, late_by, ..due(&policy, &zone) };
        let until = want.parse().expect("a time");
        let got = decision(&gates(&due, plus(scheduled_for, late_by)));
        assert_eq!(got, Verdict::Replan(until), "{late_hours} h");
    };
    // 11:30 in New York; the clocks go forward that night.
    check(3, "2026-03-08T15:30:00Z");
    check(22, "2026-03-08T15:30:00Z");
    check(23, "2026-03-09T15:30:00Z");
    check(24, "2026-03-09T15:30:00Z");
    check(24 * 40, "2026-04-17T15:30:00Z");
}

#[test]
fn only_requested_or_forced_times_are_dialed_in_quiet_time() {
    let dial = Verdict::Pass;
    let requested = |d: &mut Due<'_>| {
        d.reason = RedialReason::CallbackRequested;
        d.requested_for = Some(d.scheduled_for);
    };
    check(requested, 60, dial);
    check(
        |d| {
            requested(d);
            d.reason = RedialReason::Scheduled
        },
        60,
        dial,
    );
    check(
        |d| {
            requested(d);
            d.reason = RedialReason::BusyFollowup
        },
        60,
        Verdict::Wait(at(15)),
    );
    check(|d| d.reason = RedialReason::CallbackRequested, 60, Verdict::Wait(at(15)));
    check(
        |d| {
            d.country_allowed = false;
            d.forced = true
        },
        60,
        dial,
    );
    check(|d| d.forced = true, 60, dial);
    check(|d| d.forced = true, 500, Verdict::Stop(State::Expired));
}

#[test]
fn quiet_time_applies_to_long_overdue_requested_times() {
    let policy = Policy {
        quiet: Quiet { hours: Some((time(13, 0, 0, 0), time(15, 0, 0, 0))), days: vec![] },
        ..Policy::default()
    };
    let zone = zone();
    let check = |forced: bool, overdue: i64, want: Verdict| {
        let overdue = minutes(overdue);
        let scheduled_for = at(12);
        let reason = if forced { RedialReason::BusyFollowup } else { RedialReason::CallbackRequested };
        let requested_for = Some(scheduled_for);
        let named = Due { reason, forced, scheduled_for, requested_for, overdue, ..due(&policy, &zone) };
        assert_eq!(decision(&gates(&named, plus(scheduled_for, overdue))), want, "{forced} {overdue}");
    };
    for forced in [false, true] {
        check(forced, 120, Verdict::Pass);
        check(forced, 121, Verdict::Wait(at(15)));
        check(forced, 180, Verdict::Pass);
    }
}

#[test]
fn a_wait_or_replan_record_shows_its_time() {
    let until = |verdict| GateRecord::from(gate("lateness", "", verdict, "")).until;
    assert_eq!(until(Verdict::Replan(at(15))), Some(at(15).to_string()));
    assert_eq!(until(Verdict::Wait(at(15))), Some(at(15).to_string()));
    assert_eq!(until(Verdict::Hold(HeldFor::Agent)), None);
}

#[test]
fn a_previously_failed_callback_is_dialed_alone() {
    let check = |failures: &[i64]| dialed_together(failures, |n| *n).count();
    assert_eq!([check(&[0, 0, 0]), check(&[2, 0, 0]), check(&[0, 1, 0]), check(&[])], [3, 1, 2, 0]);
}

#[test]
fn the_first_gate_that_does_not_pass_decides() {
    let suppressed = Verdict::Stop(State::Suppressed);
    check(|d| (d.suppressed, d.agent_enabled, d.attempts_used) = (true, false, 3), -1, suppressed);
    check(|d| (d.agent_enabled, d.observes) = (false, true), 0, Verdict::Hold(HeldFor::Agent));
    check(|d| (d.observes, d.attempts_used) = (true, 3), 0, Verdict::Stop(State::Canceled));
    check(|d| (d.attempts_used, d.country_allowed) = (3, false), 0, Verdict::Stop(State::Exhausted));
    check(|d| d.country_allowed = false, -1, Verdict::Hold(HeldFor::Country));
    check(|d| d.scheduled_for = at(16), 0, Verdict::Wait(at(16)));
}

#[test]
fn every_gate_is_evaluated_and_recorded_in_order() {
    let (policy, zone) = (Policy::default(), zone());
    let due = Due { suppressed: true, scheduled_for: at(13), ..due(&policy, &zone) };
    let records: Vec<GateRecord> = gates(&due, at(12)).into_iter().map(GateRecord::from).collect();
    let shown: Vec<_> = records
        .iter()
        .map(|r| (r.gate.as_str(), r.input.as_str(), r.verdict.as_str(), r.until.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("do_not_call", "listed", "stop", None),
            ("agent", "enabled", "pass", None),
            ("observe", "dials", "pass", None),
            ("attempts", "0 of 3 dials used", "pass", None),
            ("country", "allowed", "pass", None),
            ("due_time", "due 2026-11-23T13:00:00Z", "wait", Some("2026-11-23T13:00:00Z")),
            ("lateness", "0 min late, at most 120", "pass", None),
            ("quiet_time", "UTC", "pass", None),
        ]
    );
    let text = serde_json::to_string(&records).expect("JSON");
    assert_eq!(serde_json::from_str::<Vec<GateRecord>>(&text).expect("read"), records);
}

#[test]
fn a_test_callback_goes_to_any_country_and_is_not_observed() {
    let policy = Policy { allowed_countries: Some(vec!["DE".to_owned()]), ..Policy::default() };
    let zone = zone();
    let facts = |test, to| {
        let candidate = Candidate {
            reason: RedialReason::Scheduled,
            requested_for: None,
            scheduled_for: at(12),
            forced: false,
            test,
            to,
            zone: &zone,
        };
        let due = Due::new(&candidate, DialingAgent { enabled: true, observes: true }, &policy);
        (due.country_allowed, due.observes)
    };
    assert_eq!(facts(false, "+12025550123"), (false, true));
    assert_eq!(facts(false, "+4930123456"), (true, true));
    assert_eq!(facts(true, "+12025550123"), (true, false));
}
