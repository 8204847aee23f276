//! An earlier version's data is upgraded by starting this version on it: returned unchanged, and dialed on time.
//!
//! The fixtures and the people in them: `tests/fixtures/33286b6/README.md`.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use redialer_sim::retell::{Key, PlacedCall, Script, script::Number};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{CHAT, Engine, Fixture, OURS, VOICE, Walk, engines, sign, time};

const COMMIT: &str = "33286b6";
const DOWNTIME_MINUTES: i64 = 12;

const CALLBACKS: &str = "/v1/callbacks?limit=200";

const DENTAL_NUMBER: &str = "+13035550120";
const GARAGE_NUMBER: &str = "+17735550130";

/// Came due while no server ran.
const HAL: &str = "+13125550167";
/// Dialing; no outcome received.
const IDA: &str = "+13055550168";
/// Dialing; its outcome is received but not decided.
const JAN: &str = "+16175550169";
/// Unconfirmed: the provider answered 500.
const KIM: &str = "+14045550170";
/// A person of the garage. Dispatching: the server died before the provider answered.
const LIV: &str = "+12245550179";
/// A person of the dental clinic. Dialing; the call lasts two hours.
const NED: &str = "+15055550173";
/// A person of the dental clinic. Due; waits for a free line.
const OLA: &str = "+16025550174";
/// The callbacks that the upgraded server continues by itself.
const MOVING: [&str; 5] = [HAL, JAN, KIM, LIV, OLA];

/// One provider account that accepts the keys of all workspaces.
fn account() -> Script {
    let number = |number: &str| Number {
        phone_number: number.to_owned(),
        agent_id: Some(VOICE.to_owned()),
        sms_agent_id: Some(CHAT.to_owned()),
    };
    Script {
        api_key: "key_clinic".to_owned(),
        keys: ["key_dental", "key_garage", "key_closed"].map(|key| (key.to_owned(), Key::default())).into(),
        numbers: [OURS, DENTAL_NUMBER, GARAGE_NUMBER].map(number).into(),
        ..Script::default()
    }
}

async fn upgraded(engine: Engine) -> (Walk, Fixture) {
    let fixture = Fixture::read(COMMIT, engine);
    let walk = Walk::upgrade(&fixture, account(), DOWNTIME_MINUTES).await;
    (walk, fixture)
}

async fn found(walk: &Walk, key: &str, path: &str) -> Value {
    let (status, body) = walk.request_as(Some(key), Method::GET, path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn id(row: &Value) -> &str {
    row["id"].as_str().expect("an id")
}

/// The newest of a person's callbacks; `callbacks` may be in either order.
fn newest<'c>(callbacks: &'c [Value], number: &str) -> &'c Value {
    let of_person = callbacks.iter().filter(|callback| callback["to_number"] == number);
    of_person
        .max_by_key(|callback| time(&callback["created_at"]))
        .unwrap_or_else(|| panic!("none to {number}"))
}

/// Sends an event to a webhook URL that the earlier version returned.
async fn send(walk: &Walk, fixture: &Fixture, (workspace, key): (&str, &str), event: &str) -> StatusCode {
    let url = format!("{}{}", walk.base, fixture.text(&format!("/webhook_paths/{workspace}")));
    let signature = sign(key, event.as_bytes(), walk.now().as_millisecond());
    walk.deliver_to(&url, event, &signature).await.0
}

/// What this version should return for a row that the earlier version returned, without fields that change.
fn expected(path: &str, row: &Value) -> Value {
    let mut row = row.clone();
    let fields = row.as_object_mut().expect("an object");
    let changing: &[&str] = match path {
        "/v1/callbacks" if MOVING.iter().any(|person| fields["to_number"] == *person) => {
            &["state", "outcome", "provider_call_id", "from_number", "updated_at"]
        }
        "/v1/activity" if fields["kind"] == "dial" => &["state", "outcome", "provider_call_id"],
        "/v1/callbacks/{id}/explain" => &["state", "as_of"],
        "/v1/api-keys" => &["last_used_at"],
        "/v1/workspaces" => &["usage"],
        "/v1/usage" => &["calls"],
        _ => &[],
    };
    fields.retain(|name, _| !changing.contains(&name.as_str()));
    if fields.get("state").is_some_and(|state| state == "cancelled") {
        fields["state"] = "canceled".into();
    }
    // Migration 23 renames states of activity entries.
    if path == "/v1/activity" {
        match fields.get("state").and_then(Value::as_str) {
            Some("told") => fields["state"] = "recorded".into(),
            Some("aside") => fields["state"] = "quarantined".into(),
            _ => {}
        }
    }
    for settings in ["defaults", "settings"] {
        let hours = fields.get_mut(settings).and_then(|settings| settings.get_mut("quiet_hours"));
        // The old default was no quiet hours. Migration 17 sets the current default.
        if let Some(hours) = hours.filter(|hours| hours.is_null()) {
            *hours = json!({"start": "21:00", "end": "09:00"});
        }
    }
    if let Some(retention) = fields.get_mut("retention") {
        // The setting never deleted anything. Migration 17 makes that explicit.
        *retention = json!({"level": "default", "days": -1});
    }
    // The code of a note is stable; its message is prose.
    for note in fields.get_mut("notes").and_then(Value::as_array_mut).into_iter().flatten() {
        note.as_object_mut().and_then(|note| note.remove("message"));
    }
    row
}

