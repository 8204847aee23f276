//! What people do in a test: calls and chats in the simulator, and callbacks that a client schedules.

use redialer_core::time::{minutes, plus};
use redialer_sim::retell::{ScriptedCall, script::Behavior};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{CHAT, OURS, VOICE, Walk, id};

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

/// A call in which a person requests a callback in these words.
pub(crate) fn callback_request(person: &str, words: &str) -> ScriptedCall {
    scripted_call("inbound", person, Behavior::asking(&[&format!("User: {words}")], None))
}

/// A chat between a person and the chat agent.
pub(crate) fn scripted_chat(person: &str, behavior: Behavior) -> ScriptedCall {
    let numbers = [("redialer_user_number", person), ("redialer_agent_number", OURS)];
    let metadata = numbers.into_iter().map(|(name, number)| (name.to_owned(), Value::from(number))).collect();
    ScriptedCall { agent_id: CHAT.to_owned(), metadata, ..scripted_call("chat", person, behavior) }
}

/// The webhook `call_ended` for a call between a person and the voice agent that ended at `end_ms`.
pub(crate) fn call_ended(id: &str, direction: &str, person: &str, reason: &str, end_ms: i64) -> Value {
    let (from, to) = if direction == "outbound" { (OURS, person) } else { (person, OURS) };
    json!({"event": "call_ended", "call": {
        "call_id": id, "call_type": "phone_call", "agent_id": VOICE, "direction": direction,
        "from_number": from, "to_number": to, "disconnection_reason": reason, "end_timestamp": end_ms,
    }})
}

impl Walk {
    /// A person calls and requests a callback; returns the id of the call.
    pub(crate) fn request_callback(&self, person: &str, words: &str) -> String {
        self.sim.start_call(&callback_request(person, words))
    }

    /// A person requests a text in an hour, in a chat; returns the id of the chat.
    pub(crate) fn request_text(&self, person: &str) -> String {
        let behavior = Behavior::asking(&["User: Text me in an hour."], Some("in an hour"));
        self.sim.start_call(&scripted_chat(person, behavior))
    }

    /// The account dials a person, and the call ends for this reason; returns the id of the call.
    pub(crate) fn outbound_call(&self, person: &str, reason: &str) -> String {
        self.sim.start_call(&scripted_call("outbound", person, Behavior::ending(reason)))
    }

    /// The body of a request to schedule a callback by the voice agent.
    pub(crate) async fn new_callback(&self, person: &str, in_minutes: i64) -> Value {
        let at = plus(self.now(), minutes(in_minutes)).to_string();
        json!({"agent_id": self.agent_id(VOICE).await, "to_number": person, "from_number": OURS, "at": at})
    }

    /// Schedules a callback through the API, and returns it.
    pub(crate) async fn schedule(&self, person: &str, in_minutes: i64) -> Value {
        let body = self.new_callback(person, in_minutes).await;
        self.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CREATED).await
    }

    /// Waits until there is a callback to that person in that state, and returns it.
    pub(crate) async fn until_callback(&self, person: &str, state: &str) -> Value {
        let find = async |walk: &Walk| {
            let rows = walk.callbacks().await;
            rows.into_iter().find(|row| row["to_number"] == person && row["state"] == state)
        };
        self.until(&format!("a {state} callback to {person}"), async |walk: &Walk| {
            find(walk).await.is_some()
        })
        .await;
        find(self).await.expect("there is one")
    }

    /// The explanation of a callback.
    pub(crate) async fn explain(&self, callback: &Value) -> Value {
        self.get(&format!("/v1/callbacks/{}/explain", id(callback))).await
    }

    /// Creates an API key; returns its id and its secret.
    pub(crate) async fn create_key(&self, body: Value) -> (String, String) {
        let key = self.request(Method::POST, "/v1/api-keys", Some(body), StatusCode::CREATED).await;
        let text = |name: &str| key[name].as_str().expect("text").to_owned();
        (text("id"), text("secret"))
    }
}
