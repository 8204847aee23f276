//! Calls and chats that a test starts in the simulator.

use redialer_sim::retell::{ScriptedCall, script::Behavior};
use serde_json::Value;

use super::{CHAT, OURS, VOICE};

/// A call between a person and the voice agent; `kind` is `inbound`, `outbound` or `web`.
pub(crate) fn scripted_call(kind: &str, person: &str, behavior: Behavior) -> ScriptedCall {
    ScriptedCall {
        kind: kind.to_owned(),
        agent_id: VOICE.to_owned(),
        person: person.to_owned(),
        number: OURS.to_owned(),
        behavior,
        ..ScriptedCall::default()
    }
}

/// A chat between a person and the chat agent.
pub(crate) fn scripted_chat(person: &str, behavior: Behavior) -> ScriptedCall {
    let numbers = [("redialer_user_number", person), ("redialer_agent_number", OURS)];
    let metadata = numbers.into_iter().map(|(name, number)| (name.to_owned(), Value::from(number))).collect();
    ScriptedCall { agent_id: CHAT.to_owned(), metadata, ..scripted_call("chat", person, behavior) }
}
