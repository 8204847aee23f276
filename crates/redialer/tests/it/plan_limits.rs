//! Two replicas and many concurrent clients at the limit of a plan, which is never exceeded (I18).

use futures_util::future::join_all;
use redialer_core::permission::Permission;
use redialer_sim::retell::{Key, Script, script::Agent};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Engine, FILE, VOICE, Walk, engines};

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
            let path = format!("/v1/agents/{}", agent["id"].as_str().expect("an id"));
            walk.request(Method::PATCH, &path, Some(json!({"enabled": false})), StatusCode::OK).await;
        }
        let off = agents.iter().filter(|a| a["enabled"] == false).enumerate();
        let enabled = join_all(off.map(|(n, agent)| {
            let path = format!("/v1/agents/{}", agent["id"].as_str().expect("an id"));
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
