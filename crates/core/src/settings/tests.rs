//! Tests of the validation of settings, their merging, and agents' overrides.

use serde_json::{Value, json};

use super::*;
use crate::{
    policy::{Lang, MissedAction, Policy, PromiseScope, UnclearAction},
    tenant::{Limits, Plan, Plans},
    time::minutes,
};

fn check(patch: &Value, want: Result<(), &str>) {
    let got = WorkspaceSettings::of_plan(&Plan::Free.limits())
        .patched(patch)
        .and_then(|d| d.check(&Plan::Free.limits()));
    assert_eq!(got.as_ref().map_err(|e| e.field.as_str()).copied(), want, "{patch} {got:?}");
}

#[test]
fn the_countries_that_are_called_are_those_set_or_those_of_the_own_numbers() {
    let called = |set: &Value, own: &[&str]| {
        let own: Vec<_> = own.iter().map(|code| (*code).to_owned()).collect();
        let settings = WorkspaceSettings::of_plan(&Plan::Free.limits());
        let settings = settings.patched(&json!({"allowed_countries": set})).expect("accepted");
        settings.policy(&own).allowed_countries
    };
    let some = |codes: &[&str]| Some(codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>());
    assert_eq!(called(&json!(["US", "DE"]), &["GB"]), some(&["US", "DE"]));
    assert_eq!(called(&Value::Null, &["GB"]), some(&["GB"]));
    assert_eq!(called(&Value::Null, &[]), None);
    assert_eq!(called(&json!("*"), &["GB"]), None);
    assert_eq!(called(&json!(["US", "*"]), &["GB"]), None);
}

