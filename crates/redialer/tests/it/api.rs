//! REST v1, as used by a client.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, KEY, OURS, VOICE, Walk, call_ended, days_ahead, engines, id, time};

const ANA: &str = "+13125550142";

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_key_are_refused_and_every_error_has_an_envelope() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let paths = ["/v1/workspaces", "/v1/workspace", "/v1/agents", "/v1/callbacks", "/v1/activity"];
    for path in paths {
        for key in [None, Some("rdl_live_nobody"), Some("sk_other")] {
            let mut request = walk.http.get(format!("{}{path}", walk.base));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let response = request.send().await.expect("answered");
            assert_eq!(response.status(), 401, "{path}");
            assert!(
                response.headers().contains_key("x-request-id")
                    && response.headers().contains_key("www-authenticate")
            );
            let body: Value = response.json().await.expect("JSON");
            assert_eq!(body["error"]["type"], "authentication_error");
        }
    }
    let gone = "cb_00000000000000000000000001";
    for path in [
        format!("/v1/callbacks/{gone}"),
        "/v1/callbacks/nonsense".to_owned(),
        "/v1/nothing".to_owned(),
        "/nothing".to_owned(),
    ] {
        let body = walk.request(Method::GET, &path, None, StatusCode::NOT_FOUND).await;
        assert_eq!(body["error"]["code"], "not_found", "{path}");
    }
    let body = walk.request(Method::DELETE, "/v1/callbacks", None, StatusCode::METHOD_NOT_ALLOWED).await;
    assert_eq!(body["error"]["code"], "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_names_its_field() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let agent = walk.agent_id(VOICE).await;
    let check = async |method: Method, path: &str, body: Value, param: &str| {
        let answer = walk.request(method, path, Some(body), StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(answer["error"]["param"], param, "{answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|m| !m.is_empty()));
    };
    let callbacks = "/v1/callbacks";
    let post = |body: Value| (Method::POST, callbacks, body);
    for ((method, path, body), param) in [
        (post(json!({"agent_id": agent, "to_number": ANA, "at": days_ahead(30), "colour": "red"})), "colour"),
        (post(json!({"to_number": ANA, "at": days_ahead(30)})), "agent_id"),
        (post(json!({"agent_id": "ag_nobody", "to_number": ANA, "at": days_ahead(30)})), "agent_id"),
        (post(json!({"agent_id": agent, "to_number": "911", "at": days_ahead(30)})), "to_number"),
        (post(json!({"agent_id": agent, "to_number": "+19005550117", "at": days_ahead(30)})), "to_number"),
        (
            post(json!({"agent_id": agent, "to_number": ANA, "from_number": "x", "at": days_ahead(30)})),
            "from_number",
        ),
        (post(json!({"agent_id": agent, "to_number": ANA, "at": "tomorrow"})), "at"),
        (post(json!({"agent_id": agent, "to_number": ANA})), "at"),
        (post(json!({"agent_id": agent, "to_number": ANA, "text": "whenever"})), "text"),
        (
            post(
                json!({"agent_id": agent, "to_number": ANA, "text": "in an hour", "timezone": "Mars/Olympus"}),
            ),
            "timezone",
        ),
        (
            post(
                json!({"agent_id": agent, "to_number": ANA, "text": "in an hour", "dynamic_variables": {"n": 1}}),
            ),
            "dynamic_variables.n",
        ),
        (
            (Method::POST, "/v1/workspaces", json!({"name": "x", "provider": "acme", "api_key": "k"})),
            "provider",
        ),
        (
            (Method::POST, "/v1/workspaces", json!({"name": " ", "provider": "retell", "api_key": "k"})),
            "name",
        ),
        (
            (Method::POST, "/v1/workspaces", json!({"name": "x", "provider": "retell", "api_key": ""})),
            "api_key",
        ),
    ] {
        check(method, path, body, param).await;
    }
    let workspace = format!("/v1/workspaces/{}", walk.workspace);
    for (patch, param) in [
        (json!({"defaults": {"timezone": "Mars/Olympus"}}), "defaults.timezone"),
        (
            json!({"defaults": {"quiet_hours": {"start": "25:00", "end": "09:00"}}}),
            "defaults.quiet_hours.start",
        ),
        (json!({"defaults": {"max_attempts": 0}}), "defaults.max_attempts"),
        (
            json!({"defaults": {"retry_triggers": {"busy": {"wait_minutes": -1}}}}),
            "defaults.retry_triggers.busy.wait_minutes",
        ),
        (json!({"defaults": {"colour": "red"}}), "defaults.colour"),
        (json!({"retention": {"days": 30}}), "retention"),
        (json!({"colour": "red"}), "colour"),
    ] {
        check(Method::PATCH, &workspace, patch, param).await;
    }
    let overrides = format!("/v1/agents/{agent}");
    check(Method::PATCH, &overrides, json!({"overrides": {"max_attempts": 999}}), "overrides.max_attempts")
        .await;
    check(Method::PATCH, &overrides, json!({"downstream_url": "ftp://x"}), "downstream_url").await;
    for query in ["limit=0", "limit=201", "limit=x", "cursor=x", "state=x", "colour=red"] {
        let answer = walk
            .request(Method::GET, &format!("/v1/callbacks?{query}"), None, StatusCode::UNPROCESSABLE_ENTITY)
            .await;
        assert!(answer["error"]["param"].is_string(), "{answer}");
    }
    let agents = walk.get("/v1/agents?limit=1").await;
    let cursor = agents["next_cursor"].as_str().expect("there is another agent");
    let audit = format!("/v1/audit?cursor={cursor}");
    let answer = walk.request(Method::GET, &audit, None, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(answer["error"]["param"], "cursor", "another list's");
    let broken = walk.http.post(format!("{}{callbacks}", walk.base)).bearer_auth(&walk.admin_key).body("{");
    assert_eq!(broken.send().await.expect("answered").status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_callback_is_scheduled_moved_forced_and_canceled() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let agent = walk.agent_id(VOICE).await;
    let post = async |body: Value| {
        walk.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CREATED).await
    };
    let made = post(json!({"agent_id": agent, "to_number": ANA, "from_number": OURS, "text": "tomorrow at 3 pm", "timezone": "Asia/Tokyo",
        "dynamic_variables": {"clinic_name": "Example"}}))
    .await;
    let tokyo = time(&made["scheduled_for"]).to_zoned(jiff::tz::TimeZone::get("Asia/Tokyo").expect("a zone"));
    assert_eq!(tokyo.strftime("%H:%M").to_string(), "15:00");
    assert_eq!(
        (made["timezone_source"].as_str(), made["reason"].as_str()),
        (Some("request"), Some("scheduled"))
    );
    let second = post(json!({"agent_id": agent, "to_number": ANA, "at": days_ahead(30)})).await;
    assert_eq!(second["chain_root_id"], made["id"], "a newer request stays in the chain");
    let path = |row: &Value, rest: &str| format!("/v1/callbacks/{}{rest}", id(row));
    assert_eq!(walk.get(&path(&made, "")).await["state"], "superseded");
    let again = walk.request(Method::POST, &path(&made, "/cancel"), None, StatusCode::CONFLICT).await;
    assert_eq!(again["error"]["code"], "final");
    assert_eq!(walk.get(&path(&made, "")).await["superseded_by"], second["id"]);
    let moved = json!({"scheduled_for": days_ahead(60)});
    let moved = walk.request(Method::PATCH, &path(&second, ""), Some(moved), StatusCode::OK).await;
    assert_eq!(moved["scheduled_for"], days_ahead(60));
    walk.post(&path(&second, "/force")).await;
    walk.until("the phone to ring", async |w: &Walk| w.rings(ANA).len() == 1).await;
    walk.until("it to be dialing", async |w: &Walk| w.get(&path(&second, "")).await["state"] == "dialing")
        .await;
    let busy = walk.request(Method::POST, &path(&second, "/cancel"), None, StatusCode::CONFLICT).await;
    assert_eq!(busy["error"]["code"], "already_dialing");
    let third = post(json!({"agent_id": agent, "to_number": "+13125550143", "at": days_ahead(30)})).await;
    assert_eq!(walk.post(&path(&third, "/cancel")).await["state"], "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_merged_and_overrides_of_an_agent_take_precedence() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    walk.defaults(json!({"quiet_hours": {"start": "21:00", "end": "09:00"}, "retry_triggers": {"busy": {"wait_minutes": 25}}})).await;
    let own = walk.get(&format!("/v1/workspaces/{}", walk.workspace)).await;
    assert_eq!(own["defaults"]["retry_triggers"]["busy"], json!({"enabled": true, "wait_minutes": 25}));
    assert_eq!(own["defaults"]["retry_triggers"]["voicemail"]["wait_minutes"], 240);
    walk.defaults(json!({"quiet_hours": null})).await;
    let own = walk.get(&format!("/v1/workspaces/{}", walk.workspace)).await;
    assert_eq!(own["defaults"]["quiet_hours"], Value::Null);
    let agent = walk.agent_id(VOICE).await;
    let path = format!("/v1/agents/{agent}");
    let patch = json!({"overrides": {"retry_triggers": {"busy": {"wait_minutes": 7}}}});
    let changed = walk.request(Method::PATCH, &path, Some(patch), StatusCode::OK).await;
    assert_eq!(changed["overrides"], json!({"retry_triggers": {"busy": {"wait_minutes": 7}}}));
    walk.outbound_call(ANA, "dial_busy");
    // The simulated phone rings for fifteen seconds before it is busy; the test sends the end event itself.
    let end = walk.now().as_millisecond();
    let event = call_ended("c1", "outbound", "+13125550144", "dial_busy", end);
    assert_eq!(walk.deliver(&event.to_string()).await, 204);
    walk.until_decided(1).await;
    let rows = walk.callbacks().await;
    assert_eq!((time(&rows[0]["scheduled_for"]).as_millisecond() - end) / 60_000, 7);
    let reset = walk
        .request(Method::PATCH, &path, Some(json!({"overrides": {"retry_triggers": null}})), StatusCode::OK)
        .await;
    assert_eq!(reset["overrides"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_suppressed_in_bulk_with_a_note_and_found_by_number() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        let post =
            async |body: Value, want| walk.request(Method::POST, "/v1/suppressions", Some(body), want).await;
        let both = json!({"numbers": ["+1 312 555 0142", "+13125550143"], "note": "asked at the desk"});
        let made = post(both.clone(), StatusCode::CREATED).await;
        let numbers: Vec<_> =
            made["data"].as_array().expect("a list").iter().map(|e| e["number"].clone()).collect();
        assert_eq!(numbers, ["+13125550142", "+13125550143"], "{engine:?}");
        let again = post(json!({"number": "+13125550143", "note": "another"}), StatusCode::CREATED).await;
        assert_eq!((&again["id"], &again["note"]), (&made["data"][1]["id"], &json!("asked at the desk")));
        let found = walk.get("/v1/suppressions?number=%2B13125550142").await;
        assert_eq!((&found["data"][0], found["data"][1].is_null()), (&made["data"][0], true));
        assert_eq!(walk.get("/v1/suppressions?number=%2B13125550149").await["data"], json!([]));
        for (body, param) in [
            (json!({"numbers": ["+13125550144", "+1"]}), "numbers[1]"),
            (json!({"numbers": []}), "numbers"),
            (json!({"number": "+13125550144", "numbers": ["+13125550145"]}), "number"),
            (json!({"number": "+13125550144", "note": "x".repeat(501)}), "note"),
        ] {
            let refused = post(body, StatusCode::UNPROCESSABLE_ENTITY).await;
            assert_eq!(refused["error"]["param"], param);
        }
        assert_eq!(
            walk.get("/v1/suppressions").await["data"].as_array().map(Vec::len),
            Some(2),
            "{engine:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_workspace_is_not_found_until_it_is_restored() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        let callback = format!("/v1/callbacks/{}", id(&walk.schedule(ANA, 60).await));
        let agent = format!("/v1/agents/{}", walk.agent_id(VOICE).await);
        let path = format!("/v1/workspaces/{}", walk.workspace);
        walk.request(Method::DELETE, &path, None, StatusCode::NO_CONTENT).await;
        walk.request(Method::GET, &path, None, StatusCode::NOT_FOUND).await;
        walk.request(Method::DELETE, &path, None, StatusCode::NOT_FOUND).await;
        for list in ["/v1/workspaces", "/v1/agents", "/v1/callbacks"] {
            assert_eq!(walk.get(list).await["data"], json!([]), "{list}");
        }
        walk.request(Method::GET, &agent, None, StatusCode::NOT_FOUND).await;
        walk.request(Method::POST, &format!("{callback}/force"), None, StatusCode::NOT_FOUND).await;
        walk.until("its webhooks to be unknown", async |w: &Walk| {
            w.deliver("{}").await == StatusCode::NOT_FOUND
        })
        .await;
        walk.request(Method::POST, &format!("{path}/restore"), None, StatusCode::OK).await;
        walk.request(Method::POST, &format!("{path}/restore"), None, StatusCode::CONFLICT).await;
        assert_eq!(walk.get(&callback).await["state"], "scheduled");
        let audit = walk.get("/v1/audit").await;
        let actions: Vec<_> =
            audit["data"].as_array().expect("a list").iter().filter_map(|a| a["action"].as_str()).collect();
        for action in
            ["workspace.restore", "workspace.delete", "callback.create", "workspace.create", "tenant.create"]
        {
            assert!(actions.contains(&action), "{action} in {actions:?}");
        }
        assert!(!audit.to_string().contains(ANA) && !audit.to_string().contains(KEY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_outdated_version_is_refused() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let callback = format!("/v1/callbacks/{}", id(&walk.schedule(ANA, 60).await));
    let agent = format!("/v1/agents/{}", walk.agent_id(VOICE).await);
    for (path, body) in [
        (format!("/v1/workspaces/{}", walk.workspace), json!({"name": "Other"})),
        (agent, json!({"overrides": {"language": "es"}})),
        (callback, json!({"scheduled_for": days_ahead(33)})),
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
