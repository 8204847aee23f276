//! Recorded payloads, signatures and requests of Retell.
//!
//! Each fixture is parsed and compared with its snapshot; a changed result shows as a changed file.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue};
use redialer_core::call::Turn;
use redialer_core::{
    Id, Phone,
    agent::{Channel, Version},
    call::CallPhase,
    callback::RedialReason,
    inbound_event::DedupKey,
    order::CallOrder,
    rng::Rng,
};
use redialer_core::{Timestamp, call::CallFacts};
use redialer_providers::{
    CheckedAt, Event, Rejected, Webhook, WebhookAuth,
    http::{Clients, PLACE_DEADLINE},
    receive,
    retell::{SIGNATURE_HEADER, api::Api, order, signature::TOLERANCE_MS, webhook},
};
use serde_json::Value;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/retell")
}

/// The result of receiving a webhook with these headers.
fn received<'b>(
    headers: &'b HeaderMap,
    body: &'b [u8],
    secret: &str,
    now_ms: i64,
) -> Result<Event<'b>, Rejected> {
    let clients = Clients::new(PLACE_DEADLINE).expect("clients");
    let retell = Api::new(std::sync::Arc::new(clients), "http://127.0.0.1");
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::MAX);
    let at = CheckedAt { now, tolerance_ms: TOLERANCE_MS };
    receive(&retell, &WebhookAuth::of_key(secret), Webhook { headers, body }, &at)
}

fn signed(header: &[u8]) -> HeaderMap {
    let value = HeaderValue::from_bytes(header).unwrap_or_else(|_| HeaderValue::from_static("?"));
    HeaderMap::from_iter([(SIGNATURE_HEADER.parse().expect("a name"), value)])
}

fn facts(body: &[u8], callback_field: &str) -> Option<CallFacts> {
    webhook::read(body).ok()?.content.facts(callback_field)
}

fn conversation(body: &[u8]) -> Vec<Turn> {
    webhook::read(body).expect("JSON").content.conversation()
}

/// The parsed facts as text; `CallFacts` itself shows only what may be logged.
fn described(body: &[u8]) -> String {
    let Some(f) = facts(body, "redialer.io_callback") else {
        return "nothing can follow from it".to_owned();
    };
    let mut lines = vec![
        format!("call       {} {:?} {:?} {:?}", f.call_id, f.channel, f.moment, f.direction),
        format!(
            "person     {:?} <-> agent {:?} ({:?} {:?})",
            f.person_number, f.agent_number, f.agent, f.version
        ),
        format!("started    {:?}", f.started_at),
        format!("ended      {:?}", f.ended_at),
        format!("outcome    {:?}", f.outcome.as_ref().map(|o| (&o.reason, o.class))),
        format!("voicemail  {}", f.in_voicemail),
        format!(
            "requested  {} {:?} {:?} {:?} {:?}",
            f.request.callback, f.request.answer, f.request.time, f.request.number, f.request.extractions
        ),
        format!("variables  {:?}", f.variables),
        format!("metadata   {:?}", f.metadata.map(|m| m.split_whitespace().collect::<String>())),
        format!("tags       {:?}", f.tags),
    ];
    lines.extend(conversation(body).iter().map(|t| format!("  {:?}: {}", t.role, t.content)));
    lines.join("\n")
}

#[test]
fn every_recorded_webhook_is_read() {
    let mut n = 0;
    for entry in fs::read_dir(fixtures()).expect("the fixtures are there") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if !name.starts_with("webhook_") {
            continue;
        }
        let body = fs::read(&path).expect("readable");
        insta::with_settings!({ snapshot_suffix => name.clone(), omit_expression => true }, {
            insta::assert_snapshot!("webhook", described(&body));
        });
        n += 1;
    }
    assert_eq!(n, 27, "a fixture came or went");
}

