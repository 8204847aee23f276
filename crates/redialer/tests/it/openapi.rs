//! Sends the API every request that its own description allows: no 5xx, and no status, header or shape that is not
//! described. And everything in that description is described in words.
//!
//! Uses `schemathesis` and `openapi-spec-validator`, named by `REDIALER_TEST_API_FUZZER` (`cargo xtask test` installs
//! both). Without them, the test only prints a line.

use std::{path::Path, process::Command};

use redialer::http;
use redialer_sim::retell::Script;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{VOICE, Walk, days_ahead, engines, output_of};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method";
const VALIDATE: &str =
    "import json, sys, openapi_spec_validator as v; v.validate(json.load(open(sys.argv[1])))";

async fn run(mut command: Command) {
    tokio::task::spawn_blocking(move || output_of(&mut command)).await.expect("run");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_conforms_to_its_openapi_document() {
    let Ok(python) = std::env::var("REDIALER_TEST_API_FUZZER") else {
        eprintln!("REDIALER_TEST_API_FUZZER is not set: the API is not fuzzed");
        return;
    };
    for engine in engines() {
        let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "100000")];
        let walk = Walk::with_settings(engine, 1, Script::default(), &settings).await;
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("openapi.json");
        let document = walk.get("/v1/openapi.json").await;
        std::fs::write(&file, document.to_string()).expect("written");
        let mut validate = Command::new(&python);
        validate.args(["-c", VALIDATE]).arg(&file);
        run(validate).await;
        // Rows for requests that follow links.
        let agent = walk.agent_id(VOICE).await;
        for n in 0..20 {
            let body = json!({"agent_id": agent, "to_number": format!("+1312555{:04}", 100 + n), "at": days_ahead(30)});
            walk.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CREATED).await;
        }
        let mut fuzz = Command::new(Path::new(&python).with_file_name("st"));
        fuzz.current_dir(dir.path())
            .args(["run", &format!("{}/v1/openapi.json", walk.base), "--no-color", "--seed", "1"])
            .args(["-H", &format!("Authorization: Bearer {}", walk.admin_key)])
            .args(["--max-examples", "20", "--phases", "coverage,fuzzing,stateful", "--checks", CHECKS]);
        run(fuzz).await;
    }
}

fn is_described(value: &Value) -> bool {
    let options = value["oneOf"].as_array().into_iter().flatten();
    value["description"].as_str().is_some_and(|text| !text.is_empty())
        || options.into_iter().any(is_described)
}

/// The paths of the fields of a schema that have no description.
fn undescribed(schema: &Value, at: &str) -> Vec<String> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .flat_map(|(name, field)| {
            let at = format!("{at}.{name}");
            let mut found = undescribed(field, &at);
            if !is_described(field) {
                found.push(at);
            }
            found
        })
        .collect()
}

#[test]
fn every_parameter_and_every_field_has_a_description() {
    let document = http::document();
    let schemas = document["components"]["schemas"].as_object().expect("schemas").iter();
    let mut missing: Vec<String> = schemas.flat_map(|(name, schema)| undescribed(schema, name)).collect();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().expect("a list").iter();
            let bare = parameters.filter(|param| !is_described(param));
            missing.extend(bare.map(|param| format!("{method} {path}: {}", param["name"])));
            assert!(
                operation["summary"].is_string() && operation["description"].is_string(),
                "{method} {path}"
            );
        }
    }
    assert!(missing.is_empty(), "without a description: {missing:#?}");
}
