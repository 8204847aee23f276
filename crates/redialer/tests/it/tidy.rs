//! Repository rules that a reviewer would otherwise have to check.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file of the workspace, with its text.
pub(crate) fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for part in ["crates", "xtask"] {
        walk(&root().join(part), &mut found);
    }
    let name = |path: &Path| path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
    found.iter().map(|p| (name(p), fs::read_to_string(p).expect("text"))).collect()
}

/// The part of a file before its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn every_module_has_a_head() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let crates = fs::read_dir(root().join("crates")).expect("listed").map(|e| e.expect("an entry").path());
    for dir in crates.chain(["xtask", "benches"].map(|dir| root().join(dir))) {
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).expect("text");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}", dir.display());
    }
}

#[test]
fn only_the_store_contains_sql() {
    let sql = ["select ", "insert into ", "update ", "delete from "];
    for (name, text) in sources() {
        if name.starts_with("crates/store/") || name.contains("/tests/") {
            continue;
        }
        let found = code(&text).lines().find(|line| sql.iter().any(|s| line.contains(&format!("\"{s}"))));
        assert!(found.is_none(), "{name}: {found:?}");
    }
    for manifest in ["core", "when", "kek", "providers", "sim", "redialer"] {
        let text = fs::read_to_string(root().join("crates").join(manifest).join("Cargo.toml")).expect("text");
        // Tests may use a database.
        let text = text.split("[dev-dependencies]").next().unwrap_or_default();
        assert!(!text.contains("sqlx") && !text.contains("rusqlite"), "{manifest} depends on a database");
    }
}

#[test]
fn claims_and_intents_are_constructed_in_one_file_each() {
    for (ticket, home) in [
        ("InboundEvent {", "crates/providers/src/retell/webhook.rs"),
        ("CallOrder {", "crates/redialer/src/flow/dial/batch.rs"),
        ("Intent {", "crates/store/src/dispatch/intents.rs"),
        ("Claim {", "crates/store/src/dispatch/claims.rs"),
    ] {
        for (name, text) in sources() {
            if name == home || name.contains("/tests/") {
                continue;
            }
            let made = code(&text).lines().map(str::trim).find(|line| {
                line.contains(ticket)
                    && line
                        .split(ticket)
                        .next()
                        .is_some_and(|before| !before.ends_with(char::is_alphanumeric))
                    && !["struct", "impl", "getters!"].iter().any(|w| line.contains(w))
                    && !line.starts_with("//")
                    && !line.contains(&format!("-> &{ticket}"))
            });
            assert!(made.is_none(), "{ticket} is made in {name}: {made:?}");
        }
    }
}

#[test]
fn core_and_when_cannot_do_io() {
    for (name, allowed) in [
        ("when", &["jiff"][..]),
        (
            "core",
            &[
                "jiff",
                "rand_chacha",
                "rand_core",
                "redialer-when",
                "rlibphonenumber",
                "serde",
                "serde_json",
                "serde_path_to_error",
                "thiserror",
                "uuid",
                "zeroize",
            ][..],
        ),
    ] {
        let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).expect("text");
        let table = text.split("[dependencies]").nth(1).expect("a table").split("\n[").next().expect("text");
        let names: Vec<_> =
            table.lines().filter_map(|l| l.split(['.', ' ', '=']).next()).filter(|n| !n.is_empty()).collect();
        assert_eq!(names, allowed, "{name}");
    }
}

#[test]
fn migrations_come_in_pairs() {
    let names = |engine: &str| {
        let dir = fs::read_dir(root().join("crates/store/migrations").join(engine)).expect("listed");
        let mut names: Vec<_> = dir.map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn files_stay_readable() {
    let mut lengths: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| !name.contains("/tests/") && !name.ends_with("_stories.rs"))
        .map(|(name, text)| (code(&text).lines().count(), name))
        .collect();
    lengths.sort();
    let longest = lengths.last().expect("there are files");
    assert!(longest.0 <= 550, "{longest:?}");
    assert!(lengths[lengths.len() / 2].0 <= 150, "half of the files should be under 150 lines");
}

#[test]
fn no_task_is_left_in_a_comment() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["#[ig", "nore"].concat()];
    for (name, text) in sources() {
        assert!(!marks.iter().any(|m| text.contains(m.as_str())), "{name}");
    }
}

#[test]
fn every_dependency_has_an_allowed_license() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output();
    let metadata: Value = serde_json::from_slice(&output.expect("run").stdout).expect("JSON");
    let deny = fs::read_to_string(root().join("deny.toml")).expect("text");
    let allowed: Vec<&str> = deny
        .split("allow = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("a list")
        .split('"')
        .skip(1)
        .step_by(2)
        .collect();
    for package in metadata["packages"].as_array().expect("a list") {
        let name = package["name"].as_str().expect("a name");
        let license = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no license"));
        // Every part must have at least one allowed alternative.
        let taken = license
            .replace(['(', ')'], "")
            .split(" AND ")
            .all(|part| part.split(" OR ").flat_map(|p| p.split('/')).any(|l| allowed.contains(&l.trim())));
        assert!(taken, "{name}: {license}");
        let source = package["source"].as_str();
        assert!(
            source.is_none_or(|s| s.starts_with("registry+https://github.com/rust-lang/crates.io-index")),
            "{name}: {source:?}"
        );
    }
}
