//! Compares the SQL that changes the state of dispatches with the transition table in `core`. Callbacks have their own
//! file for this (`store/src/callbacks/transitions`).
//!
//! Only the text of statements is checked: a statement that sets a state and guards on states must match a transition
//! in the table.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use redialer_core::dispatch;

/// Every state change, from and to, in the store's `update` statements of that table.
fn moves(table: &str) -> BTreeSet<(String, String)> {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/src");
    let mut found = BTreeSet::new();
    for file in files(&store) {
        let text = fs::read_to_string(file).expect("text");
        for statement in text.split(&format!("update {table} set ")).skip(1) {
            found.extend(moves_of(statement.split('"').next().unwrap_or(statement)));
        }
    }
    found
}

/// The source files in a folder and its subfolders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

/// The condition of the index of active callbacks, as statements must repeat it.
const LIVE: &str = "state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')";

/// Empty if the state is a parameter, is not changed, or is guarded in another statement.
fn moves_of(statement: &str) -> Vec<(String, String)> {
    let Some((changes, guard)) = statement.split_once(" where ") else { return Vec::new() };
    let mut changes = changes.split(',').map(str::trim);
    let Some(next) = changes.find_map(|c| c.strip_prefix("state = '")) else { return Vec::new() };
    let next = next.trim_end_matches('\'');
    // A condition that only selects an index is ignored if there is another guard.
    let narrowed = guard.replace(LIVE, "");
    let guard = if narrowed.contains("state ") { &narrowed } else { guard };
    let guards = guard.split("state ").skip(1).flat_map(words_of_guard);
    guards.map(|from| (from, next.to_owned())).collect()
}

/// The quoted words of `= 'a' …` or `in ('a', 'b') …`.
fn words_of_guard(guard: &str) -> Vec<String> {
    let quoted = |text: &str| text.split('\'').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    match guard.split_once(')') {
        Some((list, _)) if guard.starts_with("in (") => quoted(list),
        _ => quoted(guard).into_iter().take(1).collect(),
    }
}

#[test]
fn every_statement_changes_dispatch_states_as_the_table_allows() {
    let state = |word: &str| word.parse::<dispatch::State>().expect("a state");
    let found = moves("dispatches");
    assert!(found.len() >= 6, "statements are written otherwise now: {found:?}");
    for (from, to) in found {
        assert!(state(&from).may_become(state(&to)), "{from} -> {to}");
    }
}
