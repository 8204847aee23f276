//! Retell's REST API, as far as redialer and the vendor's client use it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde_json::{Map, Value, json};

use super::{
    calls, filter,
    keys::{Key, authorized},
    script::{Behavior, Fault, ScriptedCall},
    world::{PlacedCall, World},
};

type Shared = State<Arc<World>>;

pub(super) fn all(world: Arc<World>) -> Router {
    let api = Router::new()
        .route("/get-api-key-info", get(key_info))
        .route("/v2/list-agents", post(list_agents))
        .route("/get-agent/{id}", get(get_agent))
        .route("/get-chat-agent/{id}", get(get_agent))
        .route("/v2/create-phone-call", post(create_call))
        .route("/create-sms-chat", post(create_chat))
        .route("/v2/get-call/{id}", get(get_record))
        .route("/get-chat/{id}", get(get_record))
        .route("/v3/list-calls", post(async |State(w): Shared, body: String| list(&w, &body, false)))
        .route("/v3/list-chats", post(async |State(w): Shared, body: String| list(&w, &body, true)))
        .route("/get-concurrency", get(concurrency))
        .route("/v2/list-phone-numbers", get(list_numbers))
        .layer(middleware::from_fn_with_state(Arc::clone(&world), authorized));
    // The control API. It requires no key, so it is for loopback only.
    let control = Router::new()
        .route("/sim/rings", get(async |State(w): Shared| Json(w.state().placed_calls.clone())))
        .route(
            "/sim/calls",
            post(async |State(w): Shared, Json(scripted): Json<ScriptedCall>| {
                calls::start_call(&w, &scripted)
            }),
        )
        .route("/sim/people/{number}", put(set_person))
        .route("/sim/keys/{key}", put(set_key))
        .route(
            "/sim/hide-metadata",
            put(async |State(w): Shared, Json(hide): Json<bool>| w.script().lists_hide_metadata = hide),
        )
        .route(
            "/sim/faults",
            post(async |State(w): Shared, Json(fault): Json<Fault>| w.script().faults.push_back(fault)),
        )
        .route(
            "/sim/webhook-url",
            put(async |State(w): Shared, Json(url): Json<String>| w.script().webhook_url = Some(url)),
        );
    api.merge(control)
        .fallback(async || error(StatusCode::NOT_FOUND, "The requested resource was not found."))
        .with_state(world)
}

async fn set_person(State(world): Shared, Path(number): Path<String>, Json(behaviors): Json<Vec<Behavior>>) {
    world.script().people.insert(number, behaviors.into());
}

async fn set_key(State(world): Shared, Path(name): Path<String>, Json(key): Json<Key>) {
    world.script().keys.insert(name, key);
}

pub(super) fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"status": "error", "message": message}))).into_response()
}

/// Retell's response to an internal error.
fn internal_error() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected server error occurred.")
}

/// Retell's response if the account does not have the requested object.
fn not_found() -> Response {
    error(StatusCode::UNPROCESSABLE_ENTITY, "Cannot find requested asset under given api key.")
}

async fn key_info(State(world): Shared) -> Json<Value> {
    let org_id = world.script().org_id.clone();
    Json(json!({"api_key_name": "simulated", "org_id": org_id, "org_name": "Example Clinic"}))
}

async fn list_agents(
    State(world): Shared,
    Query(query): Query<Map<String, Value>>,
    body: String,
) -> Json<Value> {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let wanted = body["filter_criteria"]["channel"]["value"].as_str().map(str::to_owned);
    let script = world.script();
    let items = script.agents.iter().filter(|a| wanted.as_deref().is_none_or(|w| w == a.channel)).map(|a| {
        let tags = a.tag.iter().map(|t| (t.clone(), json!({"version": a.version}))).collect::<Map<_, _>>();
        json!({"agent_id": a.agent_id, "agent_name": a.agent_name, "channel": a.channel, "is_suspended": false,
               "is_transfer_agent": false, "user_modified_timestamp": 1_757_413_600_000_i64, "tags": tags})
    });
    Json(page(items.collect(), &Value::Object(query)))
}

/// One page of a list, with the key of the next one.
fn page(items: Vec<Value>, query: &Value) -> Value {
    let number = |name: &str| {
        let value = &query[name];
        value.as_u64().or_else(|| value.as_str().and_then(|s| s.parse().ok())).map(|n| n as usize)
    };
    let limit = number("limit").unwrap_or(50).clamp(1, 1_000);
    let from = number("pagination_key").or_else(|| number("skip")).unwrap_or(0);
    let more = items.len() > from + limit;
    let shown: Vec<Value> = items.into_iter().skip(from).take(limit).collect();
    let mut page = json!({"items": shown, "has_more": more});
    if more {
        page["pagination_key"] = (from + limit).to_string().into();
    }
    page
}

