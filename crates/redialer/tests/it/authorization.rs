//! Authorization: every route with every kind of key, masked numbers, and the keys that a key can create.

use redialer::http::{Route, TABLE};
use redialer_core::{
    access::Scope,
    permission::Permission,
    time::{minutes, plus},
};
use redialer_sim::retell::Script;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, VOICE, Walk, days_ahead, engines};

const ANA: &str = "+13125550142";
const BEN: &str = "+13125550143";

/// Ids of ours that a route may contain.
struct Ours {
    workspace: String,
    agent: String,
    callback: String,
    suppression: String,
    key: String,
    member: String,
}

/// Creates one row of each kind in the walk's workspace.
async fn ours(walk: &Walk) -> Ours {
    let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    let agent = id(&walk.agent(VOICE).await);
    let body = json!({"agent_id": agent, "to_number": ANA, "at": days_ahead(30)});
    let callback = walk.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CREATED).await;
    let listed = walk
        .request(Method::POST, "/v1/suppressions", Some(json!({"number": BEN})), StatusCode::CREATED)
        .await;
    let key = json!({"name": "spare", "workspace_id": walk.workspace});
    let key = walk.request(Method::POST, "/v1/api-keys", Some(key), StatusCode::CREATED).await;
    let member = json!({"email": "ops@example.com", "role": "operator"});
    let member = walk.request(Method::POST, "/v1/members", Some(member), StatusCode::CREATED).await;
    Ours {
        workspace: walk.workspace.clone(),
        agent,
        callback: id(&callback),
        suppression: id(&listed),
        key: id(&key),
        member: id(&member),
    }
}

