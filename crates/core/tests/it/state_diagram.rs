//! The state diagram in the docs shows exactly the changes that the code allows.

use std::{collections::BTreeSet, fs, path::Path};

use redialer_core::callback::State;

#[test]
fn the_diagram_shows_every_allowed_change_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    let page = fs::read_to_string(page).expect("text");
    let edges = page.lines().filter_map(|line| line.trim().split_once(" --> "));
    let shown: BTreeSet<(String, String)> = edges
        .filter(|(from, to)| *from != "[*]" && *to != "[*]")
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect();
    let pairs = State::ALL.iter().flat_map(|from| State::ALL.map(|to| (*from, to)));
    let allowed: BTreeSet<(String, String)> = pairs
        .filter(|(from, to)| from.may_become(*to))
        .map(|(from, to)| (from.as_str().to_owned(), to.as_str().to_owned()))
        .collect();
    assert_eq!(shown, allowed);
}
