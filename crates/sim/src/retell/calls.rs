//! What becomes of a call or chat, step by step, each told by webhook.

use std::sync::Arc;

use redialer_core::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    script::{Agent, Does, Scene},
    webhooks,
    world::World,
};

/// Lets a scripted call happen; its id.
pub(super) fn happen(world: &Arc<World>, scene: &Scene) -> String {
    let agent = world
        .agent(&scene.agent_id)
        .unwrap_or_else(|| Agent { agent_id: scene.agent_id.clone(), ..Agent::default() });
    let id = match scene.kind.as_str() {
        "chat" => {
            let chat = new_chat(world, &agent, &scene.metadata, &scene.variables);
            world.state().chat_numbers.insert(chat.clone(), (scene.person.clone(), scene.number.clone()));
            chat
        }
        kind => {
            let (from, to) = if kind == "inbound" {
                (&scene.person, &scene.number)
            } else {
                (&scene.number, &scene.person)
            };
            let numbers = (kind != "web").then_some((kind, from.as_str(), to.as_str()));
            new_call(world, &agent, numbers, &scene.metadata, &scene.variables)
        }
    };
    let (world, does, duplicates, task_id) =
        (Arc::clone(world), scene.does.clone(), scene.duplicates, id.clone());
    let answered = scene.kind != "outbound";
    if scene.kind == "chat" {
        tokio::spawn(async move { run_chat(&world, &task_id, &agent, &does, duplicates).await });
    } else {
        tokio::spawn(async move { run_call(&world, &task_id, &agent, &does, answered, duplicates).await });
    }
    id
}

/// Registers a call; it rings with [`run_call`].
pub(super) fn new_call(
    world: &World,
    agent: &Agent,
    numbers: Option<(&str, &str, &str)>,
    metadata: &Map<String, Value>,
    variables: &Map<String, Value>,
) -> String {
    let id = world.id("call");
    let mut call = json!({
        "call_id": id, "call_type": "web_call", "agent_id": agent.agent_id, "agent_version": agent.version,
        "agent_name": agent.agent_name, "call_status": "registered", "metadata": metadata,
        "retell_llm_dynamic_variables": variables, "opt_out_sensitive_data_storage": false,
        "data_storage_setting": "everything", "opt_in_signed_url": false, "latency": {}, "call_cost": {
            "product_costs": [], "total_duration_seconds": 0, "total_duration_unit_price": 0, "combined_cost": 0},
    });
    match numbers {
        Some((direction, from, to)) => {
            call["call_type"] = "phone_call".into();
            call["direction"] = direction.into();
            call["from_number"] = from.into();
            call["to_number"] = to.into();
            call["telephony_identifier"] = json!({});
        }
        None => call["access_token"] = "sim_access_token".into(),
    }
    if let Some(tag) = &agent.tag {
        call["agent_tag"] = tag.as_str().into();
    }
    world.state().calls.insert(id.clone(), call);
    id
}

/// Opens a chat; it goes on with [`run_chat`].
pub(super) fn new_chat(
    world: &World,
    agent: &Agent,
    metadata: &Map<String, Value>,
    variables: &Map<String, Value>,
) -> String {
    let id = world.id("chat");
    let chat = json!({
        "chat_id": id, "agent_id": agent.agent_id, "version": agent.version, "agent_tag": agent.tag,
        "chat_type": "sms_chat", "chat_status": "ongoing", "start_timestamp": ms(world.time.now()),
        "metadata": metadata, "retell_llm_dynamic_variables": variables, "collected_dynamic_variables": {},
        "custom_attributes": {}, "transcript": "", "message_with_tool_calls": [],
        "chat_cost": {"product_costs": [], "combined_cost": 0},
    });
    world.state().chats.insert(id.clone(), chat);
    id
}