async fn get_agent(State(world): Shared, Path(id): Path<String>) -> Response {
    let Some(a) = world.agent(&id) else { return not_found() };
    Json(json!({
        "agent_id": a.agent_id, "version": a.version, "is_published": true, "assigned_tags": a.tag.iter().collect::<Vec<_>>(),
        "agent_name": a.agent_name, "webhook_url": a.webhook_url, "webhook_timeout_ms": 10_000, "timezone": a.timezone,
        "language": "en-US", "response_engine": {"type": "retell-llm", "llm_id": "llm_sim", "version": a.version},
        "voice_id": "retell-Cimo", "last_modification_timestamp": 1_757_413_600_000_i64,
    }))
    .into_response()
}

/// Places a call, at most one per idempotency key, subject to the script's next fault.
async fn create_call(State(world): Shared, Json(request): Json<Value>) -> Response {
    create(&world, request, false).await
}

async fn create_chat(State(world): Shared, Json(request): Json<Value>) -> Response {
    create(&world, request, true).await
}

async fn create(world: &Arc<World>, request: Value, is_chat: bool) -> Response {
    world.state().requests += 1;
    let fault = world.script().faults.pop_front().unwrap_or(Fault::None);
    if let Some(answer) = error_without_call(fault) {
        return answer;
    }
    let slow_seconds = world.script().slow_seconds;
    let placed = match fault {
        Fault::Stall => place_late(world, request, is_chat, slow_seconds).await,
        _ => place(world, &request, is_chat),
    };
    let record = match placed {
        Ok(record) => record,
        Err(refusal) => return *refusal,
    };
    let status = if is_chat { StatusCode::OK } else { StatusCode::CREATED };
    match fault {
        Fault::ErrorAfter => internal_error(),
        Fault::HtmlOk => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "text/html")], "<html>OK</html>").into_response()
        }
        Fault::DropReply => dropped_connection(),
        Fault::Silence => std::future::pending().await,
        Fault::Late => {
            world.time.sleep(slow_seconds).await;
            (status, Json(record)).into_response()
        }
        _ => (status, Json(record)).into_response(),
    }
}

/// Places the call after a delay, even if the client disconnects during it.
async fn place_late(
    world: &Arc<World>,
    request: Value,
    is_chat: bool,
    seconds: f64,
) -> Result<Value, Box<Response>> {
    let world = Arc::clone(world);
    let placing = tokio::spawn(async move {
        world.time.sleep(seconds).await;
        place(&world, &request, is_chat)
    });
    placing.await.unwrap_or_else(|_| Err(Box::new(internal_error())))
}

/// The response to a fault that places nothing; `None` for the other faults.
fn error_without_call(fault: Fault) -> Option<Response> {
    Some(match fault {
        Fault::ErrorBefore => internal_error(),
        Fault::DropRequest => dropped_connection(),
        Fault::Html => {
            let page = "<html><body>Bad Gateway</body></html>";
            (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/html")], page).into_response()
        }
        Fault::Throttled => {
            let message = "Account rate limited, please throttle your requests.";
            let headers = [
                ("x-ratelimit-limiter", "call"),
                ("ratelimit-limit", "1"),
                ("ratelimit-remaining", "0"),
                ("ratelimit-reset", "2"),
            ];
            (headers, error(StatusCode::TOO_MANY_REQUESTS, message)).into_response()
        }
        Fault::Payment => error(StatusCode::PAYMENT_REQUIRED, "Trial has ended, please add payment method."),
        Fault::Key => error(StatusCode::UNAUTHORIZED, "API key is missing or invalid."),
        Fault::Forbidden => error(StatusCode::FORBIDDEN, "Forbidden"),
        Fault::DoNotCall => error(StatusCode::BAD_REQUEST, "Contact is marked as do not call."),
        Fault::Unprocessable => not_found(),
        Fault::ErrorAfter
        | Fault::HtmlOk
        | Fault::DropReply
        | Fault::Silence
        | Fault::Late
        | Fault::Stall
        | Fault::None => return None,
    })
}

/// A response whose body fails at once, which closes the connection.
fn dropped_connection() -> Response {
    Response::new(axum::body::Body::new(Broken))
}

struct Broken;

impl http_body::Body for Broken {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::Error::other("dropped on purpose"))))
    }
}

const IDEMPOTENCY_KEY_LIFETIME: Duration = Duration::from_secs(3_600);