/// Collects where `actual` differs from `expected`. Fields that were added to an object do not count.
fn differences(expected: &Value, actual: &Value, place: &str, found: &mut Vec<String>) {
    if let (Value::Object(expected), Value::Object(actual)) = (expected, actual) {
        for (name, value) in expected {
            let actual = actual.get(name).unwrap_or(&Value::Null);
            differences(value, actual, &format!("{place}.{name}"), found);
        }
    } else if let (Value::Array(expected), Value::Array(actual)) = (expected, actual)
        && expected.len() == actual.len()
    {
        for (i, (expected, actual)) in expected.iter().zip(actual).enumerate() {
            differences(expected, actual, &format!("{place}[{i}]"), found);
        }
    } else if expected != actual {
        found.push(format!("{place}: expected {expected}, got {actual}"));
    }
}

/// What this version returns where the earlier one returned `recorded`.
async fn returned(walk: &Walk, key: &str, path: &str, recorded: &[Value]) -> Vec<Value> {
    match path {
        "/v1/usage" => vec![found(walk, key, path).await],
        "/v1/callbacks/{id}/explain" => {
            let mut explanations = Vec::new();
            for row in recorded {
                let callback = row["callback_id"].as_str().expect("an id");
                let explanation = found(walk, key, &path.replace("{id}", callback)).await;
                // Dials of the earlier version did not record their gates.
                let waits = ["scheduled", "held"].iter().any(|state| explanation["state"] == *state);
                assert!(!waits || !rows(&explanation["gates"]).is_empty(), "{explanation}");
                explanations.push(explanation);
            }
            explanations
        }
        path => walk.list(key, &format!("{path}?limit=200")).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_server_returns_what_the_earlier_version_returned() {
    for engine in engines() {
        let (walk, fixture) = upgraded(engine).await;
        let mut found = Vec::new();
        for (key, answers) in fixture.value("/returned").as_object().expect("an object") {
            for (path, recorded) in answers.as_object().expect("an object") {
                let actual = returned(&walk, fixture.key(key), path, rows(recorded)).await;
                for row in rows(recorded) {
                    let is_same =
                        |new: &&Value| ["id", "callback_id"].iter().all(|name| new[name] == row[name]);
                    let new = actual.iter().find(is_same).unwrap_or(&Value::Null);
                    let place = format!("{key} {path} {}", row["id"]);
                    differences(&expected(path, row), new, &place, &mut found);
                }
            }
        }
        assert!(found.is_empty(), "{engine:?}: {found:#?}");
        let attention = walk.get("/v1/attention").await;
        let reasons: BTreeSet<_> =
            rows(&attention["data"]).iter().filter_map(|c| c["held_for"].as_str()).collect();
        assert_eq!(reasons, ["agent_disabled", "unclear_time"].into(), "{engine:?}");
    }
}

/// Delivers the outcome of the person's call to the workspace's own URL, because the simulator has one URL for all.
async fn deliver_outcome(walk: &Walk, fixture: &Fixture, workspace: (&str, &str), person: &str) {
    let ended = |walk: &Walk| {
        let call = walk.sim.record(&walk.rings(person).first()?.id)?;
        (call["call_status"] == "ended").then_some(call)
    };
    walk.until("a call to end", async |walk: &Walk| ended(walk).is_some()).await;
    let event = json!({"event": "call_ended", "call": ended(walk)}).to_string();
    assert_eq!(send(walk, fixture, workspace, &event).await, StatusCode::NO_CONTENT, "{person}");
}

/// The caller's number, and the variables that the agent receives.
fn request_of(ring: &PlacedCall) -> [&str; 5] {
    let variable =
        |name: &str| ring.request["retell_llm_dynamic_variables"][name].as_str().unwrap_or("absent");
    let [reason, attempt, is_final] = ["redial_reason", "attempt", "is_final_attempt"];
    [
        &ring.from,
        variable("visit"),
        variable(&format!("redialer_{reason}")),
        variable(&format!("redialer_{attempt}")),
        variable(&format!("redialer_{is_final}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_of_the_earlier_version_are_dialed_once_and_settled() {
    for engine in engines() {
        let (walk, fixture) = upgraded(engine).await;
        for event in rows(fixture.value("/in_flight")) {
            let event = event.as_str().expect("text");
            assert_eq!(send(&walk, &fixture, ("clinic", "key_clinic"), event).await, StatusCode::NO_CONTENT);
        }
        // The earlier version replaced this key, which stays valid for one more day.
        deliver_outcome(&walk, &fixture, ("dental", "key_dental"), OLA).await;
        deliver_outcome(&walk, &fixture, ("garage", "key_garage"), LIV).await;
        let all = async |walk: &Walk| {
            [walk.callbacks().await, walk.list(fixture.key("garage"), CALLBACKS).await].concat()
        };
        walk.until("the outcomes", async |walk: &Walk| {
            let callbacks = all(walk).await;
            MOVING.iter().chain([&IDA]).all(|person| newest(&callbacks, person)["state"] == "completed")
        })
        .await;

        let callbacks = all(&walk).await;
        let rings = walk.sim.placed_calls();
        let ring_of = |person: &str| rings.iter().find(|ring| ring.to == person).expect("dialed");
        let mut dialed: Vec<&str> = rings.iter().map(|ring| ring.to.as_str()).collect();
        dialed.sort_unstable();
        assert_eq!(dialed, [LIV, HAL, KIM, OLA, JAN], "{engine:?}: once each");
        for (person, request) in [
            (HAL, [OURS, "cleaning", "callback_requested", "1", "false"]),
            (JAN, [OURS, "checkup", "busy_followup", "2", "false"]),
            (KIM, [OURS, "x-ray", "callback_requested", "1", "false"]),
            (LIV, [GARAGE_NUMBER, "brakes", "callback_requested", "1", "false"]),
            (OLA, [DENTAL_NUMBER, "absent", "callback_requested", "1", "false"]),
        ] {
            let (ring, callback) = (ring_of(person), newest(&callbacks, person));
            assert_eq!(request_of(ring), request, "{person}");
            assert_eq!(ring.request["metadata"]["redialer_id"], callback["id"], "{person}");
            assert_eq!(callback["provider_call_id"], ring.id.as_str(), "{person}");
        }
        // Requests without an answer are repeated under their idempotency key, which is the dispatch's id.
        for (person, key) in [(KIM, "clinics"), (LIV, "garage")] {
            let mut dials = rows(fixture.value(&format!("/returned/{key}/~1v1~1activity"))).iter();
            let dial = dials.find(|entry| entry["callback_id"] == newest(&callbacks, person)["id"]);
            assert_eq!(
                ring_of(person).request["idempotency_key"],
                id(dial.expect("dialed before")),
                "{person}"
            );
        }
        let root = &newest(&callbacks, JAN)["chain_root_id"];
        let first = callbacks.iter().find(|callback| callback["id"] == *root).expect("its first callback");
        assert_eq!(
            (&first["state"], &first["outcome"]),
            (&json!("failed"), &json!("dial_busy")),
            "{engine:?}"
        );
        assert_eq!(newest(&callbacks, NED)["state"], "dialing", "{engine:?}: no outcome was delivered");
    }
}

/// The end of a call in which the caller requests a callback.
fn request_by(caller: &str, extraction: &str, end_ms: i64) -> String {
    let says = [json!({"role": "user", "content": "Please call me back tomorrow at 10 am."})];
    json!({"event": "call_analyzed", "call": {
        "call_id": format!("call_{caller}"), "call_type": "phone_call", "direction": "inbound", "agent_id": VOICE,
        "from_number": caller, "to_number": OURS, "call_status": "ended", "disconnection_reason": "user_hangup",
        "start_timestamp": end_ms - 60_000, "end_timestamp": end_ms, "transcript_object": says,
        "call_analysis": {"in_voicemail": false, "custom_analysis_data": {extraction: true}}}})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_urls_of_the_earlier_version_lead_to_callbacks() {
    for engine in engines() {
        let (walk, fixture) = upgraded(engine).await;
        let end_ms = walk.now().as_millisecond();
        for (workspace, webhook_key, extraction, caller, zone) in [
            ("clinic", "key_clinic", "redialer.io_callback", "+13125550190", "America/Chicago"),
            ("dental", "whk_dental", "redialer.io_callback", "+13055550191", "America/New_York"),
            ("garage", "key_garage", "wants_callback", "+16025550192", "America/Phoenix"),
        ] {
            let event = request_by(caller, extraction, end_ms);
            let forged = send(&walk, &fixture, (workspace, "key_wrong"), &event).await;
            assert_eq!(forged, StatusCode::UNAUTHORIZED, "{engine:?} {workspace}");
            let accepted = send(&walk, &fixture, (workspace, webhook_key), &event).await;
            assert_eq!(accepted, StatusCode::NO_CONTENT, "{engine:?} {workspace}");
            let owner = if workspace == "garage" { "garage" } else { "clinics" };
            let callbacks = async |walk: &Walk| walk.list(fixture.key(owner), CALLBACKS).await;
            walk.until("the callback", async |walk: &Walk| {
                callbacks(walk).await.iter().any(|callback| callback["to_number"] == caller)
            })
            .await;
            let callbacks = callbacks(&walk).await;
            let callback = newest(&callbacks, caller);
            let local = time(&callback["scheduled_for"]).to_zoned(TimeZone::get(zone).expect("a zone"));
            assert_eq!(local.strftime("%F %R").to_string(), "2046-03-07 10:00", "{engine:?} {workspace}");
            assert_eq!(callback["state"], "scheduled", "{engine:?} {workspace}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_replays_of_the_earlier_version_are_valid() {
    for engine in engines() {
        let (walk, fixture) = upgraded(engine).await;
        for (key, path, status) in [
            ("clinics", "/v1/audit", StatusCode::OK),
            ("front_desk", "/v1/callbacks", StatusCode::OK),
            ("front_desk", "/v1/workspaces", StatusCode::FORBIDDEN),
            ("contractor", "/v1/workspaces", StatusCode::OK),
            ("trying", "/v1/callbacks", StatusCode::OK),
            ("trying", "/v1/suppressions", StatusCode::FORBIDDEN),
            ("revoked", "/v1/callbacks", StatusCode::UNAUTHORIZED),
        ] {
            let (got, _) = walk.request_as(Some(fixture.key(key)), Method::GET, path, None).await;
            assert_eq!(got, status, "{engine:?} {key} {path}");
        }
        let request = walk.http.post(format!("{}/v1/callbacks", walk.base)).bearer_auth(&walk.admin_key);
        let request = request.header("content-type", "application/json");
        let request = request.header("Idempotency-Key", fixture.text("/replay/key"));
        let response = request.body(fixture.text("/replay/body").to_owned()).send().await.expect("answered");
        assert_eq!(response.status(), StatusCode::CREATED, "{engine:?}");
        assert_eq!(response.headers()["Idempotent-Replayed"], "true", "{engine:?}");
        assert_eq!(
            response.json::<Value>().await.expect("JSON"),
            *fixture.value("/replay/answer"),
            "{engine:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_data_is_sound_and_can_be_changed() {
    for engine in engines() {
        let (walk, _fixture) = upgraded(engine).await;
        assert_eq!(walk.run(&["tenant", "list"]).lines().count(), 2, "{engine:?}");
        let logs = walk.run(&["audit", "verify"]);
        assert!(
            logs.lines().count() == 2 && logs.lines().all(|log| log.contains("intact")),
            "{engine:?}: {logs}"
        );
        walk.run(&["doctor"]);

        let workspaces = walk.get("/v1/workspaces").await;
        let dental = rows(&workspaces["data"]).iter().find(|workspace| workspace["name"] == "Dental");
        let dental = dental.expect("listed");
        let patch = Some(json!({"defaults": {"max_attempts": 4}}));
        let path = format!("/v1/workspaces/{}", id(dental));
        let changed = walk.request(Method::PATCH, &path, patch, StatusCode::OK).await;
        let mut defaults = dental["defaults"].clone();
        defaults["max_attempts"] = 4.into();
        assert_eq!(changed["defaults"], defaults, "{engine:?}");

        let deletions = walk.get("/v1/audit?action=workspace.delete").await;
        let closed = deletions["data"][0]["target"].as_str().expect("one was deleted");
        walk.request(Method::GET, &format!("/v1/workspaces/{closed}"), None, StatusCode::NOT_FOUND).await;
        let restored = walk.post(&format!("/v1/workspaces/{closed}/restore")).await;
        assert_eq!(restored["name"], "Closed branch", "{engine:?}");

        // The earlier version did not record which account a key belongs to; the next sync of the roster does.
        walk.post(&format!("{path}/sync")).await;
        let again = Some(json!({"name": "Again", "provider": "retell", "api_key": "key_dental"}));
        let refused = walk.request(Method::POST, "/v1/workspaces", again, StatusCode::CONFLICT).await;
        assert_eq!(refused["error"]["code"], "already_connected", "{engine:?}");
    }
}