/// A valid request for a route; an unknown route fails the test.
fn example(route: &Route, ours: &Ours) -> (Method, String, Option<Value>) {
    let noun = route.path.split('/').nth(1).unwrap_or_default();
    let id = match noun {
        "workspaces" => &ours.workspace,
        "agents" => &ours.agent,
        "callbacks" => &ours.callback,
        "suppressions" => &ours.suppression,
        "api-keys" => &ours.key,
        "members" => &ours.member,
        _ => "",
    };
    let body = match (route.method, route.path) {
        ("post", "/workspaces") => {
            Some(json!({"name": "Another", "provider": "retell", "api_key": "key_sim_0003"}))
        }
        ("patch", "/workspaces/{id}") => Some(json!({"name": "Line"})),
        ("patch", "/agents/{id}") => Some(json!({"enabled": true})),
        ("post", "/callbacks") => {
            Some(json!({"agent_id": ours.agent, "to_number": "+13125550145", "at": days_ahead(31)}))
        }
        ("patch", "/callbacks/{id}") => Some(json!({"scheduled_for": days_ahead(32)})),
        ("post", "/suppressions") => Some(json!({"number": "+13125550144"})),
        ("post", "/api-keys") => Some(json!({"name": "new", "workspace_id": ours.workspace})),
        ("post", "/members") => Some(json!({"email": "new@example.com", "role": "viewer"})),
        ("patch", "/members/{id}") => Some(json!({"role": "viewer"})),
        ("get" | "delete", _) | ("post", "/workspaces/{id}/restore" | "/workspaces/{id}/sync") => None,
        ("post", "/callbacks/{id}/cancel" | "/callbacks/{id}/force") => None,
        (method, path) => panic!("the matrix has no request for {method} {path}: add one"),
    };
    let query =
        if route.path == "/workspace" { format!("?workspace_id={}", ours.workspace) } else { String::new() };
    let method = route.method.to_uppercase().parse().expect("a method");
    (method, format!("/v1{}{query}", route.path.replace("{id}", id)), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_checks_every_kind_of_key() {
    for engine in engines() {
        let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "100000")];
        let walk = Walk::with_settings(engine, 60, Script::default(), &settings).await;
        let ours = ours(&walk).await;
        // Without the permission to read their own details, these keys look like those of other accounts.
        let silent: Vec<_> = Permission::ALL.into_iter().filter(|p| *p != Permission::KeyInfo).collect();
        for key in ["key_sim_0002", "key_sim_0003"] {
            walk.sim.set_key_permissions(key, &silent);
        }
        let second = json!({"name": "Second", "provider": "retell", "api_key": "key_sim_0002"});
        let second = walk.request(Method::POST, "/v1/workspaces", Some(second), StatusCode::CREATED).await;
        // With every scope, so that only the workspace can be the reason for a refusal.
        let every = Scope::ALL.map(Scope::as_str);
        let body = json!({"name": "second's", "workspace_id": second["id"], "scopes": every});
        let (_, locked) = walk.create_key(body).await;
        let (revoked_id, revoked) = walk.create_key(json!({"name": "gone", "admin": true})).await;
        let path = format!("/v1/api-keys/{revoked_id}");
        walk.request(Method::DELETE, &path, None, StatusCode::NO_CONTENT).await;
        let soon = plus(walk.now(), minutes(1)).to_string();
        let (_, expired) = walk.create_key(json!({"name": "old", "admin": true, "expires_at": soon})).await;
        walk.until("the key to expire", async |walk: &Walk| {
            walk.request_as(Some(&expired), Method::GET, "/v1/agents", None).await.0
                == StatusCode::UNAUTHORIZED
        })
        .await;
        let other = walk.create_tenant("pro", "other@example.com");
        let stranger = other["admin_key"].as_str().expect("a key");
        for route in TABLE {
            let (method, path, body) = example(route, &ours);
            let ask =
                async |key: Option<&str>| walk.request_as(key, method.clone(), &path, body.clone()).await;
            let subject = |who: &str| format!("{who}: {} {}", route.method, route.path);
            for (who, key) in [("none", None), ("revoked", Some(&revoked)), ("expired", Some(&expired))] {
                assert_eq!(
                    ask(key.map(String::as_str)).await.0,
                    StatusCode::UNAUTHORIZED,
                    "{}",
                    subject(who)
                );
            }
            let another = Scope::ALL.into_iter().find(|s| *s != route.scope).expect("one");
            let (_, lacking) =
                walk.create_key(json!({"name": "lacks", "admin": true, "scopes": [another.as_str()]})).await;
            let (status, answer) = ask(Some(lacking.as_str())).await;
            assert_eq!(
                (status, answer["error"]["code"].as_str()),
                (StatusCode::FORBIDDEN, Some("missing_scope")),
                "{}",
                subject("wrong scope")
            );
            for (who, key) in [("other tenant", stranger), ("other workspace", locked.as_str())] {
                sees_nothing(route, &ours, who, &ask(Some(key)).await);
            }
        }
        // The tenant's own key comes last, because its requests take effect.
        for route in TABLE.iter().filter(|r| r.method != "delete" && !r.path.ends_with("/restore")) {
            let (method, path, body) = example(route, &ours);
            let (status, answer) = walk.request_as(Some(&walk.admin_key), method, &path, body).await;
            let fits =
                status.is_success() || route.path.ends_with("/force") && status == StatusCode::CONFLICT;
            assert!(fits, "own: {} {}: {status} {answer}", route.method, route.path);
        }
    }
}

/// Checks a response to the key of another tenant or workspace: our ids are not found, and lists contain nothing of
/// ours.
fn sees_nothing(route: &Route, ours: &Ours, who: &str, (status, answer): &(StatusCode, Value)) {
    let subject = format!("{who}: {} {}: {status} {answer}", route.method, route.path);
    let text = answer.to_string();
    let things = [&ours.workspace, &ours.agent, &ours.callback, &ours.suppression, &ours.key, &ours.member];
    // An error may repeat values from the request.
    let leaks = things.iter().any(|id| text.contains(id.as_str())) && answer["error"].is_null();
    assert!(!leaks, "{subject}");
    assert!(!text.contains(ANA) && !text.contains(BEN), "{subject}");
    match (route.method, route.path) {
        (_, path) if path.contains("{id}") => {
            let needs_admin =
                *status == StatusCode::FORBIDDEN && answer["error"]["code"] == "admin_key_needed";
            assert!(*status == StatusCode::NOT_FOUND || needs_admin, "{subject}");
        }
        (_, "/workspace") => assert_eq!(*status, StatusCode::NOT_FOUND, "{subject}"),
        ("post", "/callbacks" | "/api-keys") => {
            assert_eq!(*status, StatusCode::UNPROCESSABLE_ENTITY, "{subject}");
        }
        _ => assert!(status.is_success() || *status == StatusCode::FORBIDDEN, "{subject}"),
    }
}

