//! `redialer doctor` reports problems and changes nothing.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use redialer_sim::retell::Script;
use serde_json::Value;

use crate::harness::{Walk, engines};

/// The status of each check, and whether the exit code was 0.
fn examined(walk: &Walk, settings: &[(&str, &str)]) -> (BTreeMap<String, String>, bool) {
    let mut command = walk.command();
    let output = command.envs(settings.iter().copied()).args(["doctor", "--json"]).output().expect("run");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
    let word = |line: &Value, key: &str| line[key].as_str().expect("text").to_owned();
    (lines.map(|line| (word(&line, "check"), word(&line, "status"))).collect(), output.status.success())
}

/// The checks that fail, without the workspace's id.
fn failures(walk: &Walk, settings: &[(&str, &str)]) -> Vec<String> {
    let (found, well) = examined(walk, settings);
    let failed = found.into_iter().filter(|(_, status)| status == "fail").map(|(check, _)| check);
    let failed: Vec<_> = failed.map(|c| c.split(" ws_").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(well, failed.is_empty(), "the exit code shows it: {failed:?}");
    failed
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("set");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_problems_and_changes_nothing() {
    for engine in engines() {
        let mut walk = Walk::at_speed(engine, 1).await;
        let (found, well) = examined(&walk, &[]);
        assert!(well, "{found:?}");
        for check in ["config", "database", "key service", "clock"] {
            assert_eq!(found.get(check).map(String::as_str), Some("ok"), "{found:?}");
        }
        assert!(found.keys().any(|check| check.starts_with("provider of ws_")), "{found:?}");
        // The real provider cannot reach a URL on loopback.
        let real = [("REDIALER_RETELL_BASE_URL", "https://127.0.0.2.invalid")];
        assert!(failures(&walk, &real).contains(&"public URL".to_owned()));
        walk.sim.edit_script(|script: &mut Script| script.api_key = "another".to_owned());
        assert_eq!(failures(&walk, &[]), ["provider of"]);
        let kek = walk.data_dir().join("kek");
        set_mode(&kek, 0o644);
        assert_eq!(failures(&walk, &[]), ["key file", "provider of"]);
        set_mode(&kek, 0o600);
        walk.kill();
        fs::rename(&kek, walk.beside("elsewhere")).expect("moved");
        assert_eq!(failures(&walk, &[]), ["database"]);
        assert!(!kek.exists(), "it creates no key");
    }
}
