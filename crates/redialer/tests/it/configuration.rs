//! Invalid settings: exit code 2, one line that names the setting and the valid values, nothing written.

use std::{
    fs,
    process::{Command, Output},
};

fn run(dir: &std::path::Path, variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redialer"));
    command.current_dir(dir).env_clear().envs(variables.iter().copied()).args(words);
    command.output().expect("run")
}

fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The only line of a refusal with exit code 2.
fn refused(dir: &std::path::Path, variables: &[(&str, &str)], words: &[&str]) -> String {
    let output = run(dir, variables, words);
    let line = stderr_of(&output);
    assert_eq!(output.status.code(), Some(2), "{variables:?} {words:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    for word in ["usize", "u16", "u32", "u64", "struct", "invalid type"] {
        assert!(!line.contains(word), "{line}");
    }
    line
}

#[test]
fn an_invalid_setting_ends_every_command_and_lists_the_valid_values() {
    let dir = tempfile::tempdir().expect("a directory");
    for (variable, value, line) in [
        ("REDIALER_MAX_DIALS", "abc", "max_dials: must be a whole number from 1 to 1000000, not `abc`"),
        ("REDIALER_MAX_DIALS", "0", "max_dials: must be a whole number from 1 to 1000000"),
        ("REDIALER_MAX_CONNECTIONS", "0", "max_connections: must be a whole number from 1 to 1000000"),
        (
            "REDIALER_MAX_API_REQUESTS",
            "-1",
            "max_api_requests: must be a whole number from 1 to 1000000, not `-1`",
        ),
        ("REDIALER_HEAD_DEADLINE_SECS", "0", "head_deadline_secs: must be a whole number from 1 to 3600"),
        (
            "REDIALER_SIGNATURE_TOLERANCE_SECS",
            "99999999",
            "signature_tolerance_secs: must be a whole number from 1 to 3600",
        ),
        (
            "REDIALER_CLOCK_SPEED",
            "99999999999",
            "clock_speed: must be a whole number from 1 to 1000000, not `99999999999`",
        ),
        ("REDIALER_LISTN", "x", "REDIALER_LISTN: is not a setting; did you mean REDIALER_LISTEN?"),
        (
            "REDIALER_LOG",
            "verbose",
            "log: `verbose` is not a log level; the valid values are off, error, warn, info, debug, trace",
        ),
        ("REDIALER_PUBLIC_URL", "redialer.example.com", "public_url: `redialer.example.com` is not a URL"),
        (
            "REDIALER_LISTEN",
            "nowhere",
            "listen: `nowhere` is not an address and port; valid examples are 127.0.0.1:8080",
        ),
    ] {
        for words in [&["serve"][..], &["migrate"], &["tenant", "list"]] {
            let message = refused(dir.path(), &[(variable, value)], words);
            assert!(message.starts_with(&format!("redialer: {line}")), "{message}");
        }
    }
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0, "something was written");
}

#[test]
fn an_invalid_settings_file_is_reported_in_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    for (file, line) in [
        ("listn = \"x\"", "listn: is not a setting; did you mean `listen`?"),
        ("listen = 8080", "listen: must be text, not `8080`"),
        ("max_dials = \"many\"", "max_dials: must be a whole number from 1 to 1000000, not `many`"),
        ("plans.pro.agents = true", "plans.pro.agents: must be a whole number, 0 or more, not `true`"),
        ("plans.pro.rest_api = 1", "plans.pro.rest_api: must be true or false, not `1`"),
        ("plans.pro.agent = 1", "plans.pro.agent: is not a setting; did you mean `agents`?"),
        ("listen 8080", "redialer.toml: "),
    ] {
        fs::write(dir.path().join("redialer.toml"), file).expect("written");
        let message = refused(dir.path(), &[], &["tenant", "list"]);
        assert!(message.starts_with(&format!("redialer: {line}")), "{file}: {message}");
    }
}

#[test]
fn options_of_the_simulator_are_checked_like_settings() {
    let dir = tempfile::tempdir().expect("a directory");
    let message = refused(dir.path(), &[], &["sim", "retell", "--listen", "nowhere"]);
    assert!(message.starts_with("redialer: --listen: `nowhere` is not an address and port"), "{message}");
    let message = refused(dir.path(), &[], &["sim", "retell", "--script", "missing.json"]);
    assert!(message.starts_with("redialer: --script: missing.json cannot be read"), "{message}");
}

#[test]
fn an_unusable_database_is_reported_once_with_its_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let no_server = [("REDIALER_DATABASE_URL", "postgres://me:secret@127.0.0.1:1/db")];
    for words in [&["tenant", "list"][..], &["doctor"]] {
        let output = run(dir.path(), &no_server, words);
        let message = stderr_of(&output) + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(message.to_lowercase().matches("connection refused").count(), 1, "{message}");
        assert!(!message.contains("pool") && !message.contains("secret"), "{message}");
    }
    let data = dir.path().join("redialer-data");
    fs::create_dir(&data).expect("made");
    fs::write(data.join("redialer.db"), "this is not a database, however long it is").expect("written");
    fs::write(data.join("kek"), "0".repeat(64)).expect("written");
    let output = run(dir.path(), &[], &["tenant", "list"]);
    let message = stderr_of(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.matches("not a database").count(), 1, "{message}");
}