/// The status and the error code of a response.
fn refusal((status, answer): &(StatusCode, Value)) -> (u16, &str) {
    (status.as_u16(), answer["error"]["code"].as_str().unwrap_or("none"))
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_needs_the_scope_pii_read_and_reading_it_is_audited() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let callback = walk.schedule(ANA, 60).await["id"].clone();
    let path = format!("/v1/callbacks/{}", callback.as_str().expect("an id"));
    let (_, usual) = walk.create_key(json!({"name": "usual", "workspace_id": walk.workspace})).await;
    let scopes = ["callbacks:read", "pii:read"];
    let (_, nosy) = walk.create_key(json!({"name": "nosy", "admin": true, "scopes": scopes})).await;
    assert_eq!(walk.request_as(Some(&nosy), Method::GET, &path, None).await.1["to_number"], ANA);
    let payload = walk.request_as(Some(&usual), Method::GET, &format!("{path}/payload"), None).await;
    assert_eq!(refusal(&payload), (403, "missing_scope"));
    let audit = walk.get("/v1/audit?action=pii.reveal").await;
    assert!(audit["data"].as_array().expect("a list").iter().any(|entry| entry["target"] == callback));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_create_a_key_with_more_rights_than_its_own() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let (_, usual) = walk.create_key(json!({"name": "usual", "workspace_id": walk.workspace})).await;
    let end = plus(walk.now(), minutes(60)).to_string();
    let (_, brief) = walk.create_key(json!({"name": "brief", "admin": true, "expires_at": end})).await;
    let create = async |key: &str, body: Value| {
        walk.request_as(Some(key), Method::POST, "/v1/api-keys", Some(body)).await
    };
    for body in [
        json!({"name": "x", "workspace_id": walk.workspace, "scopes": ["pii:read"]}),
        json!({"name": "x", "admin": true}),
    ] {
        assert_eq!(create(&usual, body).await.0, StatusCode::FORBIDDEN);
    }
    let (status, child) = create(&brief, json!({"name": "x", "admin": true})).await;
    assert_eq!(
        (status, &child["expires_at"]),
        (StatusCode::CREATED, &json!(end)),
        "it expires with its parent"
    );
    let longer = json!({"name": "x", "admin": true, "expires_at": "2099-01-01T00:00:00Z"});
    assert_eq!(create(&brief, longer).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let listed = walk.get("/v1/api-keys").await;
    assert!(!listed.to_string().contains(&usual), "secrets are shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_key_is_refused_with_its_field() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    for (body, param) in [
        (json!({"name": "x"}), "workspace_id"),
        (json!({"name": "x", "admin": true, "workspace_id": walk.workspace}), "admin"),
        (json!({"name": " ", "admin": true}), "name"),
        (json!({"name": "x", "admin": true, "scopes": []}), "scopes"),
        (json!({"name": "x", "admin": true, "scopes": ["all"]}), "scopes[0]"),
        (json!({"name": "x", "admin": true, "expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
    ] {
        let answer =
            walk.request(Method::POST, "/v1/api-keys", Some(body), StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(answer["error"]["param"], param, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_key_reads_no_suppressions_and_the_free_plan_has_no_api() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let (_, usual) = walk.create_key(json!({"name": "usual", "workspace_id": walk.workspace})).await;
    let suppressions = walk.request_as(Some(&usual), Method::GET, "/v1/suppressions", None).await;
    assert_eq!(refusal(&suppressions), (403, "admin_key_needed"));
    let free = walk.create_tenant("free", "free@example.com");
    let agents = walk.request_as(free["admin_key"].as_str(), Method::GET, "/v1/agents", None).await;
    assert_eq!(refusal(&agents), (403, "plan_limit"));
}
