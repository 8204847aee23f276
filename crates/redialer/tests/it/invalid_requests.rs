//! The requests that each path of the API refuses, and the error messages.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, VOICE, Walk, days_ahead, engines, id};

const ANA: &str = "+13125550142";
const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// The field that a refusal names.
async fn param(walk: &Walk, method: Method, path: &str, body: Option<Value>) -> String {
    let answer = walk.request(method, path, body, UNPROCESSABLE).await;
    assert!(answer["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{answer}");
    answer["error"]["param"].as_str().expect("a field").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_characters_are_refused_in_every_field() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        let agent = walk.agent_id(VOICE).await;
        let workspace = format!("/v1/workspaces/{}", walk.workspace);
        let at = days_ahead(30);
        let callback = |variables: Value| json!({"agent_id": agent, "to_number": ANA, "at": at, "dynamic_variables": variables});
        for (method, path, body, field) in [
            (Method::PATCH, workspace.as_str(), json!({"name": "a\0b"}), "name"),
            (Method::POST, "/v1/api-keys", json!({"name": "\0", "workspace_id": walk.workspace}), "name"),
            (
                Method::PATCH,
                &format!("/v1/agents/{agent}"),
                json!({"downstream_url": "https://a\0"}),
                "downstream_url",
            ),
            (Method::POST, "/v1/callbacks", callback(json!({"clinic": "a\0"})), "dynamic_variables.clinic"),
            (Method::POST, "/v1/callbacks", callback(json!({"cl\0inic": "a"})), "dynamic_variables"),
            (Method::POST, "/v1/callbacks", json!({"\0": 1}), "body"),
            (
                Method::PATCH,
                &workspace,
                json!({"defaults": {"quiet_days": ["mon", "\0"]}}),
                "defaults.quiet_days[1]",
            ),
        ] {
            assert_eq!(param(&walk, method, path, Some(body.clone())).await, field, "{engine:?} {body}");
        }
        for query in ["actor=%00", "action=a%00b", "target=%00"] {
            let field = query.split('=').next().expect("a name");
            assert_eq!(param(&walk, Method::GET, &format!("/v1/audit?{query}"), None).await, field);
        }
        // A backslash before `u0000` is not a NUL.
        let body = json!({"name": "a\\u0000"});
        assert_eq!(
            walk.request(Method::PATCH, &workspace, Some(body), StatusCode::OK).await["name"],
            "a\\u0000"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_and_fields_are_named() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let agent = walk.agent_id(VOICE).await;
    let body = json!({"agent_id": agent, "to_number": ANA, "at": days_ahead(30)});
    let made = walk.request(Method::POST, "/v1/callbacks", Some(body.clone()), StatusCode::CREATED).await;
    let callback = format!("/v1/callbacks/{}", id(&made));
    let workspace = format!("/v1/workspaces/{}", walk.workspace);
    for (method, path) in [
        (Method::GET, "/v1/usage?x=1"),
        (Method::GET, "/v1/workspace?x=1"),
        (Method::GET, "/v1/agents?limit=5&x=1"),
        (Method::GET, &format!("{callback}?x=1")),
        (Method::POST, &format!("{callback}/cancel?x")),
        (Method::DELETE, &format!("{workspace}?x=1")),
    ] {
        assert_eq!(param(&walk, method, path, None).await, "x", "{path}");
    }
    assert_eq!(param(&walk, Method::POST, "/v1/callbacks?x=1", Some(body)).await, "x");
    for (method, path) in [
        (Method::POST, format!("{callback}/cancel")),
        (Method::POST, format!("{callback}/force")),
        (Method::POST, format!("{workspace}/sync")),
        (Method::POST, format!("{workspace}/restore")),
        (Method::DELETE, workspace.clone()),
    ] {
        for (body, field) in
            [(json!({"surprise": 1}), "surprise"), (json!([1]), "body"), (json!(null), "body")]
        {
            assert_eq!(param(&walk, method.clone(), &path, Some(body)).await, field, "{method} {path}");
        }
    }
    assert_eq!(walk.get(&callback).await["state"], "scheduled", "nothing was done");
    let canceled =
        walk.request(Method::POST, &format!("{callback}/cancel"), Some(json!({})), StatusCode::OK).await;
    assert_eq!(canceled["id"], made["id"], "an empty object is no body");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bearer_scheme_ignores_case_and_no_response_is_cached() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let url = format!("{}/v1/agents", walk.base);
    for (scheme, want) in
        [("Bearer", 200), ("bearer", 200), ("BEARER", 200), ("Basic", 401), ("Bearers", 401)]
    {
        let request = walk.http.get(&url).header("authorization", format!("{scheme} {}", walk.admin_key));
        let answer = request.send().await.expect("answered");
        assert_eq!(answer.status(), want, "{scheme}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{scheme}");
    }
    let unknown = walk.http.get(format!("{}/v1/nothing", walk.base)).send().await.expect("answered");
    assert_eq!(unknown.headers()["cache-control"], "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_page_links_to_the_docs_and_the_health_checks() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let page = walk.http.get(&walk.base).send().await.expect("answered");
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.expect("text");
    for path in ["/docs", "/docs/api", "/v1/openapi.json", "/healthz", "/readyz"] {
        assert!(page.contains(&format!("href=\"{path}\"")), "{path}");
        let answer = walk.http.get(format!("{}{path}", walk.base)).send().await.expect("answered");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    assert!(page.contains("no dashboard yet"));
}
