//! The transitions, compared with the table in core.

use super::*;

const ALL: [&Transition; 19] = [
    &CLAIM,
    &INTEND,
    &PLACE,
    &DOUBT,
    &WAIT,
    &HOLD,
    &CLOSE,
    &CLOSE_CLAIM,
    &SUPERSEDE,
    &REWRITE,
    &CANCEL,
    &FORCE,
    &RESCHEDULE,
    &YIELD,
    &HOLD_AGENT,
    &RELEASE_AGENT,
    &RELEASE_QUOTA,
    &SUPPRESS,
    &ADOPT,
];

#[test]
fn each_transition_is_one_that_core_allows() {
    for transition in ALL {
        assert!(transition.is_allowed(), "{}", transition.sql);
    }
}

#[test]
fn each_statement_guards_on_the_states_it_declares() {
    for Transition { from, sql, .. } in ALL {
        let words: Vec<_> = from.iter().map(|state| format!("'{}'", state.as_str())).collect();
        let guard = match words.as_slice() {
            [one] => format!("callbacks.state = {one}"),
            more => format!("callbacks.state in ({})", more.join(", ")),
        };
        assert!(sql.contains(&guard), "`{guard}` is not in: {sql}");
        let value = sql.split("set state = ").nth(1).and_then(|rest| rest.split(',').next());
        assert!(value.is_none_or(|value| value == "v.state" || value.starts_with('\'')), "{sql}");
    }
}
