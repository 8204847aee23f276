//! The steps of a call or chat, each reported by webhook.
//!
//! A step changes the record and returns the webhooks to send and the delay until the next step. A live world waits and
//! sends them itself; a manually stepped world queues its steps for `due_steps`.

use std::sync::Arc;

use redialer_core::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    script::{Agent, Behavior, ScriptedCall},
    webhooks::{self, Webhook},
    world::World,
};

/// A call or chat in progress.
pub(super) struct CallTimeline {
    pub(super) id: String,
    pub(super) agent: Agent,
    behavior: Behavior,
    is_chat: bool,
    /// Whether a person is on the line from the start.
    answered: bool,
    duplicates: u32,
    next: Step,
    started: Option<Timestamp>,
}

#[derive(Clone, Copy)]
enum Step {
    Begin,
    PickUp,
    End,
    Analysis,
}

impl CallTimeline {
    pub(super) fn of_call(id: &str, agent: &Agent, behavior: &Behavior, answered: bool) -> Self {
        let (id, agent, behavior) = (id.to_owned(), agent.clone(), behavior.clone());
        Self {
            id,
            agent,
            behavior,
            is_chat: false,
            answered,
            duplicates: 0,
            next: Step::Begin,
            started: None,
        }
    }

    pub(super) fn of_chat(id: &str, agent: &Agent, behavior: &Behavior) -> Self {
        Self { is_chat: true, ..Self::of_call(id, agent, behavior, true) }
    }

    /// Takes the next step now; returns the webhooks to send, and the seconds until the following step.
    fn step(&mut self, world: &World) -> (Vec<Webhook>, Option<f64>) {
        let (ring, talk, analysis, silence) = {
            let script = world.script();
            (script.ring_seconds, script.talk_seconds, script.analysis_seconds, script.chat_silence_seconds)
        };
        let now = world.time.now();
        match (self.next, self.is_chat) {
            (Step::Begin, false) => {
                self.next = Step::PickUp;
                (Vec::new(), Some(if self.answered { 0.0 } else { ring }))
            }
            (Step::Begin | Step::PickUp, true) => {
                self.next = Step::End;
                let webhooks = self.webhooks(world, "started");
                change(world, &self.id, |chat| write_messages(chat, &self.behavior, now));
                (webhooks, Some(silence))
            }
            (Step::PickUp, false) => {
                self.next = Step::End;
                self.started = Some(now);
                if !self.behavior.connects() {
                    return (Vec::new(), Some(0.0));
                }
                change(world, &self.id, |call| {
                    call["call_status"] = "ongoing".into();
                    call["start_timestamp"] = ms(now).into();
                });
                (self.webhooks(world, "started"), Some(talk))
            }
            (Step::End, is_chat) => {
                self.next = Step::Analysis;
                let started = self.started.unwrap_or(now);
                change(world, &self.id, |record| match is_chat {
                    false => write_end(record, &self.behavior, self.behavior.connects(), started, now),
                    true => {
                        record["chat_status"] = "ended".into();
                        record["end_timestamp"] = ms(now).into();
                    }
                });
                (self.webhooks(world, "ended"), Some(analysis))
            }
            (Step::Analysis, is_chat) => {
                change(world, &self.id, |record| write_analysis(record, &self.behavior, is_chat));
                (self.webhooks(world, "analyzed"), None)
            }
        }
    }

    fn webhooks(&self, world: &World, phase: &str) -> Vec<Webhook> {
        let noun = if self.is_chat { "chat" } else { "call" };
        let built = webhooks::build(world, &self.agent, noun, phase, &self.id);
        built.into_iter().flat_map(|hook| vec![hook; self.duplicates as usize + 1]).collect()
    }
}

/// Starts a call or chat.
pub(super) fn run(world: &Arc<World>, timeline: CallTimeline) {
    if world.is_manually_stepped {
        world.queue(timeline, world.time.now());
        return;
    }
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let mut timeline = timeline;
        loop {
            let (webhooks, wait) = timeline.step(&world);
            for hook in webhooks {
                webhooks::send(&world, &hook).await;
            }
            let Some(wait) = wait else { return };
            world.time.sleep(wait).await;
        }
    });
}

/// Takes every due step of a manually stepped world; returns the webhooks to send.
pub(super) fn due_steps(world: &World) -> Vec<Webhook> {
    let mut due = Vec::new();
    while let Some(mut timeline) = world.next_timeline() {
        let (hooks, wait) = timeline.step(world);
        due.extend(hooks);
        if let Some(wait) = wait {
            world.queue(timeline, world.time.after(wait));
        }
    }
    due
}

