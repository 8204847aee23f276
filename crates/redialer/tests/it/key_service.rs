//! A real OpenBao as the key service: login, outage, recovery (I20 to I23, T19).

use std::time::Duration;

use redialer_core::time::{minutes, plus};
use redialer_sim::retell::Script;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Engine, OURS, OpenBao, VOICE, Walk, engines};

const ANA: &str = "+13125550142";
const BEN: &str = "+13125550143";

async fn walk(bao: &OpenBao, login: &str, engine: Engine, speed: u32) -> Walk {
    Walk::with_settings(engine, speed, Script::default(), &bao.settings(login)).await
}

/// A whole walk: a webhook requests a callback, and the callback is dialed.
async fn is_called_back(walk: &Walk, person: &str, n: usize) {
    walk.request_callback(person, "call me in ten minutes");
    walk.until_settled(person, n).await;
}

async fn ready(walk: &Walk) -> (StatusCode, bool) {
    let response = walk.http.get(format!("{}/readyz", walk.base)).send().await.expect("answered");
    let status = response.status();
    let health: serde_json::Value = response.json().await.expect("JSON");
    (status, health["key_service"] == true)
}

async fn callback(walk: &Walk, person: &str, in_minutes: i64) -> StatusCode {
    let agent = "agent_id";
    let at = plus(walk.now(), minutes(in_minutes)).to_string();
    let body =
        json!({agent: walk.agent(VOICE).await["id"], "to_number": person, "from_number": OURS, "at": at});
    let url = format!("{}/v1/callbacks", walk.base);
    let request = walk.http.request(Method::POST, url).bearer_auth(&walk.admin_key).json(&body);
    request.send().await.expect("answered").status()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_login_method_works_beyond_the_lifetime_of_a_token() {
    // Tokens are renewed while they can be, then replaced by a new login.
    let Some(bao) = OpenBao::start("2s", "5s") else { return };
    for login in ["approle", "jwt", "kubernetes", "token"] {
        let walk = walk(&bao, login, Engine::Sqlite, 2_000).await;
        is_called_back(&walk, ANA, 1).await;
        walk.pass(Duration::from_secs(7)).await;
        is_called_back(&walk, BEN, 1).await;
        assert_eq!(ready(&walk).await, (StatusCode::OK, true), "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_policy_allows_only_the_needed_operations() {
    let Some(mut bao) = OpenBao::start("60s", "0") else { return };
    for (what, status) in bao.run("denied").as_object().expect("a list") {
        assert_eq!(status, 403, "{what}");
    }
}

/// Without the key service: 503, nothing dialed, nothing lost. Once it is back, everything resumes by itself.
async fn goes_on_after(engine: Engine, away: &[&str], back: &[&str]) {
    let Some(mut bao) = OpenBao::start("60s", "0") else { return };
    let walk = walk(&bao, "approle", engine, 120).await;
    is_called_back(&walk, ANA, 1).await;
    assert_eq!(callback(&walk, BEN, 5).await, StatusCode::CREATED);
    for word in away {
        bao.run(word);
    }
    let body =
        json!({"event": "call_ended", "call": {"call_id": "call_away", "agent_id": VOICE}}).to_string();
    assert_eq!(walk.deliver(&body).await, StatusCode::SERVICE_UNAVAILABLE, "{away:?}");
    assert_eq!(callback(&walk, ANA, 5).await, StatusCode::SERVICE_UNAVAILABLE, "{away:?}");
    assert_eq!(ready(&walk).await, (StatusCode::SERVICE_UNAVAILABLE, false), "{away:?}");
    // Twenty virtual minutes later, the callback is long due.
    walk.pass(Duration::from_secs(10)).await;
    assert!(walk.rings(BEN).is_empty(), "nothing is dialed: {away:?}");
    for word in back {
        bao.run(word);
    }
    walk.until_settled(BEN, 1).await;
    assert_eq!(ready(&walk).await, (StatusCode::OK, true), "{back:?}");
    assert_eq!(walk.deliver(&body).await, StatusCode::NO_CONTENT, "{back:?}");
    walk.assert_rung_once_each();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_key_service_pauses_everything_and_loses_nothing() {
    for engine in engines() {
        goes_on_after(engine, &["seal"], &["unseal"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_or_killed_key_service_pauses_everything_and_loses_nothing() {
    futures_util::future::join(
        goes_on_after(Engine::Sqlite, &["stop"], &["cont"]),
        goes_on_after(Engine::Sqlite, &["kill"], &["start"]),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_replaced_at_once() {
    let Some(mut bao) = OpenBao::start("60s", "0") else { return };
    let walk = walk(&bao, "approle", Engine::Sqlite, 2_000).await;
    bao.run("revoke");
    assert_eq!(callback(&walk, BEN, 600).await, StatusCode::CREATED);
    is_called_back(&walk, ANA, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_while_the_key_service_is_sealed_and_serves_once_it_is_unsealed() {
    let Some(mut bao) = OpenBao::start("60s", "0") else { return };
    let mut walk = walk(&bao, "approle", Engine::Sqlite, 2_000).await;
    walk.kill();
    bao.run("seal");
    walk.start();
    walk.until_cut_off("it to say that it has no keys", async |w: &Walk| {
        w.http.get(format!("{}/readyz", w.base)).send().await.is_ok_and(|r| r.status() == 503)
    })
    .await;
    bao.run("unseal");
    walk.until_cut_off("it to be ready", async |w: &Walk| ready(w).await.1).await;
    is_called_back(&walk, ANA, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_of_the_transit_key_its_old_version_is_not_needed() {
    let Some(mut bao) = OpenBao::start("60s", "0") else { return };
    let walk = walk(&bao, "approle", Engine::Sqlite, 2_000).await;
    is_called_back(&walk, ANA, 1).await;
    bao.run("rotate");
    let output = walk.run(&["keys", "rotate", "--wrap-only"]);
    assert!(output.contains("Tenant keys rewrapped: 1."), "{output}");
    bao.run("retire");
    is_called_back(&walk, BEN, 1).await;
    assert_eq!(ready(&walk).await, (StatusCode::OK, true));
}