fn place(world: &Arc<World>, request: &Value, is_chat: bool) -> Result<Value, Box<Response>> {
    let text = |name: &str| request[name].as_str().map(str::to_owned);
    let bad = |message: &str| Box::new(error(StatusCode::BAD_REQUEST, message));
    let (Some(from), Some(to)) = (text("from_number"), text("to_number")) else {
        return Err(bad("Invalid request format, please check API reference."));
    };
    let owned = world.script().numbers.iter().any(|n| n.phone_number == from);
    if !owned {
        return Err(Box::new(not_found()));
    }
    let variables = request["retell_llm_dynamic_variables"].as_object().cloned().unwrap_or_default();
    if variables.values().any(|v| !v.is_string()) {
        return Err(bad("retell_llm_dynamic_variables must be a map of strings."));
    }
    let default = world
        .script()
        .numbers
        .iter()
        .find(|n| n.phone_number == from)
        .and_then(|n| if is_chat { n.sms_agent_id.clone() } else { n.agent_id.clone() });
    let agent = text("override_agent_id").or(default).and_then(|id| world.agent(&id));
    let Some(agent) = agent.filter(|a| (a.channel == "chat") == is_chat) else {
        return Err(Box::new(not_found()));
    };
    let now = world.time.now();
    let key = text("idempotency_key").filter(|_| !is_chat);
    if let Some(key) = &key {
        let state = world.state();
        let known = state
            .keys
            .get(key)
            .filter(|(at, _)| now.duration_since(*at).unsigned_abs() < IDEMPOTENCY_KEY_LIFETIME);
        if let Some(record) = known.and_then(|(_, id)| state.record(id)) {
            return Ok(record.clone());
        }
    }
    let metadata = request["metadata"].as_object().cloned().unwrap_or_default();
    let full = !is_chat && world.lines_in_use() >= world.script().concurrency_limit;
    let id = if is_chat {
        let id = calls::new_chat(world, &agent, &metadata, &variables);
        world.state().chat_numbers.insert(id.clone(), (to.clone(), from.clone()));
        id
    } else {
        calls::new_call(world, &agent, Some(("outbound", &from, &to)), &metadata, &variables)
    };
    let record = {
        let mut state = world.state();
        state.keys.extend(key.map(|key| (key, (now, id.clone()))));
        state.placed_calls.push(PlacedCall {
            at_ms: now.as_millisecond(),
            id: id.clone(),
            to: to.clone(),
            from,
            request: request.clone(),
        });
        state.record(&id).cloned().unwrap_or_default()
    };
    let behavior =
        if full { Behavior::ending("concurrency_limit_reached") } else { world.next_behavior(&to) };
    let timeline = match is_chat {
        true => calls::CallTimeline::of_chat(&id, &agent, &behavior),
        false => calls::CallTimeline::of_call(&id, &agent, &behavior, false),
    };
    calls::run(world, timeline);
    Ok(record)
}

async fn get_record(State(world): Shared, Path(id): Path<String>) -> Response {
    if world.script().records_fail.contains(&id) {
        return internal_error();
    }
    match world.state().record(&id) {
        Some(record) => Json(record.clone()).into_response(),
        None => not_found(),
    }
}

/// The calls or chats that match the filter, newest first.
fn list(world: &World, body: &str, is_chat: bool) -> Response {
    if world.script().lists_fail {
        return internal_error();
    }
    let query: Value = serde_json::from_str(body).unwrap_or_default();
    let state = world.state();
    let all = if is_chat { &state.chats } else { &state.calls };
    let found = all.iter().rev().filter(|(id, record)| {
        // `None` for a call, because its object contains the numbers.
        let numbers = state.chat_numbers.get(*id);
        world.is_listed(&state, id) && filter::matches_all(record, &query["filter_criteria"], numbers)
    });
    let hide = world.script().lists_hide_metadata;
    Json(page(found.map(|(_, record)| shown(record, hide, is_chat)).collect(), &query)).into_response()
}

/// A call or chat as a list shows it.
fn shown(record: &Value, hide_metadata: bool, with_transcript: bool) -> Value {
    let mut record = record.clone();
    if let Some(object) = record.as_object_mut() {
        object.retain(|key, _| match key.as_str() {
            "metadata" => !hide_metadata,
            key => with_transcript || !key.starts_with("transcript"),
        });
    }
    record
}

async fn concurrency(State(world): Shared) -> Json<Value> {
    let current = world.lines_in_use();
    let script = world.script();
    Json(json!({
        "current_concurrency": current, "concurrency_limit": script.concurrency_limit,
        "base_concurrency": script.concurrency_limit, "purchased_concurrency": 0, "concurrency_purchase_limit": 100,
        "remaining_purchase_limit": 100, "reserved_inbound_concurrency": script.reserved_inbound_concurrency,
        "concurrency_burst_enabled": false, "concurrency_burst_limit": 0,
    }))
}

async fn list_numbers(State(world): Shared, Query(query): Query<Map<String, Value>>) -> Json<Value> {
    let script = world.script();
    let agents =
        |id: &Option<String>| id.iter().map(|id| json!({"agent_id": id, "weight": 1})).collect::<Vec<_>>();
    let items = script.numbers.iter().map(|n| {
        json!({
            "phone_number": n.phone_number, "phone_number_type": "retell-twilio", "nickname": "Simulated line",
            "inbound_agents": agents(&n.agent_id), "outbound_agents": agents(&n.agent_id),
            "inbound_sms_agents": agents(&n.sms_agent_id), "outbound_sms_agents": agents(&n.sms_agent_id),
            "last_modification_timestamp": 1_756_636_000_000_i64,
        })
    });
    Json(page(items.collect(), &Value::Object(query)))
}
