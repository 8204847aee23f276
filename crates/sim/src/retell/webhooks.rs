//! Signed webhooks, as Retell sends them: in order, with up to three retries until a 2xx response.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::{calls::ms, script::Agent, world::World};

const MAX_ATTEMPTS: u32 = 4;
const RETRY_DELAY_SECONDS: f64 = 1.0;

/// One webhook to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The target URL.
    pub url: String,
    /// The provider's id of the call or chat.
    pub id: String,
    /// The request body.
    pub body: String,
    key: String,
}

impl Webhook {
    /// The value of the signature header if the webhook is sent at `at_ms`, in milliseconds since 1970.
    pub fn signature(&self, at_ms: i64) -> String {
        sign(self.key.as_bytes(), self.body.as_bytes(), at_ms)
    }
}

/// Builds the webhook for the current state of a call or chat; `None` if neither the agent nor
/// the account has a URL, or if the script drops the event.
pub(super) fn build(world: &World, agent: &Agent, noun: &str, phase: &str, id: &str) -> Option<Webhook> {
    let event = format!("{noun}_{phase}");
    let (url, key) = {
        let script = world.script();
        if script.lose_events.contains(&event) {
            return None;
        }
        // An agent's own URL replaces the account's; it may have been set after the call began.
        let own =
            script.agents.iter().find(|a| a.agent_id == agent.agent_id).and_then(|a| a.webhook_url.clone());
        (
            own.or_else(|| script.webhook_url.clone())?,
            script.webhook_key.clone().unwrap_or_else(|| script.api_key.clone()),
        )
    };
    let mut record = world.state().record(id).cloned()?;
    if let (Some(object), true) = (record.as_object_mut(), phase != "analyzed") {
        object.remove(&format!("{noun}_analysis"));
    }
    let body = json!({"event": event, noun: record}).to_string();
    Some(Webhook { url, id: id.to_owned(), body, key })
}

pub(super) async fn send(world: &World, hook: &Webhook) {
    for _ in 0..MAX_ATTEMPTS {
        let request = world
            .http
            .post(&hook.url)
            .header("content-type", "application/json")
            .header("x-retell-signature", hook.signature(ms(world.time.now())));
        match request.body(hook.body.clone()).send().await {
            Ok(response) if response.status().is_success() => return,
            Ok(response) => {
                tracing::debug!(status = response.status().as_u16(), "the webhook was not accepted")
            }
            Err(error) => tracing::debug!(%error, "the webhook could not be sent"),
        }
        world.time.sleep(RETRY_DELAY_SECONDS).await;
    }
}

/// Shares no code with the verifier on purpose: the two are tested against each other and the vendor's client.
pub(super) fn sign(key: &[u8], body: &[u8], stamp: i64) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    mac.update(stamp.to_string().as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("v={stamp},d={hex}")
}
