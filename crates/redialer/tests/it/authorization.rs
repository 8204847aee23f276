//! Access control: every route, with every kind of key.

use redialer::http::{Route, TABLE};
use redialer_core::access::Scope;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use redialer_core::permission::Permission;
use redialer_sim::retell::script::Behavior;

use crate::harness::{Engine, FILE, KEY, VOICE, Walk, days_ahead, engines, scripted_call};

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

async fn new_key(walk: &Walk, body: Value) -> (String, String) {
    let made = walk.request(Method::POST, "/v1/api-keys", Some(body), StatusCode::CREATED).await;
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    (text("id"), text("secret"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_checks_every_kind_of_key() {
    for engine in engines() {
        let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "100000")];
        let walk = Walk::with_settings(engine, 60, redialer_sim::retell::Script::default(), &settings).await;
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
        let (_, locked) = new_key(&walk, body).await;
        let (revoked_id, revoked) = new_key(&walk, json!({"name": "gone", "admin": true})).await;
        let path = format!("/v1/api-keys/{revoked_id}");
        walk.request(Method::DELETE, &path, None, StatusCode::NO_CONTENT).await;
        let soon = redialer_core::time::plus(walk.now(), redialer_core::time::minutes(1)).to_string();
        let (_, expired) = new_key(&walk, json!({"name": "old", "admin": true, "expires_at": soon})).await;
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
                new_key(&walk, json!({"name": "lacks", "admin": true, "scopes": [another.as_str()]})).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_grant_more_than_it_has() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let ours = ours(&walk).await;
    let (_, usual) = new_key(&walk, json!({"name": "usual", "workspace_id": ours.workspace})).await;
    let (_, nosy) =
        new_key(&walk, json!({"name": "nosy", "admin": true, "scopes": ["callbacks:read", "pii:read"]}))
            .await;
    let get = async |key: &str, path: &str| walk.request_as(Some(key), Method::GET, path, None).await;
    let callback = format!("/v1/callbacks/{}", ours.callback);
    let (_, masked) = get(&usual, &callback).await;
    assert!(masked["to_number"].as_str().is_some_and(|n| n != ANA && n.contains("42")), "{masked}");
    assert_eq!(get(&nosy, &callback).await.1["to_number"], ANA);
    let (status, answer) = get(&usual, &format!("{callback}/payload")).await;
    assert_eq!((status, answer["error"]["code"].as_str()), (StatusCode::FORBIDDEN, Some("missing_scope")));
    let book = walk.get("/v1/audit?action=pii.reveal").await;
    assert!(
        book["data"]
            .as_array()
            .is_some_and(|acts| acts.iter().any(|a| a["target"] == ours.callback.as_str()))
    );
    let make = async |key: &str, body: Value| {
        walk.request_as(Some(key), Method::POST, "/v1/api-keys", Some(body)).await
    };
    let more = json!({"name": "x", "workspace_id": ours.workspace, "scopes": ["pii:read"]});
    assert_eq!(make(&usual, more).await.0, StatusCode::FORBIDDEN);
    assert_eq!(make(&usual, json!({"name": "x", "admin": true})).await.0, StatusCode::FORBIDDEN);
    for (body, param) in [
        (json!({"name": "x"}), "workspace_id"),
        (json!({"name": "x", "admin": true, "workspace_id": ours.workspace}), "admin"),
        (json!({"name": " ", "admin": true}), "name"),
        (json!({"name": "x", "admin": true, "scopes": []}), "scopes"),
        (json!({"name": "x", "admin": true, "scopes": ["all"]}), "scopes[0]"),
        (json!({"name": "x", "admin": true, "expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
    ] {
        let answer =
            walk.request(Method::POST, "/v1/api-keys", Some(body), StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(answer["error"]["param"], param, "{answer}");
    }
    let listed = walk.get("/v1/api-keys").await;
    assert!(!listed.to_string().contains(&usual), "secrets are shown once");
    let end = redialer_core::time::plus(walk.now(), redialer_core::time::minutes(60)).to_string();
    let (_, brief) = new_key(&walk, json!({"name": "brief", "admin": true, "expires_at": end})).await;
    let (status, child) = make(&brief, json!({"name": "x", "admin": true})).await;
    assert_eq!(
        (status, child["expires_at"].as_str()),
        (StatusCode::CREATED, Some(end.as_str())),
        "no longer than it has itself"
    );
    let longer = json!({"name": "x", "admin": true, "expires_at": "2099-01-01T00:00:00Z"});
    assert_eq!(make(&brief, longer).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, answer) = get(&usual, "/v1/suppressions").await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (StatusCode::FORBIDDEN, Some("admin_key_needed")),
        "of every workspace"
    );
    let free = walk.create_tenant("free", "free@example.com");
    let (status, answer) = get(free["admin_key"].as_str().expect("a key"), "/v1/agents").await;
    assert_eq!((status, answer["error"]["code"].as_str()), (StatusCode::FORBIDDEN, Some("plan_limit")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_post_is_executed_once() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let agent = walk.agent(VOICE).await["id"].as_str().expect("an id").to_owned();
    let send = async |name: &str, at: &str| {
        let body = json!({"agent_id": agent, "to_number": ANA, "at": at});
        let request = walk.http.post(format!("{}/v1/callbacks", walk.base)).bearer_auth(&walk.admin_key);
        let response = request.header("idempotency-key", name).json(&body).send().await.expect("answered");
        let again = response.headers().contains_key("idempotent-replayed");
        (response.status().as_u16(), again, response.json::<Value>().await.expect("JSON"))
    };
    let at = &days_ahead(30);
    let (status, again, first) = send("one", at).await;
    assert_eq!((status, again), (201, false), "{first}");
    let (status, again, second) = send("one", at).await;
    assert_eq!((status, again, &second), (201, true, &first));
    let (status, _, other) = send("one", &days_ahead(31)).await;
    assert_eq!((status, other["error"]["param"].as_str()), (422, Some("Idempotency-Key")));
    // A refused request had no effect and released its idempotency key.
    assert_eq!(send("two", "soon").await.0, 422);
    let ahead = days_ahead(60);
    let many = futures_util::future::join_all((0..16).map(|_| send("two", &ahead))).await;
    let made: std::collections::BTreeSet<_> =
        many.iter().filter(|m| m.0 == 201).map(|m| m.2["id"].as_str().expect("an id")).collect();
    assert_eq!(made.len(), 1, "{many:?}");
    assert!(many.iter().all(|m| m.0 == 201 || m.0 == 409), "{many:?}");
    assert_eq!(walk.callbacks().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_above_its_rate_limit_gets_429() {
    let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "3")];
    let walk =
        Walk::with_settings(Engine::Sqlite, 1, redialer_sim::retell::Script::default(), &settings).await;
    let (_, key) = new_key(&walk, json!({"name": "busy", "admin": true})).await;
    let send = async || {
        let request = walk.http.get(format!("{}/v1/agents", walk.base)).bearer_auth(&key);
        request.send().await.expect("answered")
    };
    let first = send().await;
    assert_eq!(
        (first.status().as_u16(), &first.headers()["ratelimit-limit"]),
        (200, &"6".parse().expect("a value"))
    );
    let mut refused = None;
    for _ in 0..20 {
        let response = send().await;
        if response.status() == 429 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("too many");
    assert!(refused.headers().contains_key("retry-after") && refused.headers()["ratelimit-remaining"] == "0");
    assert_eq!(refused.json::<Value>().await.expect("JSON")["error"]["code"], "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_workspace_is_not_found_until_it_is_restored() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        let ours = ours(&walk).await;
        let path = format!("/v1/workspaces/{}", ours.workspace);
        walk.request(Method::DELETE, &path, None, StatusCode::NO_CONTENT).await;
        walk.request(Method::GET, &path, None, StatusCode::NOT_FOUND).await;
        walk.request(Method::DELETE, &path, None, StatusCode::NOT_FOUND).await;
        for list in ["/v1/workspaces", "/v1/agents", "/v1/callbacks"] {
            assert_eq!(walk.get(list).await["data"], json!([]), "{list}");
        }
        walk.request(Method::GET, &format!("/v1/agents/{}", ours.agent), None, StatusCode::NOT_FOUND).await;
        let force = format!("/v1/callbacks/{}/force", ours.callback);
        walk.request(Method::POST, &force, None, StatusCode::NOT_FOUND).await;
        let body = "{}";
        let signature = crate::harness::sign(KEY, body.as_bytes(), walk.now().as_millisecond());
        walk.until("its webhooks to be unknown", async |walk: &Walk| {
            walk.deliver_to(&walk.webhook_url, body, &signature).await.0 == 404
        })
        .await;
        walk.request(Method::POST, &format!("{path}/restore"), None, StatusCode::OK).await;
        walk.request(Method::POST, &format!("{path}/restore"), None, StatusCode::CONFLICT).await;
        assert_eq!(walk.get(&format!("/v1/callbacks/{}", ours.callback)).await["state"], "scheduled");
        let book = walk.get("/v1/audit").await;
        let acts: Vec<_> =
            book["data"].as_array().expect("a list").iter().filter_map(|a| a["action"].as_str()).collect();
        for act in
            ["workspace.restore", "workspace.delete", "callback.create", "workspace.create", "tenant.create"]
        {
            assert!(acts.contains(&act), "{act} in {acts:?}");
        }
        assert!(!book.to_string().contains(ANA) && !book.to_string().contains(KEY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_lists_every_gate() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let ours = ours(&walk).await;
    let answer = walk.get(&format!("/v1/callbacks/{}/explain", ours.callback)).await;
    let gates: Vec<_> =
        answer["gates"].as_array().expect("a list").iter().filter_map(|g| g["gate"].as_str()).collect();
    let (of_callback, around) = gates.split_at(8);
    let wanted =
        ["do_not_call", "agent", "observe", "attempts", "country", "due_time", "lateness", "quiet_time"];
    assert_eq!(of_callback, wanted);
    assert_eq!(around, ["pause", "restore", "quota", "capacity", "pace", "fuse"]);
    assert_eq!(answer["gates"][5]["verdict"], "wait");
    let usage = walk.get("/v1/usage").await;
    assert_eq!((usage["plan"].as_str(), usage["workspaces"]["used"].as_i64()), (Some("unlimited"), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_of_a_dial_does_not_change_with_the_settings() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.sim.set_person(ANA, vec![Behavior::ending("user_hangup")]);
        let says = ["User: Can you call me back tomorrow at 9 am?"];
        walk.sim.start_call(&scripted_call("inbound", ANA, Behavior::asking(&says, None)));
        walk.until_settled(ANA, 1).await;
        let dialed = walk.callbacks().await.pop().expect("there is one");
        let explain = async |callback: &Value| {
            walk.get(&format!("/v1/callbacks/{}/explain", callback["id"].as_str().expect("an id"))).await
        };
        let decided = explain(&dialed).await;
        assert_eq!(decided["gates"].as_array().map(Vec::len), Some(8), "{decided}");
        assert_eq!(decided["gates"][3]["input"], "0 of 3 dials used", "{decided}");

        let settings = json!({"defaults": {"max_attempts": 1, "allowed_countries": ["DE"]}});
        let workspace = format!("/v1/workspaces/{}", walk.workspace);
        walk.request(Method::PATCH, &workspace, Some(settings), StatusCode::OK).await;
        let listed = json!({"number": ANA});
        walk.request(Method::POST, "/v1/suppressions", Some(listed), StatusCode::CREATED).await;
        assert_eq!(explain(&dialed).await, decided, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_outdated_version_is_refused() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let ours = ours(&walk).await;
    for (path, body) in [
        (format!("/v1/workspaces/{}", ours.workspace), json!({"name": "Other"})),
        (format!("/v1/agents/{}", ours.agent), json!({"overrides": {"language": "es"}})),
        (format!("/v1/callbacks/{}", ours.callback), json!({"scheduled_for": days_ahead(33)})),
    ] {
        let url = format!("{}{path}", walk.base);
        let read = walk.http.get(&url).bearer_auth(&walk.admin_key).send().await.expect("answered");
        let tag = read.headers()["etag"].clone();
        let change = async |tag: &reqwest::header::HeaderValue| {
            let request = walk.http.patch(&url).bearer_auth(&walk.admin_key).header("if-match", tag);
            let response = request.json(&body).send().await.expect("answered");
            (response.status().as_u16(), response.headers().get("etag").cloned())
        };
        let (status, newer) = change(&tag).await;
        assert_eq!(status, 200, "{path}");
        let newer = newer.expect("a tag");
        assert_ne!(newer, tag, "{path}");
        assert_eq!(change(&tag).await.0, 412, "{path}");
        assert_eq!(change(&newer).await.0, 200, "{path}");
        assert_eq!(change(&"*".parse().expect("a value")).await.0, 200, "{path}");
        let both = futures_util::future::join_all([change(&tag), change(&tag)]).await;
        assert!(both.iter().all(|b| b.0 == 412), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_beyond_the_monthly_quota_is_held() {
    for engine in engines() {
        let settings = [(FILE, "[plans.unlimited]\ncalls_a_month = 2\n")];
        let walk = Walk::with_settings(engine, 60, redialer_sim::retell::Script::default(), &settings).await;
        let agent = walk.agent(VOICE).await["id"].clone();
        for n in 0..4 {
            let body = json!({"agent_id": agent, "to_number": format!("+1312555{:04}", 100 + n), "text": "in a minute", "timezone": "America/Chicago"});
            walk.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CREATED).await;
        }
        walk.until("two to be dialed and two to be held", async |walk: &Walk| {
            let rows = walk.callbacks().await;
            let held = rows.iter().filter(|c| c["held_for"] == "quota").count();
            let dialed = rows.iter().filter(|c| !c["provider_call_id"].is_null()).count();
            (held, dialed) == (2, 2)
        })
        .await;
        let usage = walk.get("/v1/usage").await;
        assert_eq!(usage["calls"], json!({"used": 2, "limit": 2}));
        let own = walk.get(&format!("/v1/workspace?workspace_id={}", walk.workspace)).await;
        assert_eq!(
            (own["usage"]["calls_this_period"].as_i64(), own["usage"]["cap"].as_i64()),
            (Some(2), Some(2))
        );
        assert_eq!(walk.sim.rings().len(), 2);
    }
}
