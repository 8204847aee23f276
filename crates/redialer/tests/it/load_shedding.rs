//! Full disk and overload: acknowledged webhooks are kept, the rest is refused with a status that asks for a retry.

use futures_util::future::join_all;
use redialer_sim::retell::Script;
use reqwest::{Method, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::harness::{Engine, KEY, Walk, call_ended, engines, sign};

/// An event of that size that leads to a callback.
fn busy(i: usize, bytes: usize, now: i64) -> String {
    let person = format!("+141555501{i:02}");
    let mut event = call_ended(&format!("call_{i}"), "outbound", &person, "dial_busy", now);
    event["pad"] = "x".repeat(bytes).into();
    event.to_string()
}

async fn send(walk: &Walk, body: String) -> Option<reqwest::Response> {
    let signature = sign(KEY, body.as_bytes(), walk.now().as_millisecond());
    let request = walk.http.post(&walk.webhook_url).header("x-retell-signature", signature).body(body);
    request.send().await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_webhooks_until_there_is_space() {
    // Work that fails on a full disk is retried after a minute.
    let mut walk = Walk::at_speed(Engine::Sqlite, 60).await;
    let Some(disk) = walk.move_to_small_disk().await else {
        eprintln!("no file system can be mounted here: the full disk is not tried");
        return;
    };
    let mut acknowledged = Vec::new();
    let mut deliver = async |i: usize| {
        let answer = send(&walk, busy(i, 60_000, walk.now().as_millisecond())).await.expect("answered");
        if answer.status() == StatusCode::NO_CONTENT {
            acknowledged.push(format!("call_{i}"));
        }
        answer
    };
    deliver(0).await;
    disk.fill();
    let mut refused = None;
    for i in 1..99 {
        let answer = deliver(i).await;
        if answer.status() != StatusCode::NO_CONTENT {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a full disk");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    walk.get("/v1/callbacks").await;
    let readiness = walk.request(Method::GET, "/readyz", None, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!((&readiness["database"], &readiness["writes"]), (&json!(true), &json!(false)));
    disk.free();
    assert_eq!(deliver(99).await.status(), StatusCode::NO_CONTENT, "room is enough");
    walk.get("/readyz").await;
    walk.until("everything that was acknowledged", async |w: &Walk| {
        let rows = w.all_callbacks().await;
        acknowledged.iter().all(|id| rows.iter().any(|c| c["source_call_id"] == id.as_str()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_beyond_the_memory_limit_get_503() {
    let settings = [("REDIALER_MAX_WAITING_BYTES", "10600000")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let now = walk.now().as_millisecond();
    let answers = join_all((0..8).map(|i| send(&walk, busy(i, 9 << 20, now)))).await;
    let refused: Vec<_> =
        answers.iter().flatten().filter(|a| a.status() == StatusCode::SERVICE_UNAVAILABLE).collect();
    assert!(!refused.is_empty(), "{answers:?}");
    assert!(refused.iter().all(|a| a.headers().contains_key(RETRY_AFTER)), "{refused:?}");
    let small = send(&walk, busy(9, 1, now)).await.expect("answered");
    assert_eq!(small.status(), StatusCode::NO_CONTENT, "it stays up, and the room is given back");
    // The refused connections may still be sending their bodies.
    walk.until("room for a large one", async |w: &Walk| {
        send(w, busy(10, 9 << 20, now)).await.is_some_and(|answer| answer.status() == StatusCode::NO_CONTENT)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_requests_beyond_the_concurrency_limit_get_503() {
    let settings = [("REDIALER_MAX_API_REQUESTS", "1")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let url = format!("{}/v1/callbacks", walk.base);
    let ask = async || walk.http.get(&url).bearer_auth(&walk.admin_key).send().await.expect("answered");
    let answers = join_all((0..40).map(|_| ask())).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status() == StatusCode::OK);
    assert!(!taken.is_empty() && !refused.is_empty(), "{} taken of {}", taken.len(), answers.len());
    assert!(refused.iter().all(|a| a.status() == StatusCode::SERVICE_UNAVAILABLE));
    assert!(refused.iter().all(|a| a.headers().contains_key(RETRY_AFTER)));
    assert_eq!(ask().await.status(), StatusCode::OK, "and then there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_requests_that_wait_for_the_database_do_not_delay_webhooks() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 1).await;
        // SQLite's readers do not wait for locks.
        let Some(url) = walk.database.as_deref() else { continue };
        let mut db = PgConnection::connect(url).await.expect("connected");
        let mut held = db.begin().await.expect("begun");
        sqlx::raw_sql("lock table api_keys").execute(&mut *held).await.expect("locked");
        let requests: Vec<_> = (0..24)
            .map(|_| {
                let request = walk.http.get(format!("{}/v1/agents", walk.base)).bearer_auth(&walk.admin_key);
                tokio::spawn(request.send())
            })
            .collect();
        let waiting = "select count(*) from pg_locks where relation = 'api_keys'::regclass and not granted";
        let mut look = PgConnection::connect(url).await.expect("connected");
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut look).await.expect("counted") == 0 {}
        for i in 0..20 {
            let body = busy(i, 10, walk.now().as_millisecond());
            assert_eq!(walk.deliver(&body).await, StatusCode::NO_CONTENT);
        }
        assert!(!requests.iter().any(tokio::task::JoinHandle::is_finished), "webhooks did not wait for them");
        held.rollback().await.expect("released");
        for answer in join_all(requests).await {
            assert_eq!(answer.expect("ran").expect("answered").status(), StatusCode::OK);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_above_its_rate_limit_gets_429() {
    let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "3")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let (_, key) = walk.create_key(json!({"name": "busy", "admin": true})).await;
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
