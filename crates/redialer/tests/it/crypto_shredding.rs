//! A tenant whose key is destroyed (I22): none of its data can be decrypted any more, not even from an older backup.

use std::path::Path;

use memchr::memmem;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{KEY, Walk, engines, id};

const ANA: &str = "+13125550142";

/// The wrapped keys in a keyring, as bytes.
fn wrapped(keys: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(keys).expect("read");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.map(|kept| serde_json::from_value(kept["wrapped"].clone()).expect("bytes")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_key_makes_old_backups_unreadable_too() {
    for engine in engines() {
        let mut walk = Walk::at_speed(engine, 1).await;
        let other = walk.create_tenant("unlimited", "other@example.com");
        let other_key = other["admin_key"].as_str().expect("a key").to_owned();
        let body = json!({"name": "Theirs", "provider": "retell", "api_key": KEY});
        assert_eq!(
            walk.request_as(Some(&other_key), Method::POST, "/v1/workspaces", Some(body)).await.0,
            StatusCode::CREATED
        );
        walk.schedule(ANA, 30 * 24 * 60).await;
        let (backup, keys) = (walk.beside("old"), walk.beside("keyring"));
        let [backup_name, keys_name] = [&backup, &keys].map(|p| p.to_str().expect("text").to_owned());
        walk.run(&["backup", &backup_name, "--keys", &keys_name]);
        let before = wrapped(&keys);
        assert_eq!(before.len(), 2);
        let written = std::fs::read(&backup).expect("read");
        assert!(before.iter().all(|key| memmem::find(&written, key).is_none()), "the backup holds no key");
        // A command with the wrong name destroys nothing.
        let tenant = walk
            .run(&["audit", "verify"])
            .lines()
            .next()
            .expect("ours")
            .split(' ')
            .next()
            .expect("an id")
            .to_owned();
        let mut wrong = walk.command();
        wrong.args(["keys", "destroy", "--tenant", &tenant, "--name", "Another"]);
        assert_eq!(wrong.output().expect("run").status.code(), Some(1));
        walk.run(&["keys", "destroy", "--tenant", &tenant, "--name", "Example"]);
        walk.request(Method::GET, "/v1/callbacks", None, StatusCode::UNAUTHORIZED).await;
        walk.until_cut_off("its webhooks to be unknown", async |w: &Walk| {
            w.deliver("{}").await == StatusCode::NOT_FOUND
        })
        .await;
        assert_eq!(
            walk.request_as(Some(&other_key), Method::GET, "/v1/workspaces", None).await.0,
            StatusCode::OK
        );
        assert!(
            walk.run(&["audit", "verify"]).contains("not verified, because the tenant's key was destroyed")
        );
        // The next rotation skips the tenant, and the next keyring does not contain its key.
        walk.run(&["keys", "rotate", "--settle", "1", "--one-file"]);
        let second = walk.beside("second").to_str().expect("text").to_owned();
        walk.run(&["backup", &second, "--keys", &keys_name]);
        assert_eq!(wrapped(&keys).len(), 2, "the other's, earlier and now");
        assert!(!std::fs::read_to_string(&keys).expect("read").contains(&tenant));
        walk.run(&["keys", "retire"]);
        walk.kill();
        let done = walk.restore_with_keys(Path::new(&second), &keys, engine);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        walk.serve().await;
        assert_eq!(walk.list(&other_key, "/v1/workspaces?limit=200").await[0]["name"], "Theirs");
        // The old backup still contains the tenant; the current keyring has no key for it.
        walk.kill();
        let done = walk.restore_with_keys(&backup, &keys, engine);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        walk.serve().await;
        walk.request(Method::GET, "/v1/callbacks", None, StatusCode::UNAUTHORIZED).await;
        // The keyring also opens data sealed before the rotation, with a key that exists nowhere else.
        let theirs = walk.list(&other_key, "/v1/workspaces?limit=200").await;
        let sync = format!("/v1/workspaces/{}/sync", id(&theirs[0]));
        let (done, response) = walk.request_as(Some(&other_key), Method::POST, &sync, None).await;
        assert_eq!(done, StatusCode::OK, "{response}");
        // Without the keyring, the restore is refused before anything is written.
        walk.kill();
        let refused = walk.restore(&backup, engine);
        assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--keys"));
    }
}
