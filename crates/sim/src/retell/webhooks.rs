//! Signed webhooks, as Retell sends them: in order, up to three more times until a 2xx comes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{calls::ms, script::Agent, world::World};

const TRIES: u32 = 4;
const BETWEEN_SECONDS: f64 = 1.0;

pub(super) async fn call(world: &World, agent: &Agent, event: &str, id: &str) {
    let Some(mut call) = world.state().calls.get(id).cloned() else { return };
    if let (Some(object), true) = (call.as_object_mut(), event != "call_analyzed") {
        object.remove("call_analysis");
    }
    send(world, agent, &json!({"event": event, "call": call})).await;
}

pub(super) async fn chat(world: &World, agent: &Agent, event: &str, id: &str) {
    let Some(mut chat) = world.state().chats.get(id).cloned() else { return };
    if let (Some(object), true) = (chat.as_object_mut(), event != "chat_analyzed") {
        object.remove("chat_analysis");
    }
    send(world, agent, &json!({"event": event, "chat": chat})).await;
}

async fn send(world: &World, agent: &Agent, body: &Value) {
    let (url, key) = {
        let script = world.script();
        // An agent's own URL replaces the account's; it may have been set after the call began.
        let own =
            script.agents.iter().find(|a| a.agent_id == agent.agent_id).and_then(|a| a.webhook_url.clone());
        (
            own.or_else(|| script.webhook_url.clone()),
            script.webhook_key.clone().unwrap_or_else(|| script.api_key.clone()),
        )
    };
    let Some(url) = url else { return };
    let body = body.to_string();
    for _ in 0..TRIES {
        let signature = sign(key.as_bytes(), body.as_bytes(), ms(world.time.now()));
        let request = world
            .http
            .post(&url)
            .header("content-type", "application/json")
            .header("x-retell-signature", signature);
        match request.body(body.clone()).send().await {
            Ok(response) if response.status().is_success() => return,
            Ok(response) => tracing::debug!(status = response.status().as_u16(), "a webhook was not taken"),
            Err(error) => tracing::debug!(%error, "a webhook could not be sent"),
        }
        world.time.pass(BETWEEN_SECONDS).await;
    }
}

/// Written apart from the verifier on purpose: the two are tested against each other and the vendor's client.
pub(super) fn sign(key: &[u8], body: &[u8], stamp: i64) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    mac.update(stamp.to_string().as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("v={stamp},d={hex}")
}