/// Starts a scripted call; returns its id.
pub(super) fn start_call(world: &Arc<World>, scripted: &ScriptedCall) -> String {
    let agent = world
        .agent(&scripted.agent_id)
        .unwrap_or_else(|| Agent { agent_id: scripted.agent_id.clone(), ..Agent::default() });
    let (id, mut timeline) = if scripted.kind == "chat" {
        let chat = new_chat(world, &agent, &scripted.metadata, &scripted.variables);
        world.state().chat_numbers.insert(chat.clone(), (scripted.person.clone(), scripted.number.clone()));
        (chat.clone(), CallTimeline::of_chat(&chat, &agent, &scripted.behavior))
    } else {
        let (from, to) = match scripted.kind.as_str() {
            "inbound" => (&scripted.person, &scripted.number),
            _ => (&scripted.number, &scripted.person),
        };
        let numbers =
            (scripted.kind != "web").then_some((scripted.kind.as_str(), from.as_str(), to.as_str()));
        let call = new_call(world, &agent, numbers, &scripted.metadata, &scripted.variables);
        (call.clone(), CallTimeline::of_call(&call, &agent, &scripted.behavior, scripted.kind != "outbound"))
    };
    timeline.duplicates = scripted.duplicates;
    run(world, timeline);
    id
}

/// Registers a call; [`run`] starts it.
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
    world.record_created(&id);
    world.state().calls.insert(id.clone(), call);
    id
}

/// Opens a chat; [`run`] starts it.
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
    world.record_created(&id);
    world.state().chats.insert(id.clone(), chat);
    id
}

pub(super) fn write_end(
    call: &mut Value,
    behavior: &Behavior,
    connects: bool,
    started: Timestamp,
    ended: Timestamp,
) {
    let status = match (connects, behavior.ends.as_str()) {
        (_, "concurrency_limit_reached" | "no_valid_payment") => "error",
        (true, reason) if reason.starts_with("error_") => "error",
        (true, _) => "ended",
        (false, _) => "not_connected",
    };
    let turns = turns(&behavior.says);
    call["call_status"] = status.into();
    call["disconnection_reason"] = behavior.ends.as_str().into();
    call["start_timestamp"] = ms(started).into();
    call["end_timestamp"] = ms(ended).into();
    call["duration_ms"] = (ms(ended) - ms(started)).into();
    call["transcript"] = behavior.says.iter().map(|s| format!("{s}\n")).collect::<String>().into();
    call["transcript_object"] = turns
        .iter()
        .map(|(role, content)| json!({"role": role, "content": content, "words": []}))
        .collect::<Vec<_>>()
        .into();
    call["transcript_with_tool_calls"] = call["transcript_object"].clone();
}

/// Writes the messages of a chat.
pub(super) fn write_messages(chat: &mut Value, behavior: &Behavior, written: Timestamp) {
    let message = |(i, (role, content)): (usize, &(&str, &str))| json!({"message_id": format!("msg_{i:04}"), "role": role, "content": content, "created_timestamp": ms(written)});
    chat["transcript"] = behavior.says.iter().map(|s| format!("{s}\n")).collect::<String>().into();
    chat["message_with_tool_calls"] =
        turns(&behavior.says).iter().enumerate().map(message).collect::<Vec<_>>().into();
}

pub(super) fn write_analysis(record: &mut Value, behavior: &Behavior, is_chat: bool) {
    if is_chat {
        record["chat_analysis"] = json!({
            "chat_summary": "A simulated chat.", "user_sentiment": "Neutral", "chat_successful": true,
            "custom_analysis_data": behavior.extracts,
        });
    } else {
        record["call_analysis"] = json!({
            "in_voicemail": behavior.in_voicemail, "call_successful": behavior.connects(), "user_sentiment": "Neutral",
            "call_summary": "A simulated call.", "custom_analysis_data": behavior.extracts,
        });
    }
}

fn turns(lines: &[String]) -> Vec<(&'static str, &str)> {
    lines
        .iter()
        .filter_map(|line| {
            let (role, content) = line.split_once(": ")?;
            Some((if role == "Agent" { "agent" } else { "user" }, content))
        })
        .collect()
}

fn change(world: &World, id: &str, edit: impl FnOnce(&mut Value)) {
    let mut state = world.state();
    let state = &mut *state;
    if let Some(record) = state.calls.get_mut(id).or_else(|| state.chats.get_mut(id)) {
        edit(record);
    }
}

pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}