/// Rings, talks, ends, analyses.
pub(super) async fn run_call(
    world: &World,
    id: &str,
    agent: &Agent,
    does: &Does,
    answered: bool,
    duplicates: u32,
) {
    let (ring, talk, analysis) = {
        let script = world.script();
        (script.ring_seconds, script.talk_seconds, script.analysis_seconds)
    };
    let tell = async |event: &str| {
        for _ in 0..=duplicates {
            webhooks::call(world, agent, event, id).await;
        }
    };
    if !answered {
        world.time.pass(ring).await;
    }
    let started = world.time.now();
    let connects = does.connects();
    if connects {
        change(world, id, |call| {
            call["call_status"] = "ongoing".into();
            call["start_timestamp"] = ms(started).into();
        });
        tell("call_started").await;
        world.time.pass(talk).await;
    }
    let ended = world.time.now();
    change(world, id, |call| end(call, does, connects, started, ended));
    tell("call_ended").await;
    world.time.pass(analysis).await;
    change(world, id, |call| {
        call["call_analysis"] = json!({
            "in_voicemail": does.in_voicemail, "call_successful": connects, "user_sentiment": "Neutral",
            "call_summary": "A simulated call.", "custom_analysis_data": does.extracts,
        });
    });
    tell("call_analyzed").await;
}

fn end(call: &mut Value, does: &Does, connects: bool, started: Timestamp, ended: Timestamp) {
    let status = match (connects, does.ends.as_str()) {
        (_, "concurrency_limit_reached" | "no_valid_payment") => "error",
        (true, reason) if reason.starts_with("error_") => "error",
        (true, _) => "ended",
        (false, _) => "not_connected",
    };
    let turns = turns(&does.says);
    call["call_status"] = status.into();
    call["disconnection_reason"] = does.ends.as_str().into();
    call["start_timestamp"] = ms(started).into();
    call["end_timestamp"] = ms(ended).into();
    call["duration_ms"] = (ms(ended) - ms(started)).into();
    call["transcript"] = does.says.iter().map(|s| format!("{s}\n")).collect::<String>().into();
    call["transcript_object"] = turns
        .iter()
        .map(|(role, content)| json!({"role": role, "content": content, "words": []}))
        .collect::<Vec<_>>()
        .into();
    call["transcript_with_tool_calls"] = call["transcript_object"].clone();
}

/// A chat: what is written, then silence, then the end.
pub(super) async fn run_chat(world: &World, id: &str, agent: &Agent, does: &Does, duplicates: u32) {
    let (silence, analysis) = {
        let script = world.script();
        (script.chat_silence_seconds, script.analysis_seconds)
    };
    let tell = async |event: &str| {
        for _ in 0..=duplicates {
            webhooks::chat(world, agent, event, id).await;
        }
    };
    tell("chat_started").await;
    let written = world.time.now();
    change(world, id, |chat| {
        chat["transcript"] = does.says.iter().map(|s| format!("{s}\n")).collect::<String>().into();
        let message = |(i, (role, content)): (usize, &(&str, &str))| json!({"message_id": format!("msg_{i:04}"), "role": role, "content": content, "created_timestamp": ms(written)});
        chat["message_with_tool_calls"] =
            turns(&does.says).iter().enumerate().map(message).collect::<Vec<_>>().into();
    });
    world.time.pass(silence).await;
    change(world, id, |chat| {
        chat["chat_status"] = "ended".into();
        chat["end_timestamp"] = ms(world.time.now()).into();
    });
    tell("chat_ended").await;
    world.time.pass(analysis).await;
    change(world, id, |chat| {
        chat["chat_analysis"] = json!({
            "chat_summary": "A simulated chat.", "user_sentiment": "Neutral", "chat_successful": true,
            "custom_analysis_data": does.extracts,
        });
    });
    tell("chat_analyzed").await;
}

fn turns(says: &[String]) -> Vec<(&'static str, &str)> {
    says.iter()
        .filter_map(|line| {
            let (who, content) = line.split_once(": ")?;
            Some((if who == "Agent" { "agent" } else { "user" }, content))
        })
        .collect()
}

fn change(world: &World, id: &str, how: impl FnOnce(&mut Value)) {
    let mut state = world.state();
    let state = &mut *state;
    if let Some(record) = state.calls.get_mut(id).or_else(|| state.chats.get_mut(id)) {
        how(record);
    }
}

pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}