#[test]
fn the_vendors_vectors_are_judged_as_the_vendors_clients_judge_them() {
    let text = fs::read_to_string(fixtures().join("signature_vectors.json")).expect("readable");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let str_of = |v: &Value| v.as_str().expect("text").to_owned();
    let judge = |header: &str, body: &[u8], secret: &str, now: i64| {
        !matches!(received(&signed(header.as_bytes()), body, secret, now), Err(Rejected::Signature(_)))
    };
    for case in all["valid"].as_array().expect("a list") {
        let (secret, body, now) =
            (str_of(&case["secret"]), str_of(&case["body"]), case["timestamp_ms"].as_i64().expect("ms"));
        assert!(judge(&str_of(&case["header"]), body.as_bytes(), &secret, now), "{}", case["name"]);
        // The digest of the body alone is not a signature, neither bare nor in the header's format.
        let plain = str_of(&case["plain_hmac_of_body_only"]);
        assert!(!judge(&plain, body.as_bytes(), &secret, now));
        assert!(!judge(&format!("v={now},d={plain}"), body.as_bytes(), &secret, now));
    }
    for case in all["valid_for_sample_files"].as_array().expect("a list") {
        let body = fs::read(fixtures().join(str_of(&case["body_file"]))).expect("readable");
        let now = case["timestamp_ms"].as_i64().expect("ms");
        assert!(
            judge(&str_of(&case["header"]), &body, &str_of(&case["secret"]), now),
            "{}",
            case["body_file"]
        );
    }
    let handling = &all["header_handling"];
    let (secret, body) = (str_of(&handling["secret"]), str_of(&handling["body"]));
    let mut n = 0;
    for case in handling["cases"].as_array().expect("a list") {
        let (node, python) = (case["node_sdk_5_66_1"] == true, case["python_sdk_6_2_13"] == true);
        let got =
            judge(&str_of(&case["header"]), body.as_bytes(), &secret, case["clock_ms"].as_i64().expect("ms"));
        // Where the two clients differ (upper case), either result is accepted, because hex may be in either case.
        assert!(got == node || got == python, "{} {got}", case["name"]);
        n += 1;
    }
    assert_eq!(n, 25);
}

#[test]
fn hostile_signatures_are_judged_as_expected() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/security/retell-signatures-dev.jsonl");
    let Ok(text) = fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        let body = STANDARD.decode(case["body_b64"].as_str().expect("text")).expect("base64");
        let secret = case["secret"].as_str().expect("text");
        let now = case["now_ms"].as_i64().expect("ms");
        let headers = case["header"].as_str().map(|header| signed(header.as_bytes())).unwrap_or_default();
        let got = match received(&headers, &body, secret, now) {
            Ok(_) => "accept",
            Err(Rejected::NotJson(_)) => "signature-ok-then-400",
            Err(Rejected::Signature(_)) => "reject",
        };
        let want = case["expect"].as_str().expect("text");
        // The signature of a body that is not JSON is valid all the same.
        let same = got == want || (want == "accept" && got == "signature-ok-then-400");
        assert!(same, "{} {} {got}", case["id"], case["class"]);
    }
}

