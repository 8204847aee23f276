//! The webhook endpoint: the requests that it accepts, and those that it refuses.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Engine, KEY, OURS, VOICE, Walk, id, sign};

const BODY: &str = r#"{"event":"call_ended","call":{"call_id":"c1"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn webhook_checks_run_in_a_fixed_order() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let now = walk.now().as_millisecond();
    let good = sign(KEY, BODY.as_bytes(), now);
    let check = async |url: &str, body: &str, signature: &str, want: u16| {
        let (status, answer) = walk.deliver_to(url, body, signature).await;
        assert_eq!(status.as_u16(), want, "{answer}");
        if want >= 400 {
            assert!(answer["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{answer}");
            assert!(answer["error"]["request_id"].as_str().is_some_and(|m| m.starts_with("req_")));
        }
    };
    let url = walk.webhook_url.clone();
    let unknown = format!("{}/api/webhooks/retell/unknown", walk.base);
    check(&unknown, BODY, &good, 404).await;
    check(&unknown, "not json", "nonsense", 404).await;
    check(&url.replace("/retell/", "/vapi/"), BODY, &good, 404).await;
    check(&url, BODY, &sign("other", BODY.as_bytes(), now), 401).await;
    check(&url, BODY, &sign(KEY, BODY.as_bytes(), now - 301_000), 401).await;
    check(&url, BODY, &sign(KEY, BODY.as_bytes(), now + 310_000), 401).await;
    check(&url, BODY, "v=1,d=00", 401).await;
    check(&url, "not json", &good, 401).await;
    check(&url, "not json", &sign(KEY, b"not json", now), 400).await;
    check(&url, "", &sign(KEY, b"", now), 400).await;
    check(&url, BODY, &good, 204).await;
    check(&url, BODY, &good, 204).await;
    // In another encoding, the same path goes through the router, with the same responses.
    let otherwise = url.replace("/retell/", "/%72etell/");
    check(&otherwise, BODY, &good, 204).await;
    check(&otherwise, BODY, "v=1,d=00", 401).await;
    check(&otherwise.replace("etell", "etel"), BODY, &good, 404).await;
    check(&format!("{url}/"), BODY, &good, 404).await;
    let got = walk.http.get(&url).send().await.expect("answered");
    assert_eq!((got.status().as_u16(), got.headers().contains_key("x-request-id")), (405, true));
    let unsigned = walk.http.post(&url).body(BODY).send().await.expect("answered");
    assert_eq!(unsigned.status(), 401);
    let twice = walk
        .http
        .post(&url)
        .header("x-retell-signature", &good)
        .header("x-retell-signature", "v=1,d=0")
        .body(BODY);
    assert_eq!(twice.send().await.expect("answered").status(), 401, "which of the two would count?");
    let big = format!("{{\"event\":\"call_ended\",\"pad\":\"{}\"}}", "x".repeat(11 << 20));
    let sent = walk
        .http
        .post(&url)
        .header("x-retell-signature", sign(KEY, big.as_bytes(), now))
        .body(big)
        .send()
        .await;
    assert_eq!(sent.expect("answered").status(), 413);
    let large = format!("{{\"event\":\"call_ended\",\"pad\":\"{}\"}}", "x".repeat(9 << 20));
    check(&url, &large, &sign(KEY, large.as_bytes(), now), 204).await;
    let agent = walk.agent(VOICE).await;
    let path = format!("/v1/agents/{}", id(&agent));
    walk.request(Method::PATCH, &path, Some(json!({"enabled": false})), StatusCode::OK).await;
    check(&url, BODY, "v=1,d=00", 401).await;
    check(&url, BODY, &good, 403).await;
    check(&url, "not json", &sign(KEY, b"not json", now), 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_valid_signature_verifies_the_url_and_a_replaced_key_is_valid_for_a_day() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let agent = walk.agent(VOICE).await;
    let path = format!("/v1/agents/{}/webhook-url", id(&agent));
    assert_eq!(walk.get(&path).await["verification_status"], "pending");
    assert_eq!(walk.deliver(BODY).await, 204);
    assert_eq!(walk.get(&path).await["verification_status"], "verified");
    let change = Some(json!({"webhook_key": "key_new"}));
    walk.request(Method::PATCH, &format!("/v1/workspaces/{}", walk.workspace), change, StatusCode::OK).await;
    let now = walk.now().as_millisecond();
    for key in ["key_new", KEY] {
        assert_eq!(
            walk.deliver_to(&walk.webhook_url, BODY, &sign(key, BODY.as_bytes(), now)).await.0,
            204,
            "{key}"
        );
    }
    assert_eq!(walk.deliver_to(&walk.webhook_url, BODY, &sign("key_old", BODY.as_bytes(), now)).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_slug_is_accepted_until_it_expires_and_does_not_verify_the_current_one() {
    const PAST: &str = "a-slug-of-the-day-before-yesterday";
    const OLD: &str = "a-slug-of-yesterday";
    let mut walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let agent = walk.agent(VOICE).await;
    let path = format!("/v1/agents/{}/webhook-url", id(&agent));
    let now = walk.now().as_millisecond();
    walk.terminate();
    for (slug, valid_until) in [(PAST, now), (OLD, now + 3_600_000)] {
        let of =
            format!("select '{slug}', id, {valid_until} from agents where provider_agent_id = '{VOICE}'");
        walk.load(format!("insert into webhook_slugs (slug, agent_id, valid_until) {of}")).await;
    }
    walk.serve().await;
    let now = walk.now().as_millisecond();
    for (slug, want, status) in [(PAST, 404, "pending"), (OLD, 204, "pending"), ("", 204, "verified")] {
        let url = format!("{}/api/webhooks/retell/{slug}", walk.base);
        let url = if slug.is_empty() { &walk.webhook_url } else { &url };
        let answer = walk.deliver_to(url, BODY, &sign(KEY, BODY.as_bytes(), now)).await;
        assert_eq!(answer.0, want, "{slug}");
        assert_eq!(walk.get(&path).await["verification_status"], status, "{slug}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_dialed_are_kept_with_a_note() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let end = walk.now().as_millisecond();
    let ask = json!({"custom_analysis_data": {"redialer.io_callback": true, "redialer.io_callback_time": "in 2 hours"}});
    let call = |id: &str, person: &str| {
        json!({"call_id": id, "call_type": "phone_call", "agent_id": VOICE, "direction": "inbound", "from_number": person,
            "to_number": OURS, "disconnection_reason": "user_hangup", "end_timestamp": end, "call_analysis": ask})
    };
    let with = |mut call: serde_json::Value, key: &str, value: serde_json::Value| {
        call[key] = value;
        call
    };
    let chat = json!({"chat_id": "chat_1", "agent_id": VOICE, "chat_type": "sms_chat", "chat_status": "ended", "chat_analysis": ask});
    let cases = [
        ("anonymous", json!({"event": "call_analyzed", "call": call("c1", "anonymous")}), Some("bad_number")),
        (
            "premium",
            json!({"event": "call_analyzed", "call": call("c2", "+19005550117")}),
            Some("premium_number"),
        ),
        ("our own", json!({"event": "call_analyzed", "call": call("c3", OURS)}), Some("own_number")),
        (
            "web",
            json!({"event": "call_analyzed", "call": with(call("c4", "+14155550117"), "call_type", "web_call".into())}),
            Some("web_call"),
        ),
        (
            "stranger",
            json!({"event": "call_analyzed", "call": with(call("c5", "+14155550118"), "agent_id", "agent_x".into())}),
            Some("agent_missing"),
        ),
        ("chat", json!({"event": "chat_analyzed", "chat": chat}), Some("no_number")),
        (
            "spoken",
            json!({"event": "call_analyzed", "call": with(call("c6", "+14155550119"), "call_analysis",
            json!({"custom_analysis_data": {"redialer.io_callback": true, "redialer.io_callback_number": "+14155550120"}}))}),
            Some("spoken_number"),
        ),
        (
            "year 9999",
            json!({"event": "call_analyzed", "call": with(call("c7", "+14155550121"), "call_analysis",
            json!({"custom_analysis_data": {"redialer.io_callback": true, "redialer.io_callback_time": "9999-12-31T00:00:00Z"}}))}),
            Some("unclear_time"),
        ),
        (
            "foreign",
            json!({"event": "call_analyzed", "call": with(call("c8", "+14155550122"), "metadata",
            json!({"redialer_dispatch": "dp_00000000000000000000000001"}))}),
            Some("foreign_dispatch"),
        ),
        ("wrong shape", json!({"event": "call_analyzed", "call": [1, 2]}), None),
        ("not an event", json!([1, 2, 3]), None),
        ("unheard of", json!({"event": "voicemail_detected", "call": {"call_id": "c9"}}), None),
        (
            "negative",
            json!({"event": "call_ended", "call": with(with(call("c10", "+14155550123"), "duration_ms", (-5).into()), "end_timestamp", (-1).into())}),
            None,
        ),
    ];
    for (i, (name, event, note)) in cases.iter().enumerate() {
        assert_eq!(walk.deliver(&event.to_string()).await, 204, "{name}");
        walk.until_decided(i + 1).await;
        let feed = walk.get("/v1/activity?kind=webhook&limit=1").await;
        let notes: Vec<_> = feed["data"][0]["notes"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|n| n["code"].as_str().expect("a code"))
            .collect();
        assert!(note.map_or(notes.is_empty(), |n| notes.contains(&n)), "{name}: {notes:?}");
    }
    let rows = walk.callbacks().await;
    let sources: Vec<_> = rows.iter().map(|r| r["source_call_id"].as_str().expect("a call")).collect();
    assert_eq!(
        sources,
        ["c6", "c7", "c8"],
        "the call's own number, the default delay, a call like any other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn misdirected_inbound_webhooks_are_answered_and_ten_thousand_copies_are_one_event() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    for (event, noun) in [("call_inbound", "call_inbound"), ("chat_inbound", "chat_inbound")] {
        let body =
            json!({"event": event, noun: {"from_number": "+14155550117", "to_number": OURS}}).to_string();
        let signature = sign(KEY, body.as_bytes(), walk.now().as_millisecond());
        let (status, answer) = walk.deliver_to(&walk.webhook_url, &body, &signature).await;
        assert_eq!((status.as_u16(), answer), (200, json!({noun: {}})));
    }
    let mut senders = tokio::task::JoinSet::new();
    let signature = sign(KEY, BODY.as_bytes(), walk.now().as_millisecond());
    for _ in 0..50 {
        let (http, url, signature) = (walk.http.clone(), walk.webhook_url.clone(), signature.clone());
        senders.spawn(async move {
            for _ in 0..200 {
                let sent = http.post(&url).header("x-retell-signature", &signature).body(BODY).send().await;
                assert_eq!(sent.expect("answered").status(), 204);
            }
        });
    }
    senders.join_all().await;
    walk.until_decided(3).await;
    assert_eq!(walk.get("/v1/activity?kind=webhook").await["data"].as_array().expect("a list").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_headers_and_slow_bodies_have_a_deadline() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let settings = [("REDIALER_HEAD_DEADLINE_SECS", "1"), ("REDIALER_BODY_DEADLINE_SECS", "1")];
    let walk =
        Walk::with_settings(Engine::Sqlite, 1, redialer_sim::retell::Script::default(), &settings).await;
    let address = walk.base.trim_start_matches("http://");
    let path = walk.webhook_url.split_once(address).expect("ours").1;
    let patience = std::time::Duration::from_secs(20);
    for (sent, answer) in [
        ("POST /api".to_owned(), ""),
        (String::new(), ""),
        (format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{"), "HTTP/1.1 408"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        stream.write_all(sent.as_bytes()).await.expect("written");
        let mut received = Vec::new();
        let ended = tokio::time::timeout(patience, stream.read_to_end(&mut received)).await;
        assert!(ended.is_ok(), "{sent:?} was never cut off");
        assert!(
            String::from_utf8_lossy(&received).starts_with(answer),
            "{}",
            String::from_utf8_lossy(&received)
        );
    }
}
