//! Agents: discovered and marked as gone automatically, limited by the plan, with their own settings.

use redialer_sim::retell::{
    Script,
    script::{Agent, Number},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{CHAT, Engine, FILE, KEY, VOICE, Walk, engines, id, sign};

fn new_agent() -> Agent {
    Agent { agent_id: "agent_sim_night".to_owned(), agent_name: "Night desk".to_owned(), ..Agent::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_agents_are_added_and_missing_ones_are_marked_automatically() {
    let walk = Walk::at_speed(Engine::Sqlite, 2_000).await;
    let agents = |change: fn(&mut Vec<Agent>)| walk.sim.edit_script(|script| change(&mut script.agents));
    agents(|all| {
        all.push(new_agent());
        all.retain(|a| a.agent_id != CHAT);
    });
    walk.until("the roster to be pulled", async |w: &Walk| {
        let listed = w.get("/v1/agents").await;
        listed["data"].as_array().expect("a list").iter().any(|a| a["provider_agent_id"] == "agent_sim_night")
    })
    .await;
    assert_ne!(walk.agent(CHAT).await["gone_at"], Value::Null);
    assert_eq!(walk.agent(VOICE).await["gone_at"], Value::Null);
    agents(|all| all.push(Agent { agent_id: CHAT.to_owned(), channel: "chat".to_owned(), ..new_agent() }));
    walk.until("the lost one to be back", async |w: &Walk| w.agent(CHAT).await["gone_at"] == Value::Null)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_without_changes_keeps_the_etag_of_every_agent() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 2_000).await;
        let url = format!("{}/v1/agents/{}", walk.base, walk.agent_id(VOICE).await);
        let tag = async || {
            let answer = walk.http.get(&url).bearer_auth(&walk.admin_key).send().await.expect("answered");
            answer.headers()["etag"].to_str().expect("text").to_owned()
        };
        let (sync, before) = (format!("/v1/workspaces/{}/sync", walk.workspace), tag().await);
        walk.post(&sync).await;
        assert_eq!(tag().await, before, "a client with its ETag may continue");
        walk.sim.edit_script(|script| script.agents[0].agent_name = "Reception".to_owned());
        walk.post(&sync).await;
        assert_ne!(tag().await, before);
        assert_eq!(walk.agent(VOICE).await["name"], "Reception");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_the_account_bought_after_scheduling_is_not_dialed() {
    const BOUGHT: &str = "+13125550142";
    let walk = Walk::at_speed(Engine::Sqlite, 300).await;
    walk.schedule(BOUGHT, 30).await;
    let bought = Number { phone_number: BOUGHT.to_owned(), agent_id: None, sms_agent_id: None };
    walk.sim.edit_script(|script| script.numbers.push(bought));
    walk.post(&format!("/v1/workspaces/{}/sync", walk.workspace)).await;
    walk.until("the callback to end", async |w: &Walk| w.callbacks().await[0]["state"] == "failed").await;
    assert_eq!(walk.callbacks().await[0]["outcome"], "bad_number");
    assert_eq!(walk.sim.requests_to_place(), 0);
}

/// Sends a webhook for that agent, and returns the response.
async fn deliver_for(walk: &Walk, agent: &str, n: u32) -> (StatusCode, Value) {
    let body =
        json!({"event": "call_started", "call": {"call_id": format!("call_{agent}_{n}"), "agent_id": agent}});
    let body = body.to_string();
    let url = walk.webhook_url_of(agent).await;
    walk.deliver_to(&url, &body, &sign(KEY, body.as_bytes(), walk.now().as_millisecond())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_downgrade_webhooks_of_agents_beyond_the_plan_are_refused() {
    for engine in engines() {
        let settings = [(FILE, "[plans.starter]\nagents = 1\n")];
        let walk = Walk::with_settings(engine, 1, Script::default(), &settings).await;
        let verified = walk.run(&["audit", "verify"]);
        let tenant = verified.split(' ').next().expect("an id").to_owned();
        // Of two agents that were discovered together, either may be the first.
        let both = async |n: u32| [deliver_for(&walk, VOICE, n).await, deliver_for(&walk, CHAT, n).await];
        assert!(both(1).await.iter().all(|(status, _)| *status == StatusCode::NO_CONTENT));
        walk.run(&["tenant", "change-plan", "--tenant", &tenant, "--plan", "starter"]);
        walk.until("the smaller plan to count", async |_| {
            both(2).await.iter().any(|(status, _)| *status == StatusCode::FORBIDDEN)
        })
        .await;
        let responses = both(3).await;
        let refused = usize::from(responses[1].0 == StatusCode::FORBIDDEN);
        assert_eq!(responses[refused].1["error"]["code"], "plan_limit");
        assert_eq!(responses[1 - refused].0, StatusCode::NO_CONTENT, "only the agents beyond the plan");
        let first = walk.agent([VOICE, CHAT][1 - refused]).await;
        let path = format!("/v1/agents/{}", id(&first));
        walk.request(Method::PATCH, &path, Some(json!({"enabled": false})), StatusCode::OK).await;
        let accepted = deliver_for(&walk, [VOICE, CHAT][refused], 4).await.0;
        assert_eq!(accepted, StatusCode::NO_CONTENT, "there is room for it now");
        let again =
            walk.request(Method::PATCH, &path, Some(json!({"enabled": true})), StatusCode::FORBIDDEN).await;
        assert_eq!(again["error"]["code"], "plan_limit");
        walk.run(&["tenant", "change-plan", "--tenant", &tenant, "--plan", "pro"]);
        walk.until("the larger plan to count", async |w: &Walk| {
            let body = Some(json!({"enabled": true}));
            let request = w.http.patch(format!("{}{path}", w.base)).bearer_auth(&w.admin_key).json(&body);
            request.send().await.expect("answered").status() == StatusCode::OK
        })
        .await;
        assert!(both(5).await.iter().all(|(status, _)| *status == StatusCode::NO_CONTENT));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_inherits_every_setting_that_it_does_not_override() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let path = format!("/v1/agents/{}", walk.agent_id(VOICE).await);
    walk.defaults(json!({"timezone": "America/Chicago", "max_attempts": 4})).await;
    let own = json!({"overrides": {"max_attempts": 2}});
    let agent = walk.request(Method::PATCH, &path, Some(own), StatusCode::OK).await;
    assert_eq!(agent["overrides"], json!({"max_attempts": 2}));
    assert_eq!(
        (&agent["settings"]["max_attempts"], &agent["settings"]["timezone"]),
        (&json!(2), &json!("America/Chicago"))
    );
    assert_eq!(agent["retention"], json!({"level": "default", "days": -1}));
    for (overrides, param) in [
        // Settings that have no effect yet are refused.
        (json!({"retention": {"days": 30}}), "overrides.retention"),
        (json!({"retention": {"level": "minimal"}}), "overrides.retention"),
        (json!({"calls_per_second": 2}), "overrides.calls_per_second"),
        (json!({"retention": {"for": 1}}), "overrides.retention.for"),
        (json!({"max_attempts": "many"}), "overrides.max_attempts"),
    ] {
        let body = Some(json!({"overrides": overrides}));
        let refusal = walk.request(Method::PATCH, &path, body, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(refusal["error"]["param"], param, "{refusal}");
    }
    let body = Some(json!({"overrides": {"max_attempts": null}}));
    let agent = walk.request(Method::PATCH, &path, body, StatusCode::OK).await;
    assert_eq!((&agent["overrides"], &agent["settings"]["max_attempts"]), (&json!({}), &json!(4)));
    assert_eq!(agent["retention"]["level"], "default");
}