#[test]
fn a_setting_that_cannot_be_is_named() {
    check(&json!({}), Ok(()));
    check(&json!({"quiet_hours": {"start": "21:00", "end": "09:00"}}), Ok(()));
    check(&json!({"quiet_hours": null, "retry_triggers": {"busy": {"enabled": false}}}), Ok(()));
    check(&json!({"timezone": "Mars/Olympus"}), Err("timezone"));
    check(&json!({"timezone": "Etc/Unknown"}), Err("timezone"));
    check(&json!({"timezone": "europe/berlin"}), Err("timezone"));
    check(&json!({"quiet_hours": {"start": "+1:00", "end": "09:00"}}), Err("quiet_hours.start"));
    check(&json!({"one_promise_per": "agent", "allowed_countries": ["US", "DE"]}), Ok(()));
    check(&json!({"allowed_countries": "*"}), Ok(()));
    check(&json!({"allowed_countries": ["*"]}), Ok(()));
    check(&json!({"allowed_countries": []}), Err("allowed_countries"));
    check(&json!({"allowed_countries": ["usa"]}), Err("allowed_countries"));
    check(&json!({"one_promise_per": "person"}), Err("one_promise_per"));
    check(&json!({"quiet_hours": {"start": "9pm", "end": "09:00"}}), Err("quiet_hours.start"));
    check(&json!({"quiet_days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}), Err("quiet_days"));
    check(&json!({"quiet_days": ["someday"]}), Err("quiet_days[0]"));
    check(&json!({"max_attempts": 4}), Err("max_attempts"));
    check(&json!({"max_attempts": 0}), Err("max_attempts"));
    check(
        &json!({"retry_triggers": {"busy": {"wait_minutes": "ten"}}}),
        Err("retry_triggers.busy.wait_minutes"),
    );
    check(
        &json!({"retry_triggers": {"busy": {"wait_minutes": 9_999_999}}}),
        Err("retry_triggers.busy.wait_minutes"),
    );
    check(&json!({"missed_action": "replan"}), Ok(()));
    check(&json!({"missed_action": "forget"}), Err("missed_action"));
    check(&json!({"language": "es", "spoken_hours": {"after_lunch": {"nominal": "14:15"}}}), Ok(()));
    check(&json!({"language": "fr"}), Err("language"));
    check(&json!({"spoken_hours": {"brunch": {}}}), Err("spoken_hours.brunch"));
    check(&json!({"spoken_hours": {"lunch": {"from": "noon"}}}), Err("spoken_hours.lunch.from"));
    check(&json!({"spoken_hours": {"lunch": {"to": "11:00"}}}), Err("spoken_hours.lunch.to"));
    check(&json!({"spoken_hours": {"lunch": {"nominal": "15:00"}}}), Err("spoken_hours.lunch.nominal"));
    check(&json!({"unclear_time": {"min_confidence": 2}}), Err("unclear_time.min_confidence"));
}

#[test]
fn each_setting_has_exact_bounds() {
    let waits = |n: u32| json!({"unclear_time": {"wait_minutes": n}});
    check(&waits(366 * 24 * 60), Ok(()));
    check(&waits(366 * 24 * 60 + 1), Err("unclear_time.wait_minutes"));
    check(&json!({"max_attempts": 1}), Ok(()));
    check(&json!({"max_attempts": 3}), Ok(()));
    check(&json!({"quiet_days": ["mon", "tue", "wed", "thu", "fri", "sat"]}), Ok(()));
    check(&json!({"quiet_days": ["mon", "mon", "mon", "mon", "mon", "mon", "mon"]}), Ok(()));
    for (confidence, want) in [(0.0, Ok(())), (1.0, Ok(())), (-0.1, Err("unclear_time.min_confidence"))] {
        check(&json!({"unclear_time": {"min_confidence": confidence}}), want);
    }
    for pace in [0.01, 10_000.0] {
        check(&json!({"calls_per_second": pace}), Ok(()));
    }
    for pace in [0.0, 0.009, 10_000.1] {
        check(&json!({"calls_per_second": pace}), Err("calls_per_second"));
    }
    check(&json!({"callback_field": "f".repeat(200)}), Ok(()));
    for field in [String::new(), "  ".to_owned(), "f".repeat(201)] {
        check(&json!({"callback_field": field}), Err("callback_field"));
    }
    let lunch = |nominal: &str| json!({"spoken_hours": {"lunch": {"from": "11:00", "to": "13:00", "nominal": nominal}}});
    for (nominal, is_good) in [("11:00", true), ("13:00", true), ("10:59", false), ("13:01", false)] {
        check(&lunch(nominal), if is_good { Ok(()) } else { Err("spoken_hours.lunch.nominal") });
    }
    let empty = json!({"spoken_hours": {"lunch": {"from": "11:00", "to": "11:00", "nominal": "11:00"}}});
    check(&empty, Err("spoken_hours.lunch.to"));
    check(&json!({"quiet_hours": {"start": "24:00", "end": "09:00"}}), Err("quiet_hours.start"));
    check(&json!({"quiet_hours": {"start": "23:59", "end": "9:00"}}), Err("quiet_hours.end"));
}

#[test]
fn what_was_sent_is_not_repeated_in_a_complaint() {
    let problem = |patch: &Value| {
        let settings = WorkspaceSettings::of_plan(&Plan::Free.limits());
        settings.patched(patch).expect_err("bad").problem
    };
    for patch in [json!({"max_attempts": "+12025550123"}), json!({"language": "+12025550123"})] {
        let problem = problem(&patch);
        assert!(problem.starts_with("must be ") && !problem.contains("2025550123"), "{problem}");
    }
    let problem = |path, message| parse_problem(path, message);
    let stated = |field: &str, problem: &str| (field.to_owned(), problem.to_owned());
    assert_eq!(problem(".", "missing field `x`"), stated("x", "is required"));
    assert_eq!(problem("a", "missing field `x`"), stated("a.x", "is required"));
    assert_eq!(
        problem("a.y", "unknown field `y`, expected one of `x`, `z`"),
        stated("a.y", "does not exist; valid fields: `x`, `z`")
    );
    assert_eq!(
        problem(".", "unknown field `y`, there are no fields"),
        stated("y", "does not exist; valid fields: none")
    );
    assert_eq!(problem("limit", "invalid digit found in string"), stated("limit", "must be a whole number"));
    assert_eq!(problem("x", "one, expected another"), stated("x", "one, expected another"));
}

#[test]
fn every_setting_reaches_the_decisions() {
    let patch = json!({
        "quiet_hours": {"start": "20:30", "end": "08:15"}, "quiet_days": ["mon", "tue", "wed", "thu", "fri", "sat"],
        "unclear_time": {"action": "hold", "wait_minutes": 7}, "missed_action": "replan", "one_promise_per": "agent",
        "language": "en", "spoken_hours": {"lunch": {"from": "11:10", "to": "13:20", "nominal": "12:05"}},
    });
    let limits = Plan::Unlimited.limits();
    let policy = WorkspaceSettings::of_plan(&limits).patched(&patch).expect("good").policy(&[]);
    let time = |hour, minute| jiff::civil::time(hour, minute, 0, 0);
    assert_eq!(policy.quiet.hours, Some((time(20, 30), time(8, 15))));
    let days: Vec<i8> = policy.quiet.days.iter().map(|day| day.to_monday_one_offset()).collect();
    assert_eq!(days, [1, 2, 3, 4, 5, 6]);
    assert_eq!((policy.unclear.action, policy.unclear.wait), (UnclearAction::Hold, minutes(7)));
    assert_eq!((policy.missed, policy.one_promise_per), (MissedAction::Replan, PromiseScope::Agent));
    let lunch = policy.hours.lunch;
    assert_eq!((lunch.from, lunch.to, lunch.nominal), (11 * 60 + 10, 13 * 60 + 20, 12 * 60 + 5));
    assert_eq!(policy.language, Some(Lang::En));
}

#[test]
fn a_stored_document_may_be_of_another_version() {
    let read =
        |stored: Value| WorkspaceSettings::resolved(&stored, &Plan::Unlimited.limits()).expect("readable");
    let usual = read(json!({}));
    assert_eq!(usual.policy(&[]), Policy::default());
    assert_eq!(
        read(json!({"later": 1, "quiet_hours": {"start": "22:00", "end": "08:00", "later": 2}})).timezone,
        "UTC"
    );
    assert_eq!(read(json!({"quiet_hours": null})).quiet_hours, None);
    assert!(WorkspaceSettings::resolved(&json!({"max_attempts": "many"}), &Plan::Free.limits()).is_err());
    // The value may have been set on a larger plan.
    let limits = Plan::Free.limits();
    let attempts = |n: u32| {
        WorkspaceSettings::resolved(&json!({"max_attempts": n}), &limits).expect("read").max_attempts
    };
    assert_eq!([attempts(1), attempts(99)], [1, limits.max_attempts]);
}

#[test]
fn the_defaults_are_the_published_ones() {
    let policy = WorkspaceSettings::of_plan(&Plan::Unlimited.limits()).policy(&[]);
    assert_eq!(policy, Policy::default());
}

#[test]
fn a_default_that_changes_reaches_those_who_did_not_choose() {
    let mut plans = Plans::default();
    plans.of_mut(Plan::Pro).default_attempts = 2;
    let attempts =
        |set: &Value| WorkspaceSettings::resolved(set, plans.limits(Plan::Pro)).map(|s| s.max_attempts);
    assert_eq!(attempts(&json!({})), Ok(2));
    assert_eq!(attempts(&json!({"max_attempts": 4})), Ok(4));
}

#[test]
fn what_was_set_and_the_defaults_come_to_what_the_patches_came_to() {
    let limits = Plan::Unlimited.limits();
    let (mut set, mut patched) = (json!({}), WorkspaceSettings::of_plan(&limits));
    for patch in [
        json!({"retry_triggers": {"busy": {"wait_minutes": 3}}}),
        json!({"quiet_hours": null, "quiet_days": ["sun"]}),
        json!({"retry_triggers": {"busy": {"enabled": false}}, "allowed_countries": ["DE"]}),
        json!({"quiet_hours": {"start": "22:00", "end": "07:30"}, "allowed_countries": null}),
        json!({"spoken_hours": {"lunch": {"nominal": "12:15"}}}),
    ] {
        merge(&mut set, &patch, Nulls::Kept);
        patched = patched.patched(&patch).expect("good");
        assert_eq!(WorkspaceSettings::resolved(&set, &limits).as_ref(), Ok(&patched), "{patch} {set}");
    }
    assert_eq!(set["retry_triggers"], json!({"busy": {"wait_minutes": 3, "enabled": false}}));
}

#[test]
fn a_null_is_kept_or_removes() {
    let merged = |nulls| {
        let mut base = json!({"kept": 1, "gone": {"in": 1}, "text": "a"});
        merge(&mut base, &json!({"gone": null, "text": {"deep": null, "other": 2}}), nulls);
        base
    };
    assert_eq!(merged(Nulls::Remove), json!({"kept": 1, "text": {"other": 2}}));
    assert_eq!(merged(Nulls::Kept), json!({"kept": 1, "gone": null, "text": {"deep": null, "other": 2}}));
}

fn overridden(plan: Plan, patch: &Value) -> Result<Overrides, BadOverrides> {
    let limits: Limits = plan.limits();
    let overrides = Overrides::stored(json!({"timezone": "Europe/Berlin"})).patched(patch)?;
    overrides.check(&WorkspaceSettings::of_plan(&limits), &Retention::default(), &limits)?;
    Ok(overrides)
}

#[test]
fn an_override_is_removed_by_null_and_checked_under_the_plan() {
    let document = |patch: &Value| overridden(Plan::Pro, patch).map(|o| o.document().clone());
    assert_eq!(document(&json!({"timezone": null})), Ok(json!({})));
    assert_eq!(
        document(&json!({"max_attempts": 2})),
        Ok(json!({"timezone": "Europe/Berlin", "max_attempts": 2}))
    );
    let named = |plan, patch: &Value| match overridden(plan, patch) {
        Err(BadOverrides::Settings(error)) => error.field,
        other => format!("{other:?}"),
    };
    assert_eq!(named(Plan::Pro, &json!([])), "");
    assert_eq!(named(Plan::Pro, &json!({"max_attempts": 6})), "max_attempts");
    assert_eq!(named(Plan::Pro, &json!({"retention": {"level": "all"}})), "retention.level");
    let attempts = "overrides of `max_attempts` and `retention`";
    assert_eq!(overridden(Plan::Starter, &json!({"max_attempts": 2})), Err(BadOverrides::Plan(attempts)));
    assert_eq!(overridden(Plan::Starter, &json!({"retention": {}})), Err(BadOverrides::Plan(attempts)));
    assert_eq!(overridden(Plan::Free, &json!({})), Err(BadOverrides::Plan("overrides of settings")));
    assert!(overridden(Plan::Free, &json!({"timezone": null})).is_ok());
    assert!(overridden(Plan::Starter, &json!({})).is_ok());
    let not_yet = |patch: &Value| overridden(Plan::Pro, patch);
    assert_eq!(not_yet(&json!({"calls_per_second": 2})), Err(BadOverrides::NotYet("calls_per_second")));
    assert_eq!(not_yet(&json!({"retention": {"days": 30}})), Err(BadOverrides::NotYet("retention")));
}

#[test]
fn an_agent_works_under_the_workspace_where_its_overrides_no_longer_fit() {
    let workspace = WorkspaceSettings::of_plan(&Plan::Pro.limits());
    let fits = Overrides::stored(json!({"language": "es", "retention": {"level": "minimal"}}));
    assert_eq!(fits.over_settings(&workspace).language, Language::Es);
    assert_eq!(fits.over_retention(&Retention::default()).level, Level::Minimal);
    let odd = Overrides::stored(json!({"language": "xx", "retention": {"level": "xx"}}));
    assert_eq!(odd.over_settings(&workspace), workspace);
    assert_eq!(fits.check_against(&workspace), Ok(()));
    let later = Overrides::stored(json!({"quiet_hours": {"start": "18:00"}}));
    assert_eq!(later.check_against(&workspace), Ok(()));
    let without = WorkspaceSettings { quiet_hours: None, ..workspace };
    assert_eq!(later.check_against(&without).map_err(|error| error.field), Err("quiet_hours.end".to_owned()));
    assert_eq!(odd.over_retention(&Retention::default()), Retention::default());
}
