//! The activity feed: every webhook, decision, dial, outcome and refusal, with its reason.

use redialer_sim::retell::{Script, script::Behavior};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{KEY, VOICE, Walk, engines, sign};

const ANA: &str = "+13125550142";
const BEN: &str = "+13125550143";

async fn feed(walk: &Walk, query: &str) -> Vec<Value> {
    walk.get(&format!("/v1/activity?limit=200{query}")).await["data"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_activity_feed_shows_webhooks_dials_and_refusals() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 2_000).await;
        walk.sim.set_person(ANA, vec![Behavior::ending("dial_busy"), Behavior::ending("user_hangup")]);
        walk.request_callback(ANA, "call me in an hour");
        walk.until_settled(ANA, 2).await;
        // Added to the do-not-call list only once the callback waits, so that the list is what ends it.
        let agent = walk.agent_id(VOICE).await;
        walk.schedule(BEN, 60 * 24 * 300).await;
        let body =
            r#"{"event":"call_started","call":{"call_id":"call_x","agent_id":"agent_sim_front_desk"}}"#;
        for _ in 0..20 {
            let status = walk.deliver_to(&walk.webhook_url, body, "v=1,d=00").await.0;
            assert_eq!(status, StatusCode::UNAUTHORIZED);
        }
        let now = walk.now().as_millisecond();
        let not_json = walk.deliver_to(&walk.webhook_url, "no", &sign(KEY, b"no", now)).await.0;
        assert_eq!(not_json, StatusCode::BAD_REQUEST);
        walk.until("the rejections to be written", async |w: &Walk| {
            feed(w, "&kind=refusal").await.len() >= 2
        })
        .await;
        let refused = feed(&walk, "&kind=refusal").await;
        let of = |code: &str| {
            refused
                .iter()
                .filter(|r| r["event"] == code)
                .map(|r| r["count"].as_i64().expect("n"))
                .sum::<i64>()
        };
        assert!((1..=20).contains(&of("bad_signature")), "{refused:#?}");
        assert!(refused.len() <= 3, "counted, not listed");
        assert_eq!(refused[0]["agent_id"], agent);
        assert!(refused.iter().all(|r| r["notes"][0]["message"].as_str().is_some_and(|m| !m.is_empty())));
        let dials = feed(&walk, "&kind=dial").await;
        let outcomes: Vec<_> = dials
            .iter()
            .rev()
            .map(|d| (d["attempt"].clone(), d["outcome"].clone(), d["state"].clone()))
            .collect();
        assert_eq!(
            outcomes,
            [
                (json!(1), json!("dial_busy"), json!("ended")),
                (json!(2), json!("user_hangup"), json!("ended"))
            ]
        );
        assert!(dials.iter().all(|d| d["callback_id"].is_string() && d["provider_call_id"].is_string()));
        let all = feed(&walk, "").await;
        assert!(all.windows(2).all(|pair| pair[0]["at"].as_str() >= pair[1]["at"].as_str()), "newest first");
        let paged = walk.list(&walk.admin_key, "/v1/activity?limit=3").await;
        let ids = |rows: &[Value]| rows.iter().map(|l| l["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&paged), ids(&all), "in pages as at once");
        assert!(!all.iter().any(|line| line.to_string().contains("5550142")), "nothing personal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_held_by_the_quota_is_listed_with_its_reason() {
    let settings = [(crate::harness::FILE, "[plans.unlimited]\ncalls_a_month = 1\n")];
    for engine in engines() {
        let walk = Walk::with_settings(engine, 600, Script::default(), &settings).await;
        for number in [ANA, BEN] {
            walk.schedule(number, 10).await;
        }
        walk.until("one to be held", async |w: &Walk| {
            feed(w, "&kind=refusal")
                .await
                .iter()
                .any(|line| line["event"] == "quota" && line["callback_id"].is_string())
        })
        .await;
    }
}