#[test]
fn two_copies_of_an_event_have_one_key_and_two_events_never() {
    let key = |body: &str| {
        let header = redialer_providers::retell::signature::sign(b"k", body.as_bytes(), 1);
        let headers = signed(header.as_bytes());
        let Ok(Event { delivery, .. }) = received(&headers, body.as_bytes(), "k", 1) else {
            panic!("signed")
        };
        assert_eq!(delivery.signature, header);
        (delivery.call_id, delivery.dedup_key)
    };
    let ended = r#"{"event":"call_ended","call":{"call_id":"c1"}}"#;
    assert_eq!(key(ended), key(r#"{"event":"call_ended","call":{"call_id":"c1","more":1}}"#));
    assert_ne!(key(ended), key(r#"{"event":"call_ended","call":{"call_id":"c2"}}"#));
    assert_ne!(key(ended), key(r#"{"event":"call_analyzed","call":{"call_id":"c1"}}"#));
    // Neither an event's name nor an id may contain NUL: both are columns.
    let delivery =
        webhook::read(br#"{"event":"a\u0000b","call":{"call_id":"c\u0000"}}"#).expect("JSON").delivery;
    assert_eq!((delivery.event.as_str(), delivery.call_id), ("unreadable", None));
    // A call may be transferred more than once, so two transfers are two events.
    let transfer = |to: u8| format!(r#"{{"event":"transfer_started","call":{{"call_id":"c1"}},"to":{to}}}"#);
    assert_ne!(key(&transfer(1)), key(&transfer(2)));
    assert_eq!(key(&transfer(1)), key(&transfer(1)));
    assert_ne!(key("[]"), key("{}"));
}

#[test]
fn shapes_nobody_expects_are_read_without_a_panic() {
    for body in [
        "[]",
        "{}",
        "null",
        "0",
        r#"{"event":1}"#,
        r#"{"event":"call_ended"}"#,
        r#"{"event":"call_ended","call":[]}"#,
        r#"{"event":"call_ended","call":{"call_id":7}}"#,
        r#"{"event":"chat_analyzed","chat":{"chat_id":""}}"#,
        r#"{"event":"_","call":{"call_id":"c"}}"#,
        r#"{"event":"call","call":{"call_id":"c"}}"#,
    ] {
        assert!(facts(body.as_bytes(), "x").is_none(), "{body}");
    }
    // A field that contains NUL, which no text column of a database accepts, counts as absent.
    let nul = r#"{"event":"call_analyzed","call":{"call_id":"c","direction":"outbound","to_number":"+1\u0000","agent_id":"\u0000",
        "disconnection_reason":"user\u0000hangup","metadata":{"redialer_dispatch":"dp_1","a":"\u0000"},
        "retell_llm_dynamic_variables":{"a":"\u0000","\u0000":"b","c":"\\u0000"},
        "transcript_object":[{"role":"user","content":"a\u0000"},{"role":"user","content":"b"}],
        "call_analysis":{"custom_analysis_data":{"\u0000":true,"redialer.io_callback":"yes\u0000","redialer.io_callback_time":"\u0000"}}}}"#;
    insta::assert_snapshot!("nul", described(nul.as_bytes()));
    for body in [
        r#"{"event":"call_ended","call":{"call_id":"c\u0000"}}"#,
        r#"{"event":"call_\u0000","call":{"call_id":"c"}}"#,
    ] {
        assert!(facts(body.as_bytes(), "x").is_none(), "{body}");
    }
    let absurd = r#"{"event":"call_analyzed","call":{"call_id":"c","direction":"outbound","to_number":[1],
        "end_timestamp":9e99,"start_timestamp":-5,"duration_ms":-1,"agent_version":-3,"metadata":"text",
        "retell_llm_dynamic_variables":{"n":1,"b":true,"o":{},"z":null},"transcript_object":[1,{"role":"user"}],
        "call_analysis":{"custom_analysis_data":{"redialer.io_callback":"TRUE","redialer.io_callback_time":{}}}}}"#;
    insta::assert_snapshot!("absurd", described(absurd.as_bytes()));
}

/// A transcript is wrapped where its lines are full, even in the middle of "tomorrow at 3 pm".
#[test]
fn a_time_over_a_line_break_is_understood() {
    for transcript in [
        r#""transcript_object":[{"role":"user","content":"Please call me back tomorrow\nat 3 pm."}]"#,
        r#""transcript":"Agent: Hello?\nUser: Please call me back\ntomorrow at\n3 pm.\n""#,
    ] {
        let body = format!(r#"{{"event":"call_analyzed","call":{{"call_id":"c1",{transcript}}}}}"#);
        let turns = conversation(body.as_bytes());
        let end = "2026-11-24T10:00:00-05:00".parse().expect("a time");
        let call = redialer_when::Call::new(&turns, end, "America/New_York");
        let want = "2026-11-25T15:00:00-05:00".parse().expect("a time");
        assert_eq!(redialer_when::read(&call).at, Some(want), "{transcript}");
    }
}

#[test]
fn an_order_becomes_these_bytes() {
    let rng = Rng::seeded([1; 32]);
    let callback = Id::from_uuid(uuid_of(1));
    let order = |channel, attempt, is_final| CallOrder {
        channel,
        from: Phone::parse("+12025550100").expect("a number"),
        from_id: None,
        to: Phone::parse("+13125550142").expect("a number"),
        agent: "agent_1".to_owned(),
        version: Version::Tag("prod".to_owned()),
        variables: [
            ("clinic_name".to_owned(), "Example Clinic".to_owned()),
            ("redialer_attempt".to_owned(), "99".to_owned()),
            ("call_id".to_owned(), "old".to_owned()),
            ("current_time_UTC".to_owned(), "old".to_owned()),
        ]
        .into(),
        metadata: Some(
            r#"{"crm":{"id":7},"redialer_dispatch":"old","redialer_user_number":"+13125550142"}"#.to_owned(),
        ),
        reason: RedialReason::BusyFollowup,
        attempt,
        is_final,
        callback,
        chain: callback.as_root(),
        dispatch: Id::from_uuid(uuid_of(u128::from(rng.bytes::<1>()[0]))),
    };
    let shown = |o: &CallOrder| {
        let value: Value = serde_json::from_slice(&order::body(o)).expect("JSON");
        format!("POST {}\n{value:#}", order::path(o.channel))
    };
    insta::assert_snapshot!("order_call", shown(&order(Channel::Voice, 2, false)));
    insta::assert_snapshot!("order_chat", shown(&order(Channel::Chat, 3, true)));
    for (order, recorded) in [
        (order(Channel::Voice, 2, false), "rest_create_phone_call_request.json"),
        (order(Channel::Chat, 2, false), "rest_create_sms_chat_request.json"),
    ] {
        let ours: Value = serde_json::from_slice(&order::body(&order)).expect("JSON");
        let theirs: Value =
            serde_json::from_str(&fs::read_to_string(fixtures().join(recorded)).expect("readable"))
                .expect("JSON");
        let keys = |v: &Value| v.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&ours), keys(&theirs), "{recorded}");
    }
    let too_much = format!(r#"{{"blob":"{}"}}"#, "x".repeat(60_000));
    let big = CallOrder { metadata: Some(too_much), ..order(Channel::Voice, 1, false) };
    assert!(order::body(&big).len() < 5_000, "metadata past the provider's limit is left out, ours stays");
    let redial_reason = |reason, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let order = CallOrder { reason, variables: variables.collect(), ..order(Channel::Voice, 1, false) };
        let body: Value = serde_json::from_slice(&order::body(&order)).expect("JSON");
        let sent = &body["retell_llm_dynamic_variables"];
        assert_eq!(sent["redialer.io_redial_reason"], sent["redialer_redial_reason"]);
        sent["redialer_redial_reason"].as_str().expect("text").to_owned()
    };
    let renewal = [("redialer_redial_reason", "renewal")];
    assert_eq!(redial_reason(RedialReason::Scheduled, &[]), "callback_requested");
    assert_eq!(redial_reason(RedialReason::Scheduled, &renewal), "renewal", "manual: as the request says");
    assert_eq!(redial_reason(RedialReason::BusyFollowup, &renewal), "busy_followup", "else as it is");
}

fn uuid_of(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

#[test]
fn a_fetched_record_enters_as_its_webhook_would() {
    let text =
        fs::read_to_string(fixtures().join("webhook_call_analyzed_inbound_callback.json")).expect("readable");
    let event: Value = serde_json::from_str(&text).expect("JSON");
    let record = event["call"].to_string();
    let fetched = webhook::fetched(&record, Channel::Voice).expect("it is over");
    assert!(fetched.is_over);
    let delivery = fetched.delivery;
    assert_eq!(delivery.event, "call_analyzed");
    assert_ne!(
        Some(delivery.dedup_key),
        DedupKey::of_phase(CallPhase::Analyzed, false),
        "the webhook itself is still taken"
    );
    assert_eq!(described(&delivery.body), described(text.as_bytes()));
    for (record, channel) in [
        (r#"{"call_id":"c","call_status":"ongoing"}"#, Channel::Voice),
        (r#"{"chat_id":"c","chat_status":"ongoing"}"#, Channel::Chat),
    ] {
        let fetched = webhook::fetched(record, channel).expect("a record");
        assert!(!fetched.is_over && fetched.delivery.event.ends_with("_started"));
    }
    assert!(webhook::fetched("<html>", Channel::Voice).is_none());
}

proptest::proptest! {
    #[test]
    fn any_header_and_any_body_are_judged_without_a_panic(
        header in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        now in proptest::prelude::any::<i64>(),
    ) {
        proptest::prop_assert!(received(&signed(&header), &body, "k", now).is_err());
        // None of these is an event; the test is that each is handled.
        proptest::prop_assert!(facts(&body, "x").is_none());
    }
}
