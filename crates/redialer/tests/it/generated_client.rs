//! A linter accepts the OpenAPI document; a TypeScript client generated from it lists, pages, forces and cancels, and
//! its types match the responses.
//!
//! `REDIALER_TEST_CLIENT_MODULES` names the folder of the Node packages that generate and check it (`cargo xtask test`
//! installs them). Without it, the test only prints a line.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::harness::{OURS, VOICE, Walk, engines, output_of};

/// Runs a Node program in `dir` and returns its output.
async fn node(dir: &Path, vars: &[(&str, &str)], words: &[&str]) -> String {
    let mut command = Command::new(std::env::var("REDIALER_TEST_NODE").unwrap_or_else(|_| "node".to_owned()));
    command.current_dir(dir).envs(vars.iter().copied()).args(words);
    tokio::task::spawn_blocking(move || output_of(&mut command)).await.expect("run")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_typescript_client_compiles_and_works() {
    let Ok(modules) = std::env::var("REDIALER_TEST_CLIENT_MODULES") else {
        eprintln!("REDIALER_TEST_CLIENT_MODULES is not set: no client is generated");
        return;
    };
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        let dir = tempfile::tempdir().expect("a directory");
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        std::os::unix::fs::symlink(&modules, dir.path().join("node_modules")).expect("linked");
        put("package.json", r#"{"private": true, "type": "module"}"#);
        put("openapi.json", &walk.get("/v1/openapi.json").await.to_string());
        put("client.ts", include_str!("../sdk/client.ts"));
        let lint = [
            "node_modules/@redocly/cli/bin/cli.js",
            "lint",
            "--extends",
            "recommended-strict",
            "openapi.json",
        ];
        node(dir.path(), &[("REDOCLY_TELEMETRY", "off")], &lint).await;
        node(
            dir.path(),
            &[],
            &["node_modules/openapi-typescript/bin/cli.js", "openapi.json", "-o", "api.ts"],
        )
        .await;
        let check = [
            "node_modules/typescript/bin/tsc",
            "--strict",
            "--skipLibCheck",
            "--noEmitOnError",
            "--target",
            "es2022",
            "--module",
            "nodenext",
            "--types",
            "node",
            "--outDir",
            "out",
            "client.ts",
        ];
        node(dir.path(), &[], &check).await;
        let agent = walk.agent_id(VOICE).await;
        let vars = [
            ("REDIALER_URL", walk.base.as_str()),
            ("REDIALER_KEY", &walk.admin_key),
            ("REDIALER_AGENT", &agent),
        ];
        let output = node(dir.path(), &vars, &["out/client.js"]).await;
        let results: Value = serde_json::from_str(output.lines().last().unwrap_or_default()).expect("JSON");
        assert_eq!(results["listed"], 5, "{engine:?}");
        walk.until("the forced call", async |w: &Walk| w.sim.placed_calls().iter().any(|r| r.from == OURS))
            .await;
    }
}
