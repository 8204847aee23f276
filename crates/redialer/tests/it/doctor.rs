//! `redialer doctor`: says what is wrong, and changes nothing.

use redialer_sim::retell::Script;
use serde_json::Value;

use crate::harness::{Walk, engines};

/// What it says, by check, and whether all is well.
fn examined(walk: &Walk) -> (Vec<(String, bool)>, bool) {
    let mut command = walk.command();
    let output = command.args(["doctor", "--json"]).output().expect("run");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
    let told = lines.map(|l| (l["check"].as_str().expect("a name").to_owned(), l["ok"] == true)).collect();
    (told, output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_finds_what_is_wrong_and_touches_nothing() {
    for engine in engines() {
        let mut walk = Walk::begin(engine, 1).await;
        let (told, well) = examined(&walk);
        assert!(well, "{told:?}");
        let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..4], ["config", "database", "key service", "clock"]);
        assert!(names[4].starts_with("provider of ws_"), "{names:?}");
        walk.sim.rewrite(|script: &mut Script| script.api_key = "another".to_owned());
        let (told, well) = examined(&walk);
        assert!(!well && told.iter().filter(|(_, ok)| !ok).count() == 1 && !told[4].1, "{told:?}");
        let kek = walk.data_dir().join("kek");
        let mut open = std::fs::metadata(&kek).expect("there").permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o644);
        std::fs::set_permissions(&kek, open).expect("set");
        assert!(!examined(&walk).0[2].1, "a key file that everybody reads");
        walk.kill();
        std::fs::rename(&kek, walk.beside("elsewhere")).expect("moved");
        let (told, well) = examined(&walk);
        assert!(!well && !told[1].1, "{told:?}");
        assert!(!kek.exists(), "it makes no key");
    }
}
