//! The limits of a plan on workspaces, agents and calls, also with two replicas and many concurrent clients (I18).

use futures_util::future::join_all;
use redialer_core::permission::Permission;
use redialer_sim::retell::{Key, Script, script::Agent};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, FILE, KEY, VOICE, Walk, engines, id};

const CLIENTS: usize = 64;
const PLAN: &str = "[plans.unlimited]\nworkspaces = 8\nagents = 5\n";

fn key_of(client: usize) -> String {
    format!("key_client_{client}")
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_never_exceed_the_workspaces_or_agents_of_a_plan() {
    for engine in engines() {
        let agent = |n: usize| Agent {
            agent_id: if n == 0 { VOICE.to_owned() } else { format!("agent_{n}") },
            ..Agent::default()
        };
        // Without the permission to read their own details, the clients' keys look like those of separate accounts.
        let silent = Key {
            permissions: Some(Permission::ALL.into_iter().filter(|p| *p != Permission::KeyInfo).collect()),
            ..Key::default()
        };
        let keys = (0..CLIENTS).map(|n| (key_of(n), silent.clone())).collect();
        let script = Script { agents: (0..CLIENTS).map(agent).collect(), keys, ..Script::default() };
        let settings = [
            (FILE, PLAN),
            ("REDIALER_API_REQUESTS_PER_SECOND", "100000"),
            ("REDIALER_MAX_API_REQUESTS", "1024"),
        ];
        let mut walk = Walk::with_settings(engine, 1, script, &settings).await;
        // SQLite allows one server, which all clients share.
        let mut servers = vec![walk.base.clone()];
        if engine == Engine::Postgres {
            let second = walk.add_replica();
            walk.until("the second replica to be ready", async |w: &Walk| w.is_ready(&second).await).await;
            servers.push(second);
        }
        let send = |n: usize, method: Method, path: String, body: serde_json::Value| {
            let url = format!("{}{path}", servers[n % servers.len()]);
            let request = walk.http.request(method, url).bearer_auth(&walk.admin_key).json(&body);
            async move { request.send().await.expect("answered").status() }
        };
        let body = |n| json!({"name": "Line", "provider": "retell", "api_key": key_of(n)});
        let made =
            join_all((0..CLIENTS).map(|n| send(n, Method::POST, "/v1/workspaces".to_owned(), body(n)))).await;
        let ok = made.iter().filter(|s| **s == StatusCode::CREATED).count();
        assert!(made.iter().all(|s| [StatusCode::CREATED, StatusCode::FORBIDDEN].contains(s)), "{made:?}");
        assert_eq!(ok, 7, "one was there already ({engine:?})");
        assert_eq!(walk.get("/v1/workspaces").await["data"].as_array().expect("a list").len(), 8);
        let agents = walk.get(&format!("/v1/agents?limit=200&workspace_id={}", walk.workspace)).await;
        let agents = agents["data"].as_array().expect("a list").clone();
        assert_eq!(
            agents.iter().filter(|a| a["enabled"] == true).count(),
            5,
            "a roster starts with the agents that the plan allows"
        );
        // Make room for two agents, which every client then requests.
        for agent in agents.iter().filter(|a| a["enabled"] == true).take(2) {
            let path = format!("/v1/agents/{}", id(agent));
            walk.request(Method::PATCH, &path, Some(json!({"enabled": false})), StatusCode::OK).await;
        }
        let off = agents.iter().filter(|a| a["enabled"] == false).enumerate();
        let enabled = join_all(off.map(|(n, agent)| {
            let path = format!("/v1/agents/{}", id(agent));
            send(n, Method::PATCH, path, json!({"enabled": true}))
        }))
        .await;
        assert_eq!(enabled.iter().filter(|s| **s == StatusCode::OK).count(), 2, "{engine:?}: {enabled:?}");
        let agents = walk.get(&format!("/v1/agents?limit=200&workspace_id={}", walk.workspace)).await;
        assert_eq!(
            agents["data"].as_array().expect("a list").iter().filter(|a| a["enabled"] == true).count(),
            5
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_limit_workspaces_and_agents() {
    // Plans are configuration: with one agent allowed, two agents exceed the plan.
    let settings = [(FILE, "[plans.starter]\nagents = 1\n")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let other = walk.create_tenant("starter", "other@example.com");
    let key = other["admin_key"].as_str().expect("a key").to_owned();
    let ask = async |method: Method, path: &str, body: Option<Value>| {
        walk.request_as(Some(&key), method, path, body).await
    };
    let body = json!({"name": "Line", "provider": "retell", "api_key": KEY});
    let (status, made) = ask(Method::POST, "/v1/workspaces", Some(body.clone())).await;
    assert_eq!((status, made["plan"].as_str()), (StatusCode::CREATED, Some("starter")));
    let (status, refused) = ask(Method::POST, "/v1/workspaces", Some(body)).await;
    assert_eq!((status, refused["error"]["code"].as_str()), (StatusCode::FORBIDDEN, Some("plan_limit")));
    let own = made["id"].as_str().expect("an id").to_owned();
    let sync = format!("/v1/workspaces/{own}/sync");
    assert_eq!(ask(Method::POST, &sync, None).await.0, StatusCode::OK);
    let (_, agents) = ask(Method::GET, "/v1/agents", None).await;
    let enabled = agents["data"].as_array().expect("a list").iter().filter(|a| a["enabled"] == true).count();
    assert_eq!(enabled, 1, "the plan has room for one");
    let off = agents["data"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|a| a["enabled"] == false)
        .expect("the other one");
    let path = format!("/v1/agents/{}", id(off));
    let (status, refused) = ask(Method::PATCH, &path, Some(json!({"enabled": true}))).await;
    assert_eq!((status, refused["error"]["code"].as_str()), (StatusCode::FORBIDDEN, Some("plan_limit")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_beyond_the_monthly_quota_is_held() {
    for engine in engines() {
        let settings = [(FILE, "[plans.unlimited]\ncalls_a_month = 2\n")];
        let walk = Walk::with_settings(engine, 60, Script::default(), &settings).await;
        let agent = walk.agent_id(VOICE).await;
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
        assert_eq!(walk.sim.placed_calls().len(), 2);
    }
}
